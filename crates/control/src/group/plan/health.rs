//! Who is unhealthy, and who of them is replaced now.

use super::super::facts::Fact;
use super::roll::limits;
use super::{LaunchWhy, Planner, Step, TerminateWhy};
use jiff::Timestamp;
use model::autoscaling::{GroupInstance, LifecycleState as L, UnhealthyBecause};
use model::instance::InstanceState;
use std::collections::BTreeSet;

/// How long an impaired instance is given to recover. AWS says "a few minutes" (assumption).
const IMPAIRED_SECS: u32 = 180;

impl Planner<'_> {
    pub(super) fn health(&mut self) {
        let mut in_service: BTreeSet<&String> =
            self.group.target_groups_in_service.iter().collect();
        for fact in self.facts.values() {
            for target_group in fact
                .healthy_in
                .iter()
                .filter(|t| self.group.target_groups.contains(t))
            {
                if in_service.insert(target_group) {
                    self.steps
                        .push(Step::TargetGroupInService(target_group.clone()));
                }
            }
        }
        for member in self
            .group
            .instances
            .iter()
            .filter(|m| m.lifecycle == L::InService)
        {
            let Some(fact) = self.facts.get(&member.id) else {
                continue;
            };
            let all_healthy = self
                .group
                .target_groups
                .iter()
                .all(|t| fact.healthy_in.contains(t));
            if !member.seen_healthy && all_healthy {
                self.steps.push(Step::SeenHealthy(member.id.clone()));
            }
            if !member.healthy || self.suspended("HealthCheck") {
                continue;
            }
            // Not running is a failure even within the grace period.
            if fact.state != Some(InstanceState::Running) {
                self.steps.push(Step::MarkUnhealthy(
                    member.id.clone(),
                    UnhealthyBecause::Ec2State,
                ));
                continue;
            }
            let failing =
                |t: &String| self.group.target_groups.contains(t) && in_service.contains(t);
            let failing = self.elb_health() && fact.unhealthy_in.iter().any(failing);
            let grace_end = self.grace_end(member);
            let verdicts = [
                (
                    self.given_up_at(fact).map(|at| at.max(grace_end)),
                    UnhealthyBecause::Ec2StatusCheck,
                ),
                (failing.then_some(grace_end), UnhealthyBecause::LoadBalancer),
            ];
            let mut due = verdicts.iter().filter_map(|(at, why)| Some(((*at)?, *why)));
            if let Some((_, because)) = due.clone().find(|(at, _)| *at <= self.now) {
                self.steps
                    .push(Step::MarkUnhealthy(member.id.clone(), because));
            } else if let Some(at) = due.by_ref().map(|(at, _)| at).min() {
                self.look_again(at);
            }
        }
    }

    /// When a failing status check is no longer waited for. An instance that merely boots again
    /// fails it as well, so `speed` never makes this less than such a boot.
    fn given_up_at(&self, fact: &Fact) -> Option<Timestamp> {
        let boot = fact.boot.map(|boot| boot.saturating_mul(2));
        let wait = self.speed.wait_with_boot(IMPAIRED_SECS, boot);
        fact.impaired.map(|since| since + wait)
    }

    pub(super) fn elb_health(&self) -> bool {
        self.group.health_check_types.iter().any(|t| t == "ELB")
    }

    pub(super) fn grace_end(&self, member: &GroupInstance) -> Timestamp {
        // An instance that was recovered boots again, and is given the time for it.
        let running = self.facts.get(&member.id).and_then(|f| f.running_since);
        member.in_service.max(running).unwrap_or(self.now) + self.group.grace_of(member, self.speed)
    }

    /// Terminate first, and the launch follows from the missing capacity; or launch first, where
    /// the maintenance policy says so and the instance still runs.
    pub(super) fn replace(&mut self) {
        let group = self.group;
        if self.suspended("ReplaceUnhealthy")
            || self.suspended("Terminate")
            || group.deleting.is_some()
        {
            return;
        }
        let desired = group.desired_capacity() as usize;
        let policy = group
            .maintenance_policy
            .map(|(min, max)| limits(desired, min.unsigned_abs(), max.unsigned_abs()));
        let launch_first = policy.filter(|p| desired <= p.low);
        let mut room = match policy {
            Some(policy) => desired.saturating_sub(policy.low),
            None => desired / 10,
        }
        .max(1)
        .saturating_sub(self.under_way());
        let ignores = group.impaired_zone_behavior.as_deref() == Some("IgnoreUnhealthy");
        let warmup = self.replacement_warmup();
        self.hand_over(warmup, |old| {
            let because = old.unhealthy_because?;
            (!old.healthy).then_some(TerminateWhy::Unhealthy(because))
        });
        for member in &group.instances {
            if member.lifecycle != L::InService || member.healthy || self.terminates(&member.id) {
                continue;
            }
            // What is ill in a zone that is moved away from may well be its zone.
            if ignores && self.shifted == Some(member.zone.as_str()) {
                continue;
            }
            let because = member
                .unhealthy_because
                .unwrap_or(UnhealthyBecause::Ec2State);
            let unexpected = because == UnhealthyBecause::Ec2State;
            match launch_first {
                // It carries nothing yet that another would have to carry first, and the room is
                // the next successor's.
                Some(_) if !unexpected && self.is_ahead(member) => {
                    self.steps.push(Step::Terminate {
                        id: member.id.clone(),
                        why: TerminateWhy::Unhealthy(because),
                    });
                    continue;
                }
                Some(policy) if !unexpected => {
                    self.launch_ahead(member, policy.high, LaunchWhy::Replacement);
                    continue;
                }
                _ => {}
            }
            if !unexpected && because != UnhealthyBecause::User {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            self.steps.push(Step::Terminate {
                id: member.id.clone(),
                why: TerminateWhy::Unhealthy(because),
            });
        }
    }

    /// As long as there are fewer than `most`.
    pub(super) fn launch_ahead(&mut self, member: &GroupInstance, most: usize, why: LaunchWhy) {
        let waits = self.group.retry_at.is_some_and(|at| self.now < at);
        let full = most <= self.total();
        if full || waits || self.suspended("Launch") || self.paired().contains(&member.id) {
            return;
        }
        let zones = self.zones_for(member);
        self.launch(zones, why, Some(member.id.clone()));
    }

    /// Replacements that have begun: until the new instance has passed its first check or its grace.
    fn under_way(&self) -> usize {
        let runs = |m: &GroupInstance| {
            let fact = self.facts.get(&m.id);
            fact.is_some_and(|f| f.state == Some(InstanceState::Running))
        };
        let begun = |m: &&GroupInstance| match m.lifecycle {
            state if state.is_pending() => true,
            state if state.is_terminating() => !m.healthy && runs(m),
            L::InService => {
                m.healthy
                    && !self.group.target_groups.is_empty()
                    && !m.seen_healthy
                    && self.now < self.grace_end(m)
            }
            _ => false,
        };
        self.group.instances.iter().filter(begun).count()
    }
}
