//! The path of a packet and of its reply, over the value that the host applies.
//!
//! The order of checks is the data plane's: security group and network ACL out, route,
//! network ACL and security group in. Security groups remember a flow, network ACLs do not:
//! they are asked again for the reply, which goes to an ephemeral port.

use super::walk::Walk;
use host::network::{
    AclRule, Interface, Network, NetworkAcl, Owner, Peer, Route, RouteTarget, SecurityGroupRule,
    Traffic, Vpc,
};
use model::{NetworkInterfaceId, SecurityGroupId, SubnetId};
use std::fmt;
use std::net::Ipv4Addr;

/// The first of Linux's ephemeral ports; a reply that may not reach them is no reply.
const EPHEMERAL: u16 = 32_768;
/// A NAT gateway behind a NAT gateway is followed, a ring of them is not.
const MOST_GATEWAYS: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What is sent, by the port it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub protocol: Protocol,
    pub port: u16,
}

impl Flow {
    fn reply(self) -> Self {
        Self {
            port: EPHEMERAL,
            ..self
        }
    }

    fn covered_by(self, traffic: Traffic) -> bool {
        let (number, range) = match traffic {
            Traffic::All => return true,
            Traffic::Tcp { from, to } => (6, from..=to),
            Traffic::Udp { from, to } => (17, from..=to),
            Traffic::Protocol(number) => (number, 0..=u16::MAX),
            Traffic::Icmp { .. } => return false,
        };
        let own = match self.protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        };
        own == number && range.contains(&self.port)
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        write!(f, "{protocol} {}", self.port)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Out,
    In,
}

impl Direction {
    fn preposition(self) -> &'static str {
        match self {
            Self::Out => "to",
            Self::In => "from",
        }
    }
}

/// An address of an interface, and what its owner is called.
pub struct Place<'a> {
    pub vpc: &'a Vpc,
    pub id: &'a NetworkInterfaceId,
    pub interface: &'a Interface,
    pub address: Ipv4Addr,
    pub name: String,
}

impl Place<'_> {
    fn subnet(&self) -> &SubnetId {
        &self.interface.subnet
    }
}

/// A flow followed through the network.
pub struct Path<'a> {
    pub network: &'a Network,
    pub flow: Flow,
    pub walk: Walk,
}

