//! The simulated machine and the faults a test can put into it.

use super::Clock;
use super::command::SimCommand;
use super::instance::{SimInstance, after};
use crate::command::{CommandSpec, CommandState, Ending};
use crate::instance::{
    Exit, InstanceError, InstanceSpec, ObservedInstance, RunState, SnapshotOutcome,
};
use crate::network::{NatUsage, Network, Owner};
use crate::{Host, NetworkFailures};
use model::{InstanceId, NetworkInterfaceId, SnapshotId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Result<T> = std::result::Result<T, InstanceError>;

/// How long things take on the machine. Never shrunk by `--speed`: it stands for real software.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Launch to init.
    pub start: Duration,
    /// Init to ready.
    pub boot: Duration,
    /// Asked to stop, to stopped.
    pub stop: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            start: Duration::from_millis(50),
            boot: Duration::from_secs(2),
            stop: Duration::from_secs(1),
        }
    }
}

pub struct SimHost {
    clock: Clock,
    machine: Mutex<Machine>,
}

#[derive(Default)]
struct Machine {
    timing: Timing,
    instances: BTreeMap<InstanceId, SimInstance>,
    network: Arc<Network>,
    network_failures: NetworkFailures,
    /// Zones whose launches fail, and what they say.
    refused: BTreeMap<String, String>,
    /// Zones in which boots never become ready.
    hanging: BTreeSet<String>,
    launches: u64,
    /// Whoever looks is refused.
    blind: bool,
    /// Each is done as soon as it is begun.
    snapshots: BTreeSet<SnapshotId>,
    commands: BTreeMap<String, SimCommand>,
}

impl Machine {
    /// The zone that the applied network puts the instance in.
    fn zone(&self, id: &InstanceId) -> Option<&str> {
        self.network.vpcs.values().find_map(|vpc| {
            let interface = vpc
                .interfaces
                .values()
                .find(|i| matches!(&i.owner, Owner::Instance { instance, .. } if instance == id))?;
            vpc.subnets.get(&interface.subnet).map(|s| s.zone.as_str())
        })
    }

    fn hangs(&self, id: &InstanceId) -> bool {
        self.zone(id)
            .is_some_and(|zone| self.hanging.contains(zone))
    }

    fn get(&mut self, id: &InstanceId) -> Result<&mut SimInstance> {
        self.instances
            .get_mut(id)
            .ok_or_else(|| InstanceError::Missing(id.clone()))
    }
}

impl SimHost {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            machine: Mutex::default(),
        }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For boots and stops from now on.
    pub fn set_timing(&self, timing: Timing) {
        self.machine().timing = timing;
    }

    /// Launches in the zone fail with this text, until `None`.
    pub fn refuse_launches(&self, zone: &str, why: Option<&str>) {
        let mut machine = self.machine();
        match why {
            Some(why) => machine.refused.insert(zone.to_owned(), why.to_owned()),
            None => machine.refused.remove(zone),
        };
    }

    /// Boots in the zone that begin while this is set run, but never become ready.
    pub fn hang_boots(&self, zone: &str, hang: bool) {
        let mut machine = self.machine();
        if hang {
            machine.hanging.insert(zone.to_owned());
        } else {
            machine.hanging.remove(zone);
        }
    }

    /// [`Host::instances`] fails while this is set, as for want of descriptors.
    pub fn blind(&self, blind: bool) {
        self.machine().blind = blind;
    }

    /// What [`Host::apply_network`] answers from now on.
    pub fn fail_network(&self, failures: NetworkFailures) {
        self.machine().network_failures = failures;
    }

    /// Its init ends unasked, as by a panic or the OOM killer.
    pub fn kill(&self, id: &InstanceId) -> Result<()> {
        self.end(
            id,
            Exit::Crashed(137),
            Some("its init was killed by signal 9"),
        )
    }

    /// Shut down from within.
    pub fn power_off(&self, id: &InstanceId) -> Result<()> {
        self.end(id, Exit::PowerOff, None)
    }

    /// Its process on the host is gone, as after the machine was restarted.
    pub fn vanish(&self, id: &InstanceId) -> Result<()> {
        self.end(id, Exit::Crashed(-1), Some("its shim ended unexpectedly"))
    }

    fn end(&self, id: &InstanceId, exit: Exit, why: Option<&str>) -> Result<()> {
        let now = self.clock.now();
        self.machine()
            .get(id)
            .map(|instance| instance.end(now, exit, why))
    }

    /// Its interface stops answering the status check, or answers again.
    pub fn deafen(&self, id: &InstanceId, deaf: bool) -> Result<()> {
        self.machine().get(id).map(|instance| instance.deaf = deaf)
    }

    /// Share of its CPU that the instance uses from now on, 0 to 1.
    pub fn set_load(&self, id: &InstanceId, load: f64) -> Result<()> {
        let now = self.clock.now();
        self.machine()
            .get(id)
            .map(|instance| instance.set_load(load, now))
    }

    pub fn write_console(&self, id: &InstanceId, text: &str) -> Result<()> {
        self.machine().get(id).map(|instance| instance.write(text))
    }

    /// Since when the present boot is complete; `None` while it is not, or nothing runs.
    pub fn ready_at(&self, id: &InstanceId) -> Option<Timestamp> {
        let now = self.clock.now();
        self.machine()
            .instances
            .get(id)
            .and_then(|instance| instance.ready_at(now))
    }

    pub fn is_running(&self, id: &InstanceId) -> bool {
        let now = self.clock.now();
        self.machine()
            .instances
            .get(id)
            .is_some_and(|instance| instance.state(now) == RunState::Running)
    }

    /// When an instance next becomes something else than it is, if it is left alone.
    pub fn next_change(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let machine = self.machine();
        let changes = machine.instances.values();
        changes.filter_map(|i| i.next_change(now)).min()
    }

    /// What an instance was launched with last.
    pub fn spec(&self, id: &InstanceId) -> Option<InstanceSpec> {
        let machine = self.machine();
        machine.instances.get(id).map(|i| i.spec.clone())
    }

    /// The network as it was applied last.
    pub fn network(&self) -> Arc<Network> {
        Arc::clone(&self.machine().network)
    }

    /// Runs begun so far.
    pub fn launches(&self) -> u64 {
        self.machine().launches
    }
}

