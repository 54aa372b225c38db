//! Flows that a network load balancer's worker relays: TLS ended, targets told of the client.
//!
//! Needs root, as the end-to-end runner is; without it the tests say so and pass.

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;

use balancer::config::network::{NetworkLoadBalancer, Protocol};
use balancer::config::{Config, Tls};
use balancer::report::{FlowMetrics, HealthState};
use common::lab::*;
use common::tls::{SecureClient, certificate, client_config};
use common::{Balancer, LIMIT};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn balancer(config: &mut Config) -> &mut NetworkLoadBalancer {
    &mut config.network_load_balancers[0]
}

fn group(config: &mut Config) -> &mut balancer::config::network::TargetGroup {
    config.network_target_groups.get_mut(NETWORK_GROUP).unwrap()
}

/// Makes the listener one for TLS, with certificates for these names.
fn secure(config: &mut Config, names: &[&str]) -> Vec<balancer::config::Certificate> {
    let made: Vec<_> = names.iter().map(|name| certificate(&[name])).collect();
    let keys = names.iter().map(|name| (*name).to_owned());
    config.certificates = keys.clone().zip(made.iter().cloned()).collect();
    let listener = &mut balancer(config).listeners[0];
    listener.protocol = Protocol::Tls;
    listener.tls = Some(Tls {
        protocols: vec!["TLSv1.2".into(), "TLSv1.3".into()],
        ciphers: vec![
            "TLS_AES_128_GCM_SHA256".into(),
            "ECDHE-ECDSA-AES128-GCM-SHA256".into(),
        ],
        certificates: keys.collect(),
        ..Tls::default()
    });
    made
}

fn wait_flows(balancer: &mut Balancer, what: &str, is_it: impl Fn(&FlowMetrics) -> bool) {
    balancer.wait(what, |balancer, _| balancer.flows.iter().any(&is_it));
}

#[test]
fn tls_ends_here_and_targets_see_the_client() {
    let mut made = Vec::new();
    let logs = std::env::temp_dir().join(format!("balancer-flows-{}", std::process::id()));
    let Some(mut lab) = lab_with(|config| {
        made = secure(config, &["a.example", "b.example"]);
        balancer(config).listeners[0].alpn = vec!["h2".into(), "http/1.1".into()];
        balancer(config).access_log = Some(logs.clone());
    }) else {
        return;
    };
    // The certificate follows the name, the protocol the listener's preference.
    let mut seen = BTreeSet::new();
    for round in 0..16 {
        let at = round % 2;
        let (trusted, name) = (made[at].clone(), ["a.example", "b.example"][at]);
        let mut client = lab.client.run(move || {
            let config = client_config(&[&trusted], &[b"http/1.1", b"h2"]);
            let mut client = SecureClient::connect(SocketAddr::from((NODE, SERVED)), name, config);
            assert!(client.shakes_hands());
            client
        });
        assert_eq!(client.0.conn.alpn_protocol(), Some(&b"h2"[..]));
        seen.insert(ask(&mut client.0).unwrap());
    }
    let expected = TARGETS.map(|target| (CLIENT.to_string(), target.to_string()));
    assert_eq!(seen, BTreeSet::from(expected));
    // Nobody's protocol.
    lab.client.run(|| {
        let mut client = TcpStream::connect((NODE, SERVED)).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.write_all(b"hello, who is there?\r\n\r\n").unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    });
    lab.balancer.wait("flows to be counted", |balancer, _| {
        let sum = |count: fn(&FlowMetrics) -> u64| balancer.flows.iter().map(count).sum::<u64>();
        sum(|node| node.new_flow_count_tls) == 17
            && sum(|node| node.client_tls_negotiation_error_count) == 1
            && sum(|node| node.processed_bytes_tls) > 16
            && sum(|node| node.new_flow_count_tcp) == 0
    });
    wait_flows(&mut lab.balancer, "flows to end", |node| {
        node.active_flow_count_tls == 0
    });
    drop(lab);
    let log = std::fs::read_to_string(logs.join("n.log")).unwrap();
    std::fs::remove_dir_all(&logs).unwrap();
    assert_eq!(log.lines().count(), 17, "{log}");
    let (begin, end) = (
        format!(" net/test/1 l {CLIENT}:"),
        "TLS_AES_128_GCM_SHA256 tlsv13 - b.example h2 - \"http/1.1\",\"h2\" ",
    );
    let of_b = |line: &&str| line.contains(&begin) && line.contains(end);
    assert_eq!(log.lines().filter(of_b).count(), 8, "{log}");
    // One byte up, and what the target said of the client.
    let bytes = format!(
        " 1 {} - b.example ",
        format!("{CLIENT} {}", TARGETS[0]).len()
    );
    assert!(log.contains(&bytes), "{log}");
    assert!(
        log.lines().any(|line| line.contains(" - 0 0 - - - ")),
        "{log}"
    );
}

