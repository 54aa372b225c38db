//! Entries of a network ACL: numbered, the lowest that matches decides.

use super::error::{Result, dry_run, error, invalid_parameter, invalid_value, missing};
use super::resource::find;
use super::{Done, cidr, done};
use super::{protocol, quota};
use crate::Ctx;
use ipnet::{IpNet, Ipv4Net};
use model::vpc::{NetworkAcl, NetworkAclEntry};
use serde::{Deserialize, Serialize};

/// The implied last entry.
const DENY_NUMBER: u16 = 32767;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryShape {
    pub rule_number: u16,
    pub protocol: String,
    pub rule_action: &'static str,
    pub egress: bool,
    pub cidr_block: Option<String>,
    pub ipv6_cidr_block: Option<String>,
    pub icmp_type_code: Option<IcmpShape>,
    pub port_range: Option<RangeShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IcmpShape {
    pub code: i16,
    pub r#type: i16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RangeShape {
    pub from: u16,
    pub to: u16,
}

/// The entries as answers list them: each direction by number, the implied one last.
pub(super) fn shapes(acl: &NetworkAcl) -> Vec<EntryShape> {
    let mut entries = acl.entries.clone();
    entries.extend([true, false].map(|egress| NetworkAclEntry {
        number: DENY_NUMBER,
        allow: false,
        ..allow_all(egress)
    }));
    entries.sort_by_key(|e| (!e.egress, e.number));
    entries.iter().map(shape).collect()
}

fn shape(entry: &NetworkAclEntry) -> EntryShape {
    let (cidr_block, ipv6_cidr_block) = match entry.cidr {
        IpNet::V4(net) => (Some(net.to_string()), None),
        IpNet::V6(net) => (None, Some(net.to_string())),
    };
    EntryShape {
        rule_number: entry.number,
        // Always a number here, unlike in security groups.
        protocol: entry.protocol.to_string(),
        rule_action: if entry.allow { "allow" } else { "deny" },
        egress: entry.egress,
        cidr_block,
        ipv6_cidr_block,
        icmp_type_code: entry.icmp.map(|(r#type, code)| IcmpShape { code, r#type }),
        port_range: entry.ports.map(|(from, to)| RangeShape { from, to }),
    }
}

pub(super) fn allow_all(egress: bool) -> NetworkAclEntry {
    NetworkAclEntry {
        number: 100,
        egress,
        allow: true,
        cidr: IpNet::V4(Ipv4Net::default()),
        protocol: protocol::ALL,
        ports: None,
        icmp: None,
    }
}

/// `CreateNetworkAclEntry` and `ReplaceNetworkAclEntry`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EntryRequest {
    network_acl_id: String,
    rule_number: i64,
    protocol: String,
    rule_action: String,
    egress: bool,
    cidr_block: Option<String>,
    ipv6_cidr_block: Option<String>,
    icmp: Option<IcmpRequest>,
    port_range: Option<RangeRequest>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IcmpRequest {
    r#type: Option<i16>,
    code: Option<i16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RangeRequest {
    from: Option<i64>,
    to: Option<i64>,
}

pub fn create(ctx: &mut Ctx, input: EntryRequest) -> Result<Done> {
    let mut acl = NetworkAcl::clone(&*find::<NetworkAcl>(ctx, &input.network_acl_id)?);
    let entry = entry(&input)?;
    if position(&acl, entry.number, entry.egress).is_some() {
        return Err(error(
            "NetworkAclEntryAlreadyExists",
            format!(
                "The network acl entry identified by {} already exists.",
                entry.number
            ),
        ));
    }
    let same_way = acl.entries.iter().filter(|e| e.egress == entry.egress);
    if same_way.count() >= quota::RULES_PER_ACL {
        return Err(error(
            "NetworkAclEntryLimitExceeded",
            "The maximum number of network acl entries has been reached.",
        ));
    }
    acl.entries.push(entry);
    dry_run(input.dry_run)?;
    ctx.tx.put(acl);
    done()
}

pub fn replace(ctx: &mut Ctx, input: EntryRequest) -> Result<Done> {
    let mut acl = NetworkAcl::clone(&*find::<NetworkAcl>(ctx, &input.network_acl_id)?);
    let entry = entry(&input)?;
    match position(&acl, entry.number, entry.egress) {
        Some(at) => acl.entries[at] = entry,
        None => return Err(no_such_entry(entry.number, entry.egress)),
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(acl);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteNetworkAclEntry {
    network_acl_id: String,
    rule_number: i64,
    egress: bool,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteNetworkAclEntry) -> Result<Done> {
    let mut acl = NetworkAcl::clone(&*find::<NetworkAcl>(ctx, &input.network_acl_id)?);
    let number = rule_number(input.rule_number)?;
    match position(&acl, number, input.egress) {
        Some(at) => acl.entries.remove(at),
        None => return Err(no_such_entry(number, input.egress)),
    };
    dry_run(input.dry_run)?;
    ctx.tx.put(acl);
    done()
}

fn position(acl: &NetworkAcl, number: u16, egress: bool) -> Option<usize> {
    acl.entries
        .iter()
        .position(|e| e.number == number && e.egress == egress)
}

fn no_such_entry(number: u16, egress: bool) -> wire::ApiError {
    let direction = if egress { "egress" } else { "ingress" };
    error(
        "InvalidNetworkAclEntry.NotFound",
        format!("The {direction} network acl entry identified by {number} does not exist"),
    )
}

fn rule_number(given: i64) -> Result<u16> {
    match u16::try_from(given) {
        Ok(number) if (1..DENY_NUMBER).contains(&number) => Ok(number),
        _ => Err(invalid_parameter(
            given,
            "ruleNumber",
            "Must be a number between 1 and 32766.",
        )),
    }
}

fn entry(input: &EntryRequest) -> Result<NetworkAclEntry> {
    let number = rule_number(input.rule_number)?;
    let allow = match input.rule_action.as_str() {
        "allow" => true,
        "deny" => false,
        other => {
            return Err(invalid_parameter(
                other,
                "ruleAction",
                "Expecting allow or deny.",
            ));
        }
    };
    let cidr = match (&input.cidr_block, &input.ipv6_cidr_block) {
        (Some(v4), None) => IpNet::V4(cidr::ipv4(v4, "cidrBlock")?),
        (None, Some(v6)) => match cidr::any(v6, "ipv6CidrBlock")? {
            net @ IpNet::V6(_) => net,
            IpNet::V4(_) => {
                let why = "This is not a valid IPv6 CIDR block.";
                return Err(invalid_parameter(v6, "ipv6CidrBlock", why));
            }
        },
        (None, None) => return Err(missing("cidrBlock or ipv6CidrBlock")),
        (Some(_), Some(_)) => {
            return Err(invalid_value(
                "Only one of cidrBlock and ipv6CidrBlock may be specified.",
            ));
        }
    };
    let protocol = protocol::parse(&input.protocol)?;
    // Ports go with TCP and UDP, types and codes with ICMP; elsewhere AWS passes over them.
    let ports = match &input.port_range {
        Some(range) if protocol::has_ports(protocol) => Some(ports(range)?),
        None if protocol::has_ports(protocol) => return Err(missing("portRange")),
        _ => None,
    };
    let icmp = match &input.icmp {
        Some(icmp) if protocol::is_icmp(protocol) => {
            Some((icmp.r#type.unwrap_or(-1), icmp.code.unwrap_or(-1)))
        }
        None if protocol::is_icmp(protocol) => return Err(missing("icmpTypeCode")),
        _ => None,
    };
    Ok(NetworkAclEntry {
        number,
        egress: input.egress,
        allow,
        cidr,
        protocol,
        ports,
        icmp,
    })
}

fn ports(range: &RangeRequest) -> Result<(u16, u16)> {
    let port = |given: Option<i64>, name| {
        let given = given.ok_or_else(|| missing(name))?;
        u16::try_from(given)
            .map_err(|_| invalid_parameter(given, name, "Must be a port between 0 and 65535."))
    };
    let (from, to) = (
        port(range.from, "portRange.from")?,
        port(range.to, "portRange.to")?,
    );
    if from > to {
        return Err(invalid_value(format!(
            "Invalid TCP/UDP port range ({from}:{to})"
        )));
    }
    Ok((from, to))
}
