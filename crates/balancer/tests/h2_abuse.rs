//! HTTP/2 as no library would send it: pseudo-headers that lie, fields that HTTP/2 does not have,
//! floods of resets. Frames are made by hand.

mod common;

use std::io::{Read, Write};
use std::net::SocketAddr;

use balancer::config::Certificate;
use common::tls::*;
use common::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// What a stream comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Status(u16),
    /// The stream alone.
    Reset,
    /// The whole connection.
    Gone,
}

struct Raw(SecureClient);

impl Raw {
    fn connect(balancer: &Balancer, made: &Certificate) -> Raw {
        let address = SocketAddr::new(balancer.address.ip(), SECURE_PORT);
        let config = client_config(&[made], &[b"h2"]);
        let mut raw = Raw(SecureClient::connect(address, "a.example", config));
        raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.write(&frame(SETTINGS, 0, 0, b""));
        raw
    }

    /// Closed on their side is as good: what was said before is read.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.0.write_all(bytes);
    }

    fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.0.read_exact(&mut head).ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.0.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }

    fn end(&mut self) -> End {
        self.end_of(1)
    }

    fn end_of(&mut self, stream: u32) -> End {
        loop {
            match self.frame() {
                Some((HEADERS, _, of, block)) if of == stream => {
                    return End::Status(status(&block));
                }
                Some((RST_STREAM, _, of, _)) if of == stream => return End::Reset,
                Some((GO_AWAY, ..)) | None => return End::Gone,
                Some((SETTINGS, flags, ..)) if flags & ACK == 0 => {
                    self.write(&frame(SETTINGS, ACK, 0, b""));
                }
                Some(_) => {}
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Fields as literals, neither indexed nor compressed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// What the h2 crate makes of `:status`: an entry of the static table, or a literal after its name.
fn status(block: &[u8]) -> u16 {
    // Entries 8 to 14 (RFC 7541, appendix A).
    let known = [200, 204, 206, 304, 400, 404, 500];
    match block[0] {
        first @ 0x88..=0x8e => known[usize::from(first - 0x88)],
        _ => {
            let length = usize::from(block[1] & 0x7f);
            let text = &block[2..2 + length];
            match block[1] & 0x80 {
                0 => std::str::from_utf8(text).unwrap().parse().unwrap(),
                // Digits in Huffman's code: 0 to 2 have five bits, 3 to 9 six.
                _ => huffman_digits(text),
            }
        }
    }
}

fn huffman_digits(text: &[u8]) -> u16 {
    let bits: Vec<u8> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let of = |count: usize| {
            bits[at..at + count]
                .iter()
                .fold(0, |sum, bit| sum << 1 | bit)
        };
        let (digit, length) = match of(5) {
            digit @ 0..=2 => (digit, 5),
            _ => (of(6) - 0x19 + 3, 6),
        };
        at += length;
        number = number * 10 + u16::from(digit);
    }
    number
}

const USUAL: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/"),
    (":authority", "a.example"),
];

fn start(target: &Server) -> (Balancer, Certificate) {
    let made = certificate(&["a.example"]);
    let balancer = Balancer::start(&[target], |config| {
        secure(config, std::slice::from_ref(&made));
    });
    (balancer, made)
}

#[test]
fn heads_that_no_http1_request_could_have() {
    let target = Server::start("one");
    let (balancer, made) = start(&target);
    let check = |what: &str, fields: &[(&str, &str)], expected: &[End]| {
        let mut raw = Raw::connect(&balancer, &made);
        let before = target.count();
        raw.write(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields)));
        let end = raw.end();
        assert!(expected.contains(&end), "{what}: {end:?}");
        let reached = usize::from(end == End::Status(200));
        assert_eq!(target.count() - before, reached, "{what}");
    };
    let with = |more: &[(&'static str, &'static str)]| [&USUAL[..], more].concat();
    let instead = |name: &str, value: &'static str| {
        USUAL.map(|(known, usual)| (known, if known == name { value } else { usual }))
    };
    let without = |name: &str| {
        let kept = USUAL.iter().filter(|(known, _)| *known != name);
        kept.copied().collect::<Vec<_>>()
    };
    let refused = &[End::Reset, End::Gone, End::Status(400)];
    check("as it should be", &USUAL, &[End::Status(200)]);
    check(
        "te: trailers",
        &with(&[("te", "trailers")]),
        &[End::Status(200)],
    );
    check(
        "a host that agrees",
        &with(&[("host", "a.example")]),
        &[End::Status(200)],
    );
    check(
        "a host that does not",
        &with(&[("host", "b.example")]),
        refused,
    );
    check("no path", &without(":path"), refused);
    check("no method", &without(":method"), refused);
    check("no authority", &without(":authority"), refused);
    check("an empty path", &instead(":path", ""), refused);
    check("a path with a space", &instead(":path", "/a b"), refused);
    check(
        "a path with a line end",
        &instead(":path", "/ HTTP/1.1\r\nX: y"),
        refused,
    );
    check(
        "a path with an authority",
        &instead(":path", "http://b.example/"),
        refused,
    );
    check("a path without a slash", &instead(":path", "evil"), refused);
    check(
        "a method with a space",
        &instead(":method", "GET / HTTP/1.1"),
        refused,
    );
    check(
        "a method with a line end",
        &instead(":method", "GET\r\n"),
        refused,
    );
    check(
        "an authority with a line end",
        &instead(":authority", "a\r\nX: y"),
        refused,
    );
    check(
        "an authority with a path",
        &instead(":authority", "a.example/b"),
        refused,
    );
    check(
        "an authority with a user",
        &instead(":authority", "u@a.example"),
        refused,
    );
    check("two paths", &with(&[(":path", "/b")]), refused);
    check(
        "two authorities",
        &with(&[(":authority", "b.example")]),
        refused,
    );
    check(
        "a pseudo-header nobody knows",
        &with(&[(":evil", "x")]),
        refused,
    );
    check(
        "a pseudo-header of responses",
        &with(&[(":status", "200")]),
        refused,
    );
    let late = [&[("x", "y")], &USUAL[..]].concat();
    check("pseudo-headers after others", &late, refused);
    check("a name in upper case", &with(&[("X-Upper", "y")]), refused);
    check("a name with a colon", &with(&[("x:y", "z")]), refused);
    check(
        "a name with a line end",
        &with(&[("x\r\nhost", "z")]),
        refused,
    );
    check(
        "a value with a line end",
        &with(&[("x", "y\r\nz: 1")]),
        refused,
    );
    check("a value with a NUL", &with(&[("x", "y\0z")]), refused);
    check("connection", &with(&[("connection", "close")]), refused);
    check("upgrade", &with(&[("upgrade", "websocket")]), refused);
    check(
        "transfer-encoding",
        &with(&[("transfer-encoding", "chunked")]),
        refused,
    );
    check("te: gzip", &with(&[("te", "gzip")]), refused);
    check(
        "a length of what does not come",
        &with(&[("content-length", "5")]),
        refused,
    );
    check(
        "a length that is none",
        &with(&[("content-length", "+1")]),
        refused,
    );
    let tunnel = [(":method", "CONNECT"), (":authority", "a.example:443")];
    check(
        "a tunnel",
        &tunnel,
        &[End::Reset, End::Gone, End::Status(405)],
    );
    let upgrade = with(&[(":protocol", "websocket")]);
    check("a protocol", &upgrade, refused);
    // What reached the target is what was let through, as one request each.
    for head in target.seen.lock().unwrap().iter() {
        assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    }
}

