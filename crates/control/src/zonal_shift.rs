//! Zonal shifts, as load balancers see them, and the end of all.
//!
//! Source: `A/zonal-shift.html`. A zone that is shifted away from leaves DNS, and its targets get new
//! requests only where too few others are healthy. Auto Scaling groups look at shifts themselves
//! (`crate::group`).

use crate::World;
use crate::clock::earliest;
use jiff::Timestamp;
use model::elbv2::LoadBalancer;
use model::event::Severity;
use model::zonal_shift::ZonalShift;
use model::zone;
use store::State;

/// Ends those whose time is over; says when the next one is.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let in_force = || state.zonal_shifts.values().filter(|s| s.in_force());
    for shift in in_force().filter(|s| !s.active(now)) {
        world.store.update(|tx| {
            tx.modify::<ZonalShift>(&shift.id, |s| s.ended = true);
            let told = format!("the zonal shift away from {} is over", shift.away_from);
            let subject = shift.resource_name();
            tx.event(now, Severity::Info, subject, "zonal-shift", told);
        });
    }
    let active = in_force().filter(|s| s.active(now));
    active.fold(None, |next, s| earliest(next, Some(s.expires)))
}

/// The zone that the load balancer is moved away from; one that has opted out meanwhile stays.
pub fn away_from<'a>(state: &State, balancer: &'a LoadBalancer) -> Option<&'a str> {
    let mut shifts = state.zonal_shifts.of(balancer.arn.as_str());
    let shift = shifts.find(|s| s.in_force() && balancer.allows_zonal_shift())?;
    let mut zones = balancer.zones.iter().map(|z| z.zone.as_str());
    zones.find(|z| zone::zone_id(z) == Some(shift.away_from.as_str()))
}
