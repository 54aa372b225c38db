//! The request target: its parts, and its path as rules compare it.

use std::borrow::Cow;

/// The parts of a request target, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Of an absolute-form target.
    pub authority: Option<&'a str>,
    /// Starts with `/`, or is `*`.
    pub path: &'a str,
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `None` if it is neither origin-form nor absolute-form nor `*`.
    pub fn parse(target: &'a str) -> Option<Target<'a>> {
        let (authority, rest) = if target.starts_with('/') || target == "*" {
            (None, target)
        } else {
            let (scheme, rest) = target.split_once("://")?;
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return None;
            }
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            if authority.is_empty() {
                return None;
            }
            (Some(authority), rest)
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Some(Target {
            authority,
            path: if path.is_empty() { "/" } else { path },
            query,
        })
    }

    pub fn query(&self) -> &'a str {
        self.query.unwrap_or("")
    }
}

/// The host of an authority or a `Host` field, without its port.
pub fn host_name(host: &str) -> &str {
    split_port(host).0
}

/// Host and port of an authority; brackets stay with an IPv6 address.
pub fn split_port(host: &str) -> (&str, Option<&str>) {
    let ends_name = |byte: u8| matches!(byte, b':' | b']');
    match host.bytes().rposition(ends_name) {
        Some(at) if host.as_bytes()[at] == b':' => (&host[..at], Some(&host[at + 1..])),
        _ => (host, None),
    }
}

/// Whether `host` can be a `Host` field: a name or an address with an optional port.
pub fn is_host(host: &str) -> bool {
    let (name, port) = split_port(host);
    let is_name = name.bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'-' | b'_' | b'~' | b'%' | b'[' | b']' | b':')
    });
    let is_bare = name.starts_with('[') || !name.contains(':');
    is_name && is_bare && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A path as rules see it: escapes of unreserved characters decoded, `.` and `..` resolved, so that
/// no spelling of a path slips past a rule. The target still gets the path as the client wrote it.
pub fn normal_path(path: &str) -> Cow<'_, str> {
    let decoded = decode_unreserved(path);
    // A search for a text prepares more than there is to look at.
    if !decoded.as_bytes().windows(2).any(|pair| pair == b"/.") {
        return decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in decoded.split('/').skip(1) {
        ends_open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(decoded.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if ends_open || normal.is_empty() {
        normal.push('/');
    }
    Cow::Owned(normal)
}

/// Decodes `%XX` where it stands for a letter, a digit or one of `-._~` (RFC 3986 §6.2.2.2).
pub fn decode_unreserved(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let hex = rest.as_bytes().get(at + 1..at + 3);
        let byte = hex.and_then(|hex| {
            let digit = |byte: u8| (byte as char).to_digit(16);
            Some((digit(hex[0])? << 4 | digit(hex[1])?) as u8)
        });
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                decoded.push(byte as char);
                rest = &rest[at + 3..];
            }
            _ => {
                decoded.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        fn check(target: &str, expected: Option<(Option<&str>, &str, Option<&str>)>) {
            let got =
                Target::parse(target).map(|target| (target.authority, target.path, target.query));
            assert_eq!(got, expected, "{target}");
        }
        check("/", Some((None, "/", None)));
        check("/a/b?c=d?e", Some((None, "/a/b", Some("c=d?e"))));
        check("/?", Some((None, "/", Some(""))));
        check("*", Some((None, "*", None)));
        check("http://h:81/p?q", Some((Some("h:81"), "/p", Some("q"))));
        check("HTTP://h?q", Some((Some("h"), "/", Some("q"))));
        check("http:///p", None);
        check("ftp://h/", None);
        check("h:443", None);
        check("", None);
    }

    #[test]
    fn hosts() {
        assert_eq!(split_port("a.b:80"), ("a.b", Some("80")));
        assert_eq!(split_port("[::1]:80"), ("[::1]", Some("80")));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("a"), ("a", None));
        for host in ["a.b", "a:80", "[::1]:8080", "10.0.0.1", "", "a_b"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["a/b", "a b", "a@b", "a:b", "a,b", "a:80:80", "é"] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn normal_paths() {
        fn check(path: &str, expected: &str) {
            assert_eq!(normal_path(path), expected, "{path}");
        }
        check("/a/b", "/a/b");
        check("/a/../admin", "/admin");
        check("/a/./b/", "/a/b/");
        check("/../../x", "/x");
        check("/a/..", "/");
        check("/a/b/.", "/a/b/");
        check("/%61dmin/%2e%2E/x", "/x");
        check("/a%2Fb", "/a%2Fb");
        check("/a%", "/a%");
        check("/a%4", "/a%4");
        check("/a%é", "/a%é");
        check("/.hidden", "/.hidden");
        check("//a", "//a");
    }
}
