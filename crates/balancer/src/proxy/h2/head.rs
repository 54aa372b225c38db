//! Heads between HTTP/2 and what the rest of the balancer works with.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, Uri};
use httparse::Header;

use crate::config::Protocol;
use crate::config::header::Changes;
use crate::http::answer::Answer;
use crate::http::body::Body;
use crate::http::desync::{Classification, Tier, is_suspicious_name};
use crate::http::field::{Connection, Field, content_length, field, named_by_connection};
use crate::http::request::{FIELD_LIMIT, LINE_LIMIT, Refused, Request};
use crate::http::response;
use crate::http::target::{Target, is_host};
use crate::http::trailer::may_follow;

/// Cookies of one request in one field again: HTTP/2 lets clients split them (RFC 9113 §8.2.3).
pub fn cookie(headers: &HeaderMap) -> Vec<u8> {
    let pieces: Vec<&[u8]> = headers
        .get_all(http::header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    pieces.join(&b"; "[..])
}

/// The request as HTTP/1.1 would have brought it. What `h2` lets through and no HTTP/1.1 head can
/// say is refused, so that no spelling of a pseudo-header reaches a target.
pub fn understand<'h, 'b>(
    parts: &'b Parts,
    cookie: &'b [u8],
    room: &'h mut Vec<Header<'b>>,
    is_end: bool,
) -> Result<Request<'h, 'b>, Refused> {
    let method = parts.method.as_str();
    if method == "TRACE" || method == "CONNECT" {
        return Err(Refused::Method);
    }
    let raw_target = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if raw_target.len() > LINE_LIMIT {
        return Err(Refused::UriTooLong);
    }
    let target = match Target::parse(raw_target) {
        Some(target) if target.authority.is_none() => target,
        _ => return Err(Refused::Malformed("BadUri")),
    };
    if raw_target == "*" && method != "OPTIONS" {
        return Err(Refused::Malformed("BadUri"));
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let mut host = None;
    let mut length = raw_target.len() + method.len();
    let mut declared: Option<u64> = None;
    let (mut user_agent, mut trace_id) = (&b""[..], None);
    let mut found = Classification::default();
    for (name, value) in &parts.headers {
        let (name, value) = (name.as_str(), value.as_bytes());
        length += name.len() + value.len() + 4;
        if name.len() + value.len() > LINE_LIMIT {
            return Err(Refused::Malformed("BadHeader"));
        }
        match field(name) {
            Field::Host => {
                let text = std::str::from_utf8(value).ok();
                host = Some(text.ok_or(Refused::Malformed("BadHeader"))?);
            }
            Field::ContentLength => {
                let length = content_length(value).ok_or(Refused::Malformed("BadContentLength"))?;
                if declared
                    .replace(length)
                    .is_some_and(|other| other != length)
                {
                    return Err(Refused::Malformed("MultipleContentLength"));
                }
            }
            Field::UserAgent if user_agent.is_empty() => user_agent = value,
            Field::TraceId => _ = trace_id.get_or_insert(value),
            Field::Connection | Field::TransferEncoding | Field::Upgrade => {
                return Err(Refused::Malformed("BadHeader"));
            }
            Field::Other if is_suspicious_name(name) => {
                found.note(Tier::Ambiguous, "SuspiciousHeader");
            }
            _ => {}
        }
        if value
            .iter()
            .any(|byte| !matches!(byte, b'\t' | b' '..=b'~'))
        {
            found.note(Tier::Acceptable, "NonCompliantHeader");
        }
        if field(name) != Field::Cookie {
            room.push(Header { name, value });
        }
    }
    if !cookie.is_empty() {
        room.push(Header {
            name: "cookie",
            value: cookie,
        });
    }
    if room.len() > FIELD_LIMIT {
        return Err(Refused::Malformed("BadHeader"));
    }
    let host = match (authority, host) {
        // Two names for one server: one of them is a lie (RFC 9113 §8.3.1).
        (Some(one), Some(other)) if !one.eq_ignore_ascii_case(other) => None,
        (one, other) => one.or(other),
    };
    let host = host.filter(|host| is_host(host));
    let body = match declared {
        _ if is_end => Body::NONE,
        Some(length) => Body::Length(length),
        None => Body::chunked(),
    };
    Ok(Request {
        method,
        raw_target,
        target,
        minor: 1,
        headers: room,
        length,
        host: Some(host.ok_or(Refused::Malformed("BadHeader"))?),
        body,
        declares_length: declared.is_some(),
        user_agent,
        trace_id,
        connection: Connection::default(),
        expects_continue: false,
        upgrades: false,
        is_websocket: false,
        classification: found,
    })
}

/// The client's head for a target's HTTP/1.1 response. `cookies` are values of ours.
pub fn response(
    from: &response::Response<'_, '_>,
    cookies: &[String],
    changes: &Changes,
) -> Option<Response<()>> {
    let mut response = Response::builder().status(from.status).body(()).ok()?;
    let headers = response.headers_mut();
    add_cookies(headers, cookies);
    if let Some(length) = from.declared.filter(|_| from.status != 204) {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    for header in from.headers {
        let is_cargo = match field(header.name) {
            Field::Connection
            | Field::ContentLength
            | Field::TransferEncoding
            | Field::HopByHop
            | Field::Upgrade => false,
            _ => !from.connection.names_fields || !named_by_connection(from.headers, header.name),
        };
        if is_cargo && !changes.drops(header.name) {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
        }
    }
    set(headers, changes);
    Some(response)
}

/// Puts the listener's own fields in place of others of their names.
pub fn set(headers: &mut HeaderMap, changes: &Changes) {
    if changes.hides_server {
        headers.remove(http::header::SERVER);
    }
    for (name, value) in &changes.response {
        let pair = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()),
        );
        if let (Ok(name), Ok(value)) = pair {
            headers.insert(name, value);
        }
    }
}

pub fn add_cookies(headers: &mut HeaderMap, cookies: &[String]) {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            headers.append(http::header::SET_COOKIE, value);
        }
    }
}

