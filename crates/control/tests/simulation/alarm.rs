//! Alarms on metrics that somebody puts: when they are evaluated, what they do, what is told of it.

use crate::cloud::{Cloud, texts};
use crate::stack;
use jiff::SignedDuration;
use model::cloudwatch::{AlarmState, MetricAlarm};
use serde_json::Value;
use store::ScopedName;

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:topic";

fn put_alarm(cloud: &Cloud, name: &str, more: &str) {
    cloud.cloudwatch(&format!(
        "PutMetricAlarm&AlarmName={name}&Namespace=App&MetricName=Load&ComparisonOperator=GreaterThanThreshold{more}"
    ));
}

/// A value that the metric has in `seconds` of the clock.
fn put_value(cloud: &Cloud, value: f64, seconds: i64) {
    let at = cloud.now() + SignedDuration::from_secs(seconds);
    let datum = "MetricData.member.1";
    cloud.cloudwatch(&format!(
        "PutMetricData&Namespace=App&{datum}.MetricName=Load&{datum}.Value={value}&{datum}.Timestamp={at}"
    ));
}

fn alarm(cloud: &Cloud, name: &str) -> Option<MetricAlarm> {
    let key = ScopedName::new(&cloud.scope, name);
    cloud.state().alarms.get(&key).map(|a| (**a).clone())
}

fn state(cloud: &Cloud, name: &str) -> AlarmState {
    alarm(cloud, name).expect("an alarm").state
}

/// Summaries of the alarm's history, the oldest first.
fn history(cloud: &Cloud, name: &str, kind: &str) -> Vec<String> {
    let answer = cloud.cloudwatch(&format!(
        "DescribeAlarmHistory&AlarmName={name}&HistoryItemType={kind}&ScanBy=TimestampAscending&MaxRecords=100"
    ));
    texts(&answer, "HistorySummary")
}

/// An hour lasts a minute of the clock, a minute a second.
#[test]
fn an_alarm_over_days_is_evaluated_once_an_hour() {
    let mut cloud = Cloud::new(60.0);
    let hours = |n: u32| {
        format!("&Period=3600&EvaluationPeriods={n}&DatapointsToAlarm=1&Threshold=5&Statistic=Sum")
    };
    // Half past: whoever is new is not kept waiting for the full hour.
    cloud.run(30.0);
    put_value(&cloud, 1.0, -3);
    cloud.run(2.0);
    put_alarm(&cloud, "a-day", &hours(24));
    put_alarm(&cloud, "more", &hours(25));
    cloud.run(1.0);
    for name in ["a-day", "more"] {
        assert_eq!(state(&cloud, name), AlarmState::Ok, "{name}");
    }
    put_value(&cloud, 10.0, 0);
    cloud.run(3.0);
    assert_eq!(state(&cloud, "a-day"), AlarmState::Alarm);
    cloud.run(23.0);
    assert_eq!(state(&cloud, "more"), AlarmState::Ok);
    cloud.run(1.5);
    assert_eq!(state(&cloud, "more"), AlarmState::Alarm, "on the hour");
}

#[test]
fn an_alarm_looks_over_a_week_at_most() {
    let cloud = Cloud::new(1.0);
    let put = |period: u32, periods: u32| {
        let call = format!(
            "PutMetricAlarm&AlarmName=a&Namespace=App&MetricName=Load&ComparisonOperator=GreaterThanThreshold&Statistic=Sum&Threshold=1&Period={period}&EvaluationPeriods={periods}"
        );
        cloud.call(api::cloudwatch::service(), "2010-08-01", &call)
    };
    let refused = |period, periods, longest: &str| {
        let error = put(period, periods).unwrap_err();
        assert!(error.starts_with("InvalidParameterValue: "), "{error}");
        assert!(error.contains(longest), "{error}");
    };
    put(60, 1440).unwrap();
    refused(60, 1441, "must be <= 86400");
    refused(1800, 49, "must be <= 86400");
    put(3600, 168).unwrap();
    put(86_400, 7).unwrap();
    refused(3600, 169, "must be <= 604800");
    refused(86_400, 8, "must be <= 604800");
}

