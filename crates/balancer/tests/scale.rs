//! A config as large as an account may have, changed under traffic.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use balancer::config::*;
use common::*;

const LISTENERS: u16 = 1000;
const RULES: u32 = 100;
const TARGETS: u16 = 5000;

fn rule(listener: u16, priority: u32, group: &str) -> Rule {
    Rule {
        priority,
        conditions: vec![
            Condition::HostHeader {
                values: vec![format!("*.h{listener}.example.com")],
                regex_values: vec![],
            },
            Condition::PathPattern {
                values: vec![format!("/v{priority}/*")],
                regex_values: vec![],
            },
        ],
        action: Action::forward_to(group),
        transforms: vec![],
    }
}

#[test]
fn a_thousand_listeners_change_without_dropping_a_connection() {
    let target = Server::start("one");
    let mut balancer = Balancer::start(&[&target], |config| {
        let plain = config.balancer().listeners[0].clone();
        let more = (1..LISTENERS).map(|place| Listener {
            key: format!("l{place}"),
            port: 20_000 + place,
            rules: (1..=RULES).map(|at| rule(place, at, GROUP)).collect(),
            ..plain.clone()
        });
        config.balancer().listeners.extend(more);
        // Groups of a thousand, as AWS has at most; nobody asks them anything.
        for place in 0..TARGETS / 1000 {
            let mut group = config.group().clone();
            group.key = format!("targetgroup/many/{place}");
            group.targets = (0..1000)
                .map(|at| Target {
                    key: format!("t{at}"),
                    address: ([127, 0, 0, 1], 1 + at).into(),
                    ..target.as_target()
                })
                .collect();
            let listener = usize::from(place) + 1;
            let key = group.key.clone();
            config.balancer().listeners[listener].default_action = Action::forward_to(&key);
            config.target_groups.insert(key, group);
        }
    });
    assert_eq!(balancer.problems, Vec::<String>::new());
    let stop = Arc::new(AtomicBool::new(false));
    let address = balancer.address;
    let keeping = {
        let stop = stop.clone();
        thread::spawn(move || {
            let mut client = Client::connect(address);
            while !stop.load(Ordering::Relaxed) {
                client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
                let response = client.response();
                assert_eq!(response.body, "one");
                assert_eq!(response.header("connection"), Some("keep-alive"));
            }
        })
    };
    for turn in 0..3u16 {
        balancer.change(|config| {
            let listener = &mut config.balancer().listeners[usize::from(turn) + 10];
            listener.rules[99] = rule(turn, 200, GROUP);
            config.group().targets[0].zone = None;
        });
    }
    stop.store(true, Ordering::Relaxed);
    keeping.join().unwrap();
    let mut client = Client::connect((address.ip(), 20_999).into());
    client.send("GET /v100/x HTTP/1.1\r\nHost: a.h999.example.com\r\n\r\n");
    assert_eq!(client.response().body, "one");
    balancer.wait_count("rules", 100, |node| node.rule_evaluations);
}
