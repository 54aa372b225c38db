//! Peering connections: active once the routers are joined; void when nobody accepts them;
//! forgotten some time after their end.

use crate::World;
use crate::clock::earliest;
use jiff::{SignedDuration, Timestamp};
use model::event::Severity;
use model::vpc_peering::{VpcPeeringConnection, VpcPeeringState as S};

const EXPIRES_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Deleted, rejected and expired connections stay describable for about an hour.
const DESCRIBABLE_SECS: u32 = 3600;

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let mut again = None;
    for peering in state.vpc_peering_connections.values() {
        let gone = [&peering.requester.vpc, &peering.accepter.vpc]
            .iter()
            .any(|vpc| !state.vpcs.contains_key(*vpc));
        match peering.state {
            S::Provisioning if world.applied.has_peering(&peering.id) => {
                become_state(world, peering, S::Active, now);
            }
            S::PendingAcceptance if gone => become_state(world, peering, S::Deleted, now),
            S::PendingAcceptance => {
                let until = peering.created + EXPIRES_AFTER;
                if now >= until {
                    become_state(world, peering, S::Expired, now);
                } else {
                    again = earliest(again, Some(until));
                }
            }
            S::Provisioning | S::Active => {}
            S::Deleted | S::Rejected | S::Expired => {
                let forget = peering.ended.unwrap_or(peering.created)
                    + world.settings.speed.wait(DESCRIBABLE_SECS);
                if now >= forget {
                    world
                        .store
                        .update(|tx| tx.remove::<VpcPeeringConnection>(&peering.id));
                } else {
                    again = earliest(again, Some(forget));
                }
            }
        }
    }
    again
}

fn become_state(world: &World, peering: &VpcPeeringConnection, state: S, now: Timestamp) {
    world.store.update(|tx| {
        let message = format!("is {state:?}").to_lowercase();
        tx.event(now, Severity::Info, &peering.id, "vpc-peering", message);
        tx.modify::<VpcPeeringConnection>(&peering.id, |p| {
            p.state = state;
            if state != S::Active {
                p.ended = Some(now);
            }
        });
    });
}
