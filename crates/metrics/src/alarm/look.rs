//! The points that an alarm is judged by: of its metric, or of its expression.

use crate::math::{Error, Evaluation, Stored, Window};
use crate::{MetricKey, Metrics, Statistic};
use model::Timestamp;
use model::cloudwatch::MetricAlarm;

/// One period.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its start.
    pub at: Timestamp,
    pub value: Option<f64>,
    /// Of a metric; an expression has none.
    pub samples: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    /// The last periods, oldest first.
    pub values: Vec<Point>,
    /// Too few samples for the percentile in the newest period that has any, and the alarm is to
    /// ignore such (`EvaluateLowSampleCountPercentile`).
    pub insignificant: bool,
}

/// The last `periods` periods before `end`: a sliding window, counted back from there. A minute
/// lasts `minute_ms`.
pub fn look(
    metrics: &Metrics,
    alarm: &MetricAlarm,
    periods: usize,
    end: Timestamp,
    minute_ms: i64,
) -> Result<Points, Error> {
    let end = end.as_millisecond();
    let mut window = Window {
        start: end,
        end,
        origin: end,
        minute_ms,
    };
    let period_ms = window.period_ms(alarm.period);
    window.start = end - period_ms * periods as i64;
    let mut insignificant = false;
    let found: Vec<(i64, f64, Option<f64>)> = if alarm.metrics.is_empty() {
        let statistic = alarm
            .statistic
            .as_ref()
            .or(alarm.extended_statistic.as_ref());
        let statistic = statistic
            .and_then(|s| s.parse::<Statistic>().ok())
            .unwrap_or(Statistic::Average);
        let key = MetricKey {
            scope: alarm.scope.clone(),
            namespace: alarm.namespace.clone(),
            name: alarm.metric_name.clone(),
            dimensions: alarm.dimensions.clone(),
        };
        let (from, to) = (time(window.start), time(end));
        let unit = alarm.unit.as_deref();
        let buckets = metrics.buckets_from(&key, unit, from, to, period_ms, to);
        if alarm.evaluate_low_sample_count_percentile.as_deref() == Some("ignore")
            && let Some(least) = statistic.significant_samples()
        {
            insignificant = buckets.last().is_some_and(|(_, b)| b.count < least);
        }
        let values = buckets.into_iter().filter_map(|(at, bucket)| {
            Some((
                at.as_millisecond(),
                statistic.of(&bucket)?,
                Some(bucket.count),
            ))
        });
        values.collect()
    } else {
        let source = Stored {
            metrics,
            scope: &alarm.scope,
            window,
        };
        let mut evaluation = Evaluation::new(&alarm.metrics, &source, window);
        let Some(query) = alarm.metrics.iter().find(|q| q.return_data) else {
            return Ok(Points::default());
        };
        let mut lines = evaluation.answer(query)?.lines;
        let points = lines.pop().map(|line| line.points).unwrap_or_default();
        points.into_iter().map(|(at, v)| (at, v, None)).collect()
    };
    let values = window.slots(period_ms).map(|slot| {
        let at = found.binary_search_by_key(&slot, |(t, _, _)| *t).ok();
        Point {
            at: time(slot),
            value: at.map(|i| found[i].1),
            samples: at.and_then(|i| found[i].2),
        }
    });
    Ok(Points {
        values: values.collect(),
        insignificant,
    })
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Scope;
    use model::cloudwatch::{AlarmState, MetricDataQuery, MetricStat};

    fn alarm() -> MetricAlarm {
        let at = Timestamp::UNIX_EPOCH;
        MetricAlarm {
            arn: String::new(),
            scope: Scope::new("000000000000", "us-east-1"),
            name: "a".into(),
            description: None,
            actions_enabled: true,
            ok_actions: Vec::new(),
            alarm_actions: Vec::new(),
            insufficient_data_actions: Vec::new(),
            namespace: "App".into(),
            metric_name: "Load".into(),
            dimensions: Vec::new(),
            statistic: Some("Sum".into()),
            extended_statistic: None,
            unit: None,
            period: 60,
            evaluation_periods: 3,
            datapoints_to_alarm: None,
            threshold: 0.0,
            comparison_operator: "GreaterThanThreshold".into(),
            treat_missing_data: None,
            evaluate_low_sample_count_percentile: None,
            updated: at,
            state: AlarmState::Ok,
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

    /// A minute lasts three seconds; samples come each second, and the third minute has none.
    fn metrics() -> Metrics {
        let metrics = Metrics::default();
        metrics.set_minute(3000);
        let key = MetricKey::new(&alarm().scope, "App", "Load", &[]);
        for second in (0..6).chain(9..12) {
            metrics.put(key.clone(), "None", time(second * 1000), 2.0, 1.0);
        }
        metrics
    }

    #[track_caller]
    fn check(alarm: &MetricAlarm, end: i64, expected: &[Option<f64>]) {
        let points = look(&metrics(), alarm, expected.len(), time(end), 3000).unwrap();
        let values: Vec<Option<f64>> = points.values.iter().map(|p| p.value).collect();
        assert_eq!(values, expected);
        let first = points.values[0].at.as_millisecond();
        assert_eq!(
            first,
            end - 3000 * expected.len() as i64 * i64::from(alarm.period / 60)
        );
    }

    #[test]
    fn periods_count_back_from_the_end() {
        check(&alarm(), 12_000, &[Some(6.0), Some(6.0), None, Some(6.0)]);
        let two = MetricAlarm {
            period: 120,
            ..alarm()
        };
        check(&two, 12_000, &[Some(12.0), Some(6.0)]);
        check(&two, 9000, &[Some(6.0), Some(6.0)]);
    }

    #[test]
    fn expressions_see_the_same_periods() {
        let stat = MetricStat {
            namespace: "App".into(),
            name: "Load".into(),
            dimensions: Vec::new(),
            period: 60,
            stat: "Sum".into(),
            unit: None,
        };
        let query = |id: &str, metric, expression: Option<&str>| MetricDataQuery {
            id: id.into(),
            metric,
            return_data: expression.is_some(),
            expression: expression.map(str::to_owned),
            label: None,
            period: None,
        };
        let math = MetricAlarm {
            metrics: vec![
                query("m", Some(stat), None),
                // A rate is of real seconds, however long the cloud's minutes are.
                query("e", None, Some("FILL(m, 0) / PERIOD(m)")),
            ],
            ..alarm()
        };
        check(&math, 12_000, &[Some(2.0), Some(2.0), Some(0.0), Some(2.0)]);
    }

    #[test]
    fn few_samples_say_little_of_a_percentile() {
        let percentile = MetricAlarm {
            statistic: None,
            extended_statistic: Some("p90".into()),
            evaluate_low_sample_count_percentile: Some("ignore".into()),
            ..alarm()
        };
        let insignificant = |alarm: &MetricAlarm| {
            look(&metrics(), alarm, 3, time(12_000), 3000)
                .unwrap()
                .insignificant
        };
        assert!(insignificant(&percentile));
        assert!(!insignificant(&MetricAlarm {
            evaluate_low_sample_count_percentile: None,
            ..percentile
        }));
    }
}
