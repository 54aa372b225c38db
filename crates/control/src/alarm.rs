//! Alarms: evaluated every minute, with history, reasons and actions.
//!
//! Source: `reference/cloudwatch.md` §4. A minute lasts 60/N s under `--speed N`.

use crate::{World, policy};
use jiff::Timestamp;
use metrics::alarm::{Comparison, Missing, Rule, evaluate};
use metrics::{Bucket, MetricKey, Metrics, Statistic};
use model::cloudwatch::{AlarmHistoryItem, AlarmState, MetricAlarm};
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState};
use serde_json::json;
use std::collections::BTreeMap;
use store::{ScopedName, Tx};

/// Alarms over periods of a minute or more are evaluated every minute, others every ten seconds.
const MINUTE: u32 = 60;
const SHORT: u32 = 10;

/// The tick at which each alarm was last evaluated, and of which definition.
#[derive(Default)]
pub struct Evaluated(BTreeMap<ScopedName, (i64, Timestamp)>);

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let mut again = None;
    for alarm in state.alarms.values() {
        let tick = if alarm.period < MINUTE { SHORT } else { MINUTE };
        let length = (world.settings.speed.wait(tick).as_millis() as i64).max(1);
        let number = now.as_millisecond().div_euclid(length);
        again = crate::clock::earliest(
            again,
            Timestamp::from_millisecond((number + 1) * length).ok(),
        );
        let key = ScopedName::new(&alarm.scope, &alarm.name);
        if world.alarms.0.get(&key) == Some(&(number, alarm.updated)) {
            continue;
        }
        world.alarms.0.insert(key, (number, alarm.updated));
        let Ok(end) = Timestamp::from_millisecond(number * length) else {
            continue;
        };
        let points = points(&world.metrics, alarm, end, length, tick);
        if let Some(seen) = judge(alarm, &points) {
            let speed = world.settings.speed;
            world
                .store
                .update(|tx| record(tx, alarm, &seen, speed, now));
        }
    }
    let known: Vec<ScopedName> = state.alarms.keys().cloned().collect();
    world
        .alarms
        .0
        .retain(|key, _| known.binary_search(key).is_ok());
    again
}

/// The last periods of the alarm's metric, oldest first: start and value.
fn points(
    metrics: &Metrics,
    alarm: &MetricAlarm,
    end: Timestamp,
    tick_ms: i64,
    tick: u32,
) -> Vec<(Timestamp, Option<f64>)> {
    let Some(rule) = rule(alarm) else {
        return Vec::new();
    };
    let statistic = alarm
        .statistic
        .as_ref()
        .or(alarm.extended_statistic.as_ref())
        .and_then(|s| s.parse::<Statistic>().ok());
    let Some(statistic) = statistic else {
        return Vec::new();
    };
    let dimensions: Vec<(&str, &str)> = alarm
        .dimensions
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let key = MetricKey::new(
        &alarm.scope,
        &alarm.namespace,
        &alarm.metric_name,
        &dimensions,
    );
    // A sliding window: periods are counted back from the tick that just ended.
    let period_ms = tick_ms * i64::from((alarm.period / tick).max(1));
    let start_of =
        |back: i64| Timestamp::from_millisecond(end.as_millisecond() - back * period_ms).ok();
    (1..=rule.range() as i64)
        .rev()
        .filter_map(|back| {
            let (from, to) = (start_of(back)?, start_of(back - 1)?);
            let mut whole = Bucket::default();
            for (_, bucket) in metrics.buckets(&key, alarm.unit.as_deref(), from, to, tick_ms) {
                whole.merge(&bucket);
            }
            Some((from, statistic.of(&whole)))
        })
        .collect()
}

fn rule(alarm: &MetricAlarm) -> Option<Rule> {
    Some(Rule {
        evaluation_periods: alarm.evaluation_periods as usize,
        datapoints_to_alarm: alarm
            .datapoints_to_alarm
            .unwrap_or(alarm.evaluation_periods) as usize,
        comparison: Comparison::of(&alarm.comparison_operator)?,
        threshold: alarm.threshold,
        missing: match alarm.treat_missing_data.as_deref() {
            Some("breaching") => Missing::Breaching,
            Some("notBreaching") => Missing::NotBreaching,
            Some("ignore") => Missing::Ignore,
            _ => Missing::Missing,
        },
    })
}