/// An answer of our own, with its body.
pub fn answer(answer: &Answer, date: &str, changes: &Changes) -> Option<(Response<()>, Bytes)> {
    let mut response = Response::builder()
        .status(answer.status)
        .header("server", "awselb/2.0")
        .header("date", date)
        .header("content-length", answer.body.len());
    if let Some(content_type) = &answer.content_type {
        response = response.header("content-type", content_type);
    }
    if let Some(location) = &answer.location {
        response = response.header("location", location);
    }
    let mut response = response.body(()).ok()?;
    set(response.headers_mut(), changes);
    Some((response, Bytes::copy_from_slice(&answer.body)))
}

/// Bytes of fields as lines of HTTP/1.1: what AWS counts of heads, compressed or not, is its secret.
pub fn size(headers: &HeaderMap) -> u64 {
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    sizes.sum::<usize>() as u64
}

/// Trailers of an HTTP/1.1 body, from their lines.
pub fn trailers(lines: &[u8]) -> Option<HeaderMap> {
    let mut room = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let httparse::Status::Complete((_, parsed)) = httparse::parse_headers(lines, &mut room).ok()?
    else {
        return None;
    };
    let mut map = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(map)
}

/// Trailers of an HTTP/2 stream as lines after a chunked body, those left out that may not follow one.
pub fn trailer_lines(trailers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        let line = [name.as_str().as_bytes(), b": ", value.as_bytes()].concat();
        if may_follow(&line) == Some(true) {
            lines.extend_from_slice(&line);
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines
}

/// The head for a target that speaks HTTP/2, from the one written for HTTP/1.1.
pub fn request(
    written: &[u8],
    protocol: Protocol,
    takes_trailers: bool,
) -> Option<http::Request<()>> {
    let mut room = [httparse::EMPTY_HEADER; FIELD_LIMIT + 16];
    let mut parsed = httparse::Request::new(&mut room);
    parsed.parse(written).ok()?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let mut host = None;
    for header in parsed.headers.iter() {
        match field(header.name) {
            Field::Host => host = Some(header.value),
            Field::TransferEncoding | Field::Connection | Field::Upgrade | Field::HopByHop => {}
            _ => {
                let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
                headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
            }
        }
    }
    if takes_trailers {
        headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    let scheme = match protocol {
        Protocol::Http => "http",
        Protocol::Https => "https",
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(host?)
        .path_and_query(parsed.path?)
        .build()
        .ok()?;
    let mut request = http::Request::builder()
        .method(parsed.method?)
        .uri(uri)
        .body(())
        .ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn requests() {
        fn check(
            method: &str,
            uri: &str,
            headers: &[(&str, &str)],
            expected: Result<(&str, &str), Refused>,
        ) {
            let parts = parts(method, uri, headers);
            let (cookie, mut room) = (cookie(&parts.headers), Vec::new());
            let got = understand(&parts, &cookie, &mut room, true);
            let got = got.map(|request| (request.host.unwrap(), request.raw_target));
            assert_eq!(got, expected, "{method} {uri} {headers:?}");
        }
        let malformed = |reason| Err(Refused::Malformed(reason));
        check("GET", "https://a.b/c?d", &[], Ok(("a.b", "/c?d")));
        check("GET", "https://a.b/", &[("host", "A.b")], Ok(("a.b", "/")));
        check("GET", "/", &[("host", "h")], Ok(("h", "/")));
        check(
            "GET",
            "https://a.b/",
            &[("host", "c")],
            malformed("BadHeader"),
        );
        check("GET", "https://u@a.b/", &[], malformed("BadHeader"));
        check("GET", "/", &[], malformed("BadHeader"));
        check("TRACE", "https://a/", &[], Err(Refused::Method));
        check("CONNECT", "a:443", &[], Err(Refused::Method));
        check("GET", "*", &[("host", "h")], malformed("BadUri"));
        check("OPTIONS", "*", &[("host", "h")], Ok(("h", "*")));
        for name in ["connection", "transfer-encoding", "upgrade"] {
            check("GET", "https://a/", &[(name, "x")], malformed("BadHeader"));
        }
        let lengths = [("content-length", "1"), ("content-length", "2")];
        check(
            "POST",
            "https://a/",
            &lengths,
            malformed("MultipleContentLength"),
        );
        check(
            "POST",
            "https://a/",
            &[("content-length", "+1")],
            malformed("BadContentLength"),
        );
        let long = "x".repeat(LINE_LIMIT);
        check("GET", "https://a/", &[("x", &long)], malformed("BadHeader"));
    }

    #[test]
    fn cookies_are_joined() {
        let parts = parts(
            "GET",
            "https://a/",
            &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")],
        );
        let (cookie, mut room) = (cookie(&parts.headers), Vec::new());
        let request = understand(&parts, &cookie, &mut room, false).unwrap();
        let cookies: Vec<_> = request
            .headers
            .iter()
            .filter(|h| h.name == "cookie")
            .collect();
        assert_eq!(cookies.len(), 1);
        assert_eq!(cookies[0].value, b"a=1; b=2");
        assert_eq!(request.body, Body::chunked());
    }

    #[test]
    fn heads_for_targets() {
        let written = b"POST /p?q HTTP/1.1\r\nHost: h:81\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n";
        let request = request(written, Protocol::Http, true).unwrap();
        assert_eq!(request.uri(), "http://h:81/p?q");
        assert_eq!(request.headers().get_all("x-a").iter().count(), 2);
        assert_eq!(request.headers()["te"], "trailers");
        assert!(!request.headers().contains_key("transfer-encoding"));
        assert!(!request.headers().contains_key("host"));
    }
}
