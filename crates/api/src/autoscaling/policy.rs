//! Scaling policies: simple, step and target tracking. Alarms set them off. Predictive ones are refused:
//! they forecast from days of a group's metrics, which no cloud here lives long enough to have.

use super::error::{Result, refuse, unsupported, validation};
use super::group::find_alive;
use super::kind::ADJUSTMENT_TYPES;
use super::policy_shape::{Alarm, StepAdjustment, alarms_of};
use super::target_tracking::{self, TargetTrackingConfiguration};
use super::{check, group};
use crate::Ctx;
use crate::cloudwatch;
use model::autoscaling::{PolicyKind, ScalingPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

const TYPES: &[&str] = &[
    "SimpleScaling",
    "StepScaling",
    "TargetTrackingScaling",
    "PredictiveScaling",
];
const AGGREGATIONS: &[&str] = &["Minimum", "Maximum", "Average"];
/// `https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-quotas.html`
const MAX_POLICIES: usize = 50;
const MAX_STEPS: usize = 20;
const DAY: u32 = 86_400;
const MOST: u32 = i32::MAX as u32;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutScalingPolicy {
    auto_scaling_group_name: String,
    policy_name: String,
    policy_type: Option<String>,
    adjustment_type: Option<String>,
    min_adjustment_step: Option<i64>,
    min_adjustment_magnitude: Option<i64>,
    scaling_adjustment: Option<i32>,
    cooldown: Option<i64>,
    metric_aggregation_type: Option<String>,
    step_adjustments: Option<Vec<StepAdjustment>>,
    estimated_instance_warmup: Option<i64>,
    target_tracking_configuration: Option<TargetTrackingConfiguration>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "wire::refused")]
    predictive_scaling_configuration: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Put {
    #[serde(rename = "PolicyARN")]
    policy_arn: String,
    alarms: Vec<Alarm>,
}

