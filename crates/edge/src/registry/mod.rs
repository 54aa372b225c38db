//! Image registries over OCI image layouts on disk.
//!
//! Enough of the distribution API for docker, containerd, podman and skopeo:
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>. There is one that
//! anybody may pull from (`pull`), and by HTTPS those of accounts, which take pushes from whoever
//! has a token of ECR's (`private`, `push`). What is kept on disk is the `oci` crate's business.

mod private;
mod pull;
mod push;
mod route;

use crate::http::{self, Answer};
use crate::listener::{Stop, accept};
use crate::tls::shake_hands;
use crate::view::View;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use oci::{Digest, Layout};
use serde_json::json;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

type Views = watch::Receiver<Arc<View>>;

pub async fn plain(listener: TcpListener, views: Views, stop: Stop) {
    accept(listener, stop, |stream| serve(stream, views.clone(), false)).await;
}

pub async fn tls(listener: TcpListener, acceptor: TlsAcceptor, views: Views, stop: Stop) {
    accept(listener, stop, |stream| {
        let (acceptor, views) = (acceptor.clone(), views.clone());
        async move {
            if let Some(stream) = shake_hands(acceptor, stream).await {
                serve(stream, views, true).await;
            }
        }
    })
    .await;
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, views: Views, secret: bool) {
    http::serve(stream, |request| {
        let views = views.clone();
        async move {
            let mut answer = respond(request, views, secret).await;
            let version = HeaderValue::from_static("registry/2.0");
            answer
                .headers_mut()
                .insert("docker-distribution-api-version", version);
            answer
        }
    })
    .await;
}

/// `secret`: nobody on the way reads what is said, as tokens demand.
async fn respond(request: Request<Incoming>, views: Views, secret: bool) -> Answer {
    let Some(registry) = views.borrow().registry.clone() else {
        return refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no registry");
    };
    let path = request.uri().path().to_owned();
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let served = match host.and_then(private::Address::of) {
        Some(address) if secret => private::respond(request, address, views).await,
        Some(_) => {
            let text = "the registries of accounts speak HTTPS only";
            return refuse(StatusCode::FORBIDDEN, "DENIED", text);
        }
        None => pull::respond(&request, &registry.root).await,
    };
    served.unwrap_or_else(|error| {
        tracing::error!(path, %error, "serve from an image layout");
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "UNKNOWN",
            "the image layout cannot be read or written",
        )
    })
}

const JSON: &str = "application/json";

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    let errors = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    http::answer(status, JSON, errors.to_string())
}

fn unknown_blob() -> Answer {
    let text = "blob unknown to registry";
    refuse(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", text)
}

/// An answer of a head alone.
fn empty(status: StatusCode) -> Answer {
    let mut answer = http::answer(status, JSON, "");
    answer.headers_mut().remove(header::CONTENT_TYPE);
    answer
}

/// Of text that may hold anything; left out if a header cannot.
fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

fn set_digest(answer: &mut Answer, digest: &Digest) {
    let name = HeaderName::from_static("docker-content-digest");
    set(answer, name, digest.as_str());
}

/// Works on a layout where blocking is allowed.
async fn on<T: Send + 'static>(
    layout: &Layout,
    work: impl FnOnce(&Layout) -> T + Send + 'static,
) -> io::Result<T> {
    let layout = layout.clone();
    let done = tokio::task::spawn_blocking(move || work(&layout)).await;
    done.map_err(io::Error::other)
}
