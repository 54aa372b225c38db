//! The process that stands behind one instance, whether or not the control plane runs.
//!
//! It boots the init, boots it again when it asks for a reboot, copies the console, hears
//! of readiness, carries out stops with their time limit, writes `status.json` and rings
//! the control plane's doorbell if one listens. It is single-threaded and holds no state
//! that matters: if it dies, the instance counts as crashed.
//!
//! Requests come as JSON datagrams on the socket `control` in the instance's directory.

use super::boot::{self, Boot};
use super::console::Console;
use super::proc_files::ProcFiles;
use super::status::{Process, Status};
use super::wish::{ASK_AGAIN, Next, Request, Wish, next, wish};
use super::{DOORBELL, SPEC, root};
use crate::instance::{During, Exit, InstanceError, InstanceSpec, RunState};
use crate::linux::cgroup::{Cgroups, Limits};
use crate::linux::{namespace, network};
use model::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Result<T> = std::result::Result<T, InstanceError>;

pub const CONTROL: &str = "control";
/// What the user-data runner of our images writes to the socket that systemd reports to.
const USER_DATA_FAILED: &[u8] = b"X_NINES_USER_DATA_FAILED=";

/// What the shim is told in its file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub cloud: String,
    pub instance: InstanceSpec,
}

pub struct Shim {
    spec: InstanceSpec,
    user_namespace: PathBuf,
    network_namespace: PathBuf,
    cgroups: Cgroups,
    console: Console,
    proc_files: ProcFiles,
    notify: UnixDatagram,
    control: UnixDatagram,
    signals: SignalFd,
    systemd: bool,
    status: Status,
    wish: Wish,
}

