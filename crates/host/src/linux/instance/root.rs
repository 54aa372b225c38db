//! What an instance's root file system is made of, as detached mounts.
//!
//! The image is the overlay's lower directory through an idmapped mount: its files belong to
//! host ids 0…, and appear as those of the instance's user namespace without a copy. The
//! overlay itself is mounted with the host's rights; all that the instance writes is on the
//! host under its shifted ids. `/var/lib/docker` and `/var/lib/containerd` are directories
//! beside the overlay, since an overlay cannot be the upper directory of another.

use super::{mount, proc_files, volume};
use crate::instance::{During, InstanceError, InstanceSpec};
use crate::linux::namespace;
use model::snapshot::Layer;
use nix::mount::{MntFlags, MsFlags, umount2};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

type Result<T> = std::result::Result<T, InstanceError>;

/// Names in the instance's directory on the host.
pub const NOTIFY: &str = "notify";
const LOWER: &str = "lower";
const MERGED: &str = "merged";
/// Directories of the volume shown at places of the instance.
const DATA: [(&str, &str); 2] = [
    ("docker", "/var/lib/docker"),
    ("containerd", "/var/lib/containerd"),
];
/// Device nodes taken from the host where it has them.
const DEVICES: [&str; 8] = [
    "null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun",
];

/// Detached mounts, and where they belong.
pub struct Parts {
    pub root: OwnedFd,
    /// Names below `/dev`.
    pub devices: Vec<(&'static str, OwnedFd)>,
    pub console: OwnedFd,
    /// The socket that systemd reports its readiness to.
    pub notify: OwnedFd,
    /// Files of proc and sysfs that tell the instance's own size.
    pub proc_files: Vec<(&'static str, OwnedFd)>,
    /// Paths below `/`.
    pub data: Vec<(PathBuf, OwnedFd)>,
    pub binds: Vec<(PathBuf, bool, OwnedFd)>,
    /// The volume has no host name of its own yet.
    pub first: bool,
}

/// Makes what outlives a boot.
pub fn create(spec: &InstanceSpec) -> Result<()> {
    for name in [LOWER, MERGED] {
        make_dir(Path::new(name), 0o755)?;
    }
    volume::create(spec.root_bytes)
}

/// Makes all parts. The caller's mount namespace is a scratch one, its working directory the
/// instance's; it ends as an empty directory that a mount may be attached to.
pub fn prepare(spec: &InstanceSpec, user_namespace: &File, console: &Path) -> Result<Parts> {
    nix::mount::mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .during(|| "make mounts private".into())?;
    volume::mount(spec.root_bytes)?;
    let volume = Path::new(volume::DIRECTORY);
    copy_data(spec)?;
    for name in ["upper", "work"]
        .into_iter()
        .chain(DATA.map(|(name, _)| name))
    {
        let dir = volume.join(name);
        make_dir(&dir, 0o755)?;
        chown(&dir, Some(spec.uid_base), Some(spec.uid_base))
            .during(|| format!("give {} to the instance", dir.display()))?;
    }
    let parts = Parts {
        root: root(spec, user_namespace)?,
        devices: devices()?,
        console: mount::detached(console)?,
        notify: mount::detached(Path::new(NOTIFY))?,
        proc_files: proc_files::mounts()?,
        data: DATA
            .into_iter()
            .map(|(name, target)| Ok((target.into(), mount::detached(&volume.join(name))?)))
            .collect::<Result<_>>()?,
        binds: binds(spec)?,
        first: volume
            .join("upper/etc/hostname")
            .symlink_metadata()
            .is_err(),
    };
    std::env::set_current_dir(MERGED).during(|| format!("enter {MERGED}"))?;
    Ok(parts)
}

/// Of an image that was made of an instance: what it had beside its overlay, at the first boot.
fn copy_data(spec: &InstanceSpec) -> Result<()> {
    // Each layer has the whole, not what it changed.
    let Some(newest) = spec.layers.first() else {
        return Ok(());
    };
    for (name, _) in DATA {
        let source = super::snapshot::data(&newest.snapshot, name);
        let target = Path::new(volume::DIRECTORY).join(name);
        if target.exists() || !source.exists() {
            continue;
        }
        let tree = mount::detached(&source)?;
        shift(&tree, newest, spec)?;
        let shown = Path::new("data");
        make_dir(shown, 0o755)?;
        mount::attach(&tree, shown)?;
        // Under another name until complete: an interrupted one is made anew.
        let new = target.with_extension("new");
        let _ = fs::remove_dir_all(&new);
        let done = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([shown, &new])
            .stdin(Stdio::null())
            .output()
            .during(|| format!("run cp for {name}"))?;
        umount2(shown, MntFlags::MNT_DETACH).during(|| "unmount a snapshot".into())?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            let what = format!("copy {name} of {}", newest.snapshot);
            return Err(InstanceError::refused(what, said));
        }
        fs::rename(&new, &target).during(|| format!("rename {}", new.display()))?;
    }
    Ok(())
}

fn root(spec: &InstanceSpec, user_namespace: &File) -> Result<OwnedFd> {
    let image = mount::detached(&spec.image)?;
    if !spec.privileged() {
        mount::shift_ids(&image, user_namespace)?;
    }
    mount::make_read_only(&image)?;
    mount::attach(&image, Path::new(LOWER))?;
    let mut lower = layers(spec)?;
    lower.push(LOWER.to_owned());
    // Relative paths need no escaping of ':' and ','.
    let options = format!(
        "lowerdir={},upperdir={volume}/upper,workdir={volume}/work",
        lower.join(":"),
        volume = volume::DIRECTORY
    );
    mount::file_system("overlay", MERGED, MsFlags::empty(), &options)?;
    let root = mount::detached(Path::new(MERGED))?;
    for name in lower.iter().map(String::as_str).chain([MERGED]) {
        umount2(name, MntFlags::MNT_DETACH).during(|| format!("unmount {name}"))?;
    }
    Ok(root)
}

/// Mounts what snapshots kept, under the ids of this instance; gives the names.
fn layers(spec: &InstanceSpec) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (n, layer) in spec.layers.iter().enumerate() {
        let name = format!("layer{n}");
        make_dir(Path::new(&name), 0o755)?;
        let tree = mount::detached(&super::snapshot::upper(&layer.snapshot))?;
        shift(&tree, layer, spec)?;
        mount::make_read_only(&tree)?;
        mount::attach(&tree, Path::new(&name))?;
        names.push(name);
    }
    Ok(names)
}

/// Shows what one instance wrote under the ids of another.
fn shift(tree: &OwnedFd, layer: &Layer, spec: &InstanceSpec) -> Result<()> {
    if layer.uid_base == spec.uid_base {
        return Ok(());
    }
    let ids = namespace::mapping(layer.uid_base, spec.uid_base)
        .during(|| "shift the ids of a snapshot".into())?;
    mount::shift_ids(tree, &ids)
}

fn devices() -> Result<Vec<(&'static str, OwnedFd)>> {
    let mut found = Vec::new();
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        if path.exists() {
            found.push((name, mount::detached(&path)?));
        }
    }
    Ok(found)
}

fn binds(spec: &InstanceSpec) -> Result<Vec<(PathBuf, bool, OwnedFd)>> {
    let mut made = Vec::new();
    for bind in &spec.binds {
        let directory = fs::metadata(&bind.source)
            .during(|| format!("find {}", bind.source.display()))?
            .is_dir();
        let tree = mount::detached(&bind.source)?;
        mount::make_read_only(&tree)?;
        made.push((bind.target.clone(), directory, tree));
    }
    Ok(made)
}

pub fn make_dir(dir: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
    .during(|| format!("create directory {}", dir.display()))
}
