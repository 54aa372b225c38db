//! The network on a real kernel: who reaches whom, with which source address, and when not.
//!
//! Each test has its own cloud name and its own slice of public addresses; packets stay in
//! namespaces these tests make. Without root they say so and pass.

#[path = "network/lab.rs"]
mod lab;

use host::linux::network::{Networks, names};
use host::linux::{conntrack, namespace, program};
use host::network::*;
use lab::*;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::time::Instant;

/// Source, and the address under which each target saw it; `-` where nothing answered.
const WHO_REACHES_WHOM: &str = "
            internet    web         web:public  app1        app2        app3        node        node:public other:public
internet    =           -           P.2         -           -           -           -           P.2         P.2
host        P.1         =           P.1         =           =           =           =           P.1         P.1
web         P.30        =           P.30        10.0.0.5    10.0.0.5    10.0.0.5    10.0.0.5    P.30        P.30
app1        P.20        10.0.10.5   P.20        =           10.0.10.5   10.0.10.5   10.0.10.5   P.20        P.20
app2        P.21        10.0.11.5   P.21        10.0.11.5   =           10.0.11.5   10.0.11.5   P.21        P.21
lonely      -           10.0.20.5   -           10.0.20.5   10.0.20.5   10.0.20.5   10.0.20.5   -           -
node        P.40        10.0.0.9    P.40        10.0.0.9    10.0.0.9    10.0.0.9    =           P.40        P.40
other       P.50        =           P.50        -           -           -           -           P.50        P.50
";

