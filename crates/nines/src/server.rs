//! The one HTTP endpoint: AWS's APIs, and the admin API below `/_nines/`.

use crate::admin;
use crate::dispatch::Dispatcher;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use wire::{ApiError, ErrorStyle, HttpRequest, HttpResponse, Protocol};

/// Largest body of a call. S3 takes 5 GiB in one PUT; parts of this size serve the same.
const BODY_LIMIT: usize = 256 << 20;

pub struct Server {
    pub dispatcher: Dispatcher,
    pub admin: admin::Admin,
}

/// Accepts connections until the task is dropped.
pub async fn serve(listener: TcpListener, server: Arc<Server>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(answer(&server, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a client's connection ended");
            }
        });
    }
}

async fn answer(server: &Server, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let head_only = request.method() == hyper::Method::HEAD;
    let response = match read(request).await {
        Ok(request) if request.path.starts_with("/_nines/") => server.admin.answer(&request),
        Ok(request) => server.dispatcher.answer(request).await,
        Err(error) => error.into_response(
            Protocol::RestXml,
            ErrorStyle {
                xml_namespace: "",
                query_compatible: false,
            },
            "-",
        ),
    };
    into_hyper(response, head_only)
}

async fn read(request: Request<Incoming>) -> Result<HttpRequest, ApiError> {
    let (head, body) = request.into_parts();
    // Told beforehand, it is refused beforehand.
    let announced = head
        .headers
        .get("content-length")
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT as u64) {
        return Err(too_large());
    }
    let body = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                too_large()
            } else {
                ApiError::client(
                    "IncompleteBody",
                    format!("The request body could not be read: {error}"),
                )
            }
        })?;
    let headers = head.headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    Ok(HttpRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_bytes().into(),
    })
}

fn into_hyper(response: HttpResponse, head_only: bool) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    let named_length = response.header("content-length").is_some();
    if head_only && !named_length {
        builder = builder.header("content-length", response.body.len());
    }
    let body = if head_only {
        Bytes::new()
    } else {
        Bytes::from(response.body)
    };
    builder.body(Full::new(body)).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer has a header that HTTP forbids");
        let mut plain = Response::new(Full::default());
        *plain.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}

fn too_large() -> ApiError {
    ApiError::client(
        "EntityTooLarge",
        "Your proposed upload exceeds the maximum allowed size",
    )
    .with_status(413)
}
