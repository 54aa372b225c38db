//! `AWS/EC2`: what each instance used since the period before, and its status checks.

use crate::Speed;
use crate::index::Members;
use host::instance::{ObservedInstance, RunState, Usage as Counters};
use jiff::Timestamp;
use metrics::{MetricKey, Metrics};
use model::InstanceId;
use model::autoscaling::LifecycleState;
use model::event::Fault;
use model::instance::{Instance, InstanceState};
use std::collections::BTreeMap;
use store::State;

/// Periods of a minute that basic monitoring takes together.
pub const BASIC: i64 = 5;

/// Where each instance's counters stood when its metrics were last written.
#[derive(Default)]
pub struct Readings(BTreeMap<InstanceId, Reading>);

#[derive(Clone, Copy)]
struct Reading {
    started: Timestamp,
    boots: u32,
    at: Timestamp,
    counters: Counters,
}

/// The period that has just ended.
#[derive(Clone, Copy)]
pub struct Period {
    pub number: i64,
    pub start: Timestamp,
    /// Where the five minutes began of which it is the last, if it is.
    pub basic_start: Timestamp,
    pub now: Timestamp,
    pub speed: Speed,
}

pub fn measure(
    metrics: &Metrics,
    readings: &mut Readings,
    state: &State,
    members: &Members<'_>,
    seen: &[ObservedInstance],
    period: Period,
) {
    for one in seen {
        if let Some(instance) = state.instances.get(&one.id) {
            measure_one(
                metrics,
                &mut readings.0,
                state,
                members,
                instance,
                one,
                period,
            );
        }
    }
    readings.0.retain(|id, _| state.instances.contains_key(id));
}

fn measure_one(
    metrics: &Metrics,
    readings: &mut BTreeMap<InstanceId, Reading>,
    state: &State,
    members: &Members<'_>,
    instance: &Instance,
    seen: &ObservedInstance,
    period: Period,
) {
    let Period {
        number,
        start,
        basic_start,
        now,
        speed,
    } = period;
    if instance.state != InstanceState::Running || seen.state != RunState::Running {
        readings.remove(&instance.id);
        return;
    }
    let id = instance.id.as_str();
    let put = |name: &str, dimensions: &[(&str, &str)], unit: &str, at: Timestamp, value: f64| {
        metrics.put(
            MetricKey::new(&instance.scope, "AWS/EC2", name, dimensions),
            unit,
            at,
            value,
            1.0,
        );
    };
    // A slow boot is no failure, as on AWS, where user data may take as long as it likes.
    let instance_failed = instance.unreachable.is_some() || seen.init_pid.is_none();
    let system_failed = zone_is_cut(state, &instance.zone);
    for (check, failed) in [
        ("StatusCheckFailed", instance_failed || system_failed),
        ("StatusCheckFailed_Instance", instance_failed),
        ("StatusCheckFailed_System", system_failed),
    ] {
        put(
            check,
            &[("InstanceId", id)],
            "Count",
            start,
            f64::from(u8::from(failed)),
        );
    }
    let reading = Reading {
        started: seen.started,
        boots: seen.boots,
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
    let (mut old, new) = (before.counters, seen.usage);
    if before.boots != seen.boots {
        // Its volume may be another device's since, whose counters began before.
        old.disk = new.disk;
    }
    let delta = |new: u64, old: u64| new.saturating_sub(old) as f64;
    let quota = seen.cpu_quota_usec_per_sec as f64 * seconds;
    let cpu = if quota > 0.0 {
        // To a ten-thousandth: finer is noise, and takes twice the space to keep.
        let percent = (delta(new.cpu_usec, old.cpu_usec) / quota * 100.0).min(100.0);
        (percent * 1e4).round() / 1e4
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
    let of_id = [("InstanceId", id)];
    let of_group = group.map(|name| [("AutoScalingGroupName", name)]);
    let of_type = [("InstanceType", instance.instance_type.as_str())];
    let of_image = [("ImageId", instance.image.as_str())];
    let mut dimensions: Vec<&[(&str, &str)]> = vec![&of_id, &[]];
    dimensions.extend(of_group.as_ref().map(|one| one.as_slice()));
    let mut at = basic_start;
    if instance.monitoring {
        dimensions.extend([of_type.as_slice(), of_image.as_slice()]);
        at = start;
    }
    for (name, unit, value) in values {
        for of in &dimensions {
            put(name, of, unit, at, value);
        }
    }
}

/// The system status check: what its machine needs from outside, of which a zone's network can
/// be taken away (`nines break az`).
fn zone_is_cut(state: &State, zone: &str) -> bool {
    state
        .faults
        .keys()
        .any(|fault| matches!(fault, Fault::Zone(cut) if cut == zone))
}

/// The group whose aggregate the instance belongs to: in service, and past its warm-up.
fn group_that_counts<'a>(
    members: &Members<'a>,
    instance: &Instance,
    speed: Speed,
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
