//! A network load balancer's node: what the kernel does with flows under the rules it was given.
//!
//! Three namespaces: a client, the node, and two targets behind it whose way back leads through the
//! node. Needs root, as the end-to-end runner is; without it the tests say so and pass.

mod common;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use balancer::config::network::{self, Listener, NetworkLoadBalancer};
use balancer::config::{CheckProtocol, HealthCheck, Node, Target, TargetState, WeightedGroup};
use balancer::report::{HealthState, Report};
use common::*;
use nix::sched::{CloneFlags, setns, unshare};

const NODE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const BEHIND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const TARGETS: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(203, 0, 113, 3)];
const SERVED: u16 = 80;
const TARGET_PORT: u16 = 8080;
const NETWORK_GROUP: &str = "targetgroup/flows/1";

fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments}: {said}");
}

/// A thread in a network namespace of its own, which lives until it is dropped.
struct Place {
    task: nix::unistd::Pid,
    keep: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    fn new() -> Place {
        let (ready, is_ready) = mpsc::channel();
        let (keep, kept) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up");
            ready.send(nix::unistd::gettid()).unwrap();
            let _ = kept.recv();
        });
        Place {
            task: is_ready.recv().unwrap(),
            keep: Some(keep),
            thread: Some(thread),
        }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/task/{}/ns/net", self.task))
    }

    /// Runs in the namespace; sockets made there stay there.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = std::fs::File::open(self.path()).unwrap();
        let inside = thread::spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Answers every line with the peer's address and its own; each connection has a thread.
fn serve_tcp(address: Ipv4Addr) {
    let listener = TcpListener::bind((address, TARGET_PORT)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let line = format!("{} {address}", stream.peer_addr().unwrap().ip());
                let mut byte = [0];
                while matches!(stream.read(&mut byte), Ok(1)) {
                    if stream.write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn serve_udp(address: Ipv4Addr) {
    let socket = UdpSocket::bind((address, TARGET_PORT)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let line = format!("{} {address}", peer.ip());
            let _ = socket.send_to(line.as_bytes(), peer);
        }
    });
}

struct Lab {
    client: Place,
    balancer: Balancer,
    // After the balancer, which has sockets in it.
    _node: Place,
    targets: Place,
}

fn lab(change: impl FnOnce(&mut network::TargetGroup)) -> Option<Lab> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: network namespaces need root");
        return None;
    }
    let (client, node, targets) = (Place::new(), Place::new(), Place::new());
    let (to_client, to_targets) = (client.task, targets.task);
    node.run(move || {
        ip("link add front0 type veth peer name eth0");
        ip(&format!("link set eth0 netns {to_client}"));
        ip("link add back0 type veth peer name eth0");
        ip(&format!("link set eth0 netns {to_targets}"));
        for (device, address) in [("front0", NODE), ("back0", BEHIND)] {
            ip(&format!("addr add {address}/24 dev {device}"));
            ip(&format!("link set {device} up"));
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    });
    client.run(|| {
        ip(&format!("addr add {CLIENT}/24 dev eth0"));
        ip("link set eth0 up");
    });
    targets.run(|| {
        for address in TARGETS {
            ip(&format!("addr add {address}/24 dev eth0"));
        }
        ip("link set eth0 up");
        ip(&format!("route add default via {BEHIND}"));
        for address in TARGETS {
            serve_tcp(address);
            serve_udp(address);
        }
    });
    let mut group = network::TargetGroup {
        key: NETWORK_GROUP.into(),
        health_check: HealthCheck {
            enabled: false,
            protocol: CheckProtocol::Tcp,
            interval: Duration::from_millis(20),
            timeout: Duration::from_secs(2),
            ..HealthCheck::default()
        },
        targets: TARGETS
            .map(|address| Target {
                key: address.to_string(),
                address: SocketAddr::from((address, TARGET_PORT)),
                zone: None,
                state: TargetState::Active,
            })
            .into(),
        ..network::TargetGroup::default()
    };
    change(&mut group);
    let path = node.path();
    let balancer = Balancer::start_with(1, &[], move |config| {
        config.load_balancers.clear();
        config.network_load_balancers = vec![NetworkLoadBalancer {
            key: "net/test/1".into(),
            nodes: vec![Node {
                key: "n".into(),
                zone: "zone-a".into(),
                netns: Some(path),
                address: NODE.into(),
            }],
            listeners: vec![Listener {
                key: "l".into(),
                port: SERVED,
                protocol: network::Protocol::TcpUdp,
                groups: vec![WeightedGroup {
                    target_group: NETWORK_GROUP.into(),
                    weight: 1,
                }],
                idle_timeout: Duration::from_secs(350),
            }],
        }];
        config
            .network_target_groups
            .insert(NETWORK_GROUP.into(), group);
    });
    assert_eq!(balancer.problems, Vec::<String>::new());
    Some(Lab {
        client,
        balancer,
        _node: node,
        targets,
    })
}

impl Lab {
    fn connect(&self) -> TcpStream {
        self.client.run(|| {
            let stream =
                TcpStream::connect_timeout(&SocketAddr::from((NODE, SERVED)), LIMIT).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream
        })
    }