/// A simple policy without a cooldown adds one each minute that the alarm stays in ALARM, while the
/// topic hears of it once.
#[test]
fn scaling_repeats_each_minute_while_the_alarm_stays() {
    let mut cloud = Cloud::new(1.0);
    cloud.thrifty = true;
    stack::group(&cloud, "web", (1, 20, 1));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let answer = cloud.autoscaling(
        "PutScalingPolicy&AutoScalingGroupName=web&PolicyName=more&PolicyType=SimpleScaling&AdjustmentType=ChangeInCapacity&ScalingAdjustment=1&Cooldown=0",
    );
    let policy = crate::cloud::text(&answer, "PolicyARN");
    for minute in 0..10 {
        put_value(&cloud, 100.0, minute * 60);
    }
    put_alarm(
        &cloud,
        "high",
        &format!(
            "&Period=60&EvaluationPeriods=1&Threshold=5&Statistic=Sum&AlarmActions.member.1={policy}&AlarmActions.member.2={TOPIC}"
        ),
    );
    cloud.until("in alarm", 130.0, |c| state(c, "high") == AlarmState::Alarm);
    let desired = |c: &Cloud| c.group("web").desired_capacity();
    assert_eq!(desired(&cloud), 2);
    for more in [3, 4] {
        let took = cloud.until("one more", 120.0, |c| desired(c) == more);
        assert!((55.0..=65.0).contains(&took), "{took}");
    }
    // Notifications that are suspended trigger nothing; once resumed, what still holds counts.
    let process = "AutoScalingGroupName=web&ScalingProcesses.member.1=AlarmNotification";
    cloud.autoscaling(&format!("SuspendProcesses&{process}"));
    cloud.run(180.0);
    assert_eq!(desired(&cloud), 4);
    cloud.autoscaling(&format!("ResumeProcesses&{process}"));
    cloud.until("another", 65.0, |c| desired(c) == 5);
    assert_eq!(
        history(&cloud, "high", "StateUpdate"),
        ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
    );
    let actions = history(&cloud, "high", "Action");
    let told = actions.iter().filter(|a| a.ends_with(TOPIC)).count();
    let scaled = actions.iter().filter(|a| a.ends_with(&policy)).count();
    assert_eq!((told, scaled), (1, 4), "{actions:?}");
    // Back in order: nothing is added any more.
    cloud.until("over", 600.0, |c| state(c, "high") != AlarmState::Alarm);
    let then = desired(&cloud);
    cloud.run(300.0);
    assert_eq!(desired(&cloud), then);
}

/// AWS asks to leave these alarms alone, and does not make anew what was deleted until the policy
/// is put again.
#[test]
fn a_tracking_alarm_that_was_deleted_comes_back_with_its_policy() {
    let mut cloud = Cloud::new(1.0);
    cloud.demand = 2.0;
    stack::web(&cloud, "web", (2, 8, 2), 60);
    let put = "PutScalingPolicy&AutoScalingGroupName=web&PolicyName=cpu&PolicyType=TargetTrackingScaling&EstimatedInstanceWarmup=60&TargetTrackingConfiguration.TargetValue=50&TargetTrackingConfiguration.PredefinedMetricSpecification.PredefinedMetricType=ASGAverageCPUUtilization";
    let named = |answer: &str, side: &str| {
        let all = texts(answer, "AlarmName");
        all.into_iter().find(|name| name.contains(side))
    };
    let high = named(&cloud.autoscaling(put), "-AlarmHigh-").unwrap();
    assert!(high.starts_with("TargetTracking-web-AlarmHigh-"), "{high}");
    cloud.cloudwatch(&format!("DeleteAlarms&AlarmNames.member.1={high}"));
    cloud.run(900.0);
    assert_eq!(cloud.group("web").desired_capacity(), 2);
    let described = cloud.autoscaling("DescribePolicies&AutoScalingGroupName=web");
    assert_eq!(named(&described, "-AlarmHigh-"), None);
    assert!(named(&described, "-AlarmLow-").is_some());
    let answer = cloud.autoscaling(put);
    assert!(named(&answer, "-AlarmHigh-").is_some(), "{answer}");
    cloud.until("scaled out", 300.0, |c| {
        c.group("web").desired_capacity() == 4
    });
    // The alarms go with the policy.
    cloud.autoscaling("DeletePolicy&AutoScalingGroupName=web&PolicyName=cpu");
    assert_eq!(cloud.state().alarms.len(), 0);
}

