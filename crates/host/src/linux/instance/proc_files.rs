//! `/proc` files that tell an instance its own size and use instead of the host's.
//!
//! They are plain files of the host, mounted over those of the instance's proc and sysfs.
//! What changes is written at the moment somebody opens or reads it: fanotify holds the
//! reader until the shim has answered. So an idle instance costs nothing, and a shim that
//! dies holds nobody.
//!
//! Not used: lxcfs (a FUSE process of the host for all instances, whose end breaks `/proc`
//! in each of them; and it would take a CPU quota for a count of CPUs), and files written
//! every second.

use super::block_files;
use super::mount;
use super::proc_text::{self as text, CpuTime, Load};
use super::root::make_dir;
use super::usage;
use crate::instance::{DiskUsage, During, InstanceError, InstanceSpec};
use crate::linux::cgroup::Cgroups;
use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
};
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Result<T> = std::result::Result<T, InstanceError>;

/// In the instance's directory on the host.
const DIRECTORY: &str = "proc";
/// Name of the file, and its place in the instance.
const CHANGING: [(&str, &str); 5] = [
    ("meminfo", "/proc/meminfo"),
    ("stat", "/proc/stat"),
    ("loadavg", "/proc/loadavg"),
    ("uptime", "/proc/uptime"),
    ("diskstats", "/proc/diskstats"),
];
const FIXED: [(&str, &str); 6] = [
    ("cpuinfo", "/proc/cpuinfo"),
    ("swaps", "/proc/swaps"),
    ("partitions", "/proc/partitions"),
    ("cpu-online", "/sys/devices/system/cpu/online"),
    ("cpu-possible", "/sys/devices/system/cpu/possible"),
    ("cpu-present", "/sys/devices/system/cpu/present"),
];
/// A reader that goes through a file in small steps must find it whole.
const FRESH: Duration = Duration::from_millis(100);

pub struct ProcFiles {
    spec: InstanceSpec,
    /// Open for writing from before they were watched, since opening would wait for ourselves.
    files: Vec<File>,
    gate: Option<Fanotify>,
    booted: Instant,
    written: Option<Instant>,
    /// CPU time of the boots before.
    before: CpuTime,
    load: Load,
    init: i32,
    /// The loop device's counters at the boot: others had it before.
    disk_before: DiskUsage,
    /// When the load was last looked at, and the CPU time then.
    seen: (Instant, u64),
}

impl ProcFiles {
    /// Makes the files below the working directory, which is the instance's.
    pub fn create(spec: &InstanceSpec) -> Result<Self> {
        let directory = Path::new(DIRECTORY);
        make_dir(directory, 0o755)?;
        let host = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        for (name, _) in FIXED {
            let content = match name {
                "cpuinfo" => text::cpuinfo(&host, spec.cpu.vcpus),
                "partitions" => block_files::partitions(spec.root_bytes),
                "swaps" => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned(),
                _ => text::cpu_list(spec.cpu.vcpus),
            };
            let path = directory.join(name);
            fs::write(&path, content).during(|| format!("write {}", path.display()))?;
        }
        block_files::create(directory, spec.root_bytes)?;
        let make = |name| {
            let path = directory.join(name);
            File::create(&path).during(|| format!("create {}", path.display()))
        };
        let files = CHANGING
            .into_iter()
            .map(|(name, _)| make(name))
            .collect::<Result<_>>()?;
        let gate = watch(directory);
        if let Err(e) = &gate {
            eprintln!("/proc shows the instance's use at its boot only: {e}");
        }
        let now = Instant::now();
        Ok(Self {
            spec: spec.clone(),
            files,
            gate: gate.ok(),
            booted: now,
            written: None,
            before: CpuTime::default(),
            load: Load::default(),
            init: 0,
            disk_before: DiskUsage::default(),
            seen: (now, 0),
        })
    }

    /// A boot begins: its uptime, CPU time and load are nil.
    pub fn boot(&mut self, cgroups: &Cgroups) {
        let now = Instant::now();
        self.booted = now;
        self.before = CpuTime::parse(&cgroups.cpu_stat(self.spec.id.as_str()));
        self.load = Load::default();
        self.seen = (now, 0);
        self.write(cgroups);
    }

