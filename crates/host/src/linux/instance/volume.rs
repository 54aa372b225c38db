//! An instance's root volume: the directory that all its writes go to.
//!
//! Without a size it is a plain directory of the host's file system. With one it is an ext4
//! in a sparse file on a loop device: a full volume is then the instance's trouble alone, as
//! with EBS, and removing it is one unlink. The mount is in the boot's own namespace, and
//! the loop device frees itself with the last mount, so a crash leaves neither behind.
//!
//! Not used: project quotas, which few hosts' file systems are made with.

use super::root::make_dir;
use crate::instance::{During, InstanceError};
use nix::mount::MsFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

type Result<T> = std::result::Result<T, InstanceError>;

pub const DIRECTORY: &str = "volume";
const FILE: &str = "volume.ext4";

/// Makes the volume below the working directory.
pub fn create(bytes: Option<u64>) -> Result<()> {
    make_dir(Path::new(DIRECTORY), 0o755)?;
    match bytes {
        Some(bytes) if !Path::new(FILE).exists() => format(bytes),
        _ => Ok(()),
    }
}

/// Under another name until complete: an interrupted one is no volume.
fn format(bytes: u64) -> Result<()> {
    let new = format!("{FILE}.new");
    File::create(&new)
        .and_then(|file| file.set_len(bytes))
        .during(|| format!("create a volume of {bytes} bytes"))?;
    let made = Command::new("mkfs.ext4")
        .args([
            "-q",
            "-F",
            "-m",
            "0",
            "-E",
            "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
            &new,
        ])
        .stdin(Stdio::null())
        .output()
        .during(|| "run mkfs.ext4 (package e2fsprogs)".into())?;
    if !made.status.success() {
        let reason = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        return Err(InstanceError::refused(
            format!("format a volume of {bytes} bytes"),
            reason,
        ));
    }
    std::fs::rename(&new, FILE).during(|| format!("rename {new}"))
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

/// A loop device on the file, held by the returned descriptor until mounted.
fn attach() -> Result<(String, File)> {
    let during = || "attach the volume to a loop device".to_owned();
    let open = |path: &str| OpenOptions::new().read(true).write(true).open(path);
    let file = open(FILE).during(during)?;
    let control = open("/dev/loop-control").during(during)?;
    // SAFETY: all-zero is valid for a struct of integers.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd() as u32;
    config.info.flags = LO_FLAGS_AUTOCLEAR;
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
            // Another took the number between the two calls.
            Err(nix::errno::Errno::EBUSY) => {}
            Err(e) => return Err(io::Error::from(e)).during(during),
        }
    }
    Err(InstanceError::refused(
        during(),
        "all loop devices are taken",
    ))
}
