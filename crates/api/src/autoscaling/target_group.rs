//! Target groups of a group: its instances are registered with them by the controller.

use super::error::{Result, unsupported, validation};
use super::group::{find, find_alive};
use super::page::page;
use super::{Done, member, zonal_shift};
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use model::elbv2::TargetGroup;
use serde::{Deserialize, Serialize};

/// `https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-quotas.html`
const MAX_TARGET_GROUPS: usize = 50;
const MAX_IN_CALL: usize = 10;

/// Refuses target groups that the group's instances cannot be registered with.
pub fn check(ctx: &Ctx, group: &AutoScalingGroup, arns: &[String]) -> Result<()> {
    if MAX_TARGET_GROUPS < arns.len() {
        return Err(super::error::error(
            "LimitExceeded",
            format!("A group can have at most {MAX_TARGET_GROUPS} target groups."),
        ));
    }
    let subnet = group.subnets.first().and_then(|id| ctx.tx.subnets.get(id));
    for arn in arns {
        let found = ctx.tx.get::<TargetGroup>(arn);
        let Some(target_group) = found.filter(|g| g.scope == ctx.scope) else {
            return Err(validation(
                "Provided Target Groups may not be valid. Please ensure they exist and try again.",
            ));
        };
        if target_group.target_type != "instance" {
            return Err(validation(format!(
                "Target group {arn} has the target type {}; an Auto Scaling group needs the type instance.",
                target_group.target_type
            )));
        }
        if subnet.is_some_and(|s| s.vpc != target_group.vpc) {
            return Err(validation(format!(
                "Target group {arn} is not in the VPC of the group's subnets."
            )));
        }
    }
    Ok(())
}

pub fn attach_all(
    ctx: &mut Ctx,
    name: &str,
    arns: &[String],
    skip_zonal_shift_validation: bool,
) -> Result<()> {
    check_count(arns)?;
    let mut group = find_alive(ctx, name)?;
    for arn in arns {
        if !group.target_groups.contains(arn) {
            group.target_groups.push(arn.clone());
        }
    }
    group.target_groups.sort();
    check(ctx, &group, &group.target_groups)?;
    if !skip_zonal_shift_validation {
        zonal_shift::check_target_groups(&ctx.tx, &group)?;
    }
    // Seen healthy means in every attached group.
    group
        .instances
        .iter_mut()
        .for_each(|m| m.seen_healthy = false);
    ctx.tx.put(group);
    Ok(())
}

/// The instances stay, deregistered from the target groups.
pub fn detach_all(ctx: &mut Ctx, name: &str, arns: &[String]) -> Result<()> {
    check_count(arns)?;
    let mut group = find_alive(ctx, name)?;
    for arn in arns {
        if !group.target_groups.contains(arn) {
            return Err(validation(format!(
                "Trying to remove Target Groups that are not part of the group: {arn}"
            )));
        }
        group.target_groups.retain(|t| t != arn);
        group.target_groups_in_service.retain(|t| t != arn);
        for m in &group.instances {
            member::deregister_from(&mut ctx.tx, &m.id, arn, ctx.now);
        }
    }
    ctx.tx.put(group);
    Ok(())
}

fn check_count(arns: &[String]) -> Result<()> {
    if arns.is_empty() || MAX_IN_CALL < arns.len() {
        return Err(validation(format!(
            "1 to {MAX_IN_CALL} target groups can be given in one call."
        )));
    }
    Ok(())
}

/// How far an attached target group is: `InService` once a target has passed a check.
pub fn state(ctx: &Ctx, group: &AutoScalingGroup, arn: &str) -> &'static str {
    if group.target_groups_in_service.iter().any(|t| t == arn) {
        return "InService";
    }
    let target_group = ctx.tx.target_groups.get(arn);
    let registered = |id: &str| {
        target_group.is_some_and(|g| g.targets.iter().any(|t| t.id == id && t.draining.is_none()))
    };
    if group.instances.iter().all(|m| registered(m.id.as_str())) {
        "Added"
    } else {
        "Adding"
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetGroups {
    auto_scaling_group_name: String,
    #[serde(rename = "TargetGroupARNs")]
    target_group_arns: Vec<String>,
}

pub fn attach(ctx: &mut Ctx, input: TargetGroups) -> Result<Done> {
    let name = input.auto_scaling_group_name;
    attach_all(ctx, &name, &input.target_group_arns, false)?;
    Ok(Done {})
}

pub fn detach(ctx: &mut Ctx, input: TargetGroups) -> Result<Done> {
    let name = input.auto_scaling_group_name;
    detach_all(ctx, &name, &input.target_group_arns)?;
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLoadBalancerTargetGroups {
    auto_scaling_group_name: String,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadBalancerTargetGroups {
    load_balancer_target_groups: Vec<TargetGroupState>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetGroupState {
    #[serde(rename = "LoadBalancerTargetGroupARN")]
    load_balancer_target_group_arn: String,
    state: &'static str,
}

pub fn describe(
    ctx: &mut Ctx,
    input: DescribeLoadBalancerTargetGroups,
) -> Result<LoadBalancerTargetGroups> {
    let group = find(ctx, &input.auto_scaling_group_name)?;
    let page = page(input.max_records, input.next_token.as_deref(), 100)?;
    let (arns, next_token) = page.of(group.target_groups.iter(), |arn| (*arn).clone());
    let shape = |arn: &String| TargetGroupState {
        load_balancer_target_group_arn: arn.clone(),
        state: state(ctx, &group, arn),
    };
    Ok(LoadBalancerTargetGroups {
        load_balancer_target_groups: arns.into_iter().map(shape).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadBalancers {
    auto_scaling_group_name: String,
    #[serde(rename = "LoadBalancerNames")]
    _load_balancer_names: Vec<String>,
}

pub fn attach_classic(ctx: &mut Ctx, input: LoadBalancers) -> Result<Done> {
    find(ctx, &input.auto_scaling_group_name)?;
    Err(unsupported("Classic Load Balancers are"))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClassicLoadBalancers {
    load_balancers: [String; 0],
}

/// None can be attached.
pub fn describe_classic(
    ctx: &mut Ctx,
    input: DescribeLoadBalancerTargetGroups,
) -> Result<ClassicLoadBalancers> {
    find(ctx, &input.auto_scaling_group_name)?;
    page(input.max_records, input.next_token.as_deref(), 100)?;
    Ok(ClassicLoadBalancers { load_balancers: [] })
}
