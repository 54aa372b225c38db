//! Composite alarms: follow their children's states at once, and hold their actions back while a
//! suppressor says so.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-suppression.html`.

use super::action::{Subject, tell};
use super::{stamp, transition};
use crate::World;
use crate::clock::{Speed, earliest};
use jiff::Timestamp;
use metrics::composite::Rule;
use model::Scope;
use model::cloudwatch::{AlarmState, CompositeAlarm, MetricAlarm, Suppressed, alarm_name};
use model::event::Severity;
use serde_json::json;
use store::{ScopedName, Tx};

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let keys: Vec<ScopedName> = world
        .store
        .snapshot()
        .composite_alarms
        .keys()
        .cloned()
        .collect();
    // A state set by hand acts as it was set, then the rule has its say.
    act_all(world, &keys, now);
    // Children may be composite themselves: a change goes up one level a round, and there are no
    // circles.
    for _ in 0..=keys.len() {
        let before = world.store.snapshot();
        let changes: Vec<(&ScopedName, Found)> = keys
            .iter()
            .filter_map(|key| {
                let alarm = before.composite_alarms.get(key)?;
                let tx = Tx::reading(&before);
                Some((key, look(&tx, alarm).filter(|f| f.state != alarm.state)?))
            })
            .collect();
        if changes.is_empty() {
            break;
        }
        for (key, found) in changes {
            world.store.update(|tx| become_state(tx, key, &found, now));
        }
    }
    act_all(world, &keys, now)
}

/// Runs the actions that are due; says when to look at those that are held back.
fn act_all(world: &World, keys: &[ScopedName], now: Timestamp) -> Option<Timestamp> {
    let speed = world.settings.speed;
    let mut again = None;
    for key in keys {
        let snapshot = world.store.snapshot();
        let alarm = snapshot.composite_alarms.get(key);
        if alarm.is_some_and(|a| a.actions_due || a.suppressed.is_some()) {
            let until = world.store.update(|tx| act(tx, key, speed, now));
            again = earliest(again, until);
        }
    }
    again
}

/// What the rule says now, and who made it so.
struct Found {
    state: AlarmState,
    reason: String,
    data: String,
}

fn look(tx: &Tx, alarm: &CompositeAlarm) -> Option<Found> {
    // The API lets no rule in that does not parse.
    let rule = Rule::parse(&alarm.rule).ok()?;
    let holds = rule.holds(&|child| child_of(tx, &alarm.scope, child).map(|c| c.state));
    let state = if holds {
        AlarmState::Alarm
    } else {
        AlarmState::Ok
    };
    let children = rule.children();
    let newest = children
        .iter()
        .filter_map(|child| child_of(tx, &alarm.scope, child))
        .max_by_key(|c| c.since);
    let (reason, data) = match newest {
        None => (
            format!("The rule is {}", if holds { "true" } else { "false" }),
            String::new(),
        ),
        Some(child) => (
            format!(
                "{} transitioned to {} at {}",
                child.arn,
                child.state.name(),
                child.since.strftime("%A %d %B, %Y %H:%M:%S UTC")
            ),
            json!({ "triggeringAlarms": [{
                "arn": child.arn,
                "state": { "value": child.state.name(), "timestamp": stamp(child.since) },
            }] })
            .to_string(),
        ),
    };
    Some(Found {
        state,
        reason,
        data,
    })
}

struct Child {
    arn: String,
    state: AlarmState,
    since: Timestamp,
}

fn child_of(tx: &Tx, scope: &Scope, reference: &str) -> Option<Child> {
    let key = ScopedName::new(scope, alarm_name(reference));
    if let Some(a) = tx.get::<MetricAlarm>(&key) {
        return Some(Child {
            arn: a.arn.clone(),
            state: a.state,
            since: a.state_transitioned,
        });
    }
    tx.get::<CompositeAlarm>(&key).map(|a| Child {
        arn: a.arn.clone(),
        state: a.state,
        since: a.state_transitioned,
    })
}

fn become_state(tx: &mut Tx, key: &ScopedName, found: &Found, now: Timestamp) {
    let Some(alarm) = tx.get::<CompositeAlarm>(key).cloned() else {
        return;
    };
    tx.modify::<CompositeAlarm>(key, |a| {
        a.state_before = a.state;
        a.state = found.state;
        a.state_reason = found.reason.clone();
        a.state_reason_data = found.data.clone();
        a.state_updated = now;
        a.state_transitioned = now;
        a.actions_due = true;
    });
    let before = (alarm.state, &*alarm.state_reason, &*alarm.state_reason_data);
    let after = (found.state, &*found.reason, &*found.data);
    transition(tx, &Subject::composite(&alarm), before, after, now);
}

/// Runs the actions that are due, unless they are held back; says when to look again.
fn act(tx: &mut Tx, key: &ScopedName, speed: Speed, now: Timestamp) -> Option<Timestamp> {
    let alarm = tx.get::<CompositeAlarm>(key).cloned()?;
    let held = held(tx, &alarm, speed, now);
    let was_held = alarm.suppressed.is_some();
    let in_alarm = alarm.state == AlarmState::Alarm;
    if let (true, Some((by, until))) = (in_alarm && alarm.actions_due, &held) {
        let reason = format!("Actions suppressed by {by}");
        if alarm.suppressed.as_ref().is_none_or(|s| s.by != *by) {
            tx.modify::<CompositeAlarm>(key, |a| {
                a.suppressed = Some(Suppressed {
                    by: (*by).to_owned(),
                    reason: reason.clone(),
                });
            });
            tx.event(now, Severity::Info, &alarm.name, "alarm-action", reason);
        }
        return *until;
    }
    tx.modify::<CompositeAlarm>(key, |a| {
        a.suppressed = None;
        a.actions_due = false;
    });
    // The end of what was never told is not told either.
    let untold = !in_alarm && (was_held || matches!(held, Some(("Alarm", _))));
    if !alarm.actions_due || !alarm.actions_enabled || untold {
        return None;
    }
    let actions = match alarm.state {
        AlarmState::Alarm => &alarm.alarm_actions,
        AlarmState::Ok => &alarm.ok_actions,
        AlarmState::InsufficientData => &alarm.insufficient_data_actions,
    };
    for arn in actions {
        let subject = Subject::composite(&alarm);
        tell(tx, &subject, arn, alarm.state, &alarm.state_reason, now);
    }
    None
}

/// What holds the actions back, and until when if time ends it.
fn held(
    tx: &Tx,
    alarm: &CompositeAlarm,
    speed: Speed,
    now: Timestamp,
) -> Option<(&'static str, Option<Timestamp>)> {
    let suppressor = alarm.suppressor.as_ref()?;
    let child = child_of(tx, &alarm.scope, &suppressor.alarm)?;
    if child.state == AlarmState::Alarm {
        return Some(("Alarm", None));
    }
    // It waits for the suppressor once; having left, the suppressor holds on for the extension.
    let held_by = alarm.suppressed.as_ref().map(|s| s.by.as_str());
    let (by, until) = match held_by {
        Some("Alarm" | "ExtensionPeriod") => (
            "ExtensionPeriod",
            child.since + speed.wait(suppressor.extension_period),
        ),
        _ => (
            "WaitPeriod",
            alarm.state_transitioned + speed.wait(suppressor.wait_period),
        ),
    };
    (now < until).then_some((by, Some(until)))
}

#[cfg(test)]
mod tests;
