//! What every server here has: it accepts until it is told to stop, and then leaves nothing open.

use std::future::Future;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Resolves when the server must close; so does dropping the other end.
pub type Stop = oneshot::Receiver<()>;

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
    loop {
        tokio::select! {
            _ = &mut stop => break,
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
    }
    drop(listener);
    open.shutdown().await;
}
