//! HTTPS listeners and targets.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use balancer::config::*;
use balancer::report::HealthState;
use common::tls::*;
use common::*;

fn secure_address(balancer: &Balancer) -> SocketAddr {
    SocketAddr::new(balancer.address.ip(), SECURE_PORT)
}

#[test]
fn requests_over_tls_reach_targets() {
    let target = Server::start("one");
    let made = certificate(&["a.example"]);
    let balancer = Balancer::start(&[&target], |config| {
        secure(config, std::slice::from_ref(&made));
        config.balancer().attributes.tls_headers = true;
    });
    let config = client_config(&[&made], &[b"http/1.1"]);
    let mut client = SecureClient::connect(secure_address(&balancer), "a.example", config);
    for _ in 0..3 {
        let (head, body) = client
            .ask("GET / HTTP/1.1\r\nHost: a.example:8443\r\nX-Amzn-Tls-Version: forged\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert_eq!(body, "one");
    }
    let seen = target.last();
    for line in [
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 8443",
        "Host: a.example:8443",
        "X-Amzn-Tls-Version: TLSv1.3",
        "X-Amzn-Tls-Cipher-Suite: TLS_AES_128_GCM_SHA256",
    ] {
        assert!(
            seen.contains(&format!("\r\n{line}\r\n")),
            "{line} in {seen}"
        );
    }
    assert!(!seen.contains("forged"), "{seen}");
    assert_eq!(
        target
            .connections
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
    drop(client);
    drop(balancer);
    target.stop();
}

#[test]
fn the_certificate_follows_the_name() {
    let target = Server::start("one");
    let made = [
        certificate(&["default.example"]),
        certificate(&["a.example"]),
        certificate(&["*.b.example"]),
    ];
    let balancer = Balancer::start(&[&target], |config| secure(config, &made));
    // Whoever trusts one certificate only gets through if that is the one served.
    let check = |name: &str, expected: usize, is_valid: bool| {
        let config = client_config(&[&made[expected]], &[]);
        let mut client = SecureClient::connect(secure_address(&balancer), name, config);
        assert_eq!(client.shakes_hands(), is_valid, "{name}");
    };
    check("default.example", 0, true);
    check("a.example", 1, true);
    check("x.b.example", 2, true);
    check("x.b.example", 1, false);
    check("y.x.b.example", 2, false);
    drop(balancer);
    target.stop();
}

#[test]
fn versions_outside_the_policy_are_refused_and_counted() {
    let target = Server::start("one");
    let made = certificate(&["a.example"]);
    let mut balancer = Balancer::start(&[&target], |config| {
        secure(config, std::slice::from_ref(&made));
        let tls = config.balancer().listeners[1].tls.as_mut().unwrap();
        tls.protocols = vec!["TLSv1.3".into()];
    });
    let address = secure_address(&balancer);
    let config = client_config_with(&[&made], &[], &[&rustls::version::TLS12]);
    assert!(!SecureClient::connect(address, "a.example", config).shakes_hands());
    balancer.wait_count("failed handshakes", 1, |node| {
        node.client_tls_negotiation_error_count
    });
    balancer.change(|config| {
        let tls = config.balancer().listeners[1].tls.as_mut().unwrap();
        tls.protocols = vec!["TLSv1.2".into()];
    });
    let config = client_config(&[&made], &[]);
    let mut client = SecureClient::connect(address, "a.example", config);
    assert!(client.get("/").0.starts_with("HTTP/1.1 200"));
    let version = client.0.conn.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_2));
    drop(client);
    drop(balancer);
    target.stop();
}

#[test]
fn plain_http_is_told_so() {
    let target = Server::start("one");
    let made = certificate(&["a.example"]);
    let balancer = Balancer::start(&[&target], |config| secure(config, &[made]));
    let mut client = Client::connect(secure_address(&balancer));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .contains("plain HTTP request was sent to HTTPS port"),
        "{}",
        answer.body
    );
    assert!(client.is_closed());
    drop(balancer);
    target.stop();
}

#[test]
fn a_new_certificate_is_served_and_old_connections_stay() {
    let target = Server::start("one");
    let (old, new) = (certificate(&["a.example"]), certificate(&["a.example"]));
    let mut balancer = Balancer::start(&[&target], |config| {
        secure(config, std::slice::from_ref(&old))
    });
    let address = secure_address(&balancer);
    let mut before = SecureClient::connect(address, "a.example", client_config(&[&old], &[]));
    assert_eq!(before.get("/").1, "one");
    balancer.change(|config| _ = config.certificates.insert("c0".into(), new.clone()));
    assert_eq!(before.get("/").1, "one");
    let mut after = SecureClient::connect(address, "a.example", client_config(&[&new], &[]));
    assert_eq!(after.get("/").1, "one");
    drop((before, after));
    drop(balancer);
    target.stop();
}