    /// The init of the boot runs, in its own mounts.
    pub fn started(&mut self, init: i32, cgroups: &Cgroups) {
        self.init = init;
        self.disk_before = usage::disk(cgroups, self.spec.id.as_str(), init);
    }

    fn disk(&self, cgroups: &Cgroups) -> DiskUsage {
        let now = usage::disk(cgroups, self.spec.id.as_str(), self.init);
        now.since(self.disk_before)
    }

    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.gate.as_ref().map(AsFd::as_fd)
    }

    /// Lets those in who wait at the files, after bringing them up to date.
    pub fn answer(&mut self, cgroups: &Cgroups) {
        loop {
            let events = match self.gate.as_ref().map(Fanotify::read_events) {
                Some(Ok(events)) if !events.is_empty() => events,
                _ => return,
            };
            if self.written.is_none_or(|at| at.elapsed() >= FRESH) {
                self.write(cgroups);
            }
            for event in &events {
                if let (Some(fd), Some(gate)) = (event.fd(), &self.gate) {
                    // One that was killed while it waited needs no answer.
                    let _ = gate.write_response(FanotifyResponse::new(fd, Response::FAN_ALLOW));
                }
            }
        }
    }

    fn write(&mut self, cgroups: &Cgroups) {
        let (id, cpu) = (self.spec.id.as_str().to_owned(), self.spec.cpu);
        let now = Instant::now();
        let up = now.duration_since(self.booted);
        let up_usec = up.as_micros() as u64;
        let used = CpuTime::parse(&cgroups.cpu_stat(&id)).since(self.before);
        let span = now.duration_since(self.seen.0).as_secs_f64();
        if span >= 1.0 {
            let spent = used.sum().saturating_sub(self.seen.1) as f64 / 1e6;
            let share = f64::from(cpu.millicores_per_vcpu.max(1)) / 1000.0;
            self.load.add(spent / span / share, span);
            self.seen = (now, used.sum());
        }
        let booted = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_sub(up)
            .as_secs();
        let host = |name: &str| fs::read_to_string(name).unwrap_or_default();
        let ticks = text::ticks(cpu, used, up_usec);
        for ((name, _), file) in CHANGING.into_iter().zip(&self.files) {
            let content = match name {
                "meminfo" => text::meminfo(
                    self.spec.memory_bytes,
                    cgroups.memory_bytes(&id),
                    &cgroups.memory_stat(&id),
                ),
                "stat" => text::stat(&host("/proc/stat"), cpu, &ticks, booted as i64),
                "diskstats" => block_files::diskstats(self.spec.root_bytes, self.disk(cgroups)),
                "loadavg" => self.load.text(cgroups.tasks(&id), &host("/proc/loadavg")),
                _ => text::uptime(&ticks, up_usec),
            };
            let written = file
                .write_all_at(content.as_bytes(), 0)
                .and_then(|()| file.set_len(content.len() as u64));
            if let Err(e) = written {
                eprintln!("failed to write {DIRECTORY}/{name}: {e}");
            }
        }
        self.written = Some(now);
    }
}

/// Holds whoever opens or reads one of the changing files.
fn watch(directory: &Path) -> nix::Result<Fanotify> {
    let gate = Fanotify::init(
        InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK,
        EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC | EventFFlags::O_LARGEFILE,
    )?;
    for (name, _) in CHANGING {
        gate.mark(
            MarkFlags::FAN_MARK_ADD,
            MaskFlags::FAN_OPEN_PERM | MaskFlags::FAN_ACCESS_PERM,
            AT_FDCWD,
            Some(&directory.join(name)),
        )?;
    }
    Ok(gate)
}

/// The files, and the directories of disks, as detached read-only mounts, with their places in the instance, which may lack some.
pub fn mounts() -> Result<Vec<(&'static str, OwnedFd)>> {
    let mut made = Vec::new();
    let files = CHANGING.into_iter().chain(FIXED);
    for (name, target) in files.chain(block_files::DIRECTORIES) {
        let tree = mount::detached(&Path::new(DIRECTORY).join(name))?;
        mount::make_read_only(&tree)?;
        made.push((target, tree));
    }
    Ok(made)
}
