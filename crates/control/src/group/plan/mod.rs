//! What a group should do next, as a pure function of its record and what is known of its members.
//!
//! Source: `reference/autoscaling.md` §2–§5 (`https://docs.aws.amazon.com/autoscaling/ec2/userguide/`).

mod health;
mod member;
mod size;
#[cfg(test)]
mod tests;
mod victim;

use super::facts::Fact;
use crate::clock::Speed;
use jiff::Timestamp;
use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, UnhealthyBecause};
use std::collections::BTreeMap;

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
    fn look_again(&mut self, at: Timestamp) {
        self.again = crate::clock::earliest(self.again, Some(at));
    }
}
