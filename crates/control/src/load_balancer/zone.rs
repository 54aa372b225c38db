//! Which zones of a load balancer serve: DNS, fail-over, zonal shift, cross-zone load balancing.

use super::groups_of;
use super::place::zone_of;
use crate::zonal_shift;
use model::elbv2::{LoadBalancer, LoadBalancerZone, TargetGroup, TargetState};
use store::{State, TargetHealthKey};

/// The zones of a balancer that DNS answers with.
///
/// A zone leaves when every target group it could serve has too few healthy targets
/// for it (`dns_failover.minimum_healthy_targets`), when traffic is shifted away from it, or when its
/// packets are cut; if all would leave, all stay (fail open).
pub fn in_service<'a>(state: &State, balancer: &'a LoadBalancer) -> Vec<&'a LoadBalancerZone> {
    let groups = groups_of(state, balancer);
    let shifted = zonal_shift::away_from(state, balancer);
    let is_cut = |zone: &str| {
        let fault = model::event::Fault::Zone(zone.to_owned());
        state.faults.contains_key(&fault)
    };
    let is_healthy = |zone: &str| {
        let mut groups = groups.iter().filter_map(|arn| state.target_groups.get(arn));
        groups.any(|group| Failover::Dns.is_held_off(state, group, balancer, zone))
    };
    let usable = |zone: &&LoadBalancerZone| {
        shifted != Some(zone.zone.as_str())
            && !is_cut(&zone.zone)
            && (groups.is_empty() || is_healthy(&zone.zone))
    };
    let kept: Vec<&LoadBalancerZone> = balancer.zones.iter().filter(usable).collect();
    if kept.is_empty() {
        balancer.zones.iter().collect()
    } else {
        kept
    }
}

/// Whether an alias that evaluates its target may lead here: each target group has a healthy target.
/// A group without targets has none; a balancer without groups answers by itself. Source:
/// `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-alias-common.html`
pub fn is_healthy(state: &State, balancer: &LoadBalancer) -> bool {
    let groups = groups_of(state, balancer);
    let mut groups = groups.iter().filter_map(|arn| state.target_groups.get(arn));
    groups.all(|group| {
        group.targets.iter().any(|target| {
            let key = TargetHealthKey {
                target_group: group.arn.clone(),
                target: target.id.clone(),
                port: target.port,
            };
            let known = state.target_health.get(&key);
            known.is_some_and(|h| h.state == TargetState::Healthy)
        })
    })
}

/// What happens where too few targets of a group are healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// The zone leaves DNS.
    Dns,
    /// Requests go to unhealthy targets as well.
    Routing,
}

impl Failover {
    /// Whether a group's healthy targets are enough in a zone: those of the zone without cross-zone
    /// load balancing, else all.
    pub fn is_held_off(
        self,
        state: &State,
        group: &TargetGroup,
        balancer: &LoadBalancer,
        zone: &str,
    ) -> bool {
        let cross = cross_zone(group, balancer);
        let counted = group.targets.iter().filter(|t| {
            let in_zone = || zone_of(state, group, t).is_none_or(|z| z == zone);
            t.draining.is_none() && (cross || in_zone())
        });
        let (mut all, mut healthy) = (0, 0);
        for target in counted {
            let key = TargetHealthKey {
                target_group: group.arn.clone(),
                target: target.id.clone(),
                port: target.port,
            };
            let known = state.target_health.get(&key);
            all += 1;
            healthy += u32::from(known.is_some_and(|h| h.state == TargetState::Healthy));
        }
        let kind = match self {
            Failover::Dns => "dns_failover",
            Failover::Routing => "unhealthy_state_routing",
        };
        let least = |name: &str, usual: u32| {
            let key = format!("target_group_health.{kind}.minimum_healthy_targets.{name}");
            // `off` asks for none.
            let given = group.attributes.get(&key);
            given.map_or(usual, |value| value.parse().unwrap_or(0))
        };
        least("count", 1) <= healthy && least("percentage", 0) * all <= healthy * 100
    }
}

/// Whether the group's targets in a zone are to be left alone, as a zonal shift asks. Without
/// cross-zone load balancing they still serve whoever reaches their zone's node.
pub fn is_shifted(
    state: &State,
    balancer: &LoadBalancer,
    group: &TargetGroup,
    zone: Option<&str>,
) -> bool {
    let shifted = zonal_shift::away_from(state, balancer);
    shifted.is_some() && shifted == zone && cross_zone(group, balancer)
}

pub fn cross_zone(group: &TargetGroup, balancer: &LoadBalancer) -> bool {
    let own = group
        .attributes
        .get("load_balancing.cross_zone.enabled")
        .map(String::as_str);
    match own {
        Some("true") => true,
        Some("false") => false,
        _ => balancer
            .attributes
            .get("load_balancing.cross_zone.enabled")
            .map_or(!balancer.is_network(), |v| v == "true"),
    }
}
