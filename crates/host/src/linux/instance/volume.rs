//! An instance's root volume: the directory that all its writes go to.
//!
//! Without a size it is a plain directory of the host's file system. With one it is an ext4
//! in a sparse file on a loop device: a full volume is then the instance's trouble alone, as
//! with EBS, and removing it is one unlink. The mount is in the boot's own namespace, and
//! the loop device frees itself with the last mount, so a crash leaves neither behind.
//!
//! A file system is formatted once for each size and copied for each instance, which its
//! few hundred KiB make a matter of a millisecond. It has no journal: a journal writes
//! everything twice and makes each mount wait for the host's disk, and it would help only
//! where the host itself loses its power, after which the volume is checked before its next
//! mount. The loop device bypasses the host's page cache, or each page would be kept twice.
//!
//! What is deleted in an instance stays taken on the host until the volume goes: passing
//! each deletion on would make them as slow as writes. Not used: project quotas, which few
//! hosts' file systems are made with.

use super::root::make_dir;
use crate::instance::{During, InstanceError};
use nix::mount::MsFlags;
use nix::unistd::{Whence, lseek64};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

type Result<T> = std::result::Result<T, InstanceError>;

pub const DIRECTORY: &str = "volume";
const FILE: &str = "volume.ext4";
/// Formatted file systems of the cloud, one for each size, seen from an instance's directory.
const BLANKS: &str = "../../volumes";
/// Part of their names; to be raised with the options of `mkfs`.
const FORMAT: u32 = 1;

/// Whether volumes can have a size on this host; completes "root volumes have no size, since …".
pub fn sized() -> std::result::Result<(), String> {
    let control = "/dev/loop-control";
    let loops = OpenOptions::new().read(true).write(true).open(control);
    loops.map_err(|e| format!("{control} cannot be opened ({e}); `modprobe loop` may help"))?;
    for program in ["mkfs.ext4", "e2fsck"] {
        let found = Command::new(program).arg("-V").output();
        found.map_err(|e| format!("{program} cannot be run ({e}); install e2fsprogs"))?;
    }
    Ok(())
}

/// Makes the volume below the working directory, or makes sure of the one that is there.
pub fn create(bytes: Option<u64>) -> Result<()> {
    make_dir(Path::new(DIRECTORY), 0o755)?;
    match bytes {
        None => Ok(()),
        Some(_) if Path::new(FILE).exists() => match device_of(Path::new(FILE)) {
            // Still mounted, by the copy for a snapshot: there is nothing to repair.
            Ok(_) => Ok(()),
            Err(_) => check(),
        },
        Some(bytes) => copy_blank(bytes),
    }
}

/// Under another name until complete: an interrupted one is no volume.
fn copy_blank(bytes: u64) -> Result<()> {
    let blank = format!("{BLANKS}/{FORMAT}-{bytes}.ext4");
    let opened = match File::open(&blank) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            format(bytes, &blank)?;
            File::open(&blank)
        }
        opened => opened,
    };
    let new = format!("{FILE}.new");
    opened
        .and_then(|blank| copy_sparse(&blank, &File::create(&new)?))
        .and_then(|()| fs::rename(&new, FILE))
        .during(|| format!("copy {blank}"))
}

fn format(bytes: u64, path: &str) -> Result<()> {
    make_dir(Path::new(BLANKS), 0o700)?;
    // Several shims may make the same one at a time; each is as good.
    let new = format!("{path}.{}", std::process::id());
    File::create(&new)
        .and_then(|file| file.set_len(bytes))
        .during(|| format!("create a volume of {bytes} bytes"))?;
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "0"])
        // Metadata in one place and no room for growth that may never come: less to copy.
        .args(["-O", "^has_journal,^resize_inode", "-G", "256"])
        .args(["-E", "nodiscard,lazy_itable_init=1,packed_meta_blocks=1"])
        .arg(&new)
        .stdin(Stdio::null())
        .output()
        .during(|| "run mkfs.ext4 (package e2fsprogs)".into())?;
    if !made.status.success() {
        let _ = fs::remove_file(&new);
        let reason = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        return Err(InstanceError::refused(
            format!("format a volume of {bytes} bytes"),
            reason,
        ));
    }
    fs::rename(&new, path).during(|| format!("rename {new}"))
}