#[test]
fn a_certificate_that_is_broken_is_a_problem() {
    let target = Server::start("one");
    let mut balancer = Balancer::start(&[&target], |config| {
        let broken = Certificate {
            chain: "x".into(),
            private_key: "y".into(),
        };
        secure(config, &[broken]);
    });
    assert!(
        balancer
            .problems
            .iter()
            .any(|problem| problem.contains("certificate c0")),
        "{:?}",
        balancer.problems
    );
    // The other listener serves, and so does this one once it can.
    assert_eq!(balancer.get("/").body, "one");
    let made = certificate(&["a.example"]);
    balancer.change(|config| _ = config.certificates.insert("c0".into(), made.clone()));
    let config = client_config(&[&made], &[]);
    let mut client = SecureClient::connect(secure_address(&balancer), "a.example", config);
    assert_eq!(client.get("/").1, "one");
    drop(client);
    drop(balancer);
    target.stop();
}

#[test]
fn targets_over_tls_are_checked_and_used_without_trust() {
    let target = secure_target("safe");
    let mut balancer = Balancer::start(&[], |config| {
        let group = config.group();
        group.protocol = Protocol::Https;
        group.targets = vec![target.clone()];
        group.health_check.enabled = true;
        group.health_check.protocol = CheckProtocol::Https;
    });
    balancer.wait_health("safe", HealthState::Healthy);
    for _ in 0..3 {
        assert_eq!(balancer.get("/").body, "safe");
    }
    balancer.change(|config| config.group().health_check.protocol = CheckProtocol::Http);
    let health = balancer.wait_health("safe", HealthState::Unhealthy);
    assert_eq!(health.reason.as_deref(), Some("Target.FailedHealthChecks"));
}

#[test]
fn websockets_run_over_tls() {
    let target = Server::with("echo", |client, _, _| {
        client.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let heard = client.exactly(5);
        client.send(&heard.to_uppercase());
        client.close();
    });
    let made = certificate(&["a.example"]);
    let balancer = Balancer::start(&[&target], |config| {
        secure(config, std::slice::from_ref(&made))
    });
    let config = client_config(&[&made], &[b"http/1.1"]);
    let mut client = SecureClient::connect(secure_address(&balancer), "a.example", config);
    let (head, _) = client.ask(
        "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.0.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    client.0.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"HELLO");
    drop(client);
    drop(balancer);
    target.stop();
}

#[test]
fn the_access_log_names_the_session() {
    let target = Server::start("one");
    let made = certificate(&["a.example"]);
    let directory = std::env::temp_dir().join(format!("balancer-tls-{}", std::process::id()));
    let mut balancer = Balancer::start(&[&target], |config| {
        secure(config, std::slice::from_ref(&made));
        config.balancer().attributes.access_log = Some(directory.clone());
    });
    let config = client_config(&[&made], &[b"http/1.1"]);
    let mut client = SecureClient::connect(secure_address(&balancer), "a.example", config);
    client.ask("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    balancer.wait_count("requests", 1, |node| {
        node.total(|target| target.request_count)
    });
    drop(client);
    drop(balancer);
    let log = std::fs::read_to_string(directory.join("a.log")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(log.starts_with("https "), "{log}");
    assert!(
        log.contains("\"GET https://a.example:8443/x HTTP/1.1\""),
        "{log}"
    );
    assert!(log.contains(" TLS_AES_128_GCM_SHA256 TLSv1.3 "), "{log}");
    assert!(log.contains("\"a.example\" \"c0\" "), "{log}");
    target.stop();
}

/// A session that goes on shows no certificate, and a name that none is for is not told.
#[test]
fn the_access_log_tells_resumed_sessions_and_strange_names() {
    let target = Server::start("one");
    let made = certificate(&["a.example"]);
    let directory = std::env::temp_dir().join(format!("balancer-resumed-{}", std::process::id()));
    let balancer = Balancer::start(&[&target], |config| {
        secure(config, std::slice::from_ref(&made));
        config.balancer().attributes.access_log = Some(directory.clone());
    });
    let address = secure_address(&balancer);
    let mut config = client_config(&[&made], &[b"http/1.1"]);
    // Whoever it is.
    config.dangerous().set_certificate_verifier(Anybody::new());
    for name in ["a.example", "a.example", "b.example"] {
        let mut client = SecureClient::connect(address, name, config.clone());
        client.ask("GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    }
    drop(balancer);
    let log = std::fs::read_to_string(directory.join("a.log")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let fields = |line: &str| {
        let (_, rest) = line.split_once("\"Root=").unwrap();
        rest.split(' ')
            .skip(1)
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let seen: Vec<String> = log.lines().map(fields).collect();
    let expected = [
        "\"a.example\" \"c0\"",
        "\"a.example\" \"session-reused\"",
        "\"-\" \"c0\"",
    ];
    assert_eq!(seen, expected, "{log}");
    target.stop();
}

#[test]
fn targets_that_fail_to_shake_hands_are_counted_apart() {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(b"no TLS here\r\n").unwrap();
        }
    });
    let target = Server::start("plain");
    let mut balancer = Balancer::start(&[&target], |config| {
        config.group().protocol = Protocol::Https;
        config.group().targets[0].address = address;
    });
    assert_eq!(balancer.get("/").status, 502);
    balancer.wait_count("failed handshakes", 1, |node| {
        node.total(|target| target.target_tls_negotiation_error_count)
    });
    balancer.wait_count("failed connections", 0, |node| {
        node.total(|target| target.target_connection_error_count)
    });
    drop(balancer);
    target.stop();
}
