//! Replacing members a few at a time while enough of the others serve: what instance refreshes,
//! the maintenance policy and the maximum lifetime have in common.
//!
//! Room above the desired capacity is used to launch first ([`GroupInstance::replaces`] ties the
//! new member to the old one); room below it to terminate first, and the launch follows from the
//! missing capacity. Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-maintenance-policy-overview-and-considerations.html`

use super::size::by_fewest;
use super::{LaunchWhy, Planner, Step, TerminateWhy, units};
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use model::autoscaling::{GroupInstance, LifecycleState as L};
use model::instance::InstanceState;
use std::collections::{BTreeMap, BTreeSet};

/// How far replacing may go at a moment, in units of capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Members that must go on serving.
    pub low: usize,
    /// Members that there may be, the new ones among them.
    pub high: usize,
    /// Replacements that may begin.
    pub quota: usize,
}

/// From percentages of the desired capacity; always with room for one replacement.
pub fn limits(desired: usize, min_percent: u32, max_percent: u32) -> Limits {
    let part = |percent: u32| desired as u64 * u64::from(percent);
    let low = part(min_percent).div_ceil(100) as usize;
    let high = (part(max_percent) / 100) as usize;
    let (low, high) = match (min_percent < 100, 100 < max_percent) {
        (false, true) => (desired, high.max(desired + 1)),
        (true, true) => (low.min(desired.saturating_sub(1)), high.max(desired + 1)),
        // Even 100 to 100 replaces one at a time.
        (_, false) => (low.min(desired.saturating_sub(1)), desired),
    };
    Limits {
        low,
        high,
        quota: usize::MAX,
    }
}

impl<'a> Planner<'a> {
    /// On its way out, or out of sight.
    pub(super) fn leaving(&self, member: &GroupInstance) -> bool {
        !member.lifecycle.counts() || self.terminates(&member.id)
    }

    pub(super) fn terminates(&self, id: &InstanceId) -> bool {
        self.steps.iter().any(
            |s| matches!(s, Step::Terminate { id: gone, .. } | Step::LaunchFailed(gone) | Step::Abandon(gone) if gone == id),
        )
    }