/// Nobody ends the flow but the load balancer that goes.
#[test]
fn flows_of_a_load_balancer_that_goes_are_logged() {
    let mut made = Vec::new();
    let logs = std::env::temp_dir().join(format!("balancer-gone-{}", std::process::id()));
    let Some(mut lab) = lab_with(|config| {
        made = secure(config, &["a.example"]);
        balancer(config).access_log = Some(logs.clone());
    }) else {
        return;
    };
    let trusted = made[0].clone();
    let mut client = lab.client.run(move || {
        let config = client_config(&[&trusted], &[]);
        SecureClient::connect(SocketAddr::from((NODE, SERVED)), "a.example", config)
    });
    ask(&mut client.0).unwrap();
    lab.balancer
        .change(|config| config.network_load_balancers.clear());
    let log = std::fs::read_to_string(logs.join("n.log")).unwrap();
    std::fs::remove_dir_all(&logs).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(" 1 ") && log.contains(" a.example "), "{log}");
}

#[test]
fn the_node_stands_for_the_client_of_tls_too() {
    let mut made = Vec::new();
    let Some(lab) = lab_with(|config| {
        made = secure(config, &["a.example"]);
        group(config).preserve_client_ip = false;
    }) else {
        return;
    };
    let trusted = made.remove(0);
    let seen = lab.client.run(move || {
        let config = client_config(&[&trusted], &[]);
        let address = SocketAddr::from((NODE, SERVED));
        let mut client = SecureClient::connect(address, "a.example", config);
        ask(&mut client.0).unwrap().0
    });
    assert_eq!(seen, NODE.to_string());
}