#[test]
fn a_flood_of_resets_ends_its_connection_and_no_other() {
    let target = Server::start("one");
    let (balancer, made) = start(&target);
    let mut other = Raw::connect(&balancer, &made);
    let mut flood = Raw::connect(&balancer, &made);
    let head = block(&USUAL);
    let cancel = 8u32.to_be_bytes();
    let mut ended = false;
    for turn in 0..20_000u32 {
        let stream = turn * 2 + 1;
        let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
        both.extend(frame(RST_STREAM, 0, stream, &cancel));
        // Closed under it, or it is told why.
        ended = flood.0.0.write_all(&both).is_err();
        if ended {
            break;
        }
    }
    while !ended {
        let (kind, ..) = flood.frame().expect("the end of the connection");
        ended = kind == GO_AWAY;
    }
    other.write(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head));
    assert_eq!(other.end(), End::Status(200));
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn heads_without_end_are_not_kept() {
    let target = Server::start("one");
    let (balancer, made) = start(&target);
    let mut raw = Raw::connect(&balancer, &made);
    // CONTINUATION frames that never end the head: 16 MB, were they taken.
    let field = block(&[("x", &"y".repeat(100))]).repeat(150);
    raw.write(&frame(HEADERS, END_STREAM, 1, &block(&USUAL)));
    for _ in 0..1000 {
        raw.write(&frame(CONTINUATION, 0, 1, &field));
    }
    assert!([End::Gone, End::Reset, End::Status(431)].contains(&raw.end()));
    assert_eq!(target.count(), 0);
    assert_eq!(balancer.get("/").status, 200);
}

