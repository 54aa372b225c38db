//! What a shim leaves on disk for whoever asks: `status.json`, replaced whole.

use crate::instance::{Exit, InstanceSpec, RunState};
use model::Timestamp;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

pub const FILE: &str = "status.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    #[serde(default)]
    pub run: u32,
    pub shim: Process,
    pub init: Option<Process>,
    pub state: RunState,
    pub ready: bool,
    pub started: Timestamp,
    pub ready_at: Option<Timestamp>,
    pub boots: u32,
    pub cpu_quota_usec_per_sec: u64,
    pub failure: Option<String>,
    #[serde(default)]
    pub user_data_failure: Option<String>,
}

impl Status {
    /// Of a run that begins now and is in the hands of a process.
    pub fn starting(spec: &InstanceSpec, shim: Process) -> Self {
        Self {
            run: spec.run,
            shim,
            init: None,
            state: RunState::Starting,
            ready: false,
            started: Timestamp::now(),
            ready_at: None,
            boots: 0,
            cpu_quota_usec_per_sec: spec.cpu.quota_usec_per_sec(),
            failure: None,
            user_data_failure: None,
        }
    }

    pub fn stopped(&mut self, exit: Exit) {
        self.state = RunState::Stopped(exit);
        self.init = None;
        self.ready = false;
    }

    /// `None` if there is none that can be understood: a launch that was interrupted.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        match fs::read(directory.join(FILE)) {
            Ok(status) => Ok(serde_json::from_slice(&status).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, so that a reader sees the old or the new one.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let new = directory.join("status.json.new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, directory.join(FILE))
    }

    /// The state as it is: a shim that vanished can no longer write.
    pub fn seen(mut self) -> io::Result<Self> {
        if !matches!(self.state, RunState::Stopped(_)) && !self.shim.lives()? {
            self.stopped(Exit::Crashed(-1));
            self.failure = Some("its shim ended unexpectedly".into());
        }
        Ok(self)
    }
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// Ticks since the host booted.
    start: u64,
}

impl Process {
    pub fn own() -> io::Result<Self> {
        let own = Self::find(std::process::id() as i32)?;
        own.ok_or_else(|| io::Error::other("/proc does not show this process"))
    }

    /// `None` if it has ended. Who could not look, for want of a descriptor perhaps, does not know.
    pub fn find(pid: i32) -> io::Result<Option<Self>> {
        let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // It ended between the opening and the reading.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(start_of(&stat).map(|start| Self { pid, start }))
    }

    pub fn lives(self) -> io::Result<bool> {
        Ok(Self::find(self.pid)? == Some(self))
    }

    /// Signals this process and no successor; one that has ended is fine.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        match self.open()? {
            Some(process) => send(&process, signal),
            None => Ok(()),
        }
    }

    /// A pidfd, if it lives.
    pub fn open(self) -> io::Result<Option<OwnedFd>> {
        // SAFETY: a non-negative result is a descriptor that nobody else owns.
        let opened = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, self.pid, 0);
            nix::errno::Errno::result(fd).map(|fd| OwnedFd::from_raw_fd(fd as i32))
        };
        match opened {
            // Looked up after opening: if it is the same now, the descriptor is its.
            Ok(process) => Ok(self.lives()?.then_some(process)),
            Err(nix::errno::Errno::ESRCH) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

fn send(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    // SAFETY: plain numbers and a null pointer, which the call allows.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal as i32,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match nix::errno::Errno::result(sent) {
        Ok(_) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Field 22 of `/proc/<pid>/stat`; none for a zombie, which is as good as gone.
fn start_of(stat: &str) -> Option<u64> {
    // The command, in parentheses, may itself hold spaces and parentheses.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_found_behind_any_name() {
        fn check(stat: &str, expected: Option<u64>) {
            assert_eq!(start_of(stat), expected, "{stat}");
        }
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        check(&format!("7 (sh) S {rest}"), Some(4242));
        check(&format!("7 (a) Z (b) S {rest}"), Some(4242));
        check(&format!("7 (sh) Z {rest}"), None);
        check("7 (sh) S 1 2", None);
        check("", None);
    }

    #[test]
    fn a_process_is_itself_and_no_other() {
        let own = Process::own().expect("lives");
        assert!(own.lives().expect("looked"));
        let impostor = Process {
            start: own.start + 1,
            ..own
        };
        assert!(!impostor.lives().expect("looked"));
        assert!(impostor.open().expect("asked").is_none());
        impostor
            .signal(Signal::SIGKILL)
            .expect("nobody was signalled");
    }
}
