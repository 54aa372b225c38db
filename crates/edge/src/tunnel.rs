//! EC2 Instance Connect Endpoints: WebSockets from the internet side, each joined to a connection
//! that begins at the endpoint's own interface.
//!
//! A request is shown to the control plane as it came, signature and all, which answers whereto
//! it may lead. From then on a tunnel is the edge's alone and outlives the control plane. Bytes
//! travel in binary frames, as AWS's CLI sends them. As on AWS, the client is answered before the
//! target is connected to: what then fails is the reason in the frame that closes the tunnel.
//!
//! An endpoint that is removed or changed loses its tunnels, and is gone when they have let go of
//! their sockets: those would pin its namespace. No client may hold that up: what it does not read
//! ends its connection after a while, and a new configuration waits for no tunnel longer than that.

use crate::config::Endpoint;
use crate::http::{Answer, Content, answer};
use crate::listener::{Stop, accept};
use crate::netns;
use crate::tls::shake_hands;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, watch};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// Where clients ask for tunnels; nothing else is the control plane's to answer here.
const PATH: &str = "/openTunnel";
/// Tunnels of one endpoint at a time, as on AWS.
const TUNNELS: u32 = 20;
/// How long a target may take to accept.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the control plane may take, and how much it may say.
const ASK: Duration = Duration::from_secs(10);
const ANSWER: usize = 64 << 10;
/// Between the head of a request and its end.
const HEAD: Duration = Duration::from_secs(30);
/// A frame; the CLI sends at most 65,000 bytes.
const FRAME: usize = 1 << 20;
const CHUNK: usize = 32 << 10;
/// How long a client may take to answer a closing frame.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long a new configuration waits for the tunnels that it closes.
const LET_GO: Duration = Duration::from_secs(5);

/// The endpoints of the configuration in force, by id.
#[derive(Default)]
pub struct Endpoints(Mutex<BTreeMap<String, Arc<Open>>>);

struct Open {
    endpoint: Endpoint,
    /// Each tunnel holds one. Closed when the endpoint has gone: nothing begins any more.
    places: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Endpoints {
    /// When this returns, tunnels of endpoints that are gone or have changed are closed, and none
    /// begins: not even one whose client was being answered.
    pub async fn set(&self, wanted: BTreeMap<String, Endpoint>) {
        let closing = {
            let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let stays =
                |id: &String, open: &Arc<Open>| wanted.get(id).is_some_and(|e| *e == open.endpoint);
            let closing: Vec<_> = open.extract_if(.., |id, o| !stays(id, o)).collect();
            for (id, endpoint) in wanted {
                open.entry(id).or_insert_with(|| {
                    Arc::new(Open {
                        endpoint,
                        places: Arc::new(Semaphore::new(TUNNELS as usize)),
                        closing: watch::Sender::new(false),
                    })
                });
            }
            closing
        };
        for (_, open) in &closing {
            open.closing.send_replace(true);
        }
        let until = tokio::time::Instant::now() + LET_GO;
        for (id, open) in closing {
            // All places are free when the last tunnel has ended.
            let free = tokio::time::timeout_at(until, open.places.acquire_many(TUNNELS));
            if free.await.is_err() {
                tracing::warn!(%id, "some connections to an endpoint that is closed stay for a while");
            }
            // For who looked the endpoint up before it went.
            open.places.close();
        }
    }

    fn get(&self, id: &str) -> Option<Arc<Open>> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id).cloned()
    }
}

pub async fn run(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    endpoints: Arc<Endpoints>,
    upstream: PathBuf,
    stop: Stop,
) {
    accept(listener, stop, |stream: TcpStream| {
        let acceptor = acceptor.clone();
        let (endpoints, upstream) = (endpoints.clone(), upstream.clone());
        async move {
            if let Some(stream) = shake_hands(acceptor, stream).await {
                serve(stream, endpoints, &upstream).await;
            }
        }
    })
    .await;
}

/// What a request that may go on is joined with.
struct Way {
    open: Arc<Open>,
    place: Arc<OwnedSemaphorePermit>,
    target: SocketAddr,
    longest: Duration,
}