/// What an evaluation found.
struct Seen {
    state: AlarmState,
    reason: String,
    data: String,
    /// The newest point, which scaling policies measure by.
    newest: Option<f64>,
}

fn judge(alarm: &MetricAlarm, points: &[(Timestamp, Option<f64>)]) -> Option<Seen> {
    let rule = rule(alarm)?;
    let values: Vec<Option<f64>> = points.iter().map(|(_, v)| *v).collect();
    let verdict = evaluate(&rule, &values);
    let state = verdict.state.unwrap_or(alarm.state);
    let chosen: Vec<(Timestamp, f64)> = verdict
        .evaluated
        .iter()
        .filter_map(|i| Some((points.get(*i)?.0, points.get(*i)?.1?)))
        .collect();
    let newest = chosen.last().map(|(_, v)| *v);
    let breaching = |v: &f64| rule.comparison.breaches(*v, rule.threshold);
    // The points that speak for the state, the newest first.
    let speaking: Vec<String> = chosen
        .iter()
        .rev()
        .filter(|(_, v)| breaching(v) == (state == AlarmState::Alarm))
        .map(|(at, v)| format!("{v:?} ({})", at.strftime("%d/%m/%y %H:%M:%S")))
        .collect();
    let reason = reason(
        &rule,
        state,
        &speaking,
        chosen.len(),
        verdict.filled,
        alarm.datapoints_to_alarm.is_some(),
    );
    let data = json!({
        "version": "1.0",
        "queryDate": points.last().map(|(at, _)| at.to_string()),
        "startDate": points.first().map(|(at, _)| at.to_string()),
        "statistic": alarm.statistic,
        "period": alarm.period,
        "recentDatapoints": chosen.iter().map(|(_, v)| v).collect::<Vec<_>>(),
        "threshold": alarm.threshold,
    });
    Some(Seen {
        state,
        reason,
        data: data.to_string(),
        newest,
    })
}

/// The sentence of a state, as observed: alarms that name `DatapointsToAlarm` (the console's do)
/// count "out of the last", the others (those of policies, and the command line's) do not.
fn reason(
    rule: &Rule,
    state: AlarmState,
    speaking: &[String],
    evaluated: usize,
    filled: usize,
    counts: bool,
) -> String {
    let points = |n: usize| {
        if n == 1 {
            "1 datapoint".to_owned()
        } else {
            format!("{n} datapoints")
        }
    };
    let were = |n: usize| if n == 1 { "was" } else { "were" };
    let treated = match rule.missing {
        Missing::Breaching => "Breaching",
        Missing::NotBreaching => "NonBreaching",
        Missing::Missing | Missing::Ignore => "",
    };
    let missing = format!(
        "{filled} missing datapoint{} {} treated as [{treated}]",
        if filled == 1 { "" } else { "s" },
        were(filled)
    );
    if state == AlarmState::InsufficientData {
        return format!(
            "Insufficient Data: {} {} unknown.",
            points(rule.evaluation_periods),
            were(rule.evaluation_periods)
        );
    }
    if evaluated == 0 {
        return format!(
            "Threshold Crossed: no datapoints were received for {filled} period{} and {missing}.",
            if filled == 1 { "" } else { "s" }
        );
    }
    let n = speaking.len();
    let alarm = state == AlarmState::Alarm;
    let not = if alarm { "" } else { "not " };
    let crossed = format!(
        "[{}] {} {not}{} the threshold ({:?})",
        speaking.join(", "),
        were(n),
        rule.comparison.words(),
        rule.threshold
    );
    if counts {
        let (from, to) = if alarm {
            ("OK", "ALARM")
        } else {
            ("ALARM", "OK")
        };
        let minimum = if alarm {
            rule.datapoints_to_alarm
        } else {
            rule.evaluation_periods - rule.datapoints_to_alarm.min(rule.evaluation_periods) + 1
        };
        return format!(
            "Threshold Crossed: {n} out of the last {evaluated} datapoints {crossed} (minimum {} for {from} -> {to} transition).",
            points(minimum)
        );
    }
    if filled > 0 && !treated.is_empty() {
        return format!("Threshold Crossed: {} {crossed} and {missing}.", points(n));
    }
    format!("Threshold Crossed: {} {crossed}.", points(n))
}

