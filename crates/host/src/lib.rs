//! The machine beneath the cloud: networks and instances, listed, ensured and removed.
//!
//! Two full implementations: [`linux`] (namespaces, nftables, cgroups) and [`sim`]
//! (the same behaviour in memory, for scenarios on a virtual clock).
//! Knows neither store nor AWS.

pub mod command;
pub mod instance;
pub mod linux;
pub mod network;
pub mod sim;

use command::{CommandSpec, CommandState};
use instance::{InstanceError, InstanceSpec, ObservedInstance, SnapshotOutcome};
use model::{InstanceId, NetworkInterfaceId, SnapshotId, VpcId};
use std::collections::BTreeMap;

/// What controllers ask of a machine. Calls are idempotent and quick: what takes
/// time is begun, and seen later in [`Host::instances`].
pub trait Host: Send + Sync {
    /// Makes the machine's network agree with the value, whole.
    fn apply_network(&self, network: &network::Network) -> NetworkFailures;
    /// What a NAT gateway with that interface has passed on; `None` where it does not stand.
    fn nat_usage(&self, interface: &NetworkInterfaceId) -> Option<network::NatUsage>;
    /// Begins to run an instance, or to run it again after a stop. Its interfaces must be applied.
    fn launch(&self, spec: &InstanceSpec) -> Result<(), InstanceError>;
    /// Begins to shut an instance down; `force` kills it.
    fn stop(&self, id: &InstanceId, force: bool) -> Result<(), InstanceError>;
    fn reboot(&self, id: &InstanceId) -> Result<(), InstanceError>;
    /// Lets an instance that runs use no more CPU time a second than that; its next launch is
    /// given its own again.
    fn limit_cpu(&self, id: &InstanceId, usec_per_sec: u64) -> Result<(), InstanceError>;
    /// Kills what still runs and removes every trace, the root volume included.
    fn terminate(&self, id: &InstanceId) -> Result<(), InstanceError>;
    /// Everything that was launched and not terminated; all of it or an error.
    fn instances(&self) -> Result<Vec<ObservedInstance>, InstanceError>;
    /// Begins to keep what an instance has changed on top of its image.
    fn snapshot(&self, id: &InstanceId, snapshot: &SnapshotId) -> Result<(), InstanceError>;
    /// The snapshots that have ended, well or not.
    fn snapshots(&self) -> BTreeMap<SnapshotId, SnapshotOutcome>;
    fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<(), InstanceError>;
    /// Begins a script in a running instance.
    fn run_command(&self, spec: &CommandSpec) -> Result<(), InstanceError>;
    /// The scripts that run, and those that have ended and are not forgotten, by their keys.
    fn commands(&self) -> BTreeMap<String, CommandState>;
    /// Kills one that runs, with all that it began.
    fn cancel_command(&self, key: &str);
    /// Drops what is known of one that has ended.
    fn forget_command(&self, key: &str);
    /// The last 64 KiB of the console.
    fn console(&self, id: &InstanceId) -> Option<Vec<u8>>;
}

/// What of a network could not be applied, and why; the rest is in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkFailures {
    pub vpcs: BTreeMap<VpcId, String>,
    pub interfaces: BTreeMap<NetworkInterfaceId, String>,
    /// What concerns the whole cloud.
    pub cloud: Option<String>,
}
