//! What the control plane runs on: this host and its processes, or a machine in memory.
//!
//! `nines up --simulated` is for measuring the control plane and for trying
//! clients where there is no root: instances boot, stop and end as those of the
//! simulated host do, a data plane says that it has applied what it was told, and
//! nothing serves. It touches no network, cgroup or mount of the host.

use crate::daemon::{Up, open_host};
use crate::layout::State;
use crate::plane::Processes;
use anyhow::Result;
use balancer::config::TargetState;
use control::{Bell, DataPlane, Inbox, Report, Speed};
use host::Host;
use host::linux::instance::Watch;
use host::sim::{Clock, SimHost};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

pub struct Machine {
    pub host: Arc<dyn Host>,
    pub plane: Arc<dyn DataPlane>,
    /// Rings when an instance changes, for as long as it lives.
    pub watch: Option<Watch>,
}

pub fn real(up: &Up, state: &State, bell: &Bell, inbox: &Inbox) -> Result<Machine> {
    let host = open_host(state, &up.name, up.public_pool, up.offline)?;
    let ring = bell.clone();
    let watch = host.instances.watch(Arc::new(move || ring.ring()))?;
    host.check_instances(Speed::new(up.speed))?;
    let plane = Processes::start(state, &up.name, up.hosts_file.clone(), inbox)?;
    Ok(Machine {
        host,
        plane: Arc::new(plane),
        watch: Some(watch),
    })
}

/// How often the machine in memory moves on.
const TICK: Duration = Duration::from_millis(50);

pub fn simulated(inbox: &Inbox) -> Result<Machine> {
    let clock = Clock::new(Timestamp::now());
    let host = Arc::new(SimHost::new(clock.clone()));
    std::thread::Builder::new()
        .name("clock".into())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                clock.advance_to(Timestamp::now());
            }
        })?;
    Ok(Machine {
        host,
        plane: Arc::new(Acknowledging(inbox.clone())),
        watch: None,
    })
}

/// Has applied whatever it is told, and drained whatever drains; checks nothing, so that
/// targets stay `initial`.
struct Acknowledging(Inbox);

impl DataPlane for Acknowledging {
    fn push_balancer(&self, config: &balancer::config::Config) {
        use balancer::report::Report::{Applied, Drained};
        let revision = config.revision;
        self.0.put(Report::Balancer(Applied { revision }));
        for group in config.target_groups.values() {
            for target in &group.targets {
                if let TargetState::Draining { .. } = target.state {
                    self.0.put(Report::Balancer(Drained {
                        target_group: group.key.clone(),
                        target: target.key.clone(),
                    }));
                }
            }
        }
    }

    fn push_edge(&self, config: &edge::config::Config) {
        self.0.put(Report::Edge(edge::config::Report::Applied {
            revision: config.revision,
            failures: Vec::new(),
        }));
    }

    fn publish_names(&self, _: &BTreeMap<String, Vec<Ipv4Addr>>) {}

    fn keep_alive(&self) {}
}
