//! Alarms and policies change the capacity.

use crate::cloud::Cloud;
use crate::{stack, timeline};
use model::autoscaling::{PolicyKind, TrackedMetric};
use model::cloudwatch::MetricAlarm;
use std::time::Duration;
use store::ScopedName;

fn step(steps: &[(Option<f64>, Option<f64>, i32)], warmup: u32) -> PolicyKind {
    PolicyKind::Step {
        adjustment_type: "ChangeInCapacity".into(),
        min_magnitude: None,
        steps: steps.to_vec(),
        warmup: Some(warmup),
        aggregation: "Average".into(),
    }
}

/// Step policies out at 60 % and in at 30 %.
fn stepping(cloud: &Cloud) {
    let out = stack::policy(
        cloud,
        "web",
        "out",
        step(&[(Some(0.0), Some(25.0), 1), (Some(25.0), None, 2)], 180),
        &[],
    );
    stack::cpu_alarm(
        cloud,
        "web",
        "cpu-high",
        "GreaterThanOrEqualToThreshold",
        60.0,
        2,
        &out,
    );
    let inward = stack::policy(cloud, "web", "in", step(&[(None, Some(0.0), -1)], 180), &[]);
    stack::cpu_alarm(
        cloud,
        "web",
        "cpu-low",
        "LessThanOrEqualToThreshold",
        30.0,
        5,
        &inward,
    );
}

#[test]
fn step_policies_scale_out_without_stacking_and_in_to_the_minimum() {
    let mut cloud = Cloud::new(1.0);
    cloud.demand = 1.0;
    stack::web(&cloud, "web", (2, 6, 2), 60);
    stepping(&cloud);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.run(300.0);
    assert_eq!(cloud.group("web").desired_capacity(), 2);
    // 95 % each: two more, and no further while they warm up.
    cloud.demand = 1.9;
    cloud.until("scaled out", 300.0, |c| {
        c.group("web").desired_capacity() > 2
    });
    assert_eq!(cloud.group("web").desired_capacity(), 4);
    cloud.watch = Some(|c| {
        assert!(
            c.group("web").desired_capacity() <= 4,
            "{}",
            timeline::activities(c)
        )
    });
    cloud.run(900.0);
    assert_eq!(cloud.group("web").desired_capacity(), 4);
    cloud.demand = 0.1;
    cloud.watch = Some(|c| assert!(c.group("web").desired_capacity() >= 2));
    cloud.until("scaled in", 1800.0, |c| {
        c.group("web").desired_capacity() == 2
    });
    cloud.run(1200.0);
    assert!(cloud.at_rest("web"));
    insta::assert_snapshot!(timeline::of(&cloud));
}

/// Both act at the same moment, and the second sees what the first has asked for.
#[test]
fn of_two_policies_the_larger_capacity_wins() {
    let mut cloud = Cloud::new(1.0);
    cloud.demand = 1.0;
    stack::web(&cloud, "web", (2, 8, 2), 60);
    for (name, more) in [("one", 1), ("two", 2)] {
        let arn = stack::policy(
            &cloud,
            "web",
            name,
            step(&[(Some(0.0), None, more)], 180),
            &[],
        );
        stack::cpu_alarm(
            &cloud,
            "web",
            name,
            "GreaterThanOrEqualToThreshold",
            60.0,
            2,
            &arn,
        );
    }
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.run(300.0);
    cloud.demand = 1.9;
    cloud.until("scaled out", 300.0, |c| {
        c.group("web").desired_capacity() > 2
    });
    cloud.run(1.0);
    assert_eq!(cloud.group("web").desired_capacity(), 4);
}

fn tracking(cloud: &Cloud, target: f64) {
    let kind = PolicyKind::TargetTracking {
        target,
        disable_scale_in: false,
        warmup: Some(120),
        metric: TrackedMetric::Predefined {
            kind: "ASGAverageCPUUtilization".into(),
            label: None,
        },
    };
    let (high, low) = (
        "TargetTracking-web-AlarmHigh-1",
        "TargetTracking-web-AlarmLow-1",
    );
    let arn = stack::policy(cloud, "web", "cpu", kind, &[high, low]);
    stack::cpu_alarm(cloud, "web", high, "GreaterThanThreshold", target, 3, &arn);
    stack::cpu_alarm(
        cloud,
        "web",
        low,
        "LessThanThreshold",
        target * 0.7,
        15,
        &arn,
    );
}

