//! The filter of a VPC's router, one nftables table, in the order a packet meets it:
//! faults and spoofed sources, the mark that names the route table, destinations an
//! interface may not get, network ACLs, security groups.
//!
//! Everything per interface is an element of a map or set, so that the cost stays flat;
//! chains exist per network ACL and per *combination* of groups, which a fleet shares.
//! A chain of groups has one rule per kind of traffic with its CIDRs as an interval set.
//! One set of `address . protocol . port` for all of them was rejected: the kernel
//! refuses overlapping entries there, and unions of groups overlap as a rule.
//!
//! ACLs are stateless, so they stand before connection tracking has its say: a deny cuts
//! established flows. Groups are stateful: a revoked rule refuses new flows only, and
//! `tracking` ends those AWS does not track.
//!
//! Base chains have policy accept and end in `drop` where they must: a table is swapped
//! in one transaction, but a new chain's policy already counts while it is prepared.

use super::names::{self, ROUTER_TO_GATEWAY};
use super::router::services;
use super::text::{elements, list, traffic};
use crate::network::{AclRule, Owner, Peer, SecurityGroupRule, Traffic, Vpc};
use ipnet::Ipv4Net;
use model::{NetworkInterfaceId, RouteTableId, SecurityGroupId, SubnetId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

pub fn render(
    vpc: &Vpc,
    tables: &BTreeMap<RouteTableId, u32>,
    nodes: &BTreeMap<NetworkInterfaceId, u32>,
    cut: &BTreeSet<NetworkInterfaceId>,
) -> String {
    let groups = group_chains(vpc);
    let acls = acl_chains(vpc);
    let sets = sets(vpc, tables, nodes, cut, &groups, &acls);
    let return_paths = return_paths(nodes);
    let services_in = services_in(vpc);
    let inside = list(Ipv4Net::aggregate(&vpc.cidrs));
    let peered = peered(vpc);
    let chains: String = groups.chains + &acls.chains;
    format!(
        "table ip nines
delete table ip nines
table ip nines {{
{sets}{chains}	chain sources {{
		type filter hook prerouting priority -300; policy accept;
		iifname @cut ip daddr != @services drop
		iifname @checked iifname . ip saddr != @own drop
		iifname \"{ROUTER_TO_GATEWAY}\" ip saddr {inside} drop
{peered}	}}
	chain route_tables {{
		type filter hook prerouting priority -150; policy accept;
		meta mark set iifname map @route_tables
{return_paths}	}}
	chain destinations {{
		type filter hook forward priority -300; policy accept;
		iifname != @interfaces drop
		oifname != @interfaces drop
		oifname @cut drop
		oifname @checked oifname . ip daddr != @own drop
	}}
	chain network_acls {{
		type filter hook forward priority -10; policy accept;
		iifname vmap @acl_egress
		oifname vmap @acl_ingress
	}}
	chain security_groups {{
		type filter hook forward priority 0; policy accept;
		ct state vmap {{ established : accept, related : accept, invalid : drop }}
		iifname vmap @group_egress
		oifname vmap @group_ingress
	}}
	chain services {{
		type filter hook input priority 0; policy accept;
		iifname \"lo\" accept
		iifname \"{ROUTER_TO_GATEWAY}\" drop
		iifname != @interfaces drop
{services_in}		drop
	}}
}}
"
    )
}

/// Chains, and which interface (by device) jumps to which.
#[derive(Default)]
struct Chains {
    chains: String,
    egress: BTreeMap<String, String>,
    ingress: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The far end as the rule sees it.
    fn peer(self) -> &'static str {
        match self {
            Self::Ingress => "ip saddr",
            Self::Egress => "ip daddr",
        }
    }
}

