//! Network interfaces: made by users, by instances at launch, and by services for themselves.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_value, refuse, unsupported,
};
use super::filter::Filter;
use super::ipv6::{self, Ipv6AddressItem};
use super::network_interface_filter::FILTERS;
use super::network_interface_shape::{Shape, shape};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, TagSpecification};
use super::{Done, address, cidr, done, private_address, quota, security_group};
use crate::Ctx;
use model::vpc::{Attachment, NetworkInterface, Requester, SecurityGroup, Subnet, Vpc};
use model::{NetworkInterfaceId, SecurityGroupId, Tags, Timestamp, VpcId};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use store::{State, Tx};

/// What makes one new interface differ from another.
#[derive(Default)]
pub struct NewInterface {
    pub description: String,
    /// Of the subnet and free; the primary first.
    pub private_ips: Vec<Ipv4Addr>,
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// Of the pool and free; for the primary address.
    pub auto_public_ip: Option<Ipv4Addr>,
    pub security_groups: Vec<SecurityGroupId>,
    pub requester: Option<Requester>,
    pub attachment: Option<Attachment>,
    pub client_token: Option<String>,
    pub tags: Tags,
}

/// Puts an interface in the subnet. What it is made of has been checked.
pub fn make(tx: &mut Tx, subnet: &Subnet, new: NewInterface, now: Timestamp) -> NetworkInterface {
    // These pass on what others sent, so their interfaces carry what is not their own.
    let forwards = match &new.requester {
        Some(Requester::NatGateway(_)) => true,
        Some(Requester::LoadBalancer(arn)) => model::elbv2::is_network_load_balancer(arn),
        Some(Requester::VpcEndpoint(_) | Requester::InstanceConnectEndpoint(_)) | None => false,
    };
    let interface = NetworkInterface {
        id: NetworkInterfaceId::random(),
        scope: subnet.scope.clone(),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        description: new.description,
        mac: random_mac(),
        private_ips: new.private_ips,
        ipv6_addresses: new.ipv6_addresses,
        auto_public_ip: new.auto_public_ip,
        security_groups: new.security_groups,
        source_dest_check: !forwards,
        requester: new.requester,
        attachment: new.attachment,
        client_token: new.client_token,
        created: now,
        tags: new.tags,
    };
    tx.put(interface.clone());
    interface
}

/// Locally administered, unicast.
fn random_mac() -> [u8; 6] {
    let mut mac = [2; 6];
    for octet in &mut mac[1..] {
        *octet = rand::random();
    }
    mac
}

/// Removes an interface; its Elastic IPs are free again.
pub fn remove(tx: &mut Tx, id: &NetworkInterfaceId) {
    let Some(interface) = tx.get::<NetworkInterface>(id).cloned() else {
        return;
    };
    address::disassociate_all(tx, &interface, &interface.private_ips);
    tx.remove::<NetworkInterface>(id);
}

/// The security groups that an interface in the VPC is to have: those named, else the default one.
pub fn groups(ctx: &Ctx, vpc: &Vpc, ids: &[String]) -> Result<Vec<SecurityGroupId>> {
    if ids.is_empty() {
        return Ok(security_group::default_of(&ctx.tx, vpc)
            .into_iter()
            .collect());
    }
    if ids.len() > quota::GROUPS_PER_INTERFACE {
        return Err(error(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        ));
    }
    let mut groups = Vec::with_capacity(ids.len());
    for id in ids {
        let group = find::<SecurityGroup>(ctx, id)?;
        if group.vpc != vpc.id {
            return Err(not_in_vpc(id, &vpc.id));
        }
        if groups.contains(&group.id) {
            return Err(invalid_value(format!(
                "The same security group '{id}' was specified more than once."
            )));
        }
        groups.push(group.id.clone());
    }
    Ok(groups)
}

