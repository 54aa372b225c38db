//! Connections that become another protocol: whatever the client asks for and the target agrees to.

mod common;

use balancer::config::DesyncMode;
use common::*;

/// Agrees to any upgrade, then repeats what it hears, line by line, in capitals.
fn shouting() -> Server {
    Server::with("shouting", |client, request, _| {
        let asked = request.lines().find(|line| line.starts_with("Upgrade: "));
        let Some(asked) = asked else {
            return client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain");
        };
        client.send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n{asked}\r\n\r\n"
        ));
        loop {
            let heard = client.exactly(4);
            if heard.len() < 4 {
                return;
            }
            client.send(&heard.to_uppercase());
        }
    })
}

#[test]
fn any_protocol_that_a_target_agrees_to_is_tunnelled() {
    let target = shouting();
    let mut balancer = Balancer::start(&[&target], |_| {});
    let requests = [
        "GET /raw HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\r\n",
        // As Docker's clients do it, and with a body before.
        "POST /exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /exec HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, upgrade\r\nUpgrade: h2c, raw/1\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ];
    let mut bytes = 0;
    for request in requests {
        let mut client = balancer.connect();
        // What is said too early is not lost.
        client.send(&format!("{request}soon"));
        let head = client.head().unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("Connection: Upgrade\r\n"), "{head}");
        assert!(head.contains("Upgrade: raw/1\r\n"), "{head}");
        assert_eq!(client.exactly(4), "SOON");
        for said in ["heyo", "\r\n\r\n", "GET "] {
            client.send(said);
            assert_eq!(client.exactly(4), said.to_uppercase());
        }
        // An end of one side is told to the other, which may still answer.
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "");
        bytes += request.len() + head.len() + 2 * 4 * 4;
    }
    balancer.wait_count("requests", 3, |node| {
        node.total(|target| target.request_count)
    });
    balancer.wait_count("bytes", bytes as u64, |node| node.processed_bytes);
}

#[test]
fn what_is_no_upgrade_stays_a_request() {
    let target = shouting();
    let balancer = Balancer::start(&[&target], |_| {});
    let mut client = balancer.connect();
    for fields in [
        "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Upgrade: raw/1\r\n",
        "Connection: Upgrade\r\n",
    ] {
        client.send(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.body.as_str()), (200, "plain"));
    }
}

/// A target that turns to another protocol unasked, or before it has heard the whole request, is not
/// followed: nobody could tell where its requests begin.
#[test]
fn a_switch_that_answers_nothing_is_refused() {
    let target = Server::with("hasty", |_, _, _| unreachable!("the body never ends"));
    let listener = std::net::TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut client = Client::connect_to(stream);
            client.head().unwrap();
            client.send("HTTP/1.1 101 Switching\r\nUpgrade: raw/1\r\nConnection: upgrade\r\n\r\n");
        }
    });
    let balancer = Balancer::start(&[&target], |config| {
        config.group().targets[0].address = address;
        config.balancer().attributes.desync_mitigation_mode = DesyncMode::Monitor;
    });
    let unfinished = "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw/1\r\n\
                      Content-Length: 5\r\n\r\nab";
    assert_eq!(balancer.ask(unfinished).status, 502);
    assert_eq!(balancer.get("/").status, 502);
}
