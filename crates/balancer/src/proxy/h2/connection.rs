//! A client's connection: streams come and go until nobody needs it any more.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::stream;
use crate::count::Open;
use crate::http::request::HEAD_LIMIT;
use crate::proxy::arrive::Arrival;
use crate::proxy::idle::Idle;
use crate::tls::{Session, Stream};
use crate::worker::Core;
use crate::worker::node::Node;

/// Streams of one connection at once, and in all (A/load-balancer-listeners.html).
const STREAMS: u32 = 128;
const STREAMS_IN_ALL: u32 = 10_000;
/// What a stream and a connection may have under way towards us, and a stream towards the client.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 256 * 1024;
/// How long a client may take for its preface.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection that is told to end may take for it once no stream is left.
const LINGER: Duration = Duration::from_secs(5);

/// What the streams of a connection share.
pub struct Shared {
    pub core: Rc<Core>,
    pub node: Rc<Node>,
    pub port: u16,
    pub session: Rc<Session>,
    pub peer: SocketAddr,
    pub trace: u64,
    _counted: Open,
    open: Cell<u32>,
}

/// A stream that counts as open while this lives.
pub struct OpenStream(pub Rc<Shared>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

pub async fn serve(arrival: Arrival, stream: Stream, session: Rc<Session>) {
    let opened = Instant::now();
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEAD_LIMIT as u32);
    let handshake = builder.handshake::<_, Bytes>(stream);
    let Ok(Ok(mut connection)) = timeout(HANDSHAKE_TIMEOUT, handshake).await else {
        return;
    };
    let shared = Rc::new(Shared {
        core: arrival.core,
        node: arrival.node,
        port: arrival.port,
        session,
        peer: arrival.peer,
        trace: arrival.trace,
        _counted: arrival.open,
        open: Cell::new(0),
    });
    let mut idle = Idle::new(shared.node.front().attributes.idle_timeout);
    let (mut served, mut is_ending) = (0, false);
    loop {
        let front = shared.node.front();
        let limit = match is_ending {
            true => LINGER,
            false => front.attributes.idle_timeout,
        };
        let accepted = poll_fn(|context| {
            if let Poll::Ready(accepted) = connection.poll_accept(context) {
                return Poll::Ready(Ok(accepted));
            }
            // Streams have timers of their own.
            if shared.open.get() > 0 {
                idle.last.touch();
            }
            idle.poll(context, limit).map(Err)
        })
        .await;
        match accepted {
            Ok(Some(Ok((request, respond)))) => {
                idle.last.touch();
                served += 1;
                shared.open.set(shared.open.get() + 1);
                let open = OpenStream(shared.clone());
                shared.node.spawn(stream::serve(open, request, respond));
                let is_old = opened.elapsed() >= front.attributes.client_keep_alive;
                let is_old = is_old || shared.core.is_leaving.get();
                if !is_ending && (is_old || served >= STREAMS_IN_ALL) {
                    is_ending = true;
                    connection.graceful_shutdown();
                }
            }
            Ok(Some(Err(_)) | None) => return,
            Err(_) if is_ending => return,
            Err(_) => {
                is_ending = true;
                idle.last.touch();
                idle = Idle::new(LINGER);
                connection.graceful_shutdown();
            }
        }
    }
}
