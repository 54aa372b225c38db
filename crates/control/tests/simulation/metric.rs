//! What is measured of instances and groups, as GetMetricData tells it.

use crate::cloud::{Cloud, text, texts};
use crate::stack;
use jiff::Timestamp;
use model::InstanceId;

/// The metric's points: seconds of the scenario, and values; oldest first.
fn points(
    cloud: &Cloud,
    (namespace, name): (&str, &str),
    (dimension, value): (&str, &str),
    statistic: &str,
) -> Vec<(i64, f64)> {
    let query = "MetricDataQueries.member.1";
    let metric = format!("{query}.MetricStat.Metric");
    let answer = cloud.cloudwatch(&format!(
        "GetMetricData&StartTime={}&EndTime={}&ScanBy=TimestampAscending&{query}.Id=m&{metric}.Namespace={namespace}&{metric}.MetricName={name}&{metric}.Dimensions.member.1.Name={dimension}&{metric}.Dimensions.member.1.Value={value}&{query}.MetricStat.Period=60&{query}.MetricStat.Stat={statistic}",
        cloud.start,
        cloud.now(),
    ));
    let listed = |element: &str| {
        let all = texts(&answer, element).pop().unwrap_or_default();
        texts(&all, "member")
    };
    let seconds = |at: &String| {
        let at: Timestamp = at.parse().unwrap();
        at.duration_since(cloud.start).as_secs()
    };
    let times = listed("Timestamps");
    let values = listed("Values");
    let values = values.iter().map(|v| v.parse().unwrap());
    times.iter().map(seconds).zip(values).collect()
}

/// When the instance's CPU was measured since then.
fn measured(cloud: &Cloud, id: &InstanceId, since: i64) -> Vec<i64> {
    let of = ("InstanceId", id.as_str());
    let all = points(cloud, ("AWS/EC2", "CPUUtilization"), of, "Average");
    let times = all.into_iter().map(|(at, _)| at);
    times.filter(|at| since <= *at).collect()
}

fn every(step: i64, from: i64, to: i64) -> Vec<i64> {
    (from..to).step_by(step as usize).collect()
}

#[test]
fn instances_are_measured_each_five_minutes_or_each_minute_as_they_say() {
    let mut cloud = Cloud::new(1.0);
    cloud.thrifty = true;
    let run = |cloud: &Cloud, of: &str| -> InstanceId {
        let answer = cloud.ec2(&format!("RunInstances&MinCount=1&MaxCount=1&{of}"));
        text(&answer, "instanceId").parse().unwrap()
    };
    let plain = "ImageId=ami-043985f3006b29f9e&InstanceType=t3.micro";
    let template = "CreateLaunchTemplate&LaunchTemplateName=detailed&LaunchTemplateData.ImageId=ami-043985f3006b29f9e&LaunchTemplateData.InstanceType=t3.micro&LaunchTemplateData.Monitoring.Enabled=true";
    cloud.ec2(template);
    let basic = run(&cloud, plain);
    let detailed = run(&cloud, "LaunchTemplate.LaunchTemplateName=detailed");
    cloud.run(1201.0);
    // Stamped with the start of what they cover.
    assert_eq!(measured(&cloud, &basic, 0), every(300, 0, 1200));
    assert_eq!(measured(&cloud, &detailed, 120), every(60, 120, 1200));
    // Added up by type only where they are detailed; over all and by instance always.
    let by_type = ("InstanceType", "t3.micro");
    let cpu = ("AWS/EC2", "CPUUtilization");
    let counts = points(&cloud, cpu, by_type, "SampleCount");
    assert!(counts.iter().all(|(_, n)| *n == 1.0), "{counts:?}");
    // Status checks are each minute for both.
    for id in [&basic, &detailed] {
        let check = ("AWS/EC2", "StatusCheckFailed");
        let all = points(&cloud, check, ("InstanceId", id.as_str()), "Maximum");
        let times: Vec<i64> = all.iter().map(|(at, _)| *at).collect();
        assert_eq!(times[times.len() - 10..], every(60, 600, 1200)[..]);
    }
    cloud.ec2(&format!("MonitorInstances&InstanceId.1={basic}"));
    cloud.ec2(&format!("UnmonitorInstances&InstanceId.1={detailed}"));
    cloud.run(600.0);
    assert_eq!(measured(&cloud, &basic, 1200), every(60, 1200, 1800));
    assert_eq!(measured(&cloud, &detailed, 1200), every(300, 1200, 1800));
}

