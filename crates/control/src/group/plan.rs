//! What a group should do next, as a pure function of its record and what is known of its members.
//!
//! Source: `reference/autoscaling.md` §2–§5 (`https://docs.aws.amazon.com/autoscaling/ec2/userguide/`).

use crate::clock::Speed;
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, GroupInstance, LifecycleState as L, UnhealthyBecause};
use model::instance::InstanceState;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one member beyond the group's record.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// `None`: there is no such instance any more.
    pub state: Option<InstanceState>,
    pub running_since: Option<Timestamp>,
    /// Target groups that call its target healthy, and those that call it unhealthy.
    pub healthy_in: BTreeSet<String>,
    pub unhealthy_in: BTreeSet<String>,
    /// Target groups that hold a target of it: registered, and draining.
    pub registered_in: BTreeSet<String>,
    pub draining_in: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Try these zones in this order.
    Launch {
        zones: Vec<String>,
        why: LaunchWhy,
    },
    /// It runs: into service.
    EnterService(InstanceId),
    /// It never came to run.
    LaunchFailed(InstanceId),
    Register {
        id: InstanceId,
        target_group: String,
    },
    SeenHealthy(InstanceId),
    TargetGroupInService(String),
    MarkUnhealthy(InstanceId, UnhealthyBecause),
    /// Take it out of its target groups and, once drained, end it.
    Terminate {
        id: InstanceId,
        why: TerminateWhy,
    },
    /// Drained: end the instance.
    End(InstanceId),
    /// It is gone for good.
    Leave(InstanceId),
    /// The capacity is as desired: the cause of its last change has been told.
    SettleCause,
    /// A deleted group without members.
    Vanish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchWhy {
    Capacity,
    Replacement,
    Rebalance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminateWhy {
    Capacity,
    Unhealthy(UnhealthyBecause),
    Rebalance,
}

/// Steps in order, and when to look again.
pub fn plan(
    group: &AutoScalingGroup,
    facts: &BTreeMap<InstanceId, Fact>,
    latest_version: u64,
    rebalance_at: Option<Timestamp>,
    speed: Speed,
    now: Timestamp,
) -> (Vec<Step>, Option<Timestamp>) {
    let mut planner = Planner {
        group,
        facts,
        rebalance_at,
        speed,
        now,
        steps: Vec::new(),
        again: None,
    };
    planner.members();
    planner.health();
    planner.replace();
    planner.size(latest_version);
    (planner.steps, planner.again)
}

struct Planner<'a> {
    group: &'a AutoScalingGroup,
    facts: &'a BTreeMap<InstanceId, Fact>,
    /// Zones are not balanced before: it failed.
    rebalance_at: Option<Timestamp>,
    speed: Speed,
    now: Timestamp,
    steps: Vec<Step>,
    again: Option<Timestamp>,
}

