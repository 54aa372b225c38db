//! What alarms do: scale groups, act on instances, tell topics.

use super::{Seen, history, stamp};
use crate::clock::Speed;
use crate::policy;
use jiff::Timestamp;
use model::Scope;
use model::cloudwatch::{AlarmState, CompositeAlarm, MetricAlarm};
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState};
use serde_json::{Value, json};
use store::Tx;

/// What an action's ARN asks for.
#[derive(Clone, Copy)]
pub enum Action<'a> {
    /// A scaling policy.
    Scale,
    /// `arn:aws:automate:REGION:ec2:VERB`, or the older `arn:aws:swf:REGION:ACCOUNT:action/actions/AWS_EC2.InstanceId.VERB/1.0`
    Instance(&'a str),
    /// Topics, functions, operations items: there is nobody to tell but the cloud's event log.
    Tell,
}

impl<'a> Action<'a> {
    pub fn of(arn: &'a str) -> Self {
        if arn.contains(":autoscaling:") {
            return Self::Scale;
        }
        let automate = arn.strip_prefix("arn:aws:automate:");
        let workflow = arn.strip_prefix("arn:aws:swf:").and_then(|rest| {
            let (_, action) = rest.split_once("AWS_EC2.InstanceId.")?;
            action.strip_suffix("/1.0")
        });
        let verb = automate.and_then(|rest| Some(rest.split_once(":ec2:")?.1));
        match verb.or(workflow) {
            Some(verb) => Self::Instance(verb),
            None => Self::Tell,
        }
    }
}

/// An alarm of either kind, as its history and messages name it.
pub struct Subject<'a> {
    pub scope: &'a Scope,
    pub name: &'a str,
    arn: &'a str,
    description: Option<&'a str>,
    updated: Timestamp,
    before: AlarmState,
    actions: [&'a [String]; 3],
    /// What it watches; a composite alarm has its rule instead.
    pub trigger: Option<&'a MetricAlarm>,
    rule: Option<&'a str>,
}

impl<'a> Subject<'a> {
    pub fn metric(a: &'a MetricAlarm) -> Self {
        Self {
            scope: &a.scope,
            name: &a.name,
            arn: &a.arn,
            description: a.description.as_deref(),
            updated: a.updated,
            before: a.state_before,
            actions: [
                &a.ok_actions,
                &a.alarm_actions,
                &a.insufficient_data_actions,
            ],
            trigger: Some(a),
            rule: None,
        }
    }

    pub fn composite(a: &'a CompositeAlarm) -> Self {
        Self {
            scope: &a.scope,
            name: &a.name,
            arn: &a.arn,
            description: a.description.as_deref(),
            updated: a.updated,
            before: a.state_before,
            actions: [
                &a.ok_actions,
                &a.alarm_actions,
                &a.insufficient_data_actions,
            ],
            trigger: None,
            rule: Some(&a.rule),
        }
    }

    /// The message that a topic's subscribers get on AWS (`reference/cloudwatch.md` §4.2).
    fn message(&self, state: AlarmState, reason: &str, now: Timestamp) -> Value {
        let [ok, alarm, insufficient] = self.actions;
        let mut message = json!({
            "AlarmName": self.name,
            "AlarmDescription": self.description,
            "AWSAccountId": self.scope.account,
            "AlarmConfigurationUpdatedTimestamp": stamp(self.updated),
            "NewStateValue": state.name(),
            "NewStateReason": reason,
            "StateChangeTime": stamp(now),
            "Region": model::zone::region(&self.scope.region).map(|r| r.place),
            "AlarmArn": self.arn,
            "OldStateValue": self.before.name(),
            "OKActions": ok,
            "AlarmActions": alarm,
            "InsufficientDataActions": insufficient,
        });
        if let Some(rule) = self.rule {
            message["AlarmRule"] = json!(rule);
        }
        if let Some(a) = self.trigger {
            let dimension = |(n, v): &(String, String)| json!({ "value": v, "name": n });
            message["Trigger"] = if a.metrics.is_empty() {
                json!({
                    "MetricName": a.metric_name,
                    "Namespace": a.namespace,
                    "StatisticType": if a.statistic.is_some() { "Statistic" } else { "ExtendedStatistic" },
                    "Statistic": a.statistic.as_ref().map(|s| s.to_uppercase()).or(a.extended_statistic.clone()),
                    "Unit": a.unit,
                    "Dimensions": a.dimensions.iter().map(dimension).collect::<Vec<_>>(),
                    "Period": a.period,
                })
            } else {
                json!({ "Metrics": a.metrics, "Period": a.period })
            };
            let trigger = &mut message["Trigger"];
            trigger["EvaluationPeriods"] = json!(a.evaluation_periods);
            trigger["DatapointsToAlarm"] = json!(a.datapoints_to_alarm);
            trigger["ComparisonOperator"] = json!(a.comparison_operator);
            trigger["Threshold"] = json!(a.threshold);
            trigger["TreatMissingData"] = json!(a.treat_missing_data.as_deref().unwrap_or(""));
            trigger["EvaluateLowSampleCountPercentile"] = json!(
                a.evaluate_low_sample_count_percentile
                    .as_deref()
                    .unwrap_or("")
            );
        }
        message
    }
}