/// One request a connection; a tunnel lives within it, so that it ends with the server.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    endpoints: Arc<Endpoints>,
    upstream: &Path,
) {
    let begun = Mutex::new(None);
    let handle = |mut request: Request<Incoming>| {
        let (endpoints, begun) = (&endpoints, &begun);
        async move {
            Ok::<_, std::convert::Infallible>(match begin(&request, endpoints, upstream).await {
                Ok((way, answer)) => {
                    let upgraded = hyper::upgrade::on(&mut request);
                    *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some((way, upgraded));
                    answer
                }
                Err(mut refusal) => {
                    let close = HeaderValue::from_static("close");
                    refusal.headers_mut().insert(CONNECTION, close);
                    refusal
                }
            })
        }
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(handle))
        .with_upgrades();
    // It ends with the answer, which a client may be slow to take; a place is held already.
    match tokio::time::timeout(HEAD + ASK, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "serve a connection to an endpoint"),
        Err(_) => {
            tracing::debug!("a client of an endpoint took too long");
            return;
        }
    }
    let begun = begun.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((way, upgraded)) = begun
        && let Ok(upgraded) = upgraded.await
    {
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME))
            .max_frame_size(Some(FRAME));
        let stream = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        tunnel(socket, way).await;
    }
}

/// Where the request leads, and the answer that begins it; or the one that refuses it.
async fn begin(
    request: &Request<Incoming>,
    endpoints: &Endpoints,
    upstream: &Path,
) -> Result<(Way, Answer), Answer> {
    if request.uri().path() != PATH {
        let message = format!("An endpoint has nothing at this path; tunnels are at {PATH}.");
        return Err(refusal(StatusCode::NOT_FOUND, "NotFound", &message));
    }
    let header = |name| {
        let value = request.headers().get(name);
        value.and_then(|v: &HeaderValue| v.to_str().ok())
    };
    let is_socket = header(UPGRADE).is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
        && header(SEC_WEBSOCKET_VERSION) == Some("13");
    let Some(key) =
        header(SEC_WEBSOCKET_KEY).filter(|_| is_socket && request.method() == Method::GET)
    else {
        let message = "An endpoint takes WebSockets and nothing else.";
        return Err(refusal(StatusCode::UPGRADE_REQUIRED, "BadRequest", message));
    };
    let allowed = tokio::time::timeout(ASK, ask(request, upstream)).await;
    let tunnel = match allowed {
        Ok(Ok(Asked::Allowed(tunnel))) => tunnel,
        Ok(Ok(Asked::Refused(answer))) => return Err(answer),
        Ok(Err(error)) => {
            tracing::debug!(%error, "ask the control plane for a tunnel");
            return Err(away());
        }
        Err(_) => return Err(away()),
    };
    let id = &tunnel.instance_connect_endpoint_id;
    // The name that was asked is the endpoint's own.
    let named = header(HOST).and_then(|host| host.split('.').next());
    let open = endpoints.get(id).filter(|_| named == Some(id));
    let absent = || {
        let message = format!("The endpoint {id} is not at this address.");
        refusal(StatusCode::NOT_FOUND, "InvalidParameter", &message)
    };
    let open = open.ok_or_else(absent)?;
    let place = match open.places.clone().try_acquire_owned() {
        Ok(place) => Arc::new(place),
        Err(TryAcquireError::Closed) => return Err(absent()),
        Err(TryAcquireError::NoPermits) => {
            let message = format!("The endpoint {id} has {TUNNELS} connections already.");
            return Err(refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "ConnectionLimitExceeded",
                &message,
            ));
        }
    };
    let mut answer = answer(StatusCode::SWITCHING_PROTOCOLS, "text/plain", Bytes::new());
    let headers = answer.headers_mut();
    headers.clear();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accepted) = derive_accept_key(key.as_bytes()).parse() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    *answer.body_mut() = Content::Whole(None);
    let way = Way {
        open,
        place,
        target: (tunnel.private_ip_address, tunnel.remote_port).into(),
        longest: Duration::from_secs(tunnel.max_tunnel_duration),
    };
    Ok((way, answer))
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "ErrorCode": code, "Message": message });
    answer(status, "application/json", body.to_string())
}

fn away() -> Answer {
    let message = "The cloud's control plane is away; try again.";
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailable",
        message,
    )
}

/// What the control plane says of a tunnel that may be opened.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Allowed {
    instance_connect_endpoint_id: String,
    private_ip_address: Ipv4Addr,
    remote_port: u16,
    max_tunnel_duration: u64,
}

enum Asked {
    Allowed(Allowed),
    Refused(Answer),
}

