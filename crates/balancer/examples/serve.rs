//! The balancer alone, without a control plane: one listener, targets from the command line.
//!
//!     serve 127.0.0.1:8080 WORKERS TARGET:PORT... [--rules N] [--log DIRECTORY]
//!
//! `--rules` puts N rules that do not match before the default one. Used by `benches/balancer`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use balancer::config::*;
use balancer::{Config, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().ok_or("an address to listen on")?.parse()?;
    let workers: usize = arguments.next().ok_or("a number of workers")?.parse()?;
    let (mut targets, mut rules, mut access_log) = (Vec::new(), 0, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
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
            listeners: vec![Listener {
                key: "l".into(),
                port: address.port(),
                protocol: Protocol::Http,
                default_action: Action::forward_to(group),
                rules: rules.collect(),
            }],
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
                ..TargetGroup::default()
            },
        )]),
        ..Config::default()
    };
    let (_sender, receiver) = tokio::sync::watch::channel(Some(Arc::new(config)));
    balancer::run_with(workers, receiver, |report| match report {
        Report::Metrics(_) => {}
        other => eprintln!("{other:?}"),
    })?;
    Ok(())
}