    /// What was found so far is in the rules once the counts after it came.
    fn wait_in_force(&mut self) {
        let mut ticks = 0;
        self.balancer.wait("two ticks", |_, report| {
            ticks += usize::from(matches!(report, Report::Flows(_)));
            ticks == 2
        });
    }

    fn change_group(&mut self, change: impl FnOnce(&mut network::TargetGroup)) {
        self.balancer.change(|config| {
            change(config.network_target_groups.get_mut(NETWORK_GROUP).unwrap());
        });
    }
}

/// Client as the target sees it, and the target.
fn ask(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    stream.write_all(b"?")?;
    let mut buffer = [0; 100];
    let length = stream.read(&mut buffer)?;
    if length == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let line = std::str::from_utf8(&buffer[..length]).unwrap();
    let (client, target) = line.split_once(' ').unwrap();
    Ok((client.to_owned(), target.to_owned()))
}

#[test]
fn flows_reach_all_targets_under_the_clients_address() {
    let Some(mut lab) = lab(|_| {}) else { return };
    let mut streams: Vec<TcpStream> = (0..32).map(|_| lab.connect()).collect();
    let seen: BTreeSet<_> = streams
        .iter_mut()
        .map(|stream| ask(stream).unwrap())
        .collect();
    let expected = TARGETS.map(|target| (CLIENT.to_string(), target.to_string()));
    assert_eq!(seen, BTreeSet::from(expected));
    // A flow stays where it is while another config, even other targets, come into force.
    let before: Vec<_> = streams
        .iter_mut()
        .map(|stream| ask(stream).unwrap())
        .collect();
    lab.change_group(|group| _ = group.targets.pop());
    let after: Vec<_> = streams
        .iter_mut()
        .map(|stream| ask(stream).unwrap())
        .collect();
    assert_eq!(before, after);
    let (_, target) = ask(&mut lab.connect()).unwrap();
    assert_eq!(target, TARGETS[0].to_string());
    lab.balancer.wait("the flows to be counted", |balancer, _| {
        let sum = |count: fn(&balancer::report::FlowMetrics) -> u64| {
            balancer.flows.iter().map(count).sum::<u64>()
        };
        sum(|node| node.new_flow_count_tcp) == 33
            && sum(|node| node.processed_bytes_tcp) > 0
            && balancer
                .flows
                .last()
                .is_some_and(|node| node.active_flow_count_tcp >= 32)
    });
}

#[test]
fn datagrams_follow_their_flow() {
    let Some(lab) = lab(|group| group.source_ip_stickiness = true) else {
        return;
    };
    let sockets: Vec<UdpSocket> = lab.client.run(|| {
        let sockets = (0..8).map(|_| {
            let socket = UdpSocket::bind((CLIENT, 0)).unwrap();
            socket.connect((NODE, SERVED)).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket
        });
        sockets.collect()
    });
    let mut buffer = [0; 100];
    let answers: BTreeSet<String> = sockets
        .iter()
        .cycle()
        .take(24)
        .map(|socket| {
            socket.send(b"?").unwrap();
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        })
        .collect();
    assert_eq!(answers.len(), 1, "one client, one target: {answers:?}");
}

#[test]
fn the_node_stands_for_the_client_where_asked() {
    let Some(lab) = lab(|group| group.preserve_client_ip = false) else {
        return;
    };
    let (client, _) = ask(&mut lab.connect()).unwrap();
    assert_eq!(client, NODE.to_string());
}

#[test]
fn flows_of_a_target_that_fails_end() {
    let Some(mut lab) = lab(|group| {
        group.health_check.enabled = true;
        group.health_check.port = Some(9090);
    }) else {
        return;
    };
    let open = |address| {
        lab.targets.run(move || {
            let listener = TcpListener::bind((address, 9090)).unwrap();
            let closing = listener.try_clone().unwrap();
            thread::spawn(move || while closing.accept().is_ok() {});
            listener
        })
    };
    let checked = TARGETS.map(open);
    for target in TARGETS {
        lab.balancer
            .wait_health(&target.to_string(), HealthState::Healthy);
    }
    lab.wait_in_force();
    let mut streams: Vec<TcpStream> = (0..16).map(|_| lab.connect()).collect();
    let before: Vec<String> = streams
        .iter_mut()
        .map(|stream| ask(stream).unwrap().1)
        .collect();
    let failing = TARGETS[1].to_string();
    assert!(before.contains(&failing));
    // Its end is the end of accepting; the accepting thread goes with the process.
    nix::sys::socket::shutdown(
        std::os::fd::AsRawFd::as_raw_fd(&checked[1]),
        nix::sys::socket::Shutdown::Both,
    )
    .unwrap();
    lab.balancer.wait_health(&failing, HealthState::Unhealthy);
    lab.wait_in_force();
    for (stream, target) in streams.iter_mut().zip(&before) {
        assert_eq!(ask(stream).is_err(), *target == failing, "{target}");
    }
    for _ in 0..8 {
        assert_eq!(ask(&mut lab.connect()).unwrap().1, TARGETS[0].to_string());
    }
}

#[test]
fn a_port_without_a_target_is_refused() {
    let Some(lab) = lab(|group| group.targets.clear()) else {
        return;
    };
    let refused = lab
        .client
        .run(|| TcpStream::connect_timeout(&SocketAddr::from((NODE, SERVED)), LIMIT));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
