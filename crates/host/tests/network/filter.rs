//! Security groups, network ACLs, the router's own services, and cut zones.

use crate::lab::*;
use host::linux::namespace;
use host::network::*;
use std::net::Ipv4Addr;

#[test]
fn security_groups() {
    let Some(mut lab) = Lab::new("nsg", 17) else {
        return;
    };
    lab.two_vpcs();
    let (web, app) = (
        lab.group("sg-00000000000000a01"),
        lab.group("sg-00000000000000a02"),
    );
    lab.vpc().security_groups.insert(
        web.clone(),
        SecurityGroup {
            ingress: vec![allow("0.0.0.0/0", tcp(8080))],
            egress: vec![allow("0.0.0.0/0", Traffic::All)],
        },
    );
    lab.vpc().security_groups.insert(
        app.clone(),
        SecurityGroup {
            ingress: vec![members(&web, tcp(8080))],
            egress: Vec::new(),
        },
    );
    lab.interface("web").security_groups = vec![web.clone()];
    lab.interface("node").security_groups = vec![web.clone()];
    lab.interface("app1").security_groups = vec![app.clone()];
    lab.interface("app3").security_groups = vec![app.clone()];
    lab.apply();
    let _servers = ["web", "app1", "app3", "node"].map(|name| lab.serve(name, name, 8080));
    let _other_port = lab.serve("web", "web", 8081);

    // The group's members get in, others of the same subnet or group do not.
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");
    assert_eq!(lab.seen_as("node", "app1"), "10.0.0.9");
    assert_eq!(
        lab.seen_as("app3", "app1"),
        "-",
        "no egress, same subnet, same group"
    );
    assert_eq!(lab.seen_as("app2", "app1"), "-", "no member");
    // By its public address a member is no member (its flow comes from the internet).
    assert_eq!(lab.seen_as("app2", "web:public"), "P.21");
    assert_eq!(
        lab.ask("app2", (lab.address("web"), 8081)),
        None,
        "another port"
    );

    // A revoked rule refuses new flows; a tracked one goes on.
    let mut tracked = lab.connect("web", "app1", 8080).expect("member");
    let mut untracked = lab.connect("app2", "web", 8080).expect("open to all");
    lab.vpc()
        .security_groups
        .get_mut(&app)
        .expect("group")
        .ingress
        .clear();
    lab.apply();
    assert_eq!(lab.seen_as("web", "app1"), "-", "revoked");
    assert!(
        echoes(&mut tracked),
        "established flows survive a revoked rule"
    );

    // Open to the world both ways is not tracked by AWS: it breaks with its rule.
    assert!(echoes(&mut untracked));
    lab.vpc()
        .security_groups
        .get_mut(&web)
        .expect("group")
        .ingress
        .clear();
    lab.apply();
    assert!(
        is_cut(&mut untracked),
        "an untracked flow breaks with its rule"
    );
    assert!(echoes(&mut tracked));
}

#[test]
fn network_acls() {
    let Some(mut lab) = Lab::new("nacl", 18) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let _servers = ["app1", "app3", "web"].map(|name| lab.serve(name, name, 8080));
    let mut flow = lab.connect("web", "app1", 8080).expect("allowed");
    assert!(echoes(&mut flow));

    let deny = AclRule {
        allow: false,
        ..acl(90, "10.0.0.0/24", Traffic::All)
    };
    lab.acl("private-a").ingress.insert(0, deny);
    lab.apply();
    assert!(
        is_cut(&mut flow),
        "stateless: a deny cuts what is established"
    );
    assert_eq!(lab.seen_as("web", "app1"), "-");
    assert_eq!(lab.seen_as("app2", "app1"), "10.0.11.5", "another source");
    assert_eq!(
        lab.seen_as("app3", "app1"),
        "10.0.10.6",
        "its own subnet is not asked"
    );

    lab.acl("private-a").ingress.remove(0);
    lab.apply();
    assert!(recovers(&mut flow), "the flow goes on when the deny goes");

    // Answers need their own rule.
    lab.acl("private-a").egress = vec![acl(100, "0.0.0.0/0", tcp(8080))];
    lab.apply();
    assert_eq!(
        lab.seen_as("web", "app1"),
        "-",
        "the answer goes to an ephemeral port"
    );
    lab.acl("private-a").egress.push(acl(
        200,
        "0.0.0.0/0",
        Traffic::Tcp {
            from: 1024,
            to: 65535,
        },
    ));
    lab.apply();
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");

    // A NAT gateway's subnet counts too, in both of its roles.
    let _internet = lab.serve("internet", "internet", 8080);
    assert_eq!(lab.seen_as("app1", "internet"), "P.20");
    lab.acl("public-a").egress = Vec::new();
    lab.apply();
    assert_eq!(lab.seen_as("app1", "internet"), "-");
    assert_eq!(lab.seen_as("app2", "internet"), "P.21");
}

