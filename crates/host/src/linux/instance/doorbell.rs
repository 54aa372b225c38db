//! The doorbell: a socket by which shims wake the control plane when something changed.
//!
//! A ring carries no state, so that one lost while nobody listens is no loss: who comes
//! back looks at everything first.

use super::DOORBELL;
use crate::instance::{During, InstanceError};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Called when some instance's state changed.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Ends the listening when dropped.
pub struct Watch {
    bell: Arc<UnixDatagram>,
    path: PathBuf,
}

impl Watch {
    pub(super) fn new(state: &Path, waker: Waker) -> Result<Self, InstanceError> {
        let path = state.join(DOORBELL);
        let during = || format!("listen on {}", path.display());
        // The last control plane's, if it was killed; binding tells of other trouble.
        let _ = fs::remove_file(&path);
        // Through the descriptor, since a socket's path must be short.
        let directory = File::open(state).during(during)?;
        let address = format!("/proc/self/fd/{}/{DOORBELL}", directory.as_raw_fd());
        let bell = Arc::new(UnixDatagram::bind(address).during(during)?);
        let heard = Arc::clone(&bell);
        let thread = std::thread::Builder::new()
            .name("doorbell".into())
            .spawn(move || {
                let mut buffer = [0; 64];
                // An empty message comes when the guard shuts the socket down.
                while heard.recv(&mut buffer).is_ok_and(|n| n > 0) {
                    waker();
                }
            });
        thread.during(during)?;
        Ok(Self { bell, path })
    }
}

/// Wakes whoever watches, if anybody does.
pub(super) fn ring(state: &Path) {
    let send = || {
        let directory = File::open(state)?;
        let address = format!("/proc/self/fd/{}/{DOORBELL}", directory.as_raw_fd());
        UnixDatagram::unbound()?.send_to(b"!", address)
    };
    // Nobody listens: whoever begins to looks at everything first.
    let _ = send();
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Both only tidy up: a socket nobody listens on is replaced by the next to listen.
        let _ = self.bell.shutdown(std::net::Shutdown::Both);
        let _ = fs::remove_file(&self.path);
    }
}
