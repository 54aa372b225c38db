//! Rules of security groups as calls spell them: permissions, each of several sources.

use super::error::{Result, error, invalid_parameter, invalid_value, missing};
use super::resource::{Resource, find, owned};
use super::{cidr, default_vpc, prefix_list, protocol, vpc_peering};
use crate::Ctx;
use ipnet::{IpNet, Ipv4Net};
use model::vpc::{SecurityGroup, SecurityGroupPeer, SecurityGroupRule};
use model::vpc_peering::VpcPeeringConnection;
use model::{SecurityGroupRuleId, Tags};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IpPermission {
    ip_protocol: Option<String>,
    from_port: Option<i64>,
    to_port: Option<i64>,
    #[serde(default)]
    groups: Vec<UserIdGroupPair>,
    #[serde(default)]
    ip_ranges: Vec<IpRange>,
    #[serde(default)]
    ipv6_ranges: Vec<Ipv6Range>,
    #[serde(default)]
    prefix_list_ids: Vec<PrefixListId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserIdGroupPair {
    group_id: Option<String>,
    group_name: Option<String>,
    user_id: Option<String>,
    description: Option<String>,
    vpc_id: Option<String>,
    vpc_peering_connection_id: Option<String>,
    /// Only answers mean anything by it.
    #[serde(rename = "PeeringStatus")]
    #[serde(default, deserialize_with = "wire::validated")]
    _peering_status: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpRange {
    cidr_ip: String,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6Range {
    cidr_ipv6: String,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrefixListId {
    prefix_list_id: String,
    description: Option<String>,
}

/// The older spelling: one rule in the call's own members.
#[derive(Debug, Default)]
pub struct Flat {
    pub ip_protocol: Option<String>,
    pub from_port: Option<i64>,
    pub to_port: Option<i64>,
    pub cidr_ip: Option<String>,
    pub source_security_group_name: Option<String>,
    pub source_security_group_owner_id: Option<String>,
}

impl Flat {
    fn is_given(&self) -> bool {
        self.ip_protocol.is_some()
            || self.cidr_ip.is_some()
            || self.source_security_group_name.is_some()
    }

    fn into_permission(self) -> IpPermission {
        let group = self.source_security_group_name.map(|name| UserIdGroupPair {
            group_name: Some(name),
            user_id: self.source_security_group_owner_id,
            ..UserIdGroupPair::default()
        });
        // A group alone means everything from it.
        let ip_protocol = match (&self.ip_protocol, &group) {
            (None, Some(_)) => Some("-1".to_owned()),
            _ => self.ip_protocol,
        };
        let range = self.cidr_ip.map(|cidr_ip| IpRange {
            cidr_ip,
            description: None,
        });
        IpPermission {
            ip_protocol,
            from_port: self.from_port,
            to_port: self.to_port,
            groups: group.into_iter().collect(),
            ip_ranges: range.into_iter().collect(),
            ..IpPermission::default()
        }
    }
}

/// The rules that a call spells in either way, each once.
pub fn rules(
    ctx: &Ctx,
    group: &SecurityGroup,
    egress: bool,
    permissions: Vec<IpPermission>,
    flat: Flat,
) -> Result<Vec<SecurityGroupRule>> {
    let permissions = match (permissions.is_empty(), flat.is_given()) {
        (false, false) => permissions,
        (true, true) => vec![flat.into_permission()],
        (true, false) => return Err(missing("ipPermissions")),
        (false, true) => {
            return Err(super::error::invalid_combination(
                "The parameter ipPermissions may not be combined with the parameters of a single rule.",
            ));
        }
    };
    let mut rules: Vec<SecurityGroupRule> = Vec::new();
    for permission in &permissions {
        for rule in rules_of(ctx, group, egress, permission)? {
            if rules.iter().any(|r| same(r, &rule)) {
                return Err(invalid_value(
                    "The same permission must not appear multiple times",
                ));
            }
            rules.push(rule);
        }
    }
    Ok(rules)
}

/// Whether two rules of one group say the same; descriptions do not count.
pub fn same(a: &SecurityGroupRule, b: &SecurityGroupRule) -> bool {
    (a.egress, a.protocol, a.ports, &a.peer) == (b.egress, b.protocol, b.ports, &b.peer)
}

pub fn protocol(given: Option<&str>) -> Result<i16> {
    protocol::parse(given.ok_or_else(|| {
        invalid_value(
            "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.",
        )
    })?)
}

fn rules_of(
    ctx: &Ctx,
    group: &SecurityGroup,
    egress: bool,
    permission: &IpPermission,
) -> Result<Vec<SecurityGroupRule>> {
    let protocol = protocol(permission.ip_protocol.as_deref())?;
    let ports = ports(protocol, permission.from_port, permission.to_port)?;
    let mut peers = Vec::new();
    for range in &permission.ip_ranges {
        peers.push((ipv4_peer(&range.cidr_ip)?, &range.description));
    }
    for range in &permission.ipv6_ranges {
        peers.push((ipv6_peer(&range.cidr_ipv6)?, &range.description));
    }
    for pair in &permission.groups {
        peers.push((group_peer(ctx, group, pair)?, &pair.description));
    }
    for list in &permission.prefix_list_ids {
        let peer = prefix_list_peer(ctx, &list.prefix_list_id)?;
        peers.push((peer, &list.description));
    }
    if peers.is_empty() {
        return Err(invalid_value(
            "The permission must name a CIDR block, a security group or a prefix list.",
        ));
    }
    peers
        .into_iter()
        .map(|(peer, description)| {
            check_description(description.as_deref())?;
            Ok(SecurityGroupRule {
                id: SecurityGroupRuleId::random(),
                egress,
                protocol,
                ports,
                peer,
                // Terraform sends an empty one where there is none.
                description: description.clone().filter(|d| !d.is_empty()),
                tags: Tags::new(),
            })
        })
        .collect()
}

pub fn ipv4_peer(text: &str) -> Result<SecurityGroupPeer> {
    match text.parse::<Ipv4Net>() {
        Ok(net) => Ok(SecurityGroupPeer::Cidr(IpNet::V4(net.trunc()))),
        Err(_) => Err(invalid_value(format!("CIDR block {text} is malformed"))),
    }
}

pub fn ipv6_peer(text: &str) -> Result<SecurityGroupPeer> {
    match cidr::any(text, "cidrIpv6") {
        Ok(net @ IpNet::V6(_)) => Ok(SecurityGroupPeer::Cidr(net)),
        _ => Err(invalid_value(format!("CIDR block {text} is malformed"))),
    }
}

pub fn prefix_list_peer(ctx: &Ctx, id: &str) -> Result<SecurityGroupPeer> {
    let list = prefix_list::find(ctx, id)?;
    Ok(SecurityGroupPeer::PrefixList(list.id))
}

/// A group named by id, of the VPC or one that is peered with it, or by name in the VPC.
fn group_peer(
    ctx: &Ctx,
    group: &SecurityGroup,
    pair: &UserIdGroupPair,
) -> Result<SecurityGroupPeer> {
    let own = ctx.scope.account.as_ref();
    let foreign = pair.user_id.as_deref().is_some_and(|user| user != own);
    let name = pair.group_id.as_ref().or(pair.group_name.as_ref());
    let Some(name) = name else {
        return Err(missing("groupId"));
    };
    let referenced = match &pair.group_id {
        _ if foreign => None,
        Some(id) => Some(find::<SecurityGroup>(ctx, id)?),
        None => owned::<SecurityGroup>(&ctx.tx, &ctx.scope)
            .find(|g| g.vpc == group.vpc && g.name == *name)
            .cloned(),
    };
    let fits = |g: &SecurityGroup| {
        let there = g.vpc == group.vpc || peering_of(ctx, group, g, pair).is_some();
        there && pair.vpc_id.as_deref().is_none_or(|v| v == g.vpc.as_str())
    };
    match referenced {
        Some(g) if fits(&g) => Ok(SecurityGroupPeer::Group(g.id.clone())),
        Some(g) => Err(error(
            "InvalidGroup.NotFound",
            format!(
                "You have specified two resources that belong to different networks: {} and {}.",
                group.id, g.id
            ),
        )),
        None => Err(SecurityGroup::not_found(name)),
    }
}

/// The connection that joins the VPCs of two groups: the one named, if one is.
fn peering_of<'a>(
    ctx: &'a Ctx,
    group: &SecurityGroup,
    other: &SecurityGroup,
    pair: &UserIdGroupPair,
) -> Option<&'a VpcPeeringConnection> {
    let named = pair.vpc_peering_connection_id.as_deref();
    let peering = vpc_peering::between(&ctx.tx, &group.vpc, &other.vpc)?;
    Some(peering.as_ref()).filter(|p| named.is_none_or(|id| id == p.id.as_str()))
}

/// AWS's limit and characters.
pub fn check_description(description: Option<&str>) -> Result<()> {
    let Some(text) = description else {
        return Ok(());
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:/()#,@[]+=&;{}!$* ".contains(c);
    if text.chars().count() > 255 || !text.chars().all(allowed) {
        return Err(invalid_value(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ));
    }
    Ok(())
}

/// Ports of TCP and UDP, type and code of ICMP; other protocols have none.
pub fn ports(protocol: i16, from: Option<i64>, to: Option<i64>) -> Result<Option<(i32, i32)>> {
    if protocol::has_ports(protocol) {
        let name = protocol::name(protocol).to_uppercase();
        let (Some(from), Some(to)) = (from, to) else {
            return Err(invalid_value(
                "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
            ));
        };
        // Both −1 is how some tools write every port.
        if (from, to) == (-1, -1) {
            return Ok(Some((0, 65535)));
        }
        return match (u16::try_from(from), u16::try_from(to)) {
            (Ok(from), Ok(to)) if from <= to => Ok(Some((from.into(), to.into()))),
            _ => Err(invalid_value(format!("Invalid {name} port range."))),
        };
    }
    if protocol::is_icmp(protocol) {
        let number = |given: Option<i64>, name| {
            let given = given.unwrap_or(-1);
            match i32::try_from(given) {
                Ok(n) if (-1..=255).contains(&n) => Ok(n),
                _ => Err(invalid_parameter(
                    given,
                    name,
                    "Must be between -1 and 255.",
                )),
            }
        };
        return Ok(Some((number(from, "icmpType")?, number(to, "icmpCode")?)));
    }
    Ok(None)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PermissionShape {
    pub ip_protocol: String,
    pub from_port: Option<i32>,
    pub to_port: Option<i32>,
    groups: Vec<PairShape>,
    ip_ranges: Vec<IpRangeShape>,
    ipv6_ranges: Vec<Ipv6RangeShape>,
    prefix_list_ids: Vec<PrefixListShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PairShape {
    user_id: String,
    group_id: String,
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IpRangeShape {
    cidr_ip: String,
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6RangeShape {
    cidr_ipv6: String,
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrefixListShape {
    prefix_list_id: String,
    description: Option<String>,
}

/// Rules gathered into permissions by protocol and ports, as DescribeSecurityGroups lists them.
pub(super) fn shapes<'a>(
    account: &str,
    rules: impl Iterator<Item = &'a SecurityGroupRule>,
) -> Vec<PermissionShape> {
    let mut found: Vec<PermissionShape> = Vec::new();
    for rule in rules {
        let ip_protocol = protocol::name(rule.protocol);
        let (from_port, to_port) = rule.ports.unzip();
        let key = (&ip_protocol, from_port, to_port);
        let at = found
            .iter()
            .position(|p| (&p.ip_protocol, p.from_port, p.to_port) == key);
        let at = at.unwrap_or_else(|| {
            found.push(PermissionShape {
                ip_protocol,
                from_port,
                to_port,
                groups: Vec::new(),
                ip_ranges: Vec::new(),
                ipv6_ranges: Vec::new(),
                prefix_list_ids: Vec::new(),
            });
            found.len() - 1
        });
        let permission = &mut found[at];
        let description = rule.description.clone();
        match &rule.peer {
            SecurityGroupPeer::Cidr(IpNet::V4(net)) => permission.ip_ranges.push(IpRangeShape {
                cidr_ip: net.to_string(),
                description,
            }),
            SecurityGroupPeer::Cidr(IpNet::V6(net)) => {
                permission.ipv6_ranges.push(Ipv6RangeShape {
                    cidr_ipv6: net.to_string(),
                    description,
                });
            }
            SecurityGroupPeer::Group(id) => permission.groups.push(PairShape {
                user_id: account.to_owned(),
                group_id: id.to_string(),
                description,
            }),
            SecurityGroupPeer::PrefixList(id) => permission.prefix_list_ids.push(PrefixListShape {
                prefix_list_id: id.to_string(),
                description,
            }),
        }
    }
    found
}

/// The group that a call means: by id, or by name in the default VPC.
pub fn find_group(
    ctx: &Ctx,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<std::sync::Arc<SecurityGroup>> {
    if let Some(id) = id {
        return find::<SecurityGroup>(ctx, id);
    }
    let Some(name) = name else {
        return Err(missing("groupId"));
    };
    let vpc = default_vpc::find(ctx);
    owned::<SecurityGroup>(&ctx.tx, &ctx.scope)
        .find(|g| g.name == name && vpc.as_ref().is_some_and(|v| v.id == g.vpc))
        .cloned()
        .ok_or_else(|| SecurityGroup::not_found(name))
}
