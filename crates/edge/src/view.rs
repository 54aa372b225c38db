//! The configuration as the servers look it up: by VPC and address, by VPC and name.

use crate::config::{Config, Instance, Registry};
use crate::dns::{Shared, Zone};
use crate::metadata::Identity;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

#[derive(Default)]
pub struct View {
    vpcs: HashMap<String, Vpc>,
    /// Names that all see alike; none before the first configuration.
    pub names: Option<Arc<Shared>>,
    pub registry: Option<Arc<Registry>>,
    pub identity: Option<Arc<Identity>>,
}

struct Vpc {
    zone: Arc<Zone>,
    instances: HashMap<Ipv4Addr, Arc<Instance>>,
}

impl View {
    pub fn new(config: &Config, identity: Option<Arc<Identity>>) -> Self {
        let shared = Shared::new(config);
        let vpcs = config.vpcs.iter().map(|(id, vpc)| {
            let mut instances = HashMap::new();
            for instance in &vpc.instances {
                let shared = Arc::new(instance.clone());
                for address in instance.interfaces.iter().flat_map(|i| &i.addresses) {
                    instances.insert(*address, shared.clone());
                }
            }
            let zone = Arc::new(Zone::new(id, vpc, shared.clone()));
            (id.clone(), Vpc { zone, instances })
        });
        Self {
            vpcs: vpcs.collect(),
            names: Some(shared.clone()),
            registry: config.registry.clone().map(Arc::new),
            identity,
        }
    }

    pub fn zone(&self, vpc: &str) -> Option<Arc<Zone>> {
        self.vpcs.get(vpc).map(|vpc| vpc.zone.clone())
    }

    pub fn instance(&self, vpc: &str, address: Ipv4Addr) -> Option<Arc<Instance>> {
        self.vpcs.get(vpc)?.instances.get(&address).cloned()
    }
}
