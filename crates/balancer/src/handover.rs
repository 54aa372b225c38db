//! One balancer process after another, on the same sockets.
//!
//! A new one asks the one that serves the directory. That stops accepting, names its listening
//! sockets and what it knows of the targets' health, and the new one takes the sockets out of it
//! (`pidfd_getfd`): connections that wait in them are accepted by whoever comes next, and none is
//! refused. Then the old one lets go of the directory, answers what it has with `Connection: close`
//! and ends when its last connection has.
//!
//! Two processes listening on one port with `SO_REUSEPORT` was rejected: what waits in the queue of
//! the socket that closes first is reset. Passing descriptors in messages (`SCM_RIGHTS`) does the
//! same as this with more code.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net as blocking;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::libc;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::report::Health;

const NAME: &str = "handover";
/// For each side to do its part.
const PATIENCE: Duration = Duration::from_secs(10);
/// The new process has the sockets; the old one has let go.
const TAKEN: u8 = b'k';
const FREE: u8 = b'f';

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

#[derive(Serialize, Deserialize)]
struct Offer {
    pid: u32,
    sockets: Vec<Offered>,
    health: Vec<Health>,
}

#[derive(Serialize, Deserialize)]
struct Offered {
    node: String,
    port: u16,
    descriptor: RawFd,
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

/// Where successors ask.
pub fn listen(dir: &Path) -> io::Result<UnixListener> {
    sidecar::with_short_path(dir, NAME, |path| {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(path)
    })
}

/// Offers the sockets to a successor and returns once it has them.
pub async fn offer(
    stream: &mut UnixStream,
    sockets: &[Socket],
    health: Vec<Health>,
) -> io::Result<()> {
    let offered = sockets.iter().map(|socket| Offered {
        node: socket.node.clone(),
        port: socket.port,
        descriptor: socket.listener.as_raw_fd(),
    });
    let offer = Offer {
        pid: std::process::id(),
        sockets: offered.collect(),
        health,
    };
    let mut line = serde_json::to_vec(&offer)?;
    line.push(b'\n');
    let exchange = async {
        stream.write_all(&line).await?;
        match stream.read_u8().await? {
            TAKEN => Ok(()),
            _ => Err(io::Error::other("the successor says something else")),
        }
    };
    tokio::time::timeout(PATIENCE, exchange).await?
}

/// Tells the successor that the directory is free.
pub async fn release(stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(&[FREE]).await
}

/// Takes over from the process that serves `dir`; returns once the directory is free. `None` if there
/// is no such process.
pub fn take(dir: &Path) -> io::Result<Option<Inherited>> {
    let connected = sidecar::with_short_path(dir, NAME, |path| blocking::UnixStream::connect(path));
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let offer: Offer = serde_json::from_slice(&line)?;
    let process = open_process(offer.pid)?;
    let sockets = offer.sockets.into_iter().map(|offered| {
        Ok(Socket {
            listener: TcpListener::from(take_descriptor(&process, offered.descriptor)?),
            node: offered.node,
            port: offered.port,
        })
    });
    let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
    stream.write_all(&[TAKEN])?;
    let mut free = Vec::new();
    reader.read_until(FREE, &mut free)?;
    match free.last() {
        Some(&FREE) => Ok(Some(Inherited::new(sockets, offer.health))),
        _ => Err(io::Error::other("the predecessor did not let go")),
    }
}

fn open_process(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers and touches no memory.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    own(descriptor)
}

fn take_descriptor(process: &OwnedFd, descriptor: RawFd) -> io::Result<OwnedFd> {
    let process = process.as_raw_fd();
    // SAFETY: takes three numbers and touches no memory; `process` is open during the call.
    let taken = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, descriptor, 0) };
    own(taken)
}

fn own(descriptor: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(descriptor) {
        Ok(descriptor) if descriptor >= 0 => {
            // SAFETY: the kernel has just made it for us, and nobody else knows of it.
            Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
        }
        _ => Err(io::Error::last_os_error()),
    }
}
