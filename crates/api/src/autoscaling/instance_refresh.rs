//! Instance refreshes: asked for, cancelled, rolled back. The group controller carries them out.

use super::error::{Result, error, unsupported, validation};
use super::group::{find, find_alive};
use super::instance_refresh_shape::{DesiredConfiguration, Preferences};
use super::{check, mixed_instances, template};
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use model::instance_refresh::{HeldBack, InstanceRefresh, RefreshPreferences, RefreshStatus};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::ScopedName;

const STRATEGIES: &[&str] = &["Rolling", "ReplaceRootVolume"];
const TWO_DAYS: u32 = 172_800;
/// Seconds; the API names no maximum.
const MAX_WARMUP: u32 = 365 * 86_400;
/// `https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AlarmSpecification.html`
const MAX_ALARMS: usize = 10;
/// Kept per group; AWS keeps those of six weeks.
const KEPT: usize = 100;

/// Newest first.
pub fn of_group<'a>(ctx: &'a Ctx, group: &AutoScalingGroup) -> Vec<&'a Arc<InstanceRefresh>> {
    let all = ctx.tx.instance_refreshes.values();
    let mut mine: Vec<_> = all.filter(|r| r.group_arn == group.arn).collect();
    mine.sort_by(|a, b| (b.requested, &a.id).cmp(&(a.requested, &b.id)));
    mine
}

fn under_way(ctx: &Ctx, group: &AutoScalingGroup) -> Option<InstanceRefresh> {
    let all = ctx.tx.instance_refreshes.values();
    let mut of = all.filter(|r| r.is_of(group));
    of.next().map(|r| (**r).clone())
}

