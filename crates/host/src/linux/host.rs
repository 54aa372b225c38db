//! The Linux implementation of [`Host`]: networks and instances under one roof.

use super::instance::{self, Instances};
use super::namespace;
use super::network::{self, Networks};
use super::reach::{self, Reach};
use crate::command::{CommandSpec, CommandState};
use crate::instance::{InstanceError, InstanceSpec, ObservedInstance, RunState, SnapshotOutcome};
use crate::network::{NatUsage, Network, Owner};
use crate::{Host, NetworkFailures};
use ipnet::Ipv4Net;
use model::{InstanceId, NetworkInterfaceId, SnapshotId, Speed};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long a stop waits for the instance's own shutdown before it is killed.
/// AWS waits "a few minutes"; most systems are down in seconds.
const STOP: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Settings {
    /// First part of every name on the host.
    pub cloud: String,
    pub state_dir: PathBuf,
    pub public_pool: Ipv4Net,
    pub offline: bool,
    /// Program and arguments that call [`instance::shim_main`] with the last argument.
    pub shim: Vec<OsString>,
}

pub struct LinuxHost {
    cloud: String,
    networks: Mutex<Networks>,
    pub instances: Instances,
    reach: Arc<Reach>,
}

impl LinuxHost {
    pub fn open(settings: Settings) -> Result<Self, String> {
        let networks = Networks::open(network::Settings {
            cloud: settings.cloud.clone(),
            state_dir: settings.state_dir.clone(),
            public_pool: settings.public_pool,
            offline: settings.offline,
        });
        let instances = Instances::open(instance::Settings {
            cloud: settings.cloud.clone(),
            state: settings.state_dir,
            shim: settings.shim,
        });
        Ok(Self {
            cloud: settings.cloud,
            networks: Mutex::new(networks.map_err(|e| text(&e))?),
            instances: instances.map_err(|e| text(&e))?,
            reach: Arc::default(),
        })
    }

    /// Begins the instances' status checks, which go on for as long as the host is open.
    pub fn check_instances(&self, speed: Speed) -> std::io::Result<()> {
        let reach: Weak<Reach> = Arc::downgrade(&self.reach);
        let rounds = move || {
            while let Some(reach) = reach.upgrade() {
                reach.round();
                drop(reach);
                std::thread::sleep(reach::pause(speed));
            }
        };
        let thread = std::thread::Builder::new().name("status-checks".into());
        thread.spawn(rounds).map(drop)
    }

    /// Kills every instance but keeps root volumes, so that the next start continues with them.
    pub fn halt(&self) -> Result<(), InstanceError> {
        for one in self.instances()? {
            if let Err(error) = self.instances.stop(&one.id, true, Duration::ZERO) {
                tracing::warn!(id = %one.id, %error, "failed to stop an instance");
            }
        }
        Ok(())
    }

    /// Removes networks and namespaces from the host.
    pub fn remove_networks(self) -> Result<(), String> {
        let networks = self
            .networks
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        networks.remove_all().map_err(|e| text(&e))
    }

    /// An instance's namespaces go once neither an interface nor a root volume of it is left.
    fn remove_namespaces(&self, network: &Network) {
        let owner = |i: &crate::network::Interface| match &i.owner {
            Owner::Instance { instance, .. } => Some(instance.to_string()),
            _ => None,
        };
        let mut kept: BTreeSet<String> = network
            .vpcs
            .values()
            .flat_map(|v| v.interfaces.values())
            .filter_map(owner)
            .collect();
        match self.instances() {
            Ok(seen) => kept.extend(seen.into_iter().map(|i| i.id.to_string())),
            // The next change of the network comes back to it.
            Err(error) => {
                return tracing::warn!(%error, "failed to find the instances that need a namespace");
            }
        }
        for id in namespace::list_user(&self.cloud).unwrap_or_default() {
            if !kept.contains(&id)
                && let Err(error) = namespace::remove_instance_namespaces(&self.cloud, &id)
            {
                tracing::warn!(%id, %error, "failed to remove the namespaces of an instance");
            }
        }
    }
}

impl Host for LinuxHost {
    fn apply_network(&self, network: &Network) -> NetworkFailures {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = networks.apply(network);
        self.remove_namespaces(network);
        self.reach.follow(&self.cloud, network);
        let mut failures = NetworkFailures::default();
        match applied {
            Err(error) => failures.cloud = Some(text(&error)),
            Ok(applied) => {
                for failure in applied.failures {
                    let name = failure.namespace.strip_prefix(&self.cloud);
                    let vpc = name.and_then(|n| n.trim_start_matches('-').parse().ok());
                    match (failure.interface, vpc) {
                        (Some(id), _) => drop(failures.interfaces.insert(id, failure.reason)),
                        (None, Some(id)) => drop(failures.vpcs.insert(id, failure.reason)),
                        (None, None) => failures.cloud = Some(failure.reason),
                    }
                }
            }
        }
        failures
    }

    fn launch(&self, spec: &InstanceSpec) -> Result<(), InstanceError> {
        self.instances.launch(spec)
    }

    fn stop(&self, id: &InstanceId, force: bool) -> Result<(), InstanceError> {
        self.instances.stop(id, force, STOP)
    }

    fn reboot(&self, id: &InstanceId) -> Result<(), InstanceError> {
        self.instances.reboot(id)
    }

    fn terminate(&self, id: &InstanceId) -> Result<(), InstanceError> {
        self.instances.terminate(id)
    }

    fn instances(&self) -> Result<Vec<ObservedInstance>, InstanceError> {
        let mut seen = self.instances.list()?;
        for one in &mut seen {
            // The namespace of a stopped instance may answer as well.
            if one.state == RunState::Running {
                one.reachable = self.reach.reachable(&one.id);
            }
        }
        Ok(seen)
    }

    fn limit_cpu(&self, id: &InstanceId, usec_per_sec: u64) -> Result<(), InstanceError> {
        self.instances.limit_cpu(id, usec_per_sec)
    }

    fn snapshot(&self, id: &InstanceId, snapshot: &SnapshotId) -> Result<(), InstanceError> {
        self.instances.snapshot(id, snapshot)
    }

    fn snapshots(&self) -> BTreeMap<SnapshotId, SnapshotOutcome> {
        self.instances.snapshots()
    }

    fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<(), InstanceError> {
        self.instances.remove_snapshot(snapshot)
    }

    fn nat_usage(&self, interface: &NetworkInterfaceId) -> Option<NatUsage> {
        super::network::nat_usage::read(&self.cloud, interface).ok()
    }

    fn run_command(&self, spec: &CommandSpec) -> Result<(), InstanceError> {
        self.instances.run_command(spec)
    }

    fn commands(&self) -> BTreeMap<String, CommandState> {
        self.instances.commands.list()
    }

    fn cancel_command(&self, key: &str) {
        self.instances.commands.cancel(key);
    }

    fn forget_command(&self, key: &str) {
        self.instances.commands.forget(key);
    }

    fn console(&self, id: &InstanceId) -> Option<Vec<u8>> {
        self.instances.console(id).ok()
    }
}

/// An error with its causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
