//! One process after another on the same sockets.
//!
//! A new one asks the one that serves the directory. That stops using its sockets, names them and
//! tells what it knows, and the new one takes them out of it (`pidfd_getfd`): connections that wait in
//! them are accepted by whoever comes next, and none is refused. Then the old one lets go of the
//! directory ([`crate::Reporter::retire`]), brings what it has to an end, and ends.
//!
//! Two processes listening on one port with `SO_REUSEPORT` was rejected: what waits in the queue of
//! the socket that closes first is reset. Passing descriptors in messages (`SCM_RIGHTS`) does the
//! same as this with more code.

use nix::libc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net as blocking;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "handover";
/// For each side to do its part.
const PATIENCE: Duration = Duration::from_secs(10);
/// The new process has the sockets; the old one has let go.
const TAKEN: u8 = b'k';
const FREE: u8 = b'f';

#[derive(Serialize, Deserialize)]
struct Offer<N, K> {
    pid: u32,
    sockets: Vec<Offered<N>>,
    #[serde(flatten)]
    knowledge: K,
}

#[derive(Serialize, Deserialize)]
struct Offered<N> {
    #[serde(flatten)]
    name: N,
    descriptor: RawFd,
}

/// Sockets by their names, and what the process knew that had them.
pub type Taken<N, K> = (Vec<(N, OwnedFd)>, K);

/// Where successors ask.
pub fn listen(dir: &Path) -> io::Result<UnixListener> {
    crate::with_short_path(dir, NAME, |path| {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(path)
    })
}

/// Offers sockets and knowledge, each a struct, to a successor and returns once it has them.
pub async fn offer<N: Serialize, K: Serialize>(
    stream: &mut UnixStream,
    sockets: impl Iterator<Item = (N, RawFd)>,
    knowledge: K,
) -> io::Result<()> {
    let offer = Offer {
        pid: std::process::id(),
        sockets: sockets
            .map(|(name, descriptor)| Offered { name, descriptor })
            .collect(),
        knowledge,
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
pub fn take<N: DeserializeOwned, K: DeserializeOwned>(
    dir: &Path,
) -> io::Result<Option<Taken<N, K>>> {
    let connected = crate::with_short_path(dir, NAME, |path| blocking::UnixStream::connect(path));
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
    let offer: Offer<N, K> = serde_json::from_slice(&line)?;
    let process = open_process(offer.pid)?;
    let sockets = offer.sockets.into_iter();
    let sockets = sockets
        .map(|offered| Ok((offered.name, take_descriptor(&process, offered.descriptor)?)))
        .collect::<io::Result<Vec<_>>>()?;
    stream.write_all(&[TAKEN])?;
    let mut free = Vec::new();
    reader.read_until(FREE, &mut free)?;
    match free.last() {
        Some(&FREE) => Ok(Some((sockets, offer.knowledge))),
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
