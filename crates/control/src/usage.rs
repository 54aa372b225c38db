//! Measured metrics: what instances used, what the balancer counted, how large groups are.
//!
//! A period of AWS (60 s, or 300 s with basic monitoring) lasts an Nth of that
//! under `--speed N`; its point is stamped with the period's start, on the wall clock.
//! Sources: `viewing_metrics_with_cloudwatch.html` (EC2),
//! `load-balancer-cloudwatch-metrics.html` (ALB), `ec2-auto-scaling-metrics.html`.

use crate::World;
use crate::index::Members;
use ::balancer::report::{GroupMetrics, Metrics as BalancerMetrics, NodeMetrics};
use host::instance::{ObservedInstance, RunState, Usage as Counters};
use jiff::Timestamp;
use metrics::{Bucket, MetricKey, Metrics};
use model::autoscaling::{AutoScalingGroup, LifecycleState};
use model::instance::{Instance, InstanceState};
use model::{InstanceId, Scope};
use std::collections::BTreeMap;
use store::State;

/// One-minute periods; basic monitoring takes five of them.
const MINUTE_SECS: u32 = 60;
const BASIC: i64 = 5;

/// Counters as last read, and what the balancer counted since the last period.
#[derive(Default)]
pub struct Usage {
    /// Number of the period that is open.
    period: Option<i64>,
    instances: BTreeMap<InstanceId, Reading>,
    balancer: Vec<NodeMetrics>,
}

/// Where an instance's counters stood, and when.
#[derive(Clone, Copy)]
struct Reading {
    started: Timestamp,
    at: Timestamp,
    counters: Counters,
}

impl Usage {
    /// Adds a second's counts to the open period.
    pub fn take_balancer(&mut self, counts: &BalancerMetrics) {
        self.balancer.extend(counts.nodes.iter().cloned());
    }
}

/// Closes the period when its time has come; says when the next one ends.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let length = world.settings.speed.wait(MINUTE_SECS).as_millis().max(1) as i64;
    let number = now.as_millisecond().div_euclid(length);
    let end = Timestamp::from_millisecond((number + 1) * length).ok();
    let Some(open) = world.usage.period.replace(number) else {
        return end;
    };
    if number == open {
        return end;
    }
    let Ok(start) = Timestamp::from_millisecond((number - 1) * length) else {
        return end;
    };
    let state = world.store.snapshot();
    let seen = world.host.instances();
    let members = Members::new(&state);
    for one in &seen {
        if let Some(instance) = state.instances.get(&one.id) {
            measure(
                &world.metrics,
                &mut world.usage.instances,
                &members,
                instance,
                one,
                &world.settings.speed,
                number,
                start,
                now,
            );
        }
    }
    world
        .usage
        .instances
        .retain(|id, _| state.instances.contains_key(id));
    let counts = std::mem::take(&mut world.usage.balancer);
    balancer_metrics(&world.metrics, &state, &counts, start);
    for group in state.auto_scaling_groups.values() {
        group_metrics(&world.metrics, group, start);
    }
    if number % 60 == 0 {
        world.metrics.retain(now);
    }
    end
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call site; a struct would only rename them"
)]
fn measure(
    metrics: &Metrics,
    readings: &mut BTreeMap<InstanceId, Reading>,
    members: &Members<'_>,
    instance: &Instance,
    seen: &ObservedInstance,
    speed: &crate::Speed,
    number: i64,
    start: Timestamp,
    now: Timestamp,
) {
    if instance.state != InstanceState::Running || seen.state != RunState::Running {
        readings.remove(&instance.id);
        return;
    }
    let id = instance.id.as_str();
    let put = |name: &str, dimensions: &[(&str, &str)], unit: &str, value: f64| {
        metrics.put(
            MetricKey::new(&instance.scope, "AWS/EC2", name, dimensions),
            unit,
            start,
            value,
            1.0,
        );
    };
    // Status checks, measured: the host's shim was heard, and the instance's init lives. A
    // slow boot is no failure, as on AWS, where user data may take as long as it likes.
    for check in [
        "StatusCheckFailed",
        "StatusCheckFailed_Instance",
        "StatusCheckFailed_System",
    ] {
        let failed = if seen.init_pid.is_some() { 0.0 } else { 1.0 };
        put(check, &[("InstanceId", id)], "Count", failed);
    }
    let reading = Reading {
        started: seen.started,
        at: now,
        counters: seen.usage,
    };
    let before = match readings.get(&instance.id) {
        Some(before) if before.started == seen.started => *before,
        _ => {
            readings.insert(instance.id.clone(), reading);
            return;
        }
    };
    if !instance.monitoring && number % BASIC != 0 {
        return;
    }
    readings.insert(instance.id.clone(), reading);
    let seconds = (now.as_millisecond() - before.at.as_millisecond()) as f64 / 1000.0;
    if seconds <= 0.0 {
        return;
    }
    let (old, new) = (before.counters, seen.usage);
    let delta = |new: u64, old: u64| new.saturating_sub(old) as f64;
    let quota = seen.cpu_quota_usec_per_sec as f64 * seconds;
    let cpu = if quota > 0.0 {
        (delta(new.cpu_usec, old.cpu_usec) / quota * 100.0).min(100.0)
    } else {
        0.0
    };
    let values = [
        ("CPUUtilization", "Percent", cpu),
        (
            "NetworkIn",
            "Bytes",
            delta(new.network.bytes_in, old.network.bytes_in),
        ),
        (
            "NetworkOut",
            "Bytes",
            delta(new.network.bytes_out, old.network.bytes_out),
        ),
        (
            "NetworkPacketsIn",
            "Count",
            delta(new.network.packets_in, old.network.packets_in),
        ),
        (
            "NetworkPacketsOut",
            "Count",
            delta(new.network.packets_out, old.network.packets_out),
        ),
        (
            "EBSReadBytes",
            "Bytes",
            delta(new.disk.read_bytes, old.disk.read_bytes),
        ),
        (
            "EBSReadOps",
            "Count",
            delta(new.disk.read_ops, old.disk.read_ops),
        ),
        (
            "EBSWriteBytes",
            "Bytes",
            delta(new.disk.write_bytes, old.disk.write_bytes),
        ),
        (
            "EBSWriteOps",
            "Count",
            delta(new.disk.write_ops, old.disk.write_ops),
        ),
    ];
    let group = group_that_counts(members, instance, speed, now);
    for (name, unit, value) in values {
        put(name, &[("InstanceId", id)], unit, value);
        put(name, &[], unit, value);
        if let Some(group) = group {
            put(name, &[("AutoScalingGroupName", group)], unit, value);
        }
        if instance.monitoring {
            put(
                name,
                &[("InstanceType", &instance.instance_type)],
                unit,
                value,
            );
            put(name, &[("ImageId", instance.image.as_str())], unit, value);
        }
    }
}

