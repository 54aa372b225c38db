//! Instances that join or leave a group while they run.
//!
//! A member that leaves stops counting at once, and is held as `Detaching` until the
//! controller sees that its connections have drained.

use super::activity::{self, Activities, New};
use super::error::{Result, validation};
use super::group::find_alive;
use super::{cause, member};
use crate::Ctx;
use model::autoscaling::{AutoScalingGroup, GroupInstance, LifecycleState};
use model::instance::{Instance, InstanceState};
use model::{InstanceId, LaunchTemplateId};
use serde::Deserialize;

const GROUP_TAG: &str = "aws:autoscaling:groupName";
/// Instances of one call.
const MAX_INSTANCES: usize = 20;

pub fn check_count(ids: &[String]) -> Result<()> {
    if ids.is_empty() || MAX_INSTANCES < ids.len() {
        return Err(validation(format!(
            "1 to {MAX_INSTANCES} instance IDs can be given in one call."
        )));
    }
    match ids
        .iter()
        .enumerate()
        .find(|(at, id)| ids[..*at].contains(id))
    {
        Some((_, twice)) => Err(validation(format!("The instance {twice} is given twice."))),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachInstances {
    #[serde(default)]
    instance_ids: Vec<String>,
    auto_scaling_group_name: String,
}

pub fn attach(ctx: &mut Ctx, input: AttachInstances) -> Result<()> {
    check_count(&input.instance_ids)?;
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let count = input.instance_ids.len();
    let units = |id: &String| {
        let parsed = id.parse::<InstanceId>().ok();
        let instance = parsed.and_then(|id| ctx.tx.get::<Instance>(&id));
        instance.map_or(1, |i| group.weight_of(&group.template, &i.instance_type))
    };
    let units: u32 = input.instance_ids.iter().map(units).sum();
    let most = group.desired_capacity().saturating_add(units);
    if group.max_size < most {
        return Err(validation(format!(
            "AutoScalingGroup update failed: attaching {count} instance(s) would bring the desired capacity to {most}, above the maximum size {}.",
            group.max_size
        )));
    }
    for (nth, id) in input.instance_ids.iter().enumerate() {
        let instance = attachable(ctx, &group, id)?;
        let weight = group.weight_of(&group.template, &instance.instance_type);
        let (from, id) = (group.desired_capacity(), instance.id.clone());
        let desired = from.saturating_add(weight);
        let sentence = format!(
            "an instance was attached in response to a user request, increasing the capacity from {from} to {desired}.",
        );
        // The member is pending until the controller sees it run.
        let activity = activity::add(
            ctx,
            &group,
            New {
                description: format!("Attaching an existing EC2 instance: {id}"),
                cause: cause::at(ctx.now, sentence),
                instance: &id,
                status: "InProgress",
                nth,
            },
        );
        group.set_desired_capacity(desired);
        group
            .instances
            .push(new_member(ctx, &group, &instance, activity.id));
        let name = group.name.clone();
        ctx.tx.modify::<Instance>(&id, |i| {
            i.tags.insert(GROUP_TAG.to_owned(), name);
        });
    }
    ctx.tx.put(group);
    Ok(())
}

fn attachable(ctx: &Ctx, group: &AutoScalingGroup, id: &str) -> Result<Instance> {
    let parsed = id.parse::<InstanceId>().ok();
    let found = parsed.and_then(|id| ctx.tx.get::<Instance>(&id));
    let Some(instance) = found.filter(|i| i.scope == ctx.scope) else {
        return Err(validation(format!(
            "Invalid Instance ID(s): [{id}] specified"
        )));
    };
    if instance.state != InstanceState::Running {
        return Err(validation(format!(
            "Instance {id} is not in the running state."
        )));
    }
    let mut groups = super::group::owned(ctx);
    if let Some(other) = groups.find(|g| g.instances.iter().any(|m| m.id == instance.id)) {
        return Err(validation(format!(
            "Instance {id} is already part of AutoScalingGroup:{}",
            other.name
        )));
    }
    if !group.zones.contains(&instance.zone) {
        return Err(validation(format!(
            "Instance {id} is in the availability zone {}, which is none of the group's.",
            instance.zone
        )));
    }
    let subnet = group.subnets.first().and_then(|id| ctx.tx.subnets.get(id));
    if subnet.is_some_and(|s| s.vpc != instance.vpc) {
        return Err(validation(format!(
            "Instance {id} is not in the VPC of the group's subnets."
        )));
    }
    Ok(instance.clone())
}

fn new_member(
    ctx: &Ctx,
    group: &AutoScalingGroup,
    instance: &Instance,
    activity: String,
) -> GroupInstance {
    let name = |id: &LaunchTemplateId| {
        let template = ctx.tx.launch_templates.get(id);
        template.map(|t| t.name.clone()).unwrap_or_default()
    };
    let template = match &instance.launch_template {
        Some((id, version)) => (id.clone(), name(id), *version),
        None => (group.template.id.clone(), String::new(), 0),
    };
    GroupInstance {
        id: instance.id.clone(),
        zone: instance.zone.clone(),
        instance_type: instance.instance_type.clone(),
        lifecycle: LifecycleState::Pending,
        healthy: true,
        unhealthy_because: None,
        protected_from_scale_in: group.new_instances_protected_from_scale_in,
        template,
        configuration: None,
        weight: group.weight_of(&group.template, &instance.instance_type),
        spot: instance.spot.is_some(),
        in_service: None,
        activity: Some(activity),
        seen_healthy: false,
        rebalancing: false,
        replaces: None,
        actions: Vec::new(),
        to_pool: false,
        warmed: false,
        past_hooks: true,
        left_out: Vec::new(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeavingInstances {
    #[serde(default)]
    pub instance_ids: Vec<String>,
    pub auto_scaling_group_name: String,
    pub should_decrement_desired_capacity: bool,
}

/// Checks a call that takes members out of service: all must be in service.
pub fn check_leaving(
    ctx: &Ctx,
    input: &LeavingInstances,
) -> Result<(AutoScalingGroup, Vec<InstanceId>)> {
    check_count(&input.instance_ids)?;
    let group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let mut ids = Vec::with_capacity(input.instance_ids.len());
    let mut units = 0;
    for id in &input.instance_ids {
        let member = member::of(&group, id)?;
        units += member.weight;
        ids.push(member.id.clone());
    }
    if input.should_decrement_desired_capacity {
        member::check_decrement(&group, units)?;
    }
    Ok((group, ids))
}

pub fn detach(ctx: &mut Ctx, input: LeavingInstances) -> Result<Activities> {
    let (group, ids) = check_leaving(ctx, &input)?;
    let (mut capacity, mut units) = (group.units(), 0);
    let mut activities = Vec::with_capacity(ids.len());
    for id in ids {
        let member = member::of(&group, id.as_str())?;
        units += member.weight;
        let stands = matches!(
            member.lifecycle,
            LifecycleState::InService | LifecycleState::Standby
        );
        if !stands {
            return Err(validation(format!(
                "The instance {id} is not in InService or Standby, but {}.",
                member.lifecycle.name()
            )));
        }
        member::deregister(&mut ctx.tx, &id, ctx.now);
        let sentence = format!(
            "instance {id} was detached in response to a user request, shrinking the capacity from {capacity} to {}.",
            capacity.saturating_sub(member.weight)
        );
        if member.lifecycle == LifecycleState::InService {
            capacity = capacity.saturating_sub(member.weight);
        }
        let activity = activity::add(
            ctx,
            &group,
            New {
                description: format!("Detaching EC2 instance: {id}"),
                cause: cause::at(ctx.now, sentence),
                instance: &id,
                status: "InProgress",
                nth: activities.len(),
            },
        );
        member::modify(ctx, &group.name, &id, |m| {
            m.lifecycle = LifecycleState::Detaching;
            m.activity = Some(activity.id.clone());
        });
        activities.push(activity);
    }
    if input.should_decrement_desired_capacity {
        member::decrement_desired(ctx, &group, units);
    }
    Ok(activity::some(&activities))
}
