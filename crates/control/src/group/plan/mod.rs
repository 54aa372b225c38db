//! What a group should do next, as a pure function of its record and what is known of its members.
//!
//! Source: `reference/autoscaling.md` §2–§5 (`https://docs.aws.amazon.com/autoscaling/ec2/userguide/`).

mod health;
mod hook;
mod lifetime;
mod member;
mod recommendation;
mod refresh;
mod roll;
mod size;
#[cfg(test)]
mod tests;
mod victim;
mod warm;

use super::facts::Fact;
use super::fleet::{self, Fleet};
use crate::clock::Speed;
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use model::LaunchTemplateId;
use model::autoscaling::{
    AutoScalingGroup, GroupInstance, GroupTemplate, LifecycleState, Transition, UnhealthyBecause,
};
use model::instance_refresh::InstanceRefresh;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Try these zones in this order.
    Launch {
        zones: Vec<String>,
        why: LaunchWhy,
        /// Ahead of this member, which goes once the new one is ready.
        replaces: Option<InstanceId>,
    },
    /// It runs: into service.
    EnterService(InstanceId),
    /// Its hooks of this transition are told, and it waits for them.
    AwaitHooks(InstanceId, Transition),
    /// Nobody completed the hook in time: its default result counts.
    HookTimedOut {
        id: InstanceId,
        token: String,
    },
    /// All hooks have been completed.
    Proceed(InstanceId),
    /// A hook said that it shall not come in.
    Abandon(InstanceId),
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
    /// A warmed instance becomes a member.
    FromPool {
        id: InstanceId,
        why: LaunchWhy,
    },
    /// Drained: it goes to the warm pool.
    ToPool(InstanceId),
    /// Has booted for the warm pool, which keeps stopped ones.
    Chill(InstanceId),
    Warmed(InstanceId, LifecycleState),
    /// A deleted warm pool without instances.
    PoolGone,
    /// Drained: it stands by.
    StandBy(InstanceId),
    /// Drained: it is no member any more.
    Detach(InstanceId),
    /// The capacity is as desired: the cause of its last change has been told.
    SettleCause,
    /// The instance refresh as it was, and as it is now.
    Refresh(Box<(InstanceRefresh, InstanceRefresh)>),
    /// A deleted group without members.
    Vanish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchWhy {
    Capacity,
    Replacement,
    Rebalance,
    Refresh,
    Lifetime,
    /// Ahead of a Spot Instance that is about to be taken back.
    Recommendation,
    /// For the warm pool.
    Warm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminateWhy {
    Capacity,
    /// The warm pool holds more than it shall.
    Warm,
    Unhealthy(UnhealthyBecause),
    Rebalance,
    Refresh,
    Lifetime,
    Recommendation,
}

/// What a plan is made from.
pub struct Situation<'a> {
    pub group: &'a AutoScalingGroup,
    pub facts: &'a BTreeMap<InstanceId, Fact>,
    /// The zone that a zonal shift moves it away from.
    pub shifted: Option<&'a str>,
    /// The instance refresh that is under way.
    pub refresh: Option<&'a InstanceRefresh>,
    /// Alarms of the refresh that are in ALARM.
    pub refresh_alarms: Vec<String>,
    /// What is launched from: the group's own, or a refresh's.
    pub template: &'a GroupTemplate,
    pub current: Current,
    /// Zones are not balanced before: it failed.
    pub rebalance_at: Option<Timestamp>,
    pub speed: Speed,
    pub now: Timestamp,
}

/// What a launch would use now, `$Latest` and the like resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    pub template: (LaunchTemplateId, u64),
    /// Of overrides that have templates of their own, by type.
    pub by_type: BTreeMap<String, (LaunchTemplateId, u64)>,
}

impl Current {
    /// For an instance of the type.
    pub fn of(&self, instance_type: &str) -> &(LaunchTemplateId, u64) {
        self.by_type.get(instance_type).unwrap_or(&self.template)
    }
}

/// Steps in order, and when to look again.
pub fn plan(situation: Situation<'_>) -> (Vec<Step>, Option<Timestamp>) {
    let Situation {
        group,
        facts,
        shifted,
        refresh,
        refresh_alarms,
        template,
        current,
        rebalance_at,
        speed,
        now,
    } = situation;
    let mut planner = Planner {
        group,
        facts,
        shifted,
        refresh,
        refresh_alarms,
        template,
        current,
        fleet: None,
        launching: 0,
        rebalance_at,
        speed,
        now,
        turned: false,
        steps: Vec::new(),
        again: None,
    };
    planner.members();
    planner.health();
    planner.replace();
    planner.recommendations();
    planner.refresh();
    planner.lifetime();
    planner.size();
    planner.pool();
    (planner.steps, planner.again)
}

struct Planner<'a> {
    group: &'a AutoScalingGroup,
    facts: &'a BTreeMap<InstanceId, Fact>,
    shifted: Option<&'a str>,
    refresh: Option<&'a InstanceRefresh>,
    refresh_alarms: Vec<String>,
    template: &'a GroupTemplate,
    current: Current,
    /// The members and what this plan launches; made for the first launch.
    fleet: Option<Fleet<'a>>,
    /// Units that this plan launches.
    launching: usize,
    rebalance_at: Option<Timestamp>,
    speed: Speed,
    now: Timestamp,
    /// What is launched from changes with this plan: launches wait for the next one.
    turned: bool,
    steps: Vec<Step>,
    again: Option<Timestamp>,
}

impl<'a> Planner<'a> {
    /// Plans a launch; gives the units that it is expected to make.
    fn launch(
        &mut self,
        zones: Vec<String>,
        why: LaunchWhy,
        replaces: Option<InstanceId>,
    ) -> usize {
        let (group, template) = (self.group, self.template);
        // The pool's instances do not count as capacity.
        let units = if why == LaunchWhy::Warm || template.policy.is_none() {
            1
        } else {
            let fleet = self
                .fleet
                .get_or_insert_with(|| Fleet::new(group, template, fleet::staying(group)));
            let replaced = replaces.as_ref().and_then(|id| group.member(id));
            replaced.into_iter().for_each(|m| fleet.lose(m));
            let zone = zones.first().map_or("", String::as_str);
            fleet.grow(zone) as usize
        };
        if why != LaunchWhy::Warm {
            self.launching += units;
        }
        self.steps.push(Step::Launch {
            zones,
            why,
            replaces,
        });
        units
    }

    /// The zones that launches go to, with nobody in them yet.
    fn open_zones(&self) -> BTreeMap<&'a str, usize> {
        let zones = self.group.zones.iter().map(|z| (z.as_str(), 0));
        let away = |zone: &str| self.shifted == Some(zone);
        let open: BTreeMap<_, _> = zones.clone().filter(|(z, _)| !away(z)).collect();
        match open.is_empty() {
            // There is nowhere else to go.
            true => zones.collect(),
            false => open,
        }
    }

    fn suspended(&self, process: &str) -> bool {
        self.group.suspended(process)
    }

    /// The longest that an instance of the group was seen to boot.
    fn boot(&self) -> Option<SignedDuration> {
        self.group.measured_boot_ms.map(SignedDuration::from_millis)
    }

    /// Members move on as their instances do.
    fn look_again(&mut self, at: Timestamp) {
        self.again = crate::clock::earliest(self.again, Some(at));
    }
}

/// Units of capacity.
fn units<'a>(members: impl IntoIterator<Item = &'a GroupInstance>) -> usize {
    members.into_iter().map(|m| m.weight as usize).sum()
}
