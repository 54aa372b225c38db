//! Scaling activities: what a group did, and why.

use super::error::{Result, group_not_found, validation};
use super::group;
use super::page::{Filter, page, unknown_filter};
use crate::Ctx;
use jiff::SignedDuration;
use model::InstanceId;
use model::autoscaling::{Activity, AutoScalingGroup, GroupInstance};
use model::instance::Instance;
use serde::{Deserialize, Serialize};
use wire::Timestamp;

/// AWS's limit on the text of a cause.
const MAX_CAUSE: usize = 1023;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    activity_id: String,
    auto_scaling_group_name: String,
    description: String,
    cause: String,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
    status_code: String,
    status_message: Option<String>,
    progress: u8,
    details: String,
    auto_scaling_group_state: Option<&'static str>,
    #[serde(rename = "AutoScalingGroupARN")]
    auto_scaling_group_arn: String,
}

fn shape(activity: &Activity) -> Shape {
    Shape {
        activity_id: activity.id.clone(),
        auto_scaling_group_name: activity.group.clone(),
        description: activity.description.clone(),
        cause: activity.cause.clone(),
        start_time: activity.started.into(),
        end_time: activity.ended.map(Into::into),
        status_code: activity.status.clone(),
        status_message: activity.status_message.clone(),
        progress: activity.progress,
        details: activity.details.clone(),
        auto_scaling_group_state: None,
        auto_scaling_group_arn: activity.group_arn.clone(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneActivity {
    activity: Shape,
}

pub fn one(activity: &Activity) -> OneActivity {
    OneActivity {
        activity: shape(activity),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Activities {
    activities: Vec<Shape>,
}

pub fn some(activities: &[Activity]) -> Activities {
    Activities {
        activities: activities.iter().map(shape).collect(),
    }
}

/// An activity that a call starts, or carries out at once (`Successful`).
pub struct New<'a> {
    pub description: String,
    pub cause: String,
    pub instance: &'a InstanceId,
    pub status: &'a str,
    /// Which of its call's: they are told by their start, and keep their order by a microsecond each.
    pub nth: usize,
}

pub fn add(ctx: &mut Ctx, group: &AutoScalingGroup, new: New<'_>) -> Activity {
    let instance = ctx.tx.get::<Instance>(new.instance);
    let (subnet, zone) = instance.map_or(("", ""), |i| (i.subnet.as_str(), i.zone.as_str()));
    let ended = new.status == "Successful";
    let nth = i64::try_from(new.nth).unwrap_or_default();
    let started = ctx.now + SignedDuration::from_micros(nth);
    let activity = Activity {
        id: uuid::Uuid::new_v4().to_string(),
        scope: group.scope.clone(),
        group: group.name.clone(),
        group_arn: group.arn.clone(),
        description: new.description,
        cause: new.cause.chars().take(MAX_CAUSE).collect(),
        started,
        ended: ended.then_some(started),
        status: new.status.to_owned(),
        status_message: None,
        progress: if ended { 100 } else { 50 },
        details: format!("{{\"Subnet ID\":\"{subnet}\",\"Availability Zone\":\"{zone}\"}}"),
    };
    ctx.tx.put(activity.clone());
    activity
}

/// What brought a member in comes to nothing, since another call takes it out.
pub fn cancel(ctx: &mut Ctx, member: &GroupInstance) {
    let (now, Some(id)) = (ctx.now, &member.activity) else {
        return;
    };
    ctx.tx.modify::<Activity>(id, |a| {
        if a.ended.is_none() {
            a.status = "Cancelled".into();
            a.progress = 100;
            a.ended = Some(now.max(a.started));
        }
    });
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeScalingActivities {
    #[serde(default)]
    activity_ids: Vec<String>,
    auto_scaling_group_name: Option<String>,
    include_deleted_groups: Option<bool>,
    max_records: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ActivityPage {
    activities: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeScalingActivities) -> Result<ActivityPage> {
    let page = page(input.max_records, input.next_token.as_deref(), 100)?;
    let deleted_too = input.include_deleted_groups.unwrap_or(false);
    let name = input.auto_scaling_group_name.as_deref();
    if let Some(name) = name
        && !deleted_too
    {
        group::find(ctx, name).map_err(|_| group_not_found(name))?;
    }
    let filters = input
        .filters
        .iter()
        .map(filter)
        .collect::<Result<Vec<_>>>()?;
    let exists = |arn: &str| group::owned(ctx).any(|g| g.arn == arn);
    let ids = &input.activity_ids;
    let mut wanted: Vec<_> = ctx
        .tx
        .activities
        .values()
        .filter(|a| a.scope == ctx.scope)
        .filter(|a| name.is_none_or(|n| a.group == n || a.group_arn == n))
        .filter(|a| ids.is_empty() || ids.contains(&a.id))
        .filter(|a| filters.iter().all(|f| f.admits(a)))
        .filter(|a| deleted_too || exists(&a.group_arn))
        .collect();
    wanted.sort_by_key(|a| order(a));
    let (activities, next_token) = page.of(wanted, |a| order(a));
    let describe = |activity: &std::sync::Arc<Activity>| Shape {
        auto_scaling_group_state: (!exists(&activity.group_arn)).then_some("Deleted"),
        ..shape(activity)
    };
    Ok(ActivityPage {
        activities: activities.into_iter().map(describe).collect(),
        next_token,
    })
}

/// Those in progress first, then the newest first.
fn order(activity: &Activity) -> String {
    let ended = u8::from(activity.ended.is_some());
    let age = i64::MAX - activity.started.as_microsecond();
    format!("{ended}{age:019}{}", activity.id)
}

enum Wanted<'a> {
    From(model::Timestamp),
    Until(model::Timestamp),
    Status(&'a Filter),
}

fn filter(given: &Filter) -> Result<Wanted<'_>> {
    let time = || {
        let first = given.values.first().map(String::as_str).unwrap_or_default();
        first.parse::<model::Timestamp>().map_err(|_| {
            validation(format!(
                "The value of the filter {} is not a time: {first}",
                given.name
            ))
        })
    };
    match given.name.as_str() {
        "StartTimeLowerBound" => Ok(Wanted::From(time()?)),
        "StartTimeUpperBound" => Ok(Wanted::Until(time()?)),
        "Status" => Ok(Wanted::Status(given)),
        other => Err(unknown_filter(other)),
    }
}

impl Wanted<'_> {
    fn admits(&self, activity: &Activity) -> bool {
        match self {
            Self::From(time) => *time <= activity.started,
            Self::Until(time) => activity.started <= *time,
            Self::Status(filter) => filter.admits(&activity.status),
        }
    }
}
