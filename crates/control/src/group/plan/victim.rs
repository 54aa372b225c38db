//! Which member goes when there are too many.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html`

use super::super::fleet::{self, Fleet};
use super::Planner;
use model::autoscaling::GroupInstance;
use std::collections::BTreeMap;

const HOUR_SECS: u32 = 3600;

impl<'a> Planner<'a> {
    /// Scale-in: the zone with most unprotected instances, then the termination policies in it.
    /// `excess` are the units that are too many: nobody who counts more can go.
    pub(super) fn victim(
        &self,
        staying: &[&'a GroupInstance],
        excess: usize,
    ) -> Option<&'a GroupInstance> {
        let light: Vec<&GroupInstance> = staying
            .iter()
            .filter(|m| m.weight as usize <= excess)
            .copied()
            .collect();
        // An unhealthy one goes first whatever the policy says.
        if let Some(ill) = light.iter().find(|m| !m.healthy) {
            return Some(ill);
        }
        let open = light.into_iter().filter(|m| !m.protected_from_scale_in);
        let open: Vec<&GroupInstance> = open.collect();
        let mut per_zone: BTreeMap<&str, usize> = BTreeMap::new();
        for member in &open {
            *per_zone.entry(&member.zone).or_default() += 1;
        }
        let most = *per_zone.values().max()?;
        let mut chosen: Vec<&GroupInstance> = open
            .into_iter()
            .filter(|m| per_zone[m.zone.as_str()] == most)
            .collect();
        for policy in &self.group.termination_policies {
            match policy.as_str() {
                "NewestInstance" => keep(&mut chosen, |m| std::cmp::Reverse(m.in_service)),
                "OldestInstance" => keep(&mut chosen, |m| m.in_service),
                "AllocationStrategy" => self.keep_by_strategy(staying, &mut chosen),
                "OldestLaunchTemplate" => keep(&mut chosen, |m| self.of_template(m)),
                "OldestLaunchConfiguration" => keep(&mut chosen, |m| self.of_configuration(m)),
                "ClosestToNextInstanceHour" => keep(&mut chosen, |m| self.left_of_hour(m)),
                "Default" => {
                    self.keep_by_strategy(staying, &mut chosen);
                    keep(&mut chosen, |m| self.of_configuration(m));
                    keep(&mut chosen, |m| self.of_template(m));
                    keep(&mut chosen, |m| self.left_of_hour(m));
                }
                _ => {}
            }
        }
        // AWS then picks at random; the newest is as good and keeps timelines repeatable
        // (of equals, `max_by_key` takes the last, which joined last).
        chosen.into_iter().max_by_key(|m| m.in_service)
    }

    /// Whichever of Spot and On-Demand is more than the policy wants, and of it what the
    /// allocation strategy would buy last.
    fn keep_by_strategy(&self, staying: &[&'a GroupInstance], chosen: &mut Vec<&GroupInstance>) {
        let Some(policy) = self.template.policy.as_deref() else {
            return;
        };
        let fleet = Fleet::new(self.group, self.template, staying.iter().copied());
        let spot = !fleet.on_demand_to_spare();
        if chosen.iter().any(|m| m.spot == spot) {
            chosen.retain(|m| m.spot == spot);
        }
        let unit = self.group.desired_capacity_type.as_deref();
        keep(chosen, |m| std::cmp::Reverse(fleet::rank(policy, unit, m)));
    }

    /// Another template comes before an old version, and that before the current one.
    fn of_template(&self, member: &GroupInstance) -> (bool, bool, u64) {
        let (id, _, version) = &member.template;
        let (now, newest) = self.current.of(&member.instance_type);
        (id == now, version == newest, *version)
    }

    /// Members of launch configurations first, of the oldest one before.
    fn of_configuration(&self, member: &GroupInstance) -> impl Ord + use<> {
        let fact = self.facts.get(&member.id);
        // One that is deleted was there before all others.
        let made = fact.and_then(|f| f.configured);
        (member.configuration.is_none(), made)
    }

    /// Until the next hour of the instance's life begins: hours in which AWS's bills counted.
    fn left_of_hour(&self, member: &GroupInstance) -> i64 {
        let hour = self.speed.wait(HOUR_SECS).as_millis().max(1) as i64;
        let launched = self.facts.get(&member.id).and_then(|f| f.launched);
        let age = launched.map_or(0, |at| self.now.as_millisecond() - at.as_millisecond());
        hour - age.rem_euclid(hour)
    }
}

/// Keeps those for which `rank` is lowest.
fn keep<K: Ord>(chosen: &mut Vec<&GroupInstance>, rank: impl Fn(&GroupInstance) -> K) {
    if let Some(best) = chosen.iter().map(|m| rank(m)).min() {
        chosen.retain(|m| rank(m) == best);
    }
}
