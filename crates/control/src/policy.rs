//! Scaling policies: from a trigger to a desired capacity.
//!
//! Source: `reference/autoscaling.md` §8. Simple policies wait for activities and the
//! cooldown; step and target tracking policies count instances that warm up instead.

use crate::group::{at, shift, warm_at};
use crate::{Speed, World};
use jiff::Timestamp;
use model::autoscaling::{
    AutoScalingGroup, GroupInstance, LifecycleState, PolicyKind, ScalingPolicy,
};
use model::cloudwatch::{AlarmState, MetricAlarm};
use model::event::Severity;
use store::{ScopedName, Tx};

/// What set a policy off.
pub enum Trigger<'a> {
    Alarm {
        alarm: &'a MetricAlarm,
        /// The points of its metric that it was judged by, oldest first.
        points: &'a [f64],
    },
    /// `ExecutePolicy`; step policies are given a metric value and a threshold to compare it with.
    User {
        value: Option<f64>,
        threshold: Option<f64>,
        honor_cooldown: bool,
    },
}

/// Runs what `ExecutePolicy` asked for.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let speed = world.settings.speed;
    for policy in state.scaling_policies.values() {
        if policy.executions.is_empty() {
            continue;
        }
        world.store.update(|tx| {
            let mut asked = Vec::new();
            tx.modify::<ScalingPolicy>(&policy.arn, |p| asked = std::mem::take(&mut p.executions));
            for execution in asked {
                let trigger = Trigger::User {
                    value: execution.value,
                    threshold: execution.threshold,
                    honor_cooldown: execution.honor_cooldown,
                };
                run(tx, &policy.arn, &trigger, speed, now);
            }
        });
    }
    None
}

/// Runs the policy; says what it changed, `None` where it left the capacity alone.
pub fn run(
    tx: &mut Tx,
    arn: &str,
    trigger: &Trigger<'_>,
    speed: Speed,
    now: Timestamp,
) -> Option<String> {
    let policy = tx.get::<ScalingPolicy>(&arn.to_owned())?.clone();
    let key = ScopedName::new(&policy.scope, &policy.group);
    let group = tx.get::<AutoScalingGroup>(&key)?.clone();
    let suspended =
        matches!(trigger, Trigger::Alarm { .. }) && group.suspended("AlarmNotification");
    if !policy.enabled || suspended || group.deleting.is_some() {
        return None;
    }
    let wanted =
        wanted(tx, &policy, &group, trigger, speed, now)?.clamp(group.min_size, group.max_size);
    let before = group.desired_capacity();
    // A zone that is left makes metrics look as if less were enough.
    let shifted = || shift::away_from(tx, &group, now).is_some();
    if wanted == before || wanted < before && shifted() {
        return None;
    }
    let sentence = match trigger {
        Trigger::Alarm { alarm, .. } => {
            format!(
                "a monitor alarm {} in state {} triggered policy {} changing the desired capacity from {before} to {wanted}.",
                alarm.name,
                AlarmState::Alarm.name(),
                policy.name
            )
        }
        Trigger::User { .. } => format!(
            "a user request executed policy {} changing the desired capacity from {before} to {wanted}.",
            policy.name
        ),
    };
    tx.modify::<AutoScalingGroup>(&key, |g| {
        g.set_desired_capacity(wanted);
        g.last_scaling = Some(now);
        g.last_cause = Some(at(now, &sentence));
    });
    tx.event(now, Severity::Info, &group.name, "scaling", &*sentence);
    Some(format!("desired capacity from {before} to {wanted}"))
}

