//! The mount system calls that `nix` does not have, as functions on detached mounts.
//!
//! A detached mount (`open_tree`) is made with the host's rights in one mount namespace and
//! attached in another that an instance's user namespace owns. Unlike mounts that are copied
//! along by `unshare`, it is not locked together with its parent there.

use crate::instance::{During, InstanceError};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

type Result<T> = std::result::Result<T, InstanceError>;

const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const OPEN_TREE_CLONE: libc::c_uint = 0x1;

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// A detached copy of the mount at `path`, showing `path` as its root.
pub fn detached(path: &Path) -> Result<OwnedFd> {
    let c_path = c_string(path)?;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint;
    // SAFETY: the path is a C string that outlives the call; a non-negative result is a
    // descriptor that nobody else owns.
    let fd = unsafe {
        let fd = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c_path.as_ptr(), flags);
        Errno::result(fd).map(|fd| OwnedFd::from_raw_fd(fd as i32))
    };
    fd.during(|| format!("clone the mount of {}", path.display()))
}

/// Lets a detached mount show ids 0… as the ids they are in a user namespace.
pub fn shift_ids(tree: &OwnedFd, user_namespace: &impl AsRawFd) -> Result<()> {
    let attributes = Attributes {
        set: MOUNT_ATTR_IDMAP,
        user_namespace: user_namespace.as_raw_fd() as u64,
        ..Attributes::default()
    };
    set_attributes(tree, &attributes).during(|| {
        "shift the ids of the image (needs Linux 5.19 and a file system with idmapped mounts, \
         such as ext4, xfs or btrfs)"
            .into()
    })
}

pub fn make_read_only(tree: &OwnedFd) -> Result<()> {
    let attributes = Attributes {
        set: MOUNT_ATTR_RDONLY,
        ..Attributes::default()
    };
    set_attributes(tree, &attributes).during(|| "make a mount read-only".into())
}

fn set_attributes(tree: &OwnedFd, attributes: &Attributes) -> nix::Result<()> {
    // SAFETY: the empty path makes the call act on the descriptor; the struct is the one
    // of the kernel's first version, and its size is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            attributes as *const Attributes,
            size_of::<Attributes>(),
        )
    };
    Errno::result(done).map(drop)
}

/// Attaches a detached mount.
pub fn attach(tree: &OwnedFd, target: &Path) -> Result<()> {
    let c_target = c_string(target)?;
    // SAFETY: both paths are C strings that outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            c_target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(done).during(|| format!("attach a mount to {}", target.display()))?;
    Ok(())
}

/// A new file system of a kind at `target`.
pub fn file_system(kind: &str, target: &str, flags: MsFlags, data: &str) -> Result<()> {
    mount(Some(kind), target, Some(kind), flags, Some(data))
        .during(|| format!("mount {kind} on {target}"))
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).during(|| format!("use {} as a path", path.display()))
}
