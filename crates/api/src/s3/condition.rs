//! Conditional requests: `If-Match` and its like.

use super::error::{no_such_key, not_implemented, precondition_failed};
use super::request::Request;
use jiff::fmt::rfc2822::DateTimeParser;
use model::s3::Object;
use wire::ApiError;

/// What a read comes to.
#[derive(Debug, PartialEq)]
pub enum Read {
    Go,
    NotModified,
}

/// Conditions of GET, HEAD and of the source of a copy (then with a prefix).
/// Source: RFC 9110, section 13.2.2, the order of evaluation.
pub fn read(request: &Request<'_>, prefix: &str, object: &Object) -> Result<Read, ApiError> {
    let header = |name: &str| request.header(&format!("{prefix}{name}"));
    decide(&header, object).map_err(precondition_failed)
}

fn decide<'a>(
    header: &dyn Fn(&str) -> Option<&'a str>,
    object: &Object,
) -> Result<Read, &'static str> {
    let date = |name: &str| {
        let at = DateTimeParser::new().parse_timestamp(header(name)?);
        at.ok().map(|at| at.as_second())
    };
    let modified = object.modified.as_second();
    match header("if-match") {
        Some(tags) if !matches(tags, &object.etag) => return Err("If-Match"),
        Some(_) => {}
        None if date("if-unmodified-since").is_some_and(|at| modified > at) => {
            return Err("If-Unmodified-Since");
        }
        None => {}
    }
    match header("if-none-match") {
        Some(tags) if matches(tags, &object.etag) => Ok(Read::NotModified),
        None if date("if-modified-since").is_some_and(|at| modified <= at) => Ok(Read::NotModified),
        _ => Ok(Read::Go),
    }
}

/// Conditions of a write, on the newest version; `None` where there is none or it is deleted.
pub fn write(request: &Request<'_>, current: Option<&Object>) -> Result<(), ApiError> {
    match request.header("if-none-match") {
        Some("*") if current.is_some() => return Err(precondition_failed("If-None-Match")),
        Some("*") | None => {}
        Some(_) => return Err(not_implemented("If-None-Match")),
    }
    match (request.header("if-match"), current) {
        (Some(_), None) => Err(no_such_key(&request.key)),
        (Some(tags), Some(object)) if !matches(tags, &object.etag) => {
            Err(precondition_failed("If-Match"))
        }
        _ => Ok(()),
    }
}

/// Whether one of `tags` is the ETag; clients leave the quotes out at times.
fn matches(tags: &str, etag: &str) -> bool {
    let bare = |tag: &str| {
        tag.trim()
            .trim_start_matches("W/")
            .trim_matches('"')
            .to_owned()
    };
    tags.split(',')
        .any(|tag| tag.trim() == "*" || bare(tag) == bare(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        let object = super::super::tests::object("k", "\"abc\"");
        let check = |headers: &[(&str, &str)], expected: Result<Read, &str>| {
            let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            assert_eq!(decide(&header, &object), expected, "{headers:?}");
        };
        // The object was modified at 2026-01-01T00:00:00Z.
        let (before, at) = (
            "Wed, 31 Dec 2025 23:59:59 GMT",
            "Thu, 01 Jan 2026 00:00:00 GMT",
        );
        check(&[], Ok(Read::Go));
        check(&[("if-match", "\"abc\"")], Ok(Read::Go));
        check(&[("if-match", "abc")], Ok(Read::Go));
        check(&[("if-match", "*")], Ok(Read::Go));
        check(&[("if-match", "\"x\", \"abc\"")], Ok(Read::Go));
        check(&[("if-match", "\"x\"")], Err("If-Match"));
        check(&[("if-none-match", "\"abc\"")], Ok(Read::NotModified));
        check(&[("if-none-match", "\"x\"")], Ok(Read::Go));
        check(&[("if-modified-since", at)], Ok(Read::NotModified));
        check(&[("if-modified-since", before)], Ok(Read::Go));
        check(
            &[("if-unmodified-since", before)],
            Err("If-Unmodified-Since"),
        );
        check(&[("if-unmodified-since", at)], Ok(Read::Go));
        check(
            &[("if-match", "\"abc\""), ("if-unmodified-since", before)],
            Ok(Read::Go),
        );
        check(&[("if-modified-since", "yesterday")], Ok(Read::Go));
    }
}