/// The capacity the policy asks for, before the group's limits; `None` to leave it.
fn wanted(
    tx: &Tx,
    policy: &ScalingPolicy,
    group: &AutoScalingGroup,
    trigger: &Trigger<'_>,
    speed: Speed,
    now: Timestamp,
) -> Option<u32> {
    match &policy.kind {
        PolicyKind::Simple {
            adjustment_type,
            adjustment,
            min_magnitude,
            cooldown,
        } => {
            let honors = !matches!(
                trigger,
                Trigger::User {
                    honor_cooldown: false,
                    ..
                }
            );
            let cooldown = speed.wait(cooldown.unwrap_or(group.default_cooldown));
            let cooling = group.last_scaling.is_some_and(|last| now < last + cooldown);
            if honors && (cooling || busy(group)) {
                return None;
            }
            Some(adjusted(
                group.desired_capacity(),
                adjustment_type,
                *adjustment,
                *min_magnitude,
            ))
        }
        PolicyKind::Step {
            adjustment_type,
            min_magnitude,
            steps,
            warmup,
            aggregation,
        } => {
            let (value, threshold) = match trigger {
                Trigger::Alarm { alarm, points } => {
                    (aggregated(points, aggregation)?, alarm.threshold)
                }
                Trigger::User {
                    value, threshold, ..
                } => ((*value)?, (*threshold)?),
            };
            let adjustment = step_for(steps, value - threshold)?;
            let warming = warming(group, *warmup, speed, now);
            let base = group.desired_capacity().saturating_sub(warming);
            out_or_in(
                group.desired_capacity(),
                adjusted(base, adjustment_type, adjustment, *min_magnitude),
                adjusted(
                    group.desired_capacity(),
                    adjustment_type,
                    adjustment,
                    *min_magnitude,
                ),
                warming,
            )
        }
        PolicyKind::TargetTracking {
            target,
            disable_scale_in,
            warmup,
            ..
        } => {
            let Trigger::Alarm { alarm, points } = trigger else {
                return None;
            };
            let (value, target) = (*points.last()?, *target);
            let warming = warming(group, *warmup, speed, now);
            let measured = group.desired_capacity().saturating_sub(warming).max(1);
            // Rounded up both ways: removing half an instance removes none.
            let fit = (f64::from(measured) * value / target)
                .ceil()
                .min(f64::from(u32::MAX)) as u32;
            if alarm.comparison_operator.starts_with("Greater") {
                // In proportion, and at least one: the alarm says that what there is does not do.
                return Some(fit.max(measured + 1).max(group.desired_capacity()));
            }
            let others_agree = tx
                .scaling_policies
                .values()
                .filter(|p| {
                    p.scope == group.scope
                        && p.group == group.name
                        && p.arn != policy.arn
                        && p.enabled
                })
                .all(|p| agrees_to_scale_in(tx, p));
            if *disable_scale_in || warming > 0 || busy(group) || !others_agree {
                return None;
            }
            Some(fit.min(group.desired_capacity()))
        }
    }
}

/// A group scales in only if every target tracking policy that may scale in says so.
fn agrees_to_scale_in(tx: &Tx, policy: &ScalingPolicy) -> bool {
    match &policy.kind {
        PolicyKind::TargetTracking {
            disable_scale_in: false,
            ..
        } => {
            let low = policy
                .alarms
                .iter()
                .find(|(_, name)| name.contains("-AlarmLow-"));
            low.and_then(|(_, name)| tx.get::<MetricAlarm>(&ScopedName::new(&policy.scope, name)))
                .is_none_or(|a| a.state == AlarmState::Alarm)
        }
        _ => true,
    }
}

/// Outward counts what warms up as done; inward waits until nothing warms up.
fn out_or_in(desired: u32, out: u32, inward: u32, warming: u32) -> Option<u32> {
    if inward < desired {
        return (warming == 0).then_some(inward);
    }
    Some(out.max(desired))
}

/// What steps are compared with: `MetricAggregationType` of the points that made the alarm ring.
fn aggregated(points: &[f64], aggregation: &str) -> Option<f64> {
    match aggregation {
        "Minimum" => points.iter().copied().reduce(f64::min),
        "Maximum" => points.iter().copied().reduce(f64::max),
        _ => (!points.is_empty()).then(|| points.iter().sum::<f64>() / points.len() as f64),
    }
}

/// An activity that adds or removes an instance is under way.
fn busy(group: &AutoScalingGroup) -> bool {
    group
        .instances
        .iter()
        .any(|m| m.lifecycle.is_pending() || m.lifecycle.is_terminating())
}

