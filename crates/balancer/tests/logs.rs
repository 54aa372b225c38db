//! No line is lost when logs are switched off or a load balancer goes.

mod common;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;

use balancer::config::*;
use common::*;
use socket2::{Domain, Socket, Type};

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

/// A target that takes no connection: its queue is full.
fn unreachable() -> (Socket, TcpStream, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address = SocketAddr::from((own_address(), 0));
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let first = TcpStream::connect(address).unwrap();
    (socket, first, address)
}

/// Nor is a request that is still on its way to a target forgotten.
#[test]
fn a_request_that_waits_for_a_connection_is_logged_when_its_load_balancer_goes() {
    let directory = directory("connecting");
    let (_socket, _first, address) = unreachable();
    let logs = directory.clone();
    let mut balancer = Balancer::start(&[], |config| {
        config.balancer().attributes.access_log = Some(logs);
        config.group().targets.push(Target {
            key: "full".into(),
            address,
            zone: None,
            state: TargetState::Active,
        });
    });
    let mut waiting = balancer.connect();
    waiting.send(GET);
    balancer.wait_count("requests", 1, |node| node.total(|t| t.request_count));
    balancer.change(|config| config.load_balancers.clear());
    assert_eq!(waiting.response().status, 502);
    let lines = lines(&directory);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(" -1 -1 -1 502 - "), "{lines:?}");
}

#[test]
fn lines_tell_of_traces_and_of_what_nobody_understood() {
    let directory = directory("traces");
    let server = Server::start("one");
    let logs = directory.clone();
    let balancer = Balancer::start(&[&server], |config| {
        let balancer = config.balancer();
        balancer.attributes.access_log = Some(logs);
        balancer.dns_name = "Test-1.elb.example".into();
        balancer.listeners[0].rules.push(Rule {
            priority: 1,
            conditions: vec![Condition::PathPattern {
                values: vec!["/moved".into()],
                regex_values: Vec::new(),
            }],
            transforms: Vec::new(),
            action: Action::Redirect(Redirect {
                status: 301,
                path: "/".into(),
                ..Redirect::default()
            }),
        });
    });
    let agent = "x".repeat(9000);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n", 200),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nX-Amzn-Trace-Id: Root=1-a-b;Self=1-c-d;Sampled=1\r\n",
            200,
        ),
        ("GET /moved HTTP/1.1\r\nHost: h\r\n", 301),
        ("\u{1}\u{2}\u{3}\r\n", 400),
        (
            &format!("GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\n"),
            200,
        ),
    ] {
        assert_eq!(balancer.ask(&format!("{request}\r\n")).status, status);
    }
    let seen = server.seen.lock().unwrap()[1].clone();
    let sent = seen
        .lines()
        .find_map(|line| line.strip_prefix("X-Amzn-Trace-Id: "));
    drop(balancer);
    let lines = lines(&directory);
    let [plain, traced, moved, garbage, talkative] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(plain.contains(" \"Root=1-"), "{plain}");
    let sent = sent.unwrap();
    assert!(
        sent.starts_with("Self=1-") && sent.ends_with(";Root=1-a-b;Sampled=1"),
        "{sent}"
    );
    assert!(traced.contains(&format!(" \"{sent}\" ")), "{traced}");
    assert!(moved.contains(" - -1 -1 -1 301 - "), "{moved}");
    assert!(moved.contains(" - - - \"Root=1-"), "{moved}");
    assert!(
        moved.contains(" 1 ") && moved.contains(" \"redirect\" \"http://h:8080/\" "),
        "{moved}"
    );
    // As AWS has it to the byte.
    let begin = " - -1 -1 -1 400 - 0 272 \"- http://test-1.elb.example:8080- -\" \"-\" - - - \"-\" \"-\" \"-\" - ";
    assert!(garbage.contains(begin), "{garbage}");
    let (_, connection) = garbage.split_once(" TID_").unwrap();
    let digits = connection.bytes().take_while(u8::is_ascii_hexdigit).count();
    assert_eq!(digits, 32, "{garbage}");
    let expected = format!(" \"{}\" ", &agent[..8192]);
    assert!(talkative.contains(&expected), "{}", talkative.len());
    server.stop();
}
