//! Instances: what the cloud asks the host to run, and what the host saw.
//!
//! [`InstanceSpec`] is complete: launching needs nothing else, and launching it
//! again after a stop continues with the same root volume. [`ObservedInstance`]
//! is only what was seen; nothing in it is a wish.

use model::snapshot::Layer;
use model::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceSpec {
    pub id: InstanceId,
    /// Which run of the instance this launch begins; comes back in what is observed.
    #[serde(default)]
    pub run: u32,
    /// A directory with the AMI's root file system, shared and never written to.
    pub image: PathBuf,
    /// What was changed on top of it, the newest first.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// First of the 65,536 host ids that are the instance's ids 0–65535; 0 for none of its
    /// own: no user namespace, the instance's root is the host's.
    pub uid_base: u32,
    /// Host name without a domain, such as `ip-10-0-1-5`.
    pub hostname: String,
    /// Domain of the host name, such as `ec2.internal`; may be empty.
    pub domain: String,
    /// Who logs in, where that is another than the image's own default user.
    #[serde(default)]
    pub default_user: Option<String>,
    /// Primary private address, for `/etc/hosts`.
    pub address: Ipv4Addr,
    /// Whom to ask for names.
    #[serde(default)]
    pub name_servers: Vec<IpAddr>,
    /// Domains, with spaces between, that are appended to short names.
    #[serde(default)]
    pub search: String,
    pub cpu: Cpu,
    pub memory_bytes: u64,
    /// Most processes and threads at a time.
    pub pids_max: u64,
    /// Size of the root volume, which also holds `/var/lib/docker`. `None` shares
    /// the space of the host's file system.
    pub root_bytes: Option<u64>,
    /// PEM certificate of an authority that the instance shall trust.
    #[serde(default)]
    pub trust: Option<String>,
    /// Host files shown in the instance, such as the user-data runner.
    pub binds: Vec<Bind>,
}

impl InstanceSpec {
    /// Whether it runs without a user namespace of its own.
    pub fn privileged(&self) -> bool {
        self.uid_base == 0
    }
}

/// A vCPU is a share of a host core, so that small hosts can be driven to 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    pub vcpus: u32,
    /// Thousandths of a host core per vCPU.
    pub millicores_per_vcpu: u32,
}

impl Cpu {
    /// CPU time the instance may use per second of wall-clock time.
    pub fn quota_usec_per_sec(self) -> u64 {
        u64::from(self.vcpus) * u64::from(self.millicores_per_vcpu) * 1000
    }
}

/// What became of a snapshot that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotOutcome {
    Done,
    Failed(String),
}

/// A host file or directory at a place in the instance, read-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bind {
    pub source: PathBuf,
    /// Absolute; made if missing.
    pub target: PathBuf,
}

/// Where an instance is in its life, as seen by its shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// Its shim prepares namespaces and mounts, or boots it again after a reboot.
    Starting,
    /// Its init was executed.
    Running,
    /// It was asked to stop and has not ended yet.
    Stopping,
    Stopped(Exit),
}

/// How an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// Its init powered it off, asked by us or from within.
    PowerOff,
    /// It was killed on request: a forced stop, or the stop's time ran out.
    Killed,
    /// Its init ended otherwise (exit code, or 128 + signal), never started, or its
    /// shim vanished (−1); `failure` says more.
    Crashed(i32),
}

#[derive(Debug, Clone, PartialEq)]
pub struct ObservedInstance {
    pub id: InstanceId,
    /// The run that all else here is of.
    pub run: u32,
    pub state: RunState,
    /// Host process id of the init while it lives.
    pub init_pid: Option<i32>,
    /// systemd reported that the boot is complete (`READY=1`); for another init, that it was executed.
    pub ready: bool,
    /// When the present or last run began (a reboot begins none).
    pub started: Timestamp,
    /// When the present boot became ready.
    pub ready_at: Option<Timestamp>,
    /// Boots of this run: 1, plus one for each reboot.
    pub boots: u32,
    /// Counters since launch of the run; nil when stopped.
    pub usage: Usage,
    /// CPU time it may use per second: 100 % of `CPUUtilization`.
    pub cpu_quota_usec_per_sec: u64,
    /// Why it could not be started or ended unasked.
    pub failure: Option<String>,
    /// Whether its primary interface answers; `None` until it was asked.
    pub reachable: Option<bool>,
    /// What its user data failed with, told by the runner in its image.
    pub user_data_failure: Option<String>,
}

/// What an instance used. All but `memory_bytes` only grow during a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_usec: u64,
    /// Memory in use now, page cache included.
    pub memory_bytes: u64,
    /// Sums over `eth*`, seen from the instance.
    pub network: NetworkUsage,
    pub disk: DiskUsage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkUsage {
    pub bytes_in: u64,
    pub packets_in: u64,
    pub bytes_out: u64,
    pub packets_out: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    pub read_bytes: u64,
    pub read_ops: u64,
    pub write_bytes: u64,
    pub write_ops: u64,
}

impl DiskUsage {
    pub fn since(self, start: Self) -> Self {
        Self {
            read_bytes: self.read_bytes.saturating_sub(start.read_bytes),
            read_ops: self.read_ops.saturating_sub(start.read_ops),
            write_bytes: self.write_bytes.saturating_sub(start.write_bytes),
            write_ops: self.write_ops.saturating_sub(start.write_ops),
        }
    }
}

/// Completes "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("find instance {0} on the host")]
    Missing(InstanceId),
    #[error("{operation}: {reason}")]
    Refused { operation: String, reason: String },
    /// The cause is part of the text, for the reader of an instance's `failure`; it is no
    /// `source`, which would be printed twice.
    #[error("{operation}: {cause}")]
    Os {
        operation: String,
        cause: std::io::Error,
    },
}

impl InstanceError {
    pub(crate) fn refused(operation: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused {
            operation: operation.into(),
            reason: reason.into(),
        }
    }
}

/// Names the operation an OS error belongs to.
pub(crate) trait During<T> {
    fn during(self, operation: impl FnOnce() -> String) -> Result<T, InstanceError>;
}

impl<T, E: Into<std::io::Error>> During<T> for Result<T, E> {
    fn during(self, operation: impl FnOnce() -> String) -> Result<T, InstanceError> {
        self.map_err(|e| InstanceError::Os {
            operation: operation(),
            cause: e.into(),
        })
    }
}
