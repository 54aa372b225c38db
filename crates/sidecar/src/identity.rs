//! Which process is meant: a pid together with its start time.
//!
//! A pid alone is reused; with the start time of `/proc/<pid>/stat` it names
//! one process for as long as the machine runs.

use crate::{Result, at};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// One process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub pid: i32,
    start_time: u64,
}

impl Identity {
    /// The process with this pid, unless there is none or it has ended.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let start_time = start_time(&stat)?;
        Some(Self { pid, start_time })
    }

    /// The live process recorded in `dir`; a stale or unreadable record is none.
    pub fn read(dir: &Path) -> Option<Self> {
        Self::recorded(&path(dir))
    }

    fn recorded(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let (pid, start_time) = text.trim().split_once(' ')?;
        let recorded = Self {
            pid: pid.parse().ok().filter(|pid| *pid > 0)?,
            start_time: start_time.parse().ok()?,
        };
        recorded.alive().then_some(recorded)
    }

    pub fn alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }
}

/// The record of a process that serves a directory no longer but has not ended; it goes with this.
#[derive(Debug)]
#[must_use = "the process is known as one that leaves for as long as this lives"]
pub struct Leaving(PathBuf);

impl Drop for Leaving {
    fn drop(&mut self) {
        // The whole directory may be gone; what is left of a process that is killed is removed by the next.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Records that this process serves `dir` no longer but has not ended.
pub(crate) fn leave(dir: &Path) -> Result<Leaving> {
    // Of those that have ended nobody has to know.
    leaving(dir);
    let pid = std::process::id();
    let path = dir.join(format!("{LEAVING}{pid}"));
    let start_time = Identity::of(pid as i32).map_or(0, |me| me.start_time);
    let record = format!("{pid} {start_time}\n");
    at("write", &path, std::fs::write(&path, record))?;
    Ok(Leaving(path))
}

/// Processes that served `dir` and have not ended.
pub(crate) fn leaving(dir: &Path) -> Vec<Identity> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let records = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(LEAVING));
    let mut alive = Vec::new();
    for record in records {
        match Identity::recorded(&record.path()) {
            Some(identity) => alive.push(identity),
            None => _ = std::fs::remove_file(record.path()),
        }
    }
    alive
}

const LEAVING: &str = "leaving.";

/// The lock that makes its holder the only process of a directory.
pub(crate) type Claim = Flock<File>;

/// Makes this process the one that serves `dir`, and records it.
pub(crate) fn claim(dir: &Path) -> Result<Claim> {
    let path = path(dir);
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = at("open", &path, opened)?;
    let mut claim = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(claim) => claim,
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            return Err(crate::Error::AlreadyServed(dir.to_owned()));
        }
        Err((_, errno)) => return at("lock", &path, Err(errno.into())),
    };
    let me = Identity::of(std::process::id() as i32).ok_or_else(|| crate::Error::Io {
        operation: "read the own entry in",
        path: "/proc".into(),
        source: io::Error::from(io::ErrorKind::NotFound),
    })?;
    at("truncate", &path, claim.set_len(0))?;
    at(
        "write",
        &path,
        writeln!(claim, "{} {}", me.pid, me.start_time),
    )?;
    Ok(claim)
}

fn path(dir: &Path) -> PathBuf {
    dir.join("pid")
}

/// Field 22 of `/proc/<pid>/stat`; none for a zombie, which runs no more.
fn start_time(stat: &str) -> Option<u64> {
    // The second field is the name in parentheses and may itself hold any of them.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let start_time = fields.nth(1)?.parse().ok()?;
    match state {
        // The first thread may have ended before the others, which hold the files, and with them the
        // claim of a directory, until they have.
        "Z" if threads > 1 => Some(start_time),
        "Z" | "X" => None,
        _ => Some(start_time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_the_22nd_field() {
        fn check(stat: &str, expected: Option<u64>) {
            assert_eq!(start_time(stat), expected, "{stat}");
        }
        let tail = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 1 18 4711 20";
        let threads = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 18 4711 20";
        check(&format!("7 (edge) S {tail}"), Some(4711));
        check(&format!("7 (a) b (c) R {tail}"), Some(4711));
        check(&format!("7 (edge) Z {tail}"), None);
        check(&format!("7 (edge) Z {threads}"), Some(4711));
        check(&format!("7 (edge) X {threads}"), None);
        check("7 (edge) S 1 2", None);
        check("", None);
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let me = Identity::of(std::process::id() as i32).unwrap();
        assert!(me.alive());
        let earlier = Identity {
            start_time: me.start_time.wrapping_sub(1),
            ..me
        };
        assert!(!earlier.alive());
    }
}
