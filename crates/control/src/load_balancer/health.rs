//! Targets' health: what the nodes found, and what follows from the records, written down.

use super::network::unhealthy_draining;
use super::place::{Place, place, target_keys, zone_of};
use super::zone::is_shifted;
use crate::World;
use crate::clock::earliest;
use crate::index::Balancers;
use ::balancer::report;
use jiff::Timestamp;
use model::Speed;
use model::elbv2::{LoadBalancer, Target, TargetGroup, TargetHealth, TargetState};
use model::event::Severity;
use std::collections::{BTreeMap, BTreeSet};
use store::{State, TargetHealthKey};

/// Writes what the nodes found, and what follows from the records, into the target health table.
/// Says when to look again.
pub fn record(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let balancers = Balancers::new(&state);
    let mut wanted: BTreeMap<TargetHealthKey, TargetHealth> = BTreeMap::new();
    let mut again = None;
    for group in state.target_groups.values() {
        for target in &group.targets {
            let keys = target_keys(&state, group, target);
            let findings = keys.filter_map(|key| {
                let key = (group.dimension().to_owned(), key);
                world.balancer.health.get(&key)
            });
            let findings: Vec<&report::Health> = findings.flat_map(BTreeMap::values).collect();
            let using = balancers.of(&group.arn);
            let (mut health, reason) = judge(&state, using, group, target, &findings);
            let oddity = |odd: &BTreeSet<(String, String)>| {
                let mut keys = target_keys(&state, group, target);
                keys.any(|key| odd.contains(&(group.dimension().to_owned(), key)))
            };
            let is_anomalous = oddity(&world.balancer.anomalous);
            let is_mitigated = oddity(&world.balancer.mitigated);
            let zone = zone_of(&state, group, target);
            let mut using = using.iter();
            let is_shifted = using.any(|b| is_shifted(&state, b, group, zone.as_deref()));
            if health == TargetState::Unhealthy
                && let Some(until) = drains_until(&state, group, target, world.settings.speed, now)
            {
                health = TargetState::UnhealthyDraining;
                again = earliest(again, Some(until));
            }
            let value = TargetHealth {
                target_group: group.arn.clone(),
                target: target.id.clone(),
                port: target.port,
                state: health,
                reason,
                since: now,
                is_anomalous,
                is_mitigated,
                is_shifted,
            };
            wanted.insert(store::Record::key(&value), value);
        }
    }
    let same = |a: &TargetHealth, b: &TargetHealth| {
        let b = TargetHealth {
            since: a.since,
            ..b.clone()
        };
        *a == b
    };
    let changed: Vec<&TargetHealth> = wanted
        .iter()
        .filter(|(key, new)| {
            state
                .target_health
                .get(*key)
                .is_none_or(|old| !same(old, new))
        })
        .map(|(_, new)| new)
        .collect();
    let gone: Vec<TargetHealthKey> = state
        .target_health
        .keys()
        .filter(|key| !wanted.contains_key(key))
        .cloned()
        .collect();
    if changed.is_empty() && gone.is_empty() {
        return again;
    }
    world.store.update(|tx| {
        for new in changed {
            let old = tx
                .get::<TargetHealth>(&store::Record::key(new))
                .map(|h| h.state);
            if old != Some(new.state) {
                let name = state
                    .target_groups
                    .get(&new.target_group)
                    .map_or("", |g| g.name.as_str());
                let why = new
                    .reason
                    .as_ref()
                    .map_or(String::new(), |(code, text)| format!(" ({code}: {text})"));
                let ill = [TargetState::Unhealthy, TargetState::UnhealthyDraining];
                let severity = if ill.contains(&new.state) {
                    Severity::Warning
                } else {
                    Severity::Info
                };
                tx.event(
                    now,
                    severity,
                    &new.target,
                    "target-health",
                    format!("is {} in target group {name}{why}", new.state.name()),
                );
            }
            let mut new = new.clone();
            if old == Some(new.state) {
                new.since = tx
                    .get::<TargetHealth>(&store::Record::key(&new))
                    .map_or(now, |h| h.since);
            }
            tx.put(new);
        }
        for key in &gone {
            tx.remove::<TargetHealth>(key);
        }
    });
    again
}

/// Until when a target that was healthy and is so no more counts as draining, if it does.
fn drains_until(
    state: &State,
    group: &TargetGroup,
    target: &Target,
    speed: Speed,
    now: Timestamp,
) -> Option<Timestamp> {
    let length = speed.wait(unhealthy_draining(group));
    let key = TargetHealthKey {
        target_group: group.arn.clone(),
        target: target.id.clone(),
        port: target.port,
    };
    let known = state.target_health.get(&key)?;
    let until = match known.state {
        TargetState::Healthy => now + length,
        TargetState::UnhealthyDraining => known.since + length,
        _ => return None,
    };
    (until > now).then_some(until)
}

/// The one state that `DescribeTargetHealth` shows for a target that several nodes probe.
///
/// Assumption (AWS does not say how nodes' findings are merged): healthy if any
/// node finds it so, else unhealthy if any does, else initial. A node that is
/// cut off then does not make the targets of the other zones look ill.
fn judge(
    state: &State,
    balancers: &[&LoadBalancer],
    group: &TargetGroup,
    target: &Target,
    findings: &[&report::Health],
) -> (TargetState, Option<(String, String)>) {
    let reason = |code: &str, text: &str| Some((code.to_owned(), text.to_owned()));
    if target.draining.is_some() {
        return (
            TargetState::Draining,
            reason(
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            ),
        );
    }
    if balancers.is_empty() {
        return (
            TargetState::Unused,
            reason(
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            ),
        );
    }
    let zone = match place(state, group, target) {
        Place::At(_, zone) => zone,
        Place::Nodes(zones) => {
            let mut served = zones.iter().map(|node| &node.zone);
            served
                .find(|zone| {
                    let mut nodes = balancers.iter().flat_map(|b| &b.zones);
                    nodes.any(|node| node.zone == **zone)
                })
                .or(zones.first().map(|node| &node.zone))
                .cloned()
        }
        Place::Unfit(why) => return (TargetState::Unused, reason("Target.InvalidState", &why)),
    };
    let served = zone.is_none_or(|zone| {
        balancers
            .iter()
            .any(|b| b.zones.iter().any(|z| z.zone == zone))
    });
    if !served {
        return (
            TargetState::Unused,
            reason(
                "Target.NotInUse",
                "Target is in an Availability Zone that is not enabled for the load balancer",
            ),
        );
    }
    if !group.health_check.enabled {
        return (
            TargetState::Unavailable,
            reason("Target.HealthCheckDisabled", "Health checks are disabled"),
        );
    }
    if findings.is_empty() {
        return (
            TargetState::Initial,
            reason(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            ),
        );
    }
    let pick = |wanted| {
        findings
            .iter()
            .filter(|h| h.state == wanted)
            .max_by_key(|h| h.at)
    };
    let said = |h: &report::Health| {
        h.reason
            .clone()
            .map(|code| (code, h.description.clone().unwrap_or_default()))
    };
    if pick(report::HealthState::Healthy).is_some() {
        (TargetState::Healthy, None)
    } else if let Some(h) = pick(report::HealthState::Unhealthy) {
        (TargetState::Unhealthy, said(h))
    } else {
        (
            TargetState::Initial,
            reason(
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            ),
        )
    }
}
