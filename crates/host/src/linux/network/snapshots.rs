//! Every namespace of a small cloud as text, so that a change of what is rendered is read
//! in a review as nftables rules and routes.

use super::{Settings, filter, internet, router, validity};
use crate::network::*;
use model::{VpcId, VpcPeeringConnectionId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("id")
}

fn subnet(cidr: &str, zone: &str, route_table: &str, network_acl: &str) -> Subnet {
    Subnet {
        cidr: cidr.parse().expect("cidr"),
        zone: zone.into(),
        route_table: id(route_table),
        network_acl: id(network_acl),
    }
}

fn interface(subnet: &str, address: &str, groups: &[&str], owner: Owner) -> Interface {
    let address: Ipv4Addr = id(address);
    let [_, b, c, d] = address.octets();
    Interface {
        subnet: id(subnet),
        mac: [0x0a, 0xff, 0, b, c, d],
        addresses: vec![address],
        public: BTreeMap::new(),
        security_groups: groups.iter().map(|group| id(group)).collect(),
        source_dest_check: true,
        owner,
    }
}

fn public(mut interface: Interface, address: &str) -> Interface {
    interface.public.insert(interface.addresses[0], id(address));
    interface
}

fn instance(text: &str, uid_base: u32) -> Owner {
    Owner::Instance {
        instance: id(text),
        device: 0,
        uid_base,
    }
}

fn from(peer: &str, traffic: Traffic) -> SecurityGroupRule {
    let peer = match peer.parse() {
        Ok(cidr) => Peer::Cidr(cidr),
        Err(_) => Peer::Group(id(peer)),
    };
    SecurityGroupRule { traffic, peer }
}

fn tcp(port: u16) -> Traffic {
    Traffic::Tcp {
        from: port,
        to: port,
    }
}

/// A public subnet with a NAT gateway and a balancer node, a private one with an instance.
fn network() -> Network {
    let (open, strict) = ("acl-00000000000000001", "acl-00000000000000002");
    let (out, inner) = ("rtb-00000000000000001", "rtb-00000000000000002");
    let (front, back) = ("subnet-00000000000000001", "subnet-00000000000000002");
    let (balancer, server) = ("sg-00000000000000001", "sg-00000000000000002");
    let nat = "eni-00000000000000001";
    let any: ipnet::Ipv4Net = id("0.0.0.0/0");
    let allow = |number, traffic, cidr: &str| AclRule {
        number,
        allow: true,
        cidr: id(cidr),
        traffic,
    };
    let all = NetworkAcl {
        ingress: vec![allow(100, Traffic::All, "0.0.0.0/0")],
        egress: vec![allow(100, Traffic::All, "0.0.0.0/0")],
    };
    let custom = NetworkAcl {
        ingress: vec![
            allow(
                200,
                Traffic::Tcp {
                    from: 1024,
                    to: 65535,
                },
                "0.0.0.0/0",
            ),
            AclRule {
                allow: false,
                ..allow(90, Traffic::All, "10.0.0.9/32")
            },
            allow(100, tcp(80), "10.0.0.0/16"),
        ],
        egress: all.egress.clone(),
    };
    let vpc = Vpc {
        cidrs: vec![id("10.0.0.0/16")],
        internet_gateway: Some(id("igw-00000000000000001")),
        dns_support: true,
        subnets: BTreeMap::from([
            (id(front), subnet("10.0.0.0/24", "us-east-1a", out, open)),
            (id(back), subnet("10.0.1.0/24", "us-east-1b", inner, strict)),
        ]),
        route_tables: BTreeMap::from([
            (
                id(out),
                vec![Route {
                    destination: any,
                    target: RouteTarget::InternetGateway,
                }],
            ),
            (
                id(inner),
                vec![
                    Route {
                        destination: any,
                        target: RouteTarget::Interface(id(nat)),
                    },
                    Route {
                        destination: id("192.168.0.0/16"),
                        target: RouteTarget::Blackhole,
                    },
                ],
            ),
        ]),
        network_acls: BTreeMap::from([(id(open), all), (id(strict), custom)]),
        security_groups: BTreeMap::from([
            (
                id(balancer),
                SecurityGroup {
                    ingress: vec![from("0.0.0.0/0", tcp(80)), from("10.0.0.0/8", tcp(443))],
                    egress: vec![from("0.0.0.0/0", Traffic::All)],
                },
            ),
            (
                id(server),
                SecurityGroup {
                    ingress: vec![
                        from(balancer, tcp(8080)),
                        from("10.0.0.0/25", tcp(22)),
                        from("10.0.0.128/25", tcp(22)),
                        from(
                            "0.0.0.0/0",
                            Traffic::Icmp {
                                kind: Some(8),
                                code: None,
                            },
                        ),
                    ],
                    egress: vec![from("0.0.0.0/0", Traffic::Tcp { from: 0, to: 65535 })],
                },
            ),
        ]),
        interfaces: BTreeMap::from([
            (
                id(nat),
                public(
                    interface(front, "10.0.0.4", &[], Owner::NatGateway),
                    "198.18.1.4",
                ),
            ),
            (
                id("eni-00000000000000002"),
                public(
                    interface(front, "10.0.0.5", &[balancer], Owner::LoadBalancerNode),
                    "198.18.1.5",
                ),
            ),
            (
                id("eni-00000000000000003"),
                interface(
                    back,
                    "10.0.1.6",
                    &[server],
                    instance("i-00000000000000003", 1 << 20),
                ),
            ),
            (
                id("eni-00000000000000004"),
                interface(back, "10.0.1.7", &[server], Owner::Detached),
            ),
        ]),
        peerings: BTreeMap::new(),
    };
    Network {
        vpcs: BTreeMap::from([(id("vpc-00000000000000001"), vpc)]),
        cut_zones: BTreeSet::from(["us-east-1b".to_owned()]),
        internet_services: vec![id("198.18.0.10")],
        ..Network::default()
    }
}