fn sets(
    vpc: &Vpc,
    tables: &BTreeMap<RouteTableId, u32>,
    nodes: &BTreeMap<NetworkInterfaceId, u32>,
    cut: &BTreeSet<NetworkInterfaceId>,
    groups: &Chains,
    acls: &Chains,
) -> String {
    let mut interfaces = BTreeSet::new();
    let mut cut_devices = BTreeSet::new();
    let mut checked = BTreeSet::new();
    let mut own = BTreeSet::new();
    let mut marks = BTreeSet::new();
    if vpc.internet_gateway.is_some() {
        interfaces.insert(quoted(ROUTER_TO_GATEWAY));
    }
    interfaces.extend(vpc.peerings.keys().map(|id| quoted(&names::peering(id))));
    for (id, interface) in &vpc.interfaces {
        if matches!(interface.owner, Owner::Detached) {
            continue;
        }
        let device = quoted(&names::device(id));
        interfaces.insert(device.clone());
        if cut.contains(id) {
            cut_devices.insert(device.clone());
        }
        // These pass on what others sent, whatever their record says.
        let passes_on = matches!(
            interface.owner,
            Owner::NatGateway | Owner::NetworkLoadBalancerNode
        );
        if interface.source_dest_check && !passes_on {
            checked.insert(device.clone());
            own.extend(
                interface
                    .addresses
                    .iter()
                    .map(|a| format!("{device} . {a}")),
            );
        }
        let table = vpc
            .subnets
            .get(&interface.subnet)
            .map(|subnet| &subnet.route_table);
        if let Some(mark) = table.and_then(|table| tables.get(table)) {
            marks.insert(format!("{device} : {mark:#x}"));
        }
    }
    let jumps = |map: &BTreeMap<String, String>| {
        elements(
            map.iter()
                .map(|(device, chain)| format!("{} : jump {chain}", quoted(device))),
        )
    };
    let mut text = String::new();
    for (kind, name, of, items) in [
        ("set", "interfaces", "ifname", elements(&interfaces)),
        ("set", "cut", "ifname", elements(&cut_devices)),
        ("set", "checked", "ifname", elements(&checked)),
        ("set", "own", "ifname . ipv4_addr", elements(&own)),
        ("set", "services", "ipv4_addr", elements(services(vpc))),
        ("map", "route_tables", "ifname : mark", elements(&marks)),
        ("map", "acl_egress", "ifname : verdict", jumps(&acls.egress)),
        (
            "map",
            "acl_ingress",
            "ifname : verdict",
            jumps(&acls.ingress),
        ),
        (
            "map",
            "group_egress",
            "ifname : verdict",
            jumps(&groups.egress),
        ),
        (
            "map",
            "group_ingress",
            "ifname : verdict",
            jumps(&groups.ingress),
        ),
    ] {
        let _ = writeln!(text, "\t{kind} {name} {{ type {of};{items} }}");
    }
    if !nodes.is_empty() {
        let marks = nodes
            .iter()
            .map(|(id, mark)| format!("{} : {mark:#x}", quoted(&names::device(id))));
        let _ = writeln!(
            text,
            "\tmap nodes {{ type ifname : mark;{} }}",
            elements(marks)
        );
    }
    for (group, devices) in nodes_by_group(vpc) {
        let items = elements(devices);
        let _ = writeln!(text, "\tset {group}_nodes {{ type ifname;{items} }}");
    }
    for (group, members) in members(vpc) {
        let items = elements(members);
        let _ = writeln!(text, "\tset {group} {{ type ipv4_addr;{items} }}");
    }
    text
}

/// Private addresses behind each group that a rule refers to, also groups without any.
fn members(vpc: &Vpc) -> BTreeMap<&SecurityGroupId, BTreeSet<Ipv4Addr>> {
    let mut members: BTreeMap<&SecurityGroupId, BTreeSet<Ipv4Addr>> = vpc
        .security_groups
        .values()
        .flat_map(|group| group.ingress.iter().chain(&group.egress))
        .filter_map(|rule| match &rule.peer {
            Peer::Group(id) => Some((id, BTreeSet::new())),
            Peer::Cidr(_) => None,
        })
        .collect();
    for interface in vpc.interfaces.values() {
        for group in &interface.security_groups {
            if let Some(addresses) = members.get_mut(group) {
                addresses.extend(&interface.addresses);
            }
        }
    }
    members
}

/// A network load balancer's node sends under its clients' addresses: its flows are known by the
/// interface they came from, and their answers go back there.
fn return_paths(nodes: &BTreeMap<NetworkInterfaceId, u32>) -> &'static str {
    if nodes.is_empty() {
        return "";
    }
    "\t\tct direction original ct state new ct mark set iifname map @nodes
\t\tct direction reply ct mark != 0 meta mark set ct mark
"
}

/// Devices of network load balancers' nodes by the groups they carry: what comes from them counts
/// as coming from the group, although the address is a client's.
fn nodes_by_group(vpc: &Vpc) -> BTreeMap<&SecurityGroupId, BTreeSet<String>> {
    let mut found: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (id, interface) in &vpc.interfaces {
        if matches!(interface.owner, Owner::NetworkLoadBalancerNode) {
            for group in &interface.security_groups {
                let devices = found.entry(group).or_default();
                devices.insert(quoted(&names::device(id)));
            }
        }
    }
    found
}