async fn ask(request: &Request<Incoming>, upstream: &Path) -> io::Result<Asked> {
    let stream = UnixStream::connect(upstream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let mut asked = Request::new(Empty::<Bytes>::new());
    *asked.uri_mut() = request.uri().clone();
    *asked.headers_mut() = request.headers().clone();
    // Of this connection or of a body, and none is sent on.
    for name in [CONNECTION, UPGRADE, CONTENT_LENGTH, TRANSFER_ENCODING] {
        asked.headers_mut().remove(name);
    }
    let reply = async {
        let reply = sender.send_request(asked).await.map_err(io::Error::other)?;
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, ANSWER).collect().await;
        Ok::<_, io::Error>((head, body.map_err(io::Error::other)?.to_bytes()))
    };
    let (head, body) = tokio::select! {
        reply = reply => reply?,
        // It ends only when the control plane does.
        ended = connection => {
            ended.map_err(io::Error::other)?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    if head.status == StatusCode::OK {
        return Ok(Asked::Allowed(serde_json::from_slice(&body)?));
    }
    Ok(Asked::Refused(answer(
        head.status,
        "application/json",
        body,
    )))
}

/// Joins both ends until either closes, time is up or the endpoint goes.
async fn tunnel<S>(mut socket: WebSocketStream<S>, way: Way)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Way {
        open,
        place,
        target,
        longest,
    } = way;
    let mut closing = open.closing.subscribe();
    let (code, why) = tokio::select! {
        biased;
        // First, so that nothing begins in an endpoint that has gone.
        _ = closing.wait_for(|closing| *closing) => (CloseCode::Away, "the endpoint is closed"),
        () = tokio::time::sleep(longest) => (CloseCode::Normal, "the tunnel's time is up"),
        ended = joined(&mut socket, &open.endpoint, &place, target) => ended,
    };
    // No socket in the endpoint's namespace is left; one that is being made has a share of this.
    drop(place);
    let frame = CloseFrame {
        code,
        reason: why.into(),
    };
    let goodbye = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

async fn joined<S>(
    socket: &mut WebSocketStream<S>,
    endpoint: &Endpoint,
    place: &Arc<OwnedSemaphorePermit>,
    target: SocketAddr,
) -> (CloseCode, &'static str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connecting = connect(endpoint.clone(), place.clone(), target);
    let stream = match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, %target, "connect to the target of a tunnel");
            return (CloseCode::Error, "Unable to connect to target");
        }
        Err(_) => return (CloseCode::Error, "Unable to connect to target: timed out"),
    };
    let (mut from_target, mut to_target) = stream.into_split();
    let (mut to_client, mut from_client) = socket.split();
    let inwards = async {
        loop {
            match from_client.next().await {
                Some(Ok(Message::Binary(data))) => {
                    if to_target.write_all(&data).await.is_err() {
                        return (CloseCode::Normal, "the target closed the connection");
                    }
                }
                Some(Ok(Message::Text(_))) => {
                    return (CloseCode::Unsupported, "a tunnel takes binary frames");
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return (CloseCode::Normal, ""),
                // The crate answers pings.
                Some(Ok(_)) => {}
            }
        }
    };
    let outwards = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = match from_target.read(&mut buffer).await {
                Ok(0) | Err(_) => return (CloseCode::Normal, "the target closed the connection"),
                Ok(length) => length,
            };
            let data = Bytes::copy_from_slice(&buffer[..length]);
            if to_client.send(Message::Binary(data)).await.is_err() {
                return (CloseCode::Normal, "");
            }
        }
    };
    tokio::select! {
        ended = inwards => ended,
        ended = outwards => ended,
    }
}

async fn connect(
    endpoint: Endpoint,
    place: Arc<OwnedSemaphorePermit>,
    target: SocketAddr,
) -> io::Result<TcpStream> {
    // Entering a namespace blocks on a thread, which goes on when nobody waits for it any more:
    // the place is let go of after the socket.
    let made = tokio::task::spawn_blocking(move || {
        let socket = netns::within(endpoint.netns.as_deref(), || {
            netns::connecting(endpoint.address)
        })?;
        Ok::<_, io::Error>((socket, place))
    });
    let (socket, _place) = made.await.map_err(io::Error::other)??;
    socket.connect(target).await
}

#[cfg(test)]
mod tests;
