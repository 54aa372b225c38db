//! EC2 Instance Connect Endpoints: WebSockets from the internet side, each joined to a connection
//! that begins at the endpoint's own interface.
//!
//! A request is shown to the control plane as it came, signature and all, which answers whereto
//! it may lead. From then on a tunnel is the edge's alone and outlives the control plane. Bytes
//! travel in binary frames, as AWS's CLI sends them. As on AWS, the client is answered before the
//! target is connected to: what then fails is the reason in the frame that closes the tunnel.
//!
//! An endpoint that is removed or changed loses its tunnels, and is gone when they have let go of
//! their sockets: those would pin its namespace.

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
    CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

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

/// The endpoints of the configuration in force, by id.
#[derive(Default)]
pub struct Endpoints(Mutex<BTreeMap<String, Arc<Open>>>);

struct Open {
    endpoint: Endpoint,
    /// Each tunnel holds one.
    places: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Endpoints {
    /// When this returns, tunnels of endpoints that are gone or have changed are closed.
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
        for (_, open) in closing {
            open.closing.send_replace(true);
            // All places are free when the last tunnel has ended.
            let _ = open.places.acquire_many(TUNNELS).await;
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
    place: OwnedSemaphorePermit,
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
                Err(refusal) => refusal,
            })
        }
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(handle))
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "serve a connection to an endpoint");
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
    let Some(open) = open else {
        let message = format!("The endpoint {id} is not at this address.");
        return Err(refusal(StatusCode::NOT_FOUND, "InvalidParameter", &message));
    };
    let Ok(place) = open.places.clone().try_acquire_owned() else {
        let message = format!("The endpoint {id} has {TUNNELS} connections already.");
        return Err(refusal(
            StatusCode::TOO_MANY_REQUESTS,
            "ConnectionLimitExceeded",
            &message,
        ));
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
    // Of this connection, not of the request.
    asked.headers_mut().remove(CONNECTION);
    asked.headers_mut().remove(UPGRADE);
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
        ended = joined(&mut socket, &open.endpoint, target) => ended,
        () = tokio::time::sleep(longest) => (CloseCode::Normal, "the tunnel's time is up"),
        _ = closing.wait_for(|closing| *closing) => (CloseCode::Away, "the endpoint is closed"),
    };
    // No socket in the endpoint's namespace is left.
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
    target: SocketAddr,
) -> (CloseCode, &'static str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = match tokio::time::timeout(CONNECT, connect(endpoint.clone(), target)).await {
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

async fn connect(endpoint: Endpoint, target: SocketAddr) -> io::Result<TcpStream> {
    // Entering a namespace blocks on a thread.
    let socket = tokio::task::spawn_blocking(move || {
        netns::within(endpoint.netns.as_deref(), || {
            netns::connecting(endpoint.address)
        })
    });
    socket
        .await
        .map_err(io::Error::other)??
        .connect(target)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

    type Client = WebSocketStream<DuplexStream>;

    /// An endpoint of this machine.
    async fn endpoint() -> Endpoints {
        let endpoints = Endpoints::default();
        let endpoint = Endpoint {
            netns: None,
            address: Ipv4Addr::LOCALHOST,
        };
        endpoints.set([("eice-1".into(), endpoint)].into()).await;
        endpoints
    }

    async fn begun(endpoints: &Endpoints, target: SocketAddr, longest: Duration) -> Client {
        let open = endpoints.get("eice-1").unwrap();
        let place = open.places.clone().try_acquire_owned().unwrap();
        let way = Way {
            open,
            place,
            target,
            longest,
        };
        let (client, server) = tokio::io::duplex(1 << 16);
        let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        tokio::spawn(tunnel(server, way));
        WebSocketStream::from_raw_socket(client, Role::Client, None).await
    }

    /// Sends back what comes.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn closed(client: &mut Client) -> (CloseCode, String) {
        match client.next().await {
            Some(Ok(Message::Close(Some(frame)))) => (frame.code, frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn bytes_pass_until_the_endpoint_goes() {
        let endpoints = endpoint().await;
        let client = begun(&endpoints, echo().await, HOUR).await;
        let text = Bytes::from(vec![7; 100_000]);
        let mut back = Vec::new();
        let (mut to, mut from) = client.split();
        let send = to.send(Message::Binary(text.clone()));
        let receive = async {
            while back.len() < text.len() {
                match from.next().await {
                    Some(Ok(Message::Binary(data))) => back.extend_from_slice(&data),
                    other => panic!("{other:?}"),
                }
            }
        };
        let (sent, ()) = tokio::join!(send, receive);
        sent.unwrap();
        assert_eq!(back, text);
        let mut client = to.reunite(from).unwrap();
        let open = endpoints.get("eice-1").unwrap();
        assert_eq!(open.places.available_permits(), TUNNELS as usize - 1);
        endpoints.set(BTreeMap::new()).await;
        assert_eq!(open.places.available_permits(), TUNNELS as usize);
        assert!(endpoints.get("eice-1").is_none());
        assert_eq!(closed(&mut client).await.0, CloseCode::Away);
    }

    #[tokio::test]
    async fn the_reason_of_an_end_is_told() {
        let endpoints = endpoint().await;
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let mut client = begun(&endpoints, address, HOUR).await;
        let (code, why) = closed(&mut client).await;
        assert_eq!(code, CloseCode::Error);
        assert_eq!(why, "Unable to connect to target");

        let mut client = begun(&endpoints, echo().await, HOUR).await;
        client.send(Message::Text("hello".into())).await.unwrap();
        assert_eq!(closed(&mut client).await.0, CloseCode::Unsupported);

        let mut client = begun(&endpoints, echo().await, Duration::from_millis(50)).await;
        let (code, why) = closed(&mut client).await;
        assert_eq!(
            (code, &*why),
            (CloseCode::Normal, "the tunnel's time is up")
        );
    }
}
