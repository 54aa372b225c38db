//! A second process takes over from one that serves: no request fails, nobody is refused.

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use common::*;

/// The directory of one test, with a config in it.
fn directory(name: &str, config: &balancer::Config) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("balancer-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let config = serde_json::to_vec(config).unwrap();
    std::fs::write(directory.join("config.json"), config).unwrap();
    directory
}

fn start(directory: &Path) -> JoinHandle<()> {
    let directory = directory.to_owned();
    thread::spawn(move || balancer::run(&directory).unwrap())
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// Whether some process served the directory and has not ended.
fn is_leaving(directory: &Path) -> bool {
    let mut entries = std::fs::read_dir(directory).unwrap();
    entries.any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().starts_with("leaving.")
    })
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn no_request_fails() {
    let target = Server::start("one");
    let slow_may_end = Arc::new(AtomicBool::new(false));
    let may_end = slow_may_end.clone();
    let slow = Server::with("slow", move |client, _, _| {
        while !may_end.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    });
    let own = own_address();
    let mut config = plain_config(own, &[&target]);
    let mut group = config.group().clone();
    group.key = "slow".into();
    group.targets = vec![slow.as_target()];
    config.target_groups.insert("slow".into(), group);
    config.balancer().listeners[0].rules = vec![balancer::config::Rule {
        priority: 1,
        conditions: vec![balancer::config::Condition::PathPattern {
            values: vec!["/slow".into()],
            regex_values: vec![],
        }],
        action: balancer::config::Action::forward_to("slow"),
        transforms: vec![],
    }];
    let directory = directory("takeover", &config);
    let address = SocketAddr::new(own.into(), PORT);
    let first = start(&directory);
    wait_for("the first to listen", || {
        std::net::TcpStream::connect(address).is_ok()
    });

    let mut waiting = Client::connect(address);
    waiting.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_for("the slow request to arrive", || slow.count() == 1);

    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<JoinHandle<()>> = (0..4)
        .map(|place| {
            let (stop, served) = (stop.clone(), served.clone());
            thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    client.send(GET);
                    let response = client.response();
                    assert_eq!(response.body, "one");
                    served.fetch_add(1, Ordering::Relaxed);
                    // Half of them keep their connection for as long as they may.
                    let is_over = response.header("connection") == Some("close");
                    if is_over || place % 2 == 0 {
                        client = Client::connect(address);
                    }
                }
            })
        })
        .collect();
    let more = |served: &AtomicUsize| {
        let before = served.load(Ordering::Relaxed);
        wait_for("requests to be served", || {
            served.load(Ordering::Relaxed) > before + 200
        });
    };
    more(&served);
    let second = start(&directory);
    // It holds the directory once it answers there.
    wait_for("the second to take over", || is_leaving(&directory));
    more(&served);
    assert!(!first.is_finished(), "a request is still running there");
    slow_may_end.store(true, Ordering::Relaxed);
    let response = waiting.response();
    assert_eq!((response.status, response.body.as_str()), (200, "slow"));
    assert_eq!(response.header("connection"), Some("close"));
    wait_for("the first to end", || first.is_finished());
    assert!(!is_leaving(&directory), "nothing is left of it");
    more(&served);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert!(!second.is_finished());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn one_that_breaks_off_leaves_everything_as_it_was() {
    let target = Server::start("one");
    let own = own_address();
    let directory = directory("broken", &plain_config(own, &[&target]));
    let address = SocketAddr::new(own.into(), PORT);
    start(&directory);
    let ask = || {
        let mut client = Client::connect(address);
        client.send(GET);
        client.response()
    };
    wait_for("it to listen", || {
        std::net::TcpStream::connect(address).is_ok()
    });
    assert_eq!(ask().body, "one");
    for _ in 0..3 {
        drop(std::os::unix::net::UnixStream::connect(directory.join("handover")).unwrap());
        let response = ask();
        assert_eq!((response.status, response.body.as_str()), (200, "one"));
    }
    wait_for("connections to be kept again", || {
        ask().header("connection") == Some("keep-alive")
    });
    std::fs::remove_dir_all(&directory).unwrap();
}
