//! What a group with a mixed instances policy launches: several types, on demand and as Spot.
//!
//! Source: `https://docs.aws.amazon.com/autoscaling/ec2/userguide/mixed-instances-groups-allocation-strategies.html`

use crate::{LaunchTemplateId, instance_type};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixedInstances {
    /// In the order that prioritized strategies follow; none is the template's own type.
    pub overrides: Vec<TypeOverride>,
    pub on_demand_strategy: OnDemandStrategy,
    /// Units that are on demand before anything is Spot.
    pub on_demand_base: u32,
    /// Percent of the units above the base that are on demand.
    pub on_demand_percentage: u32,
    pub spot_strategy: SpotStrategy,
    /// Cheapest types per zone among which `lowest-price` spreads.
    pub spot_pools: Option<u32>,
    /// US dollars an hour, as given; there is no market here, so every price is met.
    pub spot_max_price: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeOverride {
    pub types: TypeChoice,
    /// Units that an instance of it counts, 1 to 999.
    pub weight: Option<u32>,
    /// In place of the group's template: id, name and version as given.
    pub template: Option<(LaunchTemplateId, String, String)>,
    /// In place of the template's.
    pub image: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TypeChoice {
    /// The template's own.
    Template,
    Named(String),
    /// Those that had the attributes when the policy was given; only `api` reads the attributes.
    Attributes {
        requirements: String,
        on_demand: Vec<String>,
        spot: Vec<String>,
    },
}

impl TypeChoice {
    /// `None` is the template's own type.
    pub fn names(&self, spot: bool) -> Vec<Option<&str>> {
        match self {
            Self::Template => vec![None],
            Self::Named(name) => vec![Some(name)],
            Self::Attributes {
                on_demand, spot: s, ..
            } => {
                let types = if spot { s } else { on_demand };
                types.iter().map(|t| Some(t.as_str())).collect()
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Template => false,
            Self::Named(own) => own == name,
            Self::Attributes {
                on_demand, spot, ..
            } => on_demand.iter().chain(spot).any(|t| t == name),
        }
    }
}

impl MixedInstances {
    /// The override that an instance of the type was launched by.
    pub fn override_of(&self, instance_type: &str) -> Option<&TypeOverride> {
        self.overrides
            .iter()
            .find(|o| o.types.has(instance_type))
            .or_else(|| {
                let own = |o: &&TypeOverride| o.types == TypeChoice::Template;
                self.overrides.iter().find(own)
            })
    }

    pub fn is_weighted(&self) -> bool {
        self.overrides.iter().any(|o| o.weight.is_some())
    }

    /// Some of it may be Spot.
    pub fn has_spot(&self) -> bool {
        self.on_demand_percentage < 100
    }

    /// Of so many units, those that shall be on demand; a part of a unit counts for them.
    pub fn on_demand_of(&self, units: u32) -> u32 {
        let above = u64::from(units.saturating_sub(self.on_demand_base));
        let share = (above * u64::from(self.on_demand_percentage)).div_ceil(100);
        units.min(self.on_demand_base) + share as u32
    }
}

/// Units that an instance of the type counts in a group whose capacity is given in
/// `vcpu`, `memory-mib`, or `units`.
pub fn weight_of(policy: Option<&MixedInstances>, unit: Option<&str>, instance_type: &str) -> u32 {
    let kind = || instance_type::find(instance_type);
    match unit {
        Some("vcpu") => kind().map_or(1, |t| t.vcpus),
        Some("memory-mib") => kind().map_or(1, |t| t.memory_mib),
        _ => policy
            .and_then(|p| p.override_of(instance_type)?.weight)
            .unwrap_or(1),
    }
    .max(1)
}

macro_rules! strategies {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($variant,)* }

        impl $name {
            pub const NAMES: &'static [&'static str] = &[$($text,)*];
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    )*};
}

strategies! {
    OnDemandStrategy {
        Prioritized = "prioritized",
        LowestPrice = "lowest-price",
    }
    SpotStrategy {
        LowestPrice = "lowest-price",
        CapacityOptimized = "capacity-optimized",
        CapacityOptimizedPrioritized = "capacity-optimized-prioritized",
        PriceCapacityOptimized = "price-capacity-optimized",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_units_are_on_demand() {
        let check = |base, percentage, units, expected| {
            let policy = MixedInstances {
                overrides: Vec::new(),
                on_demand_strategy: OnDemandStrategy::Prioritized,
                on_demand_base: base,
                on_demand_percentage: percentage,
                spot_strategy: SpotStrategy::LowestPrice,
                spot_pools: None,
                spot_max_price: None,
            };
            let found = policy.on_demand_of(units);
            assert_eq!(found, expected, "{base} and {percentage} % of {units}");
        };
        check(0, 100, 5, 5);
        check(0, 0, 5, 0);
        check(0, 50, 3, 2);
        check(2, 0, 1, 1);
        check(2, 50, 6, 4);
        check(10, 50, 20, 15);
    }
}
