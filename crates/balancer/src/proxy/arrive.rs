//! A new client connection: plain HTTP/1.1, or what the handshake agrees upon.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::serve;
use super::h2;
use crate::count::bump;
use crate::http::answer::Answer;
use crate::tls::{self, Accepted, Server};
use crate::worker::Core;
use crate::worker::node::Node;

/// For a handshake (A/load-balancer-troubleshooting.html).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn arrive(
    core: Rc<Core>,
    node: Rc<Node>,
    port: u16,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let _open = node.counters.open();
    let tls = node
        .front()
        .listener(port)
        .and_then(|listener| listener.tls.clone());
    match tls {
        None => serve(core, node, port, stream.into(), None, peer).await,
        // On the heap: a plain connection is not to carry the state of this one.
        Some(tls) => Box::pin(secure(core, node, port, stream, peer, tls)).await,
    }
}

async fn secure(
    core: Rc<Core>,
    node: Rc<Node>,
    port: u16,
    stream: TcpStream,
    peer: SocketAddr,
    tls: std::sync::Arc<Server>,
) {
    let shaken = timeout(HANDSHAKE_TIMEOUT, Box::pin(tls::accept(&tls, stream))).await;
    drop(tls);
    match shaken {
        Ok(Accepted::Secured(stream, session)) if session.is_http2 => {
            h2::serve(core, node, port, stream, session, peer).await;
        }
        Ok(Accepted::Secured(stream, session)) => {
            serve(core, node, port, stream, Some(session), peer).await;
        }
        Ok(Accepted::Plain(stream)) => answer_plain(&core, &node, stream).await,
        Ok(Accepted::Failed) | Err(_) => bump(&node.counters.tls_errors),
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
    );
    // What it sent is read first, else closing would reset the connection before it reads.
    let _ = stream.readable().await;
    let mut input = core.buffer();
    let _ = stream.try_read_buf(&mut input);
    let _ = timeout(HANDSHAKE_TIMEOUT, stream.write_all(&out)).await;
    core.give_back(input);
    core.give_back(out);
}
