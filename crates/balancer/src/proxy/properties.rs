//! What holds of every parser on a request's way, whatever comes.
//!
//! Each check takes bytes and panics if it does not hold. Random input is given them by the tests
//! beside this, input that a search by coverage came upon by `fuzz/`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

use super::forward::{self, Arrival};
use super::h2::head as http2;
use crate::config::{Attributes, Protocol};
use crate::http::body::{Body, Keep};
use crate::http::field::{Field, field};
use crate::http::mend::mend;
use crate::http::request::{self, fields};
use crate::http::target::{decode_unreserved, is_host, normal_path};
use crate::http::{desync, response, trailer};
use crate::network::proxy_header;
use crate::routing::Wildcard;
use crate::sticky;

/// The head for a target.
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

/// Whatever is accepted reaches a target in one reading: the rewritten head parses to the same method,
/// target and body, is entirely consumed, and has one framing and one host. More bytes after a
/// complete head change nothing of it.
pub fn head(input: &[u8]) {
    let mut room = fields();
    match request::parse(input, &mut room) {
        Ok(None) => {}
        Ok(Some(head)) => {
            assert!(head.length <= input.len());
            let longer = [input, b"more"].concat();
            let mut room = fields();
            let again = request::parse(&longer, &mut room).unwrap().unwrap();
            assert_eq!(again.length, head.length);
            assert_eq!(again.raw_target, head.raw_target);
            one_reading(&head);
        }
        Err(_) => mended(input),
    }
}

/// What was mended is a whole head, and more bytes change nothing of it.
fn mended(input: &[u8]) {
    let Ok(Some(mended)) = mend(input) else {
        return;
    };
    assert!(mended.length <= input.len());
    assert!(mend(&mended.head).is_err(), "nothing is left to mend");
    let longer = [input, b"more"].concat();
    let again = mend(&longer).unwrap().unwrap();
    assert_eq!((again.length, &again.head), (mended.length, &mended.head));
    let mut room = fields();
    if let Ok(head) = request::parse(&mended.head, &mut room) {
        let head = head.expect("a whole head");
        assert_eq!(head.length, mended.head.len());
        one_reading(&head);
    }
}

fn one_reading(head: &request::Request<'_, '_>) {
    let Some(out) = rewritten(head) else { return };
    let mut room = fields();
    let parsed = request::parse(&out, &mut room);
    let parsed = parsed.expect("a head of ours").expect("a whole head");
    assert_eq!(parsed.length, out.len());
    assert_eq!(parsed.method, head.method);
    assert_eq!(parsed.target.path, head.target.path);
    assert_eq!(parsed.target.query, head.target.query);
    assert_eq!(parsed.body, head.body);
    let count = |kind| {
        let headers = parsed.headers.iter();
        headers.filter(|h| field(h.name) == kind).count()
    };
    assert_eq!(count(Field::Host), 1);
    assert!(count(Field::ContentLength) + count(Field::TransferEncoding) <= 1);
    assert!(parsed.classification.tier <= desync::Tier::Ambiguous);
}

/// A response ends within what came, to a HEAD request too.
pub fn response(input: &[u8]) {
    for to_head_request in [false, true] {
        let mut room = fields();
        if let Ok(Some(parsed)) = response::parse(input, &mut room, to_head_request) {
            assert!(parsed.length <= input.len());
        }
    }
}

/// A chunked body read in pieces of these lengths: what is kept of it, whether it ended, and where.
fn read_chunked(bytes: &[u8], lengths: &[usize], keep: Keep) -> Option<(Vec<u8>, bool, usize)> {
    let mut body = Body::chunked();
    let (mut kept, mut at, mut turn) = (Vec::new(), 0, 0);
    while at < bytes.len() && !body.is_done() {
        let length = lengths[turn % lengths.len()].max(1);
        turn += 1;
        let mut piece = bytes[at..(at + length).min(bytes.len())].to_vec();
        let progress = body.advance(&mut piece, keep).ok()?;
        assert!(progress.kept <= progress.consumed && progress.consumed <= piece.len());
        kept.extend_from_slice(&piece[..progress.kept]);
        at += progress.consumed;
        // After each piece, as the ways to a target do.
        if keep == Keep::Framing {
            kept.extend(body.take_trailers().into_iter().flatten());
        }
    }
    Some((kept, body.is_done(), at))
}

/// How a chunked body is cut into reads does not matter, and what is passed on reads the same. The
/// first two bytes say how it is cut.
pub fn chunked(input: &[u8]) {
    let Some((cuts, bytes)) = input.split_at_checked(2) else {
        return;
    };
    let lengths = [1 + usize::from(cuts[0] % 32), 1 + usize::from(cuts[1] % 32)];
    for keep in [Keep::Data, Keep::Framing] {
        let whole = read_chunked(bytes, &[bytes.len()], keep);
        assert_eq!(whole, read_chunked(bytes, &lengths, keep));
        if let (Keep::Framing, Some((kept, true, _))) = (keep, whole) {
            let data = read_chunked(bytes, &lengths, Keep::Data).map(|(data, ..)| data);
            let again = read_chunked(&kept, &lengths, Keep::Data).expect("chunks of ours");
            assert_eq!(Some(again.0), data);
            assert_eq!(again.2, kept.len());
        }
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = trailer::may_follow(line);
    }
}

