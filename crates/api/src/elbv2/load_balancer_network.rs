//! Where a load balancer stands: its subnets with a node's interface in each, its security groups.

use super::arn::find;
use super::check::{given, one_of};
use super::error::{Result, error, invalid_configuration, refuse, validation};
use crate::Ctx;
use crate::ec2::network_interface::{self, NewInterface};
use crate::ec2::resource::{find as find_ec2, owned as owned_ec2};
use crate::ec2::{private_address, public_address, security_group};
use model::elbv2::{LoadBalancer, LoadBalancerZone};
use model::vpc::{
    Address, AddressAssociation, InternetGateway, NetworkInterface, Requester, SecurityGroup,
    Subnet, Vpc,
};
use model::{AddressAssociationId, AllocationId, SecurityGroupId};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A subnet needs that many free addresses for the balancer to scale.
const MIN_FREE_ADDRESSES: u32 = 8;
const MAX_SECURITY_GROUPS: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ZoneShape {
    zone_name: String,
    subnet_id: String,
    /// Those that were asked for, which only a network load balancer's can be.
    load_balancer_addresses: Vec<AddressShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AddressShape {
    ip_address: Option<String>,
    allocation_id: Option<String>,
    #[serde(rename = "PrivateIPv4Address")]
    private_ipv4_address: Option<String>,
}

fn address_shape(zone: &LoadBalancerZone) -> Option<AddressShape> {
    let elastic = zone.allocation.as_ref();
    (elastic.is_some() || zone.is_private_ip_given).then(|| AddressShape {
        ip_address: zone
            .public_ip
            .filter(|_| elastic.is_some())
            .map(|ip| ip.to_string()),
        allocation_id: elastic.map(ToString::to_string),
        private_ipv4_address: zone
            .is_private_ip_given
            .then(|| zone.private_ip.to_string()),
    })
}

/// Traffic by PrivateLink is subject to the groups' rules where there are groups.
pub fn private_link_rules(balancer: &LoadBalancer) -> Option<&'static str> {
    let has_groups = balancer.is_network() && !balancer.security_groups.is_empty();
    let set = if balancer.private_link_unchecked {
        "off"
    } else {
        "on"
    };
    has_groups.then_some(set)
}

