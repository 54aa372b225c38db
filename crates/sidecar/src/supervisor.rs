//! The side of the control plane: start or adopt the process, feed it, hear it, end it.
//!
//! Blocking and without a runtime, as controllers are.

use crate::identity::Identity;
use crate::{Error, Line, Result, at, config_path, socket_path, with_socket_path};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// From spawn to answering. The process only parses a file and opens a socket, but on a busy host.
const START: Duration = Duration::from_secs(15);
/// From SIGTERM to SIGKILL.
const END: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// A data-plane process that runs on when this value, or its whole process, is gone.
pub struct Sidecar<C, R> {
    dir: PathBuf,
    command: Vec<String>,
    log: PathBuf,
    on_report: Arc<dyn Fn(R) + Send + Sync>,
    process: Process,
    connection: Connection,
    /// The bytes of the configuration file.
    pushed: Option<Vec<u8>>,
    config_error: Arc<Mutex<Option<String>>>,
    config: PhantomData<fn(&C)>,
}

impl<C, R> Sidecar<C, R>
where
    C: Serialize,
    R: DeserializeOwned + Send + 'static,
{
    /// Connects to the process that serves `dir`, or starts `command` for it.
    ///
    /// `on_report` is called from a thread of its own, in the order of sending.
    pub fn start_or_adopt(
        dir: &Path,
        command: &[String],
        log: &Path,
        on_report: Arc<dyn Fn(R) + Send + Sync>,
    ) -> Result<Self> {
        at("create", dir, std::fs::create_dir_all(dir))?;
        let config_error = Arc::new(Mutex::new(None));
        let (process, stream) = find_or_spawn(dir, command, log)?;
        let connection = Connection::open(dir, stream, on_report.clone(), config_error.clone())?;
        Ok(Self {
            dir: dir.to_owned(),
            command: command.to_vec(),
            log: log.to_owned(),
            on_report,
            process,
            connection,
            pushed: std::fs::read(config_path(dir)).ok(),
            config_error,
            config: PhantomData,
        })
    }

    /// Makes `config` the configuration of the process; answers whether it differs from the last.
    ///
    /// The file is in place when this returns, even if the process is dead:
    /// [`Sidecar::ensure_alive`] then brings up one that reads it.
    pub fn push(&mut self, config: &C) -> Result<bool> {
        let path = config_path(&self.dir);
        let bytes = serde_json::to_vec(config).map_err(|source| Error::Encode {
            path: path.clone(),
            source,
        })?;
        if self.pushed.as_ref() == Some(&bytes) {
            return Ok(false);
        }
        // No fsync: after a power cut the control plane pushes from its store again.
        let new = self.dir.join("config.json.tmp");
        // A configuration may hold credentials and user data.
        let opened = std::fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new);
        let written = at("open", &new, opened)?.write_all(&bytes);
        at("write", &new, written)?;
        at("rename", &new, std::fs::rename(&new, &path))?;
        self.pushed = Some(bytes);
        // Nobody hears a failed ring; the process loads the file when we connect again.
        if self.connection.stream.write_all(b"!").is_err() {
            self.connection.lost.store(true, Ordering::Release);
        }
        Ok(true)
    }

    /// Restarts a process that died and mends a connection that broke; answers whether it restarted.
    pub fn ensure_alive(&mut self) -> Result<bool> {
        if self.process.alive() && !self.connection.lost.load(Ordering::Acquire) {
            return Ok(false);
        }
        let (process, stream) = find_or_spawn(&self.dir, &self.command, &self.log)?;
        // It may have died only after the look above.
        let restarted = process.identity != self.process.identity;
        if restarted {
            // Otherwise it is the same one, and the old value may hold its child handle.
            self.process = process;
        }
        self.connect(stream)?;
        Ok(restarted)
    }

    /// Starts `command` anew if the process runs another program than that names now. The new process
    /// has to take over from the old one by itself; answers whether it did.
    pub fn renew(&mut self) -> Result<bool> {
        let program = self.command.first().ok_or(Error::NoCommand)?;
        let running = self.process.entry().join("exe");
        let file = |path: &Path| {
            use std::os::unix::fs::MetadataExt;
            let found = at("look at", path, std::fs::metadata(path))?;
            Ok((found.dev(), found.ino()))
        };
        if file(&running)? == file(Path::new(program))? {
            return Ok(false);
        }
        let (process, stream) = spawn(&self.dir, &self.command, &self.log)?;
        self.process = process;
        self.connect(stream)?;
        Ok(true)
    }

    fn connect(&mut self, stream: UnixStream) -> Result<()> {
        let (on_report, config_error) = (self.on_report.clone(), self.config_error.clone());
        self.connection = Connection::open(&self.dir, stream, on_report, config_error)?;
        Ok(())
    }

    /// Why the process could not use the last configuration it was given.
    pub fn config_error(&self) -> Option<String> {
        self.config_error
            .lock()
            .expect("no holder of this lock panics")
            .clone()
    }

    pub fn pid(&self) -> i32 {
        self.process.identity.pid
    }

    /// Ends the process.
    pub fn stop(mut self) -> Result<()> {
        self.process.end()
    }
}

/// Ends the process that serves `dir`, from whomever it was started, and those before it that have
/// not ended yet; answers whether there was one.
pub fn stop(dir: &Path) -> Result<bool> {
    for identity in crate::identity::leaving(dir) {
        let mut process = Process {
            identity,
            child: None,
        };
        process.end()?;
    }
    match Identity::read(dir) {
        None => Ok(false),
        Some(identity) => {
            let mut process = Process {
                identity,
                child: None,
            };
            process.end().map(|()| true)
        }
    }
}