/// What a group launches from cannot be changed under a refresh that is about to change it.
pub fn check_template_change(ctx: &Ctx, group: &AutoScalingGroup) -> Result<()> {
    let refresh = under_way(ctx, group).filter(|r| r.desired.is_some());
    let same = |before: &AutoScalingGroup| before.template == group.template;
    let key = ScopedName::new(&group.scope, &group.name);
    let unchanged = ctx
        .tx
        .auto_scaling_groups
        .get(&key)
        .is_some_and(|g| same(g));
    if refresh.is_none() || unchanged {
        return Ok(());
    }
    Err(validation(
        "An active instance refresh with a desired configuration exists. All configuration options derived from the desired configuration are not available for update while the instance refresh is active.",
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartInstanceRefresh {
    auto_scaling_group_name: String,
    strategy: Option<String>,
    desired_configuration: Option<DesiredConfiguration>,
    preferences: Option<Preferences>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RefreshId {
    instance_refresh_id: String,
}

pub fn start(ctx: &mut Ctx, input: StartInstanceRefresh) -> Result<RefreshId> {
    let group = find_alive(ctx, &input.auto_scaling_group_name)?;
    if let Some(strategy) = &input.strategy {
        check::one_of(strategy, "strategy", STRATEGIES)?;
        if strategy != "Rolling" {
            return Err(unsupported("The strategy ReplaceRootVolume is"));
        }
    }
    let desired = match input.desired_configuration {
        None => None,
        Some(given) => {
            let named = (given.launch_template, given.mixed_instances_policy);
            let template = template::of(ctx, &group, named.0, named.1)?;
            if let Some(template) = &template {
                mixed_instances::check_unit(template, group.desired_capacity_type.as_deref())?;
            }
            template
        }
    };
    let preferences = preferences(ctx, &group, input.preferences.unwrap_or_default())?;
    if under_way(ctx, &group).is_some() {
        return Err(error(
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
        ));
    }
    if preferences.auto_rollback && desired.is_none() {
        return Err(validation(
            "The request isn't valid. The AutoRollback parameter cannot be set to true when the DesiredConfiguration parameter is empty. Set AutoRollback to false or specify a desired configuration and try again.",
        ));
    }
    let refresh = InstanceRefresh {
        id: uuid::Uuid::new_v4().to_string(),
        scope: ctx.scope.clone(),
        group: group.name.clone(),
        group_arn: group.arn.clone(),
        preferences,
        desired,
        before: group.template.clone(),
        status: RefreshStatus::Pending,
        reason: None,
        requested: ctx.now,
        started: None,
        ended: None,
        replace: Vec::new(),
        present: Vec::new(),
        replace_warm: Vec::new(),
        warm_left: 0,
        percent: 0,
        to_update: 0,
        progressed: ctx.now,
        checkpoints: 0,
        paused_until: None,
        bakes_until: None,
        waits_for_transitions: false,
        rollback: None,
    };
    if refresh.preferences.auto_rollback && !refresh.reversible() {
        return Err(validation(
            "The request isn't valid. The AutoRollback parameter cannot be set to true when the Auto Scaling group uses the launch template version $Latest or $Default. Set AutoRollback to false or specify a version number and try again.",
        ));
    }
    let old = of_group(ctx, &group).into_iter().skip(KEPT - 1);
    let old: Vec<String> = old.map(|r| r.id.clone()).collect();
    for id in old {
        ctx.tx.remove::<InstanceRefresh>(&id);
    }
    let instance_refresh_id = refresh.id.clone();
    ctx.tx.put(refresh);
    Ok(RefreshId {
        instance_refresh_id,
    })
}

/// What was given, checked, over what the group's maintenance policy says, over AWS's defaults.
fn preferences(
    ctx: &Ctx,
    group: &AutoScalingGroup,
    given: Preferences,
) -> Result<RefreshPreferences> {
    let percent = |value: Option<i64>, at: &str, least, most| {
        value.map(|n| check::within(n, at, least, most)).transpose()
    };
    let min = percent(given.min_healthy_percentage, "minHealthyPercentage", 0, 100)?;
    let max = percent(
        given.max_healthy_percentage,
        "maxHealthyPercentage",
        100,
        200,
    )?;
    if max.is_some() && min.is_none() {
        return Err(validation(
            "If you specify MaxHealthyPercentage, you must also specify MinHealthyPercentage.",
        ));
    }
    let policy = group.maintenance_policy;
    let policy = policy.map(|(min, max)| (min.unsigned_abs(), max.unsigned_abs()));
    let min_healthy = min.or(policy.map(|p| p.0)).unwrap_or(90);
    // A minimum alone says nothing about going above the capacity, unless the group's policy does.
    let max_healthy = max
        .or(policy.map(|p| p.1.min(min_healthy + 100)))
        .unwrap_or(100);
    if 100 < max_healthy - min_healthy {
        return Err(validation(
            "The difference between MinHealthyPercentage and MaxHealthyPercentage cannot be greater than 100.",
        ));
    }
    let seconds = |value: Option<i64>, at: &str, most| {
        value.map(|n| check::within(n, at, 0, most)).transpose()
    };
    let mut checkpoints = Vec::new();
    for percent in given.checkpoint_percentages.unwrap_or_default() {
        let percent = check::within(percent, "checkpointPercentages", 1, 100)?;
        if checkpoints.last().is_some_and(|before| percent <= *before) {
            return Err(validation(
                "CheckpointPercentages must be unique and in ascending order.",
            ));
        }
        checkpoints.push(percent);
    }
    let checkpoint_delay = seconds(given.checkpoint_delay, "checkpointDelay", TWO_DAYS)?;
    if checkpoint_delay.is_some() && checkpoints.is_empty() {
        return Err(validation(
            "If you specify CheckpointDelay, you must also specify CheckpointPercentages.",
        ));
    }
    let alarms = given.alarm_specification.map(|a| a.alarms);
    let alarms = alarms.unwrap_or_default();
    if MAX_ALARMS < alarms.len() {
        return Err(validation(format!(
            "An alarm specification can name at most {MAX_ALARMS} alarms."
        )));
    }
    for alarm in &alarms {
        let key = ScopedName::new(&ctx.scope, alarm);
        if !ctx.tx.alarms.contains_key(&key) {
            return Err(validation(format!(
                "The CloudWatch alarm {alarm} of the alarm specification does not exist."
            )));
        }
    }
    Ok(RefreshPreferences {
        min_healthy,
        max_healthy,
        warmup: seconds(given.instance_warmup, "instanceWarmup", MAX_WARMUP)?,
        checkpoints,
        checkpoint_delay,
        skip_matching: given.skip_matching.unwrap_or(false),
        auto_rollback: given.auto_rollback.unwrap_or(false),
        protected: held_back(
            given.scale_in_protected_instances.as_deref(),
            "scaleInProtectedInstances",
            "Refresh",
        )?,
        standby: held_back(
            given.standby_instances.as_deref(),
            "standbyInstances",
            "Terminate",
        )?,
        alarms,
        bake_time: seconds(given.bake_time, "bakeTime", TWO_DAYS)?,
    })
}

fn held_back(given: Option<&str>, at: &str, replace: &str) -> Result<HeldBack> {
    let given = given.unwrap_or("Wait");
    check::one_of(given, at, &[replace, "Ignore", "Wait"])?;
    Ok(match given {
        "Ignore" => HeldBack::Ignore,
        "Wait" => HeldBack::Wait,
        _ => HeldBack::Replace,
    })
}

fn none_active() -> wire::ApiError {
    error(
        "ActiveInstanceRefreshNotFound",
        "No in progress or pending Instance Refresh found for the Auto Scaling group.",
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelInstanceRefresh {
    auto_scaling_group_name: String,
    wait_for_transitioning_instances: Option<bool>,
}

/// The controller ends it, once what has begun is done unless that is not waited for.
pub fn cancel(ctx: &mut Ctx, input: CancelInstanceRefresh) -> Result<RefreshId> {
    let group = find(ctx, &input.auto_scaling_group_name)?;
    let refresh = under_way(ctx, &group).ok_or_else(none_active)?;
    let waits = input.wait_for_transitioning_instances.unwrap_or(true);
    ctx.tx.modify::<InstanceRefresh>(&refresh.id, |r| {
        r.status = RefreshStatus::Cancelling;
        r.waits_for_transitions = waits;
        r.reason = None;
    });
    Ok(RefreshId {
        instance_refresh_id: refresh.id,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RollbackInstanceRefresh {
    auto_scaling_group_name: String,
}

pub fn rollback(ctx: &mut Ctx, input: RollbackInstanceRefresh) -> Result<RefreshId> {
    let group = find(ctx, &input.auto_scaling_group_name)?;
    let turns = |r: &InstanceRefresh| {
        !matches!(
            r.status,
            RefreshStatus::RollbackInProgress | RefreshStatus::Cancelling
        )
    };
    let refresh = under_way(ctx, &group).filter(turns);
    let mut refresh = refresh.ok_or_else(none_active)?;
    if !refresh.reversible() {
        return Err(error(
            "IrreversibleInstanceRefresh",
            "The instance refresh cannot be rolled back: it has no desired configuration, or the Auto Scaling group uses the launch template version $Latest or $Default.",
        ));
    }
    let now = ctx.now;
    if refresh.status == RefreshStatus::Pending {
        refresh.started = Some(now);
        refresh.present = group.held().map(|m| m.id.clone()).collect();
    }
    let why = "Manual rollback initiated by a user request.".to_owned();
    refresh.roll_back(&group, why, now);
    let instance_refresh_id = refresh.id.clone();
    ctx.tx.put(refresh);
    Ok(RefreshId {
        instance_refresh_id,
    })
}
