//! What a request asks of the registry: paths and ranges, without IO.
//!
//! Everything that becomes part of a file name passes through here, and only
//! the characters of the specification come out.

use crate::http::Answer;
use hyper::StatusCode;
use oci::{Digest, Reference, UploadId, valid_name, valid_tag};

#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    Base,
    Tags { name: String },
    Manifest { name: String, reference: Reference },
    Blob { name: String, digest: Digest },
    Uploads { name: String },
    Upload { name: String, id: UploadId },
}

impl Route {
    /// The repository that it is about.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Base => None,
            Self::Tags { name }
            | Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. } => Some(name),
        }
    }
}

/// Why a path asks for nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: &'static str,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        super::refuse(refusal.status, refusal.code, refusal.message)
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
    // `…/NAME/blobs/uploads/ID` has one part more than all others.
    let (kind, last, name) = match (kind, last, name.strip_suffix("/blobs")) {
        ("uploads", id, Some(name)) => ("blobs/uploads", id, name),
        ("blobs", "uploads", _) => ("blobs/uploads", "", name),
        _ => (kind, last, name),
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
        "blobs/uploads" if last.is_empty() => Ok(Route::Uploads { name }),
        "blobs/uploads" => match UploadId::parse(last) {
            Some(id) => Ok(Route::Upload { name, id }),
            None => refuse(
                StatusCode::NOT_FOUND,
                "BLOB_UPLOAD_UNKNOWN",
                "blob upload unknown to registry",
            ),
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
                Ok(Route::Uploads { name }) => format!("uploads {name}"),
                Ok(Route::Upload { name, id }) => format!("upload {name} {}", id.as_str()),
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
        check("/v2/a/b/blobs/uploads/", "uploads a/b");
        check("/v2/a/blobs/uploads", "uploads a");
        check("/v2/blobs/uploads/blobs/uploads/", "uploads blobs/uploads");
        let id = "01234567-89ab-cdef-0123-456789abcdef";
        check(
            &format!("/v2/a/b/blobs/uploads/{id}"),
            &format!("upload a/b {id}"),
        );
        check("/v2/a/blobs/uploads/../../x", "NAME_INVALID");
        check("/v2/a/blobs/uploads/x", "BLOB_UPLOAD_UNKNOWN");
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