impl Path<'_> {
    /// Between two interfaces of a VPC.
    pub fn within(&mut self, from: &Place<'_>, to: &Place<'_>) {
        let flow = self.flow;
        self.fault(from);
        self.fault(to);
        let vpc = from.vpc;
        let crosses = from.subnet() != to.subnet();
        self.group(from, Direction::Out, to.address, Some(to), flow);
        if crosses {
            self.acl(vpc, from.subnet(), Direction::Out, to.address, flow);
        }
        self.walk
            .yes("route", format!("{} is local to the VPC", to.address));
        if crosses {
            self.acl(vpc, to.subnet(), Direction::In, from.address, flow);
        }
        self.group(to, Direction::In, from.address, Some(from), flow);
        if crosses {
            let back = flow.reply();
            self.acl(vpc, to.subnet(), Direction::Out, from.address, back);
            self.acl(vpc, from.subnet(), Direction::In, to.address, back);
        }
    }

    /// Between interfaces of two VPCs, which only a peering connection joins.
    pub fn across(&mut self, from: &Place<'_>, to: &Place<'_>) {
        let (flow, back) = (self.flow, self.flow.reply());
        self.fault(from);
        self.fault(to);
        self.group(from, Direction::Out, to.address, Some(to), flow);
        self.acl(from.vpc, from.subnet(), Direction::Out, to.address, flow);
        self.peering("route", from, to);
        self.acl(to.vpc, to.subnet(), Direction::In, from.address, flow);
        self.group(to, Direction::In, from.address, Some(from), flow);
        self.acl(to.vpc, to.subnet(), Direction::Out, from.address, back);
        self.peering("route back", to, from);
        self.acl(from.vpc, from.subnet(), Direction::In, to.address, back);
    }

    /// Whether a table leads into the other's VPC; the VPC's own addresses never leave it.
    fn peering(&mut self, what: &'static str, from: &Place<'_>, to: &Place<'_>) {
        let (subnet, address) = (from.subnet(), to.address);
        if from.vpc.cidrs.iter().any(|cidr| cidr.contains(&address)) {
            let why = format!("{address} is local to the VPC of {}", from.name);
            return self.walk.no(what, why);
        }
        match route(from.vpc, subnet, address) {
            Some(Route {
                destination,
                target: RouteTarget::Peering(id),
            }) => match from.vpc.peerings.get(id).map(|p| self.network.vpcs.get(&p.vpc)) {
                None => self.walk.no(what, format!("{destination} leads to {id}, which is not active")),
                Some(Some(vpc)) if std::ptr::eq(vpc, to.vpc) => {
                    self.walk.yes(what, format!("{destination} leads to {id}"));
                }
                Some(_) => self.walk.no(what, format!("{destination} leads by {id} to another VPC")),
            },
            Some(Route { destination, .. }) => self.walk.no(
                what,
                format!("{destination} in the table of {subnet} leads elsewhere than to a peering connection"),
            ),
            None => self.walk.no(what, format!("the table of {subnet} has no route to {address}")),
        }
    }

    /// From an interface to the internet; the public address it leaves with.
    pub fn leave(&mut self, from: &Place<'_>, to: Ipv4Addr) -> Option<Ipv4Addr> {
        let flow = self.flow;
        self.fault(from);
        self.group(from, Direction::Out, to, None, flow);
        self.hop(from, to, 0)
    }

    fn hop(&mut self, from: &Place<'_>, to: Ipv4Addr, gateways: u8) -> Option<Ipv4Addr> {
        let flow = self.flow;
        let (vpc, subnet) = (from.vpc, from.subnet());
        self.acl(vpc, subnet, Direction::Out, to, flow);
        let Some(Route {
            destination,
            target,
        }) = route(vpc, subnet, to)
        else {
            self.walk.no(
                "route",
                format!("the table of {subnet} has no route to {to}"),
            );
            return None;
        };
        let left = match target {
            RouteTarget::Blackhole => {
                self.walk.no(
                    "route",
                    format!("{destination} is a blackhole: its target is gone"),
                );
                return None;
            }
            RouteTarget::Peering(connection) => {
                self.walk.no(
                    "route",
                    format!("{destination} leads to the peering connection {connection}, which carries nothing beyond the peered VPC"),
                );
                return None;
            }
            RouteTarget::InternetGateway => {
                self.walk.yes(
                    "route",
                    format!("{destination} leads to the internet gateway"),
                );
                let public = from.interface.public.get(&from.address).copied();
                match public {
                Some(public) => self.walk.yes("public address", format!("leaves as {public}")),
                None => self.walk.no(
                    "public address",
                    format!(
                        "{} has none: an internet gateway drops it. Route this subnet to a NAT gateway, or give it a public address",
                        from.address
                    ),
                ),
            }
                public
            }
            RouteTarget::Interface(next) => {
                let Some(interface) = vpc.interfaces.get(next) else {
                    self.walk.no(
                        "route",
                        format!("{destination} leads to {next}, which is gone"),
                    );
                    return None;
                };
                if interface.owner != Owner::NatGateway || gateways >= MOST_GATEWAYS {
                    self.walk.yes(
                        "route",
                        format!(
                            "{destination} leads to the instance at {next}, which must forward it"
                        ),
                    );
                    return None;
                }
                self.walk.yes(
                    "route",
                    format!("{destination} leads to the NAT gateway at {next}"),
                );
                let gateway = Place {
                    vpc,
                    id: next,
                    interface,
                    address: interface.addresses.first().copied()?,
                    name: next.to_string(),
                };
                self.fault(&gateway);
                let crosses = gateway.subnet() != subnet;
                if crosses {
                    self.acl(vpc, gateway.subnet(), Direction::In, from.address, flow);
                }
                let left = self.hop(&gateway, to, gateways + 1);
                if crosses {
                    self.acl(
                        vpc,
                        gateway.subnet(),
                        Direction::Out,
                        from.address,
                        flow.reply(),
                    );
                }
                left
            }
        };
        self.acl(vpc, subnet, Direction::In, to, flow.reply());
        left
    }

    /// From the internet to an interface.
    pub fn enter(&mut self, from: Ipv4Addr, to: &Place<'_>) {
        let flow = self.flow;
        self.fault(to);
        let (vpc, subnet) = (to.vpc, to.subnet());
        match &vpc.internet_gateway {
            Some(gateway) => self
                .walk
                .yes("internet gateway", format!("{gateway} is attached")),
            None => self
                .walk
                .no("internet gateway", "none is attached to the VPC"),
        }
        match to.interface.public.get(&to.address) {
            Some(public) => self.walk.yes(
                "public address",
                format!("{public} stands for {}", to.address),
            ),
            None => self.walk.no(
                "public address",
                format!(
                    "{} has none: {} cannot be reached from the internet",
                    to.name, to.address
                ),
            ),
        }
        self.acl(vpc, subnet, Direction::In, from, flow);
        self.group(to, Direction::In, from, None, flow);
        self.acl(vpc, subnet, Direction::Out, from, flow.reply());
        match route(vpc, subnet, from).map(|r| &r.target) {
            Some(RouteTarget::InternetGateway) => self.walk.yes(
                "route back",
                "the subnet's table leads to the internet gateway",
            ),
            _ => self.walk.no(
                "route back",
                format!("the table of {subnet} has no route to the internet gateway for the reply"),
            ),
        }
    }

    /// What the interface's security groups say; `peer` is the other end where it is known.
    fn group(
        &mut self,
        of: &Place<'_>,
        direction: Direction,
        other: Ipv4Addr,
        peer: Option<&Place<'_>>,
        flow: Flow,
    ) {
        let what = match direction {
            Direction::Out => "security group out",
            Direction::In => "security group in",
        };
        if of.interface.owner == Owner::NatGateway {
            return self.walk.yes(what, "a NAT gateway has none");
        }
        let carries = |i: &Interface, group: &SecurityGroupId| {
            i.addresses.contains(&other) && i.security_groups.contains(group)
        };
        let member = |group: &SecurityGroupId| match peer {
            Some(peer) => carries(peer.interface, group),
            None => of.vpc.interfaces.values().any(|i| carries(i, group)),
        };
        let allows = |rule: &SecurityGroupRule| {
            flow.covered_by(rule.traffic)
                && match &rule.peer {
                    Peer::Cidr(cidr) => cidr.contains(&other),
                    Peer::Group(group) => member(group),
                }
        };
        let allowing = of.interface.security_groups.iter().find(|id| {
            of.vpc.security_groups.get(*id).is_some_and(|group| {
                let rules = match direction {
                    Direction::Out => &group.egress,
                    Direction::In => &group.ingress,
                };
                rules.iter().any(allows)
            })
        });
        let (name, side) = (&of.name, direction.preposition());
        match allowing {
            Some(group) => self.walk.yes(
                what,
                format!("{group} of {name} allows {flow} {side} {other}"),
            ),
            None => {
                let groups: Vec<&str> = of
                    .interface
                    .security_groups
                    .iter()
                    .map(|g| g.as_str())
                    .collect();
                self.walk.no(
                    what,
                    format!(
                        "no rule of {} ({name}) allows {flow} {side} {other}",
                        groups.join(", ")
                    ),
                );
            }
        }
    }

    fn acl(
        &mut self,
        vpc: &Vpc,
        subnet: &SubnetId,
        direction: Direction,
        other: Ipv4Addr,
        flow: Flow,
    ) {
        let Some(id) = vpc.subnets.get(subnet).map(|s| &s.network_acl) else {
            return;
        };
        let none = NetworkAcl::default();
        let list = vpc.network_acls.get(id).unwrap_or(&none);
        let (what, rules) = match direction {
            Direction::Out => ("network ACL out", &list.egress),
            Direction::In => ("network ACL in", &list.ingress),
        };
        let matches = |r: &&AclRule| flow.covered_by(r.traffic) && r.cidr.contains(&other);
        let side = direction.preposition();
        match rules.iter().find(matches) {
            Some(rule) => {
                let verb = if rule.allow { "allows" } else { "denies" };
                let why = format!("rule {} of {id} {verb} {flow} {side} {other}", rule.number);
                self.walk.step(what, rule.allow, why);
            }
            None => self.walk.no(
                what,
                format!("rule * of {id} denies {flow} {side} {other}: no numbered rule matches"),
            ),
        }
    }

    /// Faults that `nines break` made.
    fn fault(&mut self, place: &Place<'_>) {
        let name = &place.name;
        let zone = place.vpc.subnets.get(place.subnet()).map(|s| &s.zone);
        if let Some(zone) = zone.filter(|zone| self.network.cut_zones.contains(*zone)) {
            self.walk.no(
                "fault",
                format!("{name} is in {zone}, which is broken (`nines heal`)"),
            );
        }
        if self.network.cut_interfaces.contains(place.id) {
            self.walk
                .no("fault", format!("{name} is cut off (`nines heal`)"));
        }
    }
}

/// The longest prefix of the subnet's table.
fn route<'a>(vpc: &'a Vpc, subnet: &SubnetId, to: Ipv4Addr) -> Option<&'a Route> {
    let table = &vpc.subnets.get(subnet)?.route_table;
    vpc.route_tables
        .get(table)?
        .iter()
        .filter(|r| r.destination.contains(&to))
        .max_by_key(|r| r.destination.prefix_len())
}
