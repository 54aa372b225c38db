//! `ExecutePolicy`: checked here, run by the controller that runs policies for alarms.

use super::capacity::check_cooldown;
use super::error::{Result, validation};
use super::group;
use super::policy::owned;
use crate::Ctx;
use model::autoscaling::{PolicyExecution, PolicyKind, ScalingPolicy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecutePolicy {
    auto_scaling_group_name: Option<String>,
    policy_name: String,
    honor_cooldown: Option<bool>,
    metric_value: Option<f64>,
    breach_threshold: Option<f64>,
}

pub fn execute(ctx: &mut Ctx, input: ExecutePolicy) -> Result<()> {
    let name = &input.policy_name;
    let of = input.auto_scaling_group_name.as_deref();
    if of.is_none() && !name.starts_with("arn:") {
        return Err(validation(
            "AutoScalingGroupName is required where the policy is given by its name.",
        ));
    }
    let mut found = owned(ctx, of).into_iter();
    let policy = found.find(|p| p.name == *name || p.arn == *name);
    let policy = policy
        .cloned()
        .ok_or_else(|| validation(format!("PolicyName not found - Policy {name} not found")))?;
    let group = group::find_alive(ctx, &policy.group)?;
    let honor_cooldown = input.honor_cooldown.unwrap_or(false);
    let compares = input.metric_value.is_some() || input.breach_threshold.is_some();
    match &policy.kind {
        PolicyKind::TargetTracking { .. } => {
            return Err(validation(
                "Executing a policy of type TargetTrackingScaling is not supported.",
            ));
        }
        PolicyKind::Simple { cooldown, .. } => {
            if compares {
                return Err(validation(
                    "MetricValue and BreachThreshold are only supported with policies of type StepScaling.",
                ));
            }
            if honor_cooldown {
                check_cooldown(ctx, &group, cooldown.unwrap_or(group.default_cooldown))?;
            }
        }
        PolicyKind::Step { .. } => {
            let finite = |n: Option<f64>| n.is_some_and(f64::is_finite);
            if !finite(input.metric_value) || !finite(input.breach_threshold) {
                return Err(validation(
                    "MetricValue and BreachThreshold are required with policies of type StepScaling.",
                ));
            }
            if honor_cooldown {
                return Err(validation(
                    "HonorCooldown is only supported with policies of type SimpleScaling.",
                ));
            }
        }
    }
    ctx.tx.modify::<ScalingPolicy>(&policy.arn, |p| {
        p.executions.push(PolicyExecution {
            value: input.metric_value,
            threshold: input.breach_threshold,
            honor_cooldown,
        });
    });
    Ok(())
}
