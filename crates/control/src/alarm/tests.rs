//! State reasons, word by word as they were observed (`reference/cloudwatch.md` §4.2).

use super::*;
use metrics::alarm::Point;
use model::Scope;

fn alarm(
    operator: &str,
    threshold: f64,
    periods: u32,
    missing: &str,
    state: AlarmState,
) -> MetricAlarm {
    let at = Timestamp::UNIX_EPOCH;
    MetricAlarm {
        arn: "arn".into(),
        scope: Scope::new("000000000000", "us-east-1"),
        name: "cpu".into(),
        description: None,
        actions_enabled: true,
        ok_actions: Vec::new(),
        alarm_actions: Vec::new(),
        insufficient_data_actions: Vec::new(),
        namespace: "AWS/EC2".into(),
        metric_name: "CPUUtilization".into(),
        dimensions: Vec::new(),
        statistic: Some("Average".into()),
        extended_statistic: None,
        unit: None,
        period: 60,
        evaluation_periods: periods,
        datapoints_to_alarm: None,
        threshold,
        comparison_operator: operator.into(),
        treat_missing_data: Some(missing.into()),
        evaluate_low_sample_count_percentile: None,
        updated: at,
        state,
        state_reason: String::new(),
        state_reason_data: String::new(),
        state_updated: at,
        state_transitioned: at,
        state_before: AlarmState::InsufficientData,
        metrics: Vec::new(),
        actions_due: false,
        tags: Default::default(),
    }
}

/// Points of consecutive minutes up to 23:17 on 14 July 2021, oldest first.
#[track_caller]
fn check(alarm: &MetricAlarm, values: &[Option<f64>], state: AlarmState, reason: &str) {
    let last: Timestamp = "2021-07-14T23:17:00Z".parse().unwrap();
    let at = |i: usize| last - jiff::SignedDuration::from_mins((values.len() - 1 - i) as i64);
    let points: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(i, v)| Point {
            at: at(i),
            value: *v,
            samples: *v,
        })
        .collect();
    let points = Points {
        values: points,
        insignificant: false,
    };
    let seen = judge(alarm, &points, last).unwrap();
    assert_eq!((seen.state, seen.reason.as_str()), (state, reason));
}

#[test]
fn reasons_as_observed() {
    use AlarmState::{Alarm, InsufficientData, Ok};
    let counting = |alarm: MetricAlarm| MetricAlarm {
        datapoints_to_alarm: Some(alarm.evaluation_periods),
        ..alarm
    };
    let high = counting(alarm(
        "GreaterThanOrEqualToThreshold",
        7.0,
        3,
        "missing",
        Ok,
    ));
    check(
        &high,
        &[None, None, Some(7.5), Some(8.0), Some(9.7)],
        Alarm,
        "Threshold Crossed: 3 out of the last 3 datapoints [9.7 (14/07/21 23:17:00), 8.0 (14/07/21 23:16:00), 7.5 (14/07/21 23:15:00)] were greater than or equal to the threshold (7.0) (minimum 3 datapoints for OK -> ALARM transition).",
    );
    let back = counting(alarm(
        "GreaterThanOrEqualToThreshold",
        1.0,
        2,
        "missing",
        Alarm,
    ));
    check(
        &back,
        &[Some(3.0), Some(3.0), Some(3.0), Some(0.0)],
        Ok,
        "Threshold Crossed: 1 out of the last 2 datapoints [0.0 (14/07/21 23:17:00)] was not greater than or equal to the threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition).",
    );
    let filled = alarm("GreaterThanThreshold", 1.0, 1, "notBreaching", Alarm);
    check(
        &filled,
        &[None, None, None],
        Ok,
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].",
    );
    let unknown = alarm("GreaterThanThreshold", 1.0, 1, "missing", Ok);
    check(
        &unknown,
        &[None, None, None],
        InsufficientData,
        "Insufficient Data: 1 datapoint was unknown.",
    );
    let unknown = alarm("GreaterThanThreshold", 1.0, 3, "missing", Ok);
    check(
        &unknown,
        &[None; 5],
        InsufficientData,
        "Insufficient Data: 3 datapoints were unknown.",
    );
}

#[test]
fn alarms_that_count_no_datapoints_to_alarm_say_less() {
    use AlarmState::{Alarm, Ok};
    let one = alarm("GreaterThanThreshold", 1.0, 1, "missing", Ok);
    check(
        &one,
        &[None, None, Some(3.0)],
        Alarm,
        "Threshold Crossed: 1 datapoint [3.0 (14/07/21 23:17:00)] was greater than the threshold (1.0).",
    );
    let two = alarm("GreaterThanThreshold", 40.0, 2, "missing", Ok);
    check(
        &two,
        &[Some(1.0), Some(1.0), Some(65.5), Some(99.0)],
        Alarm,
        "Threshold Crossed: 2 datapoints [99.0 (14/07/21 23:17:00), 65.5 (14/07/21 23:16:00)] were greater than the threshold (40.0).",
    );
    let filled = alarm("LessThanOrEqualToThreshold", 0.0, 3, "breaching", Alarm);
    check(
        &filled,
        &[None, None, None, None, Some(2.0)],
        Ok,
        "Threshold Crossed: 1 datapoint [2.0 (14/07/21 23:17:00)] was not less than or equal to the threshold (0.0) and 2 missing datapoints were treated as [Breaching].",
    );
}

