//! Elastic IP addresses: allocated, described, released.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, missing, refuse,
};
use super::filter::{Field, Filter, maybe, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done, public_address, quota};
use crate::Ctx;
use model::AllocationId;
use model::vpc::{Address, NetworkInterface};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::Arc;
use store::{State, Tx};
use wire::ApiError;

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    public_ip: String,
    allocation_id: String,
    domain: &'static str,
    public_ipv4_pool: &'static str,
    network_border_group: String,
    association_id: Option<String>,
    network_interface_id: Option<String>,
    network_interface_owner_id: Option<String>,
    private_ip_address: Option<String>,
    instance_id: Option<String>,
    subnet_id: Option<String>,
    tag_set: Vec<Tag>,
}

fn shape(state: &State, address: &Address) -> Shape {
    let mut shape = Shape {
        public_ip: address.public_ip.to_string(),
        allocation_id: address.allocation.to_string(),
        domain: "vpc",
        public_ipv4_pool: "amazon",
        network_border_group: address.scope.region.to_string(),
        tag_set: tag::list(&address.tags),
        ..Shape::default()
    };
    if let Some(association) = &address.association {
        let interface = state.network_interfaces.get(&association.interface);
        shape.association_id = Some(association.id.to_string());
        shape.network_interface_id = Some(association.interface.to_string());
        shape.network_interface_owner_id = Some(address.scope.account.to_string());
        shape.private_ip_address = Some(association.private_ip.to_string());
        shape.subnet_id = interface.map(|i| i.subnet.to_string());
        shape.instance_id = interface
            .and_then(|i| i.attachment.as_ref())
            .map(|a| a.instance.to_string());
    }
    shape
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocateAddress {
    domain: Option<String>,
    address: Option<String>,
    public_ipv4_pool: Option<String>,
    network_border_group: Option<String>,
    customer_owned_ipv4_pool: Option<String>,
    ipam_pool_id: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Allocated {
    public_ip: String,
    allocation_id: String,
    domain: &'static str,
    public_ipv4_pool: &'static str,
    network_border_group: String,
}

pub fn allocate(ctx: &mut Ctx, input: AllocateAddress) -> Result<Allocated> {
    refuse(&input.address, "Address")?;
    refuse(&input.customer_owned_ipv4_pool, "CustomerOwnedIpv4Pool")?;
    refuse(&input.ipam_pool_id, "IpamPoolId")?;
    if let Some(domain) = &input.domain
        && domain != "vpc"
    {
        return Err(invalid_parameter(domain, "domain", "Expecting vpc."));
    }
    if let Some(pool) = &input.public_ipv4_pool
        && pool != "amazon"
    {
        return Err(error(
            "InvalidPublicIpv4PoolID.NotFound",
            format!("The public IPv4 pool ID '{pool}' does not exist"),
        ));
    }
    if let Some(group) = &input.network_border_group
        && **group != *ctx.scope.region
    {
        return Err(invalid_parameter(
            group,
            "networkBorderGroup",
            "There is no such network border group in this region.",
        ));
    }
    let tags = tag::of(&input.tag_specification, Address::TYPE)?;
    if owned::<Address>(&ctx.tx, &ctx.scope).count() >= quota::ELASTIC_IPS {
        return Err(error(
            "AddressLimitExceeded",
            "The maximum number of addresses has been reached.",
        ));
    }
    let public_ip = public_address::take(&ctx.tx, ctx.cloud.public_pool)?;
    dry_run(input.dry_run)?;
    let allocation = AllocationId::random();
    ctx.tx.put(Address {
        allocation: allocation.clone(),
        scope: ctx.scope.clone(),
        public_ip,
        association: None,
        tags,
    });
    Ok(Allocated {
        public_ip: public_ip.to_string(),
        allocation_id: allocation.to_string(),
        domain: "vpc",
        public_ipv4_pool: "amazon",
        network_border_group: ctx.scope.region.to_string(),
    })
}

/// The address that a call means, by allocation or by the address itself.
pub(super) fn find_address(
    ctx: &Ctx,
    allocation: Option<&str>,
    ip: Option<&str>,
) -> Result<Arc<Address>> {
    match (allocation, ip) {
        (Some(_), Some(_)) => Err(invalid_combination(
            "You may specify public IP or allocation id, but not both in the same call",
        )),
        (Some(id), None) => find::<Address>(ctx, id),
        (None, Some(ip)) => by_ip(ctx, ip),
        (None, None) => Err(missing("allocationId")),
    }
}

pub(super) fn by_ip(ctx: &Ctx, ip: &str) -> Result<Arc<Address>> {
    let Ok(parsed) = ip.parse::<Ipv4Addr>() else {
        return Err(error(
            "InvalidAddress.Malformed",
            format!("Invalid address: \"{ip}\""),
        ));
    };
    owned::<Address>(&ctx.tx, &ctx.scope)
        .find(|a| a.public_ip == parsed)
        .cloned()
        .ok_or_else(|| {
            error(
                "InvalidAddress.NotFound",
                format!("Address '{ip}' not found."),
            )
        })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReleaseAddress {
    allocation_id: Option<String>,
    public_ip: Option<String>,
    network_border_group: Option<String>,
    dry_run: Option<bool>,
}

pub fn release(ctx: &mut Ctx, input: ReleaseAddress) -> Result<Done> {
    let (id, ip) = (input.allocation_id.as_deref(), input.public_ip.as_deref());
    let address = find_address(ctx, id, ip)?;
    if let Some(group) = &input.network_border_group
        && **group != *ctx.scope.region
    {
        return Err(invalid_parameter(
            group,
            "networkBorderGroup",
            "The address is not in that network border group.",
        ));
    }
    if address.association.is_some() {
        return Err(error(
            "InvalidIPAddress.InUse",
            format!("Address {} is in use.", address.public_ip),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<Address>(&address.allocation);
    done()
}

/// Interfaces that a service made are that service's to change.
pub(super) fn not_yours() -> ApiError {
    error(
        "AuthFailure",
        "You do not have permission to access the specified resource.",
    )
}

/// The Elastic IP that is associated with an interface's private address.
pub fn of_interface<'a>(
    state: &'a State,
    interface: &'a NetworkInterface,
    private_ip: Ipv4Addr,
) -> Option<&'a Address> {
    owned::<Address>(state, &interface.scope)
        .find(|a| {
            let association = a.association.as_ref();
            association.is_some_and(|a| a.interface == interface.id && a.private_ip == private_ip)
        })
        .map(Arc::as_ref)
}

/// Frees the Elastic IPs of an interface that goes, or loses those of `ips`.
pub(super) fn disassociate_all(tx: &mut Tx, interface: &NetworkInterface, ips: &[Ipv4Addr]) {
    let freed: Vec<AllocationId> = ips
        .iter()
        .filter_map(|ip| Some(of_interface(tx, interface, *ip)?.allocation.clone()))
        .collect();
    for id in freed {
        tx.modify::<Address>(&id, |a| a.association = None);
    }
}

const FILTERS: &[Field<Address>] = &[
    ("allocation-id", |_, a| one(&a.allocation)),
    ("association-id", |_, a| {
        maybe(a.association.as_ref().map(|a| &a.id))
    }),
    ("domain", |_, _| one("vpc")),
    ("instance-id", |s, a| maybe(shape(s, a).instance_id)),
    ("network-border-group", |_, a| one(&a.scope.region)),
    ("network-interface-id", |_, a| {
        maybe(a.association.as_ref().map(|a| &a.interface))
    }),
    ("network-interface-owner-id", |_, a| {
        maybe(a.association.as_ref().map(|_| &a.scope.account))
    }),
    ("private-ip-address", |_, a| {
        maybe(a.association.as_ref().map(|a| a.private_ip))
    }),
    ("public-ip", |_, a| one(a.public_ip)),
    ("public-ipv4-pool", |_, _| one("amazon")),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAddresses {
    #[serde(default)]
    public_ip: Vec<String>,
    #[serde(default)]
    allocation_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    addresses_set: Vec<Shape>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeAddresses) -> Result<Addresses> {
    let page = Page::new(None, None)?;
    let mut ids = input.allocation_id;
    for ip in &input.public_ip {
        ids.push(by_ip(ctx, ip)?.allocation.to_string());
    }
    let (addresses, _) = describe(ctx, &ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(Addresses {
        addresses_set: addresses.iter().map(|a| shape(&ctx.tx, a)).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAddressesAttribute {
    #[serde(default)]
    allocation_id: Vec<String>,
    attribute: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressAttributes {
    address_set: Vec<Shape>,
    next_token: Option<String>,
}

/// Only addresses with a reverse name have the one attribute there is, and none
/// here can have one: ModifyAddressAttribute is not served.
pub fn describe_attribute(
    ctx: &mut Ctx,
    input: DescribeAddressesAttribute,
) -> Result<AddressAttributes> {
    Page::within(1, 1000, input.max_results, input.next_token.as_deref())?;
    if let Some(attribute) = &input.attribute
        && attribute != "domain-name"
    {
        return Err(invalid_parameter(
            attribute,
            "attribute",
            "Expecting domain-name.",
        ));
    }
    for id in &input.allocation_id {
        find::<Address>(ctx, id)?;
    }
    dry_run(input.dry_run)?;
    Ok(AddressAttributes {
        address_set: Vec::new(),
        next_token: None,
    })
}