/// The value of a cookie is a part of what came; a session that is read is written as it was.
pub fn cookies(input: &[u8]) {
    let now = SystemTime::UNIX_EPOCH;
    if let Some(value) = sticky::cookie(input, sticky::LB_COOKIE) {
        assert!(value.len() + sticky::LB_COOKIE.len() < input.len());
        assert!(!value.contains(';'));
        if let Some((group, name)) = sticky::decode(value, now) {
            let again = sticky::encode(&group, &name, std::time::Duration::from_secs(1), now);
            assert_eq!(sticky::decode(&again, now), Some((group, name)));
        }
    }
    if sticky::sets(input, sticky::LB_COOKIE) {
        assert!(input.starts_with(sticky::LB_COOKIE.as_bytes()));
    }
}

/// A wildcard pattern matches as the same regular expression does. A line has the pattern, as long as
/// rules may have them; the rest is the text.
pub fn pattern(input: &[u8]) {
    const LIMIT: usize = 128;
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let pattern = parts.next().map(std::str::from_utf8);
    let (Some(Ok(pattern)), Some(text)) = (pattern, parts.next()) else {
        return;
    };
    if pattern.len() > LIMIT {
        return;
    }
    for ignores_case in [false, true] {
        let mut expression = String::from(if ignores_case { "(?is-u)^" } else { "(?s-u)^" });
        for byte in pattern.bytes() {
            match byte {
                b'*' => expression.push_str(".*"),
                b'?' => expression.push('.'),
                byte => expression.push_str(&format!("\\x{byte:02x}")),
            }
        }
        // `$` would be content with a line's end.
        expression.push_str("\\z");
        let oracle = regex::bytes::Regex::new(&expression).expect("an expression of ours");
        let got = Wildcard::new(pattern, ignores_case).matches(text);
        assert_eq!(got, oracle.is_match(text), "{pattern:?}");
    }
    let _ = Wildcard::with_escapes(pattern).matches(text);
}

/// No spelling of a path escapes upwards, and normal paths stay as they are.
pub fn path(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let path = format!("/{text}");
    let normal = normal_path(&path).into_owned();
    assert!(normal.starts_with('/'));
    assert!(
        !normal.split('/').any(|segment| segment == ".."),
        "{normal}"
    );
    let _ = decode_unreserved(text);
    let _ = is_host(text);
}

/// A head of HTTP/2, one line with method and URI and one for each field, reaches a target in one
/// reading, whichever version that speaks.
pub fn http2_head(input: &[u8]) {
    let Some(parts) = http2_parts(input) else {
        return;
    };
    let cookie = http2::cookie(&parts.headers);
    let mut room = Vec::new();
    let Ok(head) = http2::understand(&parts, &cookie, &mut room, true) else {
        return;
    };
    let Some(out) = rewritten(&head) else { return };
    let mut room = fields();
    let parsed = request::parse(&out, &mut room);
    let parsed = parsed.expect("a head of ours").expect("a whole head");
    assert_eq!(parsed.length, out.len());
    assert_eq!((parsed.method, parsed.target), (head.method, head.target));
    assert_eq!(parsed.body, Body::NONE);
    if let Some(request) = http2::request(&out, Protocol::Http, false) {
        assert_eq!(request.method().as_str(), head.method);
        let target = request.uri().path_and_query().map(|target| target.as_str());
        assert_eq!(target, Some(head.raw_target));
    }
}

fn http2_parts(input: &[u8]) -> Option<http::request::Parts> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, uri) = first.split_once(' ')?;
    let mut request = http::Request::builder().method(method).uri(uri);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], &line[colon + 1..]);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// A PROXY header says who connected to what, in a reading that is not ours, and its sum is right. The
/// input is two addresses with ports, of one family.
pub fn proxy_header(input: &[u8]) {
    let port = |at: usize| Some(u16::from_be_bytes(input.get(at..at + 2)?.try_into().ok()?));
    let four = |at: usize| <[u8; 4]>::try_from(input.get(at..at + 4)?).ok();
    let sixteen = |at: usize| <[u8; 16]>::try_from(input.get(at..at + 16)?).ok();
    let v4 = |at| Some(SocketAddr::from((Ipv4Addr::from(four(at)?), port(at + 4)?)));
    let v6 = |at| {
        Some(SocketAddr::from((
            Ipv6Addr::from(sixteen(at)?),
            port(at + 16)?,
        )))
    };
    let pairs = [v4(0).zip(v4(6)), v6(0).zip(v6(18))];
    for (client, server) in pairs.into_iter().flatten() {
        let header = proxy_header::of(client, server);
        assert_eq!(read_proxy_header(&header), Some((client, server)));
    }
}

/// As the protocol's text says, section 2.2.
fn read_proxy_header(header: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let rest = header.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n\x21")?;
    let (&[family, high, low], rest) = rest.split_first_chunk()?;
    if rest.len() != usize::from(u16::from_be_bytes([high, low])) {
        return None;
    }
    let size = match family {
        0x11 => 4,
        0x21 => 16,
        _ => return None,
    };
    let (addresses, rest) = rest.split_at_checked(2 * size + 4)?;
    let ip = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(bytes) => Some(IpAddr::from(bytes)),
        Err(_) => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    let client = SocketAddr::new(ip(&addresses[..size])?, port(2 * size));
    let server = SocketAddr::new(ip(&addresses[size..2 * size])?, port(2 * size + 2));
    let sum = rest.strip_prefix(&[3, 0, 4])?;
    let mut blank = header.to_vec();
    blank[header.len() - 4..].fill(0);
    let expected = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&blank);
    (sum == expected.to_be_bytes()).then_some((client, server))
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
