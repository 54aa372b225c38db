//! Warm pools: put, described, deleted. The group controller fills and drains them.

use super::error::{Result, unsupported, validation};
use super::group::{self, find_alive};
use super::group_shape::{Instance, warm_instance};
use super::page::page;
use super::setting::max_size;
use super::{Done, check};
use crate::Ctx;
use model::autoscaling::{AutoScalingGroup, WarmPool};
use serde::{Deserialize, Serialize};

const STATES: &[&str] = &["Stopped", "Running", "Hibernated"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutWarmPool {
    auto_scaling_group_name: String,
    max_group_prepared_capacity: Option<i64>,
    min_size: Option<i64>,
    pool_state: Option<String>,
    instance_reuse_policy: Option<InstanceReusePolicy>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceReusePolicy {
    reuse_on_scale_in: Option<bool>,
}

/// Makes the pool, or changes what is given of it.
pub fn put(ctx: &mut Ctx, input: PutWarmPool) -> Result<Done> {
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let mut pool = group.warm_pool.take().unwrap_or(WarmPool {
        max_prepared: None,
        min_size: 0,
        running: false,
        reuse_on_scale_in: false,
        deleting: None,
    });
    if pool.deleting.is_some() {
        return Err(validation(format!(
            "The warm pool of Auto Scaling group {} is pending delete and cannot be changed.",
            group.name
        )));
    }
    let largest = max_size(group.desired_capacity_type.as_deref());
    match input.max_group_prepared_capacity {
        None => {}
        // As if it had never been given.
        Some(-1) => pool.max_prepared = None,
        Some(most) => {
            let most = check::within(most, "maxGroupPreparedCapacity", 0, largest)?;
            pool.max_prepared = Some(most);
        }
    }
    if let Some(size) = input.min_size {
        pool.min_size = check::within(size, "minSize", 0, largest)?;
    }
    if let Some(state) = input.pool_state {
        check::one_of(&state, "poolState", STATES)?;
        if state == "Hibernated" {
            return Err(unsupported("The warm pool state Hibernated is"));
        }
        pool.running = state == "Running";
    }
    if let Some(reuse) = input
        .instance_reuse_policy
        .and_then(|p| p.reuse_on_scale_in)
    {
        pool.reuse_on_scale_in = reuse;
    }
    if pool.max_prepared.is_some_and(|most| most < pool.min_size) {
        return Err(validation(
            "MaxGroupPreparedCapacity must be greater than or equal to the warm pool's MinSize.",
        ));
    }
    group.warm_pool = Some(pool);
    check_policy(&group)?;
    ctx.tx.put(group);
    Ok(Done {})
}

/// Spot Instances cannot be stopped, and a pool holds instances, not units.
pub fn check_policy(group: &AutoScalingGroup) -> Result<()> {
    let policy = group.template.policy.as_deref();
    if group.warm_pool.is_some() && (policy.is_some_and(|p| p.has_spot()) || group.is_weighted()) {
        return Err(validation(
            "You can't add a warm pool to an Auto Scaling group that launches Spot Instances or whose instances have weights.",
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteWarmPool {
    auto_scaling_group_name: String,
    force_delete: Option<bool>,
}

/// The controller ends its instances, and then the pool is gone.
pub fn delete(ctx: &mut Ctx, input: DeleteWarmPool) -> Result<Done> {
    let mut group = (*group::find(ctx, &input.auto_scaling_group_name)?).clone();
    let Some(pool) = &mut group.warm_pool else {
        return Err(validation(format!(
            "No warm pool found for Auto Scaling group {}",
            group.name
        )));
    };
    let force = input.force_delete.unwrap_or(false);
    pool.deleting = Some(force || pool.deleting == Some(true));
    ctx.tx.put(group);
    Ok(Done {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WarmPoolConfiguration {
    max_group_prepared_capacity: Option<u32>,
    min_size: u32,
    pool_state: &'static str,
    status: Option<&'static str>,
    instance_reuse_policy: Option<InstanceReusePolicy>,
}

impl WarmPoolConfiguration {
    pub fn of(group: &AutoScalingGroup) -> Option<Self> {
        group.warm_pool.as_ref().map(|pool| Self {
            max_group_prepared_capacity: pool.max_prepared,
            min_size: pool.min_size,
            pool_state: if pool.running { "Running" } else { "Stopped" },
            status: pool.deleting.map(|_| "PendingDelete"),
            instance_reuse_policy: pool.reuse_on_scale_in.then_some(InstanceReusePolicy {
                reuse_on_scale_in: Some(true),
            }),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeWarmPool {
    auto_scaling_group_name: String,
    max_records: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribedPool {
    warm_pool_configuration: Option<WarmPoolConfiguration>,
    instances: Vec<Instance>,
    next_token: Option<String>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeWarmPool) -> Result<DescribedPool> {
    let group = group::find(ctx, &input.auto_scaling_group_name)?;
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let mut warm: Vec<_> = group.warm.iter().collect();
    warm.sort_by(|a, b| a.id.cmp(&b.id));
    let (found, next_token) = page.of(warm, |m| m.id.to_string());
    Ok(DescribedPool {
        warm_pool_configuration: WarmPoolConfiguration::of(&group),
        instances: found
            .into_iter()
            .map(|m| warm_instance(&group, m))
            .collect(),
        next_token,
    })
}
