//! The internet namespace of a cloud, and the one link it has to the host.
//!
//! Mapped public addresses lead to their gateways, the rest of the pool nowhere. The way
//! out is a userspace stack (`uplink`), so that the host's firewall, forwarding and
//! default route stay as they are; only addresses of the real internet may take it, or an
//! instance could reach the network of whoever runs this. The host reaches public
//! addresses by one route; nothing in here can open a connection to the host.

use super::gateway::public_addresses;
use super::names::{self, INTERNET_TO_HOST as HOST, UPLINK};
use super::plan::{FAR, Hop, Kind, Link, MAIN, NEAR, PEER, Plan, Setting};
use super::router::{default_route, route};
use super::text::{elements, list};
use super::uplink;
use crate::network::{Network, host_address, internet_address};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Destinations that never leave by the uplink: every range that is private, local,
/// shared, for benchmarks, multicast or reserved (RFC 6890). The documentation ranges
/// may: nobody's LAN is there, and some labs route real mirrors in them.
const NOT_ON_THE_INTERNET: [Ipv4Net; 12] = [
    range(0, 0, 0, 8),
    range(10, 0, 0, 8),
    range(100, 64, 0, 10),
    range(127, 0, 0, 8),
    range(169, 254, 0, 16),
    range(172, 16, 0, 12),
    range(192, 0, 0, 24),
    range(192, 88, 99, 24),
    range(192, 168, 0, 16),
    range(198, 18, 0, 15),
    range(224, 0, 0, 4),
    range(240, 0, 0, 4),
];

const fn range(a: u8, b: u8, c: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length)
}

/// What the host decides about the way out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outside {
    pub offline: bool,
    /// The host's own addresses and the networks it is on, whatever their range: the
    /// uplink's sockets are the host's, and would reach its services as its own do.
    pub own: Vec<Ipv4Net>,
}

pub fn plan(cloud: &str, pool: Ipv4Net, outside: &Outside, network: &Network) -> Plan {
    let mut links = BTreeMap::new();
    let mut settings = vec![
        Setting::Address {
            address: internet_address(pool).into(),
            device: "lo".into(),
        },
        route(pool, MAIN, Hop::Blackhole),
        route(host_address(pool).into(), MAIN, Hop::Device(HOST.into())),
        Setting::Neighbour {
            address: host_address(pool),
            device: HOST.into(),
            mac: NEAR,
        },
    ];
    for &service in &network.internet_services {
        settings.push(Setting::Address {
            address: service.into(),
            device: "lo".into(),
        });
    }
    if !outside.offline {
        settings.push(Setting::Address {
            address: uplink::ADDRESS,
            device: UPLINK.into(),
        });
        let hop = Hop::Via {
            gateway: uplink::GATEWAY,
            device: UPLINK.into(),
        };
        settings.push(route(default_route(), MAIN, hop));
    }
    for vpc in network.vpcs.values() {
        let Some(gateway) = &vpc.internet_gateway else {
            continue;
        };
        let device = names::gateway_device(gateway);
        settings.push(Setting::Neighbour {
            address: PEER,
            device: device.clone(),
            mac: FAR,
        });
        for public in public_addresses(vpc).into_values() {
            let hop = Hop::Via {
                gateway: PEER,
                device: device.clone(),
            };
            settings.push(route(public.into(), MAIN, hop));
        }
        links.insert(
            device,
            Link {
                mac: NEAR,
                peer: names::internet_gateway(cloud, gateway),
                peer_device: names::GATEWAY_TO_INTERNET.into(),
                peer_mac: FAR,
            },
        );
    }
    Plan {
        filter: filter(pool, outside, network),
        links,
        settings,
        ..Plan::new(names::internet(cloud), Kind::Internet, None)
    }
}

/// All that the host gets: a veth, an address on it and a route for the pool.
pub fn host(cloud: &str, pool: Ipv4Net) -> Plan {
    let device = names::host_device(cloud);
    let gateway = internet_address(pool);
    Plan {
        settings: vec![
            Setting::Address {
                address: host_address(pool).into(),
                device: device.clone(),
            },
            Setting::Neighbour {
                address: gateway,
                device: device.clone(),
                mac: FAR,
            },
            route(
                pool,
                MAIN,
                Hop::Via {
                    gateway,
                    device: device.clone(),
                },
            ),
        ],
        links: BTreeMap::from([(
            device,
            Link {
                mac: NEAR,
                peer: names::internet(cloud),
                peer_device: HOST.into(),
                peer_mac: FAR,
            },
        )]),
        ..Plan::new(String::new(), Kind::Host, None)
    }
}

fn filter(pool: Ipv4Net, outside: &Outside, network: &Network) -> String {
    let services = elements(&network.internet_services);
    // The pool too: the host's address in it must not change this text.
    let refused = [&NOT_ON_THE_INTERNET, outside.own.as_slice(), &[pool]].concat();
    let refused = list(Ipv4Net::aggregate(&refused));
    format!(
        "table ip nines
delete table ip nines
table ip nines {{
	set services {{ type ipv4_addr;{services} }}
	chain uplink {{
		ip daddr {refused} counter drop
	}}
	chain forward {{
		type filter hook forward priority 0; policy accept;
		oifname \"{UPLINK}\" jump uplink
		ct state established,related accept
		ct state invalid drop
		oifname \"{HOST}\" drop
		iifname \"{UPLINK}\" drop
	}}
	chain output {{
		type filter hook output priority 0; policy accept;
		oifname \"{UPLINK}\" jump uplink
	}}
	chain input {{
		type filter hook input priority 0; policy accept;
		iifname \"lo\" accept
		ct state established,related accept
		iifname != \"{UPLINK}\" ip daddr @services accept
		icmp type echo-request accept
		drop
	}}
	chain outward {{
		type nat hook postrouting priority 100; policy accept;
		oifname \"{UPLINK}\" masquerade
	}}
}}
"
    )
}
