//! Nodes in network namespaces of their own: everything is made inside, and nothing stays.
//!
//! Needs root; without it the test says so and passes, and the end-to-end runner, which is root,
//! runs it for real.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use balancer::config::*;
use balancer::report::HealthState::Healthy;
use common::*;
use nix::sched::{CloneFlags, unshare};

fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Runs in a thread with a new network namespace, loopback up, until the channel closes.
fn in_namespace(
    work: impl FnOnce() + Send + 'static,
) -> (PathBuf, mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (ready, is_ready) = mpsc::channel();
    let (keep, kept) = mpsc::channel();
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        let task = nix::unistd::gettid();
        ready
            .send(PathBuf::from(format!("/proc/self/task/{task}/ns/net")))
            .unwrap();
        work();
        let _ = kept.recv();
    });
    (is_ready.recv().unwrap(), keep, thread)
}

#[test]
fn a_node_lives_and_dies_with_its_namespace() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: network namespaces need root");
        return;
    }
    let address = Ipv4Addr::new(127, 77, 0, 1);
    let (send, received) = mpsc::channel();
    let (path, keep, thread) = in_namespace(move || {
        // Sockets of this thread are in the namespace, whoever uses them.
        let server = Server::start("inside");
        send.send(server).unwrap();
    });
    let server = received.recv().unwrap();
    // Its other end disappears from the host when the namespace is really gone.
    let link = format!("baltest{}", std::process::id() % 100_000);
    let inside = format!("{link}p");
    ip(&format!("link add {link} type veth peer name {inside}"));
    let task = path.iter().nth(4).unwrap().to_str().unwrap().to_owned();
    ip(&format!("link set {inside} netns {task}"));

    let mut balancer = Balancer::start_with(2, &[&server], |config| {
        config.balancer().nodes[0].netns = Some(path.clone());
        config.balancer().nodes[0].address = address.into();
        config.group().health_check = HealthCheck {
            path: "/health".into(),
            interval: Duration::from_millis(20),
            ..HealthCheck::default()
        };
    });
    balancer.wait_health("inside", Healthy);
    let outside = std::net::TcpStream::connect_timeout(
        &SocketAddr::new(address.into(), PORT),
        Duration::from_secs(1),
    );
    assert!(outside.is_err(), "the listener is not on the host");
    let file = std::fs::File::open(&path).unwrap();
    let client = thread::spawn(move || {
        nix::sched::setns(&file, CloneFlags::CLONE_NEWNET).unwrap();
        drop(file);
        let mut client = Client::connect(SocketAddr::new(address.into(), PORT));
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response().body, "inside");
        client
    });
    let mut client = client.join().unwrap();
    assert!(server.last().contains("X-Forwarded-For: 127.") || server.count() > 0);

    balancer.change(|config| config.balancer().nodes.clear());
    assert!(client.is_closed());
    drop(client);
    drop(keep);
    thread.join().unwrap();
    server.stop();
    let deadline = Instant::now() + LIMIT;
    while PathBuf::from(format!("/sys/class/net/{link}")).exists() {
        assert!(
            Instant::now() < deadline,
            "something still holds on to the namespace"
        );
        thread::yield_now();
    }
    drop(balancer);
}