/// What the process that serves `dir` reports from now on, whoever started it and whether a control
/// plane lives or not. Ends with the process.
pub fn reports<R: DeserializeOwned>(dir: &Path) -> Result<impl Iterator<Item = R> + use<R>> {
    let connected = with_socket_path(dir, |short| UnixStream::connect(short));
    let stream = at("connect to", &socket_path(dir), connected)?;
    let lines = BufReader::new(stream)
        .split(b'\n')
        .map_while(|line| line.ok());
    Ok(
        lines.filter_map(|line| match serde_json::from_slice(&line) {
            Ok(Line::Report(report)) => Some(report),
            // Not this reader's concern, or of a version that says more.
            Ok(Line::ConfigError(_)) | Err(_) => None,
        }),
    )
}

/// The process, and the handle that reaps it when we are its parent.
struct Process {
    identity: Identity,
    child: Option<Child>,
}

impl Process {
    fn alive(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            // Its only purpose is to reap; the answer is below.
            let _ = child.try_wait();
        }
        self.identity.alive()
    }

    fn end(&mut self) -> Result<()> {
        for (signal, patience) in [(Signal::SIGTERM, END), (Signal::SIGKILL, END)] {
            if !self.alive() {
                return Ok(());
            }
            match kill(Pid::from_raw(self.identity.pid), signal) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(errno) => return at("signal the process of", &self.entry(), Err(errno.into())),
            }
            let deadline = Instant::now() + patience;
            while self.alive() && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
        }
        match self.alive() {
            false => Ok(()),
            true => at(
                "end the process",
                &self.entry(),
                Err(std::io::ErrorKind::TimedOut.into()),
            ),
        }
    }

    fn entry(&self) -> PathBuf {
        format!("/proc/{}", self.identity.pid).into()
    }
}

fn find_or_spawn(dir: &Path, command: &[String], log: &Path) -> Result<(Process, UnixStream)> {
    if let Some(identity) = Identity::read(dir) {
        // It claims the directory shortly before it listens.
        let deadline = Instant::now() + START;
        while identity.alive() {
            match with_socket_path(dir, |short| UnixStream::connect(short)) {
                Ok(stream) => {
                    return Ok((
                        Process {
                            identity,
                            child: None,
                        },
                        stream,
                    ));
                }
                Err(error) if Instant::now() > deadline => {
                    return at("connect to", &socket_path(dir), Err(error));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }
    spawn(dir, command, log)
}

fn spawn(dir: &Path, command: &[String], log: &Path) -> Result<(Process, UnixStream)> {
    let (program, arguments) = command.split_first().ok_or(Error::NoCommand)?;
    let opened = std::fs::File::options().create(true).append(true).open(log);
    let output = at("open", log, opened)?;
    let errors = at("duplicate the descriptor of", log, output.try_clone())?;
    let mut builder = Command::new(program);
    builder
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    // SAFETY: setsid is async-signal-safe, allocates nothing and touches no lock.
    // A session of its own keeps a Ctrl-C at our terminal from the data plane.
    unsafe {
        builder.pre_exec(|| setsid().map(drop).map_err(Into::into));
    }
    let mut child = at("start", Path::new(program), builder.spawn())?;

    let deadline = Instant::now() + START;
    loop {
        if let Some(status) = at("wait for", Path::new(program), child.try_wait())? {
            return Err(Error::Died {
                command: command.join(" "),
                status: status.to_string(),
                log: log.to_owned(),
            });
        }
        // Only its own record counts: an older socket file may still lie about.
        let ours = Identity::read(dir).filter(|found| found.pid == child.id() as i32);
        if let Some(identity) = ours
            && let Ok(stream) = with_socket_path(dir, |short| UnixStream::connect(short))
        {
            let child = Some(child);
            return Ok((Process { identity, child }, stream));
        }
        if Instant::now() > deadline {
            // It is no use to anyone, and would stand in the way of the next attempt.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Silent {
                command: command.join(" "),
                log: log.to_owned(),
            });
        }
        std::thread::sleep(POLL);
    }
}

/// An open connection and the thread that reads from it.
struct Connection {
    stream: UnixStream,
    lost: Arc<AtomicBool>,
}

impl Connection {
    fn open<R: DeserializeOwned + Send + 'static>(
        dir: &Path,
        stream: UnixStream,
        on_report: Arc<dyn Fn(R) + Send + Sync>,
        config_error: Arc<Mutex<Option<String>>>,
    ) -> Result<Self> {
        let path = socket_path(dir);
        // A full doorbell means rings enough are waiting; never wait for a stuck process.
        at(
            "set a time limit on",
            &path,
            stream.set_write_timeout(Some(Duration::from_secs(1))),
        )?;
        let reading = at("duplicate the descriptor of", &path, stream.try_clone())?;
        let lost = Arc::new(AtomicBool::new(false));
        let ended = lost.clone();
        let thread = std::thread::Builder::new().name("sidecar-reports".into());
        let spawned = thread.spawn(move || {
            for line in BufReader::new(reading).split(b'\n') {
                let Ok(line) = line else { break };
                match serde_json::from_slice(&line) {
                    Ok(Line::Report(report)) => on_report(report),
                    Ok(Line::ConfigError(error)) => {
                        *config_error.lock().expect("no holder of this lock panics") = error;
                    }
                    Err(error) => tracing::error!(%error, "parse a report of a sidecar"),
                }
            }
            ended.store(true, Ordering::Release);
        });
        at("start a thread to read from", &path, spawned)?;
        Ok(Self { stream, lost })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Ends the reading thread; a connection the peer has closed is as good.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
