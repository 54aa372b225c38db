//! Scheduled actions: put, described, deleted. The schedule controller runs them.

use super::error::{Result, error, validation};
use super::page::page;
use super::setting::max_size;
use super::{check, group};
use crate::Ctx;
use model::autoscaling::{AutoScalingGroup, ScheduledAction};
use model::recurrence;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Timestamp};

const MAX_ACTIONS: usize = 125;
/// Actions of one batch.
const MAX_BATCH: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutScheduledUpdateGroupAction {
    auto_scaling_group_name: String,
    scheduled_action_name: String,
    /// The older name of the start.
    time: Option<Timestamp>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    recurrence: Option<String>,
    min_size: Option<i64>,
    max_size: Option<i64>,
    desired_capacity: Option<i64>,
    time_zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScheduledUpdateGroupActionRequest {
    scheduled_action_name: String,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    recurrence: Option<String>,
    min_size: Option<i64>,
    max_size: Option<i64>,
    desired_capacity: Option<i64>,
    time_zone: Option<String>,
}

pub fn put(ctx: &mut Ctx, input: PutScheduledUpdateGroupAction) -> Result<()> {
    let (time, start) = (input.time, input.start_time);
    if time.is_some() && start.is_some() && time != start {
        return Err(validation(
            "Time and StartTime must be the same when both are given.",
        ));
    }
    let request = ScheduledUpdateGroupActionRequest {
        scheduled_action_name: input.scheduled_action_name,
        start_time: start.or(time),
        end_time: input.end_time,
        recurrence: input.recurrence,
        min_size: input.min_size,
        max_size: input.max_size,
        desired_capacity: input.desired_capacity,
        time_zone: input.time_zone,
    };
    let group = group::find_alive(ctx, &input.auto_scaling_group_name)?;
    put_one(ctx, &group, request)
}

fn put_one(
    ctx: &mut Ctx,
    group: &AutoScalingGroup,
    given: ScheduledUpdateGroupActionRequest,
) -> Result<()> {
    let name = given.scheduled_action_name;
    check::name(&name, "scheduledActionName")?;
    let most = max_size(group.desired_capacity_type.as_deref());
    let size = |given: Option<i64>, at: &str| {
        given
            .map(|size| check::within(size, at, 0, most))
            .transpose()
    };
    let (min, max, desired) = (
        size(given.min_size, "minSize")?,
        size(given.max_size, "maxSize")?,
        size(given.desired_capacity, "desiredCapacity")?,
    );
    check_sizes(min, max, desired)?;
    let (start, end) = (given.start_time.map(|t| t.0), given.end_time.map(|t| t.0));
    let recurrence = given.recurrence.filter(|text| !text.is_empty());
    let time_zone = given.time_zone.filter(|text| !text.is_empty());
    let next = first(
        ctx.now,
        start,
        end,
        recurrence.as_deref(),
        time_zone.as_deref(),
    )?;
    if of(ctx, &group.name).any(|a| a.name != name && a.next == next) {
        return Err(error(
            "AlreadyExists",
            format!(
                "A scheduled action of group {} at {next} already exists. Each must have a time of its own.",
                group.name
            ),
        ));
    }
    let key = (ScopedName::new(&ctx.scope, &group.name), name.clone());
    let existing = ctx.tx.scheduled_actions.get(&key);
    if existing.is_none() && of(ctx, &group.name).count() >= MAX_ACTIONS {
        return Err(error(
            "LimitExceeded",
            format!(
                "You have already reached the limit of {MAX_ACTIONS} scheduled actions for this group."
            ),
        ));
    }
    let arn = existing.map(|a| a.arn.clone());
    let id = uuid::Uuid::new_v4();
    let made = ScheduledAction {
        arn: arn.unwrap_or_else(|| {
            let rest = format_args!("scheduledUpdateGroupAction:{id}:autoScalingGroupName/{}:scheduledActionName/{name}", group.name);
            ctx.scope.arn("autoscaling", rest)
        }),
        scope: ctx.scope.clone(),
        group: group.name.clone(),
        name,
        recurrence,
        time_zone,
        end,
        min_size: min,
        max_size: max,
        desired_capacity: desired,
        next,
        put: ctx.now,
    };
    ctx.tx.put(made);
    Ok(())
}

fn check_sizes(min: Option<u32>, max: Option<u32>, desired: Option<u32>) -> Result<()> {
    if min.or(max).or(desired).is_none() {
        return Err(validation(
            "At least one of MinSize, MaxSize and DesiredCapacity must be specified.",
        ));
    }
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        return Err(validation(format!(
            "Max bound, {max}, must be greater than or equal to min bound, {min}"
        )));
    }
    if let Some(desired) = desired
        && (min.is_some_and(|min| desired < min) || max.is_some_and(|max| max < desired))
    {
        return Err(validation(format!(
            "Desired capacity:{desired} must be between the specified min size and max size"
        )));
    }
    Ok(())
}

