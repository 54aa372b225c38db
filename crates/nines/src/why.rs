//! `nines why`: walks the path a packet takes, on the same value that the host applies,
//! and names the first thing that says no.
//!
//! Explains configuration and the last observation (states, probes); it sends no packets.
//! The order of checks is that of the data plane: security group and network ACL out,
//! route, network ACL and security group in, and the ACLs again for the reply.

use host::network::{
    AclRule, Interface, NetworkAcl, Peer, RouteTarget, SecurityGroupRule, Traffic, Vpc,
};
use ipnet::Ipv4Net;
use model::elbv2::LoadBalancer;
use model::{NetworkInterfaceId, SubnetId, VpcId};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use store::State;

/// Ephemeral ports of Linux clients; a reply that may not reach them is no reply.
const EPHEMERAL: u16 = 32768;

struct Walk {
    steps: Vec<Value>,
    no: Option<String>,
}

impl Walk {
    /// Notes a step; false once something has said no.
    fn step(&mut self, what: &str, ok: bool, why: String) -> bool {
        self.steps
            .push(json!({ "what": what, "ok": ok, "why": why }));
        if !ok && self.no.is_none() {
            self.no = Some(format!("{what}: {why}"));
        }
        ok
    }
    fn end(self, yes: &str) -> Value {
        let verdict = self
            .no
            .map_or_else(|| yes.to_owned(), |no| format!("no, because of {no}"));
        json!({ "steps": self.steps, "verdict": verdict })
    }
}

/// One end of a path.
enum End<'a> {
    Inside {
        vpc: &'a VpcId,
        id: &'a NetworkInterfaceId,
        address: Ipv4Addr,
        name: String,
    },
    Outside {
        address: Option<Ipv4Addr>,
    },
}

