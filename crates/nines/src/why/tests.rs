//! A VPC as in the demo's stack: a public and a private subnet, a NAT gateway, a web server
//! that admits the load balancer only, and a second VPC with the same addresses.

use super::*;
use serde_json::json;

const NODE: &str = "10.0.0.10";
const NODE_PUBLIC: &str = "198.18.1.10";
const NAT_PUBLIC: &str = "198.18.1.20";
const WEB: &str = "10.0.1.10";
const DATABASE: &str = "10.0.1.11";
const OUTSIDE: &str = "203.0.113.9";

fn network() -> Value {
    let interface = |subnet: &str,
                     address: &str,
                     public: Option<&str>,
                     group: &str,
                     owner: Value| {
        let public = public.map_or(json!({}), |public| json!({ address: public }));
        json!({
            "subnet": subnet, "mac": [0, 0, 0, 0, 0, 0], "addresses": [address], "public": public,
            "security_groups": [group], "source_dest_check": true, "owner": owner,
        })
    };
    let everything =
        json!([{ "number": 100, "allow": true, "cidr": "0.0.0.0/0", "traffic": "All" }]);
    let outward = json!([{ "traffic": "All", "peer": { "Cidr": "0.0.0.0/0" } }]);
    let http =
        |peer: Value| json!([{ "traffic": { "Tcp": { "from": 80, "to": 80 } }, "peer": peer }]);
    let subnet = |cidr: &str, zone: &str, table: &str| json!({ "cidr": cidr, "zone": zone, "route_table": table, "network_acl": format!("acl-{table}") });
    let acl = json!({ "ingress": everything, "egress": everything });
    json!({
        "cut_zones": [], "cut_interfaces": [],
        "vpcs": {
            "vpc-1": {
                "cidrs": ["10.0.0.0/16"], "internet_gateway": "igw-1", "dns_support": true,
                "subnets": { "subnet-public": subnet("10.0.0.0/24", "a", "public"), "subnet-private": subnet("10.0.1.0/24", "b", "private") },
                "route_tables": {
                    "public": [{ "destination": "0.0.0.0/0", "target": "InternetGateway" }],
                    "private": [{ "destination": "0.0.0.0/0", "target": { "Interface": "eni-nat" } }],
                },
                "network_acls": { "acl-public": acl, "acl-private": acl },
                "security_groups": {
                    "sg-lb": { "ingress": http(json!({ "Cidr": "0.0.0.0/0" })), "egress": outward },
                    "sg-web": { "ingress": http(json!({ "Group": "sg-lb" })), "egress": outward },
                },
                "interfaces": {
                    "eni-node": interface("subnet-public", NODE, Some(NODE_PUBLIC), "sg-lb", json!("LoadBalancerNode")),
                    "eni-nat": interface("subnet-public", "10.0.0.20", Some(NAT_PUBLIC), "sg-lb", json!("NatGateway")),
                    "eni-web": interface("subnet-private", WEB, None, "sg-web", json!("Detached")),
                    "eni-database": interface("subnet-private", DATABASE, None, "sg-web", json!("Detached")),
                },
            },
        },
    })
}

/// The verdict over the network as `change` leaves it.
fn verdict(change: impl FnOnce(&mut Value), from: &str, to: &str, flow: &str) -> String {
    let mut value = network();
    change(&mut value);
    let network: Network = serde_json::from_value(value).expect("a network");
    let end = |text: &str| {
        let address: Ipv4Addr = text.parse().expect("an address");
        inside(&network, text, |_, i| {
            i.addresses.contains(&address).then_some(address)
        })
        .unwrap_or(End::Outside { address })
    };
    let (_, flow) = destination(&format!("x:{flow}")).expect("a flow");
    match walked(&network, &end(from), &end(to), flow) {
        Ok(walk) => walk.refusal().unwrap_or_else(|| "yes".into()),
        Err(why) => why,
    }
}

fn check(from: &str, to: &str, flow: &str, expected: &str) {
    changed(|_| {}, from, to, flow, expected);
}

fn changed(change: impl FnOnce(&mut Value), from: &str, to: &str, flow: &str, expected: &str) {
    let found = verdict(change, from, to, flow);
    let fits = if expected == "yes" {
        found == "yes"
    } else {
        found.contains(expected)
    };
    assert!(fits, "{from} to {to}:{flow}: {found}, not {expected}");
}

