//! What groups on AWS can also have and groups here cannot: launch configurations,
//! scheduled actions, warm pools, notifications.
//!
//! There are never any, so describing them answers with none; making one is
//! refused in words. A stack that asks whether it has any goes on.

use super::error::{Result, error, unsupported, validation};
use super::{Done, group};
use crate::Ctx;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::{ApiError, Timestamp};

/// An input that is refused whatever it holds.
pub type Anything = Map<String, Value>;

/// What AWS itself tells accounts that are new since 2023.
pub fn create_launch_configuration(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(error(
        "UnsupportedOperation",
        "The Launch Configuration creation operation is not available in your account. Use launch templates to create configuration templates for your Auto Scaling groups.",
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchConfiguration {
    launch_configuration_name: String,
}

pub fn delete_launch_configuration(_: &mut Ctx, input: LaunchConfiguration) -> Result<()> {
    Err(validation(format!(
        "Launch configuration name not found - Launch configuration {} not found",
        input.launch_configuration_name
    )))
}

pub fn put_scheduled_action(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(unsupported("Scheduled actions are"))
}

pub fn put_warm_pool(_: &mut Ctx, _: Anything) -> Result<Done> {
    Err(unsupported("Warm pools are"))
}

pub fn put_notification_configuration(_: &mut Ctx, _: Anything) -> Result<()> {
    Err(unsupported("Notifications of groups are"))
}

/// Names what there is none of.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamedPart {
    auto_scaling_group_name: String,
    scheduled_action_name: Option<String>,
    lifecycle_hook_name: Option<String>,
    #[serde(rename = "TopicARN")]
    topic_arn: Option<String>,
    #[serde(rename = "ForceDelete")]
    _force_delete: Option<bool>,
}

fn no_such(ctx: &Ctx, input: NamedPart, noun: &str) -> ApiError {
    if let Err(error) = group::find(ctx, &input.auto_scaling_group_name) {
        return error;
    }
    let names = [
        input.scheduled_action_name,
        input.lifecycle_hook_name,
        input.topic_arn,
    ];
    let name = names.into_iter().flatten().next().unwrap_or_default();
    validation(format!(
        "No {noun} found: {name} of group {}",
        input.auto_scaling_group_name
    ))
}

pub fn delete_scheduled_action(ctx: &mut Ctx, input: NamedPart) -> Result<()> {
    Err(no_such(ctx, input, "scheduled action"))
}

pub fn delete_lifecycle_hook(ctx: &mut Ctx, input: NamedPart) -> Result<Done> {
    Err(no_such(ctx, input, "lifecycle hook"))
}

pub fn delete_warm_pool(ctx: &mut Ctx, input: NamedPart) -> Result<Done> {
    Err(no_such(ctx, input, "warm pool"))
}

pub fn delete_notification_configuration(ctx: &mut Ctx, input: NamedPart) -> Result<()> {
    Err(no_such(ctx, input, "notification configuration"))
}

macro_rules! none_of {
    ($($describe:ident($input:ident { $($field:ident: $kind:ty,)* }) -> $output:ident { $list:ident })*) => {$(
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $input {
            $(#[expect(dead_code, reason = "whatever is asked for, there is none")] $field: Option<$kind>,)*
        }

        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $output {
            $list: [String; 0],
        }

        pub fn $describe(_: &mut Ctx, _: $input) -> Result<$output> {
            Ok($output { $list: [] })
        }
    )*};
}

none_of! {
    describe_launch_configurations(DescribeLaunchConfigurations {
        launch_configuration_names: Vec<String>,
        next_token: String,
        max_records: i64,
    }) -> LaunchConfigurations { launch_configurations }
    describe_scheduled_actions(DescribeScheduledActions {
        auto_scaling_group_name: String,
        scheduled_action_names: Vec<String>,
        start_time: Timestamp,
        end_time: Timestamp,
        next_token: String,
        max_records: i64,
    }) -> ScheduledActions { scheduled_update_group_actions }
    describe_warm_pool(DescribeWarmPool {
        auto_scaling_group_name: String,
        next_token: String,
        max_records: i64,
    }) -> WarmPool { instances }
    describe_notification_configurations(DescribeNotificationConfigurations {
        auto_scaling_group_names: Vec<String>,
        next_token: String,
        max_records: i64,
    }) -> NotificationConfigurations { notification_configurations }
}

pub fn get_predictive_scaling_forecast(_: &mut Ctx, _: Anything) -> Result<Done> {
    Err(unsupported("Predictive scaling is"))
}
