//! Lifecycle hooks: put, described, deleted. The group controller holds members for them.

use super::error::{Result, error, validation};
use super::group::{self, find_alive};
use super::{Done, check};
use crate::{Ctx, sns};
use model::autoscaling::{
    AutoScalingGroup, LifecycleHook, LifecycleResult, LifecycleState, Transition,
};
use model::event::Severity;
use serde::{Deserialize, Serialize};
use serde_json::json;

const MAX_HOOKS: usize = 50;
const DEFAULT_TIMEOUT: u32 = 3600;
const TRANSITIONS: &[&str] = &[
    "autoscaling:EC2_INSTANCE_LAUNCHING",
    "autoscaling:EC2_INSTANCE_TERMINATING",
];
const RESULTS: &[&str] = &["CONTINUE", "ABANDON"];

/// A hook as a call gives it; absent members keep what they are.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LifecycleHookSpecification {
    lifecycle_hook_name: String,
    lifecycle_transition: Option<String>,
    notification_metadata: Option<String>,
    heartbeat_timeout: Option<i64>,
    default_result: Option<String>,
    #[serde(rename = "NotificationTargetARN")]
    notification_target_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutLifecycleHook {
    lifecycle_hook_name: String,
    auto_scaling_group_name: String,
    lifecycle_transition: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    #[serde(rename = "NotificationTargetARN")]
    notification_target_arn: Option<String>,
    notification_metadata: Option<String>,
    heartbeat_timeout: Option<i64>,
    default_result: Option<String>,
}

pub fn put(ctx: &mut Ctx, input: PutLifecycleHook) -> Result<Done> {
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let given = LifecycleHookSpecification {
        lifecycle_hook_name: input.lifecycle_hook_name,
        lifecycle_transition: input.lifecycle_transition,
        notification_metadata: input.notification_metadata,
        heartbeat_timeout: input.heartbeat_timeout,
        default_result: input.default_result,
        notification_target_arn: input.notification_target_arn,
        role_arn: input.role_arn,
    };
    put_in(ctx, &mut group, given)?;
    ctx.tx.put(group);
    Ok(Done {})
}

