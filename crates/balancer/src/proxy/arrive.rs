//! A new client connection: plain HTTP/1.1, or what the handshake agrees upon.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::serve;
use super::{h2, relay};
use crate::config::header::Changes;
use crate::connection_log::Handshake;
use crate::count::{Open, bump};
use crate::http::answer::Answer;
use crate::tls::{self, Accepted, Server, UNMAPPED};
use crate::worker::Core;
use crate::worker::node::Node;

/// For a handshake (A/load-balancer-troubleshooting.html).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that was accepted.
pub struct Arrival {
    pub core: Rc<Core>,
    pub node: Rc<Node>,
    /// The listener's.
    pub port: u16,
    pub peer: SocketAddr,
    /// Tells it from all others, in logs.
    pub trace: u64,
    /// Counts it as active.
    pub open: Open,
}

pub fn arrive(core: &Rc<Core>, node: &Rc<Node>, port: u16, stream: TcpStream, peer: SocketAddr) {
    let arrival = Arrival {
        core: core.clone(),
        node: node.clone(),
        port,
        peer,
        trace: rand::random(),
        open: node.counters.open(),
    };
    let front = node.front();
    let listener = front.listener(port);
    if let Some((listener, relay)) = listener.and_then(|l| Some((l, l.relay.as_ref()?))) {
        return node.spawn(relay::serve(
            arrival,
            stream,
            listener.clone(),
            relay.clone(),
        ));
    }
    match listener.and_then(|listener| listener.tls.clone()) {
        None => {
            node.log_connection(&arrival, &Handshake::None);
            node.spawn(serve(arrival, stream.into(), None));
        }
        Some(tls) => node.spawn(secure(arrival, stream, tls)),
    }
}

async fn secure(arrival: Arrival, stream: TcpStream, tls: Arc<Server>) {
    let began = Instant::now();
    let shaken = timeout(HANDSHAKE_TIMEOUT, Box::pin(tls::accept(&tls, stream))).await;
    // A certificate that is replaced is not to live as long as its connections.
    drop(tls);
    match &shaken {
        Ok(Accepted::Secured(_, session)) => {
            let took = began.elapsed();
            arrival
                .node
                .log_connection(&arrival, &Handshake::Done { session, took });
        }
        Ok(Accepted::Failed(failed)) => arrival
            .node
            .log_connection(&arrival, &Handshake::Failed(failed.why)),
        Ok(Accepted::Plain(_)) | Err(_) => {
            let failed = Handshake::Failed(UNMAPPED);
            arrival.node.log_connection(&arrival, &failed);
        }
    }
    match shaken {
        Ok(Accepted::Secured(stream, session)) if session.is_http2 => {
            Box::pin(h2::serve(arrival, stream, session)).await;
        }
        Ok(Accepted::Secured(stream, session)) => {
            serve(arrival, stream, Some(session)).await;
        }
        Ok(Accepted::Plain(stream)) => answer_plain(&arrival.core, &arrival.node, stream).await,
        Ok(Accepted::Failed(_)) | Err(_) => bump(&arrival.node.counters.tls_errors),
    }
}

/// Whoever speaks HTTP to an HTTPS port is told so in HTTP.
async fn answer_plain(core: &Core, node: &Node, mut stream: TcpStream) {
    node.counters.answered(400);
    let mut out = core.buffer();
    Answer::titled(400, "400 The plain HTTP request was sent to HTTPS port").write(
        &mut out,
        &core.date(),
        false,
        false,
        &Changes::default(),
    );
    // What it sent is read first, else closing would reset the connection before it reads.
    let _ = stream.readable().await;
    let mut input = core.buffer();
    let _ = stream.try_read_buf(&mut input);
    let _ = timeout(HANDSHAKE_TIMEOUT, stream.write_all(&out)).await;
    core.give_back(input);
    core.give_back(out);
}