/// The group's newest values, by name.
fn group_metrics<const N: usize>(cloud: &Cloud, names: [&str; N]) -> [f64; N] {
    names.map(|name| {
        let of = ("AutoScalingGroupName", "web");
        let all = points(cloud, ("AWS/AutoScaling", name), of, "Average");
        let (at, value) = all.last().copied().unwrap_or((-1, f64::NAN));
        let old = cloud.seconds() as i64 - at;
        assert!((60..=120).contains(&old), "{name} of {at}, {old} s ago");
        value
    })
}

fn enable(cloud: &Cloud) {
    cloud.autoscaling("EnableMetricsCollection&AutoScalingGroupName=web&Granularity=1Minute");
}

#[test]
fn a_groups_metrics_count_its_members_by_what_they_do() {
    let mut cloud = Cloud::new(1.0);
    cloud.thrifty = true;
    stack::group(&cloud, "web", (1, 6, 3));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.run(120.0);
    let listed = || {
        texts(
            &cloud.cloudwatch("ListMetrics&Namespace=AWS/AutoScaling"),
            "MetricName",
        )
    };
    assert_eq!(listed(), Vec::<String>::new(), "not unasked");
    enable(&cloud);
    let group = "AutoScalingGroupName=web";
    for (name, transition) in [("in", "LAUNCHING"), ("out", "TERMINATING")] {
        cloud.autoscaling(&format!("PutLifecycleHook&{group}&LifecycleHookName={name}&LifecycleTransition=autoscaling:EC2_INSTANCE_{transition}"));
    }
    let members = cloud.in_service("web");
    cloud.autoscaling(&format!(
        "EnterStandby&{group}&InstanceIds.member.1={}&ShouldDecrementDesiredCapacity=true",
        members[0]
    ));
    cloud.autoscaling(&format!("SetDesiredCapacity&{group}&DesiredCapacity=4"));
    cloud.autoscaling(&format!(
        "TerminateInstanceInAutoScalingGroup&InstanceId={}&ShouldDecrementDesiredCapacity=true",
        members[1]
    ));
    cloud.run(180.0);
    let limits = ["GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity"];
    assert_eq!(group_metrics(&cloud, limits), [1.0, 6.0, 3.0]);
    for kind in ["Instances", "Capacity"] {
        let of = ["InService", "Pending", "Standby", "Terminating", "Total"];
        let names = of.map(|state| format!("Group{state}{kind}"));
        let found = group_metrics(&cloud, names.each_ref().map(String::as_str));
        assert_eq!(found, [1.0, 2.0, 1.0, 1.0, 5.0], "{kind}");
    }
    // What is not collected any more goes no further.
    cloud.autoscaling(&format!(
        "DisableMetricsCollection&{group}&Metrics.member.1=GroupMinSize"
    ));
    let before = points(
        &cloud,
        ("AWS/AutoScaling", "GroupMinSize"),
        ("AutoScalingGroupName", "web"),
        "Sum",
    );
    cloud.run(180.0);
    let after = points(
        &cloud,
        ("AWS/AutoScaling", "GroupMinSize"),
        ("AutoScalingGroupName", "web"),
        "Sum",
    );
    assert_eq!(before, after);
    assert_eq!(group_metrics(&cloud, ["GroupMaxSize"]), [6.0]);
}

#[test]
fn a_warm_pools_metrics_count_what_it_holds() {
    let mut cloud = Cloud::new(1.0);
    cloud.thrifty = true;
    stack::group(&cloud, "web", (0, 4, 1));
    enable(&cloud);
    cloud.autoscaling("PutWarmPool&AutoScalingGroupName=web&MinSize=1");
    cloud.run(300.0);
    let names = [
        "WarmPoolMinSize",
        "WarmPoolDesiredCapacity",
        "WarmPoolPendingCapacity",
        "WarmPoolTerminatingCapacity",
        "WarmPoolWarmedCapacity",
        "WarmPoolTotalCapacity",
        "GroupAndWarmPoolDesiredCapacity",
        "GroupAndWarmPoolTotalCapacity",
    ];
    let expected = [1.0, 3.0, 0.0, 0.0, 3.0, 3.0, 4.0, 4.0];
    assert_eq!(group_metrics(&cloud, names), expected);
}
