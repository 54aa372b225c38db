//! Zonal shifts, as groups see them: which zone each is moved away from.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-zonal-shift.html`

use crate::clock::earliest;
use jiff::Timestamp;
use model::autoscaling::AutoScalingGroup;
use model::zonal_shift::ZonalShift;
use model::zone;
use std::collections::BTreeMap;
use store::State;

/// Those that are active at a moment.
pub struct Shifts<'a> {
    by_resource: BTreeMap<&'a str, &'a ZonalShift>,
    /// When the next of them expires.
    pub next: Option<Timestamp>,
}

impl<'a> Shifts<'a> {
    pub fn new(state: &'a State, now: Timestamp) -> Self {
        let active = || state.zonal_shifts.values().filter(|s| s.active(now));
        Self {
            by_resource: active().map(|s| (s.resource.as_str(), &**s)).collect(),
            next: active().fold(None, |next, s| earliest(next, Some(s.expires))),
        }
    }

    pub fn of(&self, group: &'a AutoScalingGroup) -> Option<&'a str> {
        away(group, self.by_resource.get(group.arn.as_str())?)
    }
}

/// The zone that the group is moved away from.
pub fn away_from<'a>(
    state: &State,
    group: &'a AutoScalingGroup,
    now: Timestamp,
) -> Option<&'a str> {
    let mut shifts = state.zonal_shifts.of(group.arn.as_str());
    away(group, shifts.find(|s| s.active(now))?)
}

/// A group that has opted out meanwhile stays.
fn away<'a>(group: &'a AutoScalingGroup, shift: &ZonalShift) -> Option<&'a str> {
    let mut zones = group.zones.iter().filter(|_| group.zonal_shift);
    let zone = zones.find(|z| zone::zone_id(z) == Some(shift.away_from.as_str()))?;
    Some(zone)
}
