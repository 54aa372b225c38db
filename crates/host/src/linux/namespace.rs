//! Named namespaces: made, entered, listed and removed.
//!
//! A network namespace is a bind mount `/run/netns/<name>`, so that `ip netns exec` and
//! `nsenter --net=` work on it. Plain ones are made on a scratch thread (`unshare`, then
//! the mount): forking the control plane would copy its page tables for a system call.
//!
//! An instance's network namespace must be *owned* by the instance's user namespace, else
//! root inside may not touch its own links and Docker's bridges die. Only a single-threaded
//! process may make a user namespace, so a short-lived `unshare cat` makes both and holds
//! them until they are mapped and mounted; it ends when its standard input closes.
//!
//! An instance without ids of its own (`uid_base` 0, [`PRIVILEGED`]) shares the host's user
//! namespace. Its name is pinned all the same, so that such instances are listed and removed
//! like the others.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

const NETNS: &str = "/run/netns";

/// Ids an instance's user namespace maps, from its `uid_base` on.
pub const IDS: u32 = 65_536;

/// The `uid_base` of an instance whose root is the host's: `up --privileged-instances`.
pub const PRIVILEGED: u32 = 0;

/// The file that `setns` and `ip netns exec` take for a network namespace.
pub fn path(name: &str) -> PathBuf {
    Path::new(NETNS).join(name)
}

/// `nines` and `i-0ab…` to `nines-i-0ab…`.
pub fn name(cloud: &str, id: &str) -> String {
    format!("{cloud}-{id}")
}

/// The file of an instance's user namespace.
pub fn user_path(cloud: &str, instance: &str) -> PathBuf {
    user_directory(cloud).join(instance)
}

pub fn user_directory(cloud: &str) -> PathBuf {
    Path::new("/run").join(cloud).join("userns")
}

/// Whether a namespace is mounted there; a bare file left by a crash is none.
pub fn exists(name: &str) -> bool {
    is_namespace(&path(name))
}

/// Names of the network namespaces of a cloud, in order.
pub fn list(cloud: &str) -> io::Result<Vec<String>> {
    let prefix = format!("{cloud}-");
    Ok(names(Path::new(NETNS))?
        .into_iter()
        .filter(|name| name.starts_with(&prefix))
        .collect())
}

/// Ids of the instances of a cloud that have a user namespace, in order.
pub fn list_user(cloud: &str) -> io::Result<Vec<String>> {
    names(&user_directory(cloud))
}

/// A network namespace owned by the host's user namespace. True if it had to be made.
pub fn create(name: &str) -> io::Result<bool> {
    let target = path(name);
    if is_namespace(&target) {
        return Ok(false);
    }
    share_netns_directory()?;
    on_scratch_thread(move || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        pin(Path::new("/proc/thread-self/ns/net"), &target)
    })
    .map_err(|e| wrap(e, format!("create network namespace {name}")))?;
    Ok(true)
}

/// Takes the name away; the namespace itself goes with its last process or socket.
pub fn remove(name: &str) -> io::Result<()> {
    unpin(&path(name)).map_err(|e| wrap(e, format!("remove network namespace {name}")))
}

/// The user namespace of an instance, and a network namespace it owns. Idempotent.
///
/// `uid_base` on the host is root in the instance, for users and groups alike; [`PRIVILEGED`]
/// gives the host's own user namespace a second name.
pub fn create_instance_namespaces(cloud: &str, instance: &str, uid_base: u32) -> io::Result<()> {
    // The network's and the instance's controllers may both be first.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let net = path(&name(cloud, instance));
    let user = user_path(cloud, instance);
    if is_namespace(&net) && is_namespace(&user) {
        return Ok(());
    }
    // One without the other is a crash half-way: they must be made together.
    remove_instance_namespaces(cloud, instance)?;
    share_netns_directory()?;
    fs::create_dir_all(user_directory(cloud))?;
    if uid_base == PRIVILEGED {
        create(&name(cloud, instance))?;
        return pin(Path::new("/proc/self/ns/user"), &user)
            .map_err(|e| wrap(e, format!("name the user namespace of instance {instance}")));
    }
    let made = hold_namespaces().and_then(|mut holder| {
        let proc = PathBuf::from(format!("/proc/{}", holder.id()));
        let map = format!("0 {uid_base} {IDS}\n");
        let made = fs::write(proc.join("uid_map"), &map)
            .and_then(|()| fs::write(proc.join("gid_map"), &map))
            .and_then(|()| pin(&proc.join("ns/user"), &user))
            .and_then(|()| pin(&proc.join("ns/net"), &net));
        drop(holder.stdin.take());
        holder.wait()?;
        made
    });
    made.map_err(|e| wrap(e, format!("create namespaces of instance {instance}")))
}

