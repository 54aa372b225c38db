//! How the control plane feeds a long-lived data-plane process that must survive without it.
//!
//! The configuration *file* is the channel. The control plane writes
//! `<dir>/config.json` atomically and rings a doorbell on the Unix socket
//! `<dir>/socket`; the process loads the file at start, when a control plane
//! connects and on each ring. A process that restarts alone therefore comes up
//! with exactly what it served before. Reports flow back as JSON lines on every
//! open connection.
//!
//! Rejected: sending the configuration over the socket (two copies to keep in
//! step, and a restart without the control plane would know nothing), and
//! watching the file with inotify (instances per user are scarce on a host
//! that runs many systemds, and there would still be no way back for reports).
//!
//! [`serve`] is the side of the process, [`Sidecar`] that of the control plane.

pub mod handover;
mod identity;
mod process;
mod supervisor;

pub use identity::Leaving;
pub use process::{Configs, Reporter, serve};
pub use supervisor::{Sidecar, reports, stop};

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

/// Why a sidecar cannot be served, started, fed or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("serve {}: another process already does", .0.display())]
    AlreadyServed(PathBuf),
    #[error("start {command}: it ended at once ({status}), see {}", log.display())]
    Died {
        command: String,
        status: String,
        log: PathBuf,
    },
    #[error("start {command}: it did not answer in time, see {}", log.display())]
    Silent { command: String, log: PathBuf },
    #[error("start a sidecar: the command is empty")]
    NoCommand,
    #[error("encode the configuration for {}", path.display())]
    Encode {
        path: PathBuf,
        source: serde_json::Error,
    },
}

/// Names the operation and the path of a failed system call.
fn at<T>(operation: &'static str, path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io {
        operation,
        path: path.to_owned(),
        source,
    })
}

/// The configuration as it lies in `dir` now, for a process that serves it no longer: nobody rings there.
pub fn read<C: serde::de::DeserializeOwned>(dir: &Path) -> Option<C> {
    let text = std::fs::read(config_path(dir)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// One line from the process to the control plane.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<R> {
    Report(R),
    /// The last configuration could not be used; `None` once one could.
    ConfigError(Option<String>),
}

fn config_path(dir: &Path) -> PathBuf {
    dir.join("config.json")
}

fn socket_path(dir: &Path) -> PathBuf {
    dir.join("socket")
}

/// Runs `f` with a short path to the socket in `dir`.
///
/// A Unix socket address holds 107 bytes, which a state directory chosen by a
/// user easily exceeds; a path through an open descriptor never does.
fn with_socket_path<T>(dir: &Path, f: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    with_short_path(dir, "socket", f)
}

/// The same for another name in the directory.
pub fn with_short_path<T>(
    dir: &Path,
    name: &str,
    f: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    use std::os::fd::AsRawFd;
    let handle = std::fs::File::open(dir)?;
    f(Path::new(&format!(
        "/proc/self/fd/{}/{name}",
        handle.as_raw_fd()
    )))
}
