//! The number of members, and their balance across zones.

use super::{LaunchWhy, Planner, Step, TerminateWhy, units};
use model::InstanceId;
use model::autoscaling::{GroupInstance, LifecycleState as L};
use std::collections::BTreeMap;

impl Planner<'_> {
    /// Launches what is missing, ends what is too much, and balances zones when at rest.
    pub(super) fn size(&mut self) {
        let active = self.active();
        if self.group.deleting.is_some() {
            if self.group.instances.is_empty() && self.group.warm.is_empty() {
                self.steps.push(Step::Vanish);
            }
            let all: Vec<InstanceId> = active.iter().map(|m| m.id.clone()).collect();
            self.steps.extend(all.into_iter().map(|id| Step::Terminate {
                id,
                why: TerminateWhy::Capacity,
            }));
            return;
        }
        let mut per_zone = self.open_zones();
        for member in &active {
            if let Some(count) = per_zone.get_mut(member.zone.as_str()) {
                *count += 1;
            }
        }
        for step in &self.steps {
            if let Step::Launch { zones, .. } = step
                && let Some(count) = zones.first().and_then(|z| per_zone.get_mut(z.as_str()))
            {
                *count += 1;
            }
        }
        let desired = self.group.desired_capacity() as usize;
        // A rebalancing launch is above the desired capacity until it serves, one ahead of a
        // member until that one goes.
        let above = |m: &&&GroupInstance| {
            self.is_ahead(m) || m.rebalancing && !(m.lifecycle == L::InService && self.is_found(m))
        };
        let surplus = units(active.iter().filter(above).copied());
        let mut counted = units(active.iter().copied()) - surplus;
        let excess = counted.saturating_sub(desired);
        // Of weighted members none goes whose going would leave too little.
        let ahead = |m: &&GroupInstance| self.is_ahead(m);
        let mut left: Vec<&GroupInstance> = active.iter().filter(|m| !ahead(m)).copied().collect();
        let too_much = left.iter().any(|m| m.weight as usize <= excess);
        let waiting = self.group.retry_at.filter(|at| self.now < *at);
        let rests = self.steps.is_empty()
            && surplus == 0
            && self.refresh.is_none()
            && active
                .iter()
                .all(|m| m.lifecycle == L::InService && m.healthy);
        // How long to wait is known once the failure is noted.
        if self
            .steps
            .iter()
            .any(|s| matches!(s, Step::LaunchFailed(_) | Step::Abandon(_)))
        {
            return;
        }
        if counted < desired && !self.turned && !self.suspended("Launch") {
            if let Some(at) = waiting {
                self.look_again(at);
                return;
            }
            let replaced = self
                .group
                .instances
                .iter()
                .any(|m| m.lifecycle.is_terminating() && !m.healthy)
                || self.steps.iter().any(|s| {
                    matches!(
                        s,
                        Step::Terminate {
                            why: TerminateWhy::Unhealthy(_),
                            ..
                        }
                    )
                });
            let lifetime = self.steps.iter().any(|s| {
                matches!(
                    s,
                    Step::Terminate {
                        why: TerminateWhy::Lifetime,
                        ..
                    }
                )
            });
            let why = match self.group.last_cause {
                Some(_) => LaunchWhy::Capacity,
                None if replaced => LaunchWhy::Replacement,
                None if self.refresh.is_some() => LaunchWhy::Refresh,
                None if lifetime => LaunchWhy::Lifetime,
                None => LaunchWhy::Capacity,
            };
            let mut ready = self.warmed();
            while counted < desired {
                let zones = by_fewest(&per_zone);
                let warmed = zones
                    .iter()
                    .find_map(|z| ready.iter().position(|m| m.zone == *z));
                if let Some(warmed) = warmed.map(|at| ready.remove(at)) {
                    *per_zone.entry(&warmed.zone).or_default() += 1;
                    let id = warmed.id.clone();
                    counted += warmed.weight as usize;
                    self.steps.push(Step::FromPool { id, why });
                    continue;
                }
                if let Some(count) = zones.first().and_then(|z| per_zone.get_mut(z.as_str())) {
                    *count += 1;
                }
                counted += self.launch(zones, why, None);
            }
        } else if too_much && !self.suspended("Terminate") {
            let rebalance = active.iter().any(|m| m.rebalancing) && self.group.last_cause.is_none();
            let why = if rebalance {
                TerminateWhy::Rebalance
            } else {
                TerminateWhy::Capacity
            };
            while desired < counted {
                // Who came for the balance does not go for it, even if nobody else is light enough:
                // the next one would come for the same reason.
                let stays = |m: &&&GroupInstance| !(rebalance && m.rebalancing);
                let leaving: Vec<_> = left.iter().filter(stays).copied().collect();
                let Some(victim) = self.victim(&leaving, counted - desired) else {
                    // Its counterpart is heavier: it takes another one for that to go.
                    if rebalance && rests && self.steps.is_empty() {
                        self.balance(&per_zone, excess);
                    }
                    break;
                };
                left.retain(|m| m.id != victim.id);
                counted -= victim.weight as usize;
                let id = victim.id.clone();
                self.steps.push(Step::Terminate { id, why });
            }
        } else if rests && 2 <= unevenness(&per_zone) {
            self.balance(&per_zone, excess);
        }
        // A change of capacity that others undid explains nothing that comes later.
        if self.steps.is_empty()
            && desired <= counted
            && !too_much
            && self.group.last_cause.is_some()
        {
            self.steps.push(Step::SettleCause);
        }
    }

    /// Launch first in the smallest zone, as many as it takes for the lightest of the largest zone to
    /// go; `excess` are units that are too many already. Zones that this would only leave as uneven
    /// the other way round stay as they are.
    fn balance(&mut self, per_zone: &BTreeMap<&str, usize>, excess: usize) {
        if self.suspended("AZRebalance") || self.suspended("Launch") {
            return;
        }
        // With nobody going for it, a group grows beyond its maximum by the tenth that balancing
        // may take, and no further.
        let most = self.group.max_size as usize;
        if self.suspended("Terminate") && most + (most / 10).max(1) <= units(self.active()) {
            return;
        }
        let zones = by_fewest(per_zone);
        let (Some(smallest), Some(largest)) = (zones.first(), zones.last()) else {
            return;
        };
        if let Some(at) = self.rebalance_at.filter(|at| self.now < *at) {
            return self.look_again(at);
        }
        let goes = |m: &&&GroupInstance| m.zone == *largest && !m.protected_from_scale_in;
        let active = self.active();
        let lightest = active.iter().filter(goes).map(|m| m.weight as usize).min();
        let mut missing = lightest.unwrap_or(1).saturating_sub(excess);
        let mut after = per_zone.clone();
        if let Some(count) = after.get_mut(largest.as_str()) {
            *count -= 1;
        }
        let begun = (self.steps.len(), self.launching);
        loop {
            let units = self.launch(vec![smallest.clone()], LaunchWhy::Rebalance, None);
            *after.entry(smallest.as_str()).or_default() += 1;
            missing = missing.saturating_sub(units);
            if unevenness(per_zone).max(2) <= unevenness(&after) {
                self.steps.truncate(begun.0);
                (self.launching, self.fleet) = (begun.1, None);
                return;
            }
            if missing == 0 {
                return;
            }
        }
    }
}

/// How many more the fullest zone has than the emptiest.
fn unevenness(per_zone: &BTreeMap<&str, usize>) -> usize {
    let most = per_zone.values().max().copied().unwrap_or(0);
    most - per_zone.values().min().copied().unwrap_or(0)
}

/// Zones, the one with the fewest instances first.
pub(super) fn by_fewest(per_zone: &BTreeMap<&str, usize>) -> Vec<String> {
    let mut zones: Vec<(&str, usize)> = per_zone.iter().map(|(z, n)| (*z, *n)).collect();
    zones.sort_by_key(|(_, n)| *n);
    zones.into_iter().map(|(z, _)| z.to_owned()).collect()
}
