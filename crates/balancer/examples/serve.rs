//! The balancer alone, without a control plane: one listener, targets from the command line.
//!
//!     serve 127.0.0.1:8080 WORKERS TARGET:PORT... [--rules N] [--log DIRECTORY] [--tls PORT CHAIN KEY] [--grpc]
//!
//! `--rules` puts N rules that do not match before the default one, `--tls` adds an HTTPS listener,
//! `--grpc` says that targets speak gRPC.
//! Used by `benches/balancer`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use balancer::config::*;
use balancer::{Config, Report};

/// ELBSecurityPolicy-TLS13-1-2-Res-2021-06.
const CIPHERS: [&str; 7] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().ok_or("an address to listen on")?.parse()?;
    let workers: usize = arguments.next().ok_or("a number of workers")?.parse()?;
    let (mut targets, mut rules, mut access_log) = (Vec::new(), 0, None);
    let mut protocol_version = ProtocolVersion::Http1;
    let (mut tls_port, mut certificates) = (None, BTreeMap::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--tls" => {
                tls_port = Some(arguments.next().ok_or("a port for TLS")?.parse()?);
                let mut read = |what| {
                    std::fs::read_to_string(arguments.next().unwrap_or_default())
                        .map_err(|error| format!("read the {what}: {error}"))
                };
                let certificate = Certificate {
                    chain: read("certificate")?,
                    private_key: read("key")?,
                };
                certificates.insert("c".to_owned(), certificate);
            }
            "--grpc" => protocol_version = ProtocolVersion::Grpc,
            "--rules" => rules = arguments.next().ok_or("a number of rules")?.parse()?,
            "--log" => access_log = Some(arguments.next().ok_or("a directory for logs")?.into()),
            target => targets.push(Target {
                key: target.into(),
                address: target.parse()?,
                zone: None,
                state: TargetState::Active,
            }),
        }
    }
    let group = "targetgroup/bench/1";
    let rules = (1..=rules).map(|priority| Rule {
        priority,
        conditions: vec![
            Condition::HostHeader {
                values: vec!["*.example.com".into()],
                regex_values: vec![],
            },
            Condition::PathPattern {
                values: vec![format!("/api/v{priority}/*")],
                regex_values: vec![],
            },
        ],
        action: Action::forward_to(group),
        transforms: vec![],
    });
    let rules: Vec<Rule> = rules.collect();
    let listener = Listener {
        key: "l".into(),
        port: address.port(),
        protocol: Protocol::Http,
        tls: None,
        default_action: Action::forward_to(group),
        rules,
        headers: Default::default(),
        relay: None,
    };
    let secure = tls_port.map(|port| Listener {
        key: "s".into(),
        port,
        protocol: Protocol::Https,
        tls: Some(Tls {
            protocols: vec!["TLSv1.2".into(), "TLSv1.3".into()],
            ciphers: CIPHERS.map(str::to_owned).to_vec(),
            certificates: vec!["c".into()],
            ..Tls::default()
        }),
        ..listener.clone()
    });
    let config = Config {
        revision: 1,
        load_balancers: vec![LoadBalancer {
            key: "app/bench/1".into(),
            dns_name: "bench.example".into(),
            nodes: vec![Node {
                key: "a".into(),
                zone: "a".into(),
                netns: None,
                address: address.ip(),
            }],
            listeners: std::iter::once(listener).chain(secure).collect(),
            attributes: Attributes {
                access_log,
                ..Attributes::default()
            },
        }],
        target_groups: BTreeMap::from([(
            group.to_owned(),
            TargetGroup {
                key: group.into(),
                targets,
                protocol_version,
                ..TargetGroup::default()
            },
        )]),
        certificates,
        ..Config::default()
    };
    let (_sender, receiver) = tokio::sync::watch::channel(Some(Arc::new(config)));
    balancer::run_with(workers, receiver, |report| match report {
        Report::Metrics(_) => {}
        other => eprintln!("{other:?}"),
    })?;
    Ok(())
}
