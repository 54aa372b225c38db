//! `AWS/AutoScaling`: how large groups are.

use jiff::Timestamp;
use metrics::{MetricKey, Metrics};
use model::autoscaling::{AutoScalingGroup, LifecycleState};

/// Those metrics that `EnableMetricsCollection` named.
pub fn measure(metrics: &Metrics, group: &AutoScalingGroup, start: Timestamp) {
    let count = |states: &[LifecycleState]| {
        group
            .instances
            .iter()
            .filter(|i| states.contains(&i.lifecycle))
            .count() as f64
    };
    use LifecycleState as L;
    for name in &group.enabled_metrics {
        let value = match name.as_str() {
            "GroupMinSize" => group.min_size.into(),
            "GroupMaxSize" => group.max_size.into(),
            "GroupDesiredCapacity" => group.desired_capacity.into(),
            "GroupInServiceInstances" | "GroupInServiceCapacity" => count(&[L::InService]),
            "GroupPendingInstances" | "GroupPendingCapacity" => count(&[L::Pending]),
            "GroupStandbyInstances" | "GroupStandbyCapacity" => {
                count(&[L::Standby, L::EnteringStandby])
            }
            "GroupTerminatingInstances" | "GroupTerminatingCapacity" => count(&[L::Terminating]),
            "GroupTotalInstances" | "GroupTotalCapacity" => group.instances.len() as f64,
            _ => continue,
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
