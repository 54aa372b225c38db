//! The one HTTP endpoint: AWS's APIs, and the admin API below `/_nines/`.

use crate::admin;
use crate::dispatch::Dispatcher;
use crate::pieces::Pieces;
use anyhow::Context;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use wire::{ApiError, ErrorStyle, HttpRequest, HttpResponse, Protocol};

/// Largest body of an upload. S3 takes 5 GiB in one PUT; parts of this size serve the same.
const UPLOAD_LIMIT: usize = 256 << 20;

/// Largest body of any other call: a template of CloudFormation has 1 MiB, a
/// PutMetricData as much, and user data 16 KiB.
pub const CALL_LIMIT: usize = 8 << 20;

/// All heads of a request together; S3's metadata alone may have 2 KiB, cookies of proxies more.
const HEAD_LIMIT: usize = 64 << 10;

const MAX_HEADERS: usize = 128;

/// A head that takes longer to arrive, or a connection idle for longer, is not worth holding.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);

/// Longest silence within a body; S3 gives up after as much.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// Connections at a time; further ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 2048;

/// Memory of all bodies that are longer than a common call's, which bounds it together with the
/// limits above. Whoever finds none left is told to come again, as SDKs do by themselves.
const BODIES: usize = 512 << 20;
const COMMON: usize = 16 << 10;
const PAGE: usize = 4 << 10;
static ROOM: Semaphore = Semaphore::const_new(BODIES / PAGE);

pub struct Server {
    pub dispatcher: Dispatcher,
    pub admin: admin::Admin,
}

/// Threads that serve connections, each its own.
///
/// There was one pool of threads that take over each other's work, and so wake each other for calls
/// of a few microseconds.
pub struct Threads(Vec<Handle>);

impl Threads {
    pub fn start() -> anyhow::Result<Self> {
        const MOST: usize = 4;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let start = |number| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let handle = runtime.handle().clone();
            std::thread::Builder::new()
                .name(format!("api-{number}"))
                .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
            Ok(handle)
        };
        (0..cores.min(MOST))
            .map(start)
            .collect::<anyhow::Result<_>>()
            .map(Self)
    }

    /// Begins a connection on the thread whose turn it is.
    fn spawn(&self, turn: usize, connection: impl Future<Output = ()> + Send + 'static) {
        if let Some(thread) = self.0.get(turn % self.0.len().max(1)) {
            thread.spawn(connection);
        }
    }
}

/// Bytes on their way to a client; the kernel takes twice the number. It would let 4 MB go ahead of
/// the reader, by which time they have left the processor's cache: a long answer took both sides
/// half as long again (measured with DescribeInstances of 1,000). With less, the loopback's segments
/// of 64 KiB wait for each other.
const SEND_BUFFER: u32 = 128 << 10;

/// The endpoint's listener.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Accepted connections have it from here.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Accepts connections until the task is dropped.
pub async fn serve(listener: TcpListener, server: Arc<Server>, threads: Arc<Threads>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for turn in 0.. {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            // The semaphore is never closed.
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        // Its events go to the thread that serves it.
        let Ok(stream) = stream.into_std() else {
            continue;
        };
        let server = Arc::clone(&server);
        threads.spawn(turn, async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(stream, server, true).await,
                Err(error) => tracing::warn!(%error, "failed to take over a connection"),
            }
            drop(place);
        });
    }
}

/// The socket at which instances reach the APIs by way of the edge.
pub fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
    .with_context(|| format!("failed to listen on {}", path.display()))
}

