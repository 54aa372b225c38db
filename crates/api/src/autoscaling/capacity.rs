//! Setting the desired capacity by hand.

use super::error::{Result, error, validation};
use super::group::find_alive;
use super::setting::max_size;
use super::{cause, check};
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetDesiredCapacity {
    auto_scaling_group_name: String,
    desired_capacity: i64,
    honor_cooldown: Option<bool>,
}

pub fn set(ctx: &mut Ctx, input: SetDesiredCapacity) -> Result<()> {
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let desired = {
        let most = max_size(group.desired_capacity_type.as_deref());
        check::within(input.desired_capacity, "desiredCapacity", 0, most)?
    };
    if group.max_size < desired {
        return Err(validation(format!(
            "New SetDesiredCapacity value {desired} is above max value {} for the AutoScalingGroup.",
            group.max_size
        )));
    }
    if desired < group.min_size {
        return Err(validation(format!(
            "New SetDesiredCapacity value {desired} is below min value {} for the AutoScalingGroup.",
            group.min_size
        )));
    }
    if input.honor_cooldown.unwrap_or(false) {
        check_cooldown(ctx, &group, group.default_cooldown)?;
    }
    let why = "a user request explicitly set group desired capacity";
    cause::change_desired(&mut group, desired, why, ctx.now);
    ctx.tx.put(group);
    Ok(())
}

/// Refuses while an activity is under way or the cooldown (seconds) of the last one lasts.
pub fn check_cooldown(ctx: &Ctx, group: &AutoScalingGroup, cooldown: u32) -> Result<()> {
    let mut activities = ctx.tx.activities.of(group.arn.as_str());
    let busy = activities.find(|a| a.ended.is_none());
    if let Some(activity) = busy {
        return Err(error(
            "ScalingActivityInProgress",
            format!(
                "Scaling activity {} is in progress and blocks this action",
                activity.id
            ),
        ));
    }
    let cooldown = ctx.cloud.speed.wait(cooldown);
    if group
        .last_scaling
        .is_some_and(|last| ctx.now < last + cooldown)
    {
        return Err(error(
            "ScalingActivityInProgress",
            "The group is in its cooldown period, which blocks this action",
        ));
    }
    Ok(())
}