#[test]
fn target_tracking_finds_the_capacity() {
    for speed in [1.0, 20.0] {
        let mut cloud = Cloud::new(speed);
        cloud.demand = 0.8;
        stack::web(&cloud, "web", (2, 8, 2), 60);
        tracking(&cloud, 50.0);
        cloud.until("at rest", 200.0, |c| c.at_rest("web"));
        cloud.run(300.0 / speed);
        cloud.demand = 2.0;
        // Two instances at 100 %: four would sit at the target.
        cloud.until("scaled out", 900.0 / speed + 60.0, |c| {
            c.group("web").desired_capacity() == 4
        });
        cloud.until("at rest", 120.0, |c| c.at_rest("web"));
        cloud.run(1800.0 / speed);
        assert_eq!(
            cloud.group("web").desired_capacity(),
            4,
            "speed {speed}\n{}",
            timeline::of(&cloud)
        );
        cloud.demand = 0.2;
        cloud.until("scaled in", 3600.0 / speed + 60.0, |c| {
            c.group("web").desired_capacity() == 2
        });
        cloud.run(3600.0 / speed);
        assert!(
            cloud.at_rest("web"),
            "speed {speed}\n{}",
            timeline::of(&cloud)
        );
    }
}

#[test]
fn simple_policies_wait_for_the_cooldown() {
    let mut cloud = Cloud::new(1.0);
    cloud.demand = 6.0;
    stack::web(&cloud, "web", (1, 4, 1), 60);
    let kind = PolicyKind::Simple {
        adjustment_type: "ChangeInCapacity".into(),
        adjustment: 1,
        min_magnitude: None,
        cooldown: Some(300),
    };
    let out = stack::policy(&cloud, "web", "out", kind, &[]);
    stack::cpu_alarm(
        &cloud,
        "web",
        "cpu-high",
        "GreaterThanThreshold",
        60.0,
        1,
        &out,
    );
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let mut waits = Vec::new();
    for desired in [2, 3, 4] {
        waits.push(cloud.until("one more", 900.0, |c| {
            c.group("web").desired_capacity() == desired
        }));
    }
    assert!(
        waits[1..].iter().all(|w| (300.0..=361.0).contains(w)),
        "{waits:?}"
    );
    cloud.run(1200.0);
    assert_eq!(
        cloud.group("web").desired_capacity(),
        4,
        "not above the maximum"
    );
}

#[test]
fn instances_that_boot_slowly_do_not_stack_scale_outs_at_high_speed() {
    let mut cloud = Cloud::new(20.0);
    cloud.plane.set_app_boot(Duration::from_secs(25));
    cloud.demand = 0.8;
    stack::web(&cloud, "web", (2, 10, 2), 300);
    tracking(&cloud, 50.0);
    cloud.run(120.0);
    assert!(cloud.at_rest("web"));
    cloud.demand = 1.9;
    // While they boot, the first two stay hot; that is no reason for still more.
    cloud.run(300.0);
    assert_eq!(
        cloud.group("web").desired_capacity(),
        4,
        "{}",
        timeline::of(&cloud)
    );
}

#[test]
fn requests_per_target_scale_out_too() {
    let mut cloud = Cloud::new(1.0);
    let web = stack::web(&cloud, "web", (2, 8, 2), 60);
    let kind = PolicyKind::TargetTracking {
        target: 600.0,
        disable_scale_in: true,
        warmup: Some(60),
        metric: TrackedMetric::Predefined {
            kind: "ALBRequestCountPerTarget".into(),
            label: None,
        },
    };
    let arn = stack::policy(&cloud, "web", "requests", kind, &["requests-high"]);
    let operator = "GreaterThanThreshold";
    stack::cpu_alarm(&cloud, "web", "requests-high", operator, 600.0, 3, &arn);
    let key = ScopedName::new(&cloud.scope, "requests-high");
    let (_, group) = web.target_group.rsplit_once(':').unwrap();
    cloud.store.update(|tx| {
        tx.modify::<MetricAlarm>(&key, |a| {
            a.namespace = "AWS/ApplicationELB".into();
            a.metric_name = "RequestCountPerTarget".into();
            a.dimensions = vec![("TargetGroup".into(), group.into())];
            a.statistic = Some("Sum".into());
        })
    });
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    // Forty a second are 2,400 a minute: four targets serve 600 each.
    cloud.plane.set_requests_per_second(40.0);
    cloud.run(900.0);
    let desired = cloud.group("web").desired_capacity();
    assert_eq!(desired, 4, "{}", timeline::of(&cloud));
}

