//! The network that the records call for, and its application to the host.

use crate::World;
use host::network as net;
use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use model::event::{Fault, Severity};
use model::instance::InstanceState;
use model::vpc::{
    NatGatewayState, NetworkAcl, NetworkInterface, Requester, RouteTable, RouteTarget,
    SecurityGroupPeer, SecurityGroupRule,
};
use model::vpc_peering::VpcPeeringState;
use model::{
    InstanceId, NetworkInterfaceId, RouteTableId, SecurityGroupId, VpcId, VpcPeeringConnectionId,
};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use store::State;

/// The network in force on the host, as far as it could be applied.
#[derive(Default)]
pub struct Applied {
    network: net::Network,
    failures: host::NetworkFailures,
    /// False until the first application of this process: the kernel may hold anything.
    known: bool,
}

impl Applied {
    pub fn has_interface(&self, vpc: &VpcId, id: &NetworkInterfaceId) -> bool {
        !self.failures.vpcs.contains_key(vpc)
            && !self.failures.interfaces.contains_key(id)
            && self
                .network
                .vpcs
                .get(vpc)
                .is_some_and(|v| v.interfaces.contains_key(id))
    }
    /// The interface as it stands.
    pub fn interface(&self, vpc: &VpcId, id: &NetworkInterfaceId) -> Option<&net::Interface> {
        let there = self.network.vpcs.get(vpc)?.interfaces.get(id);
        there.filter(|_| self.has_interface(vpc, id))
    }
    /// Whether the interface stands as the instance's: one that was there before it was
    /// attached has led nowhere until then.
    pub fn is_attached(&self, vpc: &VpcId, id: &NetworkInterfaceId, to: &InstanceId) -> bool {
        let interface = self
            .network
            .vpcs
            .get(vpc)
            .and_then(|v| v.interfaces.get(id));
        self.has_interface(vpc, id)
            && interface.is_some_and(
                |i| matches!(&i.owner, net::Owner::Instance { instance, .. } if instance == to),
            )
    }
    /// Whether this control plane has applied a network yet; before, nothing is known to stand.
    pub fn is_known(&self) -> bool {
        self.known
    }
    /// Whether anything of the interface may still stand.
    pub fn may_have(&self, id: &NetworkInterfaceId) -> bool {
        !self.known
            || self
                .network
                .vpcs
                .values()
                .any(|v| v.interfaces.contains_key(id))
    }
    /// Whether both sides of a peering connection are joined.
    pub fn has_peering(&self, id: &VpcPeeringConnectionId) -> bool {
        let joined = self
            .network
            .vpcs
            .iter()
            .filter(|(vpc, v)| self.has_vpc(vpc) && v.peerings.contains_key(id));
        joined.count() == 2
    }
    pub fn has_vpc(&self, id: &VpcId) -> bool {
        !self.failures.vpcs.contains_key(id) && self.network.vpcs.contains_key(id)
    }
}

/// Applies what the records call for, if that changed or failed before.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let moment = world.moment(&state);
    if world.rested.network == Some(moment) {
        return None;
    }
    let mut wanted = desired(&state);
    wanted.internet_services = world.settings.internet_services.clone();
    // A VPC's router stays until the edge has closed its sockets in it: an open socket pins a namespace.
    for (id, vpc) in &world.applied.network.vpcs {
        if !wanted.vpcs.contains_key(id) && world.edge.holds(id) {
            let mut bare = vpc.clone();
            bare.interfaces.clear();
            wanted.vpcs.insert(id.clone(), bare);
        }
    }
    let failed = world.applied.failures != host::NetworkFailures::default();
    if world.applied.known && wanted == world.applied.network && !failed {
        world.rested.network = Some(moment);
        return None;
    }
    if failed && wanted == world.applied.network && world.network_retry.is_some_and(|at| now < at) {
        return world.network_retry;
    }
    let failures = world.host.apply_network(&wanted);
    if failures != world.applied.failures {
        world.store.update(|tx| {
            for (vpc, why) in &failures.vpcs {
                tx.event(
                    now,
                    Severity::Error,
                    vpc,
                    "network",
                    format!("could not be applied to the host: {why}"),
                );
            }
            for (interface, why) in &failures.interfaces {
                tx.event(
                    now,
                    Severity::Error,
                    interface,
                    "network",
                    format!("could not be applied to the host: {why}"),
                );
            }
            if let Some(why) = &failures.cloud {
                tx.event(
                    now,
                    Severity::Error,
                    "cloud",
                    "network",
                    format!("could not be applied to the host: {why}"),
                );
            }
        });
    }
    let failing = failures != host::NetworkFailures::default();
    world.network_retry = failing.then(|| now + jiff::SignedDuration::from_secs(2));
    world.told += 1;
    world.applied = Applied {
        network: wanted,
        failures,
        known: true,
    };
    // Whatever waited for an interface can go on at once.
    world.bell.ring();
    world.network_retry
}