/// A security group of another VPC than the one that it is for.
pub(super) fn not_in_vpc(group: &str, vpc: &VpcId) -> wire::ApiError {
    error(
        SecurityGroup::NOT_FOUND,
        format!("The security group '{group}' does not exist in VPC '{vpc}'"),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateNetworkInterface {
    subnet_id: String,
    description: Option<String>,
    private_ip_address: Option<String>,
    #[serde(default)]
    private_ip_addresses: Vec<PrivateIpAddress>,
    secondary_private_ip_address_count: Option<i64>,
    #[serde(default)]
    security_group_id: Vec<String>,
    interface_type: Option<String>,
    ipv6_address_count: Option<i64>,
    #[serde(default)]
    ipv6_addresses: Vec<Ipv6AddressItem>,
    enable_primary_ipv6: Option<bool>,
    ipv4_prefix_count: Option<i64>,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

/// One address as a call asks for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PrivateIpAddress {
    pub private_ip_address: Option<String>,
    pub primary: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneNetworkInterface {
    network_interface: Shape,
    client_token: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateNetworkInterface) -> Result<OneNetworkInterface> {
    if input
        .interface_type
        .as_deref()
        .is_some_and(|t| t != "interface")
    {
        return Err(unsupported(
            "Only interfaces of the type interface are supported by this cloud.",
        ));
    }
    super::error::refuse_ipv6(input.enable_primary_ipv6)?;
    refuse(
        &input.ipv4_prefix_count.filter(|n| *n > 0),
        "Ipv4PrefixCount",
    )?;
    let subnet = find::<Subnet>(ctx, &input.subnet_id)?;
    let tags = tag::of(&input.tag_specification, NetworkInterface::TYPE)?;
    let same = super::idempotent::<NetworkInterface>(
        ctx,
        input.client_token.as_deref(),
        |i| i.client_token.as_deref(),
        |i| i.subnet == subnet.id && i.tags == tags,
    )?;
    let interface = match same {
        Some(made) => NetworkInterface::clone(&made),
        None => {
            let vpc = find::<Vpc>(ctx, subnet.vpc.as_str())?;
            let security_groups = groups(ctx, &vpc, &input.security_group_id)?;
            let private_ips = private_ips(
                &ctx.tx,
                &subnet,
                input.private_ip_address.as_deref(),
                &input.private_ip_addresses,
                input.secondary_private_ip_address_count,
            )?;
            let named: Vec<String> = input
                .ipv6_addresses
                .iter()
                .filter_map(|item| item.ipv6_address.clone())
                .collect();
            let ipv6_addresses =
                ipv6::addresses(&ctx.tx, &subnet, &named, input.ipv6_address_count)?;
            dry_run(input.dry_run)?;
            let new = NewInterface {
                description: input.description.unwrap_or_default(),
                private_ips,
                ipv6_addresses,
                security_groups,
                client_token: input.client_token.clone(),
                tags,
                ..NewInterface::default()
            };
            make(&mut ctx.tx, &subnet, new, ctx.now)
        }
    };
    Ok(OneNetworkInterface {
        network_interface: shape(&ctx.tx, &interface),
        client_token: input.client_token,
    })
}

/// The addresses that a call asks for an interface, the primary first; what it leaves open is taken.
pub fn private_ips(
    state: &State,
    subnet: &Subnet,
    primary: Option<&str>,
    listed: &[PrivateIpAddress],
    secondary_count: Option<i64>,
) -> Result<Vec<Ipv4Addr>> {
    let mut chosen: Option<Ipv4Addr> = match primary {
        Some(ip) => Some(cidr::address(ip, "privateIpAddress")?),
        None => None,
    };
    let mut others = Vec::new();
    for item in listed {
        let Some(text) = &item.private_ip_address else {
            return Err(super::error::missing("privateIpAddresses.privateIpAddress"));
        };
        let ip = cidr::address(text, "privateIpAddresses")?;
        match (item.primary == Some(true), chosen) {
            (true, Some(other)) if other != ip => {
                return Err(invalid_combination(
                    "Only one primary private IP address can be specified.",
                ));
            }
            (true, _) => chosen = Some(ip),
            (false, _) => others.push(ip),
        }
    }
    let extra = usize::try_from(secondary_count.unwrap_or(0))
        .ok()
        .filter(|n| *n < 256)
        .ok_or_else(|| invalid_value("Invalid number of secondary private IP addresses."))?;
    if extra > 0 && !others.is_empty() {
        return Err(invalid_combination(
            "The parameter secondaryPrivateIpAddressCount may not be combined with secondary addresses.",
        ));
    }
    for ip in chosen.iter().chain(&others) {
        private_address::check(state, subnet, *ip)?;
    }
    let primary = match chosen {
        Some(ip) => vec![ip],
        None => private_address::take_besides(state, subnet, 1, &others)?,
    };
    let mut ips = primary;
    ips.extend(others);
    let more = private_address::take_besides(state, subnet, extra, &ips)?;
    ips.extend(more);
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = ips.iter().find(|ip| !seen.insert(**ip)) {
        return Err(invalid_value(format!(
            "The address {twice} was specified more than once."
        )));
    }
    Ok(ips)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeNetworkInterfaces {
    #[serde(default)]
    network_interface_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    /// There are none that a managed service hides.
    #[serde(rename = "IncludeManagedResources")]
    #[serde(default, deserialize_with = "wire::validated")]
    _include_managed_resources: Option<bool>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterfaces {
    network_interface_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeNetworkInterfaces) -> Result<NetworkInterfaces> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let ids = &input.network_interface_id;
    let (interfaces, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(NetworkInterfaces {
        network_interface_set: interfaces.iter().map(|i| shape(&ctx.tx, i)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteNetworkInterface {
    network_interface_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteNetworkInterface) -> Result<Done> {
    let interface = find::<NetworkInterface>(ctx, &input.network_interface_id)?;
    if interface.attachment.is_some() || interface.requester.is_some() {
        return Err(invalid_value(format!(
            "Network interface '{}' is currently in use.",
            interface.id
        )));
    }
    dry_run(input.dry_run)?;
    remove(&mut ctx.tx, &interface.id);
    done()
}

/// The interfaces of an instance, by device index.
pub fn of_instance(state: &State, instance: &model::InstanceId) -> Vec<Arc<NetworkInterface>> {
    let Some(scope) = state.instances.get(instance).map(|i| &i.scope) else {
        return Vec::new();
    };
    let attached = |i: &&Arc<NetworkInterface>| {
        let attachment = i.attachment.as_ref();
        attachment.is_some_and(|a| a.instance == *instance)
    };
    let mut interfaces: Vec<_> = owned::<NetworkInterface>(state, scope)
        .filter(attached)
        .cloned()
        .collect();
    interfaces.sort_by_key(|i| i.attachment.as_ref().map(|a| a.device_index));
    interfaces
}
