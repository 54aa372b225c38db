//! Auto Scaling groups: a pure plan of what each should do next, carried out step by step.
//!
//! [`facts`] gathers what is known of the members, [`plan`] decides, [`apply`]
//! writes the records and the activities.

mod apply;
mod facts;
pub mod plan;

use crate::World;
use crate::clock::{Speed, earliest};
use crate::index::Targets;
use apply::Apply;
use facts::facts;
use jiff::{SignedDuration, Timestamp};
use model::autoscaling::{AutoScalingGroup, GroupInstance};
use std::collections::BTreeMap;
use store::{ScopedName, State};

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let targets = Targets::new(&state);
    let mut again = None;
    for group in state.auto_scaling_groups.values() {
        let facts = facts(&state, &targets, group, world.settings.speed, now);
        let version = template_version(&state, group).unwrap_or(0);
        let key = ScopedName::new(&group.scope, &group.name);
        let rebalance_at = world.rebalancing.get(&key).map(|(_, at)| *at);
        let (steps, at) = plan::plan(
            group,
            &facts,
            version,
            rebalance_at,
            world.settings.speed,
            now,
        );
        again = earliest(again, at);
        if !steps.is_empty() {
            let (speed, launcher, rebalancing) = (
                world.settings.speed,
                &world.launcher,
                &mut world.rebalancing,
            );
            world.store.update(|tx| {
                Apply {
                    tx,
                    key,
                    speed,
                    launcher,
                    rebalancing,
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

/// The version that a launch would use now; `$Latest` and `$Default` are resolved at each launch.
pub fn template_version(state: &State, group: &AutoScalingGroup) -> Option<u64> {
    let template = state.launch_templates.get(&group.template.id)?;
    match group.template.version.as_str() {
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
