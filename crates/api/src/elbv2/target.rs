//! Targets: registered here, probed by the balancer, dropped by the controller once drained.

use super::arn::find;
use super::check::{one_of, port};
use super::error::{Result, error, refuse, validation};
use super::{Done, association};
use crate::Ctx;
use crate::ec2::resource::{find as find_ec2, owned as owned_ec2};
use ipnet::Ipv4Net;
use model::elbv2::{LoadBalancer, Target, TargetGroup};
use model::instance::{Instance, InstanceState};
use model::vpc::{NetworkInterface, Requester, Subnet, Vpc};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Of one target group, and of one load balancer over all its target groups.
pub const MAX_TARGETS: usize = 1000;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetShape {
    pub id: String,
    pub port: Option<i64>,
    pub availability_zone: Option<String>,
    #[serde(skip_serializing)]
    pub quic_server_id: Option<String>,
}

impl TargetShape {
    /// The port that the call means: its own, or the group's.
    pub fn port_in(&self, group: &TargetGroup) -> Result<u16> {
        match self.port {
            Some(number) => port(number, "targets.member.port"),
            None => Ok(group.port),
        }
    }
}

fn invalid(message: String) -> wire::ApiError {
    error("InvalidTarget", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Targets {
    target_group_arn: String,
    targets: Vec<TargetShape>,
}

impl Targets {
    fn group(&self, ctx: &Ctx) -> Result<TargetGroup> {
        let group = find::<TargetGroup>(ctx, &self.target_group_arn)?;
        if self.targets.is_empty() {
            return Err(validation("At least one target must be specified"));
        }
        Ok(TargetGroup::clone(&group))
    }
}

pub fn register(ctx: &mut Ctx, input: Targets) -> Result<Done> {
    let mut group = input.group(ctx)?;
    for target in &input.targets {
        refuse(&target.quic_server_id, "QuicServerId")?;
        let number = target.port_in(&group)?;
        let zone = match group.target_type.as_str() {
            "ip" => check_address(ctx, &group, target)?,
            "alb" => check_load_balancer(ctx, &group, target, number)?,
            _ => check_instance(ctx, &group, target)?,
        };
        let at = |t: &&mut Target| t.id == target.id && t.port == number;
        let now = ctx.now;
        match group.targets.iter_mut().find(at) {
            None => group.targets.push(Target {
                id: target.id.clone(),
                port: number,
                zone,
                registered: now,
                draining: None,
            }),
            Some(known) if known.draining.is_none() => known.zone = zone,
            Some(_) if group.target_type == "ip" => {
                return Err(invalid(format!(
                    "The IP address '{}' is being deregistered and can be registered again once the deregistration delay has passed",
                    target.id
                )));
            }
            Some(known) => {
                known.draining = None;
                known.registered = now;
            }
        }
    }
    check_limits(ctx, &group)?;
    ctx.tx.put(group);
    Ok(Done {})
}

fn check_limits(ctx: &Ctx, group: &TargetGroup) -> Result<()> {
    let too_many = || {
        error(
            "TooManyTargets",
            format!("The maximum number of targets ({MAX_TARGETS}) has been reached"),
        )
    };
    if MAX_TARGETS < group.targets.len() {
        return Err(too_many());
    }
    let staying = group.targets.iter().filter(|t| t.draining.is_none());
    if group.target_type == "alb" && 1 < staying.count() {
        return Err(error(
            "TooManyTargets",
            "A target group with the target type 'alb' can have one target only",
        ));
    }
    for arn in association::load_balancers_of(&ctx.tx, group) {
        let Ok(balancer) = find::<LoadBalancer>(ctx, &arn) else {
            continue;
        };
        let groups = association::groups_of(&ctx.tx, &balancer);
        let others = groups.iter().filter(|g| **g != group.arn);
        let targets: usize = others
            .filter_map(|g| ctx.tx.get::<TargetGroup>(g))
            .map(|g| g.targets.len())
            .sum();
        if MAX_TARGETS < targets + group.targets.len() {
            return Err(too_many());
        }
    }
    Ok(())
}

/// Checks a target that is an instance; its zone follows from where it runs.
fn check_instance(ctx: &Ctx, group: &TargetGroup, target: &TargetShape) -> Result<Option<String>> {
    let id = &target.id;
    if target.availability_zone.is_some() {
        return Err(validation(
            "You cannot specify an Availability Zone for targets of type 'instance'",
        ));
    }
    let instance = find_ec2::<Instance>(ctx, id)
        .map_err(|_| invalid(format!("The following targets do not exist: '{id}'")))?;
    if instance.state != InstanceState::Running {
        return Err(invalid(format!(
            "The following targets are not in a running state and cannot be registered: '{id}'"
        )));
    }
    if instance.vpc != group.vpc {
        return Err(invalid(format!(
            "The following targets are not in the target group VPC '{}': '{id}'",
            group.vpc
        )));
    }
    Ok(None)
}

/// Checks a target that is an application load balancer: one that listens on the port.
fn check_load_balancer(
    ctx: &Ctx,
    group: &TargetGroup,
    target: &TargetShape,
    number: u16,
) -> Result<Option<String>> {
    let arn = &target.id;
    if target.availability_zone.is_some() {
        return Err(validation(
            "You cannot specify an Availability Zone for targets of type 'alb'",
        ));
    }
    let found = find::<LoadBalancer>(ctx, arn).ok();
    let balancer = found.filter(|b| !b.is_network()).ok_or_else(|| {
        invalid(format!(
            "The following targets are not application load balancers: '{arn}'"
        ))
    })?;
    if balancer.vpc != group.vpc {
        return Err(invalid(format!(
            "The following targets are not in the target group VPC '{}': '{arn}'",
            group.vpc
        )));
    }
    let mut listeners = ctx.tx.listeners.of(balancer.arn.as_str());
    if !listeners.any(|l| l.port == number) {
        return Err(invalid(format!(
            "The application load balancer '{arn}' has no listener on port {number}"
        )));
    }
    Ok(None)
}

/// Ranges that addresses outside the VPC may be from: RFC 1918 and RFC 6598.
const PRIVATE: [([u8; 4], u8); 4] = [
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([100, 64, 0, 0], 10),
];

fn is_private(address: Ipv4Addr) -> bool {
    PRIVATE.iter().any(|(base, length)| {
        Ipv4Net::new(Ipv4Addr::from(*base), *length).is_ok_and(|net| net.contains(&address))
    })
}

/// Checks a target that is an address, and says which zone it counts to: that of its subnet,
/// or `all` if it lies outside the VPC.
fn check_address(ctx: &Ctx, group: &TargetGroup, target: &TargetShape) -> Result<Option<String>> {
    let id = &target.id;
    let address: Ipv4Addr = id
        .parse()
        .map_err(|_| validation(format!("The IP address '{id}' is not a valid IPv4 address")))?;
    let given = target.availability_zone.as_deref();
    if let Some(zone) = given {
        let region = model::zone::region(&ctx.scope.region);
        let names: Vec<String> = region
            .into_iter()
            .flat_map(|r| r.zones().map(|(name, _)| name))
            .collect();
        let mut allowed: Vec<&str> = names.iter().map(String::as_str).collect();
        allowed.push("all");
        one_of(zone, "targets.member.availabilityZone", &allowed)?;
    }
    let vpc: Option<Arc<Vpc>> = find_ec2::<Vpc>(ctx, group.vpc.as_str()).ok();
    let inside = vpc.is_some_and(|v| v.cidrs.iter().any(|(_, cidr)| cidr.contains(&address)));
    if inside {
        let balancers = owned_ec2::<NetworkInterface>(&ctx.tx, &ctx.scope).any(|i| {
            i.vpc == group.vpc
                && matches!(i.requester, Some(Requester::LoadBalancer(_)))
                && i.private_ips.contains(&address)
        });
        if balancers {
            return Err(invalid(format!(
                "The IP address '{id}' belongs to a load balancer and cannot be registered"
            )));
        }
        let subnet = owned_ec2::<Subnet>(&ctx.tx, &ctx.scope)
            .find(|s| s.vpc == group.vpc && s.cidr.contains(&address));
        return Ok(given
            .map(str::to_owned)
            .or_else(|| subnet.map(|s| s.zone.clone())));
    }
    if !is_private(address) {
        return Err(invalid(format!(
            "The IP address '{id}' must be from the VPC's CIDR blocks or from 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10"
        )));
    }
    if given != Some("all") {
        return Err(validation(format!(
            "You must specify 'all' as the Availability Zone of the IP address '{id}', which is outside the VPC"
        )));
    }
    Ok(Some("all".into()))
}

/// Targets that are not registered are left out in silence, as by AWS.
pub fn deregister(ctx: &mut Ctx, input: Targets) -> Result<Done> {
    let mut group = input.group(ctx)?;
    for target in &input.targets {
        let number = target.port_in(&group)?;
        for known in &mut group.targets {
            if known.id == target.id && known.port == number && known.draining.is_none() {
                known.draining = Some(ctx.now);
            }
        }
    }
    ctx.tx.put(group);
    Ok(Done {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        let check = |text: &str, expected: bool| {
            assert_eq!(is_private(text.parse().unwrap()), expected, "{text}");
        };
        check("10.1.2.3", true);
        check("172.31.0.1", true);
        check("172.32.0.1", false);
        check("192.168.9.9", true);
        check("100.64.0.1", true);
        check("100.128.0.1", false);
        check("8.8.8.8", false);
    }
}
