//! NAT gateways: available once they stand in the network, gone once they left it.

use crate::World;
use crate::clock::earliest;
use jiff::Timestamp;
use model::NatGatewayId;
use model::event::Severity;
use model::vpc::{NatGateway, NatGatewayState as S, NetworkInterface};

/// Deleted and failed gateways stay describable for about an hour.
const DESCRIBABLE_SECS: u32 = 3600;

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let mut again = None;
    for gateway in state.nat_gateways.values() {
        let id = &gateway.id;
        match gateway.state {
            S::Pending => {
                let attached = state
                    .internet_gateways
                    .values()
                    .any(|g| g.vpc.as_ref() == Some(&gateway.vpc));
                if gateway.allocation.is_some() && !attached {
                    let why = format!("Network {} has no Internet gateway attached", gateway.vpc);
                    become_state(
                        world,
                        id,
                        S::Failed,
                        Some(("Gateway.NotAttached".into(), why)),
                        now,
                    );
                } else if world
                    .applied
                    .has_interface(&gateway.vpc, &gateway.interface)
                {
                    become_state(world, id, S::Available, None, now);
                }
            }
            S::Deleting if state.network_interfaces.contains_key(&gateway.interface) => {
                world.store.update(|tx| {
                    crate::instance::disassociate(tx, &gateway.interface);
                    tx.remove::<NetworkInterface>(&gateway.interface);
                })
            }
            S::Deleting if !world.applied.may_have(&gateway.interface) => {
                become_state(world, id, S::Deleted, None, now)
            }
            S::Deleting | S::Available => {}
            S::Failed | S::Deleted => {
                let forget = gateway.deleted.unwrap_or(gateway.created)
                    + world.settings.speed.wait(DESCRIBABLE_SECS);
                if now >= forget {
                    world.store.update(|tx| {
                        tx.remove::<NetworkInterface>(&gateway.interface);
                        tx.remove::<NatGateway>(id)
                    });
                } else {
                    again = earliest(again, Some(forget));
                }
            }
        }
    }
    again
}

fn become_state(
    world: &World,
    id: &NatGatewayId,
    state: S,
    failure: Option<(String, String)>,
    now: Timestamp,
) {
    world.store.update(|tx| {
        let (severity, message) = match &failure {
            Some((code, why)) => (Severity::Error, format!("failed: {code}: {why}")),
            None => (Severity::Info, format!("is {state:?}").to_lowercase()),
        };
        tx.event(now, severity, id, "nat-gateway", message);
        tx.modify::<NatGateway>(id, |n| {
            n.state = state;
            n.failure = failure;
            if matches!(state, S::Deleted | S::Failed) {
                n.deleted = Some(now);
            }
        });
    });
}
