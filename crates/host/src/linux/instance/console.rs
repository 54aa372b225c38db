//! An instance's console: a terminal on the host whose output goes to a file.
//!
//! The file is moved aside at [`MOST`], so that a follower (`-f`) can tell by the inode, and
//! the two files together always hold the last [`KEPT`] bytes.

use crate::instance::{During, InstanceError};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

pub const FILE: &str = "console.log";
const OLDER: &str = "console.log.1";
/// What EC2 keeps and `GetConsoleOutput` returns.
pub const KEPT: u64 = 64 * 1024;
const MOST: u64 = 1024 * 1024;

pub struct Console {
    directory: PathBuf,
    master: PtyMaster,
    /// Held open: the master would report a hang-up whenever nobody else has it open.
    slave: File,
    slave_path: PathBuf,
    log: File,
    written: u64,
}

impl Console {
    /// A terminal that the instance's root owns, its output appended to the file in `directory`.
    pub fn open(directory: &Path, owner: u32) -> Result<Self, InstanceError> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let open = || {
            let master = posix_openpt(flags)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let slave_path = PathBuf::from(ptsname_r(&master)?);
            let slave = open_terminal(&slave_path)?;
            std::os::unix::fs::fchown(&slave, Some(owner), Some(owner + TTY_GROUP))?;
            let log = OpenOptions::new()
                .create(true)
                .append(true)
                .open(directory.join(FILE))?;
            let written = log.metadata()?.len();
            let directory = directory.to_owned();
            Ok(Self {
                directory,
                master,
                slave,
                slave_path,
                log,
                written,
            })
        };
        open()
            .map_err(|source: io::Error| source)
            .during(|| "open a console".into())
    }

    pub fn slave(&self) -> &File {
        &self.slave
    }

    pub fn slave_path(&self) -> &Path {
        &self.slave_path
    }

    /// Copies what there is, without waiting.
    pub fn pump(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.master.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => self.append(&buffer[..n])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        // The terminal ends lines with "\r\n".
        let text: Vec<u8> = text.iter().copied().filter(|b| *b != b'\r').collect();
        if self.written > MOST {
            let file = self.directory.join(FILE);
            fs::rename(&file, self.directory.join(OLDER))?;
            self.log = OpenOptions::new().create(true).append(true).open(file)?;
            self.written = 0;
        }
        self.written += text.len() as u64;
        self.log.write_all(&text)
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// Group `tty` of Debian and its kin.
const TTY_GROUP: u32 = 5;

fn open_terminal(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(path)
}

/// The last [`KEPT`] bytes of the console; nothing if there was none.
pub fn tail(directory: &Path) -> io::Result<Vec<u8>> {
    let newer = end_of(&directory.join(FILE), KEPT)?;
    let mut text = end_of(&directory.join(OLDER), KEPT - newer.len() as u64)?;
    text.extend(newer);
    Ok(text)
}

fn end_of(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_spans_both_files() {
        let directory = std::env::temp_dir().join(format!("nines-console-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        let check = |older: usize, newer: usize, expected: (usize, usize)| {
            fs::write(directory.join(OLDER), vec![b'o'; older]).expect("write");
            fs::write(directory.join(FILE), vec![b'n'; newer]).expect("write");
            let text = tail(&directory).expect("tail");
            let count = |b| text.iter().filter(|c| **c == b).count();
            assert_eq!((count(b'o'), count(b'n')), expected);
        };
        let kept = KEPT as usize;
        check(10, 10, (10, 10));
        check(kept, 10, (kept - 10, 10));
        check(10, kept + 1, (0, kept));
        check(0, 0, (0, 0));
        fs::remove_dir_all(&directory).expect("removed");
        assert_eq!(tail(&directory).expect("absent is empty"), b"");
    }
}
