//! The `Location` of a redirect action.

use crate::config::{Protocol, Redirect};
use crate::http::target::host_name;

/// A longer URL is refused with 507 (A/rule-action-types.html).
const LIMIT: usize = 8 * 1024;

/// Where the request came in.
#[derive(Clone, Copy, Debug)]
pub struct Location<'a> {
    pub protocol: Protocol,
    /// May carry a port.
    pub host: &'a str,
    pub port: u16,
    /// As sent.
    pub path: &'a str,
    pub query: &'a str,
}

/// The new URL; `None` if it is too long. It always names its port, as AWS does.
pub fn expand(redirect: &Redirect, from: &Location<'_>) -> Option<String> {
    let part = |template: &str| substitute(template, from);
    let protocol = part(&redirect.protocol).to_ascii_lowercase();
    let (host, port, path) = (
        part(&redirect.host),
        part(&redirect.port),
        part(&redirect.path),
    );
    let query = part(&redirect.query);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{protocol}://{host}:{port}{slash}{path}{mark}{query}");
    (url.len() <= LIMIT).then_some(url)
}

fn substitute(template: &str, from: &Location<'_>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("#{") {
        out.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else {
            rest = &rest[start..];
            break;
        };
        let placeholder = &rest[start..=start + length];
        match placeholder {
            "#{protocol}" => out.push_str(match from.protocol {
                Protocol::Http => "http",
                Protocol::Https => "https",
            }),
            "#{host}" => out.push_str(host_name(from.host)),
            "#{port}" => out.push_str(&from.port.to_string()),
            "#{path}" => out.push_str(from.path.strip_prefix('/').unwrap_or(from.path)),
            "#{query}" => out.push_str(from.query),
            unknown => out.push_str(unknown),
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        fn check(change: impl FnOnce(&mut Redirect), query: &str, expected: &str) {
            let mut redirect = Redirect::default();
            change(&mut redirect);
            let from = Location {
                protocol: Protocol::Http,
                host: "h.com:8080",
                port: 8080,
                path: "/a/b",
                query,
            };
            assert_eq!(expand(&redirect, &from).as_deref(), Some(expected));
        }
        check(
            |redirect| {
                redirect.protocol = "HTTPS".into();
                redirect.port = "443".into();
            },
            "q=1",
            "https://h.com:443/a/b?q=1",
        );
        check(
            |redirect| redirect.host = "new.#{host}".into(),
            "",
            "http://new.h.com:8080/a/b",
        );
        check(
            |redirect| redirect.path = "/v2/#{path}/#{port}".into(),
            "",
            "http://h.com:8080/v2/a/b/8080",
        );
        check(
            |redirect| redirect.query = "x=1&#{query}".into(),
            "q",
            "http://h.com:8080/a/b?x=1&q",
        );
        check(
            |redirect| redirect.query = String::new(),
            "q",
            "http://h.com:8080/a/b",
        );
        check(
            |redirect| redirect.path = "/#{nope}/#{".into(),
            "",
            "http://h.com:8080/#{nope}/#{",
        );
    }

    #[test]
    fn a_long_location_is_refused() {
        let path = format!("/{}", "a".repeat(LIMIT));
        let from = Location {
            protocol: Protocol::Http,
            host: "h",
            port: 80,
            path: &path,
            query: "",
        };
        assert_eq!(expand(&Redirect::default(), &from), None);
    }
}