pub fn run(
    tx: &mut Tx,
    alarm: &MetricAlarm,
    arn: &str,
    action: Action<'_>,
    seen: &Seen,
    speed: Speed,
    now: Timestamp,
) {
    let subject = Subject::metric(alarm);
    match action {
        Action::Scale => {
            let trigger = policy::Trigger::Alarm {
                alarm,
                points: &seen.points,
            };
            // Asked again each minute: only what changed something is worth a line.
            if let Some(change) = policy::run(tx, arn, &trigger, speed, now) {
                done(tx, &subject, arn, Ok(change), None, now);
            }
        }
        Action::Instance(verb) => {
            let outcome = on_instance(tx, alarm, verb, now);
            done(tx, &subject, arn, outcome, None, now);
        }
        Action::Tell => tell(tx, &subject, arn, seen.state, &seen.reason, now),
    }
}

/// Notifies a topic: an event, since nothing outside the cloud is told.
pub fn tell(
    tx: &mut Tx,
    subject: &Subject<'_>,
    arn: &str,
    state: AlarmState,
    reason: &str,
    now: Timestamp,
) {
    let message = subject.message(state, reason, now);
    let text = format!("told of {}: {reason}", state.name());
    done(tx, subject, arn, Ok(text), Some(message), now);
}

/// History and event of an action.
fn done(
    tx: &mut Tx,
    subject: &Subject<'_>,
    arn: &str,
    outcome: Result<String, String>,
    message: Option<Value>,
    now: Timestamp,
) {
    let (state, verb, severity, detail) = match outcome {
        Ok(detail) => ("Succeeded", "Successfully executed", Severity::Info, detail),
        Err(why) => ("Failed", "Failed to execute", Severity::Error, why),
    };
    let summary = format!("{verb} action {arn}");
    let mut data = json!({
        "actionState": state,
        "stateUpdateTimestamp": now.as_millisecond(),
        "notificationResource": arn,
        "publishedMessage": message.map(|m| m.to_string()),
    });
    if state == "Failed" {
        data["error"] = json!(detail);
    }
    let told = format!("{summary}: {detail}");
    history(tx, subject, "Action", summary, data.to_string(), now);
    tx.event(now, severity, subject.name, "alarm-action", told);
}

/// Acts on the instance that the alarm watches, as the API's calls do; says what it did.
fn on_instance(
    tx: &mut Tx,
    alarm: &MetricAlarm,
    verb: &str,
    now: Timestamp,
) -> Result<String, String> {
    let dimension = alarm.dimensions.iter().find(|(k, _)| k == "InstanceId");
    let Some(id) = dimension.and_then(|(_, id)| id.parse().ok()) else {
        return Err("the alarm's metric has no dimension InstanceId".into());
    };
    let own = tx.get::<Instance>(&id).filter(|i| i.scope == alarm.scope);
    let Some(state) = own.map(|i| i.state) else {
        return Err(format!("the instance {id} does not exist"));
    };
    let verb = &*verb.to_lowercase();
    let fits = match verb {
        "reboot" | "recover" | "stop" => state == InstanceState::Running,
        "terminate" => !matches!(
            state,
            InstanceState::ShuttingDown | InstanceState::Terminated
        ),
        _ => return Err(format!("there is no action {verb} on instances")),
    };
    if !fits {
        return Err(format!("the instance {id} is {state:?}").to_lowercase());
    }
    tx.modify::<Instance>(&id, |i| match verb {
        // A recovered instance boots again on the only host there is.
        "reboot" | "recover" => i.reboots_wanted += 1,
        "stop" => {
            i.desired = DesiredInstance::Stopped { force: false };
            i.state = InstanceState::Stopping;
            i.state_since = now;
        }
        _ => {
            i.desired = DesiredInstance::Terminated;
            i.state = InstanceState::ShuttingDown;
            i.state_since = now;
        }
    });
    Ok(format!("{verb} of {id} begins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arns_ask_for() {
        let verb = |arn| match Action::of(arn) {
            Action::Instance(verb) => Some(verb),
            Action::Scale | Action::Tell => None,
        };
        assert_eq!(
            verb("arn:aws:automate:us-east-1:ec2:recover"),
            Some("recover")
        );
        let workflow =
            "arn:aws:swf:us-east-1:000000000000:action/actions/AWS_EC2.InstanceId.Stop/1.0";
        assert_eq!(verb(workflow), Some("Stop"));
        assert_eq!(verb("arn:aws:sns:us-east-1:000000000000:topic"), None);
    }
}
