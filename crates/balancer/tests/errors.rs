//! What the load balancer answers itself, and what it refuses.

mod common;

use std::net::TcpListener;
use std::time::Duration;

use balancer::config::*;
use common::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A listener that takes connections and never answers, and its address.
fn silent() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn refused_requests() {
    let server = Server::start("one");
    let mut balancer = Balancer::start(&[&server], |_| {});
    let mut count = 0;
    let mut check = |request: &str, status: u16| {
        let mut client = balancer.connect();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, status, "{request:?}");
        assert_eq!(response.header("server"), Some("awselb/2.0"));
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed(), "{request:?}");
        count += 1;
    };
    check("nonsense\r\n\r\n", 400);
    check("GET / HTTP/1.1\r\n\r\n", 400);
    check("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405);
    check(
        &format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(20_000)),
        414,
    );
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "A: bbbbbbbb\r\n".repeat(7_000)
        ),
        400,
    );
    check(
        &format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "A: b\r\n".repeat(300)
        ),
        400,
    );
    check(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        501,
    );
    check("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505);
    check(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    );
    assert_eq!(server.count(), 0);
    balancer.wait_count("4XX", count - 2, |node| node.elb_4xx);
    balancer.wait_count("5XX", 2, |node| node.elb_5xx);
}

#[test]
fn smuggling() {
    // Whatever two parsers could read differently reaches the target in one reading, or not at all.
    fn check(mode: DesyncMode, request: &str, expected: Option<&str>, closes: bool) {
        let server = Server::start("one");
        let balancer = Balancer::start(&[&server], |config| {
            config.balancer().attributes.desync_mitigation_mode = mode;
        });
        let mut client = balancer.connect();
        client.send(request);
        let status = client.response().status;
        assert_eq!(status == 200, expected.is_some(), "{request:?} {status}");
        if closes {
            assert!(client.is_closed(), "{request:?}");
            assert!(
                server.count() <= 1,
                "{request:?}: a second request came through"
            );
        }
        if let Some(expected) = expected {
            let seen = server.seen.lock().unwrap()[0].clone();
            let lower = seen.to_ascii_lowercase();
            assert!(seen.ends_with(expected), "{seen}");
            let framings = lower.matches("content-length:").count()
                + lower.matches("transfer-encoding:").count();
            assert!(framings <= 1, "{seen}");
        }
    }
    use DesyncMode::{Defensive, Monitor, Strictest};
    let both = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    check(Defensive, both, Some("\r\n0\r\n\r\n"), true);
    check(Strictest, both, None, true);
    check(Monitor, both, Some("\r\n0\r\n\r\n"), false);
    let lengths = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabcGET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    check(Defensive, lengths, None, true);
    check(Monitor, lengths, Some("\r\n\r\nabc"), true);
    let equal = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc";
    check(Defensive, equal, Some("\r\n\r\nabc"), true);
    let get_with_body = "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    check(Defensive, get_with_body, Some("\r\n\r\nabc"), true);
    let suspicious = "POST / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\n\r\n";
    check(Strictest, suspicious, None, true);
    // Whoever reads this as chunked and whoever does not: the target gets neither.
    let spaced = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n";
    check(Defensive, spaced, Some("\r\n\r\n"), true);
    check(Strictest, spaced, None, true);
    for line in [
        "Transfer-Encoding:\u{b}chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\n , identity",
        "Content-Length: 1\u{0}",
    ] {
        check(
            Defensive,
            &format!("POST / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n0\r\n\r\n"),
            None,
            true,
        );
    }
}

#[test]
fn no_targets_and_bad_targets() {
    fn check(change: impl FnOnce(&mut Config), status: u16, title: &str) -> Balancer {
        let server = Server::start("one");
        let balancer = Balancer::start(&[&server], change);
        let mut client = balancer.connect();
        for _ in 0..2 {
            client.send(GET);
            let response = client.response();
            assert_eq!(response.status, status);
            assert!(
                response.head.starts_with(&format!("HTTP/1.1 {title}\r\n")),
                "{}",
                response.head
            );
            // Codes of AWS's own have no page.
            let page = format!("<center><h1>{title}</h1></center>");
            assert_eq!(response.body.contains(&page), status != 464);
            assert_eq!(response.body.is_empty(), status == 464);
            assert_eq!(response.header("connection"), Some("keep-alive"));
        }
        balancer
    }
    use balancer::Config;
    let unavailable = "503 Service Temporarily Unavailable";
    let mut balancer = check(|config| config.group().targets.clear(), 503, unavailable);
    balancer.wait_count("503", 2, |node| node.elb_503);
    check(
        |config| config.group().targets[0].state = TargetState::Unused,
        503,
        unavailable,
    );
    check(
        |config| config.group().targets[0].zone = Some("elsewhere".into()),
        503,
        unavailable,
    );
    check(
        |config| config.group().protocol_version = ProtocolVersion::Grpc,
        464,
        "464 ",
    );

    // A port that was free a moment ago refuses.
    let refusing = silent().1;
    let mut balancer = check(
        |config| config.group().targets[0].address = refusing,
        502,
        "502 Bad Gateway",
    );
    balancer.wait_count("connection errors", 2, |node| {
        node.total(|target| target.target_connection_error_count)
    });
    balancer.wait_count("502", 2, |node| node.elb_502);
}