/// The group whose aggregate the instance belongs to: in service, and past its warm-up.
fn group_that_counts<'a>(
    members: &Members<'a>,
    instance: &Instance,
    speed: &crate::Speed,
    now: Timestamp,
) -> Option<&'a str> {
    let (group, member) = members.of(instance.id.as_str())?;
    let since = member
        .in_service
        .filter(|_| member.lifecycle == LifecycleState::InService)?;
    let boot = instance
        .ready
        .map(|ready| ready.duration_since(instance.launched));
    let warm = since + speed.wait_with_boot(group.default_instance_warmup.unwrap_or(0), boot);
    (now >= warm).then_some(group.name.as_str())
}

const ALB: &str = "AWS/ApplicationELB";

/// A period's counts, in the dimension sets that AWS has: L, LZ, T, TZ.
fn balancer_metrics(metrics: &Metrics, state: &State, counts: &[NodeMetrics], start: Timestamp) {
    for balancer in state.load_balancers.values() {
        let key = balancer.dimension();
        let put = |name: &str, dimensions: &[(&str, &str)], unit: &str, bucket: Bucket| {
            metrics.put_bucket(
                MetricKey::new(&balancer.scope, ALB, name, dimensions),
                unit,
                start,
                bucket,
            );
        };
        for node in counts.iter().filter(|n| n.load_balancer == key) {
            let sums = [
                ("NewConnectionCount", node.new_connection_count, "Count"),
                (
                    "RejectedConnectionCount",
                    node.rejected_connection_count,
                    "Count",
                ),
                ("ProcessedBytes", node.processed_bytes, "Bytes"),
                ("HTTPCode_ELB_3XX_Count", node.elb_3xx, "Count"),
                ("HTTPCode_ELB_4XX_Count", node.elb_4xx, "Count"),
                ("HTTPCode_ELB_5XX_Count", node.elb_5xx, "Count"),
                ("HTTPCode_ELB_500_Count", node.elb_500, "Count"),
                ("HTTPCode_ELB_502_Count", node.elb_502, "Count"),
                ("HTTPCode_ELB_503_Count", node.elb_503, "Count"),
                ("HTTPCode_ELB_504_Count", node.elb_504, "Count"),
                ("HTTP_Redirect_Count", node.http_redirect_count, "Count"),
                (
                    "HTTP_Redirect_Url_Limit_Exceeded_Count",
                    node.http_redirect_url_limit_exceeded_count,
                    "Count",
                ),
                (
                    "HTTP_Fixed_Response_Count",
                    node.http_fixed_response_count,
                    "Count",
                ),
                ("RuleEvaluations", node.rule_evaluations, "Count"),
                (
                    "ActiveConnectionCount",
                    node.active_connection_count,
                    "Count",
                ),
            ];
            for (name, value, unit) in sums.into_iter().filter(|(_, value, _)| *value > 0) {
                put(
                    name,
                    &[("LoadBalancer", key)],
                    unit,
                    Bucket::of(value as f64, 1.0),
                );
                put(
                    name,
                    &[("LoadBalancer", key), ("AvailabilityZone", &node.zone)],
                    unit,
                    Bucket::of(value as f64, 1.0),
                );
            }
            for group in &node.groups {
                group_counts(metrics, &balancer.scope, key, node, group, start);
            }
        }
    }
}