/// What RFC 9113 makes of frames that should not be, as h2spec asks: nothing, or the connection's end.
#[test]
fn frames_that_should_not_be() {
    let target = Server::start("one");
    let (balancer, made) = start(&target);
    let head = block(&USUAL);
    let get = |stream: u32| frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
    let post = |stream: u32| frame(HEADERS, END_HEADERS, stream, &head);
    let setting = |id: u16, value: u32| {
        let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, &payload)
    };
    let update = |stream: u32, by: u32| frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    // A good request follows on this stream: answered, or not any more.
    const NEXT: u32 = 101;
    let check = |what: &str, frames: &[Vec<u8>], expected: End| {
        let mut raw = Raw::connect(&balancer, &made);
        raw.write(&[&frames.concat()[..], &get(NEXT)].concat());
        assert_eq!(raw.end_of(NEXT), expected, "{what}");
    };
    let fine = |what: &str, frames: &[Vec<u8>]| check(what, frames, End::Status(200));
    fine("nothing", &[]);
    fine("a frame nobody knows", &[frame(0xfa, 0xff, 0, b"?")]);
    fine("a setting nobody knows", &[setting(0xfa, 1)]);
    fine("a ping", &[frame(PING, 0, 0, &[7; 8])]);
    fine("a priority", &[frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 15])]);
    let padded = [&[3][..], &head, &[0; 3]].concat();
    let flags = END_HEADERS | END_STREAM | PADDED;
    fine("padding", &[frame(HEADERS, flags, 1, &padded)]);
    let gone = |what: &str, frames: &[Vec<u8>]| check(what, frames, End::Gone);
    gone("data on no stream", &[frame(DATA, 0, 0, b"x")]);
    gone(
        "data on a stream that was not opened",
        &[frame(DATA, 0, 1, b"x")],
    );
    gone("a head on no stream", &[get(0)]);
    gone("a head on a server's stream", &[get(2)]);
    gone("a head on a stream that was passed over", &[get(5), get(3)]);
    gone(
        "a frame too long",
        &[post(1), frame(DATA, 0, 1, &[0; 16_385])],
    );
    gone("settings cut short", &[frame(SETTINGS, 0, 0, &[0; 5])]);
    gone("settings of a stream", &[frame(SETTINGS, 0, 1, b"")]);
    gone(
        "an acknowledgement that says more",
        &[frame(SETTINGS, ACK, 0, &[0; 6])],
    );
    gone("half a push", &[setting(2, 2)]);
    gone("a window without end", &[setting(4, 1 << 31)]);
    gone("frames that are too short", &[setting(5, 16_383)]);
    gone("a ping cut short", &[frame(PING, 0, 0, &[0; 7])]);
    gone("a ping of a stream", &[frame(PING, 0, 1, &[0; 8])]);
    gone("a window that does not grow", &[update(0, 0)]);
    gone("a window that overflows", &[update(0, 0x7fff_ffff)]);
    gone("a reset of no stream", &[frame(RST_STREAM, 0, 0, &[0; 4])]);
    gone(
        "a reset of a stream not opened",
        &[frame(RST_STREAM, 0, 1, &[0; 4])],
    );
    gone(
        "a reset cut short",
        &[post(1), frame(RST_STREAM, 0, 1, &[0; 3])],
    );
    gone(
        "a continuation of nothing",
        &[frame(CONTINUATION, END_HEADERS, 1, &head)],
    );
    let open = frame(HEADERS, END_STREAM, 1, &head);
    gone(
        "a head that is interrupted",
        &[open.clone(), frame(PING, 0, 0, &[0; 8])],
    );
    gone(
        "a head that another continues",
        &[open, frame(CONTINUATION, END_HEADERS, 3, &head)],
    );
    gone(
        "a push from a client",
        &[frame(
            PUSH_PROMISE,
            END_HEADERS,
            1,
            &[&[0, 0, 0, 2], &head[..]].concat(),
        )],
    );
    gone(
        "more padding than frame",
        &[frame(HEADERS, flags, 1, &[200, 0x82])],
    );
    gone(
        "an index of nothing",
        &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80])],
    );
    gone(
        "a table that outgrows its limit",
        &[frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &[0x3f, 0xff, 0xff, 0xff, 0x0f],
        )],
    );
    let mut raw = Raw::connect(&balancer, &made);
    raw.write(&[get(1), frame(DATA, END_STREAM, 1, b"more than was said")].concat());
    assert_ne!(raw.end_of(3), End::Status(200));
    assert_eq!(balancer.get("/").status, 200);
}
