//! Target groups of instances, addresses or an application load balancer.

use super::arn::{self, Resource, find, owned};
use super::check::{self, given, one_of, port};
use super::error::{Result, error, refuse, unsupported, validation};
use super::health_check::{self, Matcher};
use super::page::page;
use super::tag::{self, Tag};
use super::{Done, association, network};
use crate::Ctx;
use crate::ec2::resource::find as find_ec2;
use model::elbv2::{Attributes, LoadBalancer, TargetGroup};
use model::vpc::Vpc;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Of one region.
pub const MAX_TARGET_GROUPS: usize = 3000;

const PROTOCOLS: &[&str] = &[
    "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC",
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    target_group_arn: String,
    target_group_name: String,
    protocol: String,
    port: u16,
    vpc_id: String,
    health_check_protocol: String,
    health_check_port: String,
    health_check_enabled: bool,
    health_check_interval_seconds: u32,
    health_check_timeout_seconds: u32,
    healthy_threshold_count: u32,
    unhealthy_threshold_count: u32,
    health_check_path: Option<String>,
    matcher: Option<Matcher>,
    load_balancer_arns: Vec<String>,
    target_type: String,
    protocol_version: Option<String>,
    ip_address_type: String,
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn shape(ctx: &Ctx, group: &TargetGroup) -> Shape {
    let check = &group.health_check;
    let grpc = group.protocol_version == "GRPC";
    let codes = check.matcher.clone();
    let (http_code, grpc_code) = match grpc {
        true => (None, Some(codes)),
        false => (Some(codes), None),
    };
    Shape {
        target_group_arn: group.arn.clone(),
        target_group_name: group.name.clone(),
        protocol: group.protocol.clone(),
        port: group.port,
        vpc_id: group.vpc.to_string(),
        health_check_protocol: check.protocol.clone(),
        health_check_port: check.port.clone(),
        health_check_enabled: check.enabled,
        health_check_interval_seconds: check.interval,
        health_check_timeout_seconds: check.timeout,
        healthy_threshold_count: check.healthy_threshold,
        unhealthy_threshold_count: check.unhealthy_threshold,
        health_check_path: filled(&check.path),
        matcher: filled(&check.matcher).map(|_| Matcher {
            http_code,
            grpc_code,
        }),
        load_balancer_arns: association::load_balancers_of(&ctx.tx, group)
            .into_iter()
            .collect(),
        target_type: group.target_type.clone(),
        protocol_version: filled(&group.protocol_version),
        ip_address_type: group.ip_address_type.clone(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetGroups {
    target_groups: Vec<Shape>,
    next_marker: Option<String>,
}

fn one(ctx: &Ctx, group: &TargetGroup) -> TargetGroups {
    TargetGroups {
        target_groups: vec![shape(ctx, group)],
        next_marker: None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateTargetGroup {
    name: String,
    protocol: Option<String>,
    protocol_version: Option<String>,
    port: Option<i64>,
    vpc_id: Option<String>,
    health_check_protocol: Option<String>,
    health_check_port: Option<String>,
    health_check_enabled: Option<bool>,
    health_check_path: Option<String>,
    health_check_interval_seconds: Option<i64>,
    health_check_timeout_seconds: Option<i64>,
    healthy_threshold_count: Option<i64>,
    unhealthy_threshold_count: Option<i64>,
    matcher: Option<Matcher>,
    target_type: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    ip_address_type: Option<String>,
    target_control_port: Option<i64>,
}

pub fn create(ctx: &mut Ctx, input: CreateTargetGroup) -> Result<TargetGroups> {
    check::name(&input.name, "Target group")?;
    let target_type = given(&input.target_type).unwrap_or("instance");
    check_target_type(target_type)?;
    let protocol = input.protocol.as_deref();
    let protocol = protocol.ok_or_else(|| validation("A protocol must be specified"))?;
    check_protocol(protocol)?;
    if target_type == "alb" && protocol != "TCP" {
        return Err(validation(format!(
            "Protocol '{protocol}' is not supported for target groups with the target type 'alb'"
        )));
    }
    let is_network = network::is_network(protocol);
    if is_network && let Some(version) = given(&input.protocol_version) {
        return Err(validation(format!(
            "Protocol version '{version}' is not supported for target groups with the protocol '{protocol}'"
        )));
    }
    let usual = if is_network { "" } else { "HTTP1" };
    let version = given(&input.protocol_version).unwrap_or(usual);
    if !is_network && !["HTTP1", "HTTP2", "GRPC"].contains(&version) {
        return Err(validation(format!(
            "Protocol version '{version}' must be one of '[GRPC, HTTP1, HTTP2]'"
        )));
    }
    let number = input.port;
    let number = number.ok_or_else(|| validation("A port must be specified"))?;
    let number = port(number, "port")?;
    refuse(&input.target_control_port, "TargetControlPort")?;
    let ip_address_type = given(&input.ip_address_type).unwrap_or("ipv4");
    one_of(ip_address_type, "ipAddressType", &["ipv4", "ipv6"])?;
    if ip_address_type == "ipv6" {
        return Err(unsupported("Target groups with IPv6 addresses are"));
    }
    let vpc = input.vpc_id.as_deref();
    let vpc = vpc.ok_or_else(|| validation("A VPC ID must be specified"))?;
    let vpc = find_ec2::<Vpc>(ctx, vpc)
        .map_err(|_| validation(format!("The VPC ID '{vpc}' is not found")))?;
    let request = health_check::Request {
        enabled: input.health_check_enabled,
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        path: input.health_check_path,
        interval: input.health_check_interval_seconds,
        timeout: input.health_check_timeout_seconds,
        healthy_threshold: input.healthy_threshold_count,
        unhealthy_threshold: input.unhealthy_threshold_count,
        matcher: input.matcher,
    };
    let health_check = match is_network {
        true => {
            let usual = if target_type == "alb" { "HTTP" } else { "TCP" };
            network::default_health_check(given(&request.protocol).unwrap_or(usual))
        }
        false => health_check::default(version),
    };
    let health_check =
        health_check::changed(&health_check, request, target_type, protocol, version)?;
    let group = TargetGroup {
        arn: arn::new_target_group(&ctx.scope, &input.name),
        scope: ctx.scope.clone(),
        name: input.name,
        protocol: protocol.to_owned(),
        protocol_version: version.to_owned(),
        port: number,
        vpc: vpc.id.clone(),
        target_type: target_type.to_owned(),
        ip_address_type: ip_address_type.to_owned(),
        health_check,
        attributes: Attributes::new(),
        targets: Vec::new(),
        tags: tag::of(&input.tags)?,
    };
    let existing = owned::<TargetGroup>(&ctx.tx, &ctx.scope).find(|g| g.name == group.name);
    if let Some(existing) = existing {
        // All that the call gives, and nothing that came later.
        let as_created = TargetGroup {
            arn: group.arn.clone(),
            attributes: Attributes::new(),
            targets: Vec::new(),
            ..TargetGroup::clone(existing)
        };
        if as_created == group {
            return Ok(one(ctx, existing));
        }
        return Err(error(
            "DuplicateTargetGroupName",
            format!(
                "A target group with the same name '{}' exists, but with different settings",
                group.name
            ),
        ));
    }
    if MAX_TARGET_GROUPS <= owned::<TargetGroup>(&ctx.tx, &ctx.scope).count() {
        return Err(error(
            "TooManyTargetGroups",
            "The maximum number of target groups has been reached",
        ));
    }
    let answer = one(ctx, &group);
    ctx.tx.put(group);
    Ok(answer)
}

fn check_target_type(target_type: &str) -> Result<()> {
    one_of(
        target_type,
        "targetType",
        &["instance", "ip", "lambda", "alb"],
    )?;
    match target_type {
        "instance" | "ip" | "alb" => Ok(()),
        other => Err(unsupported(format_args!(
            "Target groups with the target type '{other}' are"
        ))),
    }
}

fn check_protocol(protocol: &str) -> Result<()> {
    one_of(protocol, "protocol", PROTOCOLS)?;
    match protocol {
        "HTTP" | "HTTPS" => Ok(()),
        other => network::check_group(other),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTargetGroups {
    load_balancer_arn: Option<String>,
    #[serde(default)]
    target_group_arns: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeTargetGroups) -> Result<TargetGroups> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    let (arns, names) = (&input.target_group_arns, &input.names);
    let ways = [
        input.load_balancer_arn.is_some(),
        !arns.is_empty(),
        !names.is_empty(),
    ];
    if 1 < ways.into_iter().filter(|given| *given).count() {
        return Err(validation(
            "Only one of a load balancer ARN, target group ARNs or target group names can be specified",
        ));
    }
    let used = match &input.load_balancer_arn {
        Some(balancer) => {
            let balancer = find::<LoadBalancer>(ctx, balancer)?;
            Some(association::groups_of(&ctx.tx, &balancer))
        }
        None => None,
    };
    for arn in arns {
        find::<TargetGroup>(ctx, arn)?;
    }
    let all: Vec<&Arc<TargetGroup>> = owned::<TargetGroup>(&ctx.tx, &ctx.scope).collect();
    if names.iter().any(|n| !all.iter().any(|g| g.name == *n)) {
        return Err(error(
            TargetGroup::NOT_FOUND,
            "One or more target groups not found",
        ));
    }
    let chosen = all.into_iter().filter(|g| {
        (arns.is_empty() || arns.contains(&g.arn))
            && (names.is_empty() || names.contains(&g.name))
            && used.as_ref().is_none_or(|used| used.contains(&g.arn))
    });
    let (chosen, next_marker) = page.of(chosen, |g| g.arn.clone());
    Ok(TargetGroups {
        target_groups: chosen.into_iter().map(|g| shape(ctx, g)).collect(),
        next_marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyTargetGroup {
    target_group_arn: String,
    health_check_protocol: Option<String>,
    health_check_port: Option<String>,
    health_check_path: Option<String>,
    health_check_enabled: Option<bool>,
    health_check_interval_seconds: Option<i64>,
    health_check_timeout_seconds: Option<i64>,
    healthy_threshold_count: Option<i64>,
    unhealthy_threshold_count: Option<i64>,
    matcher: Option<Matcher>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyTargetGroup) -> Result<TargetGroups> {
    let mut group = TargetGroup::clone(&*find::<TargetGroup>(ctx, &input.target_group_arn)?);
    let request = health_check::Request {
        enabled: input.health_check_enabled,
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        path: input.health_check_path,
        interval: input.health_check_interval_seconds,
        timeout: input.health_check_timeout_seconds,
        healthy_threshold: input.healthy_threshold_count,
        unhealthy_threshold: input.unhealthy_threshold_count,
        matcher: input.matcher,
    };
    group.health_check = health_check::changed(
        &group.health_check,
        request,
        &group.target_type,
        &group.protocol,
        &group.protocol_version,
    )?;
    let answer = one(ctx, &group);
    ctx.tx.put(group);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteTargetGroup {
    target_group_arn: String,
}

/// One that does not exist is deleted already: the API has no error for it.
pub fn delete(ctx: &mut Ctx, input: DeleteTargetGroup) -> Result<Done> {
    let arn = input.target_group_arn;
    arn::check::<TargetGroup>(&arn)?;
    let Ok(group) = find::<TargetGroup>(ctx, &arn) else {
        return Ok(Done {});
    };
    if !association::load_balancers_of(&ctx.tx, &group).is_empty() {
        return Err(error(
            "ResourceInUse",
            format!("Target group '{arn}' is currently in use by a listener or a rule"),
        ));
    }
    ctx.tx.remove::<TargetGroup>(&arn);
    Ok(Done {})
}
