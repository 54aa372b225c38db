//! Lifecycle hooks, which this cloud does not have: there are never any, and making one is refused.

use super::error::{Result, unsupported};
use super::{Done, group};
use crate::Ctx;
use serde::{Deserialize, Serialize};

/// Named so that the refusal says what is refused.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LifecycleHookSpecification {
    #[serde(rename = "LifecycleHookName")]
    _name: String,
    #[serde(rename = "LifecycleTransition")]
    _transition: Option<String>,
    #[serde(rename = "NotificationMetadata")]
    _metadata: Option<String>,
    #[serde(rename = "HeartbeatTimeout")]
    _timeout: Option<i64>,
    #[serde(rename = "DefaultResult")]
    _result: Option<String>,
    #[serde(rename = "NotificationTargetARN")]
    _target: Option<String>,
    #[serde(rename = "RoleARN")]
    _role: Option<String>,
}

fn refusal() -> wire::ApiError {
    unsupported("Lifecycle hooks are")
}

pub fn refuse_any(given: Option<&[LifecycleHookSpecification]>) -> Result<()> {
    match given {
        None | Some([]) => Ok(()),
        Some(_) => Err(refusal()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutLifecycleHook {
    auto_scaling_group_name: String,
    #[serde(rename = "LifecycleHookName")]
    _name: String,
    #[serde(rename = "LifecycleTransition")]
    _transition: Option<String>,
    #[serde(rename = "RoleARN")]
    _role: Option<String>,
    #[serde(rename = "NotificationTargetARN")]
    _target: Option<String>,
    #[serde(rename = "NotificationMetadata")]
    _metadata: Option<String>,
    #[serde(rename = "HeartbeatTimeout")]
    _timeout: Option<i64>,
    #[serde(rename = "DefaultResult")]
    _result: Option<String>,
}

pub fn put(ctx: &mut Ctx, input: PutLifecycleHook) -> Result<Done> {
    group::find(ctx, &input.auto_scaling_group_name)?;
    Err(refusal())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLifecycleHooks {
    auto_scaling_group_name: String,
    #[serde(rename = "LifecycleHookNames")]
    _names: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LifecycleHooks {
    lifecycle_hooks: [String; 0],
}

pub fn describe(ctx: &mut Ctx, input: DescribeLifecycleHooks) -> Result<LifecycleHooks> {
    group::find(ctx, &input.auto_scaling_group_name)?;
    Ok(LifecycleHooks {
        lifecycle_hooks: [],
    })
}
