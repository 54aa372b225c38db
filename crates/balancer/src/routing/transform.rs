//! A rule's transforms: the host and the URL that its targets see (A/rule-transforms.html).
//!
//! They change nothing about which rule a request meets. A pattern that does not match leaves the
//! request as it is; a result that no head can carry fails it. Assumption: of several matches the
//! first is replaced, and a URL is its path and query.

use regex::bytes::{Captures, Regex};

use super::pattern::regex;
use crate::config::Transform;
use crate::http::request::LINE_LIMIT;
use crate::http::target::{host_name, is_host};

#[derive(Debug, Default)]
pub struct Rewrites {
    host: Option<Rewrite>,
    url: Option<Rewrite>,
}

#[derive(Debug)]
struct Rewrite {
    regex: Regex,
    replace: String,
}

/// The parts that are others now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    pub host: Option<String>,
    pub url: Option<String>,
}

/// A result that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    Host,
    Url,
    TooLong,
}

impl Failed {
    /// As access logs say it.
    pub fn name(self) -> &'static str {
        match self {
            Failed::Host => "TransformInvalidHost",
            Failed::Url => "TransformInvalidPath",
            Failed::TooLong => "TransformBufferTooSmall",
        }
    }
}

impl Rewrites {
    /// `None` without transforms. One that does not compile is pushed to `problems` and rewrites nothing.
    pub fn new(transforms: &[Transform], problems: &mut Vec<String>) -> Option<Rewrites> {
        if transforms.is_empty() {
            return None;
        }
        let mut rewrites = Rewrites::default();
        for transform in transforms {
            let (place, pattern, replace, ignore_case) = match transform {
                Transform::HostHeader { regex, replace } => {
                    (&mut rewrites.host, regex, replace, true)
                }
                Transform::Url { regex, replace } => (&mut rewrites.url, regex, replace, false),
            };
            *place = regex(pattern, ignore_case, problems).map(|regex| Rewrite {
                regex,
                replace: replace.clone(),
            });
        }
        Some(rewrites)
    }

    /// `url` is path and query as the client sent them.
    pub fn apply(&self, host: &str, url: &str) -> Result<Rewritten, Failed> {
        let mut rewritten = Rewritten::default();
        if let Some(new) = self.host.as_ref().and_then(|r| r.of(host_name(host))) {
            let new = String::from_utf8(new).map_err(|_| Failed::Host)?;
            if new.is_empty() || !is_host(&new) {
                return Err(Failed::Host);
            }
            rewritten.host = Some(new);
        }
        if let Some(new) = self.url.as_ref().and_then(|r| r.of(url)) {
            if new.len() > LINE_LIMIT {
                return Err(Failed::TooLong);
            }
            let new = String::from_utf8(new).map_err(|_| Failed::Url)?;
            if !new.starts_with('/') || !new.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Failed::Url);
            }
            rewritten.url = Some(new);
        }
        Ok(rewritten)
    }
}

impl Rewrite {
    /// `None` if nothing matches or nothing changes.
    fn of(&self, text: &str) -> Option<Vec<u8>> {
        let found = self.regex.captures(text.as_bytes())?;
        let whole = found.get(0)?;
        let mut new = text.as_bytes()[..whole.start()].to_vec();
        self.expand(&found, &mut new);
        new.extend_from_slice(&text.as_bytes()[whole.end()..]);
        (new != text.as_bytes()).then_some(new)
    }

    /// Not the crate's own: it takes `$1st` for a group of that name.
    fn expand(&self, found: &Captures<'_>, out: &mut Vec<u8>) {
        let mut rest = self.replace.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            match tail.first() {
                Some(digit @ b'0'..=b'9') if byte == b'$' => {
                    let group = found.get(usize::from(digit - b'0'));
                    out.extend_from_slice(group.map_or(b"", |group| group.as_bytes()));
                    rest = &tail[1..];
                }
                _ => {
                    out.push(byte);
                    rest = tail;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        fn check(regex: &str, replace: &str, url: &str, expected: Result<Option<&str>, Failed>) {
            let transform = Transform::Url {
                regex: regex.into(),
                replace: replace.into(),
            };
            let mut problems = Vec::new();
            let rewrites = Rewrites::new(&[transform], &mut problems).unwrap();
            let got = rewrites.apply("h", url).map(|rewritten| rewritten.url);
            assert_eq!(
                got.as_ref().map(Option::as_deref),
                expected.as_ref().copied(),
                "{url}"
            );
            assert!(problems.is_empty());
        }
        let dp = "^/dp/([A-Za-z0-9]+)/?$";
        check(
            dp,
            "/product.php?id=$1",
            "/dp/B09G",
            Ok(Some("/product.php?id=B09G")),
        );
        check(dp, "/product.php?id=$1", "/dp/B09G?x=1", Ok(None));
        check("^/api/", "/", "/api/v1?a=b", Ok(Some("/v1?a=b")));
        check("a", "b", "/aa", Ok(Some("/ba")));
        check("(a)(b)?", "$2$1st$", "/a", Ok(Some("/ast$")));
        check("^/(.*)$", "$1", "/a", Err(Failed::Url));
        check("^/", "/ ", "/a", Err(Failed::Url));
        check("^/", "/\r\nX: ", "/a", Err(Failed::Url));
        check(
            "/(x+)",
            "/$1$1$1",
            &format!("/{}", "x".repeat(6000)),
            Err(Failed::TooLong),
        );
        check("nothing", "/", "/a", Ok(None));
    }

    #[test]
    fn hosts() {
        fn check(replace: &str, host: &str, expected: Result<Option<&str>, Failed>) {
            let transform = Transform::HostHeader {
                regex: "^mywebsite-(.+).com$".into(),
                replace: replace.into(),
            };
            let rewrites = Rewrites::new(&[transform], &mut Vec::new()).unwrap();
            let got = rewrites.apply(host, "/").map(|rewritten| rewritten.host);
            assert_eq!(
                got.as_ref().map(Option::as_deref),
                expected.as_ref().copied(),
                "{host}"
            );
        }
        let inner = "internal.dev.$1.myweb.com";
        let expected = "internal.dev.Example.myweb.com";
        check(inner, "MyWebsite-Example.com:8080", Ok(Some(expected)));
        check(inner, "other.com", Ok(None));
        check("a/b", "mywebsite-x.com", Err(Failed::Host));
        check("", "mywebsite-x.com", Err(Failed::Host));
    }
}
