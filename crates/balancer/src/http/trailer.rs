//! Trailers: fields after a chunked body.
//!
//! What a proxy passes on of them is its own choice (RFC 9110 §6.5). Those that could change what was
//! decided about a message before its body came are dropped: framing, routing, authentication, what
//! the content is, and all that the load balancer says itself.

use super::desync::is_suspicious_name;
use super::field::{Field, field, is_token};

/// Fields that stand at the start of a message or nowhere; a `*` at the end stands for any rest.
const NEVER: [&str; 23] = [
    "authorization",
    "proxy-*",
    "content-*",
    "x-forwarded-*",
    "x-amzn-*",
    "if-*",
    "sec-*",
    "access-control-*",
    "cache-control",
    "pragma",
    "range",
    "max-forwards",
    "forwarded",
    "location",
    "retry-after",
    "vary",
    "warning",
    "www-authenticate",
    "age",
    "expires",
    "date",
    "server",
    "trailer",
];

/// One line without its end. `None` if it is no field at all; else whether it may follow a body.
pub fn may_follow(line: &[u8]) -> Option<bool> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    let is_barred = NEVER.iter().any(|never| match never.strip_suffix('*') {
        Some(prefix) => name
            .get(..prefix.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix)),
        None => name.eq_ignore_ascii_case(never),
    });
    Some(!is_barred && field(name) == Field::Other && !is_suspicious_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check =
            |line: &str, expected| assert_eq!(may_follow(line.as_bytes()), expected, "{line}");
        check("X-Checksum: 1", Some(true));
        check("grpc-status:0", Some(true));
        check("Content-Length: 3", Some(false));
        check("content_length: 3", Some(false));
        check("Transfer_Encoding_: chunked", Some(false));
        check("HOST: a", Some(false));
        check("Set-Cookie: a=b", Some(false));
        check("X-Forwarded-For: a", Some(false));
        check("Authorization: a", Some(false));
        check("Connection: close", Some(false));
        check("Name : a", None);
        check(" folded: a", None);
        check(": a", None);
        check("no field", None);
    }
}