#[test]
fn who_reaches_whom() {
    let Some(mut lab) = Lab::new("nwho", 16) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let names = ["web", "app1", "app2", "app3", "lonely", "node", "other"];
    let _servers: Vec<Server> = names
        .iter()
        .map(|name| lab.serve(name, name, 8080))
        .chain([
            lab.serve("internet", "internet", 8080),
            lab.serve("host", "host", 8080),
        ])
        .collect();

    let head = WHO_REACHES_WHOM.lines().nth(1).expect("a heading");
    let targets: Vec<&str> = head.split_whitespace().collect();
    let mut table = format!("\n{head}\n");
    for line in WHO_REACHES_WHOM.lines().skip(2) {
        let source = line.split_whitespace().next().expect("a source");
        let cells: Vec<&str> = line.split_whitespace().skip(1).collect();
        let asked: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = targets
                .iter()
                .zip(cells)
                .map(|(target, cell)| {
                    let lab = &lab;
                    // From the host a VPC's address is just some address of the LAN.
                    scope.spawn(move || match cell {
                        "=" => "=".to_owned(),
                        _ => lab.seen_as(source, target),
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("asked"))
                .collect()
        });
        let _ = write!(table, "{source:<12}");
        for cell in asked {
            let _ = write!(table, "{cell:<12}");
        }
        table.push('\n');
    }
    let trimmed: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    assert_eq!(trimmed, WHO_REACHES_WHOM, "{trimmed}");

    // Nobody opens a connection to the host, and the host's routes know nothing of VPCs.
    for source in ["web", "app1", "other", "internet"] {
        let host = host_address(lab.pool());
        if source != "internet" {
            assert_eq!(lab.ask(source, (host, 8080)), None, "{source} to the host");
        }
    }
    let route = program::run("ip", &["route", "get", "10.0.0.5"], "").unwrap_or_default();
    assert!(!route.contains(&names::host_device(lab.cloud())), "{route}");
}

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
fn routes_and_sources() {
    let Some(mut lab) = Lab::new("nrt", 19) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let _servers = ["app1", "internet"].map(|name| lab.serve(name, name, 8080));
    assert_eq!(lab.seen_as("app1", "internet"), "P.20");

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
fn the_uplink_carries_only_the_internet() {
    let Some(mut lab) = Lab::new("nup", 21) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    // In place of slirp4netns: a wire to a namespace that counts what arrives.
    let (internet, outside) = (lab.namespace("internet"), lab.other_namespace("outside"));
    namespace::create(&outside).expect("made");
    program_in(
        &internet,
        "ip",
        &[
            "link", "add", "uplink", "type", "veth", "peer", "name", "wire", "netns", &outside,
        ],
    );
    for (name, device, address) in [
        (&internet, "uplink", "192.0.2.1/24"),
        (&outside, "wire", "192.0.2.2/24"),
    ] {
        program_in(name, "ip", &["addr", "add", address, "dev", device]);
        program_in(name, "ip", &["link", "set", device, "up"]);
    }
    program_in(
        &internet,
        "ip",
        &["route", "replace", "default", "via", "192.0.2.2"],
    );
    lab.count(&outside, "prerouting", "ip protocol tcp");

    program_in(
        &outside,
        "ip",
        &["addr", "add", "8.8.8.8/32", "dev", "wire"],
    );
    let _server = lab.serve_in(&outside, "outside", 53);
    let seen = lab.ask("app1", ("8.8.8.8".parse().expect("address"), 53));
    assert_eq!(
        seen,
        Some(("outside".into(), "192.0.2.1".into())),
        "the real internet"
    );
    let before = lab.counted(&outside);
    assert!(before > 0);
    for private in [
        "10.1.2.3",
        "10.0.2.2",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "198.18.0.99",
        "198.19.255.1",
        "240.0.0.1",
    ] {
        let address = private.parse().expect("address");
        std::thread::scope(|scope| {
            for source in ["app1", "web", "internet"] {
                let lab = &lab;
                scope.spawn(move || {
                    assert_eq!(
                        lab.ask(source, (address, 53)),
                        None,
                        "{source} to {private}"
                    );
                });
            }
        });
    }
    assert_eq!(lab.counted(&outside), before, "not one packet left");
    // And nothing gets in unasked.
    assert_eq!(
        ask_in(&outside, None, (lab.public("web"), 8080)),
        None,
        "from the real internet"
    );
    namespace::remove(&outside).expect("removed");
}

/// The host is a namespace here, with a LAN and a Docker bridge that overlap the VPCs, an
/// address of the real internet, and slirp4netns to reach it.
#[test]
fn beside_a_lan_and_with_the_real_uplink() {
    let Some(mut lab) = Lab::new("nlan", 27) else {
        return;
    };
    lab.settings.offline = false;
    lab.settings.public_pool = PUBLIC_POOL;
    namespace::scratch(|| {
        let outside = lab.other_namespace("outside");
        namespace::create(&outside).expect("made");
        for line in [
            "link set lo up",
            &format!("link add lan type veth peer name wire netns {outside}"),
            "addr add 10.0.0.5/16 dev lan",
            "addr add 203.0.113.7/24 dev lan",
            "link set lan up",
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
            "route add default via 10.0.0.1",
        ] {
            program_in("", "ip", &line.split(' ').collect::<Vec<_>>());
        }
        for line in [
            "link set lo up",
            "link set wire up",
            "addr add 10.0.0.1/16 dev wire",
            "addr add 203.0.113.9/24 dev wire",
            "addr add 8.8.8.8/32 dev lo",
            "addr add 198.51.100.8/32 dev lo",
        ] {
            program_in(&outside, "ip", &line.split(' ').collect::<Vec<_>>());
        }
        let routes =
            || program::run("ip", &["-4", "route", "show", "table", "all"], "").expect("routes");
        let before = routes();
        lab.networks = Some(Networks::open(lab.settings.clone()).expect("opened"));
        lab.two_vpcs();
        lab.apply();
        let pid = || std::fs::read_to_string(lab.settings.state_dir.join("uplink.pid"));
        let first = pid().expect("an uplink");

        let _web = lab.serve("web", "web", 8080);
        let _app = lab.serve("app1", "app1", 8080);
        let real: Ipv4Addr = "8.8.8.8".parse().expect("address");
        let _real = lab.serve_in(&outside, "real", 8080);
        let own: Ipv4Addr = "203.0.113.7".parse().expect("address");
        let _own = lab.serve_on("", own, "own", 8080);
        let _lan = lab.serve_on("", "10.0.0.5".parse().expect("address"), "lan", 8080);
        let _bridge = lab.serve_on("", "172.17.0.1".parse().expect("address"), "bridge", 8080);
        let who = |from: &str, to: Ipv4Addr| lab.ask(from, (to, 8080)).map(|(name, _)| name);

        // The same address means the VPC's inside and the LAN's outside.
        assert_eq!(who("app1", lab.address("web")).as_deref(), Some("web"));
        assert_eq!(who("host", lab.address("web")).as_deref(), Some("lan"));
        assert_eq!(who("host", lab.public("web")).as_deref(), Some("web"));
        // The uplink reaches the internet, and neither the LAN nor the bridge nor loopback.
        assert_eq!(
            who("web", real).as_deref(),
            Some("real"),
            "by the internet gateway"
        );
        assert_eq!(
            who("app1", real).as_deref(),
            Some("real"),
            "by the NAT gateway"
        );
        assert_eq!(
            who("other", real).as_deref(),
            Some("real"),
            "from the other VPC"
        );
        assert_eq!(who("lonely", real), None);
        let mirror = "198.51.100.8".parse().expect("address");
        assert_eq!(
            who("web", mirror).as_deref(),
            Some("real"),
            "a lab's mirror"
        );
        // By whatever address: the host itself and its neighbours are out of reach.
        for private in ["172.17.0.1", "10.0.2.2", "203.0.113.7", "203.0.113.9"] {
            assert_eq!(
                who("web", private.parse().expect("address")),
                None,
                "{private}"
            );
        }

        // It is adopted, and started again when it died.
        lab.networks = Some(Networks::open(lab.settings.clone()).expect("opened"));
        assert!(lab.apply().changed.is_empty());
        let pid = || std::fs::read_to_string(lab.settings.state_dir.join("uplink.pid"));
        assert_eq!(pid().expect("an uplink"), first);
        let number = first.split(' ').next().expect("a pid").to_owned();
        program::run("kill", &["-KILL", &number], "").expect("killed");
        lab.wait_for("the death of the uplink", || {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat"));
            stat.is_err() || stat.is_ok_and(|text| text.contains(") Z "))
        });
        lab.apply();
        assert_ne!(
            std::fs::read_to_string(lab.settings.state_dir.join("uplink.pid")).ok(),
            Some(first)
        );
        assert_eq!(
            lab.ask("app1", (real, 8080))
                .map(|(name, _)| name)
                .as_deref(),
            Some("real")
        );

        let number = std::fs::read_to_string(lab.settings.state_dir.join("uplink.pid"));
        let number = number
            .expect("an uplink")
            .split(' ')
            .next()
            .expect("a pid")
            .to_owned();
        drop((_web, _app));
        lab.networks
            .take()
            .expect("open")
            .remove_all()
            .expect("removed");
        assert!(
            !std::path::Path::new("/proc").join(number).exists(),
            "the uplink has ended"
        );
        assert_eq!(routes(), before, "the host is as it was");
        drop(_real);
        namespace::remove(&outside).expect("removed");
    })
    .expect("a host");
}

#[test]
fn a_route_of_the_host_is_spared() {
    let Some(mut lab) = Lab::new("nspare", 28) else {
        return;
    };
    namespace::scratch(|| {
        let pool = lab.pool().to_string();
        program_in("", "ip", &["link", "add", "vpn", "type", "veth"]);
        program_in("", "ip", &["link", "set", "vpn", "up"]);
        program_in("", "ip", &["route", "add", &pool, "dev", "vpn"]);
        lab.two_vpcs();
        let applied = lab
            .networks
            .as_mut()
            .expect("open")
            .apply(&lab.network)
            .expect("applied");
        let said: Vec<_> = applied.failures.iter().map(|f| f.reason.as_str()).collect();
        assert_eq!(said, [format!("the host already routes {pool} to vpn")]);
        let _web = lab.serve("web", "web", 8080);
        assert_eq!(lab.seen_as("app1", "web"), "10.0.10.5", "the rest stands");
    })
    .expect("a host");
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

#[test]
fn a_restart_adopts_and_the_end_leaves_nothing() {
    let Some(mut lab) = Lab::new("nadopt", 25) else {
        return;
    };
    lab.two_vpcs();
    let applied = lab.apply();
    assert!(!applied.changed.is_empty());
    assert!(
        lab.apply().changed.is_empty(),
        "the same value changes nothing"
    );
    let _servers = ["app1", "web"].map(|name| lab.serve(name, name, 8080));
    let mut flow = lab.connect("web", "app1", 8080).expect("reachable");

    lab.networks = Some(Networks::open(lab.settings.clone()).expect("records"));
    assert!(
        lab.apply().changed.is_empty(),
        "a new control plane finds all as it should be"
    );
    assert!(echoes(&mut flow));

    // One more interface touches its router and itself, no others.
    lab.add_instance("late", "private-a", "10.0.10.77", 61);
    let changed = lab.apply().changed;
    let expected = [lab.router(), lab.namespace("late")].into();
    assert_eq!(changed, expected);
    assert!(echoes(&mut flow));

    // A veth that vanished comes back.
    let device = lab.device("web");
    program_in(&lab.router(), "ip", &["link", "del", &device]);
    lab.apply();
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");

    // So does a router of which there is no record, with all its interfaces.
    let records = lab.settings.state_dir.join("namespaces");
    std::fs::remove_file(records.join(lab.router()).with_extension("json")).expect("record");
    lab.networks = Some(Networks::open(lab.settings.clone()).expect("records"));
    lab.apply();
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");
    assert_eq!(lab.seen_as("app2", "web:public"), "P.21");

    // Interfaces that are no longer named go, and nothing else.
    let node = lab.id("node");
    lab.vpc().interfaces.remove(&node);
    lab.apply();
    assert!(!namespace::exists(&names::interface(lab.cloud(), &node)));
    assert_eq!(lab.seen_as("web", "app1"), "10.0.0.5");

    // An impossible interface is named; the rest is built.
    let mut strange = lab.interface("web").clone();
    strange.owner = Owner::LoadBalancerNode;
    strange.public.clear();
    lab.vpc().interfaces.insert(node.clone(), strange);
    let applied = lab
        .networks
        .as_mut()
        .expect("open")
        .apply(&lab.network)
        .expect("applied");
    let named: Vec<_> = applied
        .failures
        .iter()
        .map(|f| f.interface.clone())
        .collect();
    assert_eq!(named, [Some(node.clone())], "{:?}", applied.failures);

    // One that the kernel refuses (its ids do not exist) is named; the rest is built.
    lab.vpc().interfaces.remove(&node);
    lab.add_instance("refused", "private-a", "10.0.10.78", 62);
    lab.add_instance("fine", "private-a", "10.0.10.79", 63);
    let refused = lab.id("refused");
    if let Owner::Instance { uid_base, .. } = &mut lab.interface("refused").owner {
        *uid_base = u32::MAX - 9;
    }
    let applied = lab
        .networks
        .as_mut()
        .expect("open")
        .apply(&lab.network)
        .expect("applied");
    assert!(!applied.failures.is_empty());
    for failure in applied.failures {
        assert_eq!(failure.interface.as_ref(), Some(&refused), "{failure:?}");
        assert_eq!(failure.vpc.as_ref(), lab.network.vpcs.keys().next());
    }
    assert_eq!(lab.seen_as("fine", "app1"), "10.0.10.79");
    // It is tried again, and succeeds when its cause is gone.
    lab.interface("refused").owner = lab.interface("fine").owner.clone();
    if let Owner::Instance { instance, .. } = &mut lab.interface("refused").owner {
        *instance = "i-000000000000000aa".parse().expect("id");
    }
    lab.apply();
    assert_eq!(lab.seen_as("refused", "app1"), "10.0.10.78");

    let (cloud, device) = (lab.cloud().to_owned(), names::host_device(lab.cloud()));
    let state = lab.settings.state_dir.clone();
    lab.networks
        .take()
        .expect("open")
        .remove_all()
        .expect("removed");
    assert_eq!(namespace::list(&cloud).expect("listed"), [""; 0]);
    assert_eq!(namespace::list_user(&cloud).expect("listed"), [""; 0]);
    assert!(!std::path::Path::new("/sys/class/net").join(device).exists());
    let left: Vec<_> = std::fs::read_dir(state).expect("state").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Prints figures; asserts only that a change stays a change of one interface.
#[test]
fn how_long_it_takes() {
    let Some(mut lab) = Lab::new("ntime", 26) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let timed = |lab: &mut Lab, what: &str| {
        let start = Instant::now();
        let changed = lab.apply().changed.len();
        println!(
            "apply, {what}: {:.1} ms, {changed} namespaces",
            start.elapsed().as_secs_f64() * 1e3
        );
        changed
    };
    assert_eq!(timed(&mut lab, "no change"), 0);
    lab.add_instance("one", "private-a", "10.0.10.9", 70);
    assert_eq!(timed(&mut lab, "1 interface more"), 2);
    for n in 0..100 {
        lab.add_instance(
            &format!("many{n}"),
            "private-b",
            &format!("10.0.11.{}", 100 + n),
            100 + n,
        );
    }
    assert_eq!(timed(&mut lab, "100 interfaces more"), 101);
    assert_eq!(timed(&mut lab, "no change among 107"), 0);
    lab.add_instance("last", "private-a", "10.0.10.10", 71);
    assert_eq!(timed(&mut lab, "1 interface more among 107"), 2);
    let sg = lab.group(EVERYTHING);
    lab.vpc()
        .security_groups
        .get_mut(&sg)
        .expect("group")
        .ingress
        .push(allow("10.0.0.0/8", tcp(9)));
    assert_eq!(timed(&mut lab, "1 security group rule among 108"), 1);
    for n in 0..100 {
        let id = lab.id(&format!("many{n}"));
        lab.vpc().interfaces.remove(&id);
    }
    timed(&mut lab, "100 interfaces fewer");
    let start = Instant::now();
    lab.networks
        .take()
        .expect("open")
        .remove_all()
        .expect("removed");
    println!("remove_all: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
}
