//! The edge in real network namespaces: two VPCs with one CIDR, the hop limit of
//! tokens, and a namespace that can go once its VPC is gone. Needs root and `ip`.

mod common;

use common::*;
use edge::config::*;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Namespaces that are removed, with everything in them, when this is dropped.
struct Lab(Vec<String>);

impl Lab {
    fn name(space: &str) -> String {
        format!("nines-edgetest-{}-{space}", std::process::id())
    }

    fn path(space: &str) -> PathBuf {
        format!("/run/netns/{}", Self::name(space)).into()
    }

    fn add(&mut self, space: &str) {
        let name = Self::name(space);
        ip(&["netns", "add", &name]);
        self.0.push(name);
        run_in(space, "link set lo up");
    }

    fn delete(&mut self, space: &str) {
        let name = Self::name(space);
        self.0.retain(|n| *n != name);
        ip(&["netns", "delete", &name]);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("run ip");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {error}");
}

/// `ip -netns SPACE ARGUMENTS`; `@space` in them stands for the name of a namespace.
fn run_in(space: &str, arguments: &str) {
    let name = Lab::name(space);
    let words = arguments
        .split(' ')
        .map(|word| match word.strip_prefix('@') {
            Some(space) => Lab::name(space),
            None => word.to_owned(),
        });
    let words: Vec<String> = ["-netns".to_owned(), name]
        .into_iter()
        .chain(words)
        .collect();
    ip(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A router and an instance 10.0.1.5 behind it.
fn router_and_instance(lab: &mut Lab, router: &str, instance: &str) {
    lab.add(router);
    lab.add(instance);
    run_in(
        router,
        &format!("link add r0 type veth peer name i0 netns @{instance}"),
    );
    run_in(router, "address add 10.0.1.1/24 dev r0");
    run_in(router, "link set r0 up");
    run_in(instance, "address add 10.0.1.5/24 dev i0");
    run_in(instance, "link set i0 up");
    run_in(instance, "route add default via 10.0.1.1");
}

fn service_addresses(router: &str) {
    for address in ["169.254.169.254/32", "169.254.169.253/32", "10.0.0.2/32"] {
        run_in(router, &format!("address add {address} dev lo"));
    }
}

/// Runs `f` on a thread in a namespace.
fn within<T: Send>(space: &str, f: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(Lab::path(space)).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
            f()
        });
        thread.join().unwrap()
    })
}

fn get(space: &str, request: &str) -> String {
    within(space, || body(METADATA, request))
}

/// The status of a token request, or none when no answer comes.
fn put_token(space: &str) -> Option<u16> {
    within(space, || {
        let mut stream = TcpStream::connect(METADATA).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        let request = "PUT /latest/api/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
            X-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n";
        std::io::Write::write_all(&mut stream, request.as_bytes()).ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        std::str::from_utf8(&head[9..]).ok()?.parse().ok()
    })
}

#[test]
fn in_namespaces() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let mut lab = Lab(Vec::new());
    let mut edge = Edge::start("namespace");
    router_and_instance(&mut lab, "r1", "i1");
    router_and_instance(&mut lab, "r2", "i2");
    // A container in the first instance, without NAT, so its address is the instance's, too.
    lab.add("c1");
    run_in("i1", "link add c0 type veth peer name e0 netns @c1");
    run_in("i1", "address add 172.17.0.1/24 dev c0");
    run_in("i1", "link set c0 up");
    run_in("c1", "address add 172.17.0.2/24 dev e0");
    run_in("c1", "link set e0 up");
    run_in("c1", "route add default via 172.17.0.1");
    run_in("r1", "route add 172.17.0.0/24 via 10.0.1.5");
    within("i1", || {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
    })
    .unwrap();

    let resolver = SocketAddr::from(([10, 0, 0, 2], 53));
    let vpc = |router: &str, id: &str| {
        let mut vpc = vpc(Some(Lab::path(router)));
        vpc.metadata = Some(METADATA);
        vpc.resolvers = vec![resolver, RESOLVER];
        let mut instance = instance(id, [10, 0, 1, 5].into());
        instance.interfaces[0]
            .addresses
            .push([172, 17, 0, 2].into());
        vpc.instances = vec![instance];
        vpc
    };
    let mut config = Config {
        revision: 1,
        offline: true,
        ..Config::default()
    };
    config.vpcs.insert("vpc-1".into(), vpc("r1", "i-1"));
    config.vpcs.insert("vpc-2".into(), vpc("r2", "i-2"));
    assert_eq!(edge.push(&config), []);
    // The addresses come after the sockets: the order must not matter.
    service_addresses("r1");
    service_addresses("r2");

    // The same addresses twice, and each VPC has its own answers.
    assert_eq!(get("i1", "GET /latest/meta-data/instance-id"), "i-1");
    assert_eq!(get("i2", "GET /latest/meta-data/instance-id"), "i-2");
    for server in [resolver, RESOLVER] {
        let answer = within("i1", || resolve(server, "ip-10-0-1-5.ec2.internal"));
        assert_eq!(answer, (0, vec![[10, 0, 1, 5].into()]));
    }

    // A hop limit of 1 keeps tokens from a container, though version 1 reaches it.
    assert_eq!(get("c1", "GET /latest/meta-data/instance-id"), "i-1");
    assert_eq!(put_token("i1"), Some(200));
    assert_eq!(put_token("c1"), None);
    config.revision = 2;
    let first = config.vpcs.get_mut("vpc-1").unwrap();
    first.instances[0].options.hop_limit = 2;
    assert_eq!(edge.push(&config), []);
    assert_eq!(put_token("c1"), Some(200));

    // A VPC goes while an instance holds a connection open: its namespace must go, too, and
    // with it the instance's end of the cable.
    let mut held = within("i2", || TcpStream::connect(METADATA).unwrap());
    config.revision = 3;
    config.vpcs.remove("vpc-2");
    assert_eq!(edge.push(&config), []);
    assert!(closed(&mut held));
    let cable = || std::fs::exists("/proc/thread-self/net/dev_snmp6/i0").unwrap();
    assert!(within("i2", cable));
    lab.delete("r2");
    let deadline = Instant::now() + PATIENCE;
    while within("i2", cable) {
        assert!(
            Instant::now() < deadline,
            "the router's namespace is still alive"
        );
        std::thread::yield_now();
    }

    // A new namespace under the old name gets new sockets; so does one that comes late.
    lab.delete("r1");
    lab.delete("i1");
    config.revision = 4;
    assert_eq!(edge.push(&config).len(), 5);
    router_and_instance(&mut lab, "r1", "i1");
    service_addresses("r1");
    assert_eq!(edge.applied(4), []);
    assert_eq!(get("i1", "GET /latest/meta-data/instance-id"), "i-1");
}
