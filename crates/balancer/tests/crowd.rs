//! Clients that hold on to what they can get leave the others unharmed.

mod common;

use std::io::Write;
use std::net::TcpStream;

use common::*;

#[test]
fn slow_and_silent_clients_hold_nobody_up() {
    let target = Server::start("one");
    let mut balancer = Balancer::start(&[&target], |_| {});
    let mut crowd = Vec::new();
    for place in 0..600 {
        let mut client = TcpStream::connect(balancer.address).unwrap();
        // A third says nothing, a third begins a head, a third begins a body.
        let begun = match place % 3 {
            0 => "",
            1 => "GET / HTTP/1.1\r\nHost: h\r\nX: ",
            _ => "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx",
        };
        client.write_all(begun.as_bytes()).unwrap();
        crowd.push(client);
    }
    balancer.wait("the crowd to be in", |balancer, _| {
        let last = balancer.metrics.last();
        last.is_some_and(|node| node.active_connection_count >= 600)
    });
    // One byte more from each, again and again, while others are served.
    for _ in 0..3 {
        for client in &mut crowd {
            client.write_all(b"x").unwrap();
        }
        let mut client = balancer.connect();
        for _ in 0..20 {
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(client.response().body, "one");
        }
    }
    drop(crowd);
    balancer.wait("the crowd to be gone", |balancer, _| {
        let last = balancer.metrics.last();
        last.is_some_and(|node| node.active_connection_count < 10)
    });
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn heads_that_are_too_long_are_refused_before_they_end() {
    let target = Server::start("one");
    let balancer = Balancer::start(&[&target], |_| {});
    let check = |head: String, expected: u16| {
        let mut client = balancer.connect();
        client.send(&head);
        let response = client.response();
        assert_eq!(response.status, expected);
        assert!(client.is_closed());
    };
    let begun = "GET / HTTP/1.1\r\nHost: h\r\n";
    check(format!("GET /{} HTTP", "a".repeat(17_000)), 414);
    check(format!("{begun}X: {}", "a".repeat(17_000)), 400);
    check(format!("{begun}{}", "X: a\r\n".repeat(11_000)), 400);
    check(format!("{begun}{}\r\n", "X: a\r\n".repeat(300)), 400);
    assert_eq!(target.count(), 0);
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn many_short_connections_leave_no_trace() {
    let target = Server::start("one");
    let mut balancer = Balancer::start(&[&target], |_| {});
    for _ in 0..3000 {
        // Closed at once, some before they were accepted.
        drop(TcpStream::connect(balancer.address).unwrap());
    }
    assert_eq!(balancer.get("/").body, "one");
    balancer.wait_count("requests", 1, |node| {
        node.total(|target| target.request_count)
    });
    balancer.wait("all to be closed", |balancer, _| {
        let last = balancer.metrics.last();
        // The target's connection stays.
        last.is_some_and(|node| node.active_connection_count <= 1)
    });
}
