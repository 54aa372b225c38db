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
use super::status::{Process, Status};
use super::{DOORBELL, SPEC, root};
use crate::instance::{During, Exit, InstanceError, InstanceSpec, RunState};
use crate::linux::cgroup::{Cgroups, Limits};
use crate::linux::namespace;
use model::Timestamp;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2, setsid};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, InstanceError>;

pub const CONTROL: &str = "control";

/// What the shim is told in its file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub cloud: String,
    pub instance: InstanceSpec,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Power off; kill after the time, at once if it is nil.
    Stop {
        timeout_ms: u64,
    },
    Reboot {
        timeout_ms: u64,
    },
}

/// Asked again until it works: an init does not hear signals before it has set up handlers.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// SIGRTMIN+3 and +5 as systemd's C library counts them (halt and reboot). The number must
/// not follow the C library this program is built with.
const SYSTEMD_HALT: i32 = 34 + 3;
const SYSTEMD_REBOOT: i32 = 34 + 5;

/// Entry of the re-executed program, before it has any threads: `directory` is the instance's.
///
/// Returns in the parent as soon as the shim itself is on its way, detached.
pub fn shim_main(directory: &Path) -> Result<()> {
    std::env::set_current_dir(directory).during(|| format!("enter {}", directory.display()))?;
    let (started, starting) = pipe2(OFlag::O_CLOEXEC).during(|| "make a pipe".into())?;
    // SAFETY: the caller has no other threads.
    match unsafe { fork() }.during(|| "fork the shim".into())? {
        ForkResult::Parent { .. } => {
            drop(starting);
            let mut word = String::new();
            File::from(started)
                .read_to_string(&mut word)
                .during(|| "wait for the shim".into())?;
            if word == "started" {
                Ok(())
            } else {
                Err(InstanceError::refused("start the shim", word))
            }
        }
        ForkResult::Child => {
            drop(started);
            let mut starting = File::from(starting);
            let code = match Shim::new() {
                Ok(mut shim) => {
                    // A parent that went away meanwhile does not matter.
                    let _ = starting.write_all(b"started");
                    drop(starting);
                    shim.run();
                    0
                }
                Err(e) => {
                    let _ = starting.write_all(e.to_string().as_bytes());
                    1
                }
            };
            std::process::exit(code)
        }
    }
}

struct Shim {
    spec: InstanceSpec,
    user_namespace: PathBuf,
    network_namespace: PathBuf,
    cgroups: Cgroups,
    console: Console,
    notify: UnixDatagram,
    control: UnixDatagram,
    signals: SignalFd,
    systemd: bool,
    status: Status,
    wish: Wish,
}

/// What was asked of the present boot.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    Run,
    Stop(Deadline),
    Reboot(Deadline),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Deadline {
    kill: Instant,
    ask: Instant,
}