/// When the schedule runs first.
fn first(
    now: model::Timestamp,
    start: Option<model::Timestamp>,
    end: Option<model::Timestamp>,
    recurrence: Option<&str>,
    zone: Option<&str>,
) -> Result<model::Timestamp> {
    if start.is_some_and(|start| start <= now) {
        return Err(validation("Given start time is in the past"));
    }
    if end.is_some_and(|end| end <= start.unwrap_or(now)) {
        return Err(validation("Given end time must be after the start time"));
    }
    if let Some(zone) = zone.filter(|zone| !recurrence::is_zone(zone)) {
        return Err(validation(format!("Given time zone: {zone} is invalid")));
    }
    // Without a recurrence, the end is described and means nothing, as on AWS.
    let Some(text) = recurrence else {
        return start.ok_or_else(|| {
            validation("At least one of StartTime and Recurrence must be specified.")
        });
    };
    // The start itself is a time to run, if the recurrence says so.
    let after = start.map_or(now, |start| start - jiff::SignedDuration::from_secs(1));
    let next = recurrence::next(text, zone, after)
        .map_err(|_| validation(format!("Given recurrence string: {text} is invalid")))?;
    match next {
        Some(next) if end.is_none_or(|end| next <= end) => Ok(next),
        _ => Err(validation(format!(
            "Given recurrence string: {text} never comes up before the end time"
        ))),
    }
}

