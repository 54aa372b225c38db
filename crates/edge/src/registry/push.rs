//! What is brought: blobs, whole or in pieces or from a neighbour, and then their manifest.

use super::{empty, on, refuse, set, set_digest, unknown_blob};
use crate::http::Answer;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};
use hyper::{Request, StatusCode, Uri};
use oci::{
    Digest, Layout, MANIFEST_SIZE, PutError, Reference, TagRule, Upload, UploadError, UploadId,
};
use std::io;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Longest silence within a body.
const SILENCE: Duration = Duration::from_secs(60);

/// What a request to upload says behind its path.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    digest: Option<String>,
    mount: Option<String>,
    pub from: Option<String>,
}

impl Query {
    pub fn of(uri: &Uri) -> Self {
        let mut query = Self::default();
        let text = uri.query().unwrap_or_default();
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            match name {
                "digest" => query.digest = Some(value.into_owned()),
                "mount" => query.mount = Some(value.into_owned()),
                "from" => query.from = Some(value.into_owned()),
                _ => {}
            }
        }
        query
    }
}

/// Begins an upload, unless the blob comes from a repository that has it or with the request.
pub async fn begin(
    layout: &Layout,
    name: &str,
    query: Query,
    from: Option<Layout>,
    body: Incoming,
) -> io::Result<Answer> {
    let mounted = query.mount.as_deref().and_then(Digest::parse);
    if let (Some(digest), Some(from)) = (mounted, from) {
        let wanted = digest.clone();
        if on(layout, move |to| to.mount(&from, &wanted)).await?? {
            return Ok(created(name, "blobs", &digest));
        }
    }
    let begun = on(layout, |l| {
        Upload::begin(l).map(|upload| upload.id().clone())
    });
    let id = begun.await??;
    match query.digest {
        None => Ok(accepted(StatusCode::ACCEPTED, name, &id, 0)),
        Some(digest) => finish(layout, name, id, Some(digest), None, body).await,
    }
}

/// How far an upload is.
pub async fn progress(layout: &Layout, name: &str, id: UploadId) -> io::Result<Answer> {
    let asked = id.clone();
    let length = on(layout, move |l| Upload::of(l, asked).length()).await?;
    match length {
        Ok(length) => Ok(accepted(StatusCode::NO_CONTENT, name, &id, length)),
        Err(error) => refused(error),
    }
}

/// The next piece.
pub async fn extend(
    layout: &Layout,
    name: &str,
    id: UploadId,
    request: Request<Incoming>,
) -> io::Result<Answer> {
    let start = match piece(&request) {
        Ok(start) => start,
        Err(refusal) => return Ok(refusal),
    };
    match take(layout, &id, start, request.into_body()).await? {
        Ok(length) => Ok(accepted(StatusCode::ACCEPTED, name, &id, length)),
        Err(error) => refused(error),
    }
}

/// The last piece, which may be empty, and what the whole is called.
pub async fn complete(
    layout: &Layout,
    name: &str,
    id: UploadId,
    request: Request<Incoming>,
) -> io::Result<Answer> {
    let start = match piece(&request) {
        Ok(start) => start,
        Err(refusal) => return Ok(refusal),
    };
    let digest = Query::of(request.uri()).digest;
    finish(layout, name, id, digest, start, request.into_body()).await
}

pub async fn cancel(layout: &Layout, id: UploadId) -> io::Result<Answer> {
    match on(layout, move |l| Upload::of(l, id).cancel()).await? {
        Ok(()) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(error) => refused(error),
    }
}

