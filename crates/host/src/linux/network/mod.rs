//! The network of a cloud on a Linux kernel.
//!
//! ```text
//! host ── internet ──┬── igw-… ── vpc-… ──┬── i-…    eth0
//!            │       │           (router) ├── i-…    eth0
//!         uplink     └── igw-… ── vpc-…   ├── eni-…  eth0 (NAT gateway)
//!                                         └── eni-…  eth0 (balancer node)
//! ```
//!
//! Every box is a network namespace, every line a veth. There is no bridge, so that each
//! packet, also within a subnet, passes its VPC's router and filter. Nothing of a VPC is
//! ever in the host's namespace: VPCs may overlap each other, the LAN and Docker's networks.
//!
//! [`Networks::apply`] renders a [`Network`] into one [`plan::Plan`] per namespace (pure
//! functions: `router`, `filter`, `gateway`, `internet`) and lets `kernel` make it so.
//! Two things besides: `uplink`, the way to the real internet, and `tracking`, which ends
//! flows that outlive what allowed them.

mod batch;
mod filter;
mod gateway;
pub mod host_route;
mod internet;
mod kernel;
pub mod names;
pub mod nat_usage;
mod plan;
mod router;
#[cfg(test)]
mod snapshots;
mod steps;
mod text;
mod tracking;
mod uplink;
mod validity;

pub use kernel::renew;
pub use plan::Failure;

use crate::linux::{namespace, program};
use crate::network::Network;
use internet::Outside;
use ipnet::Ipv4Net;
use kernel::Kernel;
use names::Holder;
use plan::{Kind, Plan};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{fs, io};

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The first part of every name on the host: `nines` makes `nines-vpc-…`.
    pub cloud: String,
    /// Records of what was set, the uplink's pid and log.
    pub state_dir: PathBuf,
    /// What public addresses are taken from, and the host's only new route.
    pub public_pool: Ipv4Net,
    /// No uplink: nothing leaves the machine.
    pub offline: bool,
}

/// The network was not even begun; single failures are in [`Applied`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cloud name {0:?} is not 1 to 40 letters, digits and dashes")]
    CloudName(String),
    #[error("read or write records in {path}")]
    State { path: PathBuf, source: io::Error },
    #[error("list namespaces")]
    Namespaces(#[source] io::Error),
    #[error("remove {what}")]
    Remove { what: String, source: io::Error },
}

/// What an [`Networks::apply`] did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// Namespaces in which something was changed; empty is the host's own.
    pub changed: BTreeSet<String>,
    /// What could not be done; it is tried again by the next call. The rest stands.
    pub failures: Vec<Failure>,
}

pub struct Networks {
    settings: Settings,
    kernel: Kernel,
    /// What the kernel agreed with last, also before a restart.
    last: Network,
}

