//! State reasons, in AWS's words, and the data beside them.

use super::stamp;
use jiff::Timestamp;
use metrics::alarm::{Missing, Points, Rule, Verdict};
use model::cloudwatch::{AlarmState, MetricAlarm};
use serde::Serialize;

/// So many points and more are told in a sentence of their own, which names the newest of them.
const MANY: usize = 5;

/// The sentence of a state, as observed: alarms that name `DatapointsToAlarm` (the console's do)
/// count "out of the last", the others (those of policies, and the command line's) do not.
/// `speaking` are the points that speak for the state, the newest first; where many do not cross,
/// the sentence about them is an assumption.
pub fn reason(
    rule: &Rule,
    state: AlarmState,
    speaking: &[(Timestamp, f64)],
    evaluated: usize,
    filled: usize,
    counts: bool,
) -> String {
    if state == AlarmState::InsufficientData {
        let n = rule.evaluation_periods;
        return format!("Insufficient Data: {} {} unknown.", points(n), were(n));
    }
    let treated = match rule.missing {
        _ if filled == 0 => None,
        Missing::Breaching => Some("Breaching"),
        Missing::NotBreaching => Some("NonBreaching"),
        Missing::Missing | Missing::Ignore => None,
    };
    let missing = treated.map_or_else(String::new, |treated| {
        let s = if filled == 1 { "" } else { "s" };
        let were = were(filled);
        format!(" and {filled} missing datapoint{s} {were} treated as [{treated}]")
    });
    if speaking.is_empty() {
        let received = match evaluated {
            0 => "no datapoints".to_owned(),
            n => points(n),
        };
        let n = rule.evaluation_periods;
        let s = if n == 1 { "" } else { "s" };
        let were = were(evaluated);
        return format!(
            "Threshold Crossed: {received} {were} received for {n} period{s}{missing}."
        );
    }
    let n = speaking.len();
    let alarm = state == AlarmState::Alarm;
    let shown: Vec<String> = speaking
        .iter()
        .take(MANY)
        .map(|(at, v)| format!("{} ({})", number(*v), at.strftime("%d/%m/%y %H:%M:%S")))
        .collect();
    let shown = format!("[{}]", shown.join(", "));
    let counted = if counts {
        let total = evaluated + treated.map_or(0, |_| filled);
        format!("{n} out of the last {total} datapoints")
    } else {
        points(n)
    };
    let crossed = format!(
        "{} {}{} the threshold ({})",
        were(n),
        if alarm { "" } else { "not " },
        rule.comparison.words(),
        number(rule.threshold)
    );
    let told = match n {
        MANY.. => format!(
            "{counted} {crossed}{missing}. The most recent datapoints{}: {shown}",
            if alarm {
                " which crossed the threshold"
            } else {
                ""
            }
        ),
        _ => format!("{counted} {shown} {crossed}{missing}"),
    };
    if !counts {
        return format!("Threshold Crossed: {told}.");
    }
    let (from, to, minimum) = if alarm {
        ("OK", "ALARM", rule.datapoints_to_alarm)
    } else {
        let spare = rule
            .evaluation_periods
            .saturating_sub(rule.datapoints_to_alarm);
        ("ALARM", "OK", spare + 1)
    };
    let minimum = points(minimum);
    format!("Threshold Crossed: {told} (minimum {minimum} for {from} -> {to} transition).")
}

fn points(n: usize) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} datapoint{s}")
}

fn were(n: usize) -> &'static str {
    if n == 1 { "was" } else { "were" }
}

/// As Java writes it: AWS's reasons have `2.147483648E10`.
fn number(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) || !value.is_finite() {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

/// `StateReasonData`, its members in the order of AWS's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    version: &'static str,
    query_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistic: Option<&'a str>,
    period: u32,
    recent_datapoints: Vec<f64>,
    threshold: f64,
    evaluated_datapoints: Vec<Evaluated>,
}

/// One that is missing has its time alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Evaluated {
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_count: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
}

/// What the state was judged by: the points that there are, the oldest first, and all that were
/// looked at with those that something stood in for, the newest first.
pub fn data(
    alarm: &MetricAlarm,
    rule: &Rule,
    looked: &Points,
    verdict: &Verdict,
    now: Timestamp,
) -> String {
    let found = || {
        verdict
            .evaluated
            .iter()
            .filter_map(|i| looked.values.get(*i))
    };
    let unfilled = matches!(rule.missing, Missing::Missing | Missing::Ignore);
    let mut gaps = match unfilled && !verdict.evaluated.is_empty() {
        true => 0,
        false => verdict.filled,
    };
    let mut evaluated = Vec::new();
    for (i, point) in looked.values.iter().enumerate().rev() {
        if point.value.is_none() && gaps > 0 {
            gaps -= 1;
        } else if !verdict.evaluated.contains(&i) {
            continue;
        }
        evaluated.push(Evaluated {
            timestamp: stamp(point.at),
            sample_count: point.samples,
            value: point.value,
        });
    }
    let statistic = alarm.statistic.as_ref();
    let data = Data {
        version: "1.0",
        query_date: stamp(now),
        start_date: found().next().map(|p| stamp(p.at)),
        unit: alarm.unit.as_deref(),
        statistic: statistic
            .or(alarm.extended_statistic.as_ref())
            .map(String::as_str),
        period: alarm.period,
        recent_datapoints: found().filter_map(|p| p.value).collect(),
        threshold: alarm.threshold,
        evaluated_datapoints: evaluated,
    };
    // Of texts and numbers.
    serde_json::to_string(&data).unwrap_or_default()
}