/// Many points have a sentence of their own; numbers are Java's.
#[test]
fn many_points_and_large_ones() {
    use AlarmState::{Alarm, Ok};
    let low = alarm("LessThanThreshold", 35.0, 15, "missing", Ok);
    let newest: Vec<String> = (13..=17)
        .rev()
        .map(|m| format!("{m}.0 (14/07/21 23:{m}:00)"))
        .collect();
    let newest = newest.join(", ");
    let values: Vec<Option<f64>> = (1..=17).map(|m| Some(f64::from(m))).collect();
    check(
        &low,
        &values,
        Alarm,
        &format!(
            "Threshold Crossed: 15 datapoints were less than the threshold (35.0). The most recent datapoints which crossed the threshold: [{newest}]."
        ),
    );
    let counting = MetricAlarm {
        datapoints_to_alarm: Some(5),
        ..alarm("LessThanThreshold", 35.0, 5, "missing", Ok)
    };
    check(
        &counting,
        &values[10..],
        Alarm,
        &format!(
            "Threshold Crossed: 5 out of the last 5 datapoints were less than the threshold (35.0). The most recent datapoints which crossed the threshold: [{newest}] (minimum 5 datapoints for OK -> ALARM transition)."
        ),
    );
    let storage = alarm("LessThanThreshold", 2_147_483_648.0, 1, "missing", Alarm);
    check(
        &storage,
        &[None, None, Some(1e10)],
        Ok,
        "Threshold Crossed: 1 datapoint [1.0E10 (14/07/21 23:17:00)] was not less than the threshold (2.147483648E9).",
    );
}

#[test]
fn points_count_with_those_that_stand_in_for_missing_ones() {
    use AlarmState::{Alarm, Ok};
    let mut one_of = alarm("GreaterThanOrEqualToThreshold", 1.0, 20, "notBreaching", Ok);
    one_of.datapoints_to_alarm = Some(1);
    let mut values = [None; 22];
    values[21] = Some(613.0);
    check(
        &one_of,
        &values,
        Alarm,
        "Threshold Crossed: 1 out of the last 20 datapoints [613.0 (14/07/21 23:17:00)] was greater than or equal to the threshold (1.0) and 19 missing datapoints were treated as [NonBreaching] (minimum 1 datapoint for OK -> ALARM transition).",
    );
    // The one point that there is does not speak for it.
    let mut two_of = alarm("GreaterThanThreshold", 1.0, 3, "breaching", Ok);
    two_of.datapoints_to_alarm = Some(2);
    check(
        &two_of,
        &[None, None, None, None, Some(0.0)],
        Alarm,
        "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as [Breaching].",
    );
}

#[test]
fn reason_data_is_what_aws_has() {
    #[track_caller]
    fn check(alarm: &MetricAlarm, values: &[Option<f64>], expected: &str) {
        let last: Timestamp = "2021-07-14T23:17:00Z".parse().unwrap();
        let at = |i: usize| last - jiff::SignedDuration::from_mins((values.len() - 1 - i) as i64);
        let point = |(i, v): (usize, &Option<f64>)| Point {
            at: at(i),
            value: *v,
            samples: v.map(|_| 5.0),
        };
        let points = Points {
            values: values.iter().enumerate().map(point).collect(),
            insignificant: false,
        };
        let now = "2021-07-14T23:18:06.513Z".parse().unwrap();
        assert_eq!(judge(alarm, &points, now).unwrap().data, expected);
    }
    let mut high = alarm("GreaterThanThreshold", 7.0, 2, "missing", AlarmState::Ok);
    check(
        &high,
        &[Some(1.0), None, Some(8.0), Some(9.5)],
        r#"{"version":"1.0","queryDate":"2021-07-14T23:18:06.513+0000","startDate":"2021-07-14T23:16:00.000+0000","statistic":"Average","period":60,"recentDatapoints":[8.0,9.5],"threshold":7.0,"evaluatedDatapoints":[{"timestamp":"2021-07-14T23:17:00.000+0000","sampleCount":5.0,"value":9.5},{"timestamp":"2021-07-14T23:16:00.000+0000","sampleCount":5.0,"value":8.0}]}"#,
    );
    high.unit = Some("Percent".into());
    check(
        &high,
        &[None; 4],
        r#"{"version":"1.0","queryDate":"2021-07-14T23:18:06.513+0000","unit":"Percent","statistic":"Average","period":60,"recentDatapoints":[],"threshold":7.0,"evaluatedDatapoints":[{"timestamp":"2021-07-14T23:17:00.000+0000"},{"timestamp":"2021-07-14T23:16:00.000+0000"}]}"#,
    );
}

#[test]
fn few_samples_keep_the_state() {
    let high = alarm("GreaterThanThreshold", 7.0, 2, "missing", AlarmState::Ok);
    let at = |s: &str| s.parse::<Timestamp>().unwrap();
    let point = |s, value| Point {
        at: at(s),
        value: Some(value),
        samples: Some(1.0),
    };
    let values = vec![
        point("2021-07-14T23:16:00Z", 8.0),
        point("2021-07-14T23:17:00Z", 9.0),
    ];
    let mut points = Points {
        values,
        insignificant: false,
    };
    let now = at("2021-07-14T23:18:06.513Z");
    assert_eq!(judge(&high, &points, now).unwrap().state, AlarmState::Alarm);
    // Too few samples for the percentile keep the state, whatever they are.
    points.insignificant = true;
    assert_eq!(judge(&high, &points, now).unwrap().state, AlarmState::Ok);
}
