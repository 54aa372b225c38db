//! Auto Scaling groups: made, changed, deleted. The controller launches and ends instances.

use super::cause;
use super::error::{Result, error, group_not_found, refuse, validation};
use super::setting::{self, CreateAutoScalingGroup, UpdateAutoScalingGroup};
use super::{
    check, instance_refresh, launch_configuration, lifecycle_hook, tag, target_group, template,
    traffic_source, zonal_shift,
};
use crate::Ctx;
use model::LaunchTemplateId;
use model::autoscaling::{AutoScalingGroup, GroupTemplate, LifecycleState};
use serde::Deserialize;
use std::sync::Arc;
use store::{ScopedName, Tx};

pub const MAX_GROUPS: usize = 500;

/// The caller's group of that name.
pub fn find(ctx: &Ctx, name: &str) -> Result<Arc<AutoScalingGroup>> {
    let key = ScopedName::new(&ctx.scope, name);
    let found = ctx.tx.auto_scaling_groups.get(&key);
    found.cloned().ok_or_else(|| group_not_found(name))
}

/// A group that can still be changed.
pub fn find_alive(ctx: &Ctx, name: &str) -> Result<AutoScalingGroup> {
    let group = find(ctx, name)?;
    if group.deleting.is_some() {
        return Err(validation(format!(
            "The AutoScalingGroup {name} is pending delete and cannot be changed."
        )));
    }
    Ok((*group).clone())
}

/// Every group of the caller, by name.
pub fn owned(ctx: &Ctx) -> impl Iterator<Item = &Arc<AutoScalingGroup>> {
    ctx.tx.auto_scaling_groups.of(&ctx.scope)
}

pub fn create(ctx: &mut Ctx, input: CreateAutoScalingGroup) -> Result<()> {
    let (mut given, initial) = input.split();
    let name = given.auto_scaling_group_name.clone();
    check::name(&name, "autoScalingGroupName")?;
    let key = ScopedName::new(&ctx.scope, &name);
    if ctx.tx.auto_scaling_groups.contains_key(&key) {
        return Err(error(
            "AlreadyExists",
            format!(
                "AutoScalingGroup by this name already exists - A group with the name {name} already exists"
            ),
        ));
    }
    if owned(ctx).count() >= MAX_GROUPS {
        return Err(error(
            "LimitExceeded",
            format!("You have already reached the limit of {MAX_GROUPS} Auto Scaling groups."),
        ));
    }
    let classic = initial
        .load_balancer_names
        .filter(|names| !names.is_empty());
    refuse(&classic, "LoadBalancerNames (Classic Load Balancers)")?;
    for (size, at) in [(given.min_size, "minSize"), (given.max_size, "maxSize")] {
        if size.is_none() {
            return Err(validation(format!(
                "1 validation error detected: Value null at '{at}' failed to satisfy constraint: Member must not be null"
            )));
        }
    }
    match (&initial.instance_id, has_source(&given)) {
        (Some(_), true) | (None, false) => return Err(template::one_source()),
        (Some(id), false) => {
            launch_configuration::create_from_instance(ctx, &name, id)?;
            given.launch_configuration_name = Some(name.clone());
        }
        (None, true) => {}
    }

    // Taken from the call, which must name one.
    let unnamed = GroupTemplate {
        id: LaunchTemplateId::random(),
        name: String::new(),
        version: String::new(),
        policy: None,
        configuration: None,
    };
    let uuid = uuid::Uuid::new_v4().to_string();
    let mut group = AutoScalingGroup::new(ctx.scope.clone(), &uuid, &name, unnamed, ctx.now);
    let mut sizes = setting::sizes(&given, &group)?;
    if given.desired_capacity.is_none() {
        sizes.2 = sizes.0;
    }
    let shifts = zonal_shift::is_to_be_checked(&given);
    setting::apply(ctx, given, &mut group)?;
    if group.subnets.is_empty() {
        return Err(validation(
            "At least one Availability Zone or VPC Subnet is required.",
        ));
    }
    group.target_groups = initial.target_group_arns.unwrap_or_default();
    for source in initial.traffic_sources.unwrap_or_default() {
        group
            .target_groups
            .push(traffic_source::target_group(source)?);
    }
    group.target_groups.sort();
    group.target_groups.dedup();
    target_group::check(ctx, &group, &group.target_groups)?;
    if shifts {
        zonal_shift::check_target_groups(&ctx.tx, &group)?;
    }
    group.tags = tag::of_new_group(&name, initial.tags.unwrap_or_default())?;
    for hook in initial
        .lifecycle_hook_specification_list
        .unwrap_or_default()
    {
        lifecycle_hook::put_in(ctx, &mut group, hook)?;
    }
    (group.min_size, group.max_size) = (sizes.0, sizes.1);
    let why = "a user request created an AutoScalingGroup";
    cause::change_desired(&mut group, sizes.2, why, ctx.now);
    ctx.tx.put(group);
    Ok(())
}