/// Why (not) FROM reaches TO[:PORT], by TCP.
pub fn reach(state: &State, from: &str, to: &str) -> Result<Value, String> {
    let network = control::network::desired(state);
    let (to, port) = match to.rsplit_once(':') {
        Some((name, port)) => (
            name,
            port.parse::<u16>()
                .map_err(|_| format!("{port} is not a port"))?,
        ),
        None => (to, 80),
    };
    let source = end(state, &network, from)?;
    let target = end(state, &network, to)?;
    let mut walk = Walk {
        steps: Vec::new(),
        no: None,
    };
    if let (End::Outside { .. }, End::Outside { .. }) = (&source, &target) {
        return Err("neither end is in this cloud".into());
    }
    for fault in state.faults.keys() {
        if let model::event::Fault::Zone(zone) = fault {
            for one in [&source, &target] {
                if let End::Inside { vpc, id, name, .. } = one
                    && zone_of(&network.vpcs[*vpc], id) == Some(zone.as_str())
                {
                    walk.step(
                        "fault",
                        false,
                        format!("{name} is in {zone}, which is broken (`nines heal`)"),
                    );
                }
            }
        }
    }
    match (&source, &target) {
        (End::Inside { vpc, .. }, End::Inside { vpc: other, .. }) if vpc != other => {
            walk.step(
                "route",
                false,
                format!("{vpc} and {other} are two VPCs, and nothing connects them"),
            );
        }
        (
            End::Inside {
                vpc,
                id,
                address,
                name,
            },
            End::Inside {
                id: to_id,
                address: to_address,
                name: to_name,
                ..
            },
        ) => {
            let vpc = &network.vpcs[*vpc];
            let same_subnet = vpc.interfaces[*id].subnet == vpc.interfaces[*to_id].subnet;
            egress(&mut walk, vpc, id, name, *to_address, port);
            if !same_subnet {
                acl(
                    &mut walk,
                    vpc,
                    &vpc.interfaces[*id].subnet,
                    true,
                    *to_address,
                    port,
                );
            }
            walk.step(
                "route",
                true,
                format!("local route of the VPC to {to_address}"),
            );
            if !same_subnet {
                acl(
                    &mut walk,
                    vpc,
                    &vpc.interfaces[*to_id].subnet,
                    false,
                    *address,
                    port,
                );
            }
            ingress(&mut walk, vpc, to_id, to_name, *address, Some(id), port);
            if !same_subnet {
                reply(
                    &mut walk,
                    vpc,
                    &vpc.interfaces[*to_id].subnet,
                    *address,
                    &vpc.interfaces[*id].subnet,
                    *to_address,
                );
            }
        }
        (
            End::Inside {
                vpc,
                id,
                address,
                name,
            },
            End::Outside { address: outside },
        ) => {
            let vpc = &network.vpcs[*vpc];
            let outside = outside.unwrap_or(Ipv4Addr::new(1, 1, 1, 1));
            egress(&mut walk, vpc, id, name, outside, port);
            leave(&mut walk, vpc, id, *address, outside, port, 0);
        }
        (
            End::Outside { address: outside },
            End::Inside {
                vpc,
                id,
                address,
                name,
            },
        ) => {
            let vpc = &network.vpcs[*vpc];
            let outside = outside.unwrap_or(Ipv4Addr::new(1, 1, 1, 1));
            match vpc.internet_gateway.as_ref() {
                Some(gateway) => {
                    walk.step("internet gateway", true, format!("{gateway} is attached"))
                }
                None => walk.step(
                    "internet gateway",
                    false,
                    "none is attached to the VPC".into(),
                ),
            };
            let public = vpc.interfaces[*id].public.get(address);
            match public {
                Some(public) => walk.step(
                    "public address",
                    true,
                    format!("{public} stands for {address}"),
                ),
                None => walk.step(
                    "public address",
                    false,
                    format!("{name} has none: {address} cannot be reached from the internet"),
                ),
            };
            let subnet = &vpc.interfaces[*id].subnet;
            acl(&mut walk, vpc, subnet, false, outside, port);
            ingress(&mut walk, vpc, id, name, outside, None, port);
            let back = route(vpc, subnet, outside);
            let ok = matches!(back, Some((_, RouteTarget::InternetGateway)));
            walk.step(
                "route back",
                ok,
                if ok {
                    "the subnet's table leads to the internet gateway".into()
                } else {
                    format!(
                        "the table of {subnet} has no route to the internet gateway for the reply"
                    )
                },
            );
        }
        (End::Outside { .. }, End::Outside { .. }) => {}
    }
    if let Some(balancer) = balancer(state, to) {
        listener(&mut walk, state, balancer, port);
    }
    if let End::Inside { id, name, .. } = &target {
        runs(&mut walk, state, id, name);
    }
    Ok(walk.end(&format!("yes: {from} may reach {to}:{port}")))
}

/// What the balancer last found about each target of a group, and why it is not used.
pub fn target_group(state: &State, name: &str) -> Result<Value, String> {
    let group = state
        .target_groups
        .values()
        .find(|g| g.name == name || g.arn == name)
        .ok_or_else(|| format!("there is no target group {name}"))?;
    let mut walk = Walk {
        steps: Vec::new(),
        no: None,
    };
    let balancers = control::load_balancer::balancers_of(state, &group.arn);
    match balancers.first() {
        Some(balancer) => walk.step(
            "listener",
            true,
            format!("load balancer {} forwards to it", balancer.name),
        ),
        None => walk.step(
            "listener",
            false,
            "no listener or rule forwards to it, so nothing is probed".into(),
        ),
    };
    if group.targets.is_empty() {
        walk.step(
            "targets",
            false,
            "none is registered: requests get 503".into(),
        );
    }
    for target in &group.targets {
        let key = store::TargetHealthKey {
            target_group: group.arn.clone(),
            target: target.id.clone(),
            port: target.port,
        };
        let Some(health) = state.target_health.get(&key) else {
            walk.step(
                "target",
                false,
                format!("{}:{} has not been looked at yet", target.id, target.port),
            );
            continue;
        };
        let check = &group.health_check;
        let why = match &health.reason {
            None => format!("GET {} answers {}", check.path, check.matcher),
            Some((code, text)) => format!(
                "{code}: {text} (GET {} on {}, every {} s, within {} s, wants {})",
                check.path, check.port, check.interval, check.timeout, check.matcher
            ),
        };
        let state_name = control::load_balancer::state_name(health.state);
        let healthy = health.state == model::elbv2::TargetState::Healthy;
        walk.step(
            "target",
            healthy,
            format!(
                "{}:{} is {state_name} since {}: {why}",
                target.id,
                target.port,
                health.since.strftime("%H:%M:%S")
            ),
        );
    }
    Ok(walk.end("every target is healthy"))
}