#[test]
fn who_may() {
    check(NODE, WEB, "80", "yes");
    check(OUTSIDE, NODE, "80", "yes");
    check(OUTSIDE, NODE_PUBLIC, "80", "yes");
    check(WEB, OUTSIDE, "443", "yes");
    check(WEB, OUTSIDE, "53/udp", "yes");
    check(WEB, NODE_PUBLIC, "80", "yes");
}

#[test]
fn security_groups_say_no() {
    check(
        NODE,
        WEB,
        "22",
        "security group in: no rule of sg-web (10.0.1.10) allows TCP 22 from 10.0.0.10",
    );
    check(
        NODE,
        WEB,
        "80/udp",
        "security group in: no rule of sg-web (10.0.1.10) allows UDP 80",
    );
    check(DATABASE, WEB, "80", "security group in: no rule of sg-web");
    check(OUTSIDE, NODE, "443", "security group in: no rule of sg-lb");
    let silent =
        |n: &mut Value| n["vpcs"]["vpc-1"]["security_groups"]["sg-web"]["egress"] = json!([]);
    changed(
        silent,
        WEB,
        OUTSIDE,
        "443",
        "security group out: no rule of sg-web",
    );
}

/// A rule of an ACL before the one that allows everything.
fn deny(acl: &str, direction: &str, cidr: &str, traffic: Value) -> impl FnOnce(&mut Value) {
    let rule = json!({ "number": 1, "allow": false, "cidr": cidr, "traffic": traffic });
    let place = format!("/vpcs/vpc-1/network_acls/{acl}/{direction}");
    move |n| {
        let rules = n.pointer_mut(&place).and_then(Value::as_array_mut);
        rules.expect("rules").insert(0, rule);
    }
}

#[test]
fn acls_say_no_on_the_way_and_on_the_way_back() {
    let http = || json!({ "Tcp": { "from": 80, "to": 80 } });
    let ephemeral = || json!({ "Tcp": { "from": 1024, "to": 65535 } });
    let cases = [
        (
            deny("acl-public", "ingress", "0.0.0.0/0", http()),
            OUTSIDE,
            NODE,
            "80",
            "network ACL in: rule 1 of acl-public denies TCP 80",
        ),
        (
            deny("acl-public", "egress", "0.0.0.0/0", ephemeral()),
            OUTSIDE,
            NODE,
            "80",
            "network ACL out: rule 1 of acl-public denies TCP 32768",
        ),
        (
            deny("acl-private", "ingress", "10.0.0.0/24", http()),
            NODE,
            WEB,
            "80",
            "network ACL in: rule 1 of acl-private denies TCP 80",
        ),
        (
            deny("acl-private", "egress", "10.0.0.0/24", ephemeral()),
            NODE,
            WEB,
            "80",
            "network ACL out: rule 1 of acl-private denies TCP 32768",
        ),
        (
            deny("acl-public", "ingress", "10.0.1.0/24", ephemeral()),
            NODE,
            WEB,
            "80",
            "network ACL in: rule 1 of acl-public denies TCP 32768",
        ),
        (
            deny("acl-public", "ingress", "10.0.1.0/24", json!("All")),
            WEB,
            OUTSIDE,
            "443",
            "network ACL in: rule 1 of acl-public denies TCP 443 from 10.0.1.10",
        ),
        (
            deny("acl-private", "ingress", OUTSIDE_RANGE, ephemeral()),
            WEB,
            OUTSIDE,
            "443",
            "network ACL in: rule 1 of acl-private denies TCP 32768",
        ),
    ];
    for (change, from, to, flow, expected) in cases {
        changed(change, from, to, flow, expected);
    }
    // Within a subnet no ACL is asked.
    let all = deny("acl-private", "ingress", "0.0.0.0/0", json!("All"));
    changed(all, DATABASE, WEB, "80", "security group in");
}

const OUTSIDE_RANGE: &str = "203.0.113.0/24";

