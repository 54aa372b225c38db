//! Snapshots: a copy of what an instance has changed on top of its image, to be a layer of others.
//!
//! The layer keeps the host ids of the instance it was taken from; whoever uses it mounts it
//! with them shifted. While it is copied the instance stands still, so that files agree with
//! each other as after a pulled plug, and what only one machine may have is left out.
//! `/var/lib/docker` and `/var/lib/containerd` lie beside the overlay and are copied beside it;
//! whoever uses the layer gets a copy of its own, since an overlay cannot be the upper layer of
//! another ([`super::root`]).
//!
//! `<state>/snapshots/<id>` is a whole one, `<id>.new` one in the making, `<id>.failed` tells
//! why there is none.

use super::shim::Order;
use super::{SPEC, volume};
use crate::instance::{During, InstanceError, SnapshotOutcome};
use crate::linux::cgroup::Cgroups;
use model::{InstanceId, SnapshotId};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

type Result<T> = std::result::Result<T, InstanceError>;

pub const DIRECTORY: &str = "snapshots";

/// Seen from an instance's directory.
pub fn upper(snapshot: &SnapshotId) -> PathBuf {
    Path::new("../..")
        .join(DIRECTORY)
        .join(snapshot.as_str())
        .join("upper")
}

/// What a layer has for a place of the instance, seen from an instance's directory.
pub fn data(snapshot: &SnapshotId, name: &str) -> PathBuf {
    Path::new("../..")
        .join(DIRECTORY)
        .join(snapshot.as_str())
        .join(name)
}

/// In a layer: the directory of the image below it. That must stay the same version, or its files
/// and the layer's would not go together.
const BASE: &str = "base";

/// The image that a snapshot's layers lie upon; none of one made before this was noted.
pub fn base(state: &Path, snapshot: &SnapshotId) -> Option<PathBuf> {
    let noted = state.join(DIRECTORY).join(snapshot.as_str()).join(BASE);
    fs::read_to_string(noted).ok().map(PathBuf::from)
}

fn note_base(instance: &Path, new: &Path) -> Result<()> {
    let during = || format!("note the image of {}", instance.display());
    let order = fs::read(instance.join(SPEC)).during(during)?;
    let order: Order = serde_json::from_slice(&order)
        .map_err(io::Error::from)
        .during(during)?;
    let image = order.instance.image;
    fs::write(new.join(BASE), image.as_os_str().as_encoded_bytes()).during(during)
}

/// In a mount namespace of its own: `$1` a directory, `$2` what to mount on it (nothing, the
/// device of a mounted volume, or the file of one), `$3` the place of the copy.
const COPY: &str = "\
case $2 in
'') ;;
/dev/*) mount -t ext4 -o noatime \"$2\" \"$1\" ;;
*) mount -t ext4 -o loop,noatime \"$2\" \"$1\" ;;
esac
for part in upper docker containerd; do
  test ! -e \"$1/$part\" || cp -a --reflink=auto \"$1/$part\" \"$3/$part\"
done
cd \"$3/upper\"
rm -f etc/ssh/ssh_host_* etc/hostname
test ! -e etc/machine-id || : >etc/machine-id
";

/// Begins a copy. `cgroups` if the instance runs.
pub fn begin(
    state: &Path,
    id: &InstanceId,
    snapshot: &SnapshotId,
    cgroups: Option<Cgroups>,
) -> Result<()> {
    let home = state.join(DIRECTORY);
    let target = home.join(snapshot.as_str());
    let new = home.join(format!("{snapshot}.new"));
    if new.exists() || target.exists() {
        return Ok(());
    }
    let instance = state.join("instances").join(id.as_str());
    if !instance.join(SPEC).exists() {
        return Err(InstanceError::Missing(id.clone()));
    }
    fs::create_dir_all(&new).during(|| format!("create {}", new.display()))?;
    let (id, snapshot) = (id.as_str().to_owned(), snapshot.as_str().to_owned());
    let work = move || {
        let outcome = copy(&id, &instance, &new, cgroups.as_ref()).and_then(|()| {
            fs::rename(&new, &target).during(|| format!("rename {}", new.display()))
        });
        if let Err(error) = outcome {
            tracing::warn!(id, snapshot, %error, "failed to make a snapshot");
            let _ = fs::write(home.join(format!("{snapshot}.failed")), error.to_string());
            let _ = fs::remove_dir_all(&new);
        }
    };
    std::thread::Builder::new()
        .name("snapshot".into())
        .spawn(work)
        .during(|| "start a thread for a snapshot".into())?;
    Ok(())
}

fn copy(id: &str, instance: &Path, new: &Path, cgroups: Option<&Cgroups>) -> Result<()> {
    note_base(instance, new)?;
    let file = volume::file(instance);
    let source = match (file.exists(), cgroups) {
        (false, _) => String::new(),
        (true, None) => file.display().to_string(),
        (true, Some(_)) => volume::device_of(&file)?,
    };
    if let Some(cgroups) = cgroups {
        cgroups.freeze(id, true)?;
    }
    let mut done = run_copy(instance, &source, new);
    // Ended meanwhile, it has taken the device of its volume with it.
    let failed = done.as_ref().is_ok_and(|done| !done.status.success());
    if failed && source.starts_with("/dev/") && !new.join("upper").exists() {
        done = run_copy(instance, &file.display().to_string(), new);
    }
    if let Some(cgroups) = cgroups {
        cgroups.freeze(id, false)?;
    }
    let done = done?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(InstanceError::refused("copy a root volume", said))
}

fn run_copy(instance: &Path, source: &str, new: &Path) -> Result<Output> {
    Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "--",
            "sh",
            "-ec",
            COPY,
            "copy",
        ])
        .arg(instance.join(volume::DIRECTORY))
        .arg(source)
        .arg(new)
        .stdin(Stdio::null())
        .output()
        .during(|| "run unshare".into())
}

pub fn list(state: &Path) -> BTreeMap<SnapshotId, SnapshotOutcome> {
    let home = state.join(DIRECTORY);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&home).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let outcome = match name.strip_suffix(".failed") {
            Some(_) => {
                SnapshotOutcome::Failed(fs::read_to_string(entry.path()).unwrap_or_default())
            }
            None => SnapshotOutcome::Done,
        };
        // One in the making has a name that is no id.
        if let Ok(id) = name.trim_end_matches(".failed").parse() {
            found.insert(id, outcome);
        }
    }
    found
}

/// Out of sight now; whoever empties the trash deletes it.
pub fn remove(state: &Path, id: &SnapshotId, trash: &Path) -> Result<()> {
    let home = state.join(DIRECTORY);
    let _ = fs::remove_file(home.join(format!("{id}.failed")));
    let directory = home.join(id.as_str());
    match fs::rename(
        &directory,
        trash.join(format!("{id}.{}", model::random_hex(8))),
    ) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
    .during(|| format!("remove {}", directory.display()))
}

/// What a control plane that ended had in the making is begun anew by the next.
pub fn forget_interrupted(state: &Path) {
    for entry in fs::read_dir(state.join(DIRECTORY))
        .into_iter()
        .flatten()
        .flatten()
    {
        if entry.path().extension().is_some_and(|e| e == "new") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
