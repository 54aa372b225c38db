//! What a request asks of the registry: paths, names, digests and ranges, without IO.
//!
//! Everything that becomes part of a file name passes through here, and only
//! the characters of the specification come out.

use hyper::StatusCode;

#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    Base,
    Tags { name: String },
    Manifest { name: String, reference: Reference },
    Blob { name: String, digest: Digest },
}

#[derive(Debug, PartialEq, Eq)]
pub enum Reference {
    Tag(String),
    Digest(Digest),
}

/// `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

/// Why a path asks for nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: &'static str,
}

impl Digest {
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone: the name of the blob's file.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or_default()
    }
}

pub fn route(path: &str) -> Result<Route, Refusal> {
    let refuse = |status, code, message| {
        Err(Refusal {
            status,
            code,
            message,
        })
    };
    let not_found = refuse(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such endpoint");
    let Some(rest) = path.strip_prefix("/v2") else {
        return not_found;
    };
    let rest = match rest.strip_prefix('/') {
        None if rest.is_empty() => return Ok(Route::Base),
        None => return not_found,
        Some("") => return Ok(Route::Base),
        Some(rest) => rest,
    };
    let mut parts = rest.rsplitn(3, '/');
    let (Some(last), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return not_found;
    };
    if !valid_name(name) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "NAME_INVALID",
            "invalid repository name",
        );
    }
    let name = name.to_owned();
    match kind {
        "tags" if last == "list" => Ok(Route::Tags { name }),
        "manifests" => match Digest::parse(last) {
            Some(digest) => Ok(Route::Manifest {
                name,
                reference: Reference::Digest(digest),
            }),
            None if last.contains(':') => refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "unknown kind of digest",
            ),
            None if !valid_tag(last) => {
                refuse(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "no valid tag")
            }
            None => Ok(Route::Manifest {
                name,
                reference: Reference::Tag(last.to_owned()),
            }),
        },
        "blobs" => match Digest::parse(last) {
            Some(digest) => Ok(Route::Blob { name, digest }),
            None => refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "unknown kind of digest",
            ),
        },
        _ => not_found,
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, several with `/` between them.
fn valid_name(name: &str) -> bool {
    name.len() <= 255
        && name.split('/').all(|part| {
            let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let inner = part.starts_with(alphanumeric) && part.ends_with(alphanumeric);
            inner
                && part
                    .split(alphanumeric)
                    .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
        })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn valid_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The first and last byte that a `Range` header asks for; `Some(None)` if
/// there is no such part, `None` if the header is of a form to be ignored
/// (RFC 9110 §14.2).
pub fn range(header: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    let range = match (first, last) {
        ("", suffix) => (size.saturating_sub(number(suffix)?), size.checked_sub(1)),
        (first, "") => (number(first)?, size.checked_sub(1)),
        (first, last) => {
            let (first, last): (u64, u64) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, size.checked_sub(1).map(|end| end.min(last)))
        }
    };
    Some(match range {
        (first, Some(last)) if first <= last => Some((first, last)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn routes() {
        fn check(path: &str, expected: &str) {
            let text = match route(path) {
                Ok(Route::Base) => "base".to_owned(),
                Ok(Route::Tags { name }) => format!("tags {name}"),
                Ok(Route::Manifest {
                    name,
                    reference: Reference::Tag(tag),
                }) => {
                    format!("manifest {name} tag {tag}")
                }
                Ok(Route::Manifest {
                    name,
                    reference: Reference::Digest(digest),
                }) => {
                    assert_eq!(digest.hex(), HEX);
                    format!("manifest {name} digest")
                }
                Ok(Route::Blob { name, .. }) => format!("blob {name}"),
                Err(refusal) => refusal.code.to_owned(),
            };
            assert_eq!(text, expected, "{path}");
        }
        check("/v2", "base");
        check("/v2/", "base");
        check("/v2/app/tags/list", "tags app");
        check(
            "/v2/library/app/manifests/latest",
            "manifest library/app tag latest",
        );
        check(
            "/v2/manifests/manifests/v1.2_3-x",
            "manifest manifests tag v1.2_3-x",
        );
        check(
            &format!("/v2/a/manifests/sha256:{HEX}"),
            "manifest a digest",
        );
        check(&format!("/v2/a/b/c/blobs/sha256:{HEX}"), "blob a/b/c");
        check("/v2/a__b/a.b-c--d/tags/list", "tags a__b/a.b-c--d");
        check("/v2/app/manifests/sha512:00", "DIGEST_INVALID");
        check("/v2/app/manifests/-x", "MANIFEST_UNKNOWN");
        check("/v2/app/blobs/latest", "DIGEST_INVALID");
        check(
            &format!("/v2/app/blobs/sha256:{}", HEX.to_uppercase()),
            "DIGEST_INVALID",
        );
        for bad in [
            "..", "a/..", "../a", ".", "a//b", "/a", "a___b", "a..b", "A", "a%2f..", "-a",
        ] {
            check(&format!("/v2/{bad}/blobs/sha256:{HEX}"), "NAME_INVALID");
        }
        for nothing in ["/", "/v1/", "/v2x", "/v2/app", "/v2/_catalog", "/v2/a/b/c"] {
            check(nothing, "UNSUPPORTED");
        }
    }

    #[test]
    fn ranges() {
        fn check(header: &str, expected: Option<Option<(u64, u64)>>) {
            assert_eq!(range(header, 10), expected, "{header}");
        }
        check("bytes=0-3", Some(Some((0, 3))));
        check("bytes=4-", Some(Some((4, 9))));
        check("bytes=4-100", Some(Some((4, 9))));
        check("bytes=-3", Some(Some((7, 9))));
        check("bytes=-30", Some(Some((0, 9))));
        check("bytes=10-", Some(None));
        check("bytes=-0", Some(None));
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=3-2",
            "bytes=0-1,3-4",
            "x=0-1",
            "bytes=+1-2",
        ] {
            check(ignored, None);
        }
        assert_eq!(range("bytes=0-", 0), Some(None));
    }
}
