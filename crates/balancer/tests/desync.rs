//! Requests that two parsers might read differently, in every desync mode: what the client gets, and
//! that a target never sees more or other requests than the rules did (A/edit-load-balancer-attributes.html).

mod common;

use balancer::config::*;
use common::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Forwarded, and the connection serves another.
    Kept,
    /// Forwarded, then closed.
    Closed,
    /// Answered by the load balancer, then closed.
    Refused(u16),
}
use End::{Closed, Kept, Refused};

/// Sent after each case on the same connection: what a smuggler wants to see served, or not.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";

struct Case {
    name: &'static str,
    request: &'static str,
    monitor: End,
    defensive: End,
    strictest: End,
}

/// The same in every mode.
const fn always(name: &'static str, request: &'static str, end: End) -> Case {
    Case {
        name,
        request,
        monitor: end,
        defensive: end,
        strictest: end,
    }
}

const fn ambiguous(name: &'static str, request: &'static str) -> Case {
    Case {
        name,
        request,
        monitor: Kept,
        defensive: Closed,
        strictest: Refused(400),
    }
}

const fn acceptable(name: &'static str, request: &'static str) -> Case {
    Case {
        name,
        request,
        monitor: Kept,
        defensive: Kept,
        strictest: Refused(400),
    }
}

/// Beyond what it may say, and read in one way all the same.
const fn severe(name: &'static str, request: &'static str) -> Case {
    Case {
        name,
        request,
        monitor: Closed,
        defensive: Refused(400),
        strictest: Refused(400),
    }
}