/// Adds the hook to the group, or changes the one of its name.
pub fn put_in(
    ctx: &mut Ctx,
    group: &mut AutoScalingGroup,
    given: LifecycleHookSpecification,
) -> Result<()> {
    let name = given.lifecycle_hook_name;
    check::name(&name, "lifecycleHookName")?;
    let at = group.hooks.iter().position(|h| h.name == name);
    if at.is_none() && group.hooks.len() >= MAX_HOOKS {
        return Err(error(
            "LimitExceeded",
            format!(
                "You have already reached the limit of {MAX_HOOKS} lifecycle hooks for this group."
            ),
        ));
    }
    let before = at.map(|at| group.hooks[at].clone());
    let transition = match (given.lifecycle_transition.as_deref(), &before) {
        (None, Some(hook)) => hook.transition,
        (None, None) => {
            return Err(validation(
                "LifecycleTransition must be specified for a new lifecycle hook.",
            ));
        }
        (Some(text), _) => {
            check::one_of(text, "lifecycleTransition", TRANSITIONS)?;
            if text == Transition::Launching.name() {
                Transition::Launching
            } else {
                Transition::Terminating
            }
        }
    };
    let mut hook = before.unwrap_or(LifecycleHook {
        name,
        transition,
        heartbeat_timeout: DEFAULT_TIMEOUT,
        default_result: LifecycleResult::Abandon,
        metadata: None,
        target: None,
        role: None,
        longest_ms: None,
    });
    hook.transition = transition;
    if let Some(seconds) = given.heartbeat_timeout {
        hook.heartbeat_timeout = check::within(seconds, "heartbeatTimeout", 30, 7200)?;
    }
    if let Some(text) = given.default_result {
        hook.default_result = result(&text, "defaultResult")?;
    }
    if let Some(text) = given.notification_metadata {
        check::length(&text, "notificationMetadata", 0, 4000)?;
        hook.metadata = Some(text).filter(|text| !text.is_empty());
    }
    if let Some(arn) = given.role_arn {
        check::length(&arn, "roleARN", 0, 255)?;
        hook.role = Some(arn).filter(|arn| !arn.is_empty());
    }
    if let Some(arn) = given.notification_target_arn {
        hook.target = target(ctx, arn)?;
        test_notification(ctx, group, &hook);
    }
    match at {
        Some(at) => group.hooks[at] = hook,
        None => group.hooks.push(hook),
    }
    group.hooks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

pub fn result(text: &str, at: &str) -> Result<LifecycleResult> {
    check::one_of(text, at, RESULTS)?;
    Ok(if text == "CONTINUE" {
        LifecycleResult::Continue
    } else {
        LifecycleResult::Abandon
    })
}

/// A topic or a queue. Topics deliver nothing here and queues are not here, so what they would get
/// is told as events.
fn target(ctx: &Ctx, arn: String) -> Result<Option<String>> {
    check::length(&arn, "notificationTargetARN", 0, 255)?;
    if arn.is_empty() {
        return Ok(None);
    }
    let mut parts = arn.split(':').skip(2);
    match parts.next() {
        // AWS proves a target with a message, and takes none that it cannot reach.
        Some("sns") if arn.starts_with("arn:") && !sns::exists(ctx, &arn) => {
            Err(validation(format!(
                "Unable to publish test message to notification target {arn}. Please check your target and role configuration and try to put lifecycle hook again."
            )))
        }
        Some("sns" | "sqs") if arn.starts_with("arn:") => Ok(Some(arn)),
        _ => Err(validation(format!(
            "Invalid notification target ARN: {arn}. It must be the ARN of an SNS topic or an SQS queue."
        ))),
    }
}

/// AWS proves a new target with a message.
fn test_notification(ctx: &mut Ctx, group: &AutoScalingGroup, hook: &LifecycleHook) {
    let Some(target) = &hook.target else { return };
    let message = json!({
        "NotificationTargetARN": target,
        "AccountId": group.scope.account,
        "RequestId": uuid::Uuid::new_v4().to_string(),
        "AutoScalingGroupARN": group.arn,
        "AutoScalingGroupName": group.name,
        "Service": "AWS Auto Scaling",
        "Event": "autoscaling:TEST_NOTIFICATION",
        "Time": ctx.now.to_string(),
    });
    let (now, name) = (ctx.now, group.name.clone());
    ctx.tx.event(
        now,
        Severity::Info,
        name,
        "notification",
        message.to_string(),
    );
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteLifecycleHook {
    lifecycle_hook_name: String,
    auto_scaling_group_name: String,
}

/// Members that it holds go on: those coming in are abandoned, those going out continue.
pub fn delete(ctx: &mut Ctx, input: DeleteLifecycleHook) -> Result<Done> {
    let mut group = (*group::find(ctx, &input.auto_scaling_group_name)?).clone();
    let name = input.lifecycle_hook_name;
    let count = group.hooks.len();
    group.hooks.retain(|h| h.name != name);
    if group.hooks.len() == count {
        return Err(validation(format!(
            "No Lifecycle Hook found with name {name} for Auto Scaling group {}",
            group.name
        )));
    }
    for action in group.held_mut().flat_map(|m| &mut m.actions) {
        if action.hook.name == name && action.result.is_none() {
            action.result = Some(match action.hook.transition {
                Transition::Launching => LifecycleResult::Abandon,
                Transition::Terminating => LifecycleResult::Continue,
            });
        }
    }
    ctx.tx.put(group);
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLifecycleHooks {
    auto_scaling_group_name: String,
    #[serde(default)]
    lifecycle_hook_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LifecycleHooks {
    lifecycle_hooks: Vec<Shape>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    lifecycle_hook_name: String,
    auto_scaling_group_name: String,
    lifecycle_transition: &'static str,
    #[serde(rename = "NotificationTargetARN")]
    notification_target_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    notification_metadata: Option<String>,
    heartbeat_timeout: u32,
    global_timeout: u32,
    default_result: &'static str,
}

pub fn describe(ctx: &mut Ctx, input: DescribeLifecycleHooks) -> Result<LifecycleHooks> {
    let group = group::find(ctx, &input.auto_scaling_group_name)?;
    let names = &input.lifecycle_hook_names;
    let wanted = group.hooks.iter();
    let wanted = wanted.filter(|h| names.is_empty() || names.contains(&h.name));
    let shape = |hook: &LifecycleHook| Shape {
        lifecycle_hook_name: hook.name.clone(),
        auto_scaling_group_name: group.name.clone(),
        lifecycle_transition: hook.transition.name(),
        notification_target_arn: hook.target.clone(),
        role_arn: hook.role.clone(),
        notification_metadata: hook.metadata.clone(),
        heartbeat_timeout: hook.heartbeat_timeout,
        global_timeout: hook.global_timeout(),
        default_result: hook.default_result.name(),
    };
    Ok(LifecycleHooks {
        lifecycle_hooks: wanted.map(shape).collect(),
    })
}

#[derive(Deserialize)]
pub struct DescribeLifecycleHookTypes {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LifecycleHookTypes {
    lifecycle_hook_types: &'static [&'static str],
}

pub fn describe_types(_: &mut Ctx, _: DescribeLifecycleHookTypes) -> Result<LifecycleHookTypes> {
    Ok(LifecycleHookTypes {
        lifecycle_hook_types: TRANSITIONS,
    })
}

/// Which action of which member a call means.
struct Named {
    group: String,
    hook: String,
    token: Option<String>,
    instance: Option<String>,
}

/// Changes the action that is meant, which must still be waited for.
fn change(
    ctx: &mut Ctx,
    named: &Named,
    f: impl FnOnce(&mut model::autoscaling::LifecycleAction),
) -> Result<Done> {
    let mut group = (*group::find(ctx, &named.group)?).clone();
    if !group.hooks.iter().any(|h| h.name == named.hook) {
        return Err(validation(format!(
            "No Lifecycle Hook found with name {} for Auto Scaling group {}",
            named.hook, group.name
        )));
    }
    let (token, instance) = (named.token.as_deref(), named.instance.as_deref());
    let what = match (token, instance) {
        (Some(token), _) => format!("token {token}"),
        (None, Some(id)) => format!("instance ID {id}"),
        (None, None) => {
            return Err(validation(
                "Either LifecycleActionToken or InstanceId must be specified.",
            ));
        }
    };
    let waits = |state| {
        matches!(
            state,
            LifecycleState::PendingWait | LifecycleState::TerminatingWait
        )
    };
    let members = group.held_mut().filter(|m| waits(m.lifecycle));
    let found = members
        .filter(|m| instance.is_none_or(|id| m.id.as_str() == id))
        .flat_map(|m| &mut m.actions)
        .find(|a| {
            let meant = a.hook.name == named.hook && token.is_none_or(|t| t == a.token);
            meant && a.result.is_none()
        });
    let Some(action) = found else {
        return Err(validation(format!(
            "No active Lifecycle Action found with {what}"
        )));
    };
    f(action);
    ctx.tx.put(group);
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CompleteLifecycleAction {
    lifecycle_hook_name: String,
    auto_scaling_group_name: String,
    lifecycle_action_token: Option<String>,
    lifecycle_action_result: String,
    instance_id: Option<String>,
}

/// Says the result; the controller lets the member go on.
pub fn complete(ctx: &mut Ctx, input: CompleteLifecycleAction) -> Result<Done> {
    let result = result(&input.lifecycle_action_result, "lifecycleActionResult")?;
    let named = Named {
        group: input.auto_scaling_group_name,
        hook: input.lifecycle_hook_name,
        token: input.lifecycle_action_token,
        instance: input.instance_id,
    };
    change(ctx, &named, |action| action.result = Some(result))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordLifecycleActionHeartbeat {
    lifecycle_hook_name: String,
    auto_scaling_group_name: String,
    lifecycle_action_token: Option<String>,
    instance_id: Option<String>,
}

/// The timeout counts anew from here.
pub fn heartbeat(ctx: &mut Ctx, input: RecordLifecycleActionHeartbeat) -> Result<Done> {
    let now = ctx.now;
    let named = Named {
        group: input.auto_scaling_group_name,
        hook: input.lifecycle_hook_name,
        token: input.lifecycle_action_token,
        instance: input.instance_id,
    };
    change(ctx, &named, |action| action.heartbeat = now)
}
