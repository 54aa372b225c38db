//! Alarms: evaluated every minute, with history, reasons and actions.
//!
//! Source: `reference/cloudwatch.md` §4. A minute lasts 60/N s under `--speed N`. Which points an
//! alarm is judged by, and the judgement, are of the `metrics` crate; here is when, and what follows.
//! Auto Scaling's actions repeat as an alarm is evaluated: an hour apart for one that looks over
//! days (an assumption: AWS does not say what it does with those).

mod action;
mod composite;
mod reason;

use crate::World;
use crate::clock::{Speed, earliest};
use action::{Action, Subject};
use jiff::Timestamp;
use metrics::alarm::{Points, Rule, evaluate, look};
use model::cloudwatch::{AlarmHistoryItem, AlarmState, MetricAlarm};
use model::event::Severity;
use serde_json::Value;
use std::collections::BTreeMap;
use store::{ScopedName, Tx};

/// Alarms over periods of a minute or more are evaluated every minute, others every ten seconds, and
/// those that look over more than a day once an hour.
const MINUTE: u32 = 60;
const SHORT: u32 = 10;
const HOUR: u32 = 3600;
const DAY: u64 = 86_400;

/// When each alarm was last evaluated.
#[derive(Default)]
pub struct Evaluated(BTreeMap<ScopedName, Last>);

struct Last {
    /// Number of the tick, and the definition that was evaluated.
    tick: i64,
    updated: Timestamp,
    /// Number of the minute in which Auto Scaling actions ran: they repeat once a minute.
    scaled: Option<i64>,
}

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let speed = world.settings.speed;
    let length = |seconds: u32| (speed.wait(seconds).as_millis() as i64).max(1);
    let number = |seconds: u32| now.as_millisecond().div_euclid(length(seconds));
    let begin = |tick: u32, number: i64| Timestamp::from_millisecond(number * length(tick)).ok();
    let minute = length(MINUTE);
    let mut again = None;
    for (key, alarm) in &state.alarms {
        let tick = tick(alarm);
        again = earliest(again, begin(tick, number(tick) + 1));
        let last = world.alarms.0.get(key);
        let done = last.is_some_and(|l| l.tick == number(tick) && l.updated == alarm.updated);
        let scaled = last.and_then(|l| l.scaled);
        if done && !alarm.actions_due {
            continue;
        }
        // One that is new need not wait for its hour: it is judged up to this minute.
        let step = tick.min(MINUTE);
        let end = begin(step, number(step));
        let Some(points) = end.and_then(|end| points(world, alarm, end, minute)) else {
            continue;
        };
        let mut alarm = alarm;
        let due = alarm.actions_due;
        let without = due.then(|| {
            // A state set by hand acts as it was set, then the metric has its say.
            let seen = Seen {
                state: alarm.state,
                reason: alarm.state_reason.clone(),
                data: alarm.state_reason_data.clone(),
                points: judge(alarm, &points, now).map_or_else(Vec::new, |seen| seen.points),
            };
            world.store.update(|tx| {
                tx.modify::<MetricAlarm>(key, |a| a.actions_due = false);
                act(tx, alarm, &seen, true, true, speed, now);
            });
            MetricAlarm {
                actions_due: false,
                ..(**alarm).clone()
            }
            .into()
        });
        if let Some(without) = &without {
            alarm = without;
        }
        let mut scaled_now = scaled.or(due.then_some(number(MINUTE)));
        if !done && let Some(seen) = judge(alarm, &points, now) {
            let repeat = scaled_now != Some(number(MINUTE));
            scaled_now = Some(number(MINUTE));
            world
                .store
                .update(|tx| record(tx, alarm, &seen, repeat, speed, now));
        }
        let last = Last {
            tick: number(tick),
            updated: alarm.updated,
            scaled: scaled_now,
        };
        world.alarms.0.insert(key.clone(), last);
    }
    world
        .alarms
        .0
        .retain(|key, _| state.alarms.contains_key(key));
    earliest(again, composite::pass(world, now))
}

/// How often it is evaluated, in seconds.
fn tick(alarm: &MetricAlarm) -> u32 {
    let over = u64::from(alarm.period) * u64::from(alarm.evaluation_periods);
    match alarm.period {
        period if period < MINUTE => SHORT,
        _ if over > DAY => HOUR,
        _ => MINUTE,
    }
}

fn points(world: &World, alarm: &MetricAlarm, end: Timestamp, minute_ms: i64) -> Option<Points> {
    let range = Rule::of(alarm)?.range();
    match look(&world.metrics, alarm, range, end, minute_ms) {
        Ok(points) => Some(points),
        // The API refuses what cannot be evaluated; an alarm of an older cloud may be such.
        Err(error) => {
            tracing::error!(%error, alarm = alarm.name, "failed to evaluate an alarm");
            Some(Points::default())
        }
    }
}

/// What an evaluation found.
struct Seen {
    state: AlarmState,
    reason: String,
    data: String,
    /// The points that it was judged by, oldest first: scaling policies measure by them.
    points: Vec<f64>,
}

