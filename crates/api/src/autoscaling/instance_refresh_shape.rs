//! How instance refreshes are asked for and described.

use super::error::Result;
use super::group;
use super::instance_refresh::of_group;
use super::mixed_instances::{self, MixedInstancesPolicy};
use super::page::page;
use super::template::LaunchTemplateSpecification;
use crate::Ctx;
use model::autoscaling::GroupTemplate;
use model::instance_refresh::{HeldBack, InstanceRefresh, RefreshPreferences, RefreshStatus};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DesiredConfiguration {
    pub launch_template: Option<LaunchTemplateSpecification>,
    pub mixed_instances_policy: Option<MixedInstancesPolicy>,
}

impl DesiredConfiguration {
    fn of(template: &GroupTemplate) -> Self {
        let mixed_instances_policy = mixed_instances::described(template);
        let single =
            LaunchTemplateSpecification::of(&template.id, &template.name, &template.version);
        Self {
            launch_template: (mixed_instances_policy.is_none() && template.configuration.is_none())
                .then_some(single),
            mixed_instances_policy,
        }
    }
}

#[derive(Deserialize, Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub struct Preferences {
    pub min_healthy_percentage: Option<i64>,
    pub max_healthy_percentage: Option<i64>,
    pub instance_warmup: Option<i64>,
    pub checkpoint_percentages: Option<Vec<i64>>,
    pub checkpoint_delay: Option<i64>,
    pub skip_matching: Option<bool>,
    pub auto_rollback: Option<bool>,
    pub scale_in_protected_instances: Option<String>,
    pub standby_instances: Option<String>,
    pub alarm_specification: Option<AlarmSpecification>,
    pub bake_time: Option<i64>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AlarmSpecification {
    #[serde(default)]
    pub alarms: Vec<String>,
}

impl Preferences {
    fn of(kept: &RefreshPreferences) -> Self {
        let named = |way: HeldBack, replace: &str| match way {
            HeldBack::Replace => replace.to_owned(),
            HeldBack::Ignore => "Ignore".to_owned(),
            HeldBack::Wait => "Wait".to_owned(),
        };
        let percentages = kept.checkpoints.iter().map(|p| (*p).into()).collect();
        let some = |list: Vec<i64>| Some(list).filter(|l| !l.is_empty());
        let alarms = kept.alarms.clone();
        Self {
            min_healthy_percentage: Some(kept.min_healthy.into()),
            max_healthy_percentage: Some(kept.max_healthy.into()),
            instance_warmup: kept.warmup.map(Into::into),
            checkpoint_percentages: some(percentages),
            checkpoint_delay: kept.checkpoint_delay.map(Into::into),
            skip_matching: Some(kept.skip_matching),
            auto_rollback: Some(kept.auto_rollback),
            scale_in_protected_instances: Some(named(kept.protected, "Refresh")),
            standby_instances: Some(named(kept.standby, "Terminate")),
            alarm_specification: (!alarms.is_empty()).then_some(AlarmSpecification { alarms }),
            bake_time: kept.bake_time.map(Into::into),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceRefreshes {
    auto_scaling_group_name: String,
    #[serde(default)]
    instance_refresh_ids: Vec<String>,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceRefreshes {
    instance_refreshes: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    instance_refresh_id: String,
    auto_scaling_group_name: String,
    status: &'static str,
    status_reason: Option<String>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    percentage_complete: u8,
    instances_to_update: u32,
    progress_details: Option<ProgressDetails>,
    preferences: Preferences,
    desired_configuration: Option<DesiredConfiguration>,
    rollback_details: Option<RollbackDetails>,
    strategy: &'static str,
}

/// Of groups with a warm pool.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProgressDetails {
    live_pool_progress: PoolProgress,
    warm_pool_progress: PoolProgress,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PoolProgress {
    percentage_complete: u8,
    instances_to_update: u32,
}

impl ProgressDetails {
    fn of(refresh: &InstanceRefresh) -> Option<Self> {
        let (left, all) = (refresh.warm_left, refresh.replace_warm.len() as u32);
        let done = all.saturating_sub(left) * 100;
        (all > 0).then(|| Self {
            live_pool_progress: PoolProgress {
                percentage_complete: refresh.percent,
                instances_to_update: refresh.to_update,
            },
            warm_pool_progress: PoolProgress {
                percentage_complete: u8::try_from(done / all).unwrap_or(100),
                instances_to_update: left,
            },
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RollbackDetails {
    rollback_reason: String,
    rollback_start_time: Timestamp,
    percentage_complete_on_rollback: u8,
    instances_to_update_on_rollback: u32,
}

pub fn describe(ctx: &mut Ctx, input: DescribeInstanceRefreshes) -> Result<InstanceRefreshes> {
    let group = group::find(ctx, &input.auto_scaling_group_name)?;
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let ids = &input.instance_refresh_ids;
    let wanted = of_group(ctx, &group)
        .into_iter()
        .filter(|r| ids.is_empty() || ids.contains(&r.id));
    let order = |r: &InstanceRefresh| {
        let age = i64::MAX - r.requested.as_microsecond();
        format!("{age:019}{}", r.id)
    };
    let (refreshes, next_token) = page.of(wanted, |r| order(r));
    Ok(InstanceRefreshes {
        instance_refreshes: refreshes.into_iter().map(|r| shape(r)).collect(),
        next_token,
    })
}

fn shape(refresh: &InstanceRefresh) -> Shape {
    let rollback = refresh.rollback.as_ref();
    let pending = refresh.status == RefreshStatus::Pending;
    Shape {
        instance_refresh_id: refresh.id.clone(),
        auto_scaling_group_name: refresh.group.clone(),
        status: refresh.status.name(),
        status_reason: refresh.reason.clone(),
        start_time: refresh.started.filter(|_| !pending).map(Into::into),
        end_time: refresh.ended.map(Into::into),
        percentage_complete: refresh.percent,
        instances_to_update: refresh.to_update,
        progress_details: ProgressDetails::of(refresh),
        preferences: Preferences::of(&refresh.preferences),
        desired_configuration: refresh.desired.as_ref().map(DesiredConfiguration::of),
        rollback_details: rollback.map(|r| RollbackDetails {
            rollback_reason: r.reason.clone(),
            rollback_start_time: r.started.into(),
            percentage_complete_on_rollback: r.percent,
            instances_to_update_on_rollback: r.to_update,
        }),
        strategy: "Rolling",
    }
}