pub fn zone_shapes(zones: &[LoadBalancerZone]) -> Vec<ZoneShape> {
    let shapes = zones.iter().map(|z| ZoneShape {
        zone_name: z.zone.clone(),
        subnet_id: z.subnet.to_string(),
        load_balancer_addresses: address_shape(z).into_iter().collect(),
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

/// A subnet, and what its node is to have there.
pub struct Place {
    pub subnet: Arc<Subnet>,
    allocation: Option<AllocationId>,
    private_ip: Option<Ipv4Addr>,
}

impl SubnetMapping {
    /// Checks what may be asked for at this kind of load balancer.
    fn check(&self, kind: &str, scheme: &str) -> Result<&str> {
        refuse(&self.ipv6_address, "IPv6Address")?;
        refuse(&self.source_nat_ipv6_prefix, "SourceNatIpv6Prefix")?;
        let fixed = [
            (&self.allocation_id, "Elastic IP addresses"),
            (&self.private_ipv4_address, "Private IPv4 addresses"),
        ];
        if kind != "network"
            && let Some((_, what)) = fixed.iter().find(|(given, _)| given.is_some())
        {
            return Err(invalid_configuration(format!(
                "{what} cannot be specified for load balancers of type '{kind}'"
            )));
        }
        if self.allocation_id.is_some() && scheme == "internal" {
            return Err(invalid_configuration(
                "Elastic IP addresses cannot be specified for internal load balancers",
            ));
        }
        if self.private_ipv4_address.is_some() && scheme != "internal" {
            return Err(invalid_configuration(
                "Private IPv4 addresses can only be specified for internal load balancers",
            ));
        }
        let id = self.subnet_id.as_deref();
        id.ok_or_else(|| validation("A subnet ID must be specified in each subnet mapping"))
    }
}

/// Where a call puts a load balancer, in one of two ways to say it: subnets of one VPC, each in a
/// zone of its own; for an application load balancer two or more.
pub fn places(
    ctx: &Ctx,
    kind: &str,
    scheme: &str,
    ids: &[String],
    mappings: &[SubnetMapping],
) -> Result<Vec<Place>> {
    if !ids.is_empty() && !mappings.is_empty() {
        return Err(validation(
            "Only one of subnets or subnet mappings can be specified",
        ));
    }
    let mut named: Vec<(&str, Option<&SubnetMapping>)> =
        ids.iter().map(|id| (id.as_str(), None)).collect();
    for mapping in mappings {
        named.push((mapping.check(kind, scheme)?, Some(mapping)));
    }
    let mut places: Vec<Place> = Vec::with_capacity(named.len());
    for (id, mapping) in named {
        let subnet = find_ec2::<Subnet>(ctx, id).map_err(|_| {
            error(
                "SubnetNotFound",
                format!("The subnet ID '{id}' does not exist"),
            )
        })?;
        let mut others = places.iter().map(|p| &p.subnet);
        if others.clone().any(|s| s.id == subnet.id) {
            continue;
        }
        if others.clone().any(|s| s.vpc != subnet.vpc) {
            return Err(invalid_configuration(
                "All subnets must belong to the same VPC",
            ));
        }
        if others.any(|s| s.zone == subnet.zone) {
            return Err(invalid_configuration(
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            ));
        }
        let private_ip = mapping.and_then(|m| m.private_ipv4_address.as_deref());
        places.push(Place {
            allocation: match mapping.and_then(|m| m.allocation_id.as_deref()) {
                Some(id) => Some(find_allocation(ctx, id)?),
                None => None,
            },
            private_ip: match private_ip {
                Some(text) => Some(
                    text.parse()
                        .map_err(|_| validation(format!("'{text}' is not a valid IPv4 address")))?,
                ),
                None => None,
            },
            subnet,
        });
    }
    if places.is_empty() || (kind != "network" && places.len() < 2) {
        return Err(validation(match kind {
            "network" => "At least one subnet must be specified",
            _ => "At least two subnets in two different Availability Zones must be specified",
        }));
    }
    Ok(places)
}

fn find_allocation(ctx: &Ctx, id: &str) -> Result<AllocationId> {
    let found = find_ec2::<Address>(ctx, id).map_err(|_| {
        error(
            "AllocationIdNotFound",
            format!("The allocation ID '{id}' does not exist"),
        )
    })?;
    Ok(found.allocation.clone())
}

/// The VPC of subnets that share one.
pub fn vpc(ctx: &Ctx, places: &[Place]) -> Result<Arc<Vpc>> {
    match places.first() {
        Some(place) => find_ec2::<Vpc>(ctx, place.subnet.vpc.as_str()),
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
pub fn new_zone(ctx: &mut Ctx, balancer: &LoadBalancer, place: &Place) -> Result<LoadBalancerZone> {
    let subnet = &*place.subnet;
    let least = if balancer.is_network() {
        1
    } else {
        MIN_FREE_ADDRESSES
    };
    if private_address::free_count(&ctx.tx, subnet) < least {
        return Err(error(
            "InvalidSubnet",
            format!(
                "Not enough IP space available in {}. ELB requires at least {least} free IP addresses in each subnet.",
                subnet.id
            ),
        ));
    }
    let elastic = match &place.allocation {
        Some(id) => Some(free_address(ctx, id)?),
        None => None,
    };
    let given = place.private_ip.map(|ip| ip.to_string());
    let private_ips = network_interface::private_ips(&ctx.tx, subnet, given.as_deref(), &[], None)
        .map_err(|refused| invalid_configuration(refused.message))?;
    let takes_one = balancer.scheme != "internal" && elastic.is_none();
    let auto_public_ip = match takes_one {
        true => Some(public_address::take(&ctx.tx, ctx.cloud.public_pool)?),
        false => None,
    };
    let new = NewInterface {
        description: format!("ELB {}", balancer.dimension()),
        private_ips,
        auto_public_ip,
        security_groups: balancer.security_groups.clone(),
        requester: Some(Requester::LoadBalancer(balancer.arn.clone())),
        ..NewInterface::default()
    };
    let interface = network_interface::make(&mut ctx.tx, subnet, new, ctx.now);
    let private_ip = interface.primary_ip();
    if let Some(address) = &elastic {
        let there = AddressAssociation {
            id: AddressAssociationId::random(),
            interface: interface.id.clone(),
            private_ip,
        };
        ctx.tx
            .modify::<Address>(&address.allocation, |a| a.association = Some(there));
    }
    Ok(LoadBalancerZone {
        zone: subnet.zone.clone(),
        subnet: subnet.id.clone(),
        private_ip,
        public_ip: elastic.map(|a| a.public_ip).or(interface.auto_public_ip),
        interface: interface.id,
        allocation: place.allocation.clone(),
        is_private_ip_given: place.private_ip.is_some(),
    })
}

/// An Elastic IP that nothing uses.
fn free_address(ctx: &Ctx, id: &AllocationId) -> Result<Arc<Address>> {
    let found = find_ec2::<Address>(ctx, id.as_str())?;
    match &found.association {
        None => Ok(found),
        Some(_) => Err(error(
            "ResourceInUse",
            format!("The allocation ID '{id}' is already associated"),
        )),
    }
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
    let (kind, scheme) = (&balancer.kind, &balancer.scheme);
    let places = places(ctx, kind, scheme, &input.subnets, &input.subnet_mappings)?;
    if places.iter().any(|p| p.subnet.vpc != balancer.vpc) {
        return Err(invalid_configuration(format!(
            "The subnets must belong to VPC '{}' of the load balancer",
            balancer.vpc
        )));
    }
    let mut zones = Vec::with_capacity(places.len());
    for place in &places {
        let kept = balancer.zones.iter().find(|z| z.subnet == place.subnet.id);
        let address_changes = |kept: &LoadBalancerZone| {
            let other_private = place.private_ip.is_some_and(|ip| ip != kept.private_ip);
            other_private || (place.allocation.is_some() && place.allocation != kept.allocation)
        };
        zones.push(match kept {
            Some(kept) if address_changes(kept) => {
                return Err(invalid_configuration(format!(
                    "The address of the load balancer in subnet '{}' cannot be changed",
                    kept.subnet
                )));
            }
            Some(kept) => kept.clone(),
            None => new_zone(ctx, &balancer, place)?,
        });
    }
    let goes = |zone: &&LoadBalancerZone| !zones.iter().any(|kept| kept.subnet == zone.subnet);
    if balancer.is_network()
        && let Some(gone) = balancer.zones.iter().find(goes)
    {
        return Err(invalid_configuration(format!(
            "Subnet '{}' cannot be removed from a load balancer of type 'network'",
            gone.subnet
        )));
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
    #[serde(default, deserialize_with = "wire::stored")]
    enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangedSecurityGroups {
    security_group_ids: Vec<String>,
    enforce_security_group_inbound_rules_on_private_link_traffic: Option<&'static str>,
}

pub fn set_security_groups(
    ctx: &mut Ctx,
    input: SetSecurityGroups,
) -> Result<ChangedSecurityGroups> {
    let balancer = find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    let enforced = given(&input.enforce_security_group_inbound_rules_on_private_link_traffic);
    if enforced.is_some() && !balancer.is_network() {
        return Err(invalid_configuration(
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic is only supported for load balancers of type 'network'",
        ));
    }
    if let Some(other) = enforced.filter(|e| !["on", "off"].contains(e)) {
        return Err(invalid_configuration(format!(
            "'{other}' is not a valid value of EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: on or off"
        )));
    }
    if balancer.is_network() && balancer.security_groups.is_empty() {
        return Err(invalid_configuration(
            "Security groups cannot be set for a Network Load Balancer that was created without security groups",
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
    let mut balancer = LoadBalancer::clone(&balancer);
    balancer.security_groups = groups;
    if let Some(enforced) = enforced {
        balancer.private_link_unchecked = enforced == "off";
    }
    let enforced = private_link_rules(&balancer);
    ctx.tx.put(balancer);
    Ok(ChangedSecurityGroups {
        security_group_ids,
        enforce_security_group_inbound_rules_on_private_link_traffic: enforced,
    })
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