fn judge(alarm: &MetricAlarm, points: &Points, now: Timestamp) -> Option<Seen> {
    let rule = Rule::of(alarm)?;
    let values: Vec<Option<f64>> = points.values.iter().map(|p| p.value).collect();
    let verdict = evaluate(&rule, &values);
    let state = verdict
        .state
        .filter(|_| !points.insignificant)
        .unwrap_or(alarm.state);
    let chosen: Vec<(Timestamp, f64)> = verdict
        .evaluated
        .iter()
        .filter_map(|i| {
            let point = points.values.get(*i)?;
            Some((point.at, point.value?))
        })
        .collect();
    let breaching = |v: f64| rule.comparison.breaches(v, rule.threshold);
    let speaking: Vec<(Timestamp, f64)> = chosen
        .iter()
        .rev()
        .filter(|(_, v)| breaching(*v) == (state == AlarmState::Alarm))
        .copied()
        .collect();
    let reason = reason::reason(
        &rule,
        state,
        &speaking,
        chosen.len(),
        verdict.filled,
        alarm.datapoints_to_alarm.is_some(),
    );
    Some(Seen {
        state,
        reason,
        data: reason::data(alarm, &rule, points, &verdict, now),
        points: chosen.into_iter().map(|(_, v)| v).collect(),
    })
}

/// Writes what changed, and acts: `repeat` says that a minute has begun since Auto Scaling's
/// actions ran.
fn record(
    tx: &mut Tx,
    alarm: &MetricAlarm,
    seen: &Seen,
    repeat: bool,
    speed: Speed,
    now: Timestamp,
) {
    let key = ScopedName::new(&alarm.scope, &alarm.name);
    let changed = seen.state != alarm.state;
    let became = changed.then(|| MetricAlarm {
        state_before: alarm.state,
        ..alarm.clone()
    });
    if changed {
        tx.modify::<MetricAlarm>(&key, |a| {
            a.state_before = a.state;
            a.state = seen.state;
            a.state_reason = seen.reason.clone();
            a.state_reason_data = seen.data.clone();
            a.state_updated = now;
            a.state_transitioned = now;
        });
        let subject = Subject::metric(alarm);
        let before = (alarm.state, &*alarm.state_reason, &*alarm.state_reason_data);
        let after = (seen.state, &*seen.reason, &*seen.data);
        transition(tx, &subject, before, after, now);
    }
    let alarm = became.as_ref().unwrap_or(alarm);
    act(tx, alarm, seen, changed, changed || repeat, speed, now);
}

/// A time as CloudWatch's histories and messages have it.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

type Side<'a> = (AlarmState, &'a str, &'a str);

/// History and event of a change of state.
fn transition(
    tx: &mut Tx,
    subject: &Subject<'_>,
    before: Side<'_>,
    after: Side<'_>,
    now: Timestamp,
) {
    let (old, new) = (before.0.name(), after.0.name());
    // As text, since a value would sort its members: AWS's histories have theirs in this order.
    let side = |(state, reason, data): Side<'_>| {
        let reason = Value::from(reason);
        // A state that was set by hand, or is the first, has none.
        let data = match serde_json::from_str::<Value>(data) {
            Ok(_) => format!(r#","stateReasonData":{data}"#),
            Err(_) => String::new(),
        };
        let state = state.name();
        format!(r#"{{"stateValue":"{state}","stateReason":{reason}{data}}}"#)
    };
    let (from, to) = (side(before), side(after));
    let data = format!(r#"{{"version":"1.0","oldState":{from},"newState":{to}}}"#);
    let summary = format!("Alarm updated from {old} to {new}");
    history(tx, subject, "StateUpdate", summary, data, now);
    let severity = if after.0 == AlarmState::Alarm {
        Severity::Warning
    } else {
        Severity::Info
    };
    let message = format!("is {new} (was {old}): {}", after.1);
    tx.event(now, severity, subject.name, "alarm", message);
}

/// Runs the actions of the state: Auto Scaling's once a minute while the alarm stays, the others
/// when it changed.
fn act(
    tx: &mut Tx,
    alarm: &MetricAlarm,
    seen: &Seen,
    changed: bool,
    scale: bool,
    speed: Speed,
    now: Timestamp,
) {
    if !alarm.actions_enabled {
        return;
    }
    let actions = match seen.state {
        AlarmState::Alarm => &alarm.alarm_actions,
        AlarmState::Ok => &alarm.ok_actions,
        AlarmState::InsufficientData => &alarm.insufficient_data_actions,
    };
    for arn in actions {
        let action = Action::of(arn);
        if matches!(action, Action::Scale) && scale || changed {
            action::run(tx, alarm, arn, action, seen, speed, now);
        }
    }
}

fn history(
    tx: &mut Tx,
    subject: &Subject<'_>,
    kind: &str,
    summary: String,
    data: String,
    now: Timestamp,
) {
    tx.alarm_history(AlarmHistoryItem {
        sequence: 0,
        scope: subject.scope.clone(),
        alarm: subject.name.to_owned(),
        composite: subject.trigger.is_none(),
        time: now,
        kind: kind.to_owned(),
        summary,
        data,
    });
}

#[cfg(test)]
mod tests;
