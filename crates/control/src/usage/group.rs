//! `AWS/AutoScaling`: how large groups are.

use jiff::Timestamp;
use metrics::{MetricKey, Metrics};
use model::autoscaling::{AutoScalingGroup, LifecycleState};

/// Those metrics that `EnableMetricsCollection` named.
pub fn measure(metrics: &Metrics, group: &AutoScalingGroup, start: Timestamp) {
    let count = |counts: fn(LifecycleState) -> bool| {
        let members = group.instances.iter();
        members.filter(|i| counts(i.lifecycle)).count() as f64
    };
    let units = |counts: fn(LifecycleState) -> bool| {
        let members = group.instances.iter().filter(|i| counts(i.lifecycle));
        members.map(|i| f64::from(i.weight)).sum()
    };
    use LifecycleState as L;
    for name in &group.enabled_metrics {
        let value = match name.as_str() {
            "GroupMinSize" => group.min_size.into(),
            "GroupMaxSize" => group.max_size.into(),
            "GroupDesiredCapacity" => group.desired_capacity().into(),
            "GroupInServiceInstances" => count(|s| s == L::InService),
            "GroupInServiceCapacity" => units(|s| s == L::InService),
            "GroupPendingInstances" => count(L::is_pending),
            "GroupPendingCapacity" => units(L::is_pending),
            "GroupStandbyInstances" => count(stands_by),
            "GroupStandbyCapacity" => units(stands_by),
            "GroupTerminatingInstances" => count(L::is_terminating),
            "GroupTerminatingCapacity" => units(L::is_terminating),
            "GroupTotalInstances" => group.instances.len() as f64,
            "GroupTotalCapacity" => units(|_| true),
            other => match pool_metric(group, other) {
                Some(value) => value,
                None => continue,
            },
        };
        metrics.put(
            MetricKey::new(
                &group.scope,
                "AWS/AutoScaling",
                name,
                &[("AutoScalingGroupName", &group.name)],
            ),
            "None",
            start,
            value,
            1.0,
        );
    }
}

fn stands_by(state: LifecycleState) -> bool {
    matches!(
        state,
        LifecycleState::Standby | LifecycleState::EnteringStandby
    )
}

/// What only groups with a warm pool have, whose units are instances.
fn pool_metric(group: &AutoScalingGroup, name: &str) -> Option<f64> {
    let pool = group.warm_pool.as_ref()?;
    let count = |counts: fn(LifecycleState) -> bool| {
        group.warm.iter().filter(|m| counts(m.lifecycle)).count() as f64
    };
    let desired: f64 = pool.size(group.max_size, group.desired_capacity()).into();
    let total = group.warm.len() as f64;
    Some(match name {
        "WarmPoolMinSize" => pool.min_size.into(),
        "WarmPoolDesiredCapacity" => desired,
        "WarmPoolPendingCapacity" => count(LifecycleState::is_pending),
        "WarmPoolTerminatingCapacity" => count(LifecycleState::is_terminating),
        "WarmPoolWarmedCapacity" => count(|s| {
            matches!(
                s,
                LifecycleState::WarmedStopped | LifecycleState::WarmedRunning
            )
        }),
        "WarmPoolTotalCapacity" => total,
        "GroupAndWarmPoolDesiredCapacity" => desired + f64::from(group.desired_capacity()),
        "GroupAndWarmPoolTotalCapacity" => total + group.instances.len() as f64,
        _ => return None,
    })
}