/// The actions of the caller's group, by name.
fn of<'a>(ctx: &'a Ctx, group: &'a str) -> impl Iterator<Item = &'a Arc<ScheduledAction>> {
    let all = ctx.tx.scheduled_actions.of(&ctx.scope);
    all.filter(move |a| a.group == group)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchPutScheduledUpdateGroupAction {
    auto_scaling_group_name: String,
    scheduled_update_group_actions: Vec<ScheduledUpdateGroupActionRequest>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FailedScheduledUpdateGroupActionRequest {
    scheduled_action_name: String,
    error_code: String,
    error_message: String,
}

impl FailedScheduledUpdateGroupActionRequest {
    fn new(name: String, error: ApiError) -> Self {
        Self {
            scheduled_action_name: name,
            error_code: error.code.into_owned(),
            error_message: error.message,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FailedPuts {
    failed_scheduled_update_group_actions: Vec<FailedScheduledUpdateGroupActionRequest>,
}

/// Each by itself: those that fail are told, the others are put.
pub fn batch_put(ctx: &mut Ctx, input: BatchPutScheduledUpdateGroupAction) -> Result<FailedPuts> {
    check_batch(input.scheduled_update_group_actions.len())?;
    let group = group::find_alive(ctx, &input.auto_scaling_group_name)?;
    let mut failed = Vec::new();
    for request in input.scheduled_update_group_actions {
        let name = request.scheduled_action_name.clone();
        if let Err(error) = put_one(ctx, &group, request) {
            failed.push(FailedScheduledUpdateGroupActionRequest::new(name, error));
        }
    }
    Ok(FailedPuts {
        failed_scheduled_update_group_actions: failed,
    })
}

fn check_batch(count: usize) -> Result<()> {
    if (1..=MAX_BATCH).contains(&count) {
        return Ok(());
    }
    Err(validation(format!(
        "1 to {MAX_BATCH} scheduled actions can be given in one call."
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteScheduledAction {
    auto_scaling_group_name: String,
    scheduled_action_name: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteScheduledAction) -> Result<()> {
    group::find(ctx, &input.auto_scaling_group_name)?;
    delete_one(
        ctx,
        &input.auto_scaling_group_name,
        &input.scheduled_action_name,
    )
}

fn delete_one(ctx: &mut Ctx, group: &str, name: &str) -> Result<()> {
    let key = (ScopedName::new(&ctx.scope, group), name.to_owned());
    if ctx.tx.remove::<ScheduledAction>(&key).is_some() {
        return Ok(());
    }
    Err(validation(format!(
        "Scheduled action name not found - Scheduled action {name} of group {group} not found"
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchDeleteScheduledAction {
    auto_scaling_group_name: String,
    scheduled_action_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FailedDeletions {
    failed_scheduled_actions: Vec<FailedScheduledUpdateGroupActionRequest>,
}

pub fn batch_delete(ctx: &mut Ctx, input: BatchDeleteScheduledAction) -> Result<FailedDeletions> {
    check_batch(input.scheduled_action_names.len())?;
    group::find(ctx, &input.auto_scaling_group_name)?;
    let mut failed = Vec::new();
    for name in input.scheduled_action_names {
        if let Err(error) = delete_one(ctx, &input.auto_scaling_group_name, &name) {
            failed.push(FailedScheduledUpdateGroupActionRequest::new(name, error));
        }
    }
    Ok(FailedDeletions {
        failed_scheduled_actions: failed,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeScheduledActions {
    auto_scaling_group_name: Option<String>,
    #[serde(default)]
    scheduled_action_names: Vec<String>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScheduledActions {
    scheduled_update_group_actions: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    auto_scaling_group_name: String,
    scheduled_action_name: String,
    #[serde(rename = "ScheduledActionARN")]
    scheduled_action_arn: String,
    time: Timestamp,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
    recurrence: Option<String>,
    min_size: Option<u32>,
    max_size: Option<u32>,
    desired_capacity: Option<u32>,
    time_zone: Option<String>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeScheduledActions) -> Result<ScheduledActions> {
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let group = input.auto_scaling_group_name.as_deref();
    if let Some(group) = group {
        group::find(ctx, group)?;
    }
    let names = &input.scheduled_action_names;
    if !names.is_empty() && group.is_none() {
        return Err(validation(
            "ScheduledActionNames can only be given together with AutoScalingGroupName.",
        ));
    }
    // Names win over times, as on AWS.
    let (from, until) = if names.is_empty() {
        (input.start_time, input.end_time)
    } else {
        (None, None)
    };
    let wanted = ctx.tx.scheduled_actions.of(&ctx.scope).filter(|a| {
        group.is_none_or(|g| a.group == g)
            && (names.is_empty() || names.contains(&a.name))
            && from.is_none_or(|from| from.0 <= a.next)
            && until.is_none_or(|until| a.next <= until.0)
    });
    let (found, next_token) = page.of(wanted, |a| format!("{}\n{}", a.group, a.name));
    Ok(ScheduledActions {
        scheduled_update_group_actions: found.into_iter().map(|a| shape(a)).collect(),
        next_token,
    })
}

fn shape(action: &ScheduledAction) -> Shape {
    Shape {
        auto_scaling_group_name: action.group.clone(),
        scheduled_action_name: action.name.clone(),
        scheduled_action_arn: action.arn.clone(),
        time: action.next.into(),
        // Of a recurrence, AWS shows the next run here.
        start_time: action.next.into(),
        end_time: action.end.map(Into::into),
        recurrence: action.recurrence.clone(),
        min_size: action.min_size,
        max_size: action.max_size,
        desired_capacity: action.desired_capacity,
        time_zone: action.time_zone.clone(),
    }
}
