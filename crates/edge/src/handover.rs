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
use std::collections::BTreeMap;
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

/// Sockets of the process before, and what it had not told yet.
#[derive(Default)]
pub struct Inherited {
    sockets: Vec<(Name, OwnedFd)>,
    knowledge: Knowledge,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Knowledge {
    /// Of the metadata service, by instance.
    no_token: BTreeMap<String, u64>,
}

impl Inherited {
    pub fn take(&mut self, name: &Name) -> Option<OwnedFd> {
        let at = self.sockets.iter().position(|(known, _)| known == name)?;
        Some(self.sockets.swap_remove(at).1)
    }

    /// Requests without a token that nobody was told of.
    pub fn take_counts(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.knowledge.no_token)
    }
}

/// Takes over from the process that serves `dir`, if there is one; returns once the directory is free.
pub async fn take(dir: &Path) -> io::Result<Inherited> {
    let dir = dir.to_owned();
    let taking = move || handover::take::<Name, Knowledge>(&dir);
    let taken = tokio::task::spawn_blocking(taking).await;
    let taken = taken.map_err(io::Error::other)??;
    let taken = taken.map(|(sockets, knowledge)| Inherited { sockets, knowledge });
    Ok(taken.unwrap_or_default())
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
    let no_token = servers.counters.take();
    let knowledge = Knowledge {
        no_token: no_token.clone(),
    };
    if let Err(error) = handover::offer(stream, offered, knowledge).await {
        tracing::warn!(%error, "serving on: nobody took over");
        servers.counters.add_all(no_token);
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
