//! Who belongs to whom. What a record says of its owner the store looks up the other way round; what
//! lies in lists within records is worked out once per pass here, since searching them for each of a
//! thousand instances takes their square.

use crate::load_balancer::groups_of;
use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, GroupInstance};
use model::elbv2::{LoadBalancer, Target, TargetGroup};
use model::vpc::NetworkInterface;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::State;

/// An instance's interfaces, the primary first.
pub fn interfaces<'a>(state: &'a State, instance: &InstanceId) -> Vec<&'a NetworkInterface> {
    let mut found: Vec<&NetworkInterface> = state
        .network_interfaces
        .of(instance)
        .map(Arc::as_ref)
        .collect();
    found.sort_by_key(|i| i.attachment.as_ref().map(|a| a.device_index));
    found
}

pub fn primary<'a>(state: &'a State, instance: &InstanceId) -> Option<&'a NetworkInterface> {
    let mut found = state.network_interfaces.of(instance);
    let first = found.find(|i| i.attachment.as_ref().is_some_and(|a| a.device_index == 0));
    first.map(Arc::as_ref)
}

/// The balancers whose listeners may choose a target group, by its ARN.
pub struct Balancers<'a>(BTreeMap<String, Vec<&'a LoadBalancer>>);

impl<'a> Balancers<'a> {
    pub fn new(state: &'a State) -> Self {
        let mut found: BTreeMap<String, Vec<&LoadBalancer>> = BTreeMap::new();
        for balancer in state
            .load_balancers
            .values()
            .filter(|b| b.deleted.is_none())
        {
            for group in groups_of(state, balancer) {
                found.entry(group).or_default().push(balancer);
            }
        }
        Self(found)
    }
    pub fn of(&self, group: &str) -> &[&'a LoadBalancer] {
        self.0.get(group).map_or(&[], Vec::as_slice)
    }
}

/// The targets that are an instance, with their groups.
pub struct Targets<'a>(BTreeMap<&'a str, Vec<(&'a TargetGroup, &'a Target)>>);

impl<'a> Targets<'a> {
    pub fn new(state: &'a State) -> Self {
        let mut found: BTreeMap<&str, Vec<(&TargetGroup, &Target)>> = BTreeMap::new();
        for group in state.target_groups.values() {
            for target in &group.targets {
                found.entry(&target.id).or_default().push((group, target));
            }
        }
        Self(found)
    }
    pub fn of(&self, instance: &str) -> &[(&'a TargetGroup, &'a Target)] {
        self.0.get(instance).map_or(&[], Vec::as_slice)
    }
}

/// The group that an instance is a member of: its name and the membership.
pub struct Members<'a>(BTreeMap<&'a str, (&'a AutoScalingGroup, &'a GroupInstance)>);

impl<'a> Members<'a> {
    pub fn new(state: &'a State) -> Self {
        let groups = state.auto_scaling_groups.values();
        Self(
            groups
                .flat_map(|g| g.held().map(|m| (m.id.as_str(), (&**g, m))))
                .collect(),
        )
    }
    pub fn of(&self, instance: &str) -> Option<(&'a AutoScalingGroup, &'a GroupInstance)> {
        self.0.get(instance).copied()
    }
}
