//! HTTP/1.1 through the balancer, both sides, with real sockets.

mod common;

use std::time::Duration;

use balancer::config::Stickiness;
use common::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn one_connection_serves_many_requests_on_both_sides() {
    let server = Server::start("one");
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    for _ in 0..5 {
        client.send(GET);
        let response = client.response();
        assert_eq!((response.status, response.body.as_str()), (200, "one"));
        assert_eq!(response.header("connection"), Some("keep-alive"));
    }
    assert_eq!(
        server
            .connections
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
    let head = server.last();
    assert!(
        head.contains(&format!("X-Forwarded-For: {}\r\n", client.source())),
        "{head}"
    );
    assert!(
        head.contains("X-Forwarded-Port: 8080\r\nHost: test:8080\r\nX-Amzn-Trace-Id: Root=1-"),
        "{head}"
    );
}

#[test]
fn a_connection_ends_when_it_is_old() {
    let target = Server::start("one");
    let balancer = Balancer::start(&[&target], |config| {
        config.balancer().attributes.client_keep_alive = Duration::ZERO;
    });
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.body.as_str()), (200, "one"));
    assert_eq!(response.header("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn pipelined_requests_are_answered_in_turn() {
    let server = Server::with("echo", |client, request, _| {
        let path = request.split(' ').nth(1).unwrap();
        client.send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
            path.len()
        ));
    });
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    let request =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    client.send(&[request("/1"), request("/2"), request("/3")].concat());
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.response().body, path);
    }
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let server = Server::start("one");
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    for byte in GET.bytes() {
        client.send(std::str::from_utf8(&[byte]).unwrap());
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn bodies_stream_both_ways() {
    let server = Server::with("echo", |client, request, _| {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        if request.contains("Transfer-Encoding") {
            client.send(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ));
        } else {
            client.send(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    for length in [0, 1, 1000, 40_000, 3_000_000] {
        let body = "x".repeat(length);
        client.send(&format!(
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(client.response().body.len(), length);
    }
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhel");
    client.send("lo\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
    assert_eq!(
        client.response().body,
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    );
    client.send(GET);
    assert_eq!(client.response().status, 200);
}

#[test]
fn old_clients_get_what_they_understand() {
    let server = Server::with("chunks", |client, request, _| {
        let body = if request.starts_with("HEAD") {
            ""
        } else {
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        };
        client.send(&format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
    });
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.rest();
    assert!(
        answer.ends_with("Connection: close\r\n\r\nabcde"),
        "{answer}"
    );
    assert!(
        server.last().contains("Host: test-1.elb.example:8080\r\n"),
        "{}",
        server.last()
    );

    let mut client = balancer.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(
        client
            .head()
            .unwrap()
            .contains("Transfer-Encoding: chunked")
    );
    client.send(GET);
    assert_eq!(client.response().body, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
}

#[test]
fn a_body_that_ends_with_its_connection_is_chunked_on() {
    let server = Server::with("closes", |client, _, _| {
        client.send("HTTP/1.1 200 OK\r\n\r\nabc");
        client.close();
    });
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    for _ in 0..2 {
        client.send(GET);
        assert!(client.response().body.ends_with("c\r\n0\r\n\r\n"));
    }
}

#[test]
fn expectations_are_answered_here() {
    let server = Server::start("one");
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(
        client.head().as_deref(),
        Some("HTTP/1.1 100 Continue\r\n\r\n")
    );
    client.send("ok");
    assert_eq!(client.response().status, 200);
    assert!(!server.last().to_ascii_lowercase().contains("expect"));
}

#[test]
fn interim_responses_of_targets_end_here() {
    let server = Server::with("early", |client, _, _| {
        client.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let balancer = Balancer::start(&[&server], |_| {});
    assert_eq!(balancer.get("/").body, "ok");
}

#[test]
fn websockets_are_tunnelled() {
    let server = Server::with("ws", |client, request, _| {
        assert!(
            request.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
            "{request}"
        );
        client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello");
        let said = client.exactly(3);
        client.send(&format!("you said {said}"));
        client.close();
    });
    let mut balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(client.head().unwrap().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.exactly(5), "hello");
    client.send("hey");
    assert_eq!(client.rest(), "you said hey");
    balancer.wait_count("requests", 1, |node| {
        node.total(|target| target.request_count)
    });
}

#[test]
fn an_early_response_reaches_a_client_that_still_sends() {
    let server = Server::with("early", |_, _, _| unreachable!("the body never ends"));
    // A raw server: answers after the head.
    let listener = std::net::TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut client = Client::connect_to(listener.accept().unwrap().0);
        client.head().unwrap();
        client.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        client.rest();
    });
    let balancer = Balancer::start(&[&server], |config| {
        config.group().targets[0].address = address
    });
    let mut client = balancer.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nstart");
    let response = client.response();
    assert_eq!(
        (response.status, response.header("connection")),
        (413, Some("close"))
    );
    assert!(client.is_closed());
}

#[test]
fn a_pooled_connection_that_died_is_replaced() {
    // Closes every connection after one response, without saying so.
    let server = Server::with("fickle", |client, _, _| {
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        client.close();
    });
    let balancer = Balancer::start(&[&server], |_| {});
    let mut client = balancer.connect();
    for _ in 0..20 {
        client.send(GET);
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn many_clients_at_once_on_two_workers() {
    let (one, two) = (Server::start("one"), Server::start("two"));
    let mut balancer = Balancer::start_with(2, &[&one, &two], |_| {});
    let address = balancer.address;
    let clients: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..50 {
                    client.send(GET);
                    assert_eq!(client.response().status, 200);
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    balancer.wait_count("requests", 1000, |node| {
        node.total(|target| target.request_count)
    });
    assert_eq!(one.count() + two.count(), 1000);
    assert!(
        one.count().abs_diff(two.count()) <= 4,
        "{} {}",
        one.count(),
        two.count()
    );
    let recorded: u64 = balancer
        .metrics
        .iter()
        .flat_map(|node| &node.groups)
        .flat_map(|group| &group.targets)
        .map(|target| target.response_time.count)
        .sum();
    assert_eq!(recorded, 1000);
}

#[test]
fn names_that_aws_finds_invalid_are_counted_with_what_becomes_of_them() {
    let target = Server::start("one");
    let mut balancer = Balancer::start(&[&target], |_| {});
    let odd = "GET / HTTP/1.1\r\nHost: h\r\nX_Odd: 1\r\nX_Other: 2\r\n\r\n";
    let plain = "GET / HTTP/1.1\r\nHost: h\r\nX-Fine: 1\r\n\r\n";
    for request in [odd, plain] {
        assert_eq!(balancer.ask(request).status, 200);
    }
    assert!(target.seen.lock().unwrap()[0].contains("\r\nX_Odd: 1\r\n"));
    balancer.change(|config| config.balancer().attributes.drop_invalid_header_fields = true);
    for request in [odd, odd, plain] {
        assert_eq!(balancer.ask(request).status, 200);
    }
    assert!(!target.seen.lock().unwrap()[2].contains("X_O"));
    balancer.wait_count("forwarded", 1, |n| n.forwarded_invalid_header_request_count);
    balancer.wait_count("dropped", 2, |n| n.dropped_invalid_header_request_count);
    drop(balancer);
    target.stop();
}

#[test]
fn requests_that_no_session_chose_a_target_for_are_counted() {
    let target = Server::start("one");
    let mut balancer = Balancer::start(&[&target], |config| {
        config.group().stickiness = Some(Stickiness::LbCookie {
            duration: Duration::from_secs(60),
        });
    });
    let ask = |cookie: &str| balancer.ask(&format!("GET / HTTP/1.1\r\nHost: h\r\n{cookie}\r\n"));
    let first = ask("");
    let cookie = first.header("set-cookie").unwrap();
    let (value, _) = cookie.split_once(';').unwrap();
    assert_eq!(ask(&format!("Cookie: {value}\r\n")).status, 200);
    assert_eq!(ask("Cookie: AWSALB=broken\r\n").status, 200);
    balancer.wait_count("requests", 3, |n| n.total(|t| t.request_count));
    balancer.wait_count("new sessions", 2, |n| n.non_sticky_request_count);
    drop(balancer);
    target.stop();
}