/// The same for instances, which the admin API is none of the business of.
pub async fn serve_instances(listener: UnixListener, server: Arc<Server>, threads: Arc<Threads>) {
    for turn in 0.. {
        match listener
            .accept()
            .await
            .and_then(|(stream, _)| stream.into_std())
        {
            Ok(stream) => {
                let server = Arc::clone(&server);
                threads.spawn(turn, async move {
                    match UnixStream::from_std(stream) {
                        Ok(stream) => connection(stream, server, false).await,
                        Err(error) => tracing::warn!(%error, "failed to take over a connection"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection of the edge");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    server: Arc<Server>,
    from_host: bool,
) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(answer(&server, request, from_host).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a client's connection ended");
    }
}

async fn answer(server: &Server, request: Request<Incoming>, from_host: bool) -> Response<Pieces> {
    let head_only = request.method() == hyper::Method::HEAD;
    let protocol = protocol_of(&request);
    let response = match read(request, protocol).await {
        Ok((request, _)) if from_host && request.path.starts_with("/_nines/") => {
            server.admin.answer(&request)
        }
        // The room of the body is taken until the answer is there.
        Ok((request, _room)) => server.dispatcher.answer(request, from_host).await,
        Err(error) => error.into_response(protocol, ErrorStyle::default(), "-"),
    };
    into_hyper(response, head_only)
}

/// What the head alone says of the protocol, for errors before there is a body to look at.
fn protocol_of(request: &Request<Incoming>) -> Protocol {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    };
    let kind = header("content-type");
    if !header("smithy-protocol").is_empty() {
        Protocol::Cbor
    } else if !header("x-amz-target").is_empty() {
        match kind.starts_with("application/x-amz-json-1.0") {
            true => Protocol::Json10,
            false => Protocol::Json11,
        }
    } else if kind.starts_with("application/x-www-form-urlencoded") && request.uri().path() == "/" {
        Protocol::Query
    } else if header("authorization").contains("/route53/") {
        Protocol::RestXml
    } else {
        Protocol::S3
    }
}

type Room = Option<SemaphorePermit<'static>>;

async fn read(
    request: Request<Incoming>,
    protocol: Protocol,
) -> Result<(HttpRequest, Room), ApiError> {
    let (head, body) = request.into_parts();
    let limit = match protocol {
        Protocol::S3 => UPLOAD_LIMIT,
        _ => CALL_LIMIT,
    };
    // Told beforehand, it is refused beforehand.
    let announced = head
        .headers
        .get("content-length")
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(protocol));
    }
    let (body, room) = collect(body, limit, protocol).await?;
    let headers = head.headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    let request = HttpRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
    };
    Ok((request, room))
}

fn into_hyper(response: HttpResponse, head_only: bool) -> Response<Pieces> {
    let mut builder = Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    let named_length = response.header("content-length").is_some();
    if head_only && !named_length {
        builder = builder.header("content-length", response.body.len());
    }
    let body = match head_only {
        true => Pieces::default(),
        false => Pieces::from(response.body),
    };
    builder.body(body).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer has a header that HTTP forbids");
        let mut plain = Response::new(Pieces::default());
        *plain.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}

/// The whole body, unless it is too long or its sender falls silent.
async fn collect(
    body: Incoming,
    limit: usize,
    protocol: Protocol,
) -> Result<(Vec<u8>, Room), ApiError> {
    let mut room: Room = None;
    let mut body = Limited::new(body, limit);
    // What a client announces is not trusted with an allocation.
    let mut whole = Vec::new();
    loop {
        let frame = tokio::time::timeout(BODY_PATIENCE, body.frame())
            .await
            .map_err(|_| {
                let message = "Your socket connection to the server was not read from or written to within the timeout period.";
                ApiError::client("RequestTimeout", message)
            })?;
        let data = match frame {
            None => return Ok((whole, room)),
            Some(Ok(frame)) => frame.into_data(),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(protocol)),
            Some(Err(error)) => {
                let message = format!("The request body could not be read: {error}");
                return Err(ApiError::client("IncompleteBody", message));
            }
        };
        // Trailers carry nothing that a call reads.
        let data = data.unwrap_or_default();
        let taken = room.as_ref().map_or(0, SemaphorePermit::num_permits) * PAGE;
        let wanted = (whole.len() + data.len()).saturating_sub(COMMON + taken);
        if wanted > 0 {
            let pages = u32::try_from(wanted.div_ceil(PAGE)).unwrap_or(u32::MAX);
            let more = ROOM.try_acquire_many(pages).map_err(|_| busy(protocol))?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        whole.extend_from_slice(&data);
    }
}

fn busy(protocol: Protocol) -> ApiError {
    let code = match protocol {
        Protocol::S3 => "SlowDown",
        _ => "ServiceUnavailable",
    };
    let message = "Too much is being sent to this cloud at once; try again.";
    ApiError::new(503, code, message)
}

fn too_large(protocol: Protocol) -> ApiError {
    let (code, message) = match protocol {
        Protocol::S3 => (
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
        ),
        _ => ("RequestEntityTooLarge", "The request is too large."),
    };
    ApiError::client(code, message).with_status(413)
}
