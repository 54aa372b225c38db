//! A network load balancer's node between a client and two targets, each in a namespace of its own;
//! the targets' way back leads through the node. Needs root, as the end-to-end runner is; without it
//! the tests say so and pass.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use balancer::config::network::{self, Listener, NetworkLoadBalancer};
use balancer::config::{
    CheckProtocol, Config, HealthCheck, Node, Target, TargetState, WeightedGroup,
};
use balancer::report::Report;
use nix::sched::{CloneFlags, setns, unshare};

use super::{Balancer, LIMIT};

pub const NODE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub const BEHIND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub const TARGETS: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 2), Ipv4Addr::new(203, 0, 113, 3)];
pub const SERVED: u16 = 80;
pub const TARGET_PORT: u16 = 8080;
pub const NETWORK_GROUP: &str = "targetgroup/flows/1";

pub fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments}: {said}");
}

/// A thread in a network namespace of its own, which lives until it is dropped.
pub struct Place {
    pub task: nix::unistd::Pid,
    keep: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    pub fn new() -> Place {
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

    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/task/{}/ns/net", self.task))
    }

    /// Runs in the namespace; sockets made there stay there.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
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
pub fn serve_tcp(address: Ipv4Addr) {
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

pub fn serve_udp(address: Ipv4Addr) {
    let socket = UdpSocket::bind((address, TARGET_PORT)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let line = format!("{} {address}", peer.ip());
            let _ = socket.send_to(line.as_bytes(), peer);
        }
    });
}

pub struct Lab {
    pub client: Place,
    pub balancer: Balancer,
    // After the balancer, which has sockets in it.
    _node: Place,
    pub targets: Place,
}

pub fn lab(change: impl FnOnce(&mut network::TargetGroup)) -> Option<Lab> {
    lab_with(|config| change(config.network_target_groups.get_mut(NETWORK_GROUP).unwrap()))
}

pub fn lab_with(change: impl FnOnce(&mut Config)) -> Option<Lab> {
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
    let group = network::TargetGroup {
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
                tls: None,
                alpn: Vec::new(),
            }],
            access_log: None,
        }];
        config
            .network_target_groups
            .insert(NETWORK_GROUP.into(), group);
        change(config);
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
    pub fn connect(&self) -> TcpStream {
        self.client.run(|| {
            let stream =
                TcpStream::connect_timeout(&SocketAddr::from((NODE, SERVED)), LIMIT).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream
        })
    }

    /// What was found so far is in the rules once the counts after it came.
    pub fn wait_in_force(&mut self) {
        let mut ticks = 0;
        self.balancer.wait("two ticks", |_, report| {
            ticks += usize::from(matches!(report, Report::Flows(_)));
            ticks == 2
        });
    }

    pub fn change_group(&mut self, change: impl FnOnce(&mut network::TargetGroup)) {
        self.balancer.change(|config| {
            change(config.network_target_groups.get_mut(NETWORK_GROUP).unwrap());
        });
    }
}

/// Client as the target sees it, and the target.
pub fn ask(stream: &mut (impl Read + Write)) -> std::io::Result<(String, String)> {
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
