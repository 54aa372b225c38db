//! Properties of every parser on a request's way, over arbitrary and over nearly right input.

use std::net::IpAddr;
use std::time::SystemTime;

use proptest::prelude::*;

use super::forward::{self, Arrival};
use crate::config::Attributes;
use crate::http::body::{Body, Keep};
use crate::http::field::{Field, field};
use crate::http::request::{self, fields};
use crate::http::target::{decode_unreserved, is_host, normal_path};
use crate::http::{desync, response};
use crate::routing::Wildcard;
use crate::sticky;

/// What heads are made of when somebody wants parsers to disagree.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET / HTTP/1.1\r\n".to_owned()),
        Just("POST /a?b HTTP/1.1\r\n".to_owned()),
        Just("OPTIONS * HTTP/1.0\r\n".to_owned()),
        Just("Host: h\r\n".to_owned()),
        Just("Content-Length: 5\r\n".to_owned()),
        Just("Content-Length: 6\r\n".to_owned()),
        Just("Content-Length:+5\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Transfer-Encoding: identity, chunked\r\n".to_owned()),
        Just("Transfer-Encoding : chunked\r\n".to_owned()),
        Just("transfer_encoding: chunked\r\n".to_owned()),
        Just("Connection: close, x-a, content-length\r\n".to_owned()),
        Just("X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n".to_owned()),
        Just("X-Amzn-Trace-Id: Root=1-2;Self=3;a=b\r\n".to_owned()),
        Just("Cookie: AWSALB=x; AWSALBTG=y\r\n".to_owned()),
        Just(" folded\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        "[ -~]{0,12}: [ -~]{0,12}\r\n",
        "[ -~]{0,20}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        pieces(),
        pieces().prop_map(|rest| {
            let mut head = b"POST / HTTP/1.1\r\nHost: h\r\n".to_vec();
            head.extend(rest);
            head.extend(b"\r\n\r\n");
            head
        }),
    ]
}

fn rewritten(head: &request::Request<'_, '_>) -> Option<Vec<u8>> {
    let arrival = Arrival {
        client: IpAddr::from([192, 0, 2, 7]),
        client_port: 1,
        listener_port: 80,
        session: None,
        dns_name: "lb",
        trace_id: b"1-2-3",
        changes: &Default::default(),
        rewritten: &Default::default(),
    };
    let mut out = Vec::new();
    forward::write(&mut out, head, &arrival, &Attributes::default()).ok()?;
    Some(out)
}

/// A chunked body read in pieces of these lengths: what is kept of it, and what follows its end.
fn read_chunked(bytes: &[u8], lengths: &[usize], keep: Keep) -> Option<(Vec<u8>, bool, usize)> {
    let mut body = Body::chunked();
    let (mut kept, mut at, mut turn) = (Vec::new(), 0, 0);
    while at < bytes.len() && !body.is_done() {
        let length = lengths
            .get(turn % lengths.len().max(1))
            .copied()
            .unwrap_or(1)
            .max(1);
        turn += 1;
        let mut piece = bytes[at..(at + length).min(bytes.len())].to_vec();
        let progress = body.advance(&mut piece, keep).ok()?;
        assert!(progress.kept <= progress.consumed && progress.consumed <= piece.len());
        kept.extend_from_slice(&piece[..progress.kept]);
        at += progress.consumed;
    }
    if keep == Keep::Framing {
        kept.extend(body.take_trailers().into_iter().flatten());
    }
    Some((kept, body.is_done(), at))
}

