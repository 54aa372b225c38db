//! Where a load balancer stands: its subnets with a node's interface in each, its security groups.

use super::arn::find;
use super::check::one_of;
use super::error::{Result, error, invalid_configuration, refuse, validation};
use crate::Ctx;
use crate::ec2::resource::{find as find_ec2, owned as owned_ec2};
use crate::ec2::{network_interface, private_address, security_group};
use model::SecurityGroupId;
use model::elbv2::{LoadBalancer, LoadBalancerZone};
use model::vpc::{InternetGateway, NetworkInterface, Requester, SecurityGroup, Subnet, Vpc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A subnet needs that many free addresses for the balancer to scale.
const MIN_FREE_ADDRESSES: u32 = 8;
const MAX_SECURITY_GROUPS: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ZoneShape {
    zone_name: String,
    subnet_id: String,
    /// Only network load balancers have any.
    load_balancer_addresses: &'static [()],
}

pub fn zone_shapes(zones: &[LoadBalancerZone]) -> Vec<ZoneShape> {
    let shapes = zones.iter().map(|z| ZoneShape {
        zone_name: z.zone.clone(),
        subnet_id: z.subnet.to_string(),
        load_balancer_addresses: &[],
    });
    shapes.collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SubnetMapping {
    subnet_id: Option<String>,
    allocation_id: Option<String>,
    #[serde(rename = "PrivateIPv4Address")]
    private_ipv4_address: Option<String>,
    #[serde(rename = "IPv6Address")]
    ipv6_address: Option<String>,
    source_nat_ipv6_prefix: Option<String>,
}

impl SubnetMapping {
    fn subnet(&self) -> Result<&str> {
        let fixed = [
            (&self.allocation_id, "Elastic IP addresses"),
            (&self.private_ipv4_address, "Private IPv4 addresses"),
            (&self.ipv6_address, "IPv6 addresses"),
            (&self.source_nat_ipv6_prefix, "Source NAT prefixes"),
        ];
        if let Some((_, what)) = fixed.iter().find(|(given, _)| given.is_some()) {
            return Err(invalid_configuration(format!(
                "{what} cannot be specified for load balancers of type 'application'"
            )));
        }
        let id = self.subnet_id.as_deref();
        id.ok_or_else(|| validation("A subnet ID must be specified in each subnet mapping"))
    }
}

/// The subnets that a call names in one of two ways: in a VPC, in two zones or more.
pub fn subnets(ctx: &Ctx, ids: &[String], mappings: &[SubnetMapping]) -> Result<Vec<Arc<Subnet>>> {
    if !ids.is_empty() && !mappings.is_empty() {
        return Err(validation(
            "Only one of subnets or subnet mappings can be specified",
        ));
    }
    let mut names: Vec<&str> = ids.iter().map(String::as_str).collect();
    for mapping in mappings {
        names.push(mapping.subnet()?);
    }
    let mut subnets: Vec<Arc<Subnet>> = Vec::with_capacity(names.len());
    for id in names {
        let subnet = find_ec2::<Subnet>(ctx, id).map_err(|_| {
            error(
                "SubnetNotFound",
                format!("The subnet ID '{id}' does not exist"),
            )
        })?;
        if subnets.iter().any(|s| s.id == subnet.id) {
            continue;
        }
        if subnets.iter().any(|s| s.vpc != subnet.vpc) {
            return Err(invalid_configuration(
                "All subnets must belong to the same VPC",
            ));
        }
        if subnets.iter().any(|s| s.zone == subnet.zone) {
            return Err(invalid_configuration(
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            ));
        }
        subnets.push(subnet);
    }
    if subnets.len() < 2 {
        return Err(validation(
            "At least two subnets in two different Availability Zones must be specified",
        ));
    }
    Ok(subnets)
}

/// The VPC of subnets that share one.
pub fn vpc(ctx: &Ctx, subnets: &[Arc<Subnet>]) -> Result<Arc<Vpc>> {
    match subnets.first() {
        Some(subnet) => find_ec2::<Vpc>(ctx, subnet.vpc.as_str()),
        None => Err(validation("A subnet must be specified")),
    }
}

pub fn check_internet_gateway(ctx: &Ctx, vpc: &Vpc) -> Result<()> {
    let mut gateways = owned_ec2::<InternetGateway>(&ctx.tx, &ctx.scope);
    if gateways.any(|g| g.vpc.as_ref() == Some(&vpc.id)) {
        return Ok(());
    }
    Err(error(
        "InvalidSubnet",
        format!("VPC {} has no internet gateway", vpc.id),
    ))
}

/// The VPC's security groups of those ids in a stable order; the default one where none is named.
pub fn security_groups(ctx: &Ctx, vpc: &Vpc, ids: &[String]) -> Result<Vec<SecurityGroupId>> {
    let mut groups = Vec::with_capacity(ids.len());
    for id in ids {
        match find_ec2::<SecurityGroup>(ctx, id) {
            Ok(group) if group.vpc == vpc.id => groups.push(group.id.clone()),
            Ok(_) => {
                return Err(invalid_configuration(format!(
                    "Security group '{id}' does not belong to VPC '{}'",
                    vpc.id
                )));
            }
            Err(_) => {
                return Err(error(
                    "InvalidSecurityGroup",
                    format!("The security group '{id}' does not exist"),
                ));
            }
        }
    }
    if ids.is_empty() {
        groups.extend(security_group::default_of(&ctx.tx, vpc));
    }
    groups.sort();
    groups.dedup();
    if MAX_SECURITY_GROUPS < groups.len() {
        return Err(invalid_configuration(format!(
            "A load balancer can have at most {MAX_SECURITY_GROUPS} security groups"
        )));
    }
    Ok(groups)
}

/// Puts the balancer's node interface into the subnet.
pub fn new_zone(
    ctx: &mut Ctx,
    balancer: &LoadBalancer,
    subnet: &Subnet,
) -> Result<LoadBalancerZone> {
    if private_address::free_count(&ctx.tx, subnet) < MIN_FREE_ADDRESSES {
        return Err(error(
            "InvalidSubnet",
            format!(
                "Not enough IP space available in {}. ELB requires at least {MIN_FREE_ADDRESSES} free IP addresses in each subnet.",
                subnet.id
            ),
        ));
    }
    let public_pool = (balancer.scheme != "internal").then_some(ctx.cloud.public_pool);
    let interface = network_interface::make_for_service(
        &mut ctx.tx,
        subnet,
        format!("ELB {}", balancer.dimension()),
        balancer.security_groups.clone(),
        Requester::LoadBalancer(balancer.arn.clone()),
        public_pool,
        ctx.now,
    )?;
    Ok(LoadBalancerZone {
        zone: subnet.zone.clone(),
        subnet: subnet.id.clone(),
        private_ip: interface.primary_ip(),
        public_ip: interface.auto_public_ip,
        interface: interface.id,
    })
}

/// No subnet here has IPv6, so that AWS's own refusal applies to dual stack.
pub fn check_ip_address_type(asked: Option<&str>) -> Result<()> {
    let asked = asked.unwrap_or("ipv4");
    let all = ["ipv4", "dualstack", "dualstack-without-public-ipv4"];
    one_of(asked, "ipAddressType", &all)?;
    if asked == "ipv4" {
        return Ok(());
    }
    Err(error(
        "InvalidSubnet",
        "You must specify subnets with an associated IPv6 CIDR block.",
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetSubnets {
    load_balancer_arn: String,
    #[serde(default)]
    subnets: Vec<String>,
    #[serde(default)]
    subnet_mappings: Vec<SubnetMapping>,
    ip_address_type: Option<String>,
    enable_prefix_for_ipv6_source_nat: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangedSubnets {
    availability_zones: Vec<ZoneShape>,
    ip_address_type: String,
}

/// Zones that stay keep their node; interfaces of those that go are removed by the controller.
pub fn set_subnets(ctx: &mut Ctx, input: SetSubnets) -> Result<ChangedSubnets> {
    let balancer = find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    check_ip_address_type(input.ip_address_type.as_deref())?;
    if input.enable_prefix_for_ipv6_source_nat.as_deref() != Some("off") {
        refuse(
            &input.enable_prefix_for_ipv6_source_nat,
            "EnablePrefixForIpv6SourceNat",
        )?;
    }
    let subnets = subnets(ctx, &input.subnets, &input.subnet_mappings)?;
    if subnets.iter().any(|s| s.vpc != balancer.vpc) {
        return Err(invalid_configuration(format!(
            "The subnets must belong to VPC '{}' of the load balancer",
            balancer.vpc
        )));
    }
    let mut zones = Vec::with_capacity(subnets.len());
    for subnet in &subnets {
        let kept = balancer.zones.iter().find(|z| z.subnet == subnet.id);
        zones.push(match kept {
            Some(kept) => kept.clone(),
            None => new_zone(ctx, &balancer, subnet)?,
        });
    }
    zones.sort_by(|a, b| a.zone.cmp(&b.zone));
    let answer = ChangedSubnets {
        availability_zones: zone_shapes(&zones),
        ip_address_type: balancer.ip_address_type.clone(),
    };
    ctx.tx
        .modify::<LoadBalancer>(&balancer.arn, |b| b.zones = zones);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetSecurityGroups {
    load_balancer_arn: String,
    security_groups: Vec<String>,
    enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangedSecurityGroups {
    security_group_ids: Vec<String>,
}

pub fn set_security_groups(
    ctx: &mut Ctx,
    input: SetSecurityGroups,
) -> Result<ChangedSecurityGroups> {
    let balancer = find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    if input
        .enforce_security_group_inbound_rules_on_private_link_traffic
        .is_some()
    {
        return Err(invalid_configuration(
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic is only supported for load balancers of type 'network'",
        ));
    }
    if input.security_groups.is_empty() {
        return Err(invalid_configuration(
            "At least one security group must be specified",
        ));
    }
    let vpc = find_ec2::<Vpc>(ctx, balancer.vpc.as_str())?;
    let groups = security_groups(ctx, &vpc, &input.security_groups)?;
    for zone in &balancer.zones {
        ctx.tx
            .modify::<NetworkInterface>(&zone.interface, |i| i.security_groups = groups.clone());
    }
    let security_group_ids = groups.iter().map(ToString::to_string).collect();
    ctx.tx
        .modify::<LoadBalancer>(&balancer.arn, |b| b.security_groups = groups);
    Ok(ChangedSecurityGroups { security_group_ids })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetIpAddressType {
    load_balancer_arn: String,
    ip_address_type: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangedIpAddressType {
    ip_address_type: String,
}

pub fn set_ip_address_type(ctx: &mut Ctx, input: SetIpAddressType) -> Result<ChangedIpAddressType> {
    find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    check_ip_address_type(Some(&input.ip_address_type))?;
    Ok(ChangedIpAddressType {
        ip_address_type: input.ip_address_type,
    })
}
