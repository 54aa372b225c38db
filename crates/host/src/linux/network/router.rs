//! The router of a VPC: a veth to each interface, route tables, and the addresses the
//! edge answers on.
//!
//! A subnet's table is found by mark: the filter maps the incoming interface to its
//! table's number, one `ip rule` per table looks there. A table throws the VPC's own
//! addresses to the main one, where there is a /32 per interface address and a black
//! hole beneath; so local routes win, and nothing of the VPC leaves by a default route,
//! while a route for exactly a subnet (a middlebox) is more specific than the throw.
//! Neighbours are permanent on the router's side: no first packet waits for ARP, and
//! the kernel-wide neighbour limits do not count them.

use super::names;
use super::plan::{FAR, Hop, Kind, Link, MAIN, Mac, NEAR, PEER, Plan, Setting};
use super::{filter, gateway};
use crate::network::{Interface, METADATA, Owner, RESOLVER, Route, RouteTarget, Subnet, Vpc, nth};
use ipnet::Ipv4Net;
use model::{NetworkInterfaceId, VpcId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

/// All namespaces of one VPC: router, internet gateway, and what its interfaces stand in.
pub fn plans(cloud: &str, id: &VpcId, vpc: &Vpc, cut: &BTreeSet<NetworkInterfaceId>) -> Vec<Plan> {
    let mut plans = vec![router(cloud, id, vpc, cut)];
    if let Some(internet_gateway) = &vpc.internet_gateway {
        plans.push(gateway::internet(cloud, internet_gateway, id, vpc));
    }
    let mut guests: BTreeMap<String, Plan> = BTreeMap::new();
    for (interface_id, interface) in &vpc.interfaces {
        let Some((namespace, device, kind)) = guest(cloud, interface_id, &interface.owner) else {
            continue;
        };
        let Some(subnet) = vpc.subnets.get(&interface.subnet) else {
            continue;
        };
        let plan = guests
            .entry(namespace.clone())
            .or_insert_with(|| Plan::new(namespace, kind, Some(id)));
        plan.interfaces.insert(device.clone(), interface_id.clone());
        plan.settings
            .extend(guest_settings(interface, subnet, &device));
        if matches!(interface.owner, Owner::NatGateway) {
            plan.filter = gateway::nat(interface, &vpc.cidrs);
        }
    }
    plans.extend(guests.into_values());
    plans
}

/// Namespace, device and kind of an interface's far end; none if nothing stands there.
pub fn guest(
    cloud: &str,
    id: &NetworkInterfaceId,
    owner: &Owner,
) -> Option<(String, String, Kind)> {
    match owner {
        Owner::Instance {
            instance,
            device,
            uid_base,
        } => Some((
            names::instance(cloud, instance),
            names::in_instance(*device),
            Kind::Instance {
                uid_base: *uid_base,
            },
        )),
        Owner::NatGateway => Some((names::interface(cloud, id), "eth0".into(), Kind::NatGateway)),
        Owner::LoadBalancerNode => Some((
            names::interface(cloud, id),
            "eth0".into(),
            Kind::LoadBalancerNode,
        )),
        Owner::NetworkLoadBalancerNode => Some((
            names::interface(cloud, id),
            "eth0".into(),
            Kind::NetworkLoadBalancerNode,
        )),
        Owner::Detached => None,
    }
}

fn router(cloud: &str, id: &VpcId, vpc: &Vpc, cut: &BTreeSet<NetworkInterfaceId>) -> Plan {
    let tables = table_numbers(vpc.route_tables.keys(), ROUTE_TABLES);
    let nodes = node_tables(vpc);
    let mut links = BTreeMap::new();
    let mut interfaces = BTreeMap::new();
    let mut settings = Vec::new();

    for address in local_addresses(vpc) {
        settings.push(Setting::Address {
            address: address.into(),
            device: "lo".into(),
        });
    }
    settings.push(route(default_route(), MAIN, Hop::Blackhole));
    for (interface_id, interface) in &vpc.interfaces {
        let Some((peer, peer_device, _)) = guest(cloud, interface_id, &interface.owner) else {
            continue;
        };
        let device = names::device(interface_id);
        for &address in &interface.addresses {
            settings.push(route(address.into(), MAIN, Hop::Device(device.clone())));
            settings.push(Setting::Neighbour {
                address,
                device: device.clone(),
                mac: Mac(interface.mac),
            });
        }
        if let (Some(&table), Some(&gateway)) =
            (nodes.get(interface_id), interface.addresses.first())
        {
            // Answers to what the node passed on go back through it, whomever they are for.
            let hop = Hop::Via {
                gateway,
                device: device.clone(),
            };
            settings.push(Setting::Rule { table });
            settings.push(route(default_route(), table, hop));
        }
        interfaces.insert(device.clone(), interface_id.clone());
        links.insert(
            device,
            Link {
                mac: NEAR,
                peer,
                peer_device,
                peer_mac: Mac(interface.mac),
            },
        );
    }
    if let Some(internet_gateway) = &vpc.internet_gateway {
        let device = names::ROUTER_TO_GATEWAY;
        settings.push(Setting::Neighbour {
            address: PEER,
            device: device.into(),
            mac: FAR,
        });
        links.insert(
            device.into(),
            Link {
                mac: NEAR,
                peer: names::internet_gateway(cloud, internet_gateway),
                peer_device: names::GATEWAY_TO_ROUTER.into(),
                peer_mac: FAR,
            },
        );
    }
    for (connection, peering) in &vpc.peerings {
        let device = names::peering(connection);
        // The VPC whose id is the lower one makes the veth: its plan comes first.
        let first = *id < peering.vpc;
        settings.push(Setting::Neighbour {
            address: PEER,
            device: device.clone(),
            mac: if first { FAR } else { NEAR },
        });
        if first {
            let link = Link {
                mac: NEAR,
                peer: names::router(cloud, &peering.vpc),
                peer_device: device.clone(),
                peer_mac: FAR,
            };
            links.insert(device, link);
        }
    }
    for (table_id, routes) in &vpc.route_tables {
        let Some(&table) = tables.get(table_id) else {
            continue;
        };
        settings.push(Setting::Rule { table });
        for &cidr in &vpc.cidrs {
            settings.push(route(cidr, table, Hop::Throw));
        }
        for one in routes {
            settings.push(route(one.destination, table, hop(one, vpc)));
        }
    }
    Plan {
        filter: filter::render(vpc, &tables, &nodes, cut),
        links,
        settings,
        interfaces,
        ..Plan::new(names::router(cloud, id), Kind::Router, Some(id))
    }
}

/// Addresses the router has itself: each subnet's base+1, and what the edge answers on.
fn local_addresses(vpc: &Vpc) -> BTreeSet<Ipv4Addr> {
    vpc.subnets
        .values()
        .map(|subnet| nth(subnet.cidr, 1))
        .chain(services(vpc))
        .collect()
}

/// Where every interface of the VPC reaches the edge, whatever its groups and ACLs say.
pub fn services(vpc: &Vpc) -> BTreeSet<Ipv4Addr> {
    let resolver = vpc.cidrs.first().map(|primary| nth(*primary, 2));
    resolver.into_iter().chain([RESOLVER, METADATA]).collect()
}

fn hop(one: &Route, vpc: &Vpc) -> Hop {
    match &one.target {
        RouteTarget::InternetGateway if vpc.internet_gateway.is_some() => Hop::Via {
            gateway: PEER,
            device: names::ROUTER_TO_GATEWAY.into(),
        },
        RouteTarget::Interface(id) => match vpc.interfaces.get(id) {
            Some(Interface {
                addresses, owner, ..
            }) if !matches!(owner, Owner::Detached) => match addresses.first() {
                Some(&gateway) => Hop::Via {
                    gateway,
                    device: names::device(id),
                },
                None => Hop::Blackhole,
            },
            // Gone or unattached: what EC2 shows as `blackhole`.
            _ => Hop::Blackhole,
        },
        RouteTarget::Peering(connection) if vpc.peerings.contains_key(connection) => Hop::Via {
            gateway: PEER,
            device: names::peering(connection),
        },
        RouteTarget::InternetGateway | RouteTarget::Peering(_) | RouteTarget::Blackhole => {
            Hop::Blackhole
        }
    }
}

/// First numbers of kernel tables: the kernel's own are 0–255.
const ROUTE_TABLES: u32 = 0x1000_0000;
const NODE_TABLES: u32 = 0x2000_0000;

/// The table, and mark, of each network load balancer's node.
fn node_tables(vpc: &Vpc) -> BTreeMap<NetworkInterfaceId, u32> {
    let nodes = vpc.interfaces.iter();
    let nodes = nodes.filter(|(_, i)| matches!(i.owner, Owner::NetworkLoadBalancerNode));
    table_numbers(nodes.map(|(id, _)| id), NODE_TABLES)
}

/// A number per thing that does not move when another one comes or goes.
fn table_numbers<'a, I: Clone + Ord + fmt::Display + 'a>(
    ids: impl Iterator<Item = &'a I>,
    first: u32,
) -> BTreeMap<I, u32> {
    let mut taken = BTreeSet::new();
    let mut numbers = BTreeMap::new();
    for id in ids {
        let text = id.to_string();
        let digits = text.get(text.len().saturating_sub(7)..).unwrap_or_default();
        // 28 random bits.
        let mut number = u32::from_str_radix(digits, 16).unwrap_or_default() | first;
        while !taken.insert(number) {
            number += 1;
        }
        numbers.insert(id.clone(), number);
    }
    numbers
}

/// What an interface's own end has: its addresses, and the subnet's base+1 as the way out.
fn guest_settings(interface: &Interface, subnet: &Subnet, device: &str) -> Vec<Setting> {
    let gateway = nth(subnet.cidr, 1);
    let mut settings: Vec<Setting> = interface
        .addresses
        .iter()
        .map(|&address| Setting::Address {
            address: Ipv4Net::new(address, subnet.cidr.prefix_len()).unwrap_or(address.into()),
            device: device.into(),
        })
        .collect();
    settings.push(Setting::Neighbour {
        address: gateway,
        device: device.into(),
        mac: NEAR,
    });
    // The first one is the way out. What comes from an address of another leaves by that one, since
    // the VPC drops it elsewhere; on AWS programs in Amazon's and Debian's images see to that.
    let number = names::device_index(device).map_or(0, u32::from);
    let table = match number {
        0 => MAIN,
        n => FIRST_OF_INTERFACES + n,
    };
    let hop = Hop::Via {
        gateway,
        device: device.into(),
    };
    settings.push(route(default_route(), table, hop));
    if table != MAIN {
        let near = Hop::Device(device.into());
        settings.push(route(subnet.cidr, table, near));
        let from = |&address| Setting::Source { address, table };
        settings.extend(interface.addresses.iter().map(from));
    }
    settings
}

/// Routing tables in an instance of its second interface and those that follow; the number and
/// place that Amazon's own programs choose.
const FIRST_OF_INTERFACES: u32 = 10_000;

pub fn default_route() -> Ipv4Net {
    Ipv4Net::default()
}

pub fn route(destination: Ipv4Net, table: u32, hop: Hop) -> Setting {
    Setting::Route {
        destination: destination.trunc(),
        table,
        hop,
    }
}