fn has_source(given: &UpdateAutoScalingGroup) -> bool {
    given.launch_template.is_some()
        || given.mixed_instances_policy.is_some()
        || given.launch_configuration_name.is_some()
}

pub fn update(ctx: &mut Ctx, input: UpdateAutoScalingGroup) -> Result<()> {
    let key = ScopedName::new(&ctx.scope, &input.auto_scaling_group_name);
    if !ctx.tx.auto_scaling_groups.contains_key(&key) {
        // AWS's words for this call alone.
        return Err(validation("AutoScalingGroup name not found - null"));
    }
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let (min, max, desired) = setting::sizes(&input, &group)?;
    let shifts = zonal_shift::is_to_be_checked(&input);
    setting::apply(ctx, input, &mut group)?;
    if shifts {
        zonal_shift::check_target_groups(&ctx.tx, &group)?;
    }
    instance_refresh::check_template_change(ctx, &group)?;
    target_group::check(ctx, &group, &group.target_groups)?;
    (group.min_size, group.max_size) = (min, max);
    let why = format!(
        "a user request update of AutoScalingGroup constraints to min: {min}, max: {max}, desired: {desired}"
    );
    cause::change_desired(&mut group, desired, &why, ctx.now);
    // What was changed may be why launches failed.
    (group.launch_failures, group.retry_at) = (0, None);
    group.failing_since = None;
    ctx.tx.put(group);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAutoScalingGroup {
    auto_scaling_group_name: String,
    force_delete: Option<bool>,
}

/// Marks the group; the controller ends its instances and then removes it.
pub fn delete(ctx: &mut Ctx, input: DeleteAutoScalingGroup) -> Result<()> {
    let name = input.auto_scaling_group_name;
    let force = input.force_delete.unwrap_or(false);
    let mut group = (*find(ctx, &name)?).clone();
    let protected = match group.deletion_protection.as_str() {
        "prevent-all-deletion" => true,
        "prevent-force-deletion" => force,
        _ => false,
    };
    if protected {
        return Err(validation(format!(
            "The AutoScalingGroup {name} has deletion protection ({}). Change DeletionProtection before deleting it.",
            group.deletion_protection
        )));
    }
    if !force && !group.instances.is_empty() {
        return Err(error(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.",
        ));
    }
    if !force && group.warm_pool.is_some() {
        return Err(error(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while it has a warm pool. Delete the warm pool first.",
        ));
    }
    let begun = |tx: &Tx| {
        tx.activities
            .of(group.arn.as_str())
            .any(|a| a.ended.is_none())
    };
    if !force && begun(&ctx.tx) {
        return Err(error(
            "ScalingActivityInProgress",
            "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.",
        ));
    }
    group.deleting = group.deleting.or(Some(ctx.now));
    // Standby holds an instance out of the controller's sight; deletion does not.
    for member in &mut group.instances {
        if member.lifecycle == LifecycleState::Standby {
            member.lifecycle = LifecycleState::InService;
        }
    }
    let why = format!("a user request force deleted AutoScalingGroup {name}");
    (group.min_size, group.max_size) = (0, 0);
    cause::change_desired(&mut group, 0, &why, ctx.now);
    ctx.tx.put(group);
    Ok(())
}