#[test]
fn a_vpc() {
    let network = network();
    let (id, vpc) = network.vpcs.first_key_value().expect("one");
    let cut = filter::cut_interfaces(&network, vpc);
    let plans: String = router::plans("nines", id, vpc, &cut)
        .iter()
        .map(|plan| format!("{plan}\n"))
        .collect();
    insta::assert_snapshot!(plans);
}

#[test]
fn peered_vpcs_share_one_veth_and_pass_only_their_own() {
    let connection: VpcPeeringConnectionId = id("pcx-00000000000000001");
    let (low, high): (VpcId, VpcId) = (id("vpc-00000000000000001"), id("vpc-00000000000000002"));
    let mut network = network();
    let near = network.vpcs.get_mut(&low).expect("one");
    let mut far = near.clone();
    near.peerings.insert(
        connection.clone(),
        Peering {
            vpc: high.clone(),
            cidrs: vec![id("10.1.0.0/16")],
        },
    );
    let table = near.route_tables.values_mut().next().expect("a table");
    table.push(Route {
        destination: id("10.1.0.0/16"),
        target: RouteTarget::Peering(connection.clone()),
    });
    far.peerings.insert(
        connection,
        Peering {
            vpc: low.clone(),
            cidrs: vec![id("10.0.0.0/16")],
        },
    );
    let text = |vpc_id: &VpcId, vpc: &Vpc| {
        let plans = router::plans("nines", vpc_id, vpc, &BTreeSet::new());
        plans.first().expect("a router").to_string()
    };
    let (near, far) = (text(&low, &network.vpcs[&low]), text(&high, &far));
    for expected in [
        "link add p00000000000001 mtu 1500",
        "netns nines-vpc-00000000000000002",
        "route replace 10.1.0.0/16 via 169.254.0.1 dev p00000000000001",
        "iifname \"p00000000000001\" ip saddr != { 10.1.0.0/16 } drop",
    ] {
        assert!(near.contains(expected), "{expected} in\n{near}");
    }
    assert!(
        !far.contains("link add p0"),
        "only one side makes the veth:\n{far}"
    );
    assert!(far.contains("iifname \"p00000000000001\" ip saddr != { 10.0.0.0/16 } drop"));
}

#[test]
fn the_internet_and_the_host() {
    let network = network();
    let outside = internet::Outside {
        offline: false,
        own: vec![id("203.0.113.0/28"), id("192.168.1.0/24")],
    };
    let plans = [
        internet::plan("nines", PUBLIC_POOL, &outside, &network),
        internet::host("nines", PUBLIC_POOL),
    ];
    insta::assert_snapshot!(plans.map(|plan| plan.to_string()).join("\n"));
}

#[test]
fn the_impossible_is_left_out_and_named() {
    let settings = Settings {
        cloud: "nines".into(),
        state_dir: "/nowhere".into(),
        public_pool: PUBLIC_POOL,
        offline: true,
    };
    let check = |change: fn(&mut Vpc), expected: &[&str]| {
        let mut wanted = network();
        change(wanted.vpcs.values_mut().next().expect("one"));
        let (_, failures) = validity::split(&settings, &wanted);
        let said: Vec<_> = failures
            .iter()
            .map(|failure| failure.reason.as_str())
            .collect();
        assert_eq!(said, expected);
    };
    fn first(vpc: &mut Vpc) -> &mut Interface {
        vpc.interfaces.values_mut().next().expect("one")
    }
    check(|_| {}, &[]);
    check(|vpc| vpc.cidrs.clear(), &["no CIDR"]);
    check(|vpc| first(vpc).addresses.clear(), &["no address"]);
    check(
        |vpc| first(vpc).addresses = vec![id("10.0.9.9")],
        &["198.18.1.4 is mapped to 10.0.0.4, not its own"],
    );
    check(
        |vpc| _ = first(vpc).public.insert(id("10.0.0.4"), id("198.18.1.5")),
        &["public address 198.18.1.5 is taken"],
    );
    check(
        |vpc| _ = first(vpc).public.insert(id("10.0.0.4"), id("198.18.0.1")),
        &["public address 198.18.0.1 is taken"],
    );
    check(
        |vpc| {
            first(vpc).public.clear();
            first(vpc).addresses = vec![id("10.0.0.5")];
        },
        &["10.0.0.5 is another interface's"],
    );
}
