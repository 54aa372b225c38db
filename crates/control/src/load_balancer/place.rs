//! Where targets are reached, and what the balancer calls them.

use crate::index::primary;
use model::elbv2::{LoadBalancerZone, Target, TargetGroup};
use model::instance::{Instance, InstanceState};
use std::net::Ipv4Addr;
use store::State;

/// The key of a target in the balancer's configuration.
pub fn target_key(target: &Target) -> String {
    format!("{}:{}", target.id, target.port)
}

/// The same of one node of a target that is a load balancer.
pub fn node_key(target: &Target, node: &LoadBalancerZone) -> String {
    format!("{}@{}", target_key(target), node.zone)
}

/// All keys under which the balancer knows a target.
pub fn target_keys(
    state: &State,
    group: &TargetGroup,
    target: &Target,
) -> impl Iterator<Item = String> + use<> {
    let keys = match place(state, group, target) {
        Place::Nodes(zones) => zones.iter().map(|node| node_key(target, node)).collect(),
        Place::At(..) | Place::Unfit(_) => vec![target_key(target)],
    };
    keys.into_iter()
}

/// Where a target is reached.
pub enum Place<'a> {
    At(Ipv4Addr, Option<String>),
    /// An application load balancer, in each of its zones.
    Nodes(&'a [LoadBalancerZone]),
    /// It cannot serve now, and why (`Target.InvalidState`).
    Unfit(String),
}

pub fn place<'a>(state: &'a State, group: &TargetGroup, target: &Target) -> Place<'a> {
    if group.target_type == "alb" {
        let balancer = state.load_balancers.get(&target.id);
        let standing = balancer.filter(|balancer| balancer.deleted.is_none());
        return match standing {
            Some(balancer) => Place::Nodes(&balancer.zones),
            None => Place::Unfit("Target is a load balancer that does not exist".into()),
        };
    }
    let zone = zone_of(state, group, target);
    if group.target_type == "ip" {
        return match target.id.parse::<Ipv4Addr>() {
            Ok(address) => Place::At(address, zone),
            Err(_) => Place::Unfit("Target is not an IPv4 address".into()),
        };
    }
    let Some(instance) = instance_of(state, target) else {
        return Place::Unfit("Target is in the terminated state".into());
    };
    if instance.state != InstanceState::Running {
        return Place::Unfit(format!("Target is in the {} state", instance.state.name()));
    }
    match primary(state, &instance.id) {
        Some(interface) => Place::At(interface.primary_ip(), zone),
        None => Place::Unfit("Target has no network interface".into()),
    }
}

pub fn instance_of<'a>(state: &'a State, target: &Target) -> Option<&'a Instance> {
    state.instances.get(target.id.as_str()).map(|i| &**i)
}

/// The zone that a target is in; `None` is in all of them.
pub fn zone_of(state: &State, group: &TargetGroup, target: &Target) -> Option<String> {
    if group.target_type == "alb" {
        return None;
    }
    if group.target_type != "ip" {
        return instance_of(state, target).map(|i| i.zone.clone());
    }
    let address = target.id.parse::<Ipv4Addr>().ok()?;
    let subnet = state
        .subnets
        .of(&group.vpc)
        .find(|s| s.cidr.contains(&address));
    subnet
        .map(|s| s.zone.clone())
        .or_else(|| target.zone.clone().filter(|z| z != "all"))
}