/// The network as one value, from the records alone.
pub fn desired(state: &State) -> net::Network {
    let mut network = net::Network::default();
    for fault in state.faults.keys() {
        match fault {
            Fault::Zone(zone) => {
                network.cut_zones.insert(zone.clone());
            }
            Fault::NatGateway(id) => network
                .cut_interfaces
                .extend(state.nat_gateways.get(id).map(|n| n.interface.clone())),
            Fault::Network(id) => network
                .cut_interfaces
                .extend(state.network_interfaces.of(id).map(|i| i.id.clone())),
        }
    }
    for vpc in state.vpcs.values() {
        network.vpcs.insert(
            vpc.id.clone(),
            net::Vpc {
                cidrs: vpc.cidrs.iter().map(|(_, cidr)| *cidr).collect(),
                internet_gateway: state
                    .internet_gateways
                    .values()
                    .find(|g| g.vpc.as_ref() == Some(&vpc.id))
                    .map(|g| g.id.clone()),
                dns_support: vpc.enable_dns_support,
                subnets: BTreeMap::new(),
                route_tables: BTreeMap::new(),
                network_acls: BTreeMap::new(),
                security_groups: BTreeMap::new(),
                interfaces: BTreeMap::new(),
                peerings: BTreeMap::new(),
            },
        );
    }
    for peering in state.vpc_peering_connections.values() {
        if !matches!(
            peering.state,
            VpcPeeringState::Provisioning | VpcPeeringState::Active
        ) {
            continue;
        }
        let sides = [&peering.requester.vpc, &peering.accepter.vpc];
        for (here, there) in [(sides[0], sides[1]), (sides[1], sides[0])] {
            let cidrs = network.vpcs.get(there).map(|v| v.cidrs.clone());
            if let (Some(vpc), Some(cidrs)) = (network.vpcs.get_mut(here), cidrs) {
                let vpc_there = there.clone();
                vpc.peerings.insert(
                    peering.id.clone(),
                    net::Peering {
                        vpc: vpc_there,
                        cidrs,
                    },
                );
            }
        }
    }
    for table in state.route_tables.values() {
        if let Some(vpc) = network.vpcs.get_mut(&table.vpc) {
            vpc.route_tables
                .insert(table.id.clone(), routes(state, table));
        }
    }
    for acl in state.network_acls.values() {
        if let Some(vpc) = network.vpcs.get_mut(&acl.vpc) {
            vpc.network_acls.insert(acl.id.clone(), network_acl(acl));
        }
    }
    for group in state.security_groups.values() {
        if let Some(vpc) = network.vpcs.get_mut(&group.vpc) {
            let rules = |egress| {
                group
                    .rules
                    .iter()
                    .filter(|r| r.egress == egress)
                    .flat_map(|r| security_group_rules(state, &group.vpc, r))
                    .collect()
            };
            vpc.security_groups.insert(
                group.id.clone(),
                net::SecurityGroup {
                    ingress: rules(false),
                    egress: rules(true),
                },
            );
        }
    }
    for subnet in state.subnets.values() {
        let Some(route_table) = route_table_of(state, subnet) else {
            continue;
        };
        let Some(acl) = state
            .network_acls
            .of(&subnet.vpc)
            .find(|a| a.associations.iter().any(|(_, s)| *s == subnet.id))
        else {
            continue;
        };
        if let Some(vpc) = network.vpcs.get_mut(&subnet.vpc) {
            let value = net::Subnet {
                cidr: subnet.cidr,
                zone: subnet.zone.clone(),
                route_table,
                network_acl: acl.id.clone(),
            };
            vpc.subnets.insert(subnet.id.clone(), value);
        }
    }
    for interface in state.network_interfaces.values() {
        let Some(owner) = owner(state, interface) else {
            continue;
        };
        if let Some(vpc) = network.vpcs.get_mut(&interface.vpc)
            && vpc.subnets.contains_key(&interface.subnet)
        {
            let value = net::Interface {
                subnet: interface.subnet.clone(),
                mac: interface.mac,
                addresses: interface.private_ips.clone(),
                public: match crate::public_access::is_open(state, interface) {
                    true => public_addresses(state, interface),
                    false => BTreeMap::new(),
                },
                security_groups: interface.security_groups.clone(),
                source_dest_check: interface.source_dest_check,
                owner,
            };
            vpc.interfaces.insert(interface.id.clone(), value);
        }
    }
    network
}

