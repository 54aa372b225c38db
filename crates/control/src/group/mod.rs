//! Auto Scaling groups: a pure plan of what each should do next, carried out step by step.
//!
//! [`facts`] gathers what is known of the members, [`plan`] decides, [`apply`]
//! writes the records and the activities.

mod apply;
mod facts;
mod fleet;
pub mod plan;
pub mod shift;

use crate::World;
use crate::clock::{Speed, earliest};
use crate::index::Targets;
use apply::Apply;
use facts::facts;
use jiff::{SignedDuration, Timestamp};
use model::LaunchTemplateId;
use model::autoscaling::{GroupInstance, GroupTemplate};
use model::cloudwatch::AlarmState;
use model::instance_refresh::InstanceRefresh;
use plan::{Current, Situation};
use shift::Shifts;
use std::collections::BTreeMap;
use store::{ScopedName, State};

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let targets = Targets::new(&state);
    let refreshes: BTreeMap<&str, &InstanceRefresh> = state
        .instance_refreshes
        .values()
        .filter(|r| r.active())
        .map(|r| (r.group_arn.as_str(), &**r))
        .collect();
    let speed = world.settings.speed;
    let shifts = Shifts::new(&state, now);
    let mut again = shifts.next;
    for group in state.auto_scaling_groups.values() {
        let facts = facts(&state, &targets, group, speed, now);
        let key = ScopedName::new(&group.scope, &group.name);
        let refresh = refreshes.get(group.arn.as_str()).copied();
        let template = refresh.and_then(InstanceRefresh::template);
        let template = template.unwrap_or(&group.template);
        let (steps, at) = plan::plan(Situation {
            group,
            facts: &facts,
            shifted: shifts.of(group),
            refresh,
            refresh_alarms: refresh.map_or_else(Vec::new, |r| in_alarm(&state, r)),
            template,
            current: current(&state, template),
            rebalance_at: world.rebalancing.get(&key).map(|(_, at)| *at),
            speed,
            now,
        });
        again = earliest(again, at);
        if !steps.is_empty() {
            let (launcher, starter) = (&world.launcher, &world.starter);
            let rebalancing = &mut world.rebalancing;
            let (template, capacity) = (template.clone(), apply::capacity(group));
            world.store.update(|tx| {
                Apply {
                    tx,
                    key,
                    template,
                    speed,
                    launcher,
                    starter,
                    rebalancing,
                    capacity,
                    begun: 0,
                    now,
                }
                .all(steps)
            });
        }
    }
    world
        .rebalancing
        .retain(|key, _| state.auto_scaling_groups.contains_key(key));
    again
}

/// Alarms that fail the refresh and are in ALARM.
fn in_alarm(state: &State, refresh: &InstanceRefresh) -> Vec<String> {
    let rings = |name: &&String| {
        let alarm = state.alarms.get(&ScopedName::new(&refresh.scope, name));
        alarm.is_some_and(|a| a.state == AlarmState::Alarm)
    };
    let alarms = refresh.preferences.alarms.iter();
    alarms.filter(rings).cloned().collect()
}

fn current(state: &State, template: &GroupTemplate) -> Current {
    let now = |id: &LaunchTemplateId, version: &str| {
        let number = version_of(state, id, version).unwrap_or(0);
        (id.clone(), number)
    };
    let mut by_type = BTreeMap::new();
    for over in template.policy.iter().flat_map(|p| &p.overrides) {
        if let Some((id, _, version)) = &over.template {
            let types = over.types.names(true).into_iter();
            for name in types.chain(over.types.names(false)).flatten() {
                by_type.insert(name.to_owned(), now(id, version));
            }
        }
    }
    Current {
        template: now(&template.id, &template.version),
        by_type,
    }
}

/// The version that a launch would use now; `$Latest` and `$Default` are resolved at each launch.
fn version_of(state: &State, id: &LaunchTemplateId, version: &str) -> Option<u64> {
    let template = state.launch_templates.get(id)?;
    match version {
        "$Latest" => Some(template.latest_version),
        "$Default" | "" => Some(template.default_version),
        number => number.parse().ok(),
    }
}

/// Attempts in a row to balance each group's zones that came to nothing, and when to try again.
pub type Rebalancing = BTreeMap<ScopedName, (usize, Timestamp)>;

/// A sentence of a cause, stamped.
pub fn at(now: Timestamp, sentence: &str) -> String {
    format!("At {} {sentence}", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// When a member has passed its warm-up.
pub fn warm_at(
    member: &GroupInstance,
    warmup: u32,
    measured_boot_ms: Option<i64>,
    speed: Speed,
) -> Option<Timestamp> {
    member.in_service.map(|since| {
        since + speed.wait_with_boot(warmup, measured_boot_ms.map(SignedDuration::from_millis))
    })
}
