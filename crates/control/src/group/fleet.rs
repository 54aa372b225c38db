//! Mixed instances: which purchase option and which types the next launch tries.
//!
//! A fleet is the members that stay and what is about to be launched. The planner grows one to
//! know how much capacity its launches will make, and each launch asks one of the record as it
//! then is, so both come to the same choice. Capacity here is as deep in every pool, so what asks
//! for the deepest pools takes types in order or by price.
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/mixed-instances-groups-allocation-strategies.html`

use model::InstanceId;
use model::autoscaling::{AutoScalingGroup, GroupInstance, GroupTemplate};
use model::instance_type;
use model::mixed_instances::{
    MixedInstances, OnDemandStrategy, SpotStrategy, TypeOverride, weight_of,
};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that a launch may try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice<'a> {
    pub spot: bool,
    /// `None` is the template's own.
    pub instance_type: Option<&'a str>,
    pub by: Option<&'a TypeOverride>,
    pub weight: u32,
}

pub struct Fleet<'a> {
    policy: Option<&'a MixedInstances>,
    unit: Option<&'a str>,
    desired: u32,
    units: u32,
    on_demand: u32,
    pools: Pools,
}

/// Members that count and have no successor yet.
pub fn staying(group: &AutoScalingGroup) -> impl Iterator<Item = &GroupInstance> {
    let counting = || group.instances.iter().filter(|m| m.lifecycle.counts());
    let replaced: BTreeSet<&InstanceId> = counting().filter_map(|m| m.replaces.as_ref()).collect();
    counting().filter(move |m| !replaced.contains(&m.id))
}

/// Spot Instances by zone and type.
type Pools = BTreeMap<(String, String), u32>;

impl<'a> Fleet<'a> {
    pub fn new(
        group: &'a AutoScalingGroup,
        template: &'a GroupTemplate,
        staying: impl IntoIterator<Item = &'a GroupInstance>,
    ) -> Self {
        let mut fleet = Self {
            policy: template.policy.as_deref(),
            unit: group.desired_capacity_type.as_deref(),
            desired: group.desired_capacity(),
            units: 0,
            on_demand: 0,
            pools: Pools::new(),
        };
        for member in staying {
            fleet.count(
                &member.zone,
                &member.instance_type,
                member.spot,
                member.weight,
            );
        }
        fleet
    }

    fn count(&mut self, zone: &str, instance_type: &str, spot: bool, weight: u32) {
        self.units += weight;
        if spot {
            let pool = (zone.to_owned(), instance_type.to_owned());
            *self.pools.entry(pool).or_default() += 1;
        } else {
            self.on_demand += weight;
        }
    }

    /// It goes once its successor is there, so that takes its place in the shares.
    pub fn lose(&mut self, member: &GroupInstance) {
        self.units = self.units.saturating_sub(member.weight);
        if member.spot {
            let pool = (member.zone.clone(), member.instance_type.clone());
            if let Some(held) = self.pools.get_mut(&pool) {
                *held = held.saturating_sub(1);
            }
        } else {
            self.on_demand = self.on_demand.saturating_sub(member.weight);
        }
    }

    /// What a launch in the zone tries, the best first; never empty.
    pub fn choices(&self, zone: &str) -> Vec<Choice<'a>> {
        let Some(policy) = self.policy else {
            return vec![self.own(false)];
        };
        let spot = policy.has_spot() && {
            // What is launched above the desired capacity is shared out like the rest.
            let units = self.desired.max(self.units + 1);
            self.on_demand >= policy.on_demand_of(units)
        };
        let mut choices = listed(policy, self.unit, spot);
        // Types that a zone does not have are no choice there, unless there is no other.
        let offered = |c: &Choice<'_>| {
            let kind = c.instance_type.and_then(instance_type::find);
            kind.is_none_or(|t| instance_type::offered_in(t, zone))
        };
        if choices.iter().any(offered) {
            choices.retain(offered);
        }
        if choices.is_empty() {
            return vec![self.own(spot)];
        }
        order(policy, &self.pools, zone, spot, &mut choices);
        choices
    }

    fn own(&self, spot: bool) -> Choice<'a> {
        Choice {
            spot,
            instance_type: None,
            by: None,
            weight: 1,
        }
    }

    /// Takes the best choice in the zone as launched; says what it weighs.
    pub fn grow(&mut self, zone: &str) -> u32 {
        let Some(choice) = self.choices(zone).into_iter().next() else {
            return 1;
        };
        let instance_type = choice.instance_type.unwrap_or_default();
        self.count(zone, instance_type, choice.spot, choice.weight);
        choice.weight
    }

    /// More of the fleet is on demand than the policy wants of its desired capacity.
    pub fn on_demand_to_spare(&self) -> bool {
        self.policy
            .is_some_and(|p| p.on_demand_of(self.desired) < self.on_demand)
    }
}

/// Everything that may be launched, as the policy lists it.
fn listed<'a>(policy: &'a MixedInstances, unit: Option<&str>, spot: bool) -> Vec<Choice<'a>> {
    let mut choices = Vec::new();
    for by in &policy.overrides {
        for instance_type in by.types.names(spot) {
            let weight =
                instance_type.map_or(by.weight.unwrap_or(1), |t| weight_of(Some(policy), unit, t));
            choices.push(Choice {
                spot,
                instance_type,
                by: Some(by),
                weight,
            });
        }
    }
    choices
}

/// The best first.
fn order(
    policy: &MixedInstances,
    pools: &Pools,
    zone: &str,
    spot: bool,
    choices: &mut [Choice<'_>],
) {
    let by_price = match spot {
        false => policy.on_demand_strategy == OnDemandStrategy::LowestPrice,
        true => matches!(
            policy.spot_strategy,
            SpotStrategy::LowestPrice | SpotStrategy::PriceCapacityOptimized
        ),
    };
    if by_price {
        choices.sort_by(|a, b| price(a).total_cmp(&price(b)));
    }
    if spot && policy.spot_strategy == SpotStrategy::LowestPrice {
        // Evenly over the cheapest pools; the others only where those have no capacity.
        let cheapest = (policy.spot_pools.unwrap_or(1).max(1) as usize).min(choices.len());
        let held = |c: &Choice<'_>| {
            let name = c.instance_type.unwrap_or_default();
            let pool = (zone.to_owned(), name.to_owned());
            pools.get(&pool).copied().unwrap_or(0)
        };
        choices[..cheapest].sort_by_key(held);
    }
}

/// Of an hour and unit.
fn price(choice: &Choice<'_>) -> f64 {
    let kind = choice.instance_type.and_then(instance_type::find);
    kind.map_or(0.0, |t| t.price) / f64::from(choice.weight.max(1))
}

/// Where the type stands in what its strategy would buy: the higher, the sooner it goes.
pub fn rank(policy: &MixedInstances, unit: Option<&str>, member: &GroupInstance) -> usize {
    let mut choices = listed(policy, unit, member.spot);
    let zone = &member.zone;
    order(policy, &Pools::new(), zone, member.spot, &mut choices);
    let own = |c: &Choice<'_>| c.instance_type.is_none_or(|t| t == member.instance_type);
    let at = choices.iter().position(own).unwrap_or(choices.len());
    match (member.spot, policy.spot_strategy) {
        // Of the cheapest pools none is better than another.
        (true, SpotStrategy::LowestPrice) if at < policy.spot_pools.unwrap_or(1) as usize => 0,
        // Pools are equally deep.
        (true, SpotStrategy::CapacityOptimized) if at < choices.len() => 0,
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use model::mixed_instances::TypeChoice;
    use model::{LaunchTemplateId, Scope};

    fn group(desired: u32, policy: MixedInstances) -> AutoScalingGroup {
        let template = GroupTemplate {
            id: LaunchTemplateId::random(),
            name: "t".into(),
            version: "1".into(),
            policy: Some(Box::new(policy)),
            configuration: None,
        };
        let scope = Scope::new("000000000000", "us-east-1");
        let mut group = AutoScalingGroup::new(scope, "1", "web", template, Timestamp::UNIX_EPOCH);
        group.set_desired_capacity(desired);
        group
    }

    /// Types as `name` or `name*weight`.
    fn policy(base: u32, percentage: u32, types: &[&str]) -> MixedInstances {
        let one = |text: &&str| {
            let (name, weight) = text.split_once('*').unwrap_or((text, ""));
            TypeOverride {
                types: TypeChoice::Named(name.into()),
                weight: weight.parse().ok(),
                template: None,
                image: None,
            }
        };
        MixedInstances {
            overrides: types.iter().map(one).collect(),
            on_demand_strategy: OnDemandStrategy::Prioritized,
            on_demand_base: base,
            on_demand_percentage: percentage,
            spot_strategy: SpotStrategy::LowestPrice,
            spot_pools: Some(2),
            spot_max_price: None,
        }
    }

    /// Launches until the capacity is there, in zones a and b by turns.
    fn fill(desired: u32, policy: MixedInstances) -> String {
        let group = group(desired, policy);
        let mut fleet = Fleet::new(&group, &group.template, []);
        let mut said = Vec::new();
        while fleet.units < desired {
            let zone = ["us-east-1a", "us-east-1b"][said.len() % 2];
            let first = fleet.choices(zone)[0];
            let market = if first.spot { "spot" } else { "on-demand" };
            said.push(format!("{market} {}", first.instance_type.unwrap()));
            fleet.grow(zone);
        }
        said.join(", ")
    }

    #[test]
    fn on_demand_comes_first_and_then_the_share() {
        let types = &["t3.small", "t3.micro"];
        let check = |base, percentage, expected| {
            assert_eq!(
                fill(4, policy(base, percentage, types)),
                expected,
                "{base} and {percentage} %"
            );
        };
        check(
            0,
            100,
            "on-demand t3.small, on-demand t3.small, on-demand t3.small, on-demand t3.small",
        );
        check(
            1,
            0,
            "on-demand t3.small, spot t3.micro, spot t3.micro, spot t3.small",
        );
        check(
            0,
            50,
            "on-demand t3.small, on-demand t3.small, spot t3.micro, spot t3.micro",
        );
    }

    #[test]
    fn strategies_order_types() {
        let types = &["m5.large", "c5.large", "t3.micro"];
        let check = |strategy, pools, expected| {
            let policy = MixedInstances {
                spot_strategy: strategy,
                spot_pools: pools,
                ..policy(0, 0, types)
            };
            assert_eq!(fill(3, policy), expected, "{strategy:?}");
        };
        check(
            SpotStrategy::CapacityOptimizedPrioritized,
            None,
            "spot m5.large, spot m5.large, spot m5.large",
        );
        check(
            SpotStrategy::PriceCapacityOptimized,
            None,
            "spot t3.micro, spot t3.micro, spot t3.micro",
        );
        check(
            SpotStrategy::LowestPrice,
            Some(2),
            "spot t3.micro, spot t3.micro, spot c5.large",
        );
    }

    #[test]
    fn weights_count_and_prices_are_per_unit() {
        // c5.xlarge costs twice a c5.large and counts four times.
        let policy = MixedInstances {
            on_demand_strategy: OnDemandStrategy::LowestPrice,
            ..policy(0, 100, &["c5.large*1", "c5.xlarge*4"])
        };
        assert_eq!(fill(6, policy), "on-demand c5.xlarge, on-demand c5.xlarge");
    }
}