/// The explicit association, else the VPC's main table.
pub fn route_table_of(state: &State, subnet: &model::vpc::Subnet) -> Option<RouteTableId> {
    let tables = || state.route_tables.of(&subnet.vpc);
    let explicit = tables().find(|t| {
        t.associations
            .iter()
            .any(|a| a.subnet.as_ref() == Some(&subnet.id))
    });
    explicit
        .or_else(|| tables().find(|t| t.is_main()))
        .map(|t| t.id.clone())
}

/// Private to public, Elastic IPs before an automatic one (which an Elastic IP replaces).
pub fn public_addresses(
    state: &State,
    interface: &NetworkInterface,
) -> BTreeMap<Ipv4Addr, Ipv4Addr> {
    let automatic = interface
        .auto_public_ip
        .map(|public| (interface.primary_ip(), public));
    let elastic = state.addresses.of(&interface.id).filter_map(|a| {
        let association = a.association.as_ref()?;
        Some((association.private_ip, a.public_ip))
    });
    automatic.into_iter().chain(elastic).collect()
}

/// The table's routes; one to a prefix list is one to each of its entries, below those that
/// name a block themselves.
fn routes(state: &State, table: &RouteTable) -> Vec<net::Route> {
    let mut routes: Vec<net::Route> = Vec::new();
    let single = table.routes.iter().map(|r| (r.destination, &r.target));
    let listed = table.prefix_list_routes.iter().flat_map(|(list, target)| {
        let entries = state
            .prefix_lists
            .get(list)
            .map_or(&[][..], |l| l.entries());
        entries
            .iter()
            .filter_map(move |entry| Some((ipv4(entry.cidr)?, target)))
    });
    for (destination, target) in single.chain(listed) {
        if !routes.iter().any(|r| r.destination == destination) {
            routes.push(net::Route {
                destination,
                target: route_target(state, &table.vpc, target),
            });
        }
    }
    routes
}

fn route_target(state: &State, vpc: &VpcId, target: &RouteTarget) -> net::RouteTarget {
    let interface = match target {
        RouteTarget::InternetGateway(id) => {
            let attached = state
                .internet_gateways
                .get(id)
                .is_some_and(|g| g.vpc.as_ref() == Some(vpc));
            return if attached {
                net::RouteTarget::InternetGateway
            } else {
                net::RouteTarget::Blackhole
            };
        }
        RouteTarget::NatGateway(id) => state
            .nat_gateways
            .get(id)
            .filter(|n| {
                matches!(
                    n.state,
                    NatGatewayState::Pending | NatGatewayState::Available
                )
            })
            .map(|n| n.interface.clone()),
        RouteTarget::NetworkInterface(id) => Some(id.clone()),
        RouteTarget::VpcPeeringConnection(id) => {
            return net::RouteTarget::Peering(id.clone());
        }
        // No VPN is ever up, and what lets IPv6 out has no IPv4 route.
        RouteTarget::VpnGateway(_) | RouteTarget::EgressOnlyInternetGateway(_) => None,
        RouteTarget::Instance(id) => crate::index::primary(state, id).map(|i| i.id.clone()),
    };
    match interface.filter(|id| state.network_interfaces.contains_key(id)) {
        Some(id) => net::RouteTarget::Interface(id),
        None => net::RouteTarget::Blackhole,
    }
}

fn owner(state: &State, interface: &NetworkInterface) -> Option<net::Owner> {
    Some(match (&interface.requester, &interface.attachment) {
        (Some(Requester::NatGateway(_)), _) => net::Owner::NatGateway,
        (Some(Requester::LoadBalancer(arn)), _) if model::elbv2::is_network_load_balancer(arn) => {
            net::Owner::NetworkLoadBalancerNode
        }
        (Some(Requester::LoadBalancer(_)), _) => net::Owner::LoadBalancerNode,
        // Its addresses are kept; nothing answers behind them.
        (Some(Requester::VpcEndpoint(_)), _) => net::Owner::Detached,
        // Like a node: something of the cloud's opens sockets there.
        (Some(Requester::InstanceConnectEndpoint(_)), _) => net::Owner::LoadBalancerNode,
        (None, Some(attachment)) => {
            let instance = state.instances.get(&attachment.instance)?;
            if instance.state == InstanceState::Terminated {
                return None;
            }
            net::Owner::Instance {
                instance: instance.id.clone(),
                device: attachment.device_index,
                uid_base: instance.uid_base,
            }
        }
        (None, None) => net::Owner::Detached,
    })
}