#[test]
fn openssl_gets_through() {
    let mut made = Vec::new();
    let Some(lab) = lab_with(|config| {
        made = secure(config, &["a.example"]);
    }) else {
        return;
    };
    let said = lab.client.run(|| {
        let mut child = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-verify_quiet",
                "-servername",
                "a.example",
            ])
            .args(["-connect", &format!("{NODE}:{SERVED}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        let mut said = [0; 5];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        said
    });
    assert_eq!(&said, &CLIENT.to_string().as_bytes()[..5]);
}

#[test]
fn targets_are_told_of_the_client() {
    let port = 9191;
    let Some(mut lab) = lab_with(|config| {
        balancer(config).listeners[0].protocol = Protocol::Tcp;
        let group = group(config);
        group.proxy_protocol = true;
        group.preserve_client_ip = false;
        group.health_check.enabled = true;
        group.health_check.proxy_protocol = true;
        group.targets.truncate(1);
        group.targets[0].address.set_port(port);
    }) else {
        return;
    };
    let (heard, hears) = mpsc::channel();
    lab.targets.run(move || {
        let listener = TcpListener::bind((TARGETS[0], port)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut fixed = [0; 16];
                if stream.read_exact(&mut fixed).is_err() {
                    continue;
                }
                let mut rest = vec![0; usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))];
                stream.read_exact(&mut rest).unwrap();
                let mut said = Vec::new();
                if fixed[12] == 0x21 {
                    stream.read_to_end(&mut said).unwrap();
                    stream.write_all(b"heard").unwrap();
                }
                if heard.send((fixed, rest, said)).is_err() {
                    return;
                }
            }
        });
    });
    let target = TARGETS[0].to_string();
    lab.balancer.wait_health(&target, HealthState::Healthy);
    let (fixed, rest, _) = hears.recv_timeout(LIMIT).unwrap();
    assert_eq!(
        (&fixed[..12], &fixed[12..]),
        (SIGNATURE, &[0x20, 0, 0, 0][..])
    );
    assert!(rest.is_empty());
    // Either side may end its half first.
    let mut stream = lab.connect();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"heard");
    let own = stream.local_addr().unwrap().port();
    let (fixed, rest, said) = std::iter::from_fn(|| hears.recv_timeout(LIMIT).ok())
        .find(|(fixed, ..)| fixed[12] == 0x21)
        .unwrap();
    assert_eq!((fixed[13], said.as_slice()), (0x11, &b"hello"[..]));
    let mut expected = [CLIENT.octets(), NODE.octets()].concat();
    expected.extend(own.to_be_bytes());
    expected.extend(SERVED.to_be_bytes());
    assert_eq!(&rest[..12], expected);
    wait_flows(&mut lab.balancer, "the flow to be counted", |node| {
        node.new_flow_count_tcp == 1
    });
}

#[test]
fn flows_outlive_their_target_unless_they_are_to_end() {
    for ends in [false, true] {
        let mut made = Vec::new();
        let Some(mut lab) = lab_with(|config| {
            made = secure(config, &["a.example"]);
            let group = group(config);
            group.targets.truncate(1);
            group.connection_termination = ends;
        }) else {
            return;
        };
        let trusted = made.remove(0);
        let mut client = lab.client.run(move || {
            let config = client_config(&[&trusted], &[]);
            let address = SocketAddr::from((NODE, SERVED));
            SecureClient::connect(address, "a.example", config)
        });
        ask(&mut client.0).unwrap();
        wait_flows(&mut lab.balancer, "the flow to be seen", |node| {
            let mut targets = node.groups.iter().flat_map(|group| &group.targets);
            node.active_flow_count_tls == 1 && targets.any(|target| target.active_flow_count == 1)
        });
        lab.change_group(|group| group.targets.clear());
        match ends {
            true => assert!(!matches!(client.0.read(&mut [0]), Ok(1..))),
            false => _ = ask(&mut client.0).unwrap(),
        }
    }
}

#[test]
fn targets_may_speak_tls() {
    let port = 9443;
    let made = certificate(&["nobody.example"]);
    let mut served = Vec::new();
    let Some(lab) = lab_with(|config| {
        served = secure(config, &["a.example"]);
        let group = group(config);
        group.tls = true;
        group.targets.truncate(1);
        group.targets[0].address.set_port(port);
    }) else {
        return;
    };
    lab.targets.run(move || {
        let listener = TcpListener::bind((TARGETS[0], port)).unwrap();
        let config = Arc::new(common::tls::server_config(&made));
        thread::spawn(move || {
            let (stream, peer) = listener.accept().unwrap();
            let connection = rustls::ServerConnection::new(config).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            stream.read_exact(&mut [0]).unwrap();
            let line = format!("{} secured", peer.ip());
            stream.write_all(line.as_bytes()).unwrap();
        });
    });
    let trusted = served.remove(0);
    let seen = lab.client.run(move || {
        let config = client_config(&[&trusted], &[]);
        let address = SocketAddr::from((NODE, SERVED));
        let mut client = SecureClient::connect(address, "a.example", config);
        ask(&mut client.0).unwrap()
    });
    assert_eq!(seen, (CLIENT.to_string(), "secured".to_owned()));
}