fn end<'a>(
    state: &'a State,
    network: &'a host::network::Network,
    text: &str,
) -> Result<End<'a>, String> {
    if text == "internet" {
        return Ok(End::Outside { address: None });
    }
    let inside = |wanted: &dyn Fn(&NetworkInterfaceId, &Interface) -> Option<Ipv4Addr>,
                  name: String| {
        let found = network.vpcs.iter().find_map(|(vpc, v)| {
            v.interfaces
                .iter()
                .find_map(|(id, i)| Some((vpc, id, wanted(id, i)?)))
        });
        found.map(|(vpc, id, address)| End::Inside {
            vpc,
            id,
            address,
            name,
        })
    };
    let primary = |i: &Interface| i.addresses.first().copied();
    if let Some(balancer) = balancer(state, text) {
        let zone = control::load_balancer::in_service(state, balancer)
            .into_iter()
            .next()
            .ok_or("the load balancer has no zone")?;
        let node = &zone.interface;
        return inside(
            &|id, i| (id == node).then(|| primary(i)).flatten(),
            format!("{} in {}", balancer.name, zone.zone),
        )
        .ok_or_else(|| format!("the node of {text} is not in the network"));
    }
    if text.starts_with("i-") {
        let of = |i: &NetworkInterfaceId| {
            state
                .network_interfaces
                .get(i)
                .and_then(|n| n.attachment.as_ref())
                .is_some_and(|a| a.instance.as_str() == text && a.device_index == 0)
        };
        return inside(
            &|id, i| of(id).then(|| primary(i)).flatten(),
            text.to_owned(),
        )
        .ok_or_else(|| format!("there is no instance {text} with an interface"));
    }
    if text.starts_with("eni-") {
        return inside(
            &|id, i| (id.as_str() == text).then(|| primary(i)).flatten(),
            text.to_owned(),
        )
        .ok_or_else(|| format!("there is no interface {text}"));
    }
    let address: Ipv4Addr = text.parse().map_err(|_| {
        format!("{text} is no instance, interface, load balancer, address or `internet`")
    })?;
    let private = inside(
        &|_, i| i.addresses.contains(&address).then_some(address),
        text.to_owned(),
    );
    Ok(private.unwrap_or(End::Outside {
        address: Some(address),
    }))
}

fn balancer<'a>(state: &'a State, text: &str) -> Option<&'a LoadBalancer> {
    let name = text.strip_prefix("load-balancer/").unwrap_or(text);
    state
        .load_balancers
        .values()
        .map(|b| &**b)
        .find(|b| b.deleted.is_none() && (b.name == name || b.dns_name.eq_ignore_ascii_case(name)))
}

fn zone_of<'a>(vpc: &'a Vpc, id: &NetworkInterfaceId) -> Option<&'a str> {
    let interface = vpc.interfaces.get(id)?;
    vpc.subnets.get(&interface.subnet).map(|s| s.zone.as_str())
}

fn egress(
    walk: &mut Walk,
    vpc: &Vpc,
    id: &NetworkInterfaceId,
    name: &str,
    to: Ipv4Addr,
    port: u16,
) -> bool {
    security_groups(walk, vpc, id, name, true, to, None, port)
}

fn ingress(
    walk: &mut Walk,
    vpc: &Vpc,
    id: &NetworkInterfaceId,
    name: &str,
    from: Ipv4Addr,
    peer: Option<&NetworkInterfaceId>,
    port: u16,
) -> bool {
    security_groups(walk, vpc, id, name, false, from, peer, port)
}

