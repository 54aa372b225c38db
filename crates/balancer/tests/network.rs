//! A network load balancer's node: what the kernel does with flows under the rules it was given.

mod common;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};

use common::LIMIT;
use common::lab::*;

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
fn a_port_without_a_target_is_refused() {
    let Some(lab) = lab(|group| group.targets.clear()) else {
        return;
    };
    let refused = lab
        .client
        .run(|| TcpStream::connect_timeout(&SocketAddr::from((NODE, SERVED)), LIMIT));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