const CASES: &[Case] = &[
    always("plain", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", Kept),
    always(
        "body by length",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        Kept,
    ),
    always(
        "body by chunks",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Kept,
    ),
    // Both framings: chunks count, and what the length would have left over is not a request.
    ambiguous(
        "length shorter than chunks",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n",
    ),
    ambiguous(
        "length longer than chunks",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n",
    ),
    ambiguous(
        "one length twice",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    severe(
        "two lengths",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    ),
    severe(
        "a list of lengths",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
    ),
    severe(
        "a length with a sign",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
    ),
    always(
        "a negative length",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc",
        Refused(400),
    ),
    always(
        "a length in hexadecimal",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc",
        Refused(400),
    ),
    always(
        "no length in Content-Length",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nabc",
        Refused(400),
    ),
    always(
        "a length that overflows",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\na",
        Refused(400),
    ),
    always(
        "another coding",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        Refused(501),
    ),
    severe(
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    severe(
        "chunked twice in a list",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    severe(
        "no coding",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc",
    ),
    ambiguous(
        "a space before the colon",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc",
    ),
    always(
        "a vertical tab before the value",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\nContent-Length: 3\r\n\r\nabc",
        Refused(400),
    ),
    ambiguous(
        "chunks of HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ambiguous(
        "an underscore for the hyphen",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ),
    ambiguous(
        "a length under another name",
        "GET / HTTP/1.1\r\nHost: h\r\nContent.Length: 30\r\n\r\n",
    ),
    ambiguous(
        "a GET with a body",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    ),
    ambiguous(
        "a GET in chunks",
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    acceptable(
        "a GET with a body of no bytes",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    ),
    acceptable(
        "a header beyond ASCII",
        "GET / HTTP/1.1\r\nHost: h\r\nX: \u{e9}\r\n\r\n",
    ),
    ambiguous(
        "a folded header",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n",
    ),
    ambiguous(
        "a folded first header",
        "GET / HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n",
    ),
    always(
        "a folded media type",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b;\r\n c=d\r\n\r\n",
        Kept,
    ),
    always(
        "a folded length",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 3\r\n\r\nabc",
        Refused(400),
    ),
    always(
        "a folded coding",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    acceptable(
        "lines that end in a bare LF",
        "POST / HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc",
    ),
    acceptable(
        "one bare LF, which some take for a part of the value",
        "POST / HTTP/1.1\r\nHost: h\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    severe(
        "a bare CR",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
    ),
    severe(
        "a NUL in a header",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    ),
    severe(
        "a NUL in the target",
        "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    severe(
        "a CR in the target",
        "GET /a\rb HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    always(
        "a NUL in a length",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\0\r\n\r\nabc",
        Refused(400),
    ),
    ambiguous(
        "a header without a name",
        "GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
    ),
    ambiguous(
        "a line that is no header",
        "GET / HTTP/1.1\r\nHost: h\r\nGET /evil HTTP/1.1\r\n\r\n",
    ),
    always("no host", "GET / HTTP/1.1\r\n\r\n", Refused(400)),
    always(
        "a host with a path",
        "GET / HTTP/1.1\r\nHost: h/evil\r\n\r\n",
        Refused(400),
    ),
    always(
        "a host with a user",
        "GET / HTTP/1.1\r\nHost: a@h\r\n\r\n",
        Refused(400),
    ),
    acceptable(
        "a space in the target",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    ambiguous(
        "a control character in the target",
        "GET /a\x01b HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    acceptable(
        "a version that nobody has",
        "GET / HTTP/1.3\r\nHost: h\r\n\r\n",
    ),
    acceptable(
        "blanks around the version",
        "GET /  HTTP/1.1 \r\nHost: h\r\n\r\n",
    ),
    acceptable(
        "a name that is none",
        "GET / HTTP/1.1\r\nHost: h\r\nX@Y: 1\r\n\r\n",
    ),
    acceptable(
        "a control character in a value",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01b\r\n\r\n",
    ),
    ambiguous(
        "a line of blanks",
        "GET / HTTP/1.1\r\nHost: h\r\n \t\r\nX: 1\r\n\r\n",
    ),
    always(
        "two lengths, one with a space before its colon",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length : 4\r\n\r\nabcd",
        Refused(400),
    ),
    always(
        "a target that is none",
        "GET evil HTTP/1.1\r\nHost: h\r\n\r\n",
        Refused(400),
    ),
    always(
        "a tunnel",
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        Refused(405),
    ),
    always(
        "another version",
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        Refused(505),
    ),
    always("no version", "GET /\r\nHost: h\r\n\r\n", Refused(400)),
    always(
        "a broken chunk size",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3x\r\nabc\r\n0\r\n\r\n",
        Refused(400),
    ),
    always(
        "a chunk longer than it says",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        Refused(400),
    ),
    always(
        "chunks whose lines end in a bare LF",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        Refused(400),
    ),
];

#[test]
fn every_case_in_every_mode() {
    let served = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = served.clone();
    let target = Server::with("one", move |client, request, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let length = path.len();
        client.send(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}"
        ));
    });
    let mut balancer = Balancer::start(&[&target], |_| {});
    for mode in [
        DesyncMode::Monitor,
        DesyncMode::Defensive,
        DesyncMode::Strictest,
    ] {
        balancer.change(|config| config.balancer().attributes.desync_mitigation_mode = mode);
        for case in CASES {
            let expected = match mode {
                DesyncMode::Monitor => case.monitor,
                DesyncMode::Defensive => case.defensive,
                DesyncMode::Strictest => case.strictest,
            };
            let before = served.load(Ordering::Relaxed);
            let mut client = balancer.connect();
            client.send(&[case.request, NEXT].concat());
            let what = format!("{} ({mode:?})", case.name);
            let first = client.response();
            let got = match first.status {
                200 if first.header("connection") == Some("close") => Closed,
                200 => Kept,
                status => Refused(status),
            };
            assert_eq!(got, expected, "{what}");
            let reached = match got {
                Kept => {
                    assert_eq!(client.response().body, "/next", "{what}");
                    2
                }
                Closed | Refused(_) => {
                    assert!(client.is_closed(), "{what}");
                    usize::from(got == Closed)
                }
            };
            assert_eq!(served.load(Ordering::Relaxed) - before, reached, "{what}");
            if reached > 0 {
                check_framing(&target, &what);
            }
        }
    }
}

/// Of what a target saw every head has one framing at most, and no line that a client ended its way.
fn check_framing(target: &Server, what: &str) {
    for request in target.seen.lock().unwrap().iter() {
        let (head, _) = request.split_once("\r\n\r\n").unwrap();
        let lower = head.to_ascii_lowercase();
        let framings = lower.matches("\r\ncontent-length:").count()
            + lower.matches("\r\ntransfer-encoding:").count();
        assert!(framings <= 1, "{what}: {head}");
        assert!(
            !head.replace("\r\n", "").contains(['\r', '\n']),
            "{what}: {head}"
        );
    }
    target.seen.lock().unwrap().clear();
}

#[test]
fn requests_that_depart_from_http_are_counted() {
    let target = Server::start("one");
    let mut balancer = Balancer::start(&[&target], |_| {});
    for (fields, status) in [
        ("", 200),
        ("Content-Length: 0\r\n", 200),
        ("Content_Length: 0\r\n", 200),
        ("Content-Length: +1\r\n", 400),
        ("no colon\r\n", 200),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(balancer.ask(&request).status, status, "{fields}");
    }
    // Refused for what it asks, not for how.
    assert_eq!(
        balancer.ask("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n").status,
        405
    );
    balancer.wait_count("4XX", 2, |node| node.elb_4xx);
    balancer.wait_count("departures", 4, |node| node.non_compliant_request_count);
}
