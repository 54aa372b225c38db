//! Scheduled actions: at their time, groups take on their sizes.
//!
//! `--speed N` shortens the wait: an action that was put at eight for nine o'clock runs after
//! an Nth of the hour, and every further run of a recurrence an Nth of its distance later. The
//! calendar that the cron expression means is thus one that starts when the action was put
//! and runs N times faster. One calendar for the whole cloud, which the first design had in
//! mind, would make a `StartTime` of "in ten minutes" lie in the past after some hours.

use crate::World;
use crate::clock::{Speed, earliest};
use crate::group::at;
use jiff::{SignedDuration, Timestamp};
use model::autoscaling::{AutoScalingGroup, ScheduledAction};
use model::event::Severity;
use model::recurrence;
use store::{ScopedName, Tx};

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let speed = world.settings.speed;
    let mut again = None;
    for action in state.scheduled_actions.values() {
        let due = due(action, speed);
        if due <= now {
            world.store.update(|tx| run(tx, action, speed, now));
            // What follows it is in the store now.
            again = Some(now);
        } else {
            again = earliest(again, Some(due));
        }
    }
    again
}

/// When it runs on the wall clock.
fn due(action: &ScheduledAction, speed: Speed) -> Timestamp {
    action.put + speed.wait(action.next.duration_since(action.put).as_secs_f64())
}

/// What the action's own calendar shows now.
fn calendar(action: &ScheduledAction, speed: Speed, now: Timestamp) -> Timestamp {
    let passed = now.duration_since(action.put).as_secs_f64() * speed.factor();
    let passed = SignedDuration::try_from_secs_f64(passed).unwrap_or(SignedDuration::ZERO);
    action.put.saturating_add(passed).unwrap_or(Timestamp::MAX)
}

fn run(tx: &mut Tx, action: &ScheduledAction, speed: Speed, now: Timestamp) {
    let key = ScopedName::new(&action.scope, &action.group);
    if let Some(group) = tx.get::<AutoScalingGroup>(&key).cloned()
        && !group.suspended("ScheduledActions")
        && group.deleting.is_none()
    {
        take_on(tx, action, group, now);
    }
    // Runs that were missed while nobody looked are not made up for, but for the one above.
    let after = calendar(action, speed, now).max(action.next);
    let text = action.recurrence.as_deref();
    let next = text.and_then(|t| recurrence::next(t, action.time_zone.as_deref(), after).ok()?);
    let following = next.map(|next| ScheduledAction {
        next,
        ..action.clone()
    });
    match following.filter(|a| !a.is_over()) {
        Some(action) => tx.put(action),
        None => drop(tx.remove::<ScheduledAction>(&(key, action.name.clone()))),
    }
}

fn take_on(tx: &mut Tx, action: &ScheduledAction, mut group: AutoScalingGroup, now: Timestamp) {
    let (min, max) = (
        action.min_size.unwrap_or(group.min_size),
        action.max_size.unwrap_or(group.max_size),
    );
    if max < min {
        let message = format!(
            "scheduled action {} is not carried out: its sizes would make the minimum {min} and the maximum {max}",
            action.name
        );
        return tx.event(
            now,
            Severity::Warning,
            &group.name,
            "scheduled-action",
            message,
        );
    }
    let before = group.desired_capacity();
    let desired = action.desired_capacity.unwrap_or(before).clamp(min, max);
    let sentence = format!(
        "a scheduled action update of AutoScalingGroup constraints to min: {min}, max: {max}, desired: {desired} changing the desired capacity from {before} to {desired}."
    );
    (group.min_size, group.max_size) = (min, max);
    group.set_desired_capacity(desired);
    if desired != before {
        group.last_cause = Some(at(now, &sentence));
    }
    let message = format!("{}: {sentence}", action.name);
    tx.event(
        now,
        Severity::Info,
        &group.name,
        "scheduled-action",
        message,
    );
    tx.put(group);
}