fn chunked() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..20).prop_map(|data| {
            let mut chunk = format!("{:X};a=b\r\n", data.len()).into_bytes();
            chunk.extend(data);
            chunk.extend(b"\r\n");
            chunk
        }),
        "[0-9a-fA-F;\r\n ]{0,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(chunk, 0..6).prop_map(|chunks| {
        let mut body = chunks.concat();
        body.extend(b"0\r\nX-Sum: x\r\nHost: y\r\n\r\nnext");
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is accepted reaches a target in one reading: the rewritten head parses to the same
    /// method, target and body, is entirely consumed, and has one framing and one host.
    #[test]
    fn accepted_heads_have_one_reading(input in input()) {
        let mut room = fields();
        if let Ok(Some(head)) = request::parse(&input, &mut room) {
            prop_assert!(head.length <= input.len());
            if let Some(out) = rewritten(&head) {
                let mut again = fields();
                let parsed = request::parse(&out, &mut again);
                let parsed = parsed.expect("a head of ours").expect("a whole head");
                prop_assert_eq!(parsed.length, out.len());
                prop_assert_eq!(parsed.method, head.method);
                prop_assert_eq!(parsed.target.path, head.target.path);
                prop_assert_eq!(parsed.target.query, head.target.query);
                prop_assert_eq!(&parsed.body, &head.body);
                let count = |kind| parsed.headers.iter().filter(|h| field(h.name) == kind).count();
                prop_assert_eq!(count(Field::Host), 1);
                prop_assert!(count(Field::ContentLength) + count(Field::TransferEncoding) <= 1);
                prop_assert!(parsed.classification.tier <= desync::Tier::Ambiguous);
            }
        }
    }

    /// More bytes after a complete head change nothing of it.
    #[test]
    fn heads_end_where_they_end(input in input(), more in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut room = fields();
        if let Ok(Some(head)) = request::parse(&input, &mut room) {
            let longer = [&input[..], &more].concat();
            let mut room = fields();
            let parsed = request::parse(&longer, &mut room).unwrap().unwrap();
            prop_assert_eq!(parsed.length, head.length);
            prop_assert_eq!(parsed.raw_target, head.raw_target);
        }
    }

    #[test]
    fn responses_never_panic(input in input(), to_head in any::<bool>()) {
        let mut room = fields();
        let head = [b"HTTP/1.1 200 OK\r\n", &input[..]].concat();
        for input in [&input, &head] {
            if let Ok(Some(parsed)) = response::parse(input, &mut room, to_head) {
                assert!(parsed.length <= input.len());
            }
            room = fields();
        }
    }

    /// How a chunked body is cut into reads does not matter, and what is passed on reads the same.
    #[test]
    fn chunked_bodies_do_not_depend_on_reads(
        bytes in prop_oneof![chunked(), prop::collection::vec(any::<u8>(), 0..100)],
        lengths in prop::collection::vec(1usize..30, 1..5),
    ) {
        for keep in [Keep::Data, Keep::Framing] {
            let whole = read_chunked(&bytes, &[bytes.len().max(1)], keep);
            let pieces = read_chunked(&bytes, &lengths, keep);
            prop_assert_eq!(&whole, &pieces);
            if let (Keep::Framing, Some((kept, true, _))) = (keep, whole) {
                let data = read_chunked(&bytes, &lengths, Keep::Data).map(|(data, ..)| data);
                let again = read_chunked(&kept, &lengths, Keep::Data).expect("chunks of ours");
                prop_assert_eq!(Some(again.0), data);
                prop_assert_eq!(again.2, kept.len());
            }
        }
    }

    #[test]
    fn cookies_never_panic(header in prop::collection::vec(any::<u8>(), 0..100), text in "\\PC{0,60}") {
        let _ = sticky::cookie(&header, "AWSALB");
        let _ = sticky::sets(&header, "AWSALB");
        let _ = sticky::decode(&text, SystemTime::now());
        let given = format!("a=b; AWSALB={}; c=d", "x");
        prop_assert_eq!(sticky::cookie(given.as_bytes(), "AWSALB"), Some("x"));
    }

    /// Against the obvious way to match, which takes exponential time.
    #[test]
    fn wildcards_match_as_they_should(pattern in "[ab*?]{0,7}", text in "[abc]{0,9}") {
        fn obvious(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) if obvious(rest, text) => true,
                (Some((b'*', _)), Some((_, tail))) => obvious(pattern, tail),
                (Some((b'?', rest)), Some((_, tail))) => obvious(rest, tail),
                (Some((byte, rest)), Some((first, tail))) => byte == first && obvious(rest, tail),
                _ => false,
            }
        }
        let expected = obvious(pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(Wildcard::new(&pattern, false).matches(text.as_bytes()), expected);
    }

    /// No spelling of a path escapes upwards, and normal paths stay as they are.
    #[test]
    fn paths_become_normal_once(path in "/[a./%2eE0-9]{0,20}") {
        let normal = normal_path(&path).into_owned();
        prop_assert!(normal.starts_with('/'));
        prop_assert!(!normal.split('/').any(|segment| segment == ".."), "{}", normal);
        let _ = decode_unreserved(&path);
        let _ = is_host(&path);
    }
}
