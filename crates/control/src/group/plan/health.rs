//! Who is unhealthy, and who of them is replaced now.

use super::{Planner, Step, TerminateWhy};
use jiff::{SignedDuration, Timestamp};
use model::autoscaling::{GroupInstance, LifecycleState as L, UnhealthyBecause};
use model::instance::InstanceState;
use std::collections::BTreeSet;

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
            let elb = self.elb_health();
            let failing = fact
                .unhealthy_in
                .iter()
                .any(|t| self.group.target_groups.contains(t) && in_service.contains(t));
            if !elb || !failing {
                continue;
            }
            let grace_end = self.grace_end(member);
            if self.now >= grace_end {
                self.steps.push(Step::MarkUnhealthy(
                    member.id.clone(),
                    UnhealthyBecause::LoadBalancer,
                ));
            } else {
                self.look_again(grace_end);
            }
        }
    }

    pub(super) fn elb_health(&self) -> bool {
        self.group.health_check_types.iter().any(|t| t == "ELB")
    }

    pub(super) fn grace_end(&self, member: &GroupInstance) -> Timestamp {
        let boot = self.group.measured_boot_ms.map(SignedDuration::from_millis);
        // An instance that was recovered boots again, and is given the time for it.
        let running = self.facts.get(&member.id).and_then(|f| f.running_since);
        member.in_service.max(running).unwrap_or(self.now)
            + self
                .speed
                .wait_with_boot(self.group.health_check_grace_period, boot)
    }

    /// Terminate first; the launch follows from the missing capacity.
    pub(super) fn replace(&mut self) {
        if self.suspended("ReplaceUnhealthy")
            || self.suspended("Terminate")
            || self.group.deleting.is_some()
        {
            return;
        }
        let limit = (self.group.desired_capacity as usize / 10).max(1);
        // A replacement is under way until the new instance has passed its first check or its grace.
        let mut under_way = self
            .group
            .instances
            .iter()
            .filter(|m| match m.lifecycle {
                L::Pending => true,
                L::Terminating => {
                    !m.healthy
                        && self
                            .facts
                            .get(&m.id)
                            .is_some_and(|f| f.state == Some(InstanceState::Running))
                }
                L::InService => {
                    m.healthy
                        && !self.group.target_groups.is_empty()
                        && !m.seen_healthy
                        && self.now < self.grace_end(m)
                }
                _ => false,
            })
            .count();
        for member in self
            .group
            .instances
            .iter()
            .filter(|m| m.lifecycle == L::InService && !m.healthy)
        {
            let because = member
                .unhealthy_because
                .unwrap_or(UnhealthyBecause::Ec2State);
            let at_once = matches!(because, UnhealthyBecause::Ec2State | UnhealthyBecause::User);
            if !at_once {
                if under_way >= limit {
                    continue;
                }
                under_way += 1;
            }
            self.steps.push(Step::Terminate {
                id: member.id.clone(),
                why: TerminateWhy::Unhealthy(because),
            });
        }
    }
}
