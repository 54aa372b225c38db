//! What is known of a group's members beyond its record: their instances and their targets.

use crate::clock::Speed;
use crate::index::Targets;
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, GroupInstance};
use model::elbv2::TargetState;
use model::instance::InstanceState;
use std::collections::{BTreeMap, BTreeSet};
use store::{ScopedName, State, TargetHealthKey};

/// What is known of one member beyond the group's record.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// `None`: there is no such instance any more.
    pub state: Option<InstanceState>,
    pub running_since: Option<Timestamp>,
    pub launched: Option<Timestamp>,
    /// When its launch configuration was made, if that is still there.
    pub configured: Option<Timestamp>,
    /// Target groups that call its target healthy, and those that call it unhealthy.
    pub healthy_in: BTreeSet<String>,
    pub unhealthy_in: BTreeSet<String>,
    /// Target groups that hold a target of it: registered, and draining.
    pub registered_in: BTreeSet<String>,
    pub draining_in: BTreeSet<String>,
    /// Since when its instance status check has failed.
    pub impaired: Option<Timestamp>,
    /// How long its init took to boot.
    pub boot: Option<SignedDuration>,
    /// A Spot Instance at a higher risk of being interrupted.
    pub at_risk: bool,
}

impl Fact {
    /// No target group holds a target of it any more.
    pub fn drained(&self) -> bool {
        self.registered_in.is_empty() && self.draining_in.is_empty()
    }
}

/// Groups look at the health that load balancers report once in a while, not all the time.
/// The period is an assumption: AWS states none, captures show an instance marked 30 to 45 s
/// after it was terminated.
const HEALTH_PERIOD_SECS: u32 = 30;

/// Whether a periodic look falls between the two moments.
fn looked_between(since: Timestamp, now: Timestamp, speed: Speed) -> bool {
    let period = (speed.wait(HEALTH_PERIOD_SECS).as_millis() as i64).max(1);
    since.as_millisecond().div_euclid(period) < now.as_millisecond().div_euclid(period)
}

pub fn facts(
    state: &State,
    targets: &Targets<'_>,
    group: &AutoScalingGroup,
    speed: Speed,
    now: Timestamp,
) -> BTreeMap<InstanceId, Fact> {
    let fact = |member: &GroupInstance| {
        let id = &member.id;
        let instance = state.instances.get(id);
        let configuration = member.configuration.as_ref().and_then(|name| {
            let key = ScopedName::new(&group.scope, name);
            state.launch_configurations.get(&key)
        });
        let mut fact = Fact {
            state: instance.map(|i| i.state),
            running_since: instance
                .filter(|i| i.state == InstanceState::Running)
                .map(|i| i.state_since),
            launched: instance.map(|i| i.launched),
            configured: configuration.map(|c| c.created),
            healthy_in: Default::default(),
            unhealthy_in: Default::default(),
            registered_in: Default::default(),
            draining_in: Default::default(),
            impaired: instance.and_then(|i| i.unreachable),
            boot: instance.and_then(|i| Some(i.ready?.duration_since(i.launched))),
            at_risk: instance.is_some_and(|i| {
                let spot = i.spot.as_ref();
                spot.is_some_and(|s| s.rebalance.is_some() || s.ends.is_some())
            }),
        };
        for (target_group, target) in targets.of(id.as_str()) {
            let arn = target_group.arn.clone();
            match target.draining {
                Some(_) => fact.draining_in.insert(arn.clone()),
                None => fact.registered_in.insert(arn.clone()),
            };
            let key = TargetHealthKey {
                target_group: arn.clone(),
                target: target.id.clone(),
                port: target.port,
            };
            match state.target_health.get(&key).map(|h| (h.state, h.since)) {
                Some((TargetState::Healthy, _)) => fact.healthy_in.insert(arn),
                Some((TargetState::Unhealthy | TargetState::UnhealthyDraining, since))
                    if looked_between(since, now, speed) =>
                {
                    fact.unhealthy_in.insert(arn)
                }
                _ => false,
            };
        }
        fact
    };
    group.held().map(|m| (m.id.clone(), fact(m))).collect()
}