#[test]
fn routes_say_no() {
    let table = |name: &'static str, routes: Value| {
        move |n: &mut Value| n["vpcs"]["vpc-1"]["route_tables"][name] = routes
    };
    let all = |target: Value| json!([{ "destination": "0.0.0.0/0", "target": target }]);
    changed(
        table("private", json!([])),
        WEB,
        OUTSIDE,
        "443",
        "route: the table of subnet-private has no route",
    );
    changed(
        table("private", all(json!("Blackhole"))),
        WEB,
        OUTSIDE,
        "443",
        "blackhole",
    );
    changed(
        table("private", all(json!("InternetGateway"))),
        WEB,
        OUTSIDE,
        "443",
        "public address: 10.0.1.10 has none",
    );
    changed(
        table("public", json!([])),
        OUTSIDE,
        NODE,
        "80",
        "route back",
    );
    changed(
        table("public", json!([])),
        WEB,
        OUTSIDE,
        "443",
        "route: the table of subnet-public has no route",
    );
    // A gateway that leads to itself ends.
    changed(
        table("public", all(json!({ "Interface": "eni-nat" }))),
        WEB,
        OUTSIDE,
        "443",
        "yes",
    );
    let detached = |n: &mut Value| n["vpcs"]["vpc-1"]["internet_gateway"] = Value::Null;
    changed(
        detached,
        OUTSIDE,
        NODE,
        "80",
        "internet gateway: none is attached",
    );
    check(OUTSIDE, WEB, "80", "public address: 10.0.1.10 has none");
    check(OUTSIDE, OUTSIDE, "80", "neither end is in this cloud");
}

#[test]
fn faults_say_no() {
    let zone = |n: &mut Value| n["cut_zones"] = json!(["b"]);
    changed(
        zone,
        NODE,
        WEB,
        "80",
        "fault: 10.0.1.10 is in b, which is broken",
    );
    let gateway = |n: &mut Value| n["cut_interfaces"] = json!(["eni-nat"]);
    changed(gateway, WEB, OUTSIDE, "443", "fault: eni-nat is cut off");
}

/// A second VPC; where `peered`, joined, with routes both ways.
fn second_vpc(cidr: &'static str, address: &'static str, peered: bool) -> impl FnOnce(&mut Value) {
    move |n| {
        let mut other = n["vpcs"]["vpc-1"].clone();
        let mut interface = other["interfaces"]["eni-web"].clone();
        interface["addresses"] = json!([address]);
        other["interfaces"] = json!({ "eni-other": interface });
        other["cidrs"] = json!([cidr]);
        if peered {
            let to =
                |cidr: &str| json!([{ "destination": cidr, "target": { "Peering": "pcx-1" } }]);
            other["route_tables"]["private"] = to("10.0.0.0/16");
            n["vpcs"]["vpc-1"]["route_tables"]["public"] = to(cidr);
            other["peerings"] = json!({ "pcx-1": { "vpc": "vpc-1", "cidrs": ["10.0.0.0/16"] } });
            n["vpcs"]["vpc-1"]["peerings"] =
                json!({ "pcx-1": { "vpc": "vpc-2", "cidrs": [cidr] } });
        }
        n["vpcs"]["vpc-2"] = other;
    }
}

#[test]
fn two_vpcs_are_apart_unless_they_are_peered() {
    let (same, other) = ("10.0.0.0/16", "10.9.0.0/16");
    changed(
        second_vpc(same, "10.0.1.99", false),
        NODE,
        "10.0.1.99",
        "80",
        "route: 10.0.1.99 is local to the VPC of 10.0.0.10",
    );
    changed(
        second_vpc(other, "10.9.1.9", false),
        NODE,
        "10.9.1.9",
        "80",
        "elsewhere than to a peering connection",
    );
    changed(
        second_vpc(other, "10.9.1.9", true),
        NODE,
        "10.9.1.9",
        "80",
        "yes",
    );
    let one_way = |n: &mut Value| {
        second_vpc(other, "10.9.1.9", true)(n);
        n["vpcs"]["vpc-2"]["route_tables"]["private"] = json!([]);
    };
    changed(
        one_way,
        NODE,
        "10.9.1.9",
        "80",
        "route back: the table of subnet-private has no route",
    );
}

#[test]
fn destinations() {
    let port =
        |text: &str| destination(text).map(|(name, flow)| (name.to_owned(), flow.to_string()));
    let ok = |name: &str, flow: &str| Ok((name.to_owned(), flow.to_owned()));
    assert_eq!(port("web"), ok("web", "TCP 80"));
    assert_eq!(port("web:443"), ok("web", "TCP 443"));
    assert_eq!(port("10.0.0.2:53/udp"), ok("10.0.0.2", "UDP 53"));
    assert!(port("web:0x1").is_err() && port("web:70000").is_err() && port("web:1/icmp").is_err());
}
