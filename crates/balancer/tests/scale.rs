//! A config as large as an account may have, changed under traffic.

mod common;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use balancer::Config;
use balancer::config::*;
use common::*;

const LISTENERS: u16 = 1000;
const RULES: u32 = 100;
const TARGETS: u16 = 5000;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn port(place: u16) -> u16 {
    match place {
        0 => PORT,
        place => 20_000 + place,
    }
}

fn rule(listener: u16, priority: u32, version: &str) -> Rule {
    Rule {
        priority,
        conditions: vec![
            Condition::HostHeader {
                values: vec![format!("*.h{listener}.example.com")],
                regex_values: vec![],
            },
            Condition::PathPattern {
                values: vec![format!("/{version}{priority}/*")],
                regex_values: vec![],
            },
        ],
        // Who is answered by the rule can tell which it was.
        action: Action::FixedResponse(FixedResponse {
            body: version.into(),
            ..FixedResponse::default()
        }),
        transforms: vec![],
    }
}

/// Groups of a thousand, as AWS has at most; nobody asks them anything.
fn fill_groups(config: &mut Config, address: [u8; 4]) {
    for place in 0..TARGETS / 1000 {
        let mut group = config.group().clone();
        group.key = format!("targetgroup/many/{place}");
        group.targets = (0..1000)
            .map(|at| Target {
                key: format!("{address:?}:{at}"),
                address: (address, 1 + at).into(),
                zone: None,
                state: TargetState::Active,
            })
            .collect();
        config.target_groups.insert(group.key.clone(), group);
    }
}

fn large(config: &mut Config) {
    // Some connections wait through all changes, which may take long on a busy machine.
    config.balancer().attributes.idle_timeout = std::time::Duration::from_secs(600);
    fill_groups(config, [127, 0, 0, 1]);
    let plain = config.balancer().listeners[0].clone();
    let more = (1..LISTENERS).map(|place| Listener {
        key: format!("l{place}"),
        port: port(place),
        rules: (1..=RULES).map(|at| rule(place, at, "v")).collect(),
        default_action: match place <= TARGETS / 1000 {
            true => Action::forward_to(format!("targetgroup/many/{}", place - 1)),
            false => Action::forward_to(GROUP),
        },
        ..plain.clone()
    });
    config.balancer().listeners.extend(more);
}

/// Asks without a pause until told to stop, on one connection or on a new one each time.
fn asking(balancer: &Balancer, keeps: bool, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (address, stop) = (balancer.address, stop.clone());
    thread::spawn(move || {
        let mut client = Client::connect(address);
        while !stop.load(Ordering::Relaxed) {
            client.send(GET);
            let response = client.response();
            assert_eq!(response.body, "one");
            assert_eq!(response.header("connection"), Some("keep-alive"));
            if !keeps {
                client = Client::connect(address);
            }
        }
    })
}

#[test]
fn a_thousand_listeners_change_without_dropping_a_connection() {
    let (end_slow, slow_ends) = mpsc::channel::<()>();
    let slow_ends = Mutex::new(slow_ends);
    let target = Server::with("one", move |client, request, _| {
        if request.starts_with("GET /upgrade ") {
            return client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        }
        if request.starts_with("GET /slow ") {
            // Ends with the sender.
            let _ = slow_ends.lock().unwrap().recv();
        }
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    });
    let mut balancer = Balancer::start(&[&target], large);
    assert_eq!(balancer.problems, Vec::<String>::new());
    let host = balancer.address.ip();
    let places = (0..LISTENERS).step_by(20);
    let mut kept: Vec<Client> = places
        .map(|place| Client::connect((host, port(place)).into()))
        .collect();
    let mut waiting = balancer.connect();
    waiting.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut tunnel = balancer.connect();
    tunnel.send(
        "GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert!(tunnel.head().unwrap().starts_with("HTTP/1.1 101 "));
    let stop = Arc::new(AtomicBool::new(false));
    let asking = [true, false].map(|keeps| asking(&balancer, keeps, &stop));
    let changes: [fn(&mut Config); 5] = [
        |_| {},
        // A rule.
        |config| config.balancer().listeners[10].rules[99] = rule(10, 200, "v"),
        // Every rule, all of which are compiled anew.
        |config| {
            for (place, listener) in (0..).zip(&mut config.balancer().listeners).skip(1) {
                listener.rules = (1..=RULES).map(|at| rule(place, at, "w")).collect();
            }
        },
        // Every target that nobody uses.
        |config| fill_groups(config, [127, 0, 0, 2]),
        // A tenth of the listeners go, as many come.
        |config| {
            let listeners = &mut config.balancer().listeners;
            for listener in listeners.iter_mut().filter(|l| l.port % 10 == 7) {
                listener.key += "b";
                listener.port += 10_000;
            }
        },
    ];
    for change in changes {
        balancer.change(change);
        for client in &mut kept {
            client.send(GET);
            let response = client.response();
            assert_eq!(response.body, "one");
            assert_eq!(response.header("connection"), Some("keep-alive"));
        }
        // The target answers what comes through as it would elsewhere.
        tunnel.send(GET);
        assert_eq!(tunnel.response().body, "one");
    }
    assert_eq!(balancer.problems, Vec::<String>::new());
    stop.store(true, Ordering::Relaxed);
    for asking in asking {
        asking.join().unwrap();
    }
    drop(end_slow);
    assert_eq!(waiting.response().status, 200);
    let mut client = Client::connect((host, port(997) + 10_000).into());
    client.send("GET /w100/x HTTP/1.1\r\nHost: a.h997.example.com\r\n\r\n");
    assert_eq!(client.response().body, "w");
    let closed = TcpStream::connect((host, port(997)));
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
