//! The way to the internet, beside whatever the host has.

use crate::lab::*;
use host::linux::network::Networks;
use host::linux::{namespace, program};
use host::network::*;
use std::net::Ipv4Addr;

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
