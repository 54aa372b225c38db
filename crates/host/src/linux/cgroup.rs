//! Control groups of the cloud: limits, use, and killing everything in one.
//!
//! ```text
//! <cloud>/system          shims and other helpers, favoured when the CPU is short
//! <cloud>/instances/<id>  one per instance, root of its cgroup namespace
//! ```
//!
//! Two layouts of the host behind one interface. On *pure v2* every controller is in the
//! one hierarchy. On *hybrid* hosts the limits sit in the v1 hierarchies, invisible from
//! within the instance, and the cgroup2 hierarchy without controllers carries what systemd
//! inside needs, the CPU time used, and `cgroup.kill`. In both, the instance's directory in
//! cgroup2 is delegated: its root may make groups below, but not change its own limits.
//!
//! Not used: systemd's D-Bus interface (needs systemd on the host), and mounting v1
//! hierarchies in the instance (systemd and Docker would believe in them).

use super::cpuset;
use crate::instance::{Cpu, DiskUsage, During, InstanceError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, InstanceError>;

/// Length of a scheduling period in µs; the kernel's default.
const PERIOD_USEC: u64 = 100_000;
/// The kernel refuses smaller quotas per period.
const LEAST_QUOTA_USEC: u64 = 1_000;
/// The v1 hierarchies that carry limits and counters.
const V1: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio"];
/// What every v2 group passes on to its children.
const V2: [&str; 5] = ["+cpu", "+memory", "+pids", "+io", "+cpuset"];
/// How long killed processes may take to vanish before removing their group fails.
const REMOVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Cgroups {
    cloud: String,
    /// Where cgroup2 is mounted.
    unified: PathBuf,
    /// Where v1 hierarchies are mounted; none on pure v2.
    v1: Vec<(&'static str, PathBuf)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub cpu: Cpu,
    pub memory_bytes: u64,
    pub pids_max: u64,
}

impl Cgroups {
    pub fn detect(cloud: &str) -> Result<Self> {
        Self::detect_at(cloud, Path::new("/sys/fs/cgroup"))
    }

    fn detect_at(cloud: &str, root: &Path) -> Result<Self> {
        let cgroup2 =
            |p: &Path| statfs(p).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC);
        let (unified, v1) = if cgroup2(root) {
            (root.to_owned(), Vec::new())
        } else if cgroup2(&root.join("unified")) {
            let mounted = V1.map(|name| (name, root.join(name)));
            let v1 = mounted
                .into_iter()
                .filter(|(_, p)| p.join("cgroup.procs").exists())
                .collect();
            (root.join("unified"), v1)
        } else {
            return Err(InstanceError::refused(
                "find the cgroup2 hierarchy",
                format!("mounted neither on {} nor on its unified/", root.display()),
            ));
        };
        Ok(Self {
            cloud: cloud.to_owned(),
            unified,
            v1,
        })
    }

    /// Makes an instance's group, owned by `owner` inside, and sets its limits.
    pub fn create(&self, id: &str, owner: u32, limits: &Limits) -> Result<()> {
        let name = format!("{}/instances/{id}", self.cloud);
        self.make(&name)?;
        self.limit_cpus(&name, owner, limits.cpu.vcpus as usize)?;
        for (controller, mount) in &self.v1 {
            let dir = mount.join(&name);
            match *controller {
                "memory" => limit_memory_v1(&dir, limits.memory_bytes)?,
                "pids" => write(&dir.join("pids.max"), limits.pids_max)?,
                _ => {}
            }
        }
        let dir = self.unified.join(&name);
        if self.v1.is_empty() {
            write(&dir.join("memory.max"), limits.memory_bytes)?;
            write(&dir.join("pids.max"), limits.pids_max)?;
            let swap = dir.join("memory.swap.max");
            if swap.exists() {
                write(&swap, 0)?;
            }
        }
        self.limit_cpu(id, limits.cpu.quota_usec_per_sec())?;
        delegate(&dir, owner)
    }

    /// Sets the CPU time that an instance may use per second.
    pub fn limit_cpu(&self, id: &str, usec_per_sec: u64) -> Result<()> {
        let quota = (usec_per_sec * PERIOD_USEC / 1_000_000).max(LEAST_QUOTA_USEC);
        match self.v1_instance("cpu", id) {
            Some(dir) => {
                write(&dir.join("cpu.cfs_period_us"), PERIOD_USEC)?;
                write(&dir.join("cpu.cfs_quota_us"), quota)
            }
            None if self.v1.is_empty() => write(
                &self.instance(id).join("cpu.max"),
                format!("{quota} {PERIOD_USEC}"),
            ),
            None => Ok(()),
        }
    }

    /// Moves the calling process into an instance's group.
    pub fn join(&self, id: &str) -> Result<()> {
        self.join_group(&format!("{}/instances/{id}", self.cloud))
    }

    /// Makes the group for helpers, above instances in weight, and moves the caller into it.
    pub fn join_system(&self) -> Result<()> {
        let name = format!("{}/system", self.cloud);
        self.make(&name)?;
        for (controller, mount) in &self.v1 {
            if *controller == "cpu" {
                write(&mount.join(&name).join("cpu.shares"), 10 * 1024)?;
            }
        }
        if self.v1.is_empty() {
            write(&self.unified.join(&name).join("cpu.weight"), 1000)?;
        }
        self.join_group(&name)
    }

    /// `cgroup.procs` files that a process which enters the running instance must write `0` to.
    ///
    /// In cgroup2 that is a leaf of its own: the instance's root group may hold no
    /// processes once systemd has given controllers to its children.
    pub fn entrances(&self, id: &str) -> Result<Vec<PathBuf>> {
        let name = format!("{}/instances/{id}", self.cloud);
        let leaf = self.unified.join(&name).join("shell");
        make_dir(&leaf)?;
        let v1 = self.v1.iter().map(|(_, mount)| mount.join(&name));
        Ok(v1
            .chain([leaf])
            .map(|dir| dir.join("cgroup.procs"))
            .collect())
    }

    /// Holds every process of an instance still, or lets them go on; an absent group is fine,
    /// since an instance may be ended meanwhile.
    pub fn freeze(&self, id: &str, frozen: bool) -> Result<()> {
        self.tell(id, "cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Kills every process of an instance; an absent group is fine.
    pub fn kill(&self, id: &str) -> Result<()> {
        self.tell(id, "cgroup.kill", "1")
    }

    fn tell(&self, id: &str, file: &str, value: &str) -> Result<()> {
        let file = self.instance(id).join(file);
        match fs::write(&file, value) {
            Err(e) if is_gone(&e) => Ok(()),
            written => written,
        }
        .during(|| format!("write {value} to {}", file.display()))
    }

    /// Kills and removes an instance's group with all below it.
    pub fn remove(&self, id: &str) -> Result<()> {
        self.kill(id)?;
        wait_until_empty(&self.instance(id))?;
        self.remove_group(&format!("{}/instances/{id}", self.cloud))
    }

    /// Makes an instance's empty group as good as new, counters and limits apart: the init
    /// of its last boot gave controllers to groups of its own.
    pub fn clear(&self, id: &str) -> Result<()> {
        self.kill(id)?;
        let dir = self.instance(id);
        wait_until_empty(&dir)?;
        for child in subdirectories(&dir) {
            Self::remove_directory(&child)?;
        }
        let control = dir.join("cgroup.subtree_control");
        let enabled =
            fs::read_to_string(&control).during(|| format!("read {}", control.display()))?;
        for controller in enabled.split_whitespace() {
            write(&control, format!("-{controller}"))?;
        }
        Ok(())
    }

    /// Instances that have a group.
    pub fn list(&self) -> Vec<String> {
        subdirectories(&self.unified.join(&self.cloud).join("instances"))
            .into_iter()
            .filter_map(|p| Some(p.file_name()?.to_str()?.to_owned()))
            .collect()
    }

    /// Removes everything of this cloud. Helpers that still live, the caller among them,
    /// go back to the root group.
    pub fn remove_all(&self) -> Result<()> {
        for id in self.list() {
            self.remove(&id)?;
        }
        for mount in self.mounts() {
            let system = mount.join(&self.cloud).join("system/cgroup.procs");
            for pid in fs::read_to_string(system).unwrap_or_default().lines() {
                // One that has just ended cannot be moved, and need not be.
                let _ = fs::write(mount.join("cgroup.procs"), pid);
            }
        }
        self.remove_group(&self.cloud)
    }

    /// CPU time used, in µs.
    pub fn cpu_usec(&self, id: &str) -> u64 {
        self.cpu_stat(id)
            .lines()
            .find_map(|l| l.strip_prefix("usage_usec ")?.parse().ok())
            .unwrap_or(0)
    }

    /// The file itself: time in user mode and in the kernel besides the sum.
    pub fn cpu_stat(&self, id: &str) -> String {
        fs::read_to_string(self.instance(id).join("cpu.stat")).unwrap_or_default()
    }

    /// The file itself; its keys differ by version.
    pub fn memory_stat(&self, id: &str) -> String {
        let dir = self.v1_instance("memory", id);
        let dir = dir.unwrap_or_else(|| self.instance(id));
        fs::read_to_string(dir.join("memory.stat")).unwrap_or_default()
    }

    /// Processes and threads now.
    pub fn tasks(&self, id: &str) -> u64 {
        let dir = self.v1_instance("pids", id);
        let dir = dir.unwrap_or_else(|| self.instance(id));
        fs::read_to_string(dir.join("pids.current"))
            .ok()
            .and_then(|s| s.trim().parse().ok())
            .unwrap_or(0)
    }

    pub fn memory_bytes(&self, id: &str) -> u64 {
        let file = match self.v1_instance("memory", id) {
            Some(dir) => dir.join("memory.usage_in_bytes"),
            None => self.instance(id).join("memory.current"),
        };
        fs::read_to_string(file)
            .ok()
            .and_then(|s| s.trim().parse().ok())
            .unwrap_or(0)
    }

    pub fn disk(&self, id: &str) -> DiskUsage {
        match self.v1_instance("blkio", id) {
            Some(dir) => {
                let read = |file| fs::read_to_string(dir.join(file)).unwrap_or_default();
                disk_v1(
                    &read("blkio.throttle.io_service_bytes_recursive"),
                    &read("blkio.throttle.io_serviced_recursive"),
                )
            }
            None => {
                disk_v2(&fs::read_to_string(self.instance(id).join("io.stat")).unwrap_or_default())
            }
        }
    }

    fn instance(&self, id: &str) -> PathBuf {
        self.unified.join(&self.cloud).join("instances").join(id)
    }

    fn v1_instance(&self, controller: &str, id: &str) -> Option<PathBuf> {
        let (_, mount) = self.v1.iter().find(|(name, _)| *name == controller)?;
        Some(mount.join(&self.cloud).join("instances").join(id))
    }

    fn mounts(&self) -> impl Iterator<Item = &PathBuf> {
        self.v1
            .iter()
            .map(|(_, mount)| mount)
            .chain([&self.unified])
    }

    /// Makes `<cloud>/…` in every hierarchy, controllers passed on along the way.
    fn make(&self, name: &str) -> Result<()> {
        for (_, mount) in &self.v1 {
            let dir = mount.join(name);
            fs::create_dir_all(&dir).during(|| format!("create cgroup {}", dir.display()))?;
        }
        if let Some((_, mount)) = self.v1.iter().find(|(name, _)| *name == "cpuset") {
            cpuset::inherit(mount, Path::new(name))?;
        }
        let mut dir = self.unified.clone();
        for part in Path::new(name) {
            if self.v1.is_empty() {
                let available =
                    fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
                for controller in V2 {
                    if available.split_whitespace().any(|a| a == &controller[1..]) {
                        write(&dir.join("cgroup.subtree_control"), controller)?;
                    }
                }
            }
            dir.push(part);
            make_dir(&dir)?;
        }
        Ok(())
    }

    /// Lets the group run on as many of the host's CPUs as it has vCPUs, if the host has
    /// more: whoever asks the scheduler (`nproc`, Go, Java) then hears the type's number.
    fn limit_cpus(&self, name: &str, owner: u32, vcpus: usize) -> Result<()> {
        let dir = match self.v1.iter().find(|(name, _)| *name == "cpuset") {
            Some((_, mount)) => mount.join(name),
            None if self.v1.is_empty() => self.unified.join(name),
            None => return Ok(()),
        };
        cpuset::limit(&dir, owner as usize / 65_536, vcpus)
    }

    fn join_group(&self, name: &str) -> Result<()> {
        for mount in self.mounts() {
            write(&mount.join(name).join("cgroup.procs"), 0)?;
        }
        Ok(())
    }

    fn remove_group(&self, name: &str) -> Result<()> {
        for mount in self.mounts() {
            Self::remove_directory(&mount.join(name))?;
        }
        Ok(())
    }

    fn remove_directory(dir: &Path) -> Result<()> {
        let deadline = Instant::now() + REMOVAL;
        // A process that just died may still count as busy for a moment.
        while let Err(e) = remove_tree(dir) {
            if e.raw_os_error() != Some(libc::EBUSY) || Instant::now() > deadline {
                return Err(e).during(|| format!("remove cgroup {}", dir.display()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// Memory and swap together, so that a host with swap does not stretch the limit.
fn limit_memory_v1(dir: &Path, bytes: u64) -> Result<()> {
    let memsw = dir.join("memory.memsw.limit_in_bytes");
    let limit = dir.join("memory.limit_in_bytes");
    // Neither may pass the other on the way: shrinking goes in one order, growing in the other.
    if write(&limit, bytes).is_err() && memsw.exists() {
        write(&memsw, bytes)?;
        write(&limit, bytes)?;
    }
    if memsw.exists() {
        write(&memsw, bytes)
    } else {
        write(&limit, bytes)
    }
}

/// Gives the instance's root what the kernel says may be given, and nothing that limits it.
fn delegate(dir: &Path, owner: u32) -> Result<()> {
    let chown = |path: &Path| {
        std::os::unix::fs::chown(path, Some(owner), Some(owner))
            .during(|| format!("give cgroup file {} to {owner}", path.display()))
    };
    chown(dir)?;
    for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
        chown(&dir.join(file))?;
    }
    Ok(())
}

/// A group that is removed while one of its files is open says that there is no such device.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn wait_until_empty(dir: &Path) -> Result<()> {
    let file = dir.join("cgroup.events");
    let deadline = Instant::now() + REMOVAL;
    loop {
        let Ok(events) = fs::File::open(&file) else {
            return Ok(());
        };
        let text = io::read_to_string(&events).during(|| format!("read {}", file.display()))?;
        if text.lines().any(|l| l == "populated 0") {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(InstanceError::refused(
                format!("empty cgroup {}", dir.display()),
                "killed processes do not end",
            ));
        }
        // The kernel signals a change of this file as an exceptional condition.
        let mut watched = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut watched, timeout) {
            Err(nix::errno::Errno::EINTR) | Ok(_) => {}
            Err(e) => return Err(e).during(|| format!("watch {}", file.display())),
        }
    }
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    for child in subdirectories(dir) {
        remove_tree(&child)?;
    }
    match fs::remove_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path())
        .collect()
}

fn make_dir(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
    .during(|| format!("create cgroup {}", dir.display()))
}

fn write(file: &Path, value: impl ToString) -> Result<()> {
    let value = value.to_string();
    fs::write(file, &value).during(|| format!("write {value} to {}", file.display()))
}

/// Lines such as `254:0 Read 4096` of the two v1 files.
fn disk_v1(bytes: &str, ops: &str) -> DiskUsage {
    let sum = |text: &str, kind| {
        let lines = text
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>());
        lines
            .filter_map(|l| match l[..] {
                [_, k, n] if k == kind => n.parse::<u64>().ok(),
                _ => None,
            })
            .sum()
    };
    DiskUsage {
        read_bytes: sum(bytes, "Read"),
        read_ops: sum(ops, "Read"),
        write_bytes: sum(bytes, "Write"),
        write_ops: sum(ops, "Write"),
    }
}

/// Lines such as `254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn disk_v2(stat: &str) -> DiskUsage {
    let sum = |key| {
        let words = stat.split_whitespace();
        words
            .filter_map(|w| w.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok())
            .sum()
    };
    DiskUsage {
        read_bytes: sum("rbytes"),
        read_ops: sum("rios"),
        write_bytes: sum("wbytes"),
        write_ops: sum("wios"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_counters_sum_over_devices() {
        let expected = DiskUsage {
            read_bytes: 12,
            read_ops: 3,
            write_bytes: 7,
            write_ops: 1,
        };
        let bytes = "8:0 Read 4\n8:0 Write 7\n8:0 Sync 11\n254:0 Read 8\nTotal 19\n";
        let ops = "8:0 Read 1\n8:0 Write 1\n254:0 Read 2\nTotal 4\n";
        assert_eq!(disk_v1(bytes, ops), expected);
        let stat = "8:0 rbytes=4 wbytes=7 rios=1 wios=1 dbytes=9 dios=9\n254:0 rbytes=8 wbytes=0 rios=2 wios=0\n";
        assert_eq!(disk_v2(stat), expected);
        assert_eq!(disk_v2("garbage rbytes= =1"), DiskUsage::default());
    }

    #[test]
    fn a_host_without_cgroup2_is_refused() {
        let error = Cgroups::detect_at("test", Path::new("/proc")).expect_err("no cgroup2 there");
        assert!(
            error.to_string().starts_with("find the cgroup2 hierarchy"),
            "{error}"
        );
    }
}
