//! No line is lost when logs are switched off or a load balancer goes.

mod common;

use std::path::PathBuf;
use std::sync::mpsc;

use common::*;

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("balancer-{name}-{}", std::process::id()))
}

fn lines(directory: &PathBuf) -> Vec<String> {
    let log = std::fs::read_to_string(directory.join("a.log")).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[test]
fn what_was_logged_before_logs_went_elsewhere_is_kept() {
    let (first, second) = (directory("first"), directory("second"));
    let server = Server::start("one");
    let mut balancer = Balancer::start(&[&server], |config| {
        config.balancer().attributes.access_log = Some(first.clone());
    });
    let mut client = balancer.connect();
    let ask = |client: &mut Client| {
        client.send(GET);
        assert_eq!(client.response().status, 200);
    };
    ask(&mut client);
    let elsewhere = second.clone();
    balancer.change(|config| config.balancer().attributes.access_log = Some(elsewhere));
    assert_eq!(lines(&first).len(), 1);
    ask(&mut client);
    ask(&mut client);
    balancer.change(|config| config.balancer().attributes.access_log = None);
    assert_eq!(lines(&second).len(), 2);
    ask(&mut client);
    drop(balancer);
    assert!(!first.exists() && !second.exists());
}

/// Those of a load balancer that is deleted, with the request that was running.
#[test]
fn a_load_balancer_that_goes_leaves_its_lines() {
    let directory = directory("deleted");
    let (heard, hears) = mpsc::channel();
    let server = Server::with("slow", move |client, request, _| {
        if request.starts_with("GET /a ") {
            return client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        heard.send(()).unwrap();
        client.rest();
    });
    let logs = directory.clone();
    let mut balancer = Balancer::start(&[&server], |config| {
        config.balancer().attributes.access_log = Some(logs);
    });
    assert_eq!(balancer.ask(GET).status, 200);
    let mut waiting = balancer.connect();
    waiting.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    hears.recv_timeout(LIMIT).unwrap();
    balancer.change(|config| config.load_balancers.clear());
    let lines = lines(&directory);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("\"GET http://h:8080/a HTTP/1.1\""),
        "{lines:?}"
    );
    // As when the deregistration delay ends in the middle of a request.
    assert!(lines[1].contains(" 502 - "), "{lines:?}");
    assert!(
        lines[1].contains("\"GET http://h:8080/slow HTTP/1.1\""),
        "{lines:?}"
    );
}

/// `grpcs`, `wss` and their like name what was spoken.
#[test]
fn lines_name_the_protocol() {
    let directory = directory("protocols");
    let server = Server::with("ws", |client, request, _| {
        let upgrade = request.lines().find(|line| line.starts_with("Upgrade: "));
        match upgrade {
            Some(upgrade) => client.send(&format!(
                "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n{upgrade}\r\n\r\n"
            )),
            None => client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        }
        client.close();
    });
    let logs = directory.clone();
    let balancer = Balancer::start(&[&server], |config| {
        config.balancer().attributes.access_log = Some(logs);
    });
    for fields in [
        "Connection: close\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Connection: upgrade\r\nUpgrade: raw\r\n",
    ] {
        let mut client = balancer.connect();
        client.send(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        client.rest();
    }
    drop(balancer);
    let lines = lines(&directory);
    let kinds: Vec<_> = lines.iter().map(|line| line.split(' ').next()).collect();
    assert_eq!(kinds, [Some("http"), Some("ws"), Some("http")]);
    assert!(lines[1].contains(" 101 101 "), "{lines:?}");
}
