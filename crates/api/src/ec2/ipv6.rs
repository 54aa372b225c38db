//! IPv6 blocks and addresses: allocated, checked and described.
//!
//! The data plane carries IPv4 only, so an address given here reaches nobody; who
//! asks for a block is told so by an event. Blocks come from the range kept for
//! documentation: a stack that leaks one of them into the world hits nothing.

use super::error::{Result, error, invalid_parameter};
use super::{cidr, quota};
use crate::Ctx;
use ipnet::{IpNet, Ipv6Net};
use model::VpcId;
use model::event::Severity;
use model::vpc::{Subnet, Vpc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use store::State;

const POOL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32);
/// What a VPC is given, and a subnet may take of it.
const VPC_PREFIX: u8 = 56;
const SUBNET_PREFIX: u8 = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VpcBlock {
    association_id: String,
    ipv6_cidr_block: String,
    ipv6_cidr_block_state: BlockState,
    network_border_group: String,
    ipv6_pool: &'static str,
    ipv6_address_attribute: &'static str,
    ip_source: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubnetBlock {
    association_id: String,
    ipv6_cidr_block: String,
    ipv6_cidr_block_state: BlockState,
    ipv6_address_attribute: &'static str,
    ip_source: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockState {
    state: &'static str,
}

impl VpcBlock {
    pub(super) fn new(vpc: &Vpc, (id, block): &(String, Ipv6Net), state: &'static str) -> Self {
        Self {
            association_id: id.clone(),
            ipv6_cidr_block: block.to_string(),
            ipv6_cidr_block_state: BlockState { state },
            network_border_group: vpc.scope.region.to_string(),
            ipv6_pool: "Amazon",
            ipv6_address_attribute: "public",
            ip_source: "amazon",
        }
    }
}

impl SubnetBlock {
    pub(super) fn new((id, block): &(String, Ipv6Net), state: &'static str) -> Self {
        Self {
            association_id: id.clone(),
            ipv6_cidr_block: block.to_string(),
            ipv6_cidr_block_state: BlockState { state },
            ipv6_address_attribute: "public",
            ip_source: "amazon",
        }
    }
}

/// Gives the VPC a block of its own, and says what it is good for.
pub(super) fn give(ctx: &mut Ctx, vpc: &mut Vpc) -> Result<(String, Ipv6Net)> {
    if vpc.ipv6_cidrs.len() >= quota::CIDRS_PER_VPC {
        return Err(error(
            "CidrLimitExceeded",
            format!(
                "This network {} has met its maximum number of allowed CIDRs: {}",
                vpc.id,
                quota::CIDRS_PER_VPC
            ),
        ));
    }
    let taken: BTreeSet<Ipv6Net> = ctx
        .tx
        .vpcs
        .values()
        .flat_map(|v| v.ipv6_cidrs.iter().map(|(_, block)| *block))
        .collect();
    let block = loop {
        let bits = POOL.network().to_bits() | u128::from(rand::random::<u32>() & 0x00ff_ffff) << 72;
        let block = Ipv6Net::new_assert(bits.into(), VPC_PREFIX);
        if !taken.contains(&block) {
            break block;
        }
    };
    let given = (super::vpc::association_id(), block);
    vpc.ipv6_cidrs.push(given.clone());
    let message = format!(
        "the IPv6 block {block} is recorded and described, but packets are carried over IPv4 only"
    );
    ctx.tx
        .event(ctx.now, Severity::Warning, &vpc.id, "not-emulated", message);
    Ok(given)
}

/// The block that a subnet asks for: a /64 of its VPC's that no other subnet has.
pub(super) fn subnet_block(ctx: &Ctx, vpc: &VpcId, text: &str) -> Result<(String, Ipv6Net)> {
    let IpNet::V6(block) = cidr::any(text, "ipv6CidrBlock")? else {
        return Err(invalid_parameter(
            text,
            "ipv6CidrBlock",
            "This is not a valid IPv6 CIDR block.",
        ));
    };
    let inside = ctx.tx.get::<Vpc>(vpc).is_some_and(|v| {
        let mut blocks = v.ipv6_cidrs.iter();
        blocks.any(|(_, b)| b.contains(&block))
    });
    if block.prefix_len() != SUBNET_PREFIX || !inside {
        return Err(error(
            "InvalidSubnet.Range",
            format!("The IPv6 CIDR '{block}' is invalid."),
        ));
    }
    let taken = |s: &Subnet| s.ipv6_cidr.as_ref().is_some_and(|(_, b)| *b == block);
    if ctx.tx.subnets.of(vpc).any(|s| taken(s)) {
        return Err(error(
            "InvalidSubnet.Conflict",
            format!("The IPv6 CIDR '{block}' conflicts with another subnet"),
        ));
    }
    Ok((
        format!("subnet-cidr-assoc-{}", model::random_hex(17)),
        block,
    ))
}

/// An IPv6 address as a call or answer names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
pub struct Ipv6AddressItem {
    pub ipv6_address: Option<String>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub is_primary_ipv6: Option<bool>,
}

/// The addresses of an interface in the shape of answers.
pub(super) fn items(addresses: &[Ipv6Addr]) -> Vec<Ipv6AddressItem> {
    addresses
        .iter()
        .map(|ip| Ipv6AddressItem {
            ipv6_address: Some(ip.to_string()),
            is_primary_ipv6: Some(false),
        })
        .collect()
}

/// The IPv6 addresses that a new interface is to have: those named, or as many free ones as
/// asked for; where nothing is asked, one if the subnet gives each interface one.
pub fn addresses(
    state: &State,
    subnet: &Subnet,
    named: &[String],
    count: Option<i64>,
) -> Result<Vec<Ipv6Addr>> {
    let automatic = i64::from(subnet.assign_ipv6_address_on_creation);
    match (named.is_empty(), count) {
        (false, Some(1..)) => Err(super::error::invalid_combination(
            "Only one of ipv6AddressCount and ipv6Addresses may be specified.",
        )),
        (false, _) => named.iter().map(|ip| check(state, subnet, ip)).collect(),
        (true, count) => take(state, subnet, count.unwrap_or(automatic)),
    }
}

fn block_of(subnet: &Subnet) -> Result<Ipv6Net> {
    match &subnet.ipv6_cidr {
        Some((_, block)) => Ok(*block),
        None => Err(super::error::invalid_value(format!(
            "The subnet {} has no IPv6 CIDR block.",
            subnet.id
        ))),
    }
}

fn is_taken(state: &State, subnet: &Subnet, ip: Ipv6Addr) -> bool {
    let mut interfaces = state.network_interfaces.of(&subnet.id);
    interfaces.any(|i| i.ipv6_addresses.contains(&ip))
}

/// Random ones, as AWS's are.
pub(super) fn take(state: &State, subnet: &Subnet, count: i64) -> Result<Vec<Ipv6Addr>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let block = block_of(subnet)?;
    if !(1..=50).contains(&count) {
        return Err(invalid_parameter(
            count,
            "ipv6AddressCount",
            "Expecting a number from 1 to 50.",
        ));
    }
    let mut found = Vec::new();
    while (found.len() as i64) < count {
        let tail = u128::from(rand::random::<u64>() | 0x100);
        let ip = Ipv6Addr::from_bits(block.network().to_bits() | tail);
        if !found.contains(&ip) && !is_taken(state, subnet, ip) {
            found.push(ip);
        }
    }
    Ok(found)
}

/// Checks that an address is the subnet's and free. The first four and the last are AWS's.
pub(super) fn check(state: &State, subnet: &Subnet, text: &str) -> Result<Ipv6Addr> {
    let bad = |why| Err(invalid_parameter(text, "ipv6Addresses", why));
    let Ok(ip) = text.parse::<Ipv6Addr>() else {
        return bad("This is not a valid IPv6 address.");
    };
    let block = block_of(subnet)?;
    if !block.contains(&ip) {
        return bad("Address does not fall within the subnet's address range");
    }
    let tail = ip.to_bits() & u128::from(u64::MAX);
    if tail < 4 || tail == u128::from(u64::MAX) {
        return bad("Address is in subnet's reserved address range");
    }
    if is_taken(state, subnet, ip) {
        return Err(error(
            "InvalidIPAddress.InUse",
            format!("The specified address is already in use: {ip}"),
        ));
    }
    Ok(ip)
}