impl Networks {
    /// Reads the records of an earlier run; touches nothing.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let name = &settings.cloud;
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.len() > 40 || !name.chars().all(allowed) {
            return Err(Error::CloudName(name.clone()));
        }
        let state = |source| Error::State {
            path: settings.state_dir.clone(),
            source,
        };
        let kernel = Kernel::open(name, &settings.state_dir).map_err(state)?;
        let last = match fs::read(settings.state_dir.join("network.json")) {
            // A record that cannot be read costs no more than a few stale flows.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Network::default(),
            Err(e) => return Err(state(e)),
        };
        Ok(Self {
            kernel,
            last,
            settings,
        })
    }

    /// Makes the kernel agree with `wanted` and removes what it does not name.
    ///
    /// Instances' namespaces are made here when an interface first needs one, but never
    /// removed: a stopped instance keeps its own, and who ends an instance removes it.
    pub fn apply(&mut self, wanted: &Network) -> Result<Applied, Error> {
        let (network, mut failures) = validity::split(&self.settings, wanted);
        let outside = self.outside(&mut failures);
        let mut plans = self.plans(&network, &outside);

        // What fails below is kept as it is.
        let kept: Vec<String> = plans.iter().map(|plan| plan.namespace.clone()).collect();
        plans.retain(|plan| done(self.kernel.ensure_namespace(plan), &mut failures));
        self.uplink(&mut plans, &network, &outside, &mut failures);
        self.spare_host(&mut plans, &mut failures);
        // Without its filter a router would pass everything: rather no links at all.
        self.kernel.apply_filters(&mut plans, &mut failures);
        self.kernel.apply_settings(&plans, &mut failures);
        self.remove_others(&kept)?;
        for forgotten in tracking::forgotten(&self.settings.cloud, &self.last, &network) {
            failures.extend(forgotten.delete().err());
        }
        let changed = self.kernel.take_changed();
        if self.last != network {
            self.last = network;
            self.save()?;
        }
        Ok(Applied { changed, failures })
    }

    /// Removes everything of this cloud from the machine, instances' namespaces included.
    pub fn remove_all(mut self) -> Result<(), Error> {
        let state = &self.settings.state_dir;
        let cloud = &self.settings.cloud;
        let remove = |what: &str| {
            let what = what.to_owned();
            move |source| Error::Remove { what, source }
        };
        uplink::stop(state).map_err(remove("uplink"))?;
        for name in namespace::list(cloud).map_err(Error::Namespaces)? {
            if names::holder(cloud, &name).is_some() {
                self.kernel.remove(&name).map_err(remove(&name))?;
            }
        }
        for instance in namespace::list_user(cloud).map_err(Error::Namespaces)? {
            namespace::remove_instance_namespaces(cloud, &instance).map_err(remove(&instance))?;
        }
        // The host's end went with the internet namespace, unless that was already gone.
        let device = names::host_device(cloud);
        let link = kernel::run_in("", || program::output("ip", &["link", "del", &device], ""));
        link.map_err(|e| remove(&device)(io::Error::other(e)))?;
        for directory in [
            namespace::user_directory(cloud),
            PathBuf::from("/run").join(cloud),
        ] {
            // Others may keep files there.
            let _ = fs::remove_dir(directory);
        }
        let records = [state.join("namespaces"), state.join("network.json")];
        for path in records {
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::State { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How far the uplink may reach; not at all if that cannot be told.
    fn outside(&self, failures: &mut Vec<Failure>) -> Outside {
        let Settings {
            cloud,
            public_pool,
            offline,
            ..
        } = &self.settings;
        match host_route::own_ranges() {
            Ok(own) => Outside {
                offline: *offline,
                own,
            },
            Err(e) => {
                let host = internet::host(cloud, *public_pool);
                failures.push(host.failure(format!("read the host's networks: {e}")));
                Outside {
                    offline: true,
                    ..Outside::default()
                }
            }
        }
    }

    fn plans(&self, network: &Network, outside: &Outside) -> Vec<Plan> {
        let Settings {
            cloud, public_pool, ..
        } = &self.settings;
        let mut plans = vec![
            internet::plan(cloud, *public_pool, outside, network),
            internet::host(cloud, *public_pool),
        ];
        for (id, vpc) in &network.vpcs {
            let cut = filter::cut_interfaces(network, vpc);
            plans.extend(router::plans(cloud, id, vpc, &cut));
        }
        // Veths of the internet namespace and of routers end in each other's gateways,
        // and the host's in the internet namespace, whose own settings need it.
        plans.sort_by_key(|plan| match plan.kind {
            Kind::Host => 0,
            Kind::Internet => 1,
            Kind::Router => 2,
            _ => 3,
        });
        plans
    }

    /// Without its uplink the cloud works on as if offline, and says so.
    fn uplink(
        &mut self,
        plans: &mut [Plan],
        network: &Network,
        outside: &Outside,
        failures: &mut Vec<Failure>,
    ) {
        let Settings {
            cloud,
            state_dir,
            public_pool,
            ..
        } = &self.settings;
        let name = names::internet(cloud);
        if outside.offline || !namespace::exists(&name) {
            return;
        }
        match uplink::ensure(state_dir, &name) {
            Ok(false) => {}
            Ok(true) => self.kernel.device_is_new(&name, names::UPLINK),
            Err(e) => {
                self.kernel.device_is_new(&name, names::UPLINK);
                for plan in plans.iter_mut().filter(|plan| plan.namespace == name) {
                    failures.push(plan.failure(format!("start the uplink: {e}")));
                    let outside = Outside {
                        offline: true,
                        ..outside.clone()
                    };
                    *plan = internet::plan(cloud, *public_pool, &outside, network);
                }
            }
        }
    }

    /// Takes no route that another has: without the host's link all else still works.
    fn spare_host(&self, plans: &mut Vec<Plan>, failures: &mut Vec<Failure>) {
        let pool = self.settings.public_pool;
        let device = names::host_device(&self.settings.cloud);
        let reason = match host_route::other_owner(pool, &device) {
            Ok(None) => return,
            Ok(Some(other)) => format!("the host already routes {pool} to {other}"),
            Err(e) => format!("read the host's routes: {e}"),
        };
        plans.retain(|plan| plan.kind != Kind::Host);
        for plan in plans.iter_mut().filter(|plan| plan.kind == Kind::Internet) {
            plan.settings
                .retain(|setting| setting.device() != Some(names::INTERNET_TO_HOST));
        }
        failures.push(internet::host(&self.settings.cloud, pool).failure(reason));
    }

    fn remove_others(&mut self, kept: &[String]) -> Result<(), Error> {
        let cloud = &self.settings.cloud;
        for name in namespace::list(cloud).map_err(Error::Namespaces)? {
            let ours = match names::holder(cloud, &name) {
                None | Some(Holder::Instance(_) | Holder::Internet) => false,
                Some(Holder::Router | Holder::InternetGateway | Holder::Interface) => true,
            };
            if ours && !kept.contains(&name) {
                self.kernel
                    .remove(&name)
                    .map_err(|source| Error::Remove { what: name, source })?;
            }
        }
        self.kernel
            .forget_absent()
            .map_err(|source| self.state(source))
    }

    fn save(&self) -> Result<(), Error> {
        let file = self.settings.state_dir.join("network.json");
        let new = file.with_extension("new");
        serde_json::to_vec(&self.last)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &file))
            .map_err(|source| self.state(source))
    }

    fn state(&self, source: io::Error) -> Error {
        Error::State {
            path: self.settings.state_dir.clone(),
            source,
        }
    }
}

/// Whether a step succeeded; if not, why goes to the failures.
fn done(outcome: Result<(), Failure>, failures: &mut Vec<Failure>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(failure) => {
            failures.push(failure);
            false
        }
    }
}