/// Removes both names of an instance's namespaces; absent ones are fine.
pub fn remove_instance_namespaces(cloud: &str, instance: &str) -> io::Result<()> {
    unpin(&path(&name(cloud, instance)))
        .and_then(|()| unpin(&user_path(cloud, instance)))
        .map_err(|e| wrap(e, format!("remove namespaces of instance {instance}")))
}

/// Runs `work` on a thread of its own inside a network namespace, and waits for it.
///
/// Sockets made there stay in that namespace for life, wherever they are used.
pub fn enter<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let file =
        File::open(path(name)).map_err(|e| wrap(e, format!("open network namespace {name}")))?;
    on_scratch_thread(move || {
        setns(&file, CloneFlags::CLONE_NEWNET)?;
        drop(file);
        Ok(work())
    })
    .map_err(|e| wrap(e, format!("enter network namespace {name}")))
}

/// Runs `work` in a network namespace without a name, which ends with it.
pub fn scratch<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_scratch_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    })
    .map_err(|e| wrap(e, "create a network namespace".into()))
}

/// Whether user namespaces can be made and own a network namespace; leaves nothing.
pub fn try_user_namespace() -> io::Result<()> {
    let mut holder = hold_namespaces()?;
    let mapped = fs::write(
        format!("/proc/{}/uid_map", holder.id()),
        format!("0 100000 {IDS}\n"),
    );
    drop(holder.stdin.take());
    holder.wait()?;
    mapped
}

/// A user namespace that makes ids from `from` on appear as those from `to` on in a mount
/// that is shifted by it; it ends with the file.
pub fn mapping(from: u32, to: u32) -> io::Result<File> {
    let mut holder = hold_namespaces()?;
    let proc = PathBuf::from(format!("/proc/{}", holder.id()));
    let map = format!("{from} {to} {IDS}\n");
    let made = fs::write(proc.join("uid_map"), &map)
        .and_then(|()| fs::write(proc.join("gid_map"), &map))
        .and_then(|()| File::open(proc.join("ns/user")));
    drop(holder.stdin.take());
    holder.wait()?;
    made.map_err(|e| wrap(e, format!("map ids {from} to {to}")))
}

/// Sets kernel parameters (`ipv4/ip_forward`, `1`) in a network namespace.
pub fn set_parameters(name: &str, parameters: &[(String, String)]) -> io::Result<()> {
    enter(name, || {
        for (key, value) in parameters {
            // /proc/sys/net shows the namespace of the thread that opens the file.
            fs::write(Path::new("/proc/sys/net").join(key), value)
                .map_err(|e| wrap(e, format!("set net/{key} in {name}")))?;
        }
        Ok(())
    })?
}

/// A child that sits in new user and network namespaces until its standard input closes.
fn hold_namespaces() -> io::Result<Child> {
    let mut child = Command::new("unshare")
        .args(["--user", "--net", "cat"])
        // Else both look for a locale's files first.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // An echo means that `unshare` has done its work and become `cat`.
    let echo = (|| {
        let (Some(stdin), Some(stdout)) = (&mut child.stdin, &mut child.stdout) else {
            return Err(io::Error::other("no pipe to the holder"));
        };
        stdin.write_all(b"\n")?;
        stdout.read_exact(&mut [0])
    })();
    if let Err(e) = echo {
        drop(child.stdin.take());
        child.wait()?;
        return Err(wrap(e, "unshare user and network namespaces".into()));
    }
    Ok(child)
}

