//! Standby: members that stay in the group but neither serve nor count.
//!
//! They stop counting at once; the controller has them in standby once they have drained.

use super::activity::{self, Activities, New};
use super::attachment::{LeavingInstances, check_count, check_leaving};
use super::error::{Result, validation};
use super::group::find_alive;
use super::{cause, member};
use crate::Ctx;
use model::autoscaling::{AutoScalingGroup, LifecycleState};
use model::instance::{Instance, InstanceState};
use serde::Deserialize;
use store::ScopedName;

pub fn enter(ctx: &mut Ctx, input: LeavingInstances) -> Result<Activities> {
    let (group, ids) = check_leaving(ctx, &input)?;
    let (mut capacity, mut units) = (group.units(), 0);
    let mut activities = Vec::with_capacity(ids.len());
    for id in ids {
        let member = member::of(&group, id.as_str())?;
        let (lifecycle, weight) = (member.lifecycle, member.weight);
        units += weight;
        if lifecycle != LifecycleState::InService {
            return Err(validation(format!(
                "The instance {id} is not in InService, but {}.",
                lifecycle.name()
            )));
        }
        member::deregister(&mut ctx.tx, &id, ctx.now);
        let sentence = format!(
            "instance {id} was moved to standby in response to a user request, shrinking the capacity from {capacity} to {}.",
            capacity.saturating_sub(weight)
        );
        capacity = capacity.saturating_sub(weight);
        activities.push(activity::add(
            ctx,
            &group,
            New {
                description: format!("Moving EC2 instance to Standby: {id}"),
                cause: cause::at(ctx.now, sentence),
                instance: &id,
                status: "InProgress",
                nth: activities.len(),
            },
        ));
        let activity = activities.last().map(|a| a.id.clone());
        member::modify(ctx, &group.name, &id, |m| {
            m.lifecycle = LifecycleState::EnteringStandby;
            m.activity = activity;
            m.seen_healthy = false;
        });
    }
    if input.should_decrement_desired_capacity {
        member::decrement_desired(ctx, &group, units);
    }
    Ok(activity::some(&activities))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExitStandby {
    #[serde(default)]
    instance_ids: Vec<String>,
    auto_scaling_group_name: String,
}

/// Back to pending: the controller puts the member into service and registers it.
pub fn exit(ctx: &mut Ctx, input: ExitStandby) -> Result<Activities> {
    check_count(&input.instance_ids)?;
    let group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let count = input.instance_ids.len();
    let mut units = 0;
    for id in &input.instance_ids {
        units += member::of(&group, id)?.weight;
    }
    let desired = group.desired_capacity().saturating_add(units);
    if group.max_size < desired {
        return Err(validation(format!(
            "AutoScalingGroup update failed: moving {count} instance(s) out of Standby would bring the desired capacity to {desired}, above the maximum size {}.",
            group.max_size
        )));
    }
    let mut capacity = group.units();
    let mut activities = Vec::with_capacity(input.instance_ids.len());
    for id in &input.instance_ids {
        let member = member::of(&group, id)?;
        if member.lifecycle != LifecycleState::Standby {
            return Err(validation(format!("The instance {id} is not in Standby.")));
        }
        let instance = ctx.tx.get::<Instance>(&member.id);
        if instance.is_none_or(|i| i.state != InstanceState::Running) {
            return Err(validation(format!(
                "Instance {id} is not in the running state."
            )));
        }
        let sentence = format!(
            "instance {id} was moved out of standby in response to a user request, increasing the capacity from {capacity} to {}.",
            capacity + member.weight
        );
        capacity += member.weight;
        let activity = activity::add(
            ctx,
            &group,
            New {
                description: format!("Moving EC2 instance out of Standby: {id}"),
                cause: cause::at(ctx.now, sentence),
                instance: &member.id,
                status: "InProgress",
                nth: activities.len(),
            },
        );
        member::modify(ctx, &group.name, &member.id, |m| {
            m.lifecycle = LifecycleState::Pending;
            m.past_hooks = true;
            m.activity = Some(activity.id.clone());
            m.in_service = None;
        });
        activities.push(activity);
    }
    let key = ScopedName::new(&ctx.scope, &group.name);
    ctx.tx
        .modify::<AutoScalingGroup>(&key, |g| g.set_desired_capacity(desired));
    Ok(activity::some(&activities))
}