#[expect(clippy::too_many_arguments, reason = "both directions of one check")]
fn security_groups(
    walk: &mut Walk,
    vpc: &Vpc,
    id: &NetworkInterfaceId,
    name: &str,
    out: bool,
    other: Ipv4Addr,
    peer: Option<&NetworkInterfaceId>,
    port: u16,
) -> bool {
    let interface = &vpc.interfaces[id];
    let what = if out {
        "security group out"
    } else {
        "security group in"
    };
    if matches!(interface.owner, host::network::Owner::NatGateway) {
        return walk.step(what, true, "a NAT gateway has none".into());
    }
    let other_groups = |group: &model::SecurityGroupId| {
        let carries =
            |i: &Interface| i.addresses.contains(&other) && i.security_groups.contains(group);
        peer.and_then(|p| vpc.interfaces.get(p))
            .map_or_else(|| vpc.interfaces.values().any(carries), carries)
    };
    let allows = |rule: &SecurityGroupRule| {
        covers(rule.traffic, port)
            && match &rule.peer {
                Peer::Cidr(cidr) => cidr.contains(&other),
                Peer::Group(group) => other_groups(group),
            }
    };
    for group in &interface.security_groups {
        let Some(rules) = vpc.security_groups.get(group) else {
            continue;
        };
        if (if out { &rules.egress } else { &rules.ingress })
            .iter()
            .any(allows)
        {
            return walk.step(
                what,
                true,
                format!(
                    "{group} of {name} allows TCP {port} {} {other}",
                    if out { "to" } else { "from" }
                ),
            );
        }
    }
    let groups: Vec<&str> = interface
        .security_groups
        .iter()
        .map(|g| g.as_str())
        .collect();
    walk.step(
        what,
        false,
        format!(
            "no rule of {} ({name}) allows TCP {port} {} {other}",
            groups.join(", "),
            if out { "to" } else { "from" }
        ),
    )
}

fn covers(traffic: Traffic, port: u16) -> bool {
    match traffic {
        Traffic::All => true,
        Traffic::Tcp { from, to } => (from..=to).contains(&port),
        Traffic::Protocol(6) => true,
        _ => false,
    }
}

fn acl(
    walk: &mut Walk,
    vpc: &Vpc,
    subnet: &SubnetId,
    out: bool,
    other: Ipv4Addr,
    port: u16,
) -> bool {
    let Some(id) = vpc.subnets.get(subnet).map(|s| &s.network_acl) else {
        return true;
    };
    let empty = NetworkAcl::default();
    let rules = vpc.network_acls.get(id).unwrap_or(&empty);
    let first = (if out { &rules.egress } else { &rules.ingress })
        .iter()
        .find(|r: &&AclRule| covers(r.traffic, port) && r.cidr.contains(&other));
    let direction = if out { "to" } else { "from" };
    let (ok, why) = match first {
        Some(rule) => (
            rule.allow,
            format!(
                "rule {} of {id} {} TCP {port} {direction} {other}",
                rule.number,
                if rule.allow { "allows" } else { "denies" }
            ),
        ),
        None => (
            false,
            format!(
                "rule * of {id} denies TCP {port} {direction} {other}: no numbered rule matches"
            ),
        ),
    };
    walk.step(
        if out {
            "network ACL out"
        } else {
            "network ACL in"
        },
        ok,
        why,
    )
}

/// Network ACLs are stateless: the reply must be let through to an ephemeral port.
fn reply(
    walk: &mut Walk,
    vpc: &Vpc,
    target: &SubnetId,
    client: Ipv4Addr,
    client_subnet: &SubnetId,
    server: Ipv4Addr,
) {
    if acl(walk, vpc, target, true, client, EPHEMERAL) {
        acl(walk, vpc, client_subnet, false, server, EPHEMERAL);
    }
}

