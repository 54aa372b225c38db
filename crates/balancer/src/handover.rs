//! One balancer process after another, on the same sockets (`sidecar::handover`), with what is known of
//! the targets' health. The old one answers what it has with `Connection: close` and ends when its last
//! connection has.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::report::Health;

/// A listening socket of a node.
#[derive(Debug)]
pub struct Socket {
    pub node: String,
    pub port: u16,
    pub listener: TcpListener,
}

/// What a process starts with that took over from another, or gets back when nobody took it.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Mutex<Vec<Socket>>,
    pub health: Vec<Health>,
}

/// Of a socket.
#[derive(Serialize, Deserialize)]
struct Name {
    node: String,
    port: u16,
}

#[derive(Serialize, Deserialize)]
struct Knowledge {
    health: Vec<Health>,
}

impl Inherited {
    pub fn new(sockets: Vec<Socket>, health: Vec<Health>) -> Inherited {
        Inherited {
            sockets: Mutex::new(sockets),
            health,
        }
    }

    /// One of the node's sockets on the port: every worker had one of its own.
    pub fn take(&self, node: &str, port: u16) -> Option<TcpListener> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |socket: &Socket| socket.node == node && socket.port == port;
        let at = sockets.iter().position(is_it)?;
        Some(sockets.swap_remove(at).listener)
    }

    /// Closes what nobody listens on any more.
    pub fn close_rest(&self) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.clear();
    }
}

/// Offers the sockets to a successor and returns once it has them.
pub async fn offer(
    stream: &mut UnixStream,
    sockets: &[Socket],
    health: Vec<Health>,
) -> io::Result<()> {
    let sockets = sockets.iter().map(|socket| {
        let name = Name {
            node: socket.node.clone(),
            port: socket.port,
        };
        (name, socket.listener.as_raw_fd())
    });
    sidecar::handover::offer(stream, sockets, Knowledge { health }).await
}

/// Takes over from the process that serves `dir`; returns once the directory is free. `None` if there
/// is no such process.
pub fn take(dir: &Path) -> io::Result<Option<Inherited>> {
    let taken = sidecar::handover::take::<Name, Knowledge>(dir)?;
    Ok(taken.map(|(sockets, Knowledge { health })| {
        let sockets = sockets.into_iter().map(|(name, socket)| Socket {
            node: name.node,
            port: name.port,
            listener: TcpListener::from(socket),
        });
        Inherited::new(sockets.collect(), health)
    }))
}