impl Shim {
    /// Sets itself up below the working directory, which is the instance's.
    pub fn new() -> Result<Self> {
        let here = Path::new(".");
        let order = fs::read(SPEC).during(|| format!("read {SPEC}"))?;
        let Order {
            cloud,
            instance: spec,
        } = serde_json::from_slice(&order)
            .map_err(io::Error::from)
            .during(|| format!("parse {SPEC}"))?;
        let cgroups = Cgroups::detect(&cloud)?;
        cgroups.join_system()?;
        // A run whose shim was killed may have left its processes.
        cgroups.remove(spec.id.as_str())?;
        let signals = watched_signals();
        signals.thread_block().during(|| "block signals".into())?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&signals, flags).during(|| "watch signals".into())?;
        let shim = Process::own().during(|| "find the shim".into())?;
        let status = Status::starting(&spec, shim);
        status.write(here).during(|| "write the status".into())?;
        let notify = bind(root::NOTIFY)?;
        chown(root::NOTIFY, Some(spec.uid_base), Some(spec.uid_base))
            .during(|| "give the notify socket to the instance".into())?;
        Ok(Self {
            user_namespace: namespace::user_path(&cloud, spec.id.as_str()),
            network_namespace: namespace::path(&namespace::name(&cloud, spec.id.as_str())),
            console: Console::open(here, spec.uid_base)?,
            proc_files: ProcFiles::create(&spec)?,
            notify,
            control: bind(CONTROL)?,
            systemd: has_systemd(&spec.image),
            cgroups,
            signals,
            status,
            wish: Wish::Run,
            spec,
        })
    }

    /// Boots until there is nothing more to boot. Failures end up in the status.
    pub fn run(&mut self) {
        let exit = self.boots().unwrap_or_else(|e| {
            self.status.failure = Some(e.to_string());
            Exit::Crashed(-1)
        });
        let removed = self.cgroups.remove(self.spec.id.as_str());
        if let Err(e) = removed {
            self.status.failure.get_or_insert(e.to_string());
        }
        self.status.stopped(exit);
        self.publish();
    }

    fn boots(&mut self) -> Result<Exit> {
        let id = self.spec.id.as_str().to_owned();
        let limits = Limits {
            cpu: self.spec.cpu,
            memory_bytes: self.spec.memory_bytes,
            pids_max: self.spec.pids_max,
        };
        root::create(&self.spec)?;
        self.cgroups.create(&id, self.spec.uid_base, &limits)?;
        loop {
            let begun = Instant::now();
            self.status.boots += 1;
            self.proc_files.boot(&self.cgroups);
            self.renew_network();
            let init = boot::start(&Boot {
                spec: &self.spec,
                cgroups: &self.cgroups,
                user_namespace: &self.user_namespace,
                network_namespace: &self.network_namespace,
                console: &self.console,
            })?;
            self.proc_files.started(init.as_raw(), &self.cgroups);
            self.status.init =
                Process::find(init.as_raw()).during(|| "look at the instance's init".into())?;
            if self.wish == Wish::Run {
                self.status.state = RunState::Running;
            }
            if !self.systemd {
                self.ready();
            }
            self.publish();
            let end = self.supervise(init)?;
            match next(end, self.wish) {
                Next::Stopped(exit) => {
                    if let Exit::Crashed(code) = exit {
                        self.status.failure = Some(format!("its init ended with code {code}"));
                    }
                    return Ok(exit);
                }
                Next::Boot => {
                    self.cgroups.clear(&id)?;
                    // An init that fails at once must not spin.
                    std::thread::sleep(ASK_AGAIN.saturating_sub(begun.elapsed()));
                    self.wish = Wish::Run;
                    self.status.state = RunState::Starting;
                    self.status.init = None;
                    self.status.ready = false;
                    self.publish();
                }
            }
        }
    }

    /// The namespace outlives the machine: what an earlier boot did to it must not.
    fn renew_network(&self) {
        // The first boot finds it as it was made.
        if self.status.boots == 1 && self.spec.run == 0 {
            return;
        }
        let name = self.network_namespace.file_name().unwrap_or_default();
        if let Err(e) = network::renew(Path::new("../.."), &name.to_string_lossy()) {
            eprintln!("failed to renew the network: {e}");
        }
    }

    /// Serves the instance until its init ended.
    fn supervise(&mut self, init: Pid) -> Result<WaitStatus> {
        loop {
            let timeout = self.press(init)?;
            let mut watched: Vec<PollFd<'_>> = [
                self.signals.as_fd(),
                self.console.as_fd(),
                self.notify.as_fd(),
                self.control.as_fd(),
            ]
            .into_iter()
            .chain(self.proc_files.as_fd())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
            match poll(&mut watched, timeout) {
                Err(nix::errno::Errno::EINTR) | Ok(_) => {}
                Err(e) => return Err(e).during(|| "wait for events".into()),
            }
            // A console that cannot be kept (disk full) must not end the instance.
            let _ = self.console.pump();
            self.proc_files.answer(&self.cgroups);
            self.hear_notifications();
            self.hear_requests();
            if let Some(end) = self.hear_signals(init) {
                let _ = self.console.pump();
                return Ok(end);
            }
        }
    }

    /// Does what the wish demands now; says how long nothing more is to do.
    fn press(&mut self, init: Pid) -> Result<PollTimeout> {
        let Some((signal, wait)) = self.wish.press(self.systemd) else {
            return Ok(PollTimeout::NONE);
        };
        // SAFETY: plain numbers; the init is our child and not reaped yet, so its number is its own.
        let sent = unsafe { libc::kill(init.as_raw(), signal) };
        nix::errno::Errno::result(sent).during(|| format!("send signal {signal} to the init"))?;
        Ok(PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX))
    }

    fn hear_notifications(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(n) = self.notify.recv(&mut buffer) {
            let mut lines = buffer[..n].split(|b| *b == b'\n');
            if lines.clone().any(|line| line == b"READY=1") && !self.status.ready {
                self.ready();
                self.publish();
            }
            if let Some(why) = lines.find_map(|line| line.strip_prefix(USER_DATA_FAILED)) {
                // Whoever is root inside may write here: text to show, and no more of it.
                let why = String::from_utf8_lossy(&why[..why.len().min(500)]);
                self.status.user_data_failure = Some(why.replace(char::is_control, " "));
                self.publish();
            }
        }
    }

    fn ready(&mut self) {
        self.status.ready = true;
        self.status.ready_at = Some(Timestamp::now());
    }

    fn hear_requests(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(n) = self.control.recv(&mut buffer) {
            match serde_json::from_slice(&buffer[..n]) {
                Ok(request) => self.obey(&request),
                Err(e) => eprintln!("request not understood: {e}"),
            }
        }
    }

    fn obey(&mut self, request: &Request) {
        self.wish = wish(self.wish, request);
        if matches!(self.wish, Wish::Stop(_)) {
            self.status.state = RunState::Stopping;
            self.publish();
        }
    }

    /// Reaps; the end of the init, if it came.
    fn hear_signals(&mut self, init: Pid) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.obey(&Request::Stop { timeout_ms: 10_000 });
            }
        }
        while let Ok(status) = waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            match status.pid() {
                Some(pid) if pid == init => ended = Some(status),
                Some(_) => {}
                None => break,
            }
        }
        ended
    }

    fn publish(&self) {
        if let Err(e) = self.status.write(Path::new(".")) {
            eprintln!("failed to write the status: {e}");
        }
        // Nobody listens while the control plane is away, and it looks when it comes back.
        if let Ok(bell) = UnixDatagram::unbound() {
            let _ = bell.set_nonblocking(true);
            let _ = bell.send_to(
                self.spec.id.as_str().as_bytes(),
                format!("../../{DOORBELL}"),
            );
        }
    }
}

fn watched_signals() -> SigSet {
    SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM])
}

fn bind(name: &str) -> Result<UnixDatagram> {
    let made = match fs::remove_file(name) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => UnixDatagram::bind(name),
    };
    made.and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .during(|| format!("bind the socket {name}"))
}

/// Whether the image's init is systemd, which reports readiness and has signals of its own.
fn has_systemd(image: &Path) -> bool {
    fs::read_link(image.join("sbin/init")).is_ok_and(|target| target.ends_with("systemd"))
}
