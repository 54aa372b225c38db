//! A response head from a target.

use httparse::{Header, ParserConfig, Status};

use super::body::Body;
use super::field::{Connection, Field, content_length, elements, field};
use super::request::Fields;

/// All headers of a response (A/load-balancer-limits.html); more is a 502.
pub const HEAD_LIMIT: usize = 32 * 1024;

#[derive(Debug)]
pub struct Response<'h, 'b> {
    pub status: u16,
    pub reason: &'b str,
    pub headers: &'h [Header<'b>],
    pub length: usize,
    pub body: Body,
    pub is_chunked: bool,
    /// `Content-Length`, also of a response that has no body here (HEAD, 304).
    pub declared: Option<u64>,
    /// The target takes another request on this connection after the body.
    pub keeps_alive: bool,
    pub connection: Connection,
}

/// Whoever sent this does not speak HTTP, or not in a way that has one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Response<'_, '_> {
    /// A response before the response: 100, 102, 103.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// The head at the start of `buffer`; `None` if it is not complete yet.
pub fn parse<'h, 'b>(
    buffer: &'b [u8],
    fields: &'h mut Fields<'b>,
    to_head_request: bool,
) -> Result<Option<Response<'h, 'b>>, Malformed> {
    let mut parsed = httparse::Response::new(&mut []);
    let status =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, buffer, fields);
    let length = match status {
        Ok(Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(Status::Partial) if buffer.len() <= HEAD_LIMIT => return Ok(None),
        _ => return Err(Malformed),
    };
    let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Malformed);
    };
    if !(100..=999).contains(&status) {
        return Err(Malformed);
    }
    let headers: &'h [Header<'b>] = parsed.headers;
    let mut connection = Connection::default();
    let mut declared: Option<u64> = None;
    let mut codings = 0;
    for header in headers {
        match field(header.name) {
            Field::Connection => connection.note(header.value),
            Field::ContentLength => {
                let length = content_length(header.value).ok_or(Malformed)?;
                if declared
                    .replace(length)
                    .is_some_and(|other| other != length)
                {
                    return Err(Malformed);
                }
            }
            Field::TransferEncoding => {
                for coding in elements(header.value) {
                    if coding.eq_ignore_ascii_case(b"chunked") {
                        codings += 1;
                    } else if !coding.eq_ignore_ascii_case(b"identity") {
                        return Err(Malformed);
                    }
                }
            }
            _ => {}
        }
    }
    let body = if to_head_request || matches!(status, 100..200 | 204 | 304) {
        Body::NONE
    } else if codings == 1 {
        Body::chunked()
    } else if codings > 1 {
        return Err(Malformed);
    } else {
        declared.map_or(Body::UntilClose, Body::Length)
    };
    // Both framings at once is how a response is split: one reading, and no second request after it.
    let is_ambiguous = codings > 0 && declared.is_some();
    let keeps_alive = connection.persists(minor) && body != Body::UntilClose && !is_ambiguous;
    let reason = parsed.reason.unwrap_or("");
    let is_chunked = codings > 0;
    let declared = declared.filter(|_| !is_chunked);
    Ok(Some(Response {
        status,
        reason,
        headers,
        length,
        body,
        is_chunked,
        declared,
        keeps_alive,
        connection,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::request::fields;
    use super::*;

    #[test]
    fn bodies() {
        fn check(
            head: &str,
            to_head_request: bool,
            expected: Result<Option<(u16, Body, bool)>, Malformed>,
        ) {
            let mut room = fields();
            let got = parse(head.as_bytes(), &mut room, to_head_request).map(|response| {
                response.map(|response| (response.status, response.body, response.keeps_alive))
            });
            assert_eq!(got, expected, "{head:?}");
        }
        let ok = |status, body, keeps| Ok(Some((status, body, keeps)));
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            false,
            ok(200, Body::Length(3), true),
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            true,
            ok(200, Body::NONE, true),
        );
        check(
            "HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n",
            false,
            ok(200, Body::chunked(), true),
        );
        check(
            "HTTP/1.1 200 OK\r\n\r\n",
            false,
            ok(200, Body::UntilClose, false),
        );
        check(
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            false,
            ok(200, Body::NONE, false),
        );
        check(
            "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
            false,
            ok(304, Body::NONE, true),
        );
        check(
            "HTTP/1.1 204 N\r\nConnection: close\r\n\r\n",
            false,
            ok(204, Body::NONE, false),
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
            ok(200, Body::chunked(), false),
        );
        check("HTTP/1.1 200 OK\r\nContent-Le", false, Ok(None));
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            false,
            Err(Malformed),
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            false,
            Err(Malformed),
        );
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            false,
            Err(Malformed),
        );
        check("SSH-2.0-OpenSSH\r\n", false, Err(Malformed));
        check(
            &format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(33_000)),
            false,
            Err(Malformed),
        );
        check(
            &format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(33_000)),
            false,
            Err(Malformed),
        );
    }
}