#[test]
fn targets_that_misbehave() {
    fn check(answer: &'static str, expected: &str) {
        let server = Server::with("bad", move |client, _, _| {
            client.send(answer);
            client.close();
        });
        let balancer = Balancer::start(&[&server], |_| {});
        let mut client = balancer.connect();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let got = client.rest();
        assert!(got.starts_with(expected), "{answer:?}: {got}");
    }
    check("", "HTTP/1.1 502 ");
    check("SSH-2.0-x\r\n", "HTTP/1.1 502 ");
    check("HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 502 ");
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 502 ",
    );
    check(
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 502 ",
    );
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        "HTTP/1.1 502 ",
    );
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n",
    );
}

#[test]
fn timeouts() {
    let brief = |config: &mut balancer::Config| {
        config.balancer().attributes.idle_timeout = Duration::from_millis(150)
    };
    let server = Server::start("one");
    let mut balancer = Balancer::start(&[&server], |config| brief(config));
    let check = |balancer: &Balancer, sent: &str, status: u16| {
        let mut client = balancer.connect();
        client.send(sent);
        assert_eq!(client.response().status, status, "{sent:?}");
        assert!(client.is_closed() || status == 504);
    };
    check(&balancer, "", 408);
    check(&balancer, "GET / HTTP/1.1\r\nHos", 408);
    check(
        &balancer,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
        408,
    );
    // Between requests the connection is closed without a word.
    let mut client = balancer.connect();
    client.send(GET);
    assert_eq!(client.response().status, 200);
    assert!(client.is_closed());
    balancer.wait_count("4XX", 3, |node| node.elb_4xx);

    let (_listener, address) = silent();
    balancer.change(|config| config.group().targets[0].address = address);
    check(&balancer, GET, 504);
    balancer.wait_count("504", 1, |node| node.elb_504);
}

#[test]
fn clients_that_leave() {
    let (listener, address) = silent();
    let mut balancer = Balancer::start(&[&Server::start("one")], |config| {
        config.group().targets[0].address = address
    });
    let mut client = balancer.connect();
    client.send(GET);
    let mut target = Client::connect_to(listener.accept().unwrap().0);
    target.head().unwrap();
    client.close();
    // 460: it is the target's connection that shows it.
    assert!(target.is_closed());
    balancer.wait_count("4XX", 1, |node| node.elb_4xx);
    let requests = balancer
        .metrics
        .iter()
        .map(|node| node.total(|target| target.request_count))
        .sum::<u64>();
    assert_eq!(requests, 1);
}

#[test]
fn too_many_forwarded_addresses() {
    let server = Server::start("one");
    let balancer = Balancer::start(&[&server], |_| {});
    let addresses = vec!["192.0.2.1"; 31].join(", ");
    let response = balancer.ask(&format!(
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {addresses}\r\n\r\n"
    ));
    assert_eq!(response.status, 463);
    assert_eq!(server.count(), 0);
}

#[test]
fn answers_of_rules() {
    let server = Server::start("one");
    let mut balancer = Balancer::start(&[&server], |config| {
        let path = |value: &str| {
            vec![Condition::PathPattern {
                values: vec![value.into()],
                regex_values: vec![],
            }]
        };
        config.balancer().listeners[0].rules = vec![
            Rule {
                priority: 2,
                conditions: path("/old/*"),
                action: Action::Redirect(Redirect {
                    status: 301,
                    protocol: "HTTPS".into(),
                    port: "443".into(),
                    ..Redirect::default()
                }),
                transforms: vec![],
            },
            Rule {
                priority: 1,
                conditions: path("/fixed"),
                action: Action::FixedResponse(FixedResponse {
                    status: 418,
                    content_type: Some("application/json".into()),
                    body: "{}".into(),
                }),
                transforms: vec![],
            },
        ];
    });
    let mut client = balancer.connect();
    // The body of a request that needs no target is read past.
    client.send("POST /old/a?b=c HTTP/1.1\r\nHost: H.com:8080\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.response();
    assert_eq!(response.status, 301);
    assert_eq!(
        response.header("location"),
        Some("https://H.com:443/old/a?b=c")
    );
    assert_eq!(response.body.len(), 134);
    client.send("GET /fixed HTTP/1.1\r\nHost: h\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.body.as_str()), (418, "{}"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    client.send("HEAD /fixed HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.head().unwrap().contains("Content-Length: 2\r\n"));
    client.send(GET);
    assert_eq!(client.response().body, "one");
    let long = "a".repeat(9_000);
    client.send(&format!("GET /old/{long} HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(client.response().status, 507);
    balancer.wait_count("redirects, too long", 1, |node| {
        node.http_redirect_url_limit_exceeded_count
    });
    balancer.wait_count("5XX", 1, |node| node.elb_5xx);
    balancer.wait_count("redirects", 1, |node| node.http_redirect_count);
    balancer.wait_count("fixed responses", 2, |node| node.http_fixed_response_count);
    balancer.wait_count("3XX", 1, |node| node.elb_3xx);
    balancer.wait_count("evaluations", 2 + 1 + 1 + 2 + 2, |node| {
        node.rule_evaluations
    });
}
