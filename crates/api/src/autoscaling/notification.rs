//! Notifications of a group's launches and terminations.
//!
//! Topics deliver nothing here, so what one would get is told as an event with the same content.

use super::error::{Result, error, validation};
use super::group::{self, find_alive, owned};
use super::page::page;
use crate::{Ctx, sns};
use model::autoscaling::{AutoScalingGroup, GroupNotification};
use model::event::Severity;
use serde::{Deserialize, Serialize};
use serde_json::json;

const MAX_TOPICS: usize = 10;
const TEST: &str = "autoscaling:TEST_NOTIFICATION";
const TYPES: &[&str] = &[
    "autoscaling:EC2_INSTANCE_LAUNCH",
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
    "autoscaling:EC2_INSTANCE_TERMINATE",
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",
    TEST,
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutNotificationConfiguration {
    auto_scaling_group_name: String,
    #[serde(rename = "TopicARN")]
    topic_arn: String,
    notification_types: Vec<String>,
}

/// Takes the place of what the topic got before.
pub fn put(ctx: &mut Ctx, input: PutNotificationConfiguration) -> Result<()> {
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let topic = input.topic_arn;
    if !topic.starts_with("arn:") || topic.split(':').nth(2) != Some("sns") {
        return Err(validation(format!("Invalid topic ARN: {topic}")));
    }
    // AWS publishes to it before it takes it. Assumption: the words, which no source gives.
    if !sns::exists(ctx, &topic) {
        return Err(validation(format!(
            "Unable to publish to the topic {topic}: Topic does not exist"
        )));
    }
    let mut types = input.notification_types;
    if types.is_empty() {
        return Err(validation(
            "At least one notification type must be specified.",
        ));
    }
    if let Some(unknown) = types.iter().find(|t| !TYPES.contains(&t.as_str())) {
        return Err(validation(format!(
            "\"{unknown}\" is not a valid Notification Type."
        )));
    }
    types.sort();
    types.dedup();
    group.notifications.retain(|n| n.topic != topic);
    if group.notifications.len() >= MAX_TOPICS {
        return Err(error(
            "LimitExceeded",
            format!("You have already reached the limit of {MAX_TOPICS} topics for this group."),
        ));
    }
    if types.iter().any(|t| t == TEST) {
        test(ctx, &group, &topic);
    }
    group.notifications.push(GroupNotification { topic, types });
    group.notifications.sort_by(|a, b| a.topic.cmp(&b.topic));
    ctx.tx.put(group);
    Ok(())
}

/// AWS proves a new topic with a message.
fn test(ctx: &mut Ctx, group: &AutoScalingGroup, topic: &str) {
    let message = json!({
        "TopicARN": topic,
        "AccountId": group.scope.account,
        "RequestId": uuid::Uuid::new_v4().to_string(),
        "AutoScalingGroupARN": group.arn,
        "AutoScalingGroupName": group.name,
        "Service": "AWS Auto Scaling",
        "Event": TEST,
        "Time": ctx.now.to_string(),
    });
    let now = ctx.now;
    ctx.tx.event(
        now,
        Severity::Info,
        &group.name,
        "notification",
        message.to_string(),
    );
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteNotificationConfiguration {
    auto_scaling_group_name: String,
    #[serde(rename = "TopicARN")]
    topic_arn: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteNotificationConfiguration) -> Result<()> {
    let mut group = (*group::find(ctx, &input.auto_scaling_group_name)?).clone();
    let before = group.notifications.len();
    group.notifications.retain(|n| n.topic != input.topic_arn);
    if group.notifications.len() == before {
        return Err(validation(format!(
            "No notification configuration found for topic {} and Auto Scaling group {}",
            input.topic_arn, group.name
        )));
    }
    ctx.tx.put(group);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeNotificationConfigurations {
    #[serde(default)]
    auto_scaling_group_names: Vec<String>,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NotificationConfigurations {
    notification_configurations: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    auto_scaling_group_name: String,
    #[serde(rename = "TopicARN")]
    topic_arn: String,
    notification_type: String,
}

pub fn describe(
    ctx: &mut Ctx,
    input: DescribeNotificationConfigurations,
) -> Result<NotificationConfigurations> {
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let names = &input.auto_scaling_group_names;
    let mut all = Vec::new();
    for group in owned(ctx).filter(|g| names.is_empty() || names.contains(&g.name)) {
        for notification in &group.notifications {
            for kind in &notification.types {
                all.push((&group.name, &notification.topic, kind));
            }
        }
    }
    let key =
        |(group, topic, kind): &(&String, &String, &String)| format!("{group}\n{topic}\n{kind}");
    all.sort_by_key(key);
    let (found, next_token) = page.of(all, key);
    let shape = |(group, topic, kind): (&String, &String, &String)| Shape {
        auto_scaling_group_name: group.clone(),
        topic_arn: topic.clone(),
        notification_type: kind.clone(),
    };
    Ok(NotificationConfigurations {
        notification_configurations: found.into_iter().map(shape).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
pub struct DescribeAutoScalingNotificationTypes {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NotificationTypes {
    auto_scaling_notification_types: &'static [&'static str],
}

pub fn describe_types(
    _: &mut Ctx,
    _: DescribeAutoScalingNotificationTypes,
) -> Result<NotificationTypes> {
    Ok(NotificationTypes {
        auto_scaling_notification_types: TYPES,
    })
}
