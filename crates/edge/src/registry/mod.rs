//! A pull-only image registry over OCI image layouts on disk.
//!
//! Enough of the distribution API for `docker pull`, containerd and podman:
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>.
//! The layout is the store: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>
//! with tags in `org.opencontainers.image.ref.name`. Blobs are found by their
//! path only; clients check the digests themselves. Nothing can be pushed.

mod layout;
mod route;

use crate::http::{self, Answer, Content};
use crate::listener::{Stop, accept};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use layout::{Found, Layout};
use route::{Reference, Route, route};
use serde_json::json;
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncSeekExt;
use tokio::net::TcpListener;

/// Gives the directory of the layouts; none once there is no registry any more.
pub type CurrentRoot = Arc<dyn Fn() -> Option<PathBuf> + Send + Sync>;

pub async fn run(listener: TcpListener, root: CurrentRoot, stop: Stop) {
    accept(listener, stop, |stream| {
        let root = root.clone();
        async move {
            http::serve(stream, |request| {
                let root = root();
                async move {
                    let mut answer = respond(&request, root).await;
                    let version = HeaderValue::from_static("registry/2.0");
                    answer
                        .headers_mut()
                        .insert("docker-distribution-api-version", version);
                    answer
                }
            })
            .await;
        }
    })
    .await;
}

async fn respond<B>(request: &Request<B>, root: Option<PathBuf>) -> Answer {
    let Some(root) = root else {
        return refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no registry");
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "this registry can only be pulled from";
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", text);
    }
    let route = match route(request.uri().path()) {
        Ok(route) => route,
        Err(refusal) => return refuse(refusal.status, refusal.code, refusal.message),
    };
    let served = match route {
        Route::Base => Ok(http::answer(StatusCode::OK, JSON, "{}")),
        Route::Tags { name } => tags(&Layout::of(&root, &name), &name).await,
        Route::Manifest { name, reference } => manifest(&Layout::of(&root, &name), reference).await,
        Route::Blob { name, digest } => {
            let range = request.headers().get(header::RANGE);
            let range = range.and_then(|value| value.to_str().ok());
            blob(&Layout::of(&root, &name), &digest, range).await
        }
    };
    served.unwrap_or_else(|error| {
        tracing::error!(path = request.uri().path(), %error, "serve from an image layout");
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "UNKNOWN",
            "the image layout cannot be read",
        )
    })
}

const JSON: &str = "application/json";

async fn tags(layout: &Layout, name: &str) -> io::Result<Answer> {
    Ok(match layout.tags().await? {
        Some(tags) => {
            let list = json!({ "name": name, "tags": tags }).to_string();
            http::answer(StatusCode::OK, JSON, list)
        }
        None => refuse(
            StatusCode::NOT_FOUND,
            "NAME_UNKNOWN",
            "repository name not known",
        ),
    })
}

async fn manifest(layout: &Layout, reference: Reference) -> io::Result<Answer> {
    Ok(match layout.manifest(&reference).await? {
        Found::Yes(manifest) => {
            let mut answer = http::answer(StatusCode::OK, JSON, manifest.content);
            let headers = answer.headers_mut();
            // Both come from files of ours, which may hold anything.
            if let Ok(kind) = HeaderValue::from_str(&manifest.media_type) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            digest_header(headers, manifest.digest.as_str());
            answer
        }
        Found::NoRepository => refuse(
            StatusCode::NOT_FOUND,
            "NAME_UNKNOWN",
            "repository name not known",
        ),
        Found::No => refuse(
            StatusCode::NOT_FOUND,
            "MANIFEST_UNKNOWN",
            "manifest unknown",
        ),
    })
}

async fn blob(layout: &Layout, digest: &route::Digest, range: Option<&str>) -> io::Result<Answer> {
    let Some((mut file, size)) = layout.blob(digest).await? else {
        let text = "blob unknown to registry";
        return Ok(refuse(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", text));
    };
    let mut answer = http::answer(StatusCode::OK, "application/octet-stream", "");
    let headers = answer.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    digest_header(headers, digest.as_str());
    let (status, start, left) = match range.and_then(|text| route::range(text, size)) {
        None => (StatusCode::OK, 0, size),
        Some(Some((first, last))) => {
            let part = format!("bytes {first}-{last}/{size}");
            headers.insert(
                header::CONTENT_RANGE,
                HeaderValue::try_from(part).map_err(io::Error::other)?,
            );
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Some(None) => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let mut answer = refuse(status, "SIZE_INVALID", "the range is outside the blob");
            let all = HeaderValue::try_from(format!("bytes */{size}")).map_err(io::Error::other)?;
            answer.headers_mut().insert(header::CONTENT_RANGE, all);
            return Ok(answer);
        }
    };
    file.seek(SeekFrom::Start(start)).await?;
    *answer.status_mut() = status;
    *answer.body_mut() = Content::File { file, left };
    Ok(answer)
}

fn digest_header(headers: &mut hyper::HeaderMap, digest: &str) {
    if let Ok(digest) = HeaderValue::from_str(digest) {
        headers.insert("docker-content-digest", digest);
    }
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    let errors = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    http::answer(status, JSON, errors.to_string())
}