/// The caller's policies of that group, or of all; by group and name.
pub fn owned<'a>(ctx: &'a Ctx, group: Option<&'a str>) -> Vec<&'a Arc<ScalingPolicy>> {
    let all = ctx.tx.scaling_policies.of(&ctx.scope);
    let mut mine: Vec<_> = all.filter(|p| group.is_none_or(|g| p.group == g)).collect();
    mine.sort_by(|a, b| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
    mine
}

pub fn put(ctx: &mut Ctx, input: PutScalingPolicy) -> Result<Put> {
    let group = find_alive(ctx, &input.auto_scaling_group_name)?;
    check::name(&input.policy_name, "policyName")?;
    let name = input.policy_name.clone();
    let enabled = input.enabled.unwrap_or(true);
    let kind = kind(ctx, input)?;
    let before = owned(ctx, Some(&group.name));
    let same = before.iter().find(|p| p.name == name);
    if same.is_none() && before.len() >= MAX_POLICIES {
        return Err(super::error::error(
            "LimitExceeded",
            format!("A group can have at most {MAX_POLICIES} scaling policies."),
        ));
    }
    let mut policy = ScalingPolicy {
        arn: match same {
            Some(same) => same.arn.clone(),
            None => ctx.scope.arn(
                "autoscaling",
                format_args!(
                    "scalingPolicy:{}:autoScalingGroupName/{}:policyName/{name}",
                    uuid::Uuid::new_v4(),
                    group.name
                ),
            ),
        },
        scope: ctx.scope.clone(),
        group: group.name.clone(),
        name,
        enabled,
        kind,
        alarms: same.map(|p| p.alarms.clone()).unwrap_or_default(),
        executions: Vec::new(),
    };
    target_tracking::set_alarms(ctx, &mut policy);
    let alarms = alarms_of(ctx, &policy.arn);
    let policy_arn = policy.arn.clone();
    ctx.tx.put(policy);
    Ok(Put { policy_arn, alarms })
}

fn kind(ctx: &Ctx, input: PutScalingPolicy) -> Result<PolicyKind> {
    refuse(&input.min_adjustment_step, "MinAdjustmentStep")?;
    let policy_type = input.policy_type.as_deref().unwrap_or("SimpleScaling");
    check::one_of(policy_type, "policyType", TYPES)?;
    if policy_type == "PredictiveScaling" {
        return Err(unsupported(
            "The policy type PredictiveScaling, which forecasts from days of metrics, is",
        ));
    }
    let warmup = seconds(input.estimated_instance_warmup, "estimatedInstanceWarmup")?;
    let steps = input.step_adjustments.filter(|steps| !steps.is_empty());
    let misplaced = |what: &str| {
        validation(format!(
            "{what} is not a supported parameter for policies of type {policy_type}"
        ))
    };
    // What belongs to one type of policy is refused with the others; a 0 is a
    // placeholder that AWS takes anywhere, and Terraform sends it on updates.
    let tracking = policy_type == "TargetTrackingScaling";
    let simple = policy_type == "SimpleScaling";
    let step = policy_type == "StepScaling";
    let given = [
        (
            input.scaling_adjustment.unwrap_or(0) != 0 && !simple,
            "ScalingAdjustment",
        ),
        (input.cooldown.unwrap_or(0) != 0 && !simple, "Cooldown"),
        (steps.is_some() && !step, "StepAdjustments"),
        (
            input.metric_aggregation_type.is_some() && !step,
            "MetricAggregationType",
        ),
        (
            input.adjustment_type.is_some() && tracking,
            "AdjustmentType",
        ),
        (
            warmup.unwrap_or(0) != 0 && simple,
            "EstimatedInstanceWarmup",
        ),
        (
            input.target_tracking_configuration.is_some() && !tracking,
            "TargetTrackingConfiguration",
        ),
        (
            input.predictive_scaling_configuration.is_some(),
            "PredictiveScalingConfiguration",
        ),
    ];
    if let Some((_, what)) = given.iter().find(|(wrong, _)| *wrong) {
        return Err(misplaced(what));
    }
    if tracking {
        let Some(configuration) = input.target_tracking_configuration else {
            return Err(validation("TargetTrackingConfiguration is required."));
        };
        return target_tracking::kind(ctx, configuration, warmup);
    }
    let Some(adjustment_type) = input.adjustment_type else {
        return Err(validation("Adjustment type is required."));
    };
    check::one_of(&adjustment_type, "adjustmentType", &ADJUSTMENT_TYPES)?;
    let min_magnitude = input.min_adjustment_magnitude;
    if min_magnitude.is_some() && adjustment_type != "PercentChangeInCapacity" {
        return Err(validation(
            "MinAdjustmentMagnitude is only supported with the adjustment type PercentChangeInCapacity.",
        ));
    }
    let min_magnitude = min_magnitude
        .map(|n| check::within(n, "minAdjustmentMagnitude", 0, MOST))
        .transpose()?;
    let exact = adjustment_type == "ExactCapacity";
    let check_sign = |adjustment: i32| {
        if exact && adjustment < 0 {
            return Err(validation(
                "The adjustment must not be negative with the adjustment type ExactCapacity.",
            ));
        }
        Ok(adjustment)
    };
    if simple {
        let Some(adjustment) = input.scaling_adjustment else {
            return Err(validation("Scaling adjustment is required."));
        };
        return Ok(PolicyKind::Simple {
            adjustment: check_sign(adjustment)?,
            adjustment_type,
            min_magnitude,
            cooldown: seconds(input.cooldown, "cooldown")?,
        });
    }
    let aggregation = input.metric_aggregation_type;
    let aggregation = aggregation.unwrap_or_else(|| "Average".into());
    check::one_of(&aggregation, "metricAggregationType", AGGREGATIONS)?;
    let mut checked = Vec::new();
    for step in steps.unwrap_or_default() {
        check_sign(step.scaling_adjustment)?;
        checked.push(step.bounds());
    }
    Ok(PolicyKind::Step {
        steps: check_steps(checked)?,
        adjustment_type,
        min_magnitude,
        warmup,
        aggregation,
    })
}

fn seconds(given: Option<i64>, at: &str) -> Result<Option<u32>> {
    given
        .map(|n| check::within(n, at, 0, 365 * DAY))
        .transpose()
}

type Step = (Option<f64>, Option<f64>, i32);

/// Sorted; without gaps or overlaps, so at most one end each way is open.
fn check_steps(mut steps: Vec<Step>) -> Result<Vec<Step>> {
    let wrong = |why: &str| {
        Err(validation(format!(
            "Step adjustments are not valid: {why}."
        )))
    };
    if steps.is_empty() {
        return Err(validation("At least one StepAdjustment must be specified."));
    }
    if MAX_STEPS < steps.len() {
        return wrong("there are too many");
    }
    let low = |s: &Step| s.0.unwrap_or(f64::NEG_INFINITY);
    let high = |s: &Step| s.1.unwrap_or(f64::INFINITY);
    let mut bounds = steps.iter().flat_map(|s| [s.0, s.1]).flatten();
    if !bounds.all(f64::is_finite) {
        return wrong("a bound is no number");
    }
    steps.sort_by(|a, b| low(a).total_cmp(&low(b)));
    for step in &steps {
        if step.0.is_none() && step.1.is_none() {
            return wrong("at least one bound of a step must be specified");
        }
        if high(step) <= low(step) {
            return wrong("an upper bound must be greater than its lower bound");
        }
    }
    for pair in steps.windows(2) {
        if let [a, b] = pair
            && high(a) != low(b)
        {
            return wrong("steps must not overlap or leave gaps");
        }
    }
    Ok(steps)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeletePolicy {
    auto_scaling_group_name: Option<String>,
    policy_name: String,
}

pub fn delete(ctx: &mut Ctx, input: DeletePolicy) -> Result<()> {
    let name = input.policy_name;
    if let Some(group) = &input.auto_scaling_group_name {
        group::find(ctx, group)?;
    } else if !name.starts_with("arn:") {
        return Err(validation(
            "AutoScalingGroupName is required where the policy is given by its name.",
        ));
    }
    let all = owned(ctx, input.auto_scaling_group_name.as_deref());
    let found = all.into_iter().find(|p| p.name == name || p.arn == name);
    let Some(policy) = found.cloned() else {
        return Err(validation(format!("Scaling policy not found: {name}")));
    };
    for (_, alarm) in &policy.alarms {
        cloudwatch::alarm::remove(ctx, alarm);
    }
    ctx.tx.remove::<ScalingPolicy>(&policy.arn);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_touch_each_other() {
        let check = |steps: &[Step], expected: bool| {
            assert_eq!(check_steps(steps.to_vec()).is_ok(), expected, "{steps:?}");
        };
        check(&[(Some(0.0), None, 1)], true);
        check(&[(Some(0.0), Some(10.0), 1), (Some(10.0), None, 2)], true);
        check(&[(Some(10.0), None, 2), (Some(0.0), Some(10.0), 1)], true);
        check(&[(None, Some(-5.0), -2), (Some(-5.0), Some(0.0), -1)], true);
        check(&[(Some(0.0), Some(10.0), 1), (Some(20.0), None, 2)], false);
        check(&[(Some(0.0), Some(10.0), 1), (Some(5.0), None, 2)], false);
        check(&[(Some(0.0), None, 1), (Some(5.0), None, 2)], false);
        check(&[(Some(5.0), Some(5.0), 1)], false);
        check(&[(None, None, 1)], false);
        check(&[(Some(f64::NAN), None, 1)], false);
        check(&[], false);
    }
}