/// A pair of chains for every combination of groups that some interface carries.
fn group_chains(vpc: &Vpc) -> Chains {
    let mut combinations: BTreeMap<BTreeSet<&SecurityGroupId>, Vec<String>> = BTreeMap::new();
    for (id, interface) in &vpc.interfaces {
        // A NAT gateway has no groups, nor has a network load balancer that was made without; a
        // detached interface has no packets.
        let is_filtered = match interface.owner {
            Owner::Instance { .. } | Owner::LoadBalancerNode => true,
            Owner::NetworkLoadBalancerNode => !interface.security_groups.is_empty(),
            Owner::NatGateway | Owner::Detached => false,
        };
        if is_filtered {
            let groups = interface.security_groups.iter().collect();
            combinations
                .entry(groups)
                .or_default()
                .push(names::device(id));
        }
    }
    let nodes = nodes_by_group(vpc);
    let mut found = Chains::default();
    for (number, (groups, devices)) in combinations.into_iter().enumerate() {
        let names: Vec<&str> = groups.iter().map(|id| id.as_str()).collect();
        let groups: Vec<_> = groups
            .iter()
            .filter_map(|id| vpc.security_groups.get(*id))
            .collect();
        for direction in Direction::BOTH {
            let chain = format!("group_{}_{number}", direction.name());
            let rules = groups.iter().flat_map(|group| match direction {
                Direction::Ingress => &group.ingress,
                Direction::Egress => &group.egress,
            });
            let _ = writeln!(found.chains, "\t# {}", names.join(" "));
            let _ = writeln!(found.chains, "\tchain {chain} {{");
            found.chains += &group_rules(rules, direction, &nodes);
            found.chains += "\t}\n";
            let jumps = match direction {
                Direction::Ingress => &mut found.ingress,
                Direction::Egress => &mut found.egress,
            };
            jumps.extend(devices.iter().map(|device| (device.clone(), chain.clone())));
        }
    }
    found
}

/// The union of all groups' rules; what leaves must still be let in, so egress returns.
fn group_rules<'a>(
    rules: impl Iterator<Item = &'a SecurityGroupRule>,
    direction: Direction,
    nodes: &BTreeMap<&SecurityGroupId, BTreeSet<String>>,
) -> String {
    let verdict = match direction {
        Direction::Ingress => "accept",
        Direction::Egress => "return",
    };
    let mut peers: BTreeMap<String, (Vec<Ipv4Net>, BTreeSet<&SecurityGroupId>)> = BTreeMap::new();
    for rule in rules {
        let Some(traffic) = traffic(rule.traffic) else {
            continue;
        };
        let (cidrs, groups) = peers.entry(traffic).or_default();
        match &rule.peer {
            Peer::Cidr(cidr) => cidrs.push(*cidr),
            Peer::Group(id) => _ = groups.insert(id),
        }
    }
    let mut text = String::new();
    for (traffic, (cidrs, groups)) in peers {
        let peer = direction.peer();
        let cidrs = Ipv4Net::aggregate(&cidrs);
        if cidrs.iter().any(|cidr| cidr.prefix_len() == 0) {
            // The families' whole range: no address to compare, and no group could add to it.
            let _ = writeln!(text, "\t\t{}", format!("{traffic} {verdict}").trim_start());
            continue;
        }
        if !cidrs.is_empty() {
            let _ = writeln!(text, "\t\t{peer} {}{traffic} {verdict}", list(cidrs));
        }
        for group in groups {
            let _ = writeln!(text, "\t\t{peer} @{group}{traffic} {verdict}");
            if direction == Direction::Ingress && nodes.contains_key(group) {
                let _ = writeln!(text, "\t\tiifname @{group}_nodes{traffic} {verdict}");
            }
        }
    }
    text + "\t\tdrop\n"
}