/// The 90th percentile of less than a hundred samples says little.
#[test]
fn percentiles_of_few_samples_are_ignored_where_that_is_asked_for() {
    let mut cloud = Cloud::new(1.0);
    cloud.thrifty = true;
    let alarm = |low: &str| {
        format!(
            "&Period=60&EvaluationPeriods=1&Threshold=5&ExtendedStatistic=p90&EvaluateLowSampleCountPercentile={low}"
        )
    };
    put_alarm(&cloud, "ignores", &alarm("ignore"));
    put_alarm(&cloud, "evaluates", &alarm("evaluate"));
    let put = |cloud: &Cloud, count: u32| {
        let datum = "MetricData.member.1";
        cloud.cloudwatch(&format!(
            "PutMetricData&Namespace=App&{datum}.MetricName=Load&{datum}.Values.member.1=9&{datum}.Counts.member.1={count}"
        ));
    };
    put(&cloud, 99);
    cloud.run(61.0);
    assert_eq!(state(&cloud, "evaluates"), AlarmState::Alarm);
    assert_eq!(state(&cloud, "ignores"), AlarmState::InsufficientData);
    put(&cloud, 100);
    cloud.run(60.0);
    assert_eq!(state(&cloud, "ignores"), AlarmState::Alarm);
}

#[test]
fn history_is_of_three_types_and_comes_in_pages() {
    let mut cloud = Cloud::new(1.0);
    let more = format!(
        "&Period=60&EvaluationPeriods=1&Threshold=5&Statistic=Sum&AlarmActions.member.1={TOPIC}"
    );
    put_alarm(&cloud, "a", &more);
    cloud.run(1.0);
    put_alarm(&cloud, "a", &more);
    put_alarm(&cloud, "other", &more);
    cloud.run(1.0);
    let begun = cloud.now();
    cloud.cloudwatch("SetAlarmState&AlarmName=a&StateValue=ALARM&StateReason=by+hand");
    cloud.run(1.0);
    cloud.cloudwatch("DeleteAlarms&AlarmNames.member.1=a");
    let configured = [
        "Alarm \"a\" created",
        "Alarm \"a\" updated",
        "Alarm \"a\" deleted",
    ];
    assert_eq!(history(&cloud, "a", "ConfigurationUpdate"), configured);
    assert_eq!(
        history(&cloud, "a", "StateUpdate")[..1],
        ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
    );
    assert_eq!(
        history(&cloud, "a", "Action"),
        [format!("Successfully executed action {TOPIC}")]
    );
    // What it was at each change.
    let changes = cloud.cloudwatch(
        "DescribeAlarmHistory&AlarmName=a&HistoryItemType=ConfigurationUpdate&ScanBy=TimestampAscending",
    );
    let members = [
        ("Create", "createdAlarm", "INSUFFICIENT_DATA"),
        ("Update", "updatedAlarm", "INSUFFICIENT_DATA"),
        ("Delete", "deletedAlarm", "ALARM"),
    ];
    let changes = texts(&changes, "HistoryData");
    assert_eq!(changes.len(), members.len());
    for (change, (kind, member, state)) in changes.iter().zip(members) {
        let change: Value = serde_json::from_str(change).unwrap();
        let definition = &change[member];
        assert_eq!(
            (&change["type"], &definition["threshold"]),
            (&Value::from(kind), &Value::from(5.0))
        );
        assert_eq!(definition["alarmActions"][0], TOPIC);
        assert_eq!(definition["stateValue"], state, "{kind}");
    }
    // What a topic's subscribers would get.
    let action = cloud.cloudwatch("DescribeAlarmHistory&AlarmName=a&HistoryItemType=Action");
    let data: Value = serde_json::from_str(&texts(&action, "HistoryData")[0]).unwrap();
    let message = data["publishedMessage"].as_str().unwrap();
    let message: Value = serde_json::from_str(message).unwrap();
    for (name, expected) in [
        ("OldStateValue", "INSUFFICIENT_DATA"),
        ("NewStateValue", "ALARM"),
        ("NewStateReason", "by hand"),
        ("Region", "US East (N. Virginia)"),
        (
            "AlarmConfigurationUpdatedTimestamp",
            "2026-01-01T00:00:01.000+0000",
        ),
    ] {
        assert_eq!(message[name], expected, "{name}");
    }
    let all = |more: &str| cloud.cloudwatch(&format!("DescribeAlarmHistory{more}"));
    let newest_first = texts(&all("&AlarmName=a"), "HistorySummary");
    assert_eq!(newest_first.first().unwrap(), configured[2]);
    assert_eq!(newest_first.last().unwrap(), configured[0]);
    let since = texts(
        &all(&format!("&AlarmName=a&StartDate={begun}")),
        "HistorySummary",
    );
    assert_eq!(since[..], newest_first[..newest_first.len() - 2]);
    let of_all = texts(&all(""), "HistorySummary").len();
    assert_eq!(of_all, newest_first.len() + 1);
    // Page by page, while more happens.
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let answer = all(&format!("&AlarmName=a&MaxRecords=2{token}"));
        let page = texts(&answer, "HistorySummary");
        assert!(page.len() <= 2);
        seen.extend(page);
        put_alarm(&cloud, "a", &more);
        let Some(next) = texts(&answer, "NextToken").pop() else {
            break;
        };
        token = format!("&NextToken={next}");
    }
    assert_eq!(seen, newest_first);
}