fn record(tx: &mut Tx, alarm: &MetricAlarm, seen: &Seen, speed: crate::Speed, now: Timestamp) {
    let key = ScopedName::new(&alarm.scope, &alarm.name);
    let changed = seen.state != alarm.state;
    if changed {
        tx.modify::<MetricAlarm>(&key, |a| {
            a.state = seen.state;
            a.state_reason = seen.reason.clone();
            a.state_reason_data = seen.data.clone();
            a.state_updated = now;
            a.state_transitioned = now;
        });
        let summary = format!(
            "Alarm updated from {} to {}",
            alarm.state.name(),
            seen.state.name()
        );
        let side = |state: AlarmState, reason: &str, data: &str| json!({ "stateValue": state.name(), "stateReason": reason, "stateReasonData": serde_json::from_str::<serde_json::Value>(data).unwrap_or_default() });
        let data = json!({
            "version": "1.0",
            "oldState": side(alarm.state, &alarm.state_reason, &alarm.state_reason_data),
            "newState": side(seen.state, &seen.reason, &seen.data),
        });
        history(tx, alarm, "StateUpdate", summary, data.to_string(), now);
        let severity = if seen.state == AlarmState::Alarm {
            Severity::Warning
        } else {
            Severity::Info
        };
        tx.event(
            now,
            severity,
            &alarm.name,
            "alarm",
            format!(
                "is {} (was {}): {}",
                seen.state.name(),
                alarm.state.name(),
                seen.reason
            ),
        );
    }
    if !alarm.actions_enabled {
        return;
    }
    let actions = match seen.state {
        AlarmState::Alarm => &alarm.alarm_actions,
        AlarmState::Ok => &alarm.ok_actions,
        AlarmState::InsufficientData => &alarm.insufficient_data_actions,
    };
    for action in actions {
        // Auto Scaling actions repeat once a minute while the alarm stays; all others act on the change.
        let scaling = action.contains(":autoscaling:");
        if !changed && !scaling {
            continue;
        }
        let outcome = act(tx, alarm, action, seen, speed, now);
        if let Some(outcome) = outcome {
            history(
                tx,
                alarm,
                "Action",
                outcome.clone(),
                json!({ "actionState": "Succeeded", "notificationResource": action }).to_string(),
                now,
            );
            tx.event(now, Severity::Info, &alarm.name, "alarm-action", outcome);
        }
    }
}

/// Carries out one action; the text goes to the history, `None` where nothing was to be done.
fn act(
    tx: &mut Tx,
    alarm: &MetricAlarm,
    action: &str,
    seen: &Seen,
    speed: crate::Speed,
    now: Timestamp,
) -> Option<String> {
    if action.contains(":autoscaling:") {
        let change = policy::run(
            tx,
            action,
            &policy::Trigger::Alarm {
                alarm,
                value: seen.newest,
            },
            speed,
            now,
        );
        return change.map(|change| format!("Successfully executed action {action}: {change}"));
    }
    if let Some(verb) = action.split_once(":ec2:").map(|(_, verb)| verb) {
        let id = alarm
            .dimensions
            .iter()
            .find(|(k, _)| k == "InstanceId")
            .and_then(|(_, id)| id.parse().ok())?;
        tx.get::<Instance>(&id).filter(|i| i.scope == alarm.scope)?;
        tx.modify::<Instance>(&id, |i| match verb {
            "reboot" | "recover" => i.reboots_wanted += 1,
            "stop" if i.state == InstanceState::Running => {
                i.desired = DesiredInstance::Stopped { force: false };
                i.state = InstanceState::Stopping;
                i.state_since = now;
            }
            "terminate" => {
                i.desired = DesiredInstance::Terminated;
                i.state = InstanceState::ShuttingDown;
                i.state_since = now;
            }
            _ => {}
        });
        return Some(format!("Successfully executed action {action} on {id}"));
    }
    Some(format!(
        "action {action} is not emulated: nobody was notified"
    ))
}

pub fn history(
    tx: &mut Tx,
    alarm: &MetricAlarm,
    kind: &str,
    summary: String,
    data: String,
    now: Timestamp,
) {
    tx.alarm_history(AlarmHistoryItem {
        sequence: 0,
        scope: alarm.scope.clone(),
        alarm: alarm.name.clone(),
        composite: false,
        time: now,
        kind: kind.to_owned(),
        summary,
        data,
    });
}

#[cfg(test)]
mod tests;
