//! What is read of a layout: tags, manifests, blobs; and the registry that is only read.

use super::route::{self, Route, route};
use super::{JSON, on, refuse, set, set_digest, unknown_blob};
use crate::http::{self, Answer, Content};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use oci::{Digest, Found, Layout, Reference};
use serde_json::json;
use std::io::{self, SeekFrom};
use std::path::Path;
use tokio::fs::File;
use tokio::io::AsyncSeekExt;

/// The registry of the layouts below `root`, from which anybody may pull.
pub async fn respond<B>(request: &Request<B>, root: &Path) -> io::Result<Answer> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "this registry can only be pulled from";
        return Ok(refuse(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", text));
    }
    let route = match route(request.uri().path()) {
        Ok(route) => route,
        Err(refusal) => return Ok(refusal.into()),
    };
    // Names have passed the router.
    let layout = Layout::at(root.join(route.name().unwrap_or_default()));
    read(&layout, route, request.headers()).await
}

/// Whatever of a repository is asked for.
pub async fn read(layout: &Layout, route: Route, headers: &HeaderMap) -> io::Result<Answer> {
    match route {
        Route::Base => Ok(http::answer(StatusCode::OK, JSON, "{}")),
        Route::Tags { name } => tags(layout, &name).await,
        Route::Manifest { reference, .. } => manifest(layout, reference).await,
        Route::Blob { digest, .. } => {
            let range = headers.get(header::RANGE);
            let range = range.and_then(|value| value.to_str().ok());
            blob(layout, &digest, range).await
        }
        Route::Uploads { .. } | Route::Upload { .. } => {
            let text = "there is nothing to read of an upload";
            Ok(refuse(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", text))
        }
    }
}

async fn tags(layout: &Layout, name: &str) -> io::Result<Answer> {
    Ok(match on(layout, Layout::tags).await?? {
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
    Ok(match on(layout, move |l| l.manifest(&reference)).await?? {
        Found::Yes(manifest) => {
            let mut answer = http::answer(StatusCode::OK, JSON, manifest.content);
            set(&mut answer, header::CONTENT_TYPE, &manifest.media_type);
            set_digest(&mut answer, &manifest.digest);
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

async fn blob(layout: &Layout, digest: &Digest, range: Option<&str>) -> io::Result<Answer> {
    let mut file = match File::open(layout.blob_path(digest)).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(unknown_blob()),
        Err(error) => return Err(error),
    };
    let size = file.metadata().await?.len();
    let mut answer = http::answer(StatusCode::OK, "application/octet-stream", "");
    set_digest(&mut answer, digest);
    let headers = answer.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let (status, start, left) = match range.and_then(|text| route::range(text, size)) {
        None => (StatusCode::OK, 0, size),
        Some(Some((first, last))) => {
            let part = format!("bytes {first}-{last}/{size}");
            set(&mut answer, header::CONTENT_RANGE, &part);
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Some(None) => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let mut answer = refuse(status, "SIZE_INVALID", "the range is outside the blob");
            set(
                &mut answer,
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
            return Ok(answer);
        }
    };
    file.seek(SeekFrom::Start(start)).await?;
    *answer.status_mut() = status;
    *answer.body_mut() = Content::File { file, left };
    Ok(answer)
}