fn network_acl(acl: &NetworkAcl) -> net::NetworkAcl {
    let rules = |egress| {
        let mut rules: Vec<net::AclRule> = acl
            .entries
            .iter()
            .filter(|e| e.egress == egress)
            .filter_map(|e| {
                Some(net::AclRule {
                    number: e.number,
                    allow: e.allow,
                    cidr: ipv4(e.cidr)?,
                    traffic: traffic(
                        e.protocol,
                        e.ports.map(|(a, b)| (a.into(), b.into())),
                        e.icmp,
                    )?,
                })
            })
            .collect();
        rules.sort_by_key(|r| r.number);
        rules
    };
    net::NetworkAcl {
        ingress: rules(false),
        egress: rules(true),
    }
}

/// A rule that names a prefix list is one rule for each of its entries. AWS's own lists
/// (S3, DynamoDB) have none: nothing of theirs stands at public addresses here.
fn security_group_rules(
    state: &State,
    vpc: &VpcId,
    rule: &SecurityGroupRule,
) -> Vec<net::SecurityGroupRule> {
    let icmp = rule.ports.map(|(kind, code)| (kind as i16, code as i16));
    let Some(traffic) = traffic(rule.protocol, rule.ports, icmp) else {
        return Vec::new();
    };
    let peers: Vec<net::Peer> = match &rule.peer {
        SecurityGroupPeer::Cidr(cidr) => ipv4(*cidr).map(net::Peer::Cidr).into_iter().collect(),
        SecurityGroupPeer::Group(id) if is_elsewhere(state, id, vpc) => members(state, id),
        SecurityGroupPeer::Group(id) => vec![net::Peer::Group(id.clone())],
        SecurityGroupPeer::PrefixList(id) => {
            let entries = state
                .prefix_lists
                .get(id)
                .map_or(&[][..], |list| list.entries());
            entries
                .iter()
                .filter_map(|entry| ipv4(entry.cidr))
                .map(net::Peer::Cidr)
                .collect()
        }
    };
    peers
        .into_iter()
        .map(|peer| net::SecurityGroupRule { traffic, peer })
        .collect()
}

/// Whether a group that a rule names is a peered VPC's.
fn is_elsewhere(state: &State, id: &SecurityGroupId, vpc: &VpcId) -> bool {
    state.security_groups.get(id).is_some_and(|g| g.vpc != *vpc)
}

/// The members of a peered VPC's group, one by one: a router knows only its own interfaces.
fn members(state: &State, id: &SecurityGroupId) -> Vec<net::Peer> {
    let interfaces = state.network_interfaces.of(id);
    interfaces
        .flat_map(|i| &i.private_ips)
        .map(|ip| net::Peer::Cidr((*ip).into()))
        .collect()
}

/// IPv6 rules are stored and described; the data plane carries IPv4 only.
fn ipv4(cidr: IpNet) -> Option<Ipv4Net> {
    match cidr {
        IpNet::V4(cidr) => Some(cidr),
        IpNet::V6(_) => None,
    }
}

fn traffic(
    protocol: i16,
    ports: Option<(i32, i32)>,
    icmp: Option<(i16, i16)>,
) -> Option<net::Traffic> {
    let port = |p: i32| u16::try_from(p).ok();
    // −1 is every port.
    let range = match ports {
        Some((from, to)) if from >= 0 => (port(from)?, port(to)?),
        _ => (0, u16::MAX),
    };
    let any = |n: i16| u8::try_from(n).ok();
    Some(match protocol {
        -1 => net::Traffic::All,
        6 => net::Traffic::Tcp {
            from: range.0,
            to: range.1,
        },
        17 => net::Traffic::Udp {
            from: range.0,
            to: range.1,
        },
        1 => net::Traffic::Icmp {
            kind: icmp.and_then(|(k, _)| any(k)),
            code: icmp.and_then(|(_, c)| any(c)),
        },
        other => net::Traffic::Protocol(u8::try_from(other).ok()?),
    })
}