/// Copies what is not a hole. `copy_file_range` would fill the holes on some file systems.
fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let seek = |at: i64, what| match lseek64(from, at, what) {
        Ok(at) => Ok(Some(at)),
        // No data from here on.
        Err(nix::errno::Errno::ENXIO) => Ok(None),
        Err(e) => Err(io::Error::from(e)),
    };
    let mut at = 0;
    while let Some(data) = seek(at, Whence::SeekData)? {
        at = seek(data, Whence::SeekHole)?.unwrap_or(length as i64);
        let mut piece = vec![0; (at - data) as usize];
        from.read_exact_at(&mut piece, data as u64)?;
        to.write_all_at(&piece, data as u64)?;
    }
    Ok(())
}

/// The file of an instance's volume that has a size.
pub fn file(instance: &Path) -> PathBuf {
    instance.join(FILE)
}

/// The loop device that shows a volume's file. A second one on the same file would be a second
/// file system that knows nothing of the first.
pub fn device_of(file: &Path) -> Result<String> {
    let file = fs::canonicalize(file).during(|| format!("find {}", file.display()))?;
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let backing = fs::read_to_string(entry.path().join("loop/backing_file"));
        if backing.is_ok_and(|path| Path::new(path.trim_end()) == file) {
            return Ok(format!("/dev/{}", entry.file_name().to_string_lossy()));
        }
    }
    Err(InstanceError::refused(
        "find the volume's loop device",
        format!("none shows {}", file.display()),
    ))
}

/// Repairs a volume that was not unmounted: the host lost its power.
fn check() -> Result<()> {
    let during = || format!("look at {FILE}");
    // `s_state` of the superblock; bit 0 says that it was unmounted.
    let mut state = [0];
    let file = File::open(FILE).during(during)?;
    file.read_exact_at(&mut state, 1024 + 58).during(during)?;
    if state[0] & 1 != 0 {
        return Ok(());
    }
    let done = Command::new("e2fsck")
        .args(["-f", "-y", FILE])
        .stdin(Stdio::null())
        .output()
        .during(|| "run e2fsck (package e2fsprogs)".into())?;
    // 1: errors were found and corrected.
    match done.status.code() {
        Some(0 | 1) => Ok(()),
        _ => {
            let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
            Err(InstanceError::refused("repair the root volume", said))
        }
    }
}

/// Shows the volume on its directory, in the caller's mount namespace.
pub fn mount(bytes: Option<u64>) -> Result<()> {
    if bytes.is_none() {
        return Ok(());
    }
    let (path, _device) = attach()?;
    let flags = MsFlags::MS_NOATIME;
    // Unused inode tables stay unwritten: the file stays sparse.
    nix::mount::mount(
        Some(path.as_str()),
        DIRECTORY,
        Some("ext4"),
        flags,
        Some("noinit_itable"),
    )
    .during(|| format!("mount the volume from {path}"))
}

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// Ignored where the host's file system cannot.
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    /// `struct loop_info64`.
    info: LoopInfo,
    reserved: [u64; 8],
}

#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// A loop device on the file, held by the returned descriptor until mounted. One that shows it
/// already, since a copy for a snapshot reads it, is taken: a second would be a second file system.
fn attach() -> Result<(String, File)> {
    let during = || "attach the volume to a loop device".to_owned();
    let open = |path: &str| OpenOptions::new().read(true).write(true).open(path);
    if let Ok(path) = device_of(Path::new(FILE)) {
        let device = open(&path).during(during)?;
        // It frees itself with its last user, which may have been just now; held, it stays.
        if device_of(Path::new(FILE)).is_ok_and(|still| still == path) {
            return Ok((path, device));
        }
    }
    let file = open(FILE).during(during)?;
    let control = open("/dev/loop-control").during(during)?;
    // The kernel names a free number and hands it out by two calls: of hundreds that start at once,
    // most would find theirs taken again and again. Held until the end, instances take turns.
    control.lock().during(during)?;
    // SAFETY: all-zero is valid for a struct of integers.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd() as u32;
    config.info.flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    for _ in 0..64 {
        // SAFETY: this request has no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        let number = nix::errno::Errno::result(number).during(during)?;
        let path = format!("/dev/loop{number}");
        let device = open(&path).during(during)?;
        // SAFETY: the struct has the kernel's layout and outlives the call.
        let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &config) };
        match nix::errno::Errno::result(done) {
            Ok(_) => return Ok((path, device)),
            // A program outside the cloud took the number between the two calls.
            Err(nix::errno::Errno::EBUSY) => {}
            Err(e) => return Err(io::Error::from(e)).during(during),
        }
    }
    Err(InstanceError::refused(
        during(),
        "all loop devices are taken",
    ))
}