async fn finish(
    layout: &Layout,
    name: &str,
    id: UploadId,
    digest: Option<String>,
    start: Option<u64>,
    body: Incoming,
) -> io::Result<Answer> {
    let Some(digest) = digest.as_deref().and_then(Digest::parse) else {
        let text = "the digest of the blob is missing or of an unknown kind";
        return Ok(refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", text));
    };
    if let Err(error) = take(layout, &id, start, body).await? {
        return refused(error);
    }
    let wanted = digest.clone();
    match on(layout, move |l| Upload::of(l, id).complete(&wanted)).await? {
        Ok(_) => Ok(created(name, "blobs", &digest)),
        Err(error) => refused(error),
    }
}

/// Where a piece begins, if its sender says so: `0-99`, as the specification has it, or `bytes 0-99/*`.
#[expect(clippy::result_large_err)] // the answer itself, made once at most
fn piece<B>(request: &Request<B>) -> Result<Option<u64>, Answer> {
    let Some(header) = request.headers().get(CONTENT_RANGE) else {
        return Ok(None);
    };
    let text = header.to_str().unwrap_or_default();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let start = text
        .split_once('-')
        .and_then(|(start, _)| start.parse().ok());
    start.map(Some).ok_or_else(|| {
        let text = "the range of the piece cannot be read";
        refuse(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", text)
    })
}

/// Appends a body to an upload; its length then.
async fn take(
    layout: &Layout,
    id: &UploadId,
    start: Option<u64>,
    mut body: Incoming,
) -> io::Result<Result<u64, UploadError>> {
    let asked = id.clone();
    let file = match on(layout, move |l| Upload::of(l, asked).extend(start)).await? {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let mut file = File::from_std(file);
    loop {
        match tokio::time::timeout(SILENCE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    file.write_all(data).await?;
                }
            }
            // What came stays: its sender may go on where it ended.
            Ok(Some(Err(_))) | Err(_) => {
                file.flush().await?;
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    file.flush().await?;
    Ok(Ok(file.metadata().await?.len()))
}

pub async fn manifest(
    layout: &Layout,
    name: &str,
    reference: Reference,
    rule: &TagRule,
    request: Request<Incoming>,
) -> io::Result<Answer> {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|v| v.to_str().ok()).map(str::to_owned);
    let limit = usize::try_from(MANIFEST_SIZE).unwrap_or(usize::MAX);
    let body = Limited::new(request.into_body(), limit).collect();
    let content = match tokio::time::timeout(SILENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => {
            let text = "the manifest did not come whole, or is too large";
            return Ok(refuse(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", text));
        }
    };
    let (rule, tag) = (rule.clone(), reference.clone());
    let put = on(layout, move |layout| {
        let now = jiff::Timestamp::now();
        layout.put_manifest(&tag, kind.as_deref(), &content, &rule, now)
    });
    let error = match put.await? {
        Ok(digest) => return Ok(created(name, "manifests", &digest)),
        Err(error) => error,
    };
    let list = |digests: &[Digest]| {
        let texts: Vec<&str> = digests.iter().map(Digest::as_str).collect();
        texts.join(", ")
    };
    let (code, text) = match (error, &reference) {
        (PutError::Io(error), _) => return Err(error),
        (PutError::Fixed, Reference::Tag(tag)) => (
            "TAG_INVALID",
            format!(
                "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."
            ),
        ),
        (PutError::NoBlobs(digests), _) => (
            "BLOB_UNKNOWN",
            format!("Layers with digests '[{}]' do not exist", list(&digests)),
        ),
        (PutError::NoManifests(digests), _) => (
            "MANIFEST_BLOB_UNKNOWN",
            format!(
                "Images with digests '[{}]' required for pushing image into repository with name '{name}' do not exist",
                list(&digests)
            ),
        ),
        (error @ PutError::Mismatch { .. }, _) => ("DIGEST_INVALID", error.to_string()),
        (error, _) => ("MANIFEST_INVALID", error.to_string()),
    };
    Ok(refuse(StatusCode::BAD_REQUEST, code, &text))
}

fn created(name: &str, kind: &str, digest: &Digest) -> Answer {
    let mut answer = empty(StatusCode::CREATED);
    set(
        &mut answer,
        LOCATION,
        &format!("/v2/{name}/{kind}/{digest}"),
    );
    set_digest(&mut answer, digest);
    answer
}

fn accepted(status: StatusCode, name: &str, id: &UploadId, length: u64) -> Answer {
    let mut answer = empty(status);
    let id = id.as_str();
    set(
        &mut answer,
        LOCATION,
        &format!("/v2/{name}/blobs/uploads/{id}"),
    );
    // Of nothing, too, the range says one byte.
    set(
        &mut answer,
        RANGE,
        &format!("0-{}", length.saturating_sub(1)),
    );
    let uuid = HeaderName::from_static("docker-upload-uuid");
    set(&mut answer, uuid, id);
    answer
}

fn refused(error: UploadError) -> io::Result<Answer> {
    let text = error.to_string();
    Ok(match error {
        UploadError::Io(error) if error.kind() == io::ErrorKind::NotFound => unknown_blob(),
        UploadError::Io(error) => return Err(error),
        UploadError::Unknown => refuse(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", &text),
        UploadError::Busy => refuse(StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID", &text),
        UploadError::Gap { length } => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let mut answer = refuse(status, "BLOB_UPLOAD_INVALID", &text);
            set(
                &mut answer,
                RANGE,
                &format!("0-{}", length.saturating_sub(1)),
            );
            answer
        }
        UploadError::Mismatch { .. } => refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", &text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let check = |uri: &str, digest: Option<&str>, mount: Option<&str>, from: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let expected = Query {
                digest: own(digest),
                mount: own(mount),
                from: own(from),
            };
            assert_eq!(Query::of(&uri.parse().unwrap()), expected, "{uri}");
        };
        check("/x", None, None, None);
        check("/x?digest=sha256%3A00", Some("sha256:00"), None, None);
        check(
            "/x?mount=a&from=team/b&y&z=1",
            None,
            Some("a"),
            Some("team/b"),
        );
    }

    #[test]
    fn pieces() {
        let check = |range: Option<&str>, expected: Option<Option<u64>>| {
            let mut request = Request::builder();
            if let Some(range) = range {
                request = request.header(CONTENT_RANGE, range);
            }
            assert_eq!(
                piece(&request.body(()).unwrap()).ok(),
                expected,
                "{range:?}"
            );
        };
        check(None, Some(None));
        check(Some("0-99"), Some(Some(0)));
        check(Some("bytes 100-199/*"), Some(Some(100)));
        check(Some("-"), None);
        check(Some("x"), None);
    }
}
