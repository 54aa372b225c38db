//! What every server here has: it accepts until it is told to stop, and then leaves nothing open, or
//! until another process does, and then brings what was begun to an end.

use std::future::Future;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With every connection.
    Close,
    /// When its last connection has: others have the socket.
    Leave,
}

/// Resolves when the server must end; dropping the other end closes it.
pub type Stop = oneshot::Receiver<End>;

/// Connections of one listener. A guest that opens more waits in the backlog.
const CONNECTIONS: usize = 1024;

/// Hands each connection to `serve`. When this returns, the listener and every
/// connection of it are closed.
pub async fn accept<F, S>(listener: TcpListener, mut stop: Stop, serve: F)
where
    F: Fn(TcpStream) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    let end = loop {
        tokio::select! {
            end = &mut stop => break end.unwrap_or(End::Close),
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    // Small answers in two writes must not wait for each other.
                    let _ = stream.set_nodelay(true);
                    open.spawn(serve(stream));
                }
                // Out of descriptors, most likely; trying at once would only spin.
                Err(error) => {
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    };
    drop(listener);
    if end == End::Leave {
        while open.join_next().await.is_some() {}
    }
    open.shutdown().await;
}