/// A chain per direction of an ACL that denies anything, and one per subnet in front of it
/// that lets the subnet's own traffic pass.
fn acl_chains(vpc: &Vpc) -> Chains {
    let mut found = Chains::default();
    for direction in Direction::BOTH {
        let mut filtering = BTreeSet::new();
        for (id, acl) in &vpc.network_acls {
            let rules = match direction {
                Direction::Ingress => &acl.ingress,
                Direction::Egress => &acl.egress,
            };
            let used = vpc.subnets.values().any(|subnet| subnet.network_acl == *id);
            if used && !allows_all(rules) {
                filtering.insert(id);
                let _ = writeln!(found.chains, "\tchain {}_{id} {{", direction.name());
                found.chains += &acl_rules(rules, direction);
                found.chains += "\t}\n";
            }
        }
        for (subnet_id, subnet) in &vpc.subnets {
            let devices = devices_of(vpc, subnet_id);
            if devices.is_empty() || !filtering.contains(&subnet.network_acl) {
                continue;
            }
            let (far, jumps) = match direction {
                Direction::Ingress => ("iifname", &mut found.ingress),
                Direction::Egress => ("oifname", &mut found.egress),
            };
            let chain = format!("{}_{subnet_id}", direction.name());
            let _ = write!(
                found.chains,
                "\tchain {chain} {{\n\t\t{far} {} return\n\t\tgoto {}_{}\n\t}}\n",
                list(devices.iter().map(|device| quoted(device))),
                direction.name(),
                subnet.network_acl,
            );
            jumps.extend(devices.into_iter().map(|device| (device, chain.clone())));
        }
    }
    found
}

fn devices_of(vpc: &Vpc, subnet: &SubnetId) -> Vec<String> {
    vpc.interfaces
        .iter()
        .filter(|(_, i)| i.subnet == *subnet && !matches!(i.owner, Owner::Detached))
        .map(|(id, _)| names::device(id))
        .collect()
}

fn allows_all(rules: &[AclRule]) -> bool {
    in_order(rules).first().is_some_and(|first| {
        first.allow && first.cidr.prefix_len() == 0 && first.traffic == Traffic::All
    })
}

fn acl_rules(rules: &[AclRule], direction: Direction) -> String {
    let mut text = String::new();
    for rule in in_order(rules) {
        let Some(traffic) = traffic(rule.traffic) else {
            continue;
        };
        let verdict = if rule.allow { "return" } else { "drop" };
        let cidr = rule.cidr.trunc();
        let _ = writeln!(text, "\t\t{} {cidr}{traffic} {verdict}", direction.peer());
    }
    text + "\t\tdrop\n"
}

fn in_order(rules: &[AclRule]) -> Vec<&AclRule> {
    let mut rules: Vec<_> = rules.iter().collect();
    rules.sort_by_key(|rule| rule.number);
    rules
}

/// What the router itself takes: questions to the resolver and the metadata service.
fn services_in(vpc: &Vpc) -> String {
    let metadata = crate::network::METADATA;
    let mut text = format!("\t\tip daddr {metadata} tcp dport 80 accept\n");
    if vpc.dns_support {
        text += &format!(
            "\t\tip daddr != {metadata} ip daddr @services meta l4proto {{ tcp, udp }} th dport 53 accept\n"
        );
    }
    text
}

/// From a peered VPC comes only what is its own, and only to what is this one's: nothing
/// passes through, and its resolver and metadata are its own as well.
fn peered(vpc: &Vpc) -> String {
    let mut text = String::new();
    let own: BTreeSet<Ipv4Addr> = services(vpc);
    for (connection, peering) in &vpc.peerings {
        let device = quoted(&names::peering(connection));
        let theirs = list(Ipv4Net::aggregate(&peering.cidrs));
        let inside = list(Ipv4Net::aggregate(&vpc.cidrs));
        let _ = writeln!(text, "\t\tiifname {device} ip saddr != {theirs} drop");
        let _ = writeln!(text, "\t\tiifname {device} ip daddr != {inside} drop");
        let _ = writeln!(text, "\t\tiifname {device} ip daddr {} drop", list(&own));
    }
    text
}

fn quoted(device: &str) -> String {
    format!("\"{device}\"")
}

/// Interfaces that a cut zone or a cut of their own takes off the network.
pub fn cut_interfaces(
    network: &crate::network::Network,
    vpc: &Vpc,
) -> BTreeSet<NetworkInterfaceId> {
    vpc.interfaces
        .iter()
        .filter(|(id, interface)| {
            let zone = vpc
                .subnets
                .get(&interface.subnet)
                .map(|subnet| &subnet.zone);
            network.cut_interfaces.contains(*id)
                || zone.is_some_and(|zone| network.cut_zones.contains(zone))
        })
        .map(|(id, _)| id.clone())
        .collect()
}
