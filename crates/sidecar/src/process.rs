//! The side of the data-plane process: load, reload, report.

use crate::{Leaving, Line, Result, at, config_path, identity, socket_path, with_socket_path};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

/// Lines that may wait for one control plane. Enough to replay the health of a
/// few thousand targets; who lags further is cut off and replayed to on return.
const BACKLOG: usize = 8192;

/// The configuration in force and its changes; `None` until the first good one.
pub type Configs<C> = watch::Receiver<Option<Arc<C>>>;

/// Serves `dir` in the current tokio runtime, as its only process.
///
/// The receiver holds the configuration that was found at start and then every
/// good one. A broken file keeps the last good one and is
/// reported to the control plane.
pub fn serve<C, R>(dir: &Path) -> Result<(Configs<C>, Reporter<R>)>
where
    C: DeserializeOwned + Send + Sync + 'static,
    R: Serialize,
{
    at("create", dir, std::fs::create_dir_all(dir))?;
    let claim = identity::claim(dir)?;
    let socket = socket_path(dir);
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return at("remove", &socket, Err(error));
        }
        _ => {}
    }

    let (sender, receiver) = watch::channel(None);
    let peers = Arc::new(Peers::default());
    let config = Arc::new(Config {
        path: config_path(dir),
        loaded: Mutex::new(None),
        sender,
        peers: peers.clone(),
    });
    // Before the socket exists, so that whoever can connect finds it loaded.
    config.load();
    let listener = at(
        "listen on",
        &socket,
        with_socket_path(dir, |short| UnixListener::bind(short)),
    )?;
    let known = peers.clone();
    let accepting = tokio::spawn(async move {
        // Held for as long as the process accepts control planes.
        let _claim = claim;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => known.welcome(stream, config.clone()),
                Err(error) => {
                    tracing::warn!(%error, "accept a control plane");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    let reporter = Reporter {
        peers,
        dir: dir.to_owned(),
        accepting: Arc::new(Mutex::new(Some(accepting))),
        report: PhantomData,
    };
    Ok((receiver, reporter))
}

/// Sends reports to every connected control plane.
pub struct Reporter<R> {
    peers: Arc<Peers>,
    dir: PathBuf,
    accepting: Arc<Mutex<Option<JoinHandle<()>>>>,
    report: PhantomData<fn(R)>,
}

impl<R> Clone for Reporter<R> {
    fn clone(&self) -> Self {
        Self {
            peers: self.peers.clone(),
            dir: self.dir.clone(),
            accepting: self.accepting.clone(),
            report: PhantomData,
        }
    }
}

impl<R: Serialize> Reporter<R> {
    /// Never blocks. A control plane that does not read loses its connection,
    /// and with nobody connected the report is dropped: what matters beyond
    /// the moment is replayed on [`Reporter::connected`].
    pub fn send(&self, report: R) {
        self.peers.send(&Line::Report(report));
    }

    /// Whether some control plane is connected, as far as is known here.
    pub fn is_heard(&self) -> bool {
        let open = self.peers.open.lock();
        !open.expect("no holder of this lock panics").is_empty()
    }

    /// Lets go of the directory, so that a successor may serve it, and of every control plane. The
    /// process is known there as one that leaves, for [`crate::stop`] to find, while the answer lives.
    pub async fn retire(&self) -> Result<Leaving> {
        let leaving = identity::leave(&self.dir)?;
        let accepting = self
            .accepting
            .lock()
            .expect("no holder of this lock panics")
            .take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Cancelled is what it should be; the claim goes with it.
            let _ = accepting.await;
        }
        let mut open = self
            .peers
            .open
            .lock()
            .expect("no holder of this lock panics");
        for peer in open.drain(..) {
            peer.connection.abort();
        }
        Ok(leaving)
    }

    /// Counts the control planes that have connected; a change means that a
    /// new one knows nothing yet and wants the whole state.
    pub fn connected(&self) -> watch::Receiver<u64> {
        self.peers.connected.subscribe()
    }
}

/// The configuration file and what of it is in force.
struct Config<C> {
    path: PathBuf,
    /// The bytes in force. Locked over read and publish, so that of two
    /// doorbells the later never publishes the older file.
    loaded: Mutex<Option<Vec<u8>>>,
    sender: watch::Sender<Option<Arc<C>>>,
    peers: Arc<Peers>,
}

impl<C: DeserializeOwned> Config<C> {
    fn load(&self) {
        let mut loaded = self.loaded.lock().expect("no holder of this lock panics");
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            // Nothing pushed yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.refuse(format!("read {}: {error}", self.path.display())),
        };
        if loaded.as_ref() == Some(&bytes) {
            return self.peers.config_error(None);
        }
        match serde_json::from_slice(&bytes) {
            Ok(config) => {
                *loaded = Some(bytes);
                self.sender.send_replace(Some(Arc::new(config)));
                self.peers.config_error(None);
            }
            Err(error) => self.refuse(format!("parse {}: {error}", self.path.display())),
        }
    }

    fn refuse(&self, error: String) {
        tracing::error!(%error, "keeping the last good configuration");
        self.peers.config_error(Some(error));
    }
}

