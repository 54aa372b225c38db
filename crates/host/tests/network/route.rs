//! Route tables, source checks, addresses and NAT gateways.

use crate::lab::*;
use host::linux::namespace;
use host::linux::network::{names, nat_usage};
use host::network::*;
use netfilter::conntrack;
use std::io::{Read, Write};
use std::net::Ipv4Addr;

#[test]
fn routes_and_sources() {
    let Some(mut lab) = Lab::new("nrt", 19) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let _servers = ["app1", "internet"].map(|name| lab.serve(name, name, 8080));
    assert_eq!(lab.seen_as("app1", "internet"), "P.20");
    let used = nat_usage::read(lab.cloud(), &lab.id("nat-a")).expect("counters");
    assert_eq!((used.attempts, used.established, used.dropped), (1, 1, 0));
    let ways = [
        used.in_from_source,
        used.out_to_destination,
        used.in_from_destination,
        used.out_to_source,
    ];
    assert!(
        ways.iter().all(|w| w.packets > 0 && w.bytes > 0),
        "{used:?}"
    );
    let unused = nat_usage::read(lab.cloud(), &lab.id("nat-b")).expect("counters");
    assert_eq!((unused.attempts, unused.open), (0, 0));

    // A route whose target is gone drops; the VPC's own addresses are still local.
    lab.route("private-a", RouteTarget::Blackhole);
    lab.apply();
    assert_eq!(lab.seen_as("app1", "internet"), "-");
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");
    // The other zone's NAT gateway serves as well.
    let nat_b = lab.id("nat-b");
    lab.route("private-a", RouteTarget::Interface(nat_b));
    lab.apply();
    assert_eq!(lab.seen_as("app1", "internet"), "P.21");
    // A NAT gateway in a subnet without a way out takes packets, to no avail.
    lab.route("public-b", RouteTarget::Blackhole);
    lab.apply();
    assert_eq!(lab.seen_as("app1", "internet"), "-");

    // A packet with a source that is not the interface's own goes nowhere.
    let spoof: Ipv4Addr = "10.0.0.77".parse().expect("address");
    let device = lab.device("web");
    program_in(
        &lab.namespace("web"),
        "ip",
        &["addr", "add", "10.0.0.77/24", "dev", "eth0"],
    );
    let counted = "ip saddr 10.0.0.77";
    lab.count(&lab.namespace("app1"), "input", counted);
    assert_eq!(
        lab.ask_from("web", spoof, (lab.address("app1"), 8080)),
        None
    );
    assert_eq!(
        lab.counted(&lab.namespace("app1")),
        0,
        "nothing arrived ({device})"
    );
    // With the check off the packets do arrive, though their answers are routed elsewhere.
    lab.interface("web").source_dest_check = false;
    lab.apply();
    assert_eq!(
        lab.ask_from("web", spoof, (lab.address("app1"), 8080)),
        None
    );
    assert!(
        lab.counted(&lab.namespace("app1")) > 0,
        "let through by source_dest_check = false"
    );
}

#[test]
fn addresses_come_and_go() {
    let Some(mut lab) = Lab::new("neip", 20) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let _servers = ["web", "app1", "internet"].map(|name| lab.serve(name, name, 8080));
    let (mut inward, mut outward) = (
        lab.connect("internet", "web:public", 8080).expect("mapped"),
        lab.connect("web", "internet", 8080).expect("mapped"),
    );
    // The Elastic IP moves: flows under it end, new ones find the new holder.
    let web = lab.address("web");
    let public = lab.interface("web").public.remove(&web).expect("mapped");
    let app1 = lab.address("app1");
    lab.interface("app1").public.insert(app1, public);
    let out = lab.id_of_gateway_table();
    lab.subnet("private-a").route_table = out;
    lab.apply();
    assert!(is_cut(&mut inward), "inbound flow of a lost address");
    assert!(is_cut(&mut outward), "outbound flow of a lost address");
    assert_eq!(lab.seen_as("app1", "internet"), "P.30");
    assert_eq!(
        lab.ask("internet", (public, 8080))
            .map(|(name, _)| name)
            .as_deref(),
        Some("app1")
    );
    assert_eq!(
        lab.seen_as("web", "internet"),
        "-",
        "routed to the gateway, but not mapped"
    );

    // Without its gateway a VPC is an island.
    lab.vpc().internet_gateway = None;
    lab.apply();
    assert_eq!(lab.seen_as("app1", "internet"), "-");
    assert_eq!(lab.ask("internet", (public, 8080)), None);
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");
}

#[test]
fn a_nat_gateway_forgets() {
    let Some(mut lab) = Lab::new("nnat", 24) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let _server = lab.serve("internet", "internet", 8080);
    let mut flow = lab.connect("app1", "internet", 8080).expect("by NAT");
    assert!(echoes(&mut flow));
    let nat = names::interface(lab.cloud(), &lab.id("nat-a"));
    let limit = namespace::enter(&nat, || {
        std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established")
    });
    assert_eq!(limit.expect("entered").expect("read").trim(), "350");
    // What the idle timeout does after 350 s.
    let forget = || conntrack::flows().and_then(|flows| conntrack::delete(&flows));
    namespace::enter(&nat, forget)
        .expect("entered")
        .expect("forgotten");
    flow.write_all(b"x").expect("sent");
    let error = flow.read(&mut [0]).expect_err("no answer");
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::ConnectionReset,
        "a reset, not silence"
    );
    // Nothing unasked gets in, and traffic from outside the VPC is not translated.
    let _inside = lab.serve("app1", "app1", 8080);
    assert_eq!(lab.ask("internet", (lab.public("nat-a"), 8080)), None);
}
