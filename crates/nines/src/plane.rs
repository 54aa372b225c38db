//! The data-plane processes and the host's name table.

use crate::layout::State;
use control::{DataPlane, Inbox, Report};
use host::linux::registry_trust;
use sidecar::Sidecar;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

type Balancer = Sidecar<balancer::config::Config, balancer::report::Report>;
type Edge = Sidecar<edge::config::Config, edge::config::Report>;

pub struct Processes {
    balancer: Mutex<Balancer>,
    edge: Mutex<Edge>,
    cloud: String,
    hosts_file: Option<PathBuf>,
    /// The certificate that registries show themselves by was signed with this one's key.
    authority: PathBuf,
}

impl Processes {
    /// Starts the balancer and the edge, or adopts those that run already.
    pub fn start(
        state: &State,
        cloud: &str,
        hosts_file: Option<PathBuf>,
        inbox: &Inbox,
    ) -> Result<Self, sidecar::Error> {
        let command = |name: &str, dir: PathBuf| {
            vec![
                "/proc/self/exe".to_owned(),
                name.to_owned(),
                dir.to_string_lossy().into_owned(),
            ]
        };
        let to_balancer = inbox.clone();
        let to_edge = inbox.clone();
        let balancer = || {
            let balancer = Sidecar::start_or_adopt(
                &state.balancer(),
                &command("balancer", state.balancer()),
                &state.log("balancer"),
                Arc::new(move |report| to_balancer.put(Report::Balancer(report))),
            )?;
            Ok(renewed(balancer, "balancer"))
        };
        let edge = || {
            let edge = Sidecar::start_or_adopt(
                &state.edge(),
                &command("edge", state.edge()),
                &state.log("edge"),
                Arc::new(move |report| to_edge.put(Report::Edge(report))),
            )?;
            Ok(renewed(edge, "edge"))
        };
        // Either waits for its process to answer.
        let (balancer, edge) = std::thread::scope(|scope| {
            let balancer = scope.spawn(balancer);
            let edge = edge();
            let balancer = balancer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (balancer, edge)
        });
        Ok(Self {
            balancer: Mutex::new(balancer?),
            edge: Mutex::new(edge?),
            cloud: cloud.to_owned(),
            hosts_file,
            authority: state.certificates().authority(),
        })
    }
}

/// Of this program, where one runs since an older version of it was installed.
fn renewed<C, R>(mut sidecar: Sidecar<C, R>, name: &str) -> Sidecar<C, R>
where
    C: serde::Serialize,
    R: serde::de::DeserializeOwned + Send + 'static,
{
    match sidecar.renew() {
        Ok(false) => {}
        Ok(true) => tracing::info!("this program's {name} took over from an older one"),
        Err(error) => tracing::warn!(%error, "keeping the {name} of another version"),
    }
    sidecar
}

impl Processes {
    /// Docker on the host trusts the registries' certificates.
    fn trust(&self, registries: &BTreeSet<String>) -> std::io::Result<()> {
        let authority = std::fs::read_to_string(&self.authority)?;
        let directory = Path::new(registry_trust::DIRECTORY);
        registry_trust::write(directory, &self.cloud, &authority, registries)
    }
}

impl DataPlane for Processes {
    fn push_balancer(&self, config: &balancer::config::Config) {
        let mut balancer = self.balancer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = balancer.push(config) {
            tracing::error!(%error, "failed to configure the balancer");
        }
    }

    fn push_edge(&self, config: &edge::config::Config) {
        let mut edge = self.edge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = edge.push(config) {
            tracing::error!(%error, "failed to configure the edge");
        }
    }

    fn publish_names(&self, names: &BTreeMap<String, Vec<Ipv4Addr>>) {
        let Some(path) = &self.hosts_file else { return };
        let names: Vec<(String, Vec<Ipv4Addr>)> =
            names.iter().map(|(n, a)| (n.clone(), a.clone())).collect();
        if let Err(error) = host::linux::hosts_file::write_block(path, &self.cloud, &names) {
            tracing::error!(%error, path = %path.display(), "failed to write load balancer names");
        }
        let registries = names.iter().map(|(name, _)| name.clone());
        let registries = registries.filter(|n| n.contains(".dkr.ecr.")).collect();
        if let Err(error) = self.trust(&registries) {
            tracing::error!(%error, "failed to write the certificate of image registries");
        }
    }

    fn keep_alive(&self) {
        let mut balancer = self.balancer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = balancer.ensure_alive() {
            tracing::error!(%error, "failed to restart the balancer");
        }
        drop(balancer);
        let mut edge = self.edge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = edge.ensure_alive() {
            tracing::error!(%error, "failed to restart the edge");
        }
    }
}
