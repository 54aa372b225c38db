//! State reasons, in AWS's words.

use metrics::alarm::{Missing, Rule};
use model::cloudwatch::AlarmState;

/// The sentence of a state, as observed: alarms that name `DatapointsToAlarm` (the console's do)
/// count "out of the last", the others (those of policies, and the command line's) do not.
pub fn reason(
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
