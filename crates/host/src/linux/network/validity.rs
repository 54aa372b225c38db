//! What of a network can be built at all.
//!
//! The API refuses such values long before; here they are sorted out once more, because a
//! single duplicate would make the kernel refuse a whole VPC's filter.

use super::plan::Failure;
use super::{Settings, names, router};
use crate::network::{Interface, Network, Owner, Vpc, host_address, internet_address};
use model::VpcId;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The network without its impossible parts, and what those were.
pub fn split(settings: &Settings, wanted: &Network) -> (Network, Vec<Failure>) {
    let pool = settings.public_pool;
    let mut seen = Seen {
        public: BTreeSet::from([host_address(pool), internet_address(pool)]),
        ..Seen::default()
    };
    seen.public.extend(&wanted.internet_services);
    let mut network = wanted.clone();
    let mut failures = Vec::new();
    network.vpcs.retain(|id, vpc| {
        if let Err(reason) = seen.vpc(vpc) {
            failures.push(failure(&settings.cloud, id, None, reason));
            return false;
        }
        let mut addresses = BTreeSet::new();
        let mut devices = BTreeSet::new();
        let subnets = &vpc.subnets;
        vpc.interfaces.retain(|interface_id, interface| {
            let possible = match subnets.get(&interface.subnet) {
                None => Err(format!("no subnet {}", interface.subnet)),
                Some(_) if !devices.insert(names::device(interface_id)) => {
                    Err("another interface's id ends alike".to_owned())
                }
                Some(subnet) => seen
                    .interface(&settings.cloud, interface_id, interface)
                    .and_then(|()| {
                        match interface
                            .addresses
                            .iter()
                            .find(|a| !subnet.cidr.contains(*a))
                        {
                            Some(address) => Err(format!("{address} is not in {}", subnet.cidr)),
                            None => free(&mut addresses, &interface.addresses),
                        }
                    }),
            };
            if let Err(reason) = possible {
                failures.push(failure(
                    &settings.cloud,
                    id,
                    Some(interface_id.clone()),
                    reason,
                ));
                return false;
            }
            true
        });
        true
    });
    (network, failures)
}

#[derive(Default)]
struct Seen {
    gateways: BTreeSet<model::InternetGatewayId>,
    public: BTreeSet<Ipv4Addr>,
    /// Namespace and device of interfaces' far ends.
    ends: BTreeSet<(String, String)>,
}

impl Seen {
    fn vpc(&mut self, vpc: &Vpc) -> Result<(), String> {
        if vpc.cidrs.is_empty() {
            return Err("no CIDR".into());
        }
        match &vpc.internet_gateway {
            Some(gateway) if !self.gateways.insert(gateway.clone()) => {
                Err(format!("{gateway} is attached to another VPC"))
            }
            _ => Ok(()),
        }
    }

    fn interface(
        &mut self,
        cloud: &str,
        id: &model::NetworkInterfaceId,
        interface: &Interface,
    ) -> Result<(), String> {
        if interface.addresses.is_empty() {
            return Err("no address".into());
        }
        if matches!(interface.owner, Owner::Detached) {
            return Ok(());
        }
        if let Some((namespace, device, _)) = router::guest(cloud, id, &interface.owner)
            && !self.ends.insert((namespace, device.clone()))
        {
            return Err(format!("{device} is another interface"));
        }
        for (private, public) in &interface.public {
            if !interface.addresses.contains(private) {
                return Err(format!("{public} is mapped to {private}, not its own"));
            }
            if !self.public.insert(*public) {
                return Err(format!("public address {public} is taken"));
            }
        }
        Ok(())
    }
}

fn free(taken: &mut BTreeSet<Ipv4Addr>, addresses: &[Ipv4Addr]) -> Result<(), String> {
    match addresses.iter().find(|address| !taken.insert(**address)) {
        Some(address) => Err(format!("{address} is another interface's")),
        None => Ok(()),
    }
}

fn failure(
    cloud: &str,
    vpc: &VpcId,
    interface: Option<model::NetworkInterfaceId>,
    reason: String,
) -> Failure {
    Failure {
        namespace: names::router(cloud, vpc),
        vpc: Some(vpc.clone()),
        interface,
        reason,
    }
}