/// The connected control planes.
struct Peers {
    open: Mutex<Vec<Peer>>,
    config_error: Mutex<Option<String>>,
    connected: watch::Sender<u64>,
}

struct Peer {
    lines: mpsc::Sender<Arc<[u8]>>,
    connection: AbortHandle,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            config_error: Mutex::default(),
            connected: watch::Sender::new(0),
        }
    }
}

impl Peers {
    fn welcome<C>(&self, stream: UnixStream, config: Arc<Config<C>>)
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        let (mut doorbell, write) = stream.into_split();
        let (lines, waiting) = mpsc::channel(BACKLOG);
        let connection = tokio::spawn(async move {
            // It may have written the file and not lived to ring.
            reload(config.clone()).await;
            tokio::select! {
                () = write_lines(write, waiting) => {}
                () = async {
                    let mut rings = [0; 64];
                    while matches!(doorbell.read(&mut rings).await, Ok(1..)) {
                        reload(config.clone()).await;
                    }
                } => {}
            }
        });
        let mut open = self.open.lock().expect("no holder of this lock panics");
        open.push(Peer {
            lines,
            connection: connection.abort_handle(),
        });
        drop(open);
        self.connected.send_modify(|count| *count += 1);
    }

    fn config_error(&self, error: Option<String>) {
        let mut current = self
            .config_error
            .lock()
            .expect("no holder of this lock panics");
        // A present error is told again: a new control plane has not heard it.
        if error.is_none() && current.is_none() {
            return;
        }
        current.clone_from(&error);
        drop(current);
        self.send(&Line::<()>::ConfigError(error));
    }

    fn send<R: Serialize>(&self, line: &Line<R>) {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        if open.is_empty() {
            return;
        }
        let bytes: Arc<[u8]> = match serde_json::to_vec(line) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                bytes.into()
            }
            Err(error) => return tracing::error!(%error, "encode a report"),
        };
        open.retain(|peer| {
            let keep = peer.lines.try_send(bytes.clone()).is_ok();
            if !keep {
                peer.connection.abort();
            }
            keep
        });
    }
}

async fn reload<C: DeserializeOwned + Send + Sync + 'static>(config: Arc<Config<C>>) {
    // Off the event loop: a large file takes milliseconds to parse.
    if let Err(error) = tokio::task::spawn_blocking(move || config.load()).await {
        tracing::error!(%error, "reload the configuration");
    }
}

async fn write_lines(mut stream: OwnedWriteHalf, mut lines: mpsc::Receiver<Arc<[u8]>>) {
    while let Some(line) = lines.recv().await {
        if stream.write_all(&line).await.is_err() {
            return;
        }
    }
}
