//! VPC Block Public Access: which interfaces it cuts from the internet, and when that stands.
//!
//! An interface that is cut has no public address at the internet gateway, which passes nothing
//! without one either way, as routes and groups stay what they are.

use crate::World;
use crate::clock::earliest;
use jiff::Timestamp;
use model::public_access::{BlockMode, Excluded, PublicAccessExclusion};
use model::region_settings::RegionSettings;
use model::vpc::{NetworkInterface, Requester};
use store::State;

/// Deleted exclusions stay describable so long (assumption: as NAT gateways do).
const DESCRIBABLE_SECS: u32 = 3600;

/// Whether the interface may have its public address in use.
pub fn is_open(state: &State, interface: &NetworkInterface) -> bool {
    let settings = state.region_settings.get(&interface.scope);
    let block = settings.and_then(|s| s.public_access.as_ref());
    let mode = block.map_or(BlockMode::Off, |b| b.mode);
    if mode == BlockMode::Off {
        return true;
    }
    let exclusions = || {
        let all = state.public_access_exclusions.of(&interface.scope);
        all.filter(|e| e.state.counts())
    };
    let exclusion = exclusions()
        .find(|e| e.of == Excluded::Subnet(interface.subnet.clone()))
        .or_else(|| exclusions().find(|e| e.of == Excluded::Vpc(interface.vpc.clone())));
    match exclusion {
        Some(exclusion) if !exclusion.egress_only => true,
        None if mode == BlockMode::Bidirectional => false,
        _ => matches!(interface.requester, Some(Requester::NatGateway(_))),
    }
}

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    // The network rests when the host has what these records call for.
    let stands = world.rested.network == Some(world.moment(&state));
    let mut again = None;
    for settings in state.region_settings.values().filter(|_| stands) {
        if settings.public_access.as_ref().is_some_and(|b| !b.in_force) {
            world.store.update(|tx| {
                tx.modify::<RegionSettings>(&settings.scope, |s| {
                    if let Some(block) = &mut s.public_access {
                        block.in_force = true;
                    }
                });
            });
        }
    }
    for exclusion in state.public_access_exclusions.values() {
        let there = match &exclusion.of {
            Excluded::Vpc(id) => state.vpcs.contains_key(id),
            Excluded::Subnet(id) => state.subnets.contains_key(id),
        };
        let forget = exclusion
            .deleted
            .map(|at| at + world.settings.speed.wait(DESCRIBABLE_SECS));
        if !there || forget.is_some_and(|at| now >= at) {
            world.store.update(|tx| {
                tx.remove::<PublicAccessExclusion>(&exclusion.id);
            });
            continue;
        }
        again = earliest(again, forget);
        if let Some(next) = exclusion.state.completed().filter(|_| stands) {
            world.store.update(|tx| {
                tx.modify::<PublicAccessExclusion>(&exclusion.id, |e| e.state = next);
            });
        }
    }
    again
}
