//! Internet gateways and NAT gateways: the two places where addresses are translated.
//!
//! An internet gateway is a namespace per VPC (VPCs may overlap) that maps private to
//! public one to one, both ways, also for packets that turn round in it: two instances
//! that talk by their public addresses see public addresses. A NAT gateway shares its
//! interface's *private* address and gives packets back to the router, where they take
//! its own subnet's route table and network ACL; only the internet gateway knows the
//! Elastic IP.

use super::names::{self, GATEWAY_TO_INTERNET as INTERNET, GATEWAY_TO_ROUTER as VPC};
use super::plan::{Hop, Kind, MAIN, NEAR, PEER, Plan, Setting};
use super::router::{default_route, route};
use super::text::{elements, list};
use crate::network::{Interface, Owner, Vpc};
use ipnet::Ipv4Net;
use model::{InternetGatewayId, VpcId};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Sources that no router of the internet would have passed on.
const PRIVATE: [&str; 6] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
];

/// Private to public address of every interface that something stands behind.
pub fn public_addresses(vpc: &Vpc) -> BTreeMap<Ipv4Addr, Ipv4Addr> {
    vpc.interfaces
        .values()
        .filter(|interface| !matches!(interface.owner, Owner::Detached))
        .flat_map(|interface| &interface.public)
        .map(|(private, public)| (*private, *public))
        .collect()
}

pub fn internet(cloud: &str, id: &InternetGatewayId, vpc_id: &VpcId, vpc: &Vpc) -> Plan {
    let mut settings = Vec::new();
    for device in [VPC, INTERNET] {
        settings.push(Setting::Neighbour {
            address: PEER,
            device: device.into(),
            mac: NEAR,
        });
    }
    let via = |device: &str| Hop::Via {
        gateway: PEER,
        device: device.into(),
    };
    settings.push(route(default_route(), MAIN, via(INTERNET)));
    for &cidr in &vpc.cidrs {
        settings.push(route(cidr, MAIN, via(VPC)));
    }
    let name = names::internet_gateway(cloud, id);
    Plan {
        filter: internet_filter(&public_addresses(vpc)),
        settings,
        ..Plan::new(name, Kind::InternetGateway, Some(vpc_id))
    }
}

fn internet_filter(public: &BTreeMap<Ipv4Addr, Ipv4Addr>) -> String {
    let outward = elements(
        public
            .iter()
            .map(|(private, public)| format!("{private} : {public}")),
    );
    let inward = elements(
        public
            .iter()
            .map(|(private, public)| format!("{public} : {private}")),
    );
    let mapped = elements(public.keys());
    let private = list(PRIVATE);
    format!(
        "table ip nines
delete table ip nines
table ip nines {{
	map public {{ type ipv4_addr : ipv4_addr;{outward} }}
	map private {{ type ipv4_addr : ipv4_addr;{inward} }}
	set mapped {{ type ipv4_addr;{mapped} }}
	chain spoofed {{
		type filter hook prerouting priority -300; policy accept;
		iifname \"{INTERNET}\" ip saddr {private} drop
	}}
	chain inward {{
		type nat hook prerouting priority -100; policy accept;
		dnat to ip daddr map @private
	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		ct state established,related accept
		ct state invalid drop
		iifname \"{VPC}\" ip saddr @mapped accept
		iifname \"{INTERNET}\" ct status dnat accept
		drop
	}}
	chain outward {{
		type nat hook postrouting priority 100; policy accept;
		snat to ip saddr map @public
	}}
	chain input {{
		type filter hook input priority 0; policy accept;
		ct state established,related accept
		drop
	}}
}}
"
    )
}

/// A NAT gateway translates what comes from its VPC, takes nothing unasked, and resets
/// what it has forgotten. AWS: TCP, UDP and ICMP only, ports 1024–65535.
pub fn nat(interface: &Interface, cidrs: &[Ipv4Net]) -> String {
    let Some(address) = interface.addresses.first() else {
        return String::new();
    };
    let inside = list(Ipv4Net::aggregate(&cidrs.to_vec()));
    format!(
        "table ip nines
delete table ip nines
table ip nines {{
	counter in_from_source {{ }}
	counter out_to_destination {{ }}
	counter in_from_destination {{ }}
	counter out_to_source {{ }}
	counter attempts {{ }}
	counter established {{ }}
	counter dropped {{ }}
	chain arrive {{
		type filter hook forward priority -10; policy accept;
		ct direction original counter name in_from_source
		ct direction reply counter name in_from_destination
		ct direction original tcp flags & (syn | ack) == syn counter name attempts
		ct direction reply tcp flags & (syn | ack) == (syn | ack) counter name established
	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		ct state established,related accept
		ct state invalid meta l4proto tcp counter name dropped reject with tcp reset
		ct state invalid counter name dropped drop
		ip saddr {inside} meta l4proto {{ tcp, udp, icmp }} accept
		counter name dropped drop
	}}
	chain leave {{
		type filter hook forward priority 10; policy accept;
		ct direction original counter name out_to_destination
		ct direction reply counter name out_to_source
	}}
	chain input {{
		type filter hook input priority 0; policy accept;
		ct state established,related accept
		drop
	}}
	chain outward {{
		type nat hook postrouting priority 100; policy accept;
		ip saddr {inside} meta l4proto {{ tcp, udp }} snat to {address}:1024-65535
		ip saddr {inside} snat to {address}
	}}
}}
"
    )
}