/// Makes mounts under `/run/netns` and their removal seen by all mount namespaces, as
/// `ip netns` does: a private copy elsewhere would keep a removed namespace alive.
fn share_netns_directory() -> io::Result<()> {
    fs::create_dir_all(NETNS)?;
    let share = || {
        mount(
            None::<&str>,
            NETNS,
            None::<&str>,
            MsFlags::MS_SHARED | MsFlags::MS_REC,
            None::<&str>,
        )
    };
    match share() {
        // Not a mount point yet.
        Err(nix::errno::Errno::EINVAL) => {
            mount(
                Some(NETNS),
                NETNS,
                None::<&str>,
                MsFlags::MS_BIND | MsFlags::MS_REC,
                None::<&str>,
            )?;
            Ok(share()?)
        }
        other => Ok(other?),
    }
}

fn pin(namespace: &Path, target: &Path) -> io::Result<()> {
    File::create(target)?;
    let pinned = mount(
        Some(namespace),
        target,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    );
    if let Err(e) = pinned {
        fs::remove_file(target)?;
        return Err(e.into());
    }
    Ok(())
}

fn unpin(target: &Path) -> io::Result<()> {
    match umount2(target, MntFlags::MNT_DETACH) {
        // Not mounted, or not there at all.
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
        Err(e) => return Err(e.into()),
    }
    match fs::remove_file(target) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn is_namespace(file: &Path) -> bool {
    nix::sys::statfs::statfs(file)
        .is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::NSFS_MAGIC)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().into_string());
    }
    found.sort();
    Ok(found)
}

/// Namespaces belong to threads: a thread that changed its own must end, not be reused.
fn on_scratch_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("namespace".into())
            .spawn_scoped(scope, work)?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn wrap(e: io::Error, operation: String) -> io::Error {
    io::Error::new(e.kind(), format!("{operation}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    const CLOUD: &str = "nstest";

    fn root() -> bool {
        let root = nix::unistd::geteuid().is_root();
        if !root {
            println!("skipped: needs root");
        }
        root
    }

    #[test]
    fn a_network_namespace_lives_by_its_name() {
        if !root() {
            return;
        }
        let net = name(CLOUD, "plain");
        remove(&net).expect("no leftovers");
        assert!(create(&net).expect("made"));
        assert!(
            !create(&net).expect("adopted"),
            "the second time it is there"
        );
        assert!(list(CLOUD).expect("listed").contains(&net));
        let inside = enter(&net, || fs::read_to_string("/proc/thread-self/net/dev"))
            .expect("entered")
            .expect("read");
        assert_eq!(inside.lines().count(), 3, "two headings and lo");
        remove(&net).expect("removed");
        remove(&net).expect("absent is fine");
        assert!(!exists(&net));
        assert!(!list(CLOUD).expect("listed").contains(&net));
    }

    #[test]
    fn an_instance_owns_its_network() {
        if !root() {
            return;
        }
        let id = "i-0123456789abcdef0";
        let base = 700_000;
        create_instance_namespaces(CLOUD, id, base).expect("made");
        let inode = |p: &Path| fs::metadata(p).expect("namespace").ino();
        let (net, user) = (path(&name(CLOUD, id)), user_path(CLOUD, id));
        let before = (inode(&net), inode(&user));
        create_instance_namespaces(CLOUD, id, base).expect("adopted");
        assert_eq!((inode(&net), inode(&user)), before);

        // NS_GET_USERNS of the network namespace is the instance's user namespace.
        const NS_GET_USERNS: libc::c_ulong = 0xb701;
        let file = File::open(&net).expect("open");
        // SAFETY: the request takes no argument and returns a new descriptor or -1.
        let owner = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_USERNS) };
        assert!(owner >= 0, "{}", io::Error::last_os_error());
        let owner = PathBuf::from(format!("/proc/self/fd/{owner}"));
        assert_eq!(inode(&owner), before.1);

        let show = Command::new("nsenter")
            .arg(format!("--user={}", user.display()))
            .args([
                "sh",
                "-c",
                "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups",
            ])
            .output()
            .expect("nsenter");
        let words: Vec<_> = std::str::from_utf8(&show.stdout)
            .expect("text")
            .split_whitespace()
            .collect();
        assert_eq!(
            words,
            ["0", "700000", "65536", "0", "700000", "65536", "allow"]
        );

        remove_instance_namespaces(CLOUD, id).expect("removed");
        remove_instance_namespaces(CLOUD, id).expect("absent is fine");
        assert!(!net.exists() && !user.exists());
        let _ = fs::remove_dir(user_directory(CLOUD));
        let _ = fs::remove_dir(Path::new("/run").join(CLOUD));
    }
}