fn group_counts(
    metrics: &Metrics,
    scope: &Scope,
    balancer: &str,
    node: &NodeMetrics,
    group: &GroupMetrics,
    start: Timestamp,
) {
    let sum = |of: fn(&::balancer::report::TargetMetrics) -> u64| {
        group.targets.iter().map(of).sum::<u64>()
    };
    let requests = sum(|t| t.request_count);
    let put = |name: &str, unit: &str, bucket: Bucket, whole_balancer: bool| {
        let put = |dimensions: &[(&str, &str)]| {
            metrics.put_bucket(
                MetricKey::new(scope, ALB, name, dimensions),
                unit,
                start,
                bucket.clone(),
            )
        };
        put(&[
            ("LoadBalancer", balancer),
            ("TargetGroup", &group.target_group),
        ]);
        put(&[
            ("LoadBalancer", balancer),
            ("TargetGroup", &group.target_group),
            ("AvailabilityZone", &node.zone),
        ]);
        if whole_balancer {
            put(&[("LoadBalancer", balancer)]);
            put(&[("LoadBalancer", balancer), ("AvailabilityZone", &node.zone)]);
        }
    };
    let counts = [
        ("RequestCount", requests),
        ("HTTPCode_Target_2XX_Count", sum(|t| t.target_2xx)),
        ("HTTPCode_Target_3XX_Count", sum(|t| t.target_3xx)),
        ("HTTPCode_Target_4XX_Count", sum(|t| t.target_4xx)),
        ("HTTPCode_Target_5XX_Count", sum(|t| t.target_5xx)),
        (
            "TargetConnectionErrorCount",
            sum(|t| t.target_connection_error_count),
        ),
        (
            "UnhealthyRoutingRequestCount",
            group.unhealthy_routing_request_count,
        ),
    ];
    for (name, value) in counts.into_iter().filter(|(_, value)| *value > 0) {
        put(
            name,
            "Count",
            Bucket::of(value as f64, 1.0),
            name != "UnhealthyRoutingRequestCount",
        );
    }
    put(
        "HealthyHostCount",
        "Count",
        Bucket::of(group.healthy_host_count as f64, 1.0),
        false,
    );
    put(
        "UnHealthyHostCount",
        "Count",
        Bucket::of(group.unhealthy_host_count as f64, 1.0),
        false,
    );
    let mut times = Bucket::default();
    for target in &group.targets {
        for (micros, count) in target.response_time.values() {
            times.merge(&Bucket::of(micros as f64 / 1e6, count as f64));
        }
    }
    if times.count > 0.0 {
        put("TargetResponseTime", "Seconds", times, true);
    }
    // Requests over healthy targets, or over all if none is healthy; always reported.
    let healthy = if group.healthy_host_count > 0 {
        group.healthy_host_count
    } else {
        group.unhealthy_host_count
    };
    let per_target = if healthy > 0 {
        requests as f64 / healthy as f64
    } else {
        0.0
    };
    for dimensions in [
        vec![("TargetGroup", group.target_group.as_str())],
        vec![
            ("TargetGroup", group.target_group.as_str()),
            ("AvailabilityZone", &node.zone),
        ],
        vec![
            ("LoadBalancer", balancer),
            ("TargetGroup", &group.target_group),
        ],
        vec![
            ("LoadBalancer", balancer),
            ("TargetGroup", &group.target_group),
            ("AvailabilityZone", &node.zone),
        ],
    ] {
        metrics.put(
            MetricKey::new(scope, ALB, "RequestCountPerTarget", &dimensions),
            "None",
            start,
            per_target,
            1.0,
        );
    }
}

/// `AWS/AutoScaling`, for the metrics that `EnableMetricsCollection` named.
fn group_metrics(metrics: &Metrics, group: &AutoScalingGroup, start: Timestamp) {
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