    pub(super) fn active(&self) -> Vec<&'a GroupInstance> {
        let group = self.group;
        group
            .instances
            .iter()
            .filter(|m| !self.leaving(m))
            .collect()
    }

    /// Units there are and are about to be. What is missing of the capacity is launched besides,
    /// so there is no room in its place.
    pub(super) fn total(&self) -> usize {
        let active = self.active();
        let ahead = active.iter().filter(|m| self.is_ahead(m)).copied();
        let ahead = units(ahead);
        // A heavy member may have come for less than its weight: that takes nobody's room.
        let heaviest = active.iter().map(|m| m.weight as usize).max();
        let slack = heaviest.unwrap_or(1).saturating_sub(1);
        let own = (units(active.iter().copied()) - ahead).saturating_sub(slack);
        own.max(self.group.desired_capacity() as usize) + ahead + self.launching
    }

    /// Whether somebody looks if members serve: a target group that nobody uses never says so.
    pub(super) fn watched(&self) -> bool {
        self.elb_health() && !self.group.target_groups_in_service.is_empty()
    }

    /// Its load balancers have found that it serves, or never will: it was left out of one.
    pub(super) fn is_found(&self, member: &GroupInstance) -> bool {
        !self.watched() || member.seen_healthy || !member.left_out.is_empty()
    }

    /// In service, and its load balancers have found so.
    pub(super) fn serves(&self, member: &GroupInstance) -> bool {
        member.lifecycle == L::InService
            && member.healthy
            && self.is_found(member)
            && self
                .facts
                .get(&member.id)
                .is_some_and(|f| f.state == Some(InstanceState::Running))
    }

    pub(super) fn warm_at(&self, member: &GroupInstance, warmup: u32) -> Option<Timestamp> {
        let boot = self.group.measured_boot_ms.map(SignedDuration::from_millis);
        let since = member.in_service?;
        Some(since + self.speed.wait_with_boot(warmup, boot))
    }

    /// Serves, and its warm-up is over.
    pub(super) fn ready(&mut self, member: &GroupInstance, warmup: u32) -> bool {
        if !self.serves(member) {
            return false;
        }
        match self.warm_at(member, warmup) {
            Some(at) if self.now < at => {
                self.look_again(at);
                false
            }
            _ => true,
        }
    }

    /// Members that another one was launched ahead of, or will be by this plan.
    pub(super) fn paired(&self) -> BTreeSet<&InstanceId> {
        let planned = self.steps.iter().filter_map(|s| match s {
            Step::Launch { replaces, .. } => replaces.as_ref(),
            _ => None,
        });
        let active = self.group.instances.iter().filter(|m| !self.leaving(m));
        active
            .filter_map(|m| m.replaces.as_ref())
            .chain(planned)
            .collect()
    }

    /// It was launched ahead of a member that is still there.
    pub(super) fn is_ahead(&self, member: &GroupInstance) -> bool {
        let there = |id: &InstanceId| {
            let mut all = self.group.instances.iter();
            all.any(|m| m.id == *id && !self.leaving(m))
        };
        member.replaces.as_ref().is_some_and(there)
    }

    /// Ends the members whose places are taken by others that are ready.
    pub(super) fn hand_over(
        &mut self,
        warmup: u32,
        why: impl Fn(&GroupInstance) -> Option<TerminateWhy>,
    ) {
        let group = self.group;
        if self.suspended("Terminate") {
            return;
        }
        for new in &group.instances {
            let Some(old) = &new.replaces else { continue };
            let old = group
                .instances
                .iter()
                .find(|m| m.id == *old && m.lifecycle == L::InService);
            let Some((old, why)) = old.and_then(|m| Some((m, why(m)?))) else {
                continue;
            };
            if !self.leaving(new) && !self.leaving(old) && self.ready(new, warmup) {
                self.steps.push(Step::Terminate {
                    id: old.id.clone(),
                    why,
                });
            }
        }
    }

    /// Begins to replace as many of the candidates as the limits have room for. `new` are the
    /// members that count as serving once they are ready, the candidates as long as they serve.
    pub(super) fn roll(
        &mut self,
        candidates: &[&'a GroupInstance],
        mut limits: Limits,
        warmup: u32,
        (launch, terminate): (LaunchWhy, TerminateWhy),
    ) {
        let desired = self.group.desired_capacity() as usize;
        let active = self.active();
        let old: BTreeSet<&InstanceId> = candidates.iter().map(|m| &m.id).collect();
        let mut total = self.total();
        let mut serving = 0;
        for member in &active {
            let counts = match old.contains(&member.id) {
                true => self.serves(member),
                false => self.ready(member, warmup),
            };
            serving += usize::from(counts) * member.weight as usize;
        }
        let waits = self.group.retry_at.is_some_and(|at| self.now < at);
        let may_launch = !self.suspended("Launch") && !waits;
        let may_terminate = !self.suspended("Terminate");
        for member in self.in_order(candidates) {
            if limits.quota == 0 {
                return;
            }
            let weight = member.weight as usize;
            let alive = self.serves(member);
            if member.lifecycle != L::InService || !alive {
                // It does nobody any good: nothing is lost with it.
                if may_terminate && !member.lifecycle.is_pending() {
                    self.end(member, terminate);
                    limits.quota = limits.quota.saturating_sub(weight);
                }
            } else if limits.high > desired && total < limits.high && may_launch {
                let zones = self.zones_for(member);
                total += self.launch(zones, launch, Some(member.id.clone()));
                limits.quota = limits.quota.saturating_sub(weight);
            } else if limits.low < desired && limits.low < serving && may_terminate && may_launch {
                self.end(member, terminate);
                serving = serving.saturating_sub(weight);
                limits.quota = limits.quota.saturating_sub(weight);
            }
        }
    }

    fn end(&mut self, member: &GroupInstance, why: TerminateWhy) {
        self.steps.push(Step::Terminate {
            id: member.id.clone(),
            why,
        });
    }

    /// Not yet replaced or being so; who does not serve first, then from the zone with most of
    /// them, the longest in service first.
    fn in_order(&self, candidates: &[&'a GroupInstance]) -> Vec<&'a GroupInstance> {
        let paired = self.paired();
        let open = |m: &&&GroupInstance| !paired.contains(&m.id) && !self.terminates(&m.id);
        let mut left: Vec<&GroupInstance> = candidates.iter().filter(open).copied().collect();
        let mut ordered = Vec::with_capacity(left.len());
        let mut per_zone: BTreeMap<&str, usize> = BTreeMap::new();
        left.iter()
            .for_each(|m| *per_zone.entry(&m.zone).or_default() += 1);
        left.sort_by_key(|m| (self.serves(m), m.in_service));
        while !left.is_empty() {
            let first = (0..left.len())
                .max_by_key(|n| {
                    let m = left[*n];
                    let most = per_zone.get(m.zone.as_str()).copied();
                    (!self.serves(m), most, std::cmp::Reverse(*n))
                })
                .unwrap_or(0);
            let member = left.remove(first);
            if let Some(count) = per_zone.get_mut(member.zone.as_str()) {
                *count -= 1;
            }
            ordered.push(member);
        }
        ordered
    }

    /// Where the one in place of `member` goes, as if those that are replaced had gone already.
    pub(super) fn zones_for(&self, member: &GroupInstance) -> Vec<String> {
        let mut per_zone = self.open_zones();
        let paired = self.paired();
        let staying = self
            .group
            .instances
            .iter()
            .filter(|m| !self.leaving(m) && !paired.contains(&m.id) && m.id != member.id)
            .map(|m| m.zone.as_str());
        let planned = self.steps.iter().filter_map(|s| match s {
            Step::Launch { zones, .. } => zones.first().map(String::as_str),
            _ => None,
        });
        for zone in staying.chain(planned) {
            if let Some(count) = per_zone.get_mut(zone) {
                *count += 1;
            }
        }
        by_fewest(&per_zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_leave_room_for_one() {
        let check = |desired, min, max, low, high| {
            let found = limits(desired, min, max);
            assert_eq!(
                (found.low, found.high),
                (low, high),
                "{desired} {min} {max}"
            );
        };
        check(10, 90, 100, 9, 10);
        check(4, 90, 100, 3, 4);
        check(1, 90, 100, 0, 1);
        check(4, 50, 100, 2, 4);
        check(4, 0, 100, 0, 4);
        check(4, 100, 100, 3, 4);
        check(2, 100, 200, 2, 4);
        check(4, 100, 110, 4, 5);
        check(10, 90, 120, 9, 12);
        check(0, 90, 100, 0, 0);
    }
}