#[test]
fn a_policy_runs_when_its_user_says_so() {
    let mut cloud = Cloud::new(10.0);
    stack::web(&cloud, "web", (1, 9, 1), 60);
    stack::policy(
        &cloud,
        "web",
        "steps",
        step(&[(Some(0.0), Some(20.0), 1), (Some(20.0), None, 3)], 60),
        &[],
    );
    let kind = PolicyKind::Simple {
        adjustment_type: "ChangeInCapacity".into(),
        adjustment: 2,
        min_magnitude: None,
        cooldown: Some(300),
    };
    stack::policy(&cloud, "web", "simple", kind, &[]);
    cloud.until("at rest", 100.0, |c| c.at_rest("web"));
    let execute = |cloud: &Cloud, rest: &str| {
        let call = format!("ExecutePolicy&AutoScalingGroupName=web&PolicyName={rest}");
        cloud.call(api::autoscaling::service(), "2011-01-01", &call)
    };
    execute(&cloud, "steps&MetricValue=75&BreachThreshold=50").unwrap();
    cloud.run(1.0);
    assert_eq!(cloud.group("web").desired_capacity(), 4);
    let busy = execute(&cloud, "simple&HonorCooldown=true").unwrap_err();
    assert!(busy.starts_with("ScalingActivityInProgress"), "{busy}");
    cloud.until("at rest", 100.0, |c| c.at_rest("web"));
    // 300 s of cooldown are 30 s at this speed.
    cloud.run(31.0);
    execute(&cloud, "simple&HonorCooldown=true").unwrap();
    cloud.run(1.0);
    assert_eq!(cloud.group("web").desired_capacity(), 6);
    execute(&cloud, "simple").unwrap();
    cloud.run(1.0);
    assert_eq!(cloud.group("web").desired_capacity(), 8);
    for refused in ["steps", "none", "simple&MetricValue=1"] {
        let refusal = execute(&cloud, refused).unwrap_err();
        assert!(refusal.starts_with("ValidationError"), "{refusal}");
    }
}

#[test]
fn metric_math_is_held_at_a_target() {
    let mut cloud = Cloud::new(1.0);
    cloud.demand = 1.9;
    stack::web(&cloud, "web", (2, 8, 2), 60);
    let stem = "TargetTrackingConfiguration.CustomizedMetricSpecification.Metrics.member";
    let stat = format!("{stem}.1.MetricStat");
    let dimension = format!("{stat}.Metric.Dimensions.member.1");
    let put = |more: &str| {
        cloud.try_autoscaling(&format!(
            "PutScalingPolicy&AutoScalingGroupName=web&PolicyName=math&PolicyType=TargetTrackingScaling&EstimatedInstanceWarmup=60\
             &TargetTrackingConfiguration.TargetValue=100&{stem}.1.Id=cpu&{stem}.1.ReturnData=false\
             &{stat}.Metric.Namespace=AWS/EC2&{stat}.Metric.MetricName=CPUUtilization&{stat}.Stat=Average\
             &{dimension}.Name=AutoScalingGroupName&{dimension}.Value=web&{stem}.2.Id=twice{more}"
        ))
    };
    let refused = put(&format!("&{stem}.2.Expression=ram*2")).unwrap_err();
    assert!(refused.starts_with("ValidationError: "), "{refused}");
    put(&format!("&{stem}.2.Expression=cpu*2")).unwrap();
    let described = cloud.autoscaling("DescribePolicies");
    assert!(described.contains("<Expression>cpu*2</Expression>"));
    let alarms = cloud.state().alarms.values().cloned().collect::<Vec<_>>();
    assert_eq!(alarms.len(), 2);
    assert!(
        alarms
            .iter()
            .all(|a| a.metrics.len() == 2 && a.metric_name.is_empty())
    );
    cloud.until("as many as it takes", 900.0, |c| {
        c.group("web").desired_capacity() == 4 && c.at_rest("web")
    });
}
