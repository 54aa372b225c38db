//! How scaling policies are described.

use super::error::{Result, validation};
use super::group;
use super::page::page;
use super::policy::owned;
use super::target_tracking::TargetTrackingConfiguration;
use crate::Ctx;
use model::autoscaling::{PolicyKind, ScalingPolicy};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StepAdjustment {
    metric_interval_lower_bound: Option<f64>,
    metric_interval_upper_bound: Option<f64>,
    pub scaling_adjustment: i32,
}

impl StepAdjustment {
    pub fn bounds(&self) -> (Option<f64>, Option<f64>, i32) {
        (
            self.metric_interval_lower_bound,
            self.metric_interval_upper_bound,
            self.scaling_adjustment,
        )
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alarm {
    alarm_name: String,
    #[serde(rename = "AlarmARN")]
    alarm_arn: String,
}

/// The alarms that set the policy off, by name.
pub fn alarms_of(ctx: &Ctx, policy_arn: &str) -> Vec<Alarm> {
    let alarms = ctx.tx.alarms.of(&ctx.scope);
    alarms
        .filter(|a| {
            let actions = [
                &a.alarm_actions,
                &a.ok_actions,
                &a.insufficient_data_actions,
            ];
            actions
                .iter()
                .any(|list| list.iter().any(|arn| arn == policy_arn))
        })
        .map(|a| Alarm {
            alarm_name: a.name.clone(),
            alarm_arn: a.arn.clone(),
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribePolicies {
    auto_scaling_group_name: Option<String>,
    #[serde(default)]
    policy_names: Vec<String>,
    #[serde(default)]
    policy_types: Vec<String>,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policies {
    scaling_policies: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    auto_scaling_group_name: String,
    policy_name: String,
    #[serde(rename = "PolicyARN")]
    policy_arn: String,
    policy_type: &'static str,
    adjustment_type: Option<String>,
    min_adjustment_magnitude: Option<u32>,
    scaling_adjustment: Option<i32>,
    cooldown: Option<u32>,
    step_adjustments: Vec<StepAdjustment>,
    metric_aggregation_type: Option<String>,
    estimated_instance_warmup: Option<u32>,
    alarms: Vec<Alarm>,
    target_tracking_configuration: Option<TargetTrackingConfiguration>,
    enabled: bool,
}

pub fn describe(ctx: &mut Ctx, input: DescribePolicies) -> Result<Policies> {
    let group = input.auto_scaling_group_name.as_deref();
    if let Some(name) = group {
        group::find(ctx, name)?;
    }
    let names = &input.policy_names;
    if group.is_none() && names.iter().any(|name| !name.starts_with("arn:")) {
        return Err(validation(
            "AutoScalingGroupName is required where policies are given by their names.",
        ));
    }
    let types = &input.policy_types;
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let wanted = owned(ctx, group).into_iter().filter(|p| {
        let named = names.is_empty() || names.iter().any(|n| *n == p.name || *n == p.arn);
        named && (types.is_empty() || types.iter().any(|t| t == policy_type(&p.kind)))
    });
    // NUL is in no name, so policies sort within their group.
    let (policies, next_token) = page.of(wanted, |p| format!("{}\0{}", p.group, p.name));
    Ok(Policies {
        scaling_policies: policies.into_iter().map(|p| shape(ctx, p)).collect(),
        next_token,
    })
}

fn policy_type(kind: &PolicyKind) -> &'static str {
    match kind {
        PolicyKind::Simple { .. } => "SimpleScaling",
        PolicyKind::Step { .. } => "StepScaling",
        PolicyKind::TargetTracking { .. } => "TargetTrackingScaling",
    }
}

fn shape(ctx: &Ctx, policy: &ScalingPolicy) -> Shape {
    let common = Shape {
        auto_scaling_group_name: policy.group.clone(),
        policy_name: policy.name.clone(),
        policy_arn: policy.arn.clone(),
        policy_type: policy_type(&policy.kind),
        adjustment_type: None,
        min_adjustment_magnitude: None,
        scaling_adjustment: None,
        cooldown: None,
        step_adjustments: Vec::new(),
        metric_aggregation_type: None,
        estimated_instance_warmup: None,
        alarms: alarms_of(ctx, &policy.arn),
        target_tracking_configuration: None,
        enabled: policy.enabled,
    };
    match &policy.kind {
        PolicyKind::Simple {
            adjustment_type,
            adjustment,
            min_magnitude,
            cooldown,
        } => Shape {
            adjustment_type: Some(adjustment_type.clone()),
            scaling_adjustment: Some(*adjustment),
            min_adjustment_magnitude: *min_magnitude,
            cooldown: *cooldown,
            ..common
        },
        PolicyKind::Step {
            adjustment_type,
            min_magnitude,
            steps,
            warmup,
            aggregation,
        } => Shape {
            adjustment_type: Some(adjustment_type.clone()),
            min_adjustment_magnitude: *min_magnitude,
            step_adjustments: steps
                .iter()
                .map(|(lower, upper, adjustment)| StepAdjustment {
                    metric_interval_lower_bound: *lower,
                    metric_interval_upper_bound: *upper,
                    scaling_adjustment: *adjustment,
                })
                .collect(),
            metric_aggregation_type: Some(aggregation.clone()),
            estimated_instance_warmup: *warmup,
            ..common
        },
        PolicyKind::TargetTracking {
            target,
            disable_scale_in,
            warmup,
            metric,
        } => Shape {
            estimated_instance_warmup: *warmup,
            target_tracking_configuration: Some(TargetTrackingConfiguration::of(
                *target,
                *disable_scale_in,
                metric,
            )),
            ..common
        },
    }
}
