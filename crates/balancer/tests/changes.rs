//! What listeners and rules change about heads: response fields, transforms, trailers.

mod common;

use balancer::config::*;
use common::*;

#[test]
fn listeners_set_and_hide_response_fields() {
    let target = Server::with("one", |client, request, _| {
        match request.contains(" /gone ") {
        true => client.close(),
        false => client.send(
            "HTTP/1.1 200 OK\r\nServer: theirs\r\nx-frame-options: ALLOW\r\nX-Own: 1\r\nContent-Length: 0\r\n\r\n",
        ),
    }
    });
    let mut balancer = Balancer::start(&[&target], |config| {
        config.balancer().listeners[0].headers.response = vec![
            ("X-Frame-Options".into(), "DENY".into()),
            ("Strict-Transport-Security".into(), "max-age=1".into()),
        ];
    });
    let check = |balancer: &Balancer, path: &str, status: u16, server: Option<&str>| {
        let response = balancer.get(path);
        assert_eq!(response.status, status);
        assert_eq!(response.header("server"), server);
        assert_eq!(response.header("x-frame-options"), Some("DENY"));
        assert_eq!(
            response.header("strict-transport-security"),
            Some("max-age=1")
        );
        assert_eq!(
            response
                .head
                .to_lowercase()
                .matches("x-frame-options")
                .count(),
            1
        );
    };
    check(&balancer, "/", 200, Some("theirs"));
    check(&balancer, "/gone", 502, Some("awselb/2.0"));
    balancer.change(|config| config.balancer().listeners[0].headers.hides_server = true);
    check(&balancer, "/", 200, None);
    check(&balancer, "/gone", 502, None);
    let mut client = balancer.connect();
    client.send("BROKEN\r\n\r\n");
    assert_eq!(client.response().header("x-frame-options"), Some("DENY"));
}

#[test]
fn transforms_change_what_targets_see() {
    let target = Server::start("one");
    let logs = std::env::temp_dir().join(format!("balancer-changes-{}", std::process::id()));
    let balancer = Balancer::start(&[&target], |config| {
        let rule = |priority, host: &str, transforms| Rule {
            priority,
            conditions: vec![Condition::HostHeader {
                values: vec![host.into()],
                regex_values: vec![],
            }],
            action: Action::forward_to(GROUP),
            transforms,
        };
        let url = |regex: &str, replace: &str| Transform::Url {
            regex: regex.into(),
            replace: replace.into(),
        };
        let host = Transform::HostHeader {
            regex: "^(.+)\\.public\\.com$".into(),
            replace: "$1.inner".into(),
        };
        config.balancer().listeners[0].rules = vec![
            rule(1, "*.public.com", vec![host, url("^/api/(.*)$", "/v2/$1")]),
            rule(2, "bad.com", vec![url("^/", "no path ")]),
        ];
        config.balancer().attributes.access_log = Some(logs.clone());
    });
    let ask = |host: &str, path: &str| {
        balancer.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
    };
    assert_eq!(ask("shop.public.com", "/api/items?x=1").status, 200);
    let head = target.last();
    assert!(head.starts_with("GET /v2/items?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nHost: shop.inner:8080\r\n"), "{head}");
    assert_eq!(ask("shop.public.com", "/other").status, 200);
    assert!(target.last().starts_with("GET /other HTTP/1.1\r\n"));
    assert_eq!(ask("bad.com", "/").status, 500);
    assert_eq!(ask("plain.com", "/api/x").status, 200);
    assert!(target.last().starts_with("GET /api/x HTTP/1.1\r\n"));
    // Lines are written when the balancer ends.
    drop(balancer);
    let log = std::fs::read_to_string(logs.join("a.log")).unwrap();
    std::fs::remove_dir_all(&logs).unwrap();
    let ends = [
        "\"shop.inner\" \"/v2/items?x=1\" \"TransformSuccess\"",
        "\"shop.inner\" \"-\" \"TransformSuccess\"",
        "\"-\" \"-\" \"TransformInvalidPath\"",
        "\"-\" \"-\" \"-\"",
    ];
    assert_eq!(log.lines().count(), ends.len(), "{log}");
    for (line, end) in log.lines().zip(ends) {
        assert!(line.ends_with(end), "{line}");
        assert!(line.contains(" TID_"), "{line}");
    }
}

#[test]
fn trailers_pass_both_ways_but_for_those_that_could_lie() {
    let target = Server::with("echo", |client, request, _| {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        client.send(&format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
    });
    let balancer = Balancer::start(&[&target], |_| {});
    let mut client = balancer.connect();
    for pause in [false, true] {
        client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        client.send("3\r\nabc\r\n0\r\nX-Su");
        if pause {
            // Into the midst of a trailer's name.
            while target
                .connections
                .load(std::sync::atomic::Ordering::Relaxed)
                == 0
            {
                std::thread::yield_now();
            }
        }
        client.send("m: 1\r\nContent-Length: 9\r\nHost: evil\r\n\r\n");
        assert_eq!(client.response().body, "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
        let seen = target.last();
        assert!(seen.contains("\r\nTrailer: X-Sum\r\n"), "{seen}");
        assert!(seen.ends_with("0\r\nX-Sum: 1\r\n\r\n"), "{seen}");
    }
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno field\r\n\r\n",
    );
    assert_eq!(client.response().status, 400);
}
