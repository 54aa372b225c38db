//! VPC endpoints: available once they stand in the network, gone once they left it.

use crate::World;
use jiff::Timestamp;
use model::event::Severity;
use model::vpc::NetworkInterface;
use model::vpc_endpoint::{VpcEndpoint, VpcEndpointKind, VpcEndpointState};

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    for endpoint in state.vpc_endpoints.values() {
        let interfaces: Vec<_> = match &endpoint.kind {
            VpcEndpointKind::Gateway { .. } => Vec::new(),
            VpcEndpointKind::Interface { interfaces, .. } => {
                interfaces.iter().map(|(_, id)| id.clone()).collect()
            }
        };
        match endpoint.state {
            VpcEndpointState::Pending => {
                let stands = world.applied.has_vpc(&endpoint.vpc)
                    && interfaces
                        .iter()
                        .all(|id| world.applied.has_interface(&endpoint.vpc, id));
                if stands {
                    world.store.update(|tx| {
                        tx.event(
                            now,
                            Severity::Info,
                            &endpoint.id,
                            "vpc-endpoint",
                            "is available",
                        );
                        tx.modify::<VpcEndpoint>(&endpoint.id, |e| {
                            e.state = VpcEndpointState::Available;
                        });
                    });
                }
            }
            VpcEndpointState::Available => {}
            VpcEndpointState::Deleting => {
                let recorded = interfaces
                    .iter()
                    .any(|id| state.network_interfaces.contains_key(id));
                if recorded {
                    world.store.update(|tx| {
                        for id in &interfaces {
                            tx.remove::<NetworkInterface>(id);
                        }
                    });
                } else if !interfaces.iter().any(|id| world.applied.may_have(id)) {
                    world
                        .store
                        .update(|tx| tx.remove::<VpcEndpoint>(&endpoint.id));
                }
            }
        }
    }
    None
}