impl Deadline {
    fn after(timeout_ms: u64) -> Self {
        let now = Instant::now();
        Self {
            kill: now + Duration::from_millis(timeout_ms),
            ask: now,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Next {
    Boot,
    Stopped(Exit),
}

impl Shim {
    fn new() -> Result<Self> {
        let here = Path::new(".");
        let order = fs::read(SPEC).during(|| format!("read {SPEC}"))?;
        let Order {
            cloud,
            instance: spec,
        } = serde_json::from_slice(&order)
            .map_err(io::Error::from)
            .during(|| format!("parse {SPEC}"))?;
        detach(&spec)?;
        let cgroups = Cgroups::detect(&cloud)?;
        cgroups.join_system()?;
        // A run whose shim was killed may have left its processes.
        cgroups.remove(spec.id.as_str())?;
        let signals = watched_signals();
        signals.thread_block().during(|| "block signals".into())?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&signals, flags).during(|| "watch signals".into())?;
        let shim = Process::find(std::process::id() as i32)
            .ok_or_else(|| InstanceError::refused("find the shim in /proc", "it is not there"))?;
        let status = Status {
            shim,
            init: None,
            state: RunState::Starting,
            ready: false,
            started: Timestamp::now(),
            ready_at: None,
            boots: 0,
            cpu_quota_usec_per_sec: spec.cpu.quota_usec_per_sec(),
            failure: None,
        };
        status.write(here).during(|| "write the status".into())?;
        let notify = bind(root::NOTIFY)?;
        chown(root::NOTIFY, Some(spec.uid_base), Some(spec.uid_base))
            .during(|| "give the notify socket to the instance".into())?;
        Ok(Self {
            user_namespace: namespace::user_path(&cloud, spec.id.as_str()),
            network_namespace: namespace::path(&namespace::name(&cloud, spec.id.as_str())),
            console: Console::open(here, spec.uid_base)?,
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
    fn run(&mut self) {
        let exit = self.boots().unwrap_or_else(|e| {
            self.status.failure = Some(e.to_string());
            Exit::Crashed(-1)
        });
        let removed = self.cgroups.remove(self.spec.id.as_str());
        if let Err(e) = removed {
            self.status.failure.get_or_insert(e.to_string());
        }
        self.status.init = None;
        self.status.ready = false;
        self.status.state = RunState::Stopped(exit);
        self.publish();
    }

    fn boots(&mut self) -> Result<Exit> {
        let id = self.spec.id.as_str().to_owned();
        let limits = Limits {
            cpu: self.spec.cpu,
            memory_bytes: self.spec.memory_bytes,
            pids_max: self.spec.pids_max,
        };
        let mut first = root::create(&self.spec)?;
        self.cgroups.create(&id, self.spec.uid_base, &limits)?;
        loop {
            let begun = Instant::now();
            self.status.boots += 1;
            let init = boot::start(&Boot {
                spec: &self.spec,
                cgroups: &self.cgroups,
                user_namespace: &self.user_namespace,
                network_namespace: &self.network_namespace,
                console: &self.console,
                first,
            })?;
            first = false;
            self.status.init = Process::find(init.as_raw());
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

    /// Serves the instance until its init ended.
    fn supervise(&mut self, init: Pid) -> Result<WaitStatus> {
        loop {
            let timeout = self.press(init)?;
            let mut watched = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.console.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.notify.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut watched, timeout) {
                Err(nix::errno::Errno::EINTR) | Ok(_) => {}
                Err(e) => return Err(e).during(|| "wait for events".into()),
            }
            // A console that cannot be kept (disk full) must not end the instance.
            let _ = self.console.pump();
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
        let (deadline, signal) = match &mut self.wish {
            Wish::Run => return Ok(PollTimeout::NONE),
            Wish::Stop(deadline) => (
                deadline,
                if self.systemd {
                    SYSTEMD_HALT
                } else {
                    libc::SIGTERM
                },
            ),
            Wish::Reboot(deadline) => (
                deadline,
                if self.systemd {
                    SYSTEMD_REBOOT
                } else {
                    libc::SIGTERM
                },
            ),
        };
        let now = Instant::now();
        let signal = if now >= deadline.kill {
            libc::SIGKILL
        } else if now >= deadline.ask {
            deadline.ask = now + ASK_AGAIN;
            signal
        } else {
            0
        };
        // SAFETY: plain numbers; the init is our child and not reaped yet, so its number is its own.
        let sent = unsafe { libc::kill(init.as_raw(), signal) };
        nix::errno::Errno::result(sent).during(|| format!("send signal {signal} to the init"))?;
        let wake = deadline
            .ask
            .min(deadline.kill)
            .max(now + Duration::from_millis(10));
        Ok(PollTimeout::try_from(wake - now).unwrap_or(PollTimeout::MAX))
    }

    fn hear_notifications(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(n) = self.notify.recv(&mut buffer) {
            let ready = buffer[..n]
                .split(|b| *b == b'\n')
                .any(|line| line == b"READY=1");
            if ready && !self.status.ready {
                self.ready();
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

/// What holds after a request: a stop outlasts a reboot, and time limits only shrink.
fn wish(present: Wish, request: &Request) -> Wish {
    let earlier = |a: Deadline, b: Deadline| Deadline {
        kill: a.kill.min(b.kill),
        ask: b.ask,
    };
    match (present, request) {
        (Wish::Stop(old), Request::Stop { timeout_ms }) => {
            Wish::Stop(earlier(old, Deadline::after(*timeout_ms)))
        }
        (_, Request::Stop { timeout_ms }) => Wish::Stop(Deadline::after(*timeout_ms)),
        (Wish::Run, Request::Reboot { timeout_ms }) => Wish::Reboot(Deadline::after(*timeout_ms)),
        (other, Request::Reboot { .. }) => other,
    }
}

/// What follows from the end of an init. The kernel reports `reboot(2)` of a PID namespace
/// as death by SIGHUP (restart) or SIGINT (halt, power off).
fn next(end: WaitStatus, wish: Wish) -> Next {
    use Exit::{Crashed, Killed, PowerOff};
    match (end, wish) {
        (WaitStatus::Signaled(_, Signal::SIGINT, _), _) => Next::Stopped(PowerOff),
        (WaitStatus::Signaled(_, Signal::SIGHUP, _), Wish::Stop(_)) => Next::Stopped(PowerOff),
        (WaitStatus::Signaled(_, Signal::SIGHUP, _), _) | (_, Wish::Reboot(_)) => Next::Boot,
        (WaitStatus::Signaled(..), Wish::Stop(_)) => Next::Stopped(Killed),
        (WaitStatus::Exited(_, 0), _) | (_, Wish::Stop(_)) => Next::Stopped(PowerOff),
        (WaitStatus::Exited(_, code), _) => Next::Stopped(Crashed(code)),
        (WaitStatus::Signaled(_, signal, _), _) => Next::Stopped(Crashed(128 + signal as i32)),
        (_, _) => Next::Stopped(Crashed(-1)),
    }
}

/// A daemon of its own, with what its errors are written to, safe from the OOM killer.
fn detach(spec: &InstanceSpec) -> Result<()> {
    setsid().during(|| "start a session".into())?;
    let id = spec.id.as_str();
    let name = format!("shim {}", id.get(..10).unwrap_or(id));
    let name = std::ffi::CString::new(name).during(|| "name the shim".into())?;
    nix::sys::prctl::set_name(&name).during(|| "name the shim".into())?;
    nix::sys::prctl::set_child_subreaper(true).during(|| "adopt orphans".into())?;
    // A favour that needs CAP_SYS_RESOURCE, which root lacks on some hosts.
    let _ = fs::write("/proc/self/oom_score_adj", "-900");
    let during = || "redirect the shim's output".to_owned();
    let log = File::options()
        .create(true)
        .append(true)
        .open("shim.log")
        .during(during)?;
    let null = File::open("/dev/null").during(during)?;
    nix::unistd::dup2_stdin(&null)
        .and_then(|()| nix::unistd::dup2_stdout(&log))
        .and_then(|()| nix::unistd::dup2_stderr(&log))
        .during(during)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_init_and_the_wish_decide_what_follows() {
        let pid = Pid::from_raw(1);
        let soon = Deadline::after(1);
        let died = |signal| WaitStatus::Signaled(pid, signal, false);
        let left = |code| WaitStatus::Exited(pid, code);
        let check = |end, wish, expected| assert_eq!(next(end, wish), expected, "{end:?} {wish:?}");
        let stopped = Next::Stopped;
        check(died(Signal::SIGHUP), Wish::Run, Next::Boot);
        check(died(Signal::SIGHUP), Wish::Reboot(soon), Next::Boot);
        check(
            died(Signal::SIGHUP),
            Wish::Stop(soon),
            stopped(Exit::PowerOff),
        );
        check(died(Signal::SIGINT), Wish::Run, stopped(Exit::PowerOff));
        check(
            died(Signal::SIGINT),
            Wish::Stop(soon),
            stopped(Exit::PowerOff),
        );
        check(
            died(Signal::SIGKILL),
            Wish::Stop(soon),
            stopped(Exit::Killed),
        );
        check(died(Signal::SIGKILL), Wish::Reboot(soon), Next::Boot);
        check(
            died(Signal::SIGKILL),
            Wish::Run,
            stopped(Exit::Crashed(137)),
        );
        check(left(0), Wish::Run, stopped(Exit::PowerOff));
        check(left(3), Wish::Run, stopped(Exit::Crashed(3)));
        check(left(3), Wish::Stop(soon), stopped(Exit::PowerOff));
        check(left(3), Wish::Reboot(soon), Next::Boot);
    }

    #[test]
    fn requests_sharpen_but_never_soften() {
        let stop = |timeout_ms| Request::Stop { timeout_ms };
        let reboot = Request::Reboot { timeout_ms: 1000 };
        let slow = wish(Wish::Run, &stop(100_000));
        let Wish::Stop(late) = slow else {
            panic!("{slow:?}")
        };
        let Wish::Stop(now) = wish(slow, &stop(0)) else {
            panic!("no stop")
        };
        assert!(now.kill < late.kill);
        let Wish::Stop(still) = wish(Wish::Stop(now), &stop(100_000)) else {
            panic!("no stop")
        };
        assert_eq!(still.kill, now.kill);
        assert_eq!(wish(Wish::Stop(now), &reboot), Wish::Stop(now));
        let Wish::Reboot(_) = wish(Wish::Run, &reboot) else {
            panic!("no reboot")
        };
        let Wish::Stop(_) = wish(wish(Wish::Run, &reboot), &stop(5)) else {
            panic!("no stop")
        };
    }
}
