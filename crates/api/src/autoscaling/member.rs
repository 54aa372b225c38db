//! Members of a group: their health, their protection, their end.

use super::activity::{self, New};
use super::error::{Result, instance_not_found, validation};
use super::group::{find_alive, owned};
use super::{Done, cause, check};
use crate::Ctx;
use model::autoscaling::{AutoScalingGroup, GroupInstance, LifecycleState, UnhealthyBecause};
use model::elbv2::{TargetGroup, TargetHealth};
use model::instance::{Instance, InstanceState};
use model::{InstanceId, Timestamp};
use serde::Deserialize;
use store::{ScopedName, TargetHealthKey, Tx};

const HEALTH: &[&str] = &["Healthy", "Unhealthy"];

/// The group that holds an instance, and its part there: a member, or one of the warm pool.
fn find(ctx: &Ctx, id: &str) -> Result<(AutoScalingGroup, GroupInstance)> {
    for group in owned(ctx) {
        if let Some(member) = group.held().find(|m| m.id.as_str() == id) {
            return Ok(((**group).clone(), member.clone()));
        }
    }
    Err(instance_not_found(id))
}

/// The member of that id.
pub fn of<'a>(group: &'a AutoScalingGroup, id: &str) -> Result<&'a GroupInstance> {
    let mut all = group.instances.iter();
    all.find(|m| m.id.as_str() == id).ok_or_else(|| {
        validation(format!(
            "The instance {id} is not part of Auto Scaling group {}.",
            group.name
        ))
    })
}

/// Changes a member in the store, or one of the warm pool.
pub fn modify(ctx: &mut Ctx, group: &str, id: &InstanceId, f: impl FnOnce(&mut GroupInstance)) {
    let key = ScopedName::new(&ctx.scope, group);
    ctx.tx.modify::<AutoScalingGroup>(&key, |g| {
        if let Some(member) = g.held_mut().find(|m| m.id == *id) {
            f(member);
        }
    });
}

/// Takes an instance out of one target group: it drains, or is gone if nothing runs.
/// True if it drains.
pub fn deregister_from(tx: &mut Tx, id: &InstanceId, arn: &str, now: Timestamp) -> bool {
    let key = arn.to_owned();
    let Some(target_group) = tx.get::<TargetGroup>(&key) else {
        return false;
    };
    let targets = target_group.targets.iter();
    let ports: Vec<u16> = targets
        .filter(|t| t.id == id.as_str())
        .map(|t| t.port)
        .collect();
    if ports.is_empty() {
        return false;
    }
    let running = tx
        .get::<Instance>(id)
        .is_some_and(|i| i.state == InstanceState::Running);
    tx.modify::<TargetGroup>(&key, |g| {
        if running {
            let mine = g.targets.iter_mut().filter(|t| t.id == id.as_str());
            mine.for_each(|t| t.draining = t.draining.or(Some(now)));
        } else {
            g.targets.retain(|t| t.id != id.as_str());
        }
    });
    for port in ports.into_iter().filter(|_| !running) {
        tx.remove::<TargetHealth>(&TargetHealthKey {
            target_group: key.clone(),
            target: id.to_string(),
            port,
        });
    }
    running
}