fn warming(group: &AutoScalingGroup, warmup: Option<u32>, speed: Speed, now: Timestamp) -> u32 {
    let seconds = warmup
        .or(group.default_instance_warmup)
        .unwrap_or(group.default_cooldown);
    let warms = |m: &&GroupInstance| match m.lifecycle {
        state if state.is_pending() => true,
        // The instances of the group's first fill warm up as well, but nothing was scaled for them.
        LifecycleState::InService => {
            group
                .last_scaling
                .is_some_and(|last| m.in_service.is_some_and(|t| t >= last))
                && warm_at(m, seconds, group.measured_boot_ms, speed).is_some_and(|t| now < t)
        }
        _ => false,
    };
    let warming: u32 = group.instances.iter().filter(warms).map(|m| m.weight).sum();
    let launches = !group.suspended("Launch") && group.retry_at.is_none_or(|at| at <= now);
    // What another policy has asked for at this very moment is not launched yet.
    match launches {
        true => warming + group.desired_capacity().saturating_sub(group.units()),
        false => warming,
    }
}

/// Bounds are relative to the threshold. Above it the lower bound belongs to a step, below it the upper one.
fn step_for(steps: &[(Option<f64>, Option<f64>, i32)], difference: f64) -> Option<i32> {
    let inside = |(lower, upper, _): &&(Option<f64>, Option<f64>, i32)| {
        if difference >= 0.0 {
            lower.is_none_or(|l| difference >= l) && upper.is_none_or(|u| difference < u)
        } else {
            lower.is_none_or(|l| difference > l) && upper.is_none_or(|u| difference <= u)
        }
    };
    steps
        .iter()
        .find(inside)
        .map(|(_, _, adjustment)| *adjustment)
}

fn adjusted(
    capacity: u32,
    adjustment_type: &str,
    adjustment: i32,
    min_magnitude: Option<u32>,
) -> u32 {
    let capacity = i64::from(capacity);
    let change = match adjustment_type {
        "ExactCapacity" => i64::from(adjustment) - capacity,
        "PercentChangeInCapacity" => {
            let exact = capacity as f64 * f64::from(adjustment) / 100.0;
            // Towards zero, but at least one where it is not nothing.
            let rounded = if exact == 0.0 {
                0
            } else if exact.abs() < 1.0 {
                exact.signum() as i64
            } else {
                exact.trunc() as i64
            };
            let least = i64::from(min_magnitude.unwrap_or(0));
            if rounded != 0 && rounded.abs() < least {
                least * rounded.signum()
            } else {
                rounded
            }
        }
        _ => adjustment.into(),
    };
    u32::try_from((capacity + change).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjustments() {
        let check = |capacity, kind, adjustment, least, expected| {
            assert_eq!(
                adjusted(capacity, kind, adjustment, least),
                expected,
                "{capacity} {kind} {adjustment}"
            )
        };
        check(3, "ChangeInCapacity", 2, None, 5);
        check(3, "ChangeInCapacity", -5, None, 0);
        check(3, "ExactCapacity", 7, None, 7);
        check(10, "PercentChangeInCapacity", 25, None, 12);
        check(2, "PercentChangeInCapacity", 10, None, 3);
        check(2, "PercentChangeInCapacity", -10, None, 1);
        check(10, "PercentChangeInCapacity", -25, None, 8);
        check(10, "PercentChangeInCapacity", 10, Some(3), 13);
    }

    #[test]
    fn aggregations_of_points() {
        let of = |points: &[f64], how| aggregated(points, how);
        assert_eq!(of(&[61.0, 95.0, 90.0], "Average"), Some(82.0));
        assert_eq!(of(&[61.0, 95.0, 90.0], "Minimum"), Some(61.0));
        assert_eq!(of(&[61.0, 95.0, 90.0], "Maximum"), Some(95.0));
        assert_eq!(of(&[], "Average"), None);
    }

    #[test]
    fn steps_above_and_below_the_threshold() {
        let up = [(Some(0.0), Some(20.0), 1), (Some(20.0), None, 3)];
        let check = |steps: &[_], difference, expected| {
            assert_eq!(step_for(steps, difference), expected, "{difference}")
        };
        check(&up, 0.0, Some(1));
        check(&up, 19.9, Some(1));
        check(&up, 20.0, Some(3));
        check(&up, -1.0, None);
        let down = [(None, Some(-10.0), -2), (Some(-10.0), Some(0.0), -1)];
        check(&down, -10.0, Some(-2));
        check(&down, -9.0, Some(-1));
    }
}