impl Host for SimHost {
    fn snapshot(&self, id: &InstanceId, snapshot: &SnapshotId) -> Result<()> {
        let mut machine = self.machine();
        machine.get(id)?;
        machine.snapshots.insert(snapshot.clone());
        Ok(())
    }

    /// No packets are simulated.
    fn nat_usage(&self, _: &NetworkInterfaceId) -> Option<NatUsage> {
        None
    }

    fn snapshots(&self) -> BTreeMap<SnapshotId, SnapshotOutcome> {
        let done = |id: &SnapshotId| (id.clone(), SnapshotOutcome::Done);
        self.machine().snapshots.iter().map(done).collect()
    }

    fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<()> {
        self.machine().snapshots.remove(snapshot);
        Ok(())
    }

    fn apply_network(&self, network: &Network) -> NetworkFailures {
        let mut machine = self.machine();
        machine.network = Arc::new(network.clone());
        machine.network_failures.clone()
    }

    fn launch(&self, spec: &InstanceSpec) -> Result<()> {
        let now = self.clock.now();
        let mut machine = self.machine();
        let operation = format!("launch {}", spec.id);
        let lives = machine
            .instances
            .get(&spec.id)
            .is_some_and(|i| !matches!(i.state(now), RunState::Stopped(_)));
        if lives {
            return Ok(());
        }
        let Some(zone) = machine.zone(&spec.id) else {
            return Err(InstanceError::refused(
                operation,
                "it has no network namespace yet",
            ));
        };
        if let Some(why) = machine.refused.get(zone) {
            return Err(InstanceError::refused(operation, why));
        }
        let (timing, hangs) = (machine.timing, machine.hangs(&spec.id));
        machine.launches += 1;
        match machine.instances.get_mut(&spec.id) {
            Some(stopped) => stopped.start(spec.clone(), timing, hangs, now),
            None => {
                machine.instances.insert(
                    spec.id.clone(),
                    SimInstance::new(spec.clone(), timing, hangs, now),
                );
            }
        }
        Ok(())
    }

    fn stop(&self, id: &InstanceId, force: bool) -> Result<()> {
        let now = self.clock.now();
        let mut machine = self.machine();
        let ends = after(now, machine.timing.stop);
        let instance = machine.get(id)?;
        if force {
            instance.end(now, Exit::Killed, None);
        } else {
            instance.begin_to_stop();
            instance.end(ends, Exit::PowerOff, None);
        }
        Ok(())
    }

    fn reboot(&self, id: &InstanceId) -> Result<()> {
        let now = self.clock.now();
        let mut machine = self.machine();
        let (timing, hangs) = (machine.timing, machine.hangs(id));
        let instance = machine.get(id)?;
        if instance.state(now) == RunState::Running {
            instance.boot(timing, hangs, now);
        }
        Ok(())
    }

    fn limit_cpu(&self, id: &InstanceId, usec_per_sec: u64) -> Result<()> {
        let now = self.clock.now();
        self.machine()
            .get(id)
            .map(|instance| instance.limit_cpu(usec_per_sec, now))
    }

    fn terminate(&self, id: &InstanceId) -> Result<()> {
        self.machine().instances.remove(id);
        Ok(())
    }

    fn instances(&self) -> Result<Vec<ObservedInstance>> {
        let now = self.clock.now();
        let mut machine = self.machine();
        if machine.blind {
            return Err(InstanceError::refused(
                "list instances",
                "as the test wants",
            ));
        }
        let instances = machine.instances.values_mut();
        Ok(instances.map(|instance| instance.observe(now)).collect())
    }

    fn run_command(&self, spec: &CommandSpec) -> Result<()> {
        let now = self.clock.now();
        let mut machine = self.machine();
        if machine.get(&spec.instance)?.state(now) != RunState::Running {
            return Err(InstanceError::Missing(spec.instance.clone()));
        }
        let command = SimCommand::begin(spec.clone(), now);
        machine.commands.insert(spec.key.clone(), command);
        Ok(())
    }

    fn commands(&self) -> BTreeMap<String, CommandState> {
        let now = self.clock.now();
        let mut machine = self.machine();
        let Machine {
            commands,
            instances,
            ..
        } = &mut *machine;
        for command in commands.values_mut() {
            let instance = instances.get(&command.spec.instance);
            if instance.is_none_or(|i| i.state(now) != RunState::Running) {
                command.cut(now, Ending::Exited(137));
            }
        }
        let state = |(key, command): (&String, &SimCommand)| (key.clone(), command.state(now));
        commands.iter().map(state).collect()
    }

    fn cancel_command(&self, key: &str) {
        let now = self.clock.now();
        if let Some(command) = self.machine().commands.get_mut(key) {
            command.cut(now, Ending::Cancelled);
        }
    }

    fn forget_command(&self, key: &str) {
        self.machine().commands.remove(key);
    }

    fn console(&self, id: &InstanceId) -> Option<Vec<u8>> {
        self.machine()
            .instances
            .get(id)
            .map(|instance| instance.console().to_vec())
    }
}

#[cfg(test)]
mod tests;
