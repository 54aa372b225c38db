//! What a group's topics are told, as events.

use super::Apply;
use model::autoscaling::{Activity, AutoScalingGroup};
use model::event::Severity;
use serde_json::{Value, json};

/// The kinds of notification that activities end with.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    Launch,
    LaunchError,
    Terminate,
}

impl Told {
    fn name(self) -> &'static str {
        match self {
            Self::Launch => "autoscaling:EC2_INSTANCE_LAUNCH",
            Self::LaunchError => "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
            Self::Terminate => "autoscaling:EC2_INSTANCE_TERMINATE",
        }
    }
}

impl Apply<'_> {
    /// Tells every topic that asked for it of an activity that has ended.
    pub(super) fn notify(
        &mut self,
        group: &AutoScalingGroup,
        told: Told,
        instance: &str,
        activity: Option<&String>,
    ) {
        let Some(activity) = activity.and_then(|id| self.tx.get::<Activity>(id)).cloned() else {
            return;
        };
        let wants = |types: &[String]| types.iter().any(|t| t == told.name());
        for notification in group.notifications.iter().filter(|n| wants(&n.types)) {
            let details: Value = serde_json::from_str(&activity.details).unwrap_or_default();
            let message = json!({
                "TopicARN": notification.topic,
                "Service": "AWS Auto Scaling",
                "Event": told.name(),
                "AccountId": group.scope.account,
                "AutoScalingGroupName": group.name,
                "AutoScalingGroupARN": group.arn,
                "ActivityId": activity.id,
                "RequestId": activity.id,
                "EC2InstanceId": instance,
                "StatusCode": if activity.status == "Successful" { "InProgress" } else { &activity.status },
                "StatusMessage": activity.status_message.clone().unwrap_or_default(),
                "Progress": 50,
                "Description": activity.description,
                "Cause": activity.cause,
                "Details": details,
                "StartTime": activity.started.to_string(),
                "EndTime": activity.ended.map(|t| t.to_string()),
                "Time": self.now.to_string(),
            });
            let name = self.key.name.clone();
            self.tx.event(
                self.now,
                Severity::Info,
                name,
                "notification",
                message.to_string(),
            );
        }
    }

    /// The activity that a member is in.
    pub(super) fn activity_id(group: &AutoScalingGroup, id: &model::InstanceId) -> Option<String> {
        group.held().find(|m| m.id == *id)?.activity.clone()
    }
}