#[test]
fn services_of_the_router() {
    let Some(mut lab) = Lab::new("nsvc", 23) else {
        return;
    };
    lab.two_vpcs();
    // No rule at all, and an ACL that denies everything.
    lab.interface("app1").security_groups.clear();
    *lab.acl("private-a") = NetworkAcl::default();
    lab.apply();
    let router = lab.router();
    let _metadata = lab.serve_in(&router, "metadata", 80);
    let _dns = lab.serve_in(&router, "dns", 53);
    let base2: Ipv4Addr = "10.0.0.2".parse().expect("address");
    let as_app1 = |name: &str| Some((name.to_owned(), "10.0.10.5".to_owned()));
    assert_eq!(lab.ask("app1", (METADATA, 80)), as_app1("metadata"));
    assert_eq!(lab.ask("app1", (RESOLVER, 53)), as_app1("dns"));
    assert_eq!(lab.ask("app1", (base2, 53)), as_app1("dns"));
    assert_eq!(
        lab.ask("app1", (base2, 80)),
        None,
        "metadata only at its own address"
    );
    assert_eq!(
        lab.ask("other", (METADATA, 80)),
        None,
        "another VPC's router has none"
    );
    assert_eq!(lab.ask("internet", (METADATA, 80)), None);
    lab.vpc().dns_support = false;
    lab.apply();
    assert_eq!(lab.ask("app1", (base2, 53)), None, "DNS support is off");
    assert_eq!(lab.ask("app1", (METADATA, 80)), as_app1("metadata"));

    // The router is one hop: a packet with TTL 1 dies in it, one with 2 arrives.
    let all = lab.group(EVERYTHING);
    lab.interface("app1").security_groups = vec![all];
    let open = lab.open_acl();
    *lab.acl("private-a") = open;
    lab.apply();
    let _server = lab.serve("app1", "app1", 8080);
    for (ttl, expected) in [("1", None), ("2", Some(("app1".into(), "10.0.0.5".into())))] {
        let web = lab.namespace("web");
        let default = ("ipv4/ip_default_ttl".to_owned(), ttl.to_owned());
        namespace::set_parameters(&web, &[default]).expect("set");
        assert_eq!(
            lab.ask("web", (lab.address("app1"), 8080)),
            expected,
            "TTL {ttl}"
        );
    }
}

#[test]
fn zones_and_interfaces_are_cut_and_healed() {
    let Some(mut lab) = Lab::new("ncut", 22) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let _servers =
        ["app1", "app2", "app3", "web", "internet"].map(|name| lab.serve(name, name, 8080));
    let _metadata = lab.serve_in(&lab.router(), "metadata", 80);
    let mut flow = lab.connect("app2", "app1", 8080).expect("reachable");

    lab.network.cut_zones.insert("zone-a".into());
    lab.apply();
    assert!(is_cut(&mut flow));
    for (from, to) in [
        ("app2", "app1"),
        ("app1", "app2"),
        ("app1", "app3"),
        ("app1", "internet"),
    ] {
        assert_eq!(lab.seen_as(from, to), "-", "{from} to {to}");
    }
    assert_eq!(lab.seen_as("internet", "web:public"), "-");
    assert_eq!(
        lab.seen_as("app2", "internet"),
        "P.21",
        "the other zone is well"
    );
    assert!(
        lab.ask("app1", (METADATA, 80)).is_some(),
        "local services stay"
    );

    lab.network.cut_zones.clear();
    lab.apply();
    assert!(recovers(&mut flow), "the flow goes on after the heal");
    assert_eq!(lab.seen_as("app1", "internet"), "P.20");

    // A broken NAT gateway takes its zone's way out, nothing else.
    let nat_a = lab.id("nat-a");
    lab.network.cut_interfaces.insert(nat_a);
    lab.apply();
    assert_eq!(lab.seen_as("app1", "internet"), "-");
    assert_eq!(lab.seen_as("app2", "app1"), "10.0.11.5");
    assert_eq!(lab.seen_as("app2", "internet"), "P.21");
}