fn route<'a>(vpc: &'a Vpc, subnet: &SubnetId, to: Ipv4Addr) -> Option<(Ipv4Net, &'a RouteTarget)> {
    let table = vpc
        .route_tables
        .get(&vpc.subnets.get(subnet)?.route_table)?;
    table
        .iter()
        .filter(|r| r.destination.contains(&to))
        .max_by_key(|r| r.destination.prefix_len())
        .map(|r| (r.destination, &r.target))
}

/// The way out of the VPC, through a NAT gateway if the route says so.
fn leave(
    walk: &mut Walk,
    vpc: &Vpc,
    id: &NetworkInterfaceId,
    address: Ipv4Addr,
    to: Ipv4Addr,
    port: u16,
    hops: u8,
) {
    let subnet = &vpc.interfaces[id].subnet;
    acl(walk, vpc, subnet, true, to, port);
    match route(vpc, subnet, to) {
        None => drop(walk.step(
            "route",
            false,
            format!("the table of {subnet} has no route to {to}"),
        )),
        Some((destination, RouteTarget::Blackhole)) => drop(walk.step(
            "route",
            false,
            format!("{destination} is a blackhole: its target is gone"),
        )),
        Some((destination, RouteTarget::InternetGateway)) => {
            walk.step(
                "route",
                true,
                format!("{destination} leads to the internet gateway"),
            );
            match vpc.interfaces[id].public.get(&address) {
                Some(public) => walk.step("public address", true, format!("leaves as {public}")),
                None => walk.step("public address", false, format!("{address} has none: an internet gateway drops it. Route this subnet to a NAT gateway, or give it a public address")),
            };
            acl(walk, vpc, subnet, false, to, EPHEMERAL);
        }
        Some((destination, RouteTarget::Interface(next))) => match vpc.interfaces.get(next) {
            Some(gateway) if hops < 2 && gateway.owner == host::network::Owner::NatGateway => {
                walk.step(
                    "route",
                    true,
                    format!("{destination} leads to the NAT gateway at {next}"),
                );
                let own = gateway.addresses.first().copied().unwrap_or(address);
                if gateway.subnet != *subnet {
                    acl(walk, vpc, &gateway.subnet, false, address, port);
                }
                leave(walk, vpc, next, own, to, port, hops + 1);
            }
            Some(_) => drop(walk.step(
                "route",
                true,
                format!("{destination} leads to the instance at {next}, which must forward it"),
            )),
            None => drop(walk.step(
                "route",
                false,
                format!("{destination} leads to {next}, which is gone"),
            )),
        },
    }
}

fn listener(walk: &mut Walk, state: &State, balancer: &LoadBalancer, port: u16) {
    if !state
        .listeners
        .values()
        .any(|l| l.load_balancer == balancer.arn && l.port == port)
    {
        walk.step(
            "listener",
            false,
            format!(
                "{} has no listener on port {port}: connections are refused",
                balancer.name
            ),
        );
        return;
    }
    walk.step(
        "listener",
        true,
        format!("{} listens on port {port}", balancer.name),
    );
    for arn in control::load_balancer::groups_of(state, balancer) {
        let Some(group) = state.target_groups.get(&arn) else {
            continue;
        };
        let healthy = state
            .target_health
            .values()
            .filter(|h| h.target_group == arn && h.state == model::elbv2::TargetState::Healthy)
            .count();
        let why = format!(
            "{healthy} of {} targets of {} are healthy (`nines why target-group/{}`)",
            group.targets.len(),
            group.name,
            group.name
        );
        walk.step("targets", healthy > 0, why);
    }
}

fn runs(walk: &mut Walk, state: &State, id: &NetworkInterfaceId, name: &str) {
    let attached = state
        .network_interfaces
        .get(id)
        .and_then(|i| i.attachment.as_ref());
    if let Some(instance) = attached.and_then(|a| state.instances.get(&a.instance)) {
        let running = instance.state == model::instance::InstanceState::Running;
        walk.step(
            "instance",
            running,
            format!("{name} is {}", instance.state.name()),
        );
    }
}