#[test]
fn an_alarm_that_basic_monitoring_cannot_serve_is_explained() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (1, 1, 1), 60);
    cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    let id = cloud.group("web").instances[0].id.clone();
    let monitor = |call: &str| cloud.ec2(&format!("{call}&InstanceId.1={id}"));
    let told = |metric: &str, dimension: &str, value: &str, seconds: u32| {
        let name = format!("{metric}-{seconds}-{}", cloud.state().events.len());
        cloud.cloudwatch(&format!(
            "PutMetricAlarm&AlarmName={name}&Namespace=AWS/EC2&MetricName={metric}&ComparisonOperator=GreaterThanThreshold&Threshold=1&Statistic=Average&Period={seconds}&EvaluationPeriods=2&Dimensions.member.1.Name={dimension}&Dimensions.member.1.Value={value}"
        ));
        let state = cloud.state();
        let found = state.events.values().find(|e| e.subject == name);
        found.map(|e| e.message.clone())
    };
    monitor("UnmonitorInstances");
    let says = |told: Option<String>, text: &str| {
        let told = told.expect("an event");
        assert!(told.contains(text), "{told}");
    };
    says(
        told("CPUUtilization", "InstanceId", id.as_str(), 60),
        "none of them",
    );
    says(
        told("CPUUtilization", "InstanceId", id.as_str(), 120),
        "each of them once",
    );
    says(
        told("CPUUtilization", "AutoScalingGroupName", "web", 60),
        "detailed monitoring",
    );
    // What is long enough, comes each minute or is of nobody here.
    assert_eq!(told("CPUUtilization", "InstanceId", id.as_str(), 300), None);
    assert_eq!(
        told("StatusCheckFailed", "InstanceId", id.as_str(), 60),
        None
    );
    assert_eq!(told("MetadataNoToken", "InstanceId", id.as_str(), 60), None);
    assert_eq!(
        told("CPUUtilization", "AutoScalingGroupName", "other", 60),
        None
    );
    monitor("MonitorInstances");
    assert_eq!(told("CPUUtilization", "InstanceId", id.as_str(), 60), None);
    assert_eq!(
        told("CPUUtilization", "AutoScalingGroupName", "web", 60),
        None
    );
    // Credits come each five minutes with detailed monitoring too.
    says(
        told("CPUCreditBalance", "InstanceId", id.as_str(), 60),
        "it finds none of them and stays in INSUFFICIENT_DATA",
    );
}

#[test]
fn names_are_bounded() {
    let cloud = Cloud::new(1.0);
    let long = "a".repeat(256);
    let call = |more: &str| {
        let parameters = format!("DescribeAlarms{more}");
        cloud.call(api::cloudwatch::service(), "2010-08-01", &parameters)
    };
    for parameter in ["AlarmNames.member.1", "AlarmNamePrefix"] {
        assert!(call(&format!("&{parameter}={long}")).is_err());
        assert!(call(&format!("&{parameter}={}", &long[1..])).is_ok());
    }
}