/// Takes an instance out of every target group; true if it drains in one.
pub fn deregister(tx: &mut Tx, id: &InstanceId, now: Timestamp) -> bool {
    let arns: Vec<String> = tx.target_groups.keys().cloned().collect();
    // Counted, so that one which drains does not keep the others from being asked.
    let drains = arns.iter().filter(|arn| deregister_from(tx, id, arn, now));
    drains.count() > 0
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetInstanceHealth {
    instance_id: String,
    health_status: String,
    should_respect_grace_period: Option<bool>,
}

pub fn set_health(ctx: &mut Ctx, input: SetInstanceHealth) -> Result<()> {
    check::one_of(&input.health_status, "healthStatus", HEALTH)?;
    let (group, member) = find(ctx, &input.instance_id)?;
    let healthy = input.health_status == "Healthy";
    let warm = group.warm.iter().any(|m| m.id == member.id);
    let grace = group.grace_of(&member, ctx.cloud.speed);
    let in_grace = member
        .in_service
        .is_none_or(|since| ctx.now < since + grace);
    // In the pool nothing is checked that could need grace.
    if !healthy && in_grace && !warm && input.should_respect_grace_period.unwrap_or(true) {
        return Ok(());
    }
    modify(ctx, &group.name, &member.id, |m| {
        m.healthy = healthy;
        m.unhealthy_because = (!healthy).then_some(UnhealthyBecause::User);
    });
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetInstanceProtection {
    instance_ids: Vec<String>,
    auto_scaling_group_name: String,
    protected_from_scale_in: bool,
}

pub fn set_protection(ctx: &mut Ctx, input: SetInstanceProtection) -> Result<Done> {
    let group = find_alive(ctx, &input.auto_scaling_group_name)?;
    for id in &input.instance_ids {
        let id = of(&group, id)?.id.clone();
        modify(ctx, &group.name, &id, |m| {
            m.protected_from_scale_in = input.protected_from_scale_in;
        });
    }
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminateInstanceInAutoScalingGroup {
    instance_id: String,
    should_decrement_desired_capacity: bool,
}

/// Starts the member's end as the controller would; the controller carries on from there.
pub fn terminate(
    ctx: &mut Ctx,
    input: TerminateInstanceInAutoScalingGroup,
) -> Result<activity::OneActivity> {
    let (group, member) = find(ctx, &input.instance_id)?;
    if member.lifecycle.is_terminating() {
        let under_way = member.activity.and_then(|id| ctx.tx.activities.get(&id));
        return match under_way {
            Some(activity) => Ok(activity::one(activity)),
            None => Err(instance_not_found(&input.instance_id)),
        };
    }
    let decrement = input.should_decrement_desired_capacity;
    let warm = group.warm.iter().any(|m| m.id == member.id);
    if decrement && warm {
        return Err(validation(format!(
            "The instance {} is in the warm pool and no part of the desired capacity: ShouldDecrementDesiredCapacity must be false.",
            member.id
        )));
    }
    if decrement {
        check_decrement(&group, member.weight)?;
    }
    let capacity = group.units();
    let outcome = if decrement {
        format!(
            "shrinking the capacity from {capacity} to {}.",
            capacity.saturating_sub(member.weight)
        )
    } else {
        "keeping the desired capacity.".to_owned()
    };
    let sentence =
        format!("an instance was taken out of service in response to a user request, {outcome}");
    let draining = deregister(&mut ctx.tx, &member.id, ctx.now);
    activity::cancel(ctx, &member);
    let activity = activity::add(
        ctx,
        &group,
        New {
            description: format!("Terminating EC2 instance: {}", member.id),
            cause: cause::at(ctx.now, sentence),
            instance: &member.id,
            status: if draining {
                "WaitingForELBConnectionDraining"
            } else {
                "InProgress"
            },
            nth: 0,
        },
    );
    modify(ctx, &group.name, &member.id, |m| {
        m.lifecycle = LifecycleState::Terminating;
        m.actions.clear();
        m.past_hooks = false;
        m.activity = Some(activity.id.clone());
    });
    if decrement {
        decrement_desired(ctx, &group, member.weight);
    }
    Ok(activity::one(&activity))
}

/// Refuses to bring the desired capacity below the minimum.
pub fn check_decrement(group: &AutoScalingGroup, by: u32) -> Result<()> {
    let after = group.desired_capacity().checked_sub(by);
    if after.is_some_and(|after| group.min_size <= after) {
        return Ok(());
    }
    Err(validation(format!(
        "Currently, desiredSize equals minSize ({}). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.",
        group.min_size
    )))
}

/// The instances leave by the same call, so no later activity quotes this change.
pub fn decrement_desired(ctx: &mut Ctx, group: &AutoScalingGroup, by: u32) {
    let key = ScopedName::new(&ctx.scope, &group.name);
    ctx.tx.modify::<AutoScalingGroup>(&key, |g| {
        g.set_desired_capacity(g.desired_capacity().saturating_sub(by));
    });
}
