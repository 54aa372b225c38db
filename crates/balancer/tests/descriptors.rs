//! More clients than the process may have descriptors: those who are in are served on, the others
//! are refused until there is room. A file of its own, since the limit is the whole process's.

mod common;

use std::fs::File;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use common::*;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const DESCRIPTORS: u64 = 512;

#[test]
fn a_crowd_leaves_room_for_those_who_are_in() {
    // Every request needs a connection of its own to the target.
    let target = Server::with("one", |client, _, _| {
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\none");
        client.close();
    });
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, hard).unwrap();
    let mut balancer = Balancer::start(&[&target], |_| {});
    let mut inside = balancer.connect();
    let mut ask = || {
        inside.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let response = inside.response();
        assert_eq!((response.status, response.body.as_str()), (200, "one"));
    };
    ask();
    // Both ends of each connection are this process's: were all let in, nothing would be left.
    let open = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    let count = (DESCRIPTORS - open) / 2 + 10;
    let crowd: Vec<TcpStream> = (0..count)
        .map(|_| TcpStream::connect(balancer.address).unwrap())
        .collect();
    let refused = |balancer: &Balancer| -> u64 {
        let nodes = balancer.metrics.iter();
        nodes.map(|node| node.rejected_connection_count).sum()
    };
    let active = |balancer: &Balancer| {
        let last = balancer.metrics.last();
        last.map_or(0, |node| node.active_connection_count)
    };
    balancer.wait("everybody to be let in or refused", |balancer, _| {
        refused(balancer) + active(balancer) > count
    });
    assert!(refused(&balancer) > 0);
    ask();
    drop(crowd);
    balancer.wait("the crowd to be gone", |balancer, _| active(balancer) < 10);
    assert_eq!(balancer.get("/").body, "one");
}
