//! One check of a target that speaks HTTP/2: a GET, or a call of gRPC.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};

use super::check::{Spec, broken};
use super::track::Failure;
use crate::config::{Protocol, ProtocolVersion};
use crate::tls::Stream;

/// A message of gRPC without content: not compressed, no bytes.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// Asks, and gives the code to match: of HTTP, or `grpc-status`.
pub async fn ask(stream: Stream, spec: &Spec, host: &str) -> Result<u16, Failure> {
    let handshake = h2::client::handshake(stream).await;
    let (sender, connection) = handshake.map_err(|error| failed("HTTP/2", &error))?;
    tokio::select! {
        answered = call(sender, spec, host) => answered,
        ended = connection => Err(match ended {
            Ok(()) => Failure::Broken("closed without an answer".into()),
            Err(error) => failed("HTTP/2", &error),
        }),
    }
}

async fn call(
    sender: h2::client::SendRequest<Bytes>,
    spec: &Spec,
    host: &str,
) -> Result<u16, Failure> {
    let is_grpc = spec.version == ProtocolVersion::Grpc;
    let scheme = match spec.protocol {
        Protocol::Http => "http",
        Protocol::Https => "https",
    };
    let mut request = Request::builder()
        .method(if is_grpc { Method::POST } else { Method::GET })
        .uri(format!("{scheme}://{host}{}", spec.path))
        .header("user-agent", "ELB-HealthChecker/2.0");
    if is_grpc {
        request = request
            .header("content-type", "application/grpc")
            .header("te", "trailers");
    }
    let request = request.body(());
    let request = request.map_err(|error| Failure::Internal(format!("make a request: {error}")))?;
    let mut sender = sender
        .ready()
        .await
        .map_err(|error| failed("send", &error))?;
    let (response, mut stream) = sender
        .send_request(request, !is_grpc)
        .map_err(|error| failed("send", &error))?;
    if is_grpc {
        let sent = stream.send_data(Bytes::from_static(EMPTY_MESSAGE), true);
        sent.map_err(|error| failed("send", &error))?;
    }
    let response = response.await.map_err(|error| failed("read", &error))?;
    let status = response.status().as_u16();
    if !is_grpc {
        return Ok(status);
    }
    if status != 200 {
        return Err(Failure::Mismatch(status));
    }
    // A call that has no message to answer with has its status in the head.
    if let Some(code) = grpc_status(response.headers()) {
        return Ok(code);
    }
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data.map_err(|error| failed("read", &error))?.len();
        // Fails only where the stream has ended.
        let _ = body.flow_control().release_capacity(length);
    }
    let trailers = body
        .trailers()
        .await
        .map_err(|error| failed("read", &error))?;
    let code = trailers.as_ref().and_then(grpc_status);
    code.ok_or_else(|| Failure::Broken("an answer without grpc-status".into()))
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn failed(what: &str, error: &h2::Error) -> Failure {
    broken(what, &std::io::Error::other(error.to_string()))
}
