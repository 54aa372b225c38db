//! One edge process after another, on the same sockets (`sidecar::handover`): a newer version of the
//! program comes into force without an instance noticing.
//!
//! Tunnels, transfers of images and other connections stay with the process that accepted them, which
//! goes on reading the configuration for them and ends with the last, or after a while.

use crate::config::{Config, Report};
use crate::netns::NamespaceId;
use crate::servers::Servers;
use serde::{Deserialize, Serialize};
use sidecar::{Leaving, Reporter, handover};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

/// How long connections may outlive a process that was replaced.
const LEAVE_LIMIT: Duration = Duration::from_secs(600);
/// Between looks at the configuration, and at whether all is over.
const LOOK: Duration = Duration::from_secs(1);

/// Where a socket is bound, which no other socket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub namespace: Option<NamespaceId>,
    pub address: SocketAddr,
    pub is_udp: bool,
}

/// Sockets of the process before.
#[derive(Default)]
pub struct Inherited(Vec<(Name, OwnedFd)>);

#[derive(Serialize, Deserialize)]
struct Knowledge {}

impl Inherited {
    pub fn take(&mut self, name: &Name) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// Takes over from the process that serves `dir`, if there is one; returns once the directory is free.
pub async fn take(dir: &Path) -> io::Result<Inherited> {
    let dir = dir.to_owned();
    let taking = move || handover::take::<Name, Knowledge>(&dir);
    let taken = tokio::task::spawn_blocking(taking).await;
    let taken = taken.map_err(io::Error::other)??;
    Ok(taken.map_or_else(Inherited::default, |(sockets, _)| Inherited(sockets)))
}

/// Gives the sockets to the process that asked; `None` if it did not take them.
pub async fn give(
    stream: &mut UnixStream,
    servers: &mut Servers,
    reporter: &Reporter<Report>,
) -> Option<Option<Leaving>> {
    let sockets = servers.leave();
    let offered = sockets
        .iter()
        .map(|(socket, held)| (socket.name(), held.as_raw_fd()));
    if let Err(error) = handover::offer(stream, offered, Knowledge {}).await {
        tracing::warn!(%error, "serving on: nobody took over");
        servers.resume(sockets);
        return None;
    }
    drop(sockets);
    let retired = reporter.retire().await;
    let retired = retired.inspect_err(|error| tracing::warn!(%error, "let go of the directory"));
    if let Err(error) = handover::release(stream).await {
        tracing::warn!(%error, "tell the successor");
    }
    Some(retired.ok())
}

/// Waits for the last connections of a process that was replaced.
pub async fn end(mut servers: Servers, dir: &Path) {
    let limit = Instant::now() + LEAVE_LIMIT;
    while !servers.has_ended() && Instant::now() < limit {
        sleep(LOOK).await;
        if let Some(config) = sidecar::read::<Config>(dir) {
            servers.end_unwanted(&config).await;
        }
    }
}