impl Planner<'_> {
    fn suspended(&self, process: &str) -> bool {
        self.group
            .suspended_processes
            .iter()
            .any(|(name, _)| name == process)
    }

    /// Members move on as their instances do.
    fn members(&mut self) {
        for member in &self.group.instances {
            let Some(fact) = self.facts.get(&member.id) else {
                continue;
            };
            match (member.lifecycle, fact.state) {
                (L::Pending, Some(InstanceState::Running)) => {
                    self.steps.push(Step::EnterService(member.id.clone()))
                }
                (
                    L::Pending,
                    None | Some(InstanceState::Terminated | InstanceState::ShuttingDown),
                ) => {
                    self.steps.push(Step::LaunchFailed(member.id.clone()));
                }
                (L::InService, Some(_)) if !self.suspended("AddToLoadBalancer") => {
                    for target_group in &self.group.target_groups {
                        if !fact.registered_in.contains(target_group)
                            && !fact.draining_in.contains(target_group)
                            && fact.state == Some(InstanceState::Running)
                        {
                            self.steps.push(Step::Register {
                                id: member.id.clone(),
                                target_group: target_group.clone(),
                            });
                        }
                    }
                }
                (L::Terminating, None | Some(InstanceState::Terminated)) => {
                    self.steps.push(Step::Leave(member.id.clone()))
                }
                (L::Terminating, Some(state)) => {
                    let ending = matches!(state, InstanceState::ShuttingDown);
                    if !ending && fact.registered_in.is_empty() && fact.draining_in.is_empty() {
                        self.steps.push(Step::End(member.id.clone()));
                    }
                }
                _ => {}
            }
        }
    }

    fn health(&mut self) {
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

    fn elb_health(&self) -> bool {
        self.group.health_check_types.iter().any(|t| t == "ELB")
    }

    fn grace_end(&self, member: &GroupInstance) -> Timestamp {
        let boot = self.group.measured_boot_ms.map(SignedDuration::from_millis);
        // An instance that was recovered boots again, and is given the time for it.
        let running = self.facts.get(&member.id).and_then(|f| f.running_since);
        member.in_service.max(running).unwrap_or(self.now)
            + self
                .speed
                .wait_with_boot(self.group.health_check_grace_period, boot)
    }

    /// Terminate first; the launch follows from the missing capacity.
    fn replace(&mut self) {
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

    /// Launches what is missing, ends what is too much, and balances zones when at rest.
    fn size(&mut self, latest_version: u64) {
        let leaving = |m: &&GroupInstance| {
            matches!(
                m.lifecycle,
                L::Terminating | L::Detaching | L::Standby | L::EnteringStandby
            ) || self.steps.iter().any(
                |s| matches!(s, Step::Terminate { id, .. } | Step::LaunchFailed(id) if *id == m.id),
            )
        };
        let active: Vec<&GroupInstance> = self
            .group
            .instances
            .iter()
            .filter(|m| !leaving(m))
            .collect();
        if self.group.deleting.is_some() {
            if self.group.instances.is_empty() {
                self.steps.push(Step::Vanish);
            }
            let all: Vec<InstanceId> = active.iter().map(|m| m.id.clone()).collect();
            self.steps.extend(all.into_iter().map(|id| Step::Terminate {
                id,
                why: TerminateWhy::Capacity,
            }));
            return;
        }
        let mut per_zone: BTreeMap<&str, usize> =
            self.group.zones.iter().map(|z| (z.as_str(), 0)).collect();
        for member in &active {
            if let Some(count) = per_zone.get_mut(member.zone.as_str()) {
                *count += 1;
            }
        }
        let desired = self.group.desired_capacity as usize;
        // A rebalancing launch is above the desired capacity until it serves, as far as somebody
        // looks whether it does: a target group that nobody uses never says so.
        let watched = self.elb_health() && !self.group.target_groups_in_service.is_empty();
        let serving =
            |m: &&&GroupInstance| m.lifecycle == L::InService && (!watched || m.seen_healthy);
        let surplus = active
            .iter()
            .filter(|m| m.rebalancing && !serving(m))
            .count();
        let counted = active.len() - surplus;
        let waiting = self.group.retry_at.filter(|at| self.now < *at);
        // How long to wait is known once the failure is noted.
        if self
            .steps
            .iter()
            .any(|s| matches!(s, Step::LaunchFailed(_)))
        {
            return;
        }
        if counted < desired && !self.suspended("Launch") {
            if let Some(at) = waiting {
                self.look_again(at);
                return;
            }
            let replaced = self
                .group
                .instances
                .iter()
                .any(|m| m.lifecycle == L::Terminating && !m.healthy)
                || self.steps.iter().any(|s| {
                    matches!(
                        s,
                        Step::Terminate {
                            why: TerminateWhy::Unhealthy(_),
                            ..
                        }
                    )
                });
            let why = if replaced && self.group.last_cause.is_none() {
                LaunchWhy::Replacement
            } else {
                LaunchWhy::Capacity
            };
            for _ in counted..desired {
                let zones = by_fewest(&per_zone);
                if let Some(count) = zones.first().and_then(|z| per_zone.get_mut(z.as_str())) {
                    *count += 1;
                }
                self.steps.push(Step::Launch { zones, why });
            }
        } else if counted > desired && !self.suspended("Terminate") {
            let rebalance = active.iter().any(|m| m.rebalancing) && self.group.last_cause.is_none();
            let why = if rebalance {
                TerminateWhy::Rebalance
            } else {
                TerminateWhy::Capacity
            };
            let mut left: Vec<&GroupInstance> = active.clone();
            for _ in desired..counted {
                let Some(victim) = victim(&left, &self.group.termination_policies, latest_version)
                else {
                    break;
                };
                left.retain(|m| m.id != victim);
                self.steps.push(Step::Terminate { id: victim, why });
            }
        } else if self.steps.is_empty()
            && surplus == 0
            && active
                .iter()
                .all(|m| m.lifecycle == L::InService && m.healthy)
        {
            self.rebalance(&per_zone);
        }
        // A change of capacity that others undid explains nothing that comes later.
        if self.steps.is_empty() && counted == desired && self.group.last_cause.is_some() {
            self.steps.push(Step::SettleCause);
        }
    }

    /// Launch first in the smallest zone; the largest then loses one.
    fn rebalance(&mut self, per_zone: &BTreeMap<&str, usize>) {
        if ["AZRebalance", "Launch", "Terminate"]
            .iter()
            .any(|p| self.suspended(p))
        {
            return;
        }
        let (Some(least), Some(most)) = (per_zone.values().min(), per_zone.values().max()) else {
            return;
        };
        if most - least < 2 {
            return;
        }
        if let Some(at) = self.rebalance_at.filter(|at| self.now < *at) {
            return self.look_again(at);
        }
        let smallest = per_zone
            .iter()
            .filter(|(_, n)| *n == least)
            .map(|(z, _)| (*z).to_owned())
            .take(1)
            .collect();
        self.steps.push(Step::Launch {
            zones: smallest,
            why: LaunchWhy::Rebalance,
        });
    }

    fn look_again(&mut self, at: Timestamp) {
        self.again = crate::clock::earliest(self.again, Some(at));
    }
}

/// Zones, the one with the fewest instances first.
fn by_fewest(per_zone: &BTreeMap<&str, usize>) -> Vec<String> {
    let mut zones: Vec<(&str, usize)> = per_zone.iter().map(|(z, n)| (*z, *n)).collect();
    zones.sort_by_key(|(_, n)| *n);
    zones.into_iter().map(|(z, _)| z.to_owned()).collect()
}

/// Scale-in: the zone with most unprotected instances, then the termination policies in it.
fn victim(
    active: &[&GroupInstance],
    policies: &[String],
    latest_version: u64,
) -> Option<InstanceId> {
    // An unhealthy one goes first whatever the policy says.
    if let Some(ill) = active.iter().find(|m| !m.healthy) {
        return Some(ill.id.clone());
    }
    let open: Vec<&&GroupInstance> = active
        .iter()
        .filter(|m| !m.protected_from_scale_in)
        .collect();
    let mut per_zone: BTreeMap<&str, usize> = BTreeMap::new();
    for member in &open {
        *per_zone.entry(&member.zone).or_default() += 1;
    }
    let most = *per_zone.values().max()?;
    let mut chosen: Vec<&&GroupInstance> = open
        .into_iter()
        .filter(|m| per_zone[m.zone.as_str()] == most)
        .collect();
    for policy in policies {
        match policy.as_str() {
            "NewestInstance" => keep(&mut chosen, |m| std::cmp::Reverse(m.in_service)),
            "OldestInstance" => keep(&mut chosen, |m| m.in_service),
            // The version that new launches do not use comes before the current one.
            "OldestLaunchTemplate" | "Default" => keep(&mut chosen, |m| {
                (m.template.2 == latest_version, m.template.2)
            }),
            // On-demand only, and no billing hours: nothing to prefer.
            _ => {}
        }
    }
    // AWS then picks at random; the newest is as good and keeps timelines repeatable
    // (of equals, `max_by_key` takes the last, which joined last).
    chosen
        .iter()
        .max_by_key(|m| m.in_service)
        .map(|m| m.id.clone())
}

/// Keeps those for which `rank` is lowest.
fn keep<K: Ord>(chosen: &mut Vec<&&GroupInstance>, rank: impl Fn(&GroupInstance) -> K) {
    if let Some(best) = chosen.iter().map(|m| rank(m)).min() {
        chosen.retain(|m| rank(m) == best);
    }
}

#[cfg(test)]
mod tests;
