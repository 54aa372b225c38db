//! Mixed instances policies: checked, kept as records, and described with AWS's defaults.
//!
//! What the group's controller makes of one is in `control::group::fleet`. Types by their
//! attributes are chosen here, once, from the table of types.

use super::check;
use super::error::{Result, validation};
use super::instance_requirements::InstanceRequirements;
use super::template::{LaunchTemplateSpecification, specified};
use crate::Ctx;
use crate::ec2::instance_requirements::{InstanceRequirements as Ec2Requirements, PricePer};
use crate::ec2::launch::{self, Site};
use crate::ec2::launch_template_data::LaunchTemplateData;
use crate::ec2::spot_launch::is_price;
use model::autoscaling::GroupTemplate;
use model::instance_type::{self, Architecture};
use model::mixed_instances::{
    MixedInstances, OnDemandStrategy, SpotStrategy, TypeChoice, TypeOverride,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const MAX_OVERRIDES: usize = 40;
const MAX_WEIGHT: u32 = 999;
const MAX_POOLS: u32 = 20;
const DEFAULT_POOLS: u32 = 2;

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MixedInstancesPolicy {
    launch_template: Option<MixedLaunchTemplate>,
    instances_distribution: Option<InstancesDistribution>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MixedLaunchTemplate {
    launch_template_specification: Option<LaunchTemplateSpecification>,
    overrides: Option<Vec<LaunchTemplateOverrides>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LaunchTemplateOverrides {
    instance_type: Option<String>,
    weighted_capacity: Option<String>,
    launch_template_specification: Option<LaunchTemplateSpecification>,
    image_id: Option<String>,
    instance_requirements: Option<InstanceRequirements>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstancesDistribution {
    on_demand_allocation_strategy: Option<String>,
    on_demand_base_capacity: Option<i64>,
    on_demand_percentage_above_base_capacity: Option<i64>,
    spot_allocation_strategy: Option<String>,
    spot_instance_pools: Option<i64>,
    /// There is no market: every price is met, which an event says at each launch.
    #[serde(default, deserialize_with = "wire::stored")]
    spot_max_price: Option<String>,
}

/// The policy of a template as it is described; `None` where it has none.
pub fn described(template: &GroupTemplate) -> Option<MixedInstancesPolicy> {
    let policy = template.policy.as_ref()?;
    // One that the template's own attributes stand for was never given.
    let given = |o: &&TypeOverride| !matches!(&o.types, TypeChoice::Attributes { requirements, .. } if requirements.is_empty());
    let overrides = policy.overrides.iter().filter(given).map(|o| {
        let (instance_type, instance_requirements) = match &o.types {
            TypeChoice::Template => (None, None),
            TypeChoice::Named(name) => (Some(name.clone()), None),
            TypeChoice::Attributes { requirements, .. } => {
                (None, serde_json::from_str(requirements).ok())
            }
        };
        LaunchTemplateOverrides {
            instance_type,
            weighted_capacity: o.weight.map(|w| w.to_string()),
            launch_template_specification: o
                .template
                .as_ref()
                .map(|(id, name, version)| LaunchTemplateSpecification::of(id, name, version)),
            image_id: o.image.clone(),
            instance_requirements,
        }
    });
    Some(MixedInstancesPolicy {
        launch_template: Some(MixedLaunchTemplate {
            launch_template_specification: Some(LaunchTemplateSpecification::of(
                &template.id,
                &template.name,
                &template.version,
            )),
            overrides: Some(overrides.collect()),
        }),
        instances_distribution: Some(InstancesDistribution {
            on_demand_allocation_strategy: Some(policy.on_demand_strategy.name().into()),
            on_demand_base_capacity: Some(policy.on_demand_base.into()),
            on_demand_percentage_above_base_capacity: Some(policy.on_demand_percentage.into()),
            spot_allocation_strategy: Some(policy.spot_strategy.name().into()),
            spot_instance_pools: policy.spot_pools.map(Into::into),
            spot_max_price: policy.spot_max_price.clone(),
        }),
    })
}

/// What is given, over what the group has; `unit` is what its capacity counts.
pub fn template(
    ctx: &Ctx,
    before: Option<&GroupTemplate>,
    unit: Option<&str>,
    given: MixedInstancesPolicy,
) -> Result<GroupTemplate> {
    let before = before.filter(|t| t.policy.is_some());
    let old = before.and_then(|t| t.policy.as_deref());
    let (mut template, overrides) = match (given.launch_template, before, old) {
        (Some(launch), _, _) => {
            let Some(specification) = launch.launch_template_specification else {
                return Err(validation(
                    "The mixed instances policy must name a launch template.",
                ));
            };
            let (template, data) = specified(ctx, &specification)?;
            check_template(&data)?;
            let overrides = overrides(ctx, &data, unit, launch.overrides.unwrap_or_default())?;
            (template, overrides)
        }
        // What a call does not mention stays.
        (None, Some(before), Some(old)) => (before.clone(), old.overrides.clone()),
        (None, ..) => {
            return Err(validation(
                "The mixed instances policy must name a launch template.",
            ));
        }
    };
    let by_attributes = |o: &TypeOverride| matches!(o.types, TypeChoice::Attributes { .. });
    let by_attributes = overrides.iter().any(by_attributes);
    let mut policy = distribution(given.instances_distribution, old, by_attributes)?;
    policy.overrides = overrides;
    template.policy = Some(Box::new(policy));
    Ok(template)
}

/// Capacity in vCPUs or memory needs types that are chosen by their attributes.
pub fn check_unit(template: &GroupTemplate, unit: Option<&str>) -> Result<()> {
    let overrides = template.policy.iter().flat_map(|p| &p.overrides);
    let mut chosen = overrides.map(|o| matches!(o.types, TypeChoice::Attributes { .. }));
    match unit {
        None | Some("units") => Ok(()),
        Some(_) if chosen.any(|by_attributes| by_attributes) => Ok(()),
        Some(unit) => Err(validation(format!(
            "The desired capacity type {unit} is only supported for attribute-based instance type selection."
        ))),
    }
}

fn check_template(data: &LaunchTemplateData) -> Result<()> {
    if data.instance_market_options.is_some() {
        return Err(validation(
            "Incompatible launch template: You cannot use a launch template that is set to request Spot Instances (InstanceMarketOptions) when you configure an Auto Scaling group with a mixed instances policy. Add a different launch template to the group and try again.",
        ));
    }
    Ok(())
}

fn overrides(
    ctx: &Ctx,
    base: &LaunchTemplateData,
    unit: Option<&str>,
    given: Vec<LaunchTemplateOverrides>,
) -> Result<Vec<TypeOverride>> {
    if MAX_OVERRIDES < given.len() {
        return Err(validation(format!(
            "A mixed instances policy can have at most {MAX_OVERRIDES} overrides."
        )));
    }
    if given.is_empty() {
        let Some(requirements) = base.instance_requirements.clone() else {
            return Ok(Vec::new());
        };
        let types = chosen_types(ctx, base, unit, requirements, String::new())?;
        return Ok(vec![TypeOverride {
            types,
            weight: None,
            template: None,
            image: None,
        }]);
    }
    let weighted = given.iter().filter(|o| o.weighted_capacity.is_some());
    if ![0, given.len()].contains(&weighted.count()) {
        return Err(validation(
            "If you specify a WeightedCapacity for one override, you must specify it for all of them.",
        ));
    }
    let named = given.iter().any(|o| o.instance_type.is_some());
    if named && given.iter().any(|o| o.instance_requirements.is_some()) {
        return Err(validation(
            "You cannot specify both InstanceType and InstanceRequirements in the overrides of a mixed instances policy.",
        ));
    }
    let mut seen = BTreeSet::new();
    let mut overrides = Vec::with_capacity(given.len());
    for one in given {
        let own = one.launch_template_specification.as_ref();
        let own = own.map(|s| specified(ctx, s)).transpose()?;
        if let Some((_, data)) = &own {
            check_template(data)?;
        }
        let data = own.as_ref().map_or(base, |(_, data)| data);
        let types = match (one.instance_type, one.instance_requirements) {
            (Some(name), _) => {
                if instance_type::find(&name).is_none() {
                    return Err(validation(format!(
                        "The instance type {name} of the mixed instances policy is not valid."
                    )));
                }
                if !seen.insert(name.clone()) {
                    return Err(validation(format!(
                        "The instance type {name} occurs twice in the overrides of the mixed instances policy."
                    )));
                }
                TypeChoice::Named(name)
            }
            (None, Some(requirements)) => {
                // Our own plain type: writing it as JSON cannot fail.
                let text = serde_json::to_string(&requirements).unwrap_or_default();
                let mut data = data.clone();
                data.image_id = one.image_id.clone().or(data.image_id);
                chosen_types(ctx, &data, unit, requirements.into(), text)?
            }
            (None, None) => TypeChoice::Template,
        };
        let weight = one.weighted_capacity.map(|w| weight(&w)).transpose()?;
        overrides.push(TypeOverride {
            types,
            weight,
            template: own.map(|(t, _)| (t.id, t.name, t.version)),
            image: one.image_id,
        });
    }
    Ok(overrides)
}

fn weight(given: &str) -> Result<u32> {
    match given.parse::<i64>() {
        Ok(units) => check::within(units, "weightedCapacity", 1, MAX_WEIGHT),
        Err(_) => Err(validation(format!(
            "The weighted capacity {given} is not a number from 1 to {MAX_WEIGHT}."
        ))),
    }
}

fn chosen_types(
    ctx: &Ctx,
    data: &LaunchTemplateData,
    unit: Option<&str>,
    requirements: Ec2Requirements,
    text: String,
) -> Result<TypeChoice> {
    requirements
        .check()
        .map_err(|e| validation(e.message.clone()))?;
    let site = Site::new(&ctx.cloud, &ctx.scope, ctx.now);
    let architecture: Option<Architecture> = launch::architecture(&ctx.tx, &site, data);
    let per = match unit {
        Some("vcpu") => PricePer::Vcpu,
        Some("memory-mib") => PricePer::Memory,
        _ => PricePer::Instance,
    };
    let types = |spot| {
        let found = requirements.cheapest(architecture, spot, per).into_iter();
        found.map(|t| t.name.clone()).collect::<Vec<_>>()
    };
    let (on_demand, spot) = (types(false), types(true));
    if on_demand.is_empty() || spot.is_empty() {
        return Err(validation(
            "No instance type of this cloud meets the instance requirements of the mixed instances policy.",
        ));
    }
    Ok(TypeChoice::Attributes {
        requirements: text,
        on_demand,
        spot,
    })
}

/// What is asked for, over what the group has, over AWS's defaults.
fn distribution(
    given: Option<InstancesDistribution>,
    old: Option<&MixedInstances>,
    by_attributes: bool,
) -> Result<MixedInstances> {
    let given = given.unwrap_or_default();
    let on_demand_strategy = match given.on_demand_allocation_strategy.as_deref() {
        Some(text) => {
            check::one_of(text, "onDemandAllocationStrategy", OnDemandStrategy::NAMES)?;
            OnDemandStrategy::parse(text)
        }
        None => old.map(|o| o.on_demand_strategy),
    };
    let default = if by_attributes {
        OnDemandStrategy::LowestPrice
    } else {
        OnDemandStrategy::Prioritized
    };
    let on_demand_strategy = on_demand_strategy.unwrap_or(default);
    if by_attributes && on_demand_strategy == OnDemandStrategy::Prioritized {
        return Err(validation(
            "The On-Demand allocation strategy prioritized is not supported with InstanceRequirements. Use lowest-price.",
        ));
    }
    let spot_strategy = match given.spot_allocation_strategy.as_deref() {
        Some(text) => {
            check::one_of(text, "spotAllocationStrategy", SpotStrategy::NAMES)?;
            SpotStrategy::parse(text)
        }
        None => old.map(|o| o.spot_strategy),
    };
    let spot_strategy = spot_strategy.unwrap_or(SpotStrategy::LowestPrice);
    let pools = given.spot_instance_pools;
    let spot_pools = match (spot_strategy, pools) {
        (SpotStrategy::LowestPrice, Some(pools)) => {
            Some(check::within(pools, "spotInstancePools", 1, MAX_POOLS)?)
        }
        (SpotStrategy::LowestPrice, None) => {
            let kept = old.and_then(|o| o.spot_pools);
            Some(kept.unwrap_or(DEFAULT_POOLS))
        }
        // Terraform sends 0 where nothing was said.
        (_, None | Some(0)) => None,
        (strategy, Some(_)) => {
            return Err(validation(format!(
                "SpotInstancePools is only valid with the Spot allocation strategy lowest-price, not with {}.",
                strategy.name()
            )));
        }
    };
    let number =
        |given: Option<i64>, at: &str, most: u32, kept: Option<u32>, default: u32| match given {
            Some(n) => check::within(n, at, 0, most),
            None => Ok(kept.unwrap_or(default)),
        };
    Ok(MixedInstances {
        overrides: Vec::new(),
        on_demand_strategy,
        on_demand_base: number(
            given.on_demand_base_capacity,
            "onDemandBaseCapacity",
            i32::MAX as u32,
            old.map(|o| o.on_demand_base),
            0,
        )?,
        on_demand_percentage: number(
            given.on_demand_percentage_above_base_capacity,
            "onDemandPercentageAboveBaseCapacity",
            100,
            old.map(|o| o.on_demand_percentage),
            100,
        )?,
        spot_strategy,
        spot_pools,
        // Empty is none: the On-Demand price.
        spot_max_price: match given.spot_max_price {
            Some(price) if price.is_empty() => None,
            Some(price) if is_price(&price) => Some(price),
            Some(price) => {
                return Err(validation(format!(
                    "SpotMaxPrice must be a price above zero, which {price} is not."
                )));
            }
            None => old.and_then(|o| o.spot_max_price.clone()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(given: Value) -> Result<MixedInstances> {
        distribution(Some(serde_json::from_value(given).unwrap()), None, false)
    }

    #[test]
    fn a_distribution_has_defaults_and_limits() {
        let policy = read(json!({})).unwrap();
        assert_eq!(policy.on_demand_percentage, 100);
        assert_eq!(policy.spot_pools, Some(2));
        let policy = read(json!({"SpotAllocationStrategy": "capacity-optimized"})).unwrap();
        assert_eq!(policy.spot_pools, None);
        for bad in [
            json!({"OnDemandPercentageAboveBaseCapacity": 101}),
            json!({"OnDemandBaseCapacity": -1}),
            json!({"SpotInstancePools": 21}),
            json!({"SpotAllocationStrategy": "cheap"}),
            json!({"OnDemandAllocationStrategy": "capacity-optimized"}),
            json!({"SpotAllocationStrategy": "capacity-optimized", "SpotInstancePools": 3}),
            json!({"SpotMaxPrice": "0"}),
            json!({"SpotMaxPrice": "cheap"}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_mentioned_stays() {
        let old = read(json!({"OnDemandBaseCapacity": 3, "SpotInstancePools": 5})).unwrap();
        let given = json!({"OnDemandPercentageAboveBaseCapacity": 20});
        let given = serde_json::from_value(given).unwrap();
        let new = distribution(Some(given), Some(&old), false).unwrap();
        assert_eq!(
            (new.on_demand_base, new.on_demand_percentage, new.spot_pools),
            (3, 20, Some(5))
        );
    }

    #[test]
    fn attributes_are_bought_at_the_lowest_price() {
        let strategy = |given: Value| {
            let given = serde_json::from_value(given).unwrap();
            distribution(Some(given), None, true).map(|p| p.on_demand_strategy)
        };
        assert_eq!(strategy(json!({})).unwrap(), OnDemandStrategy::LowestPrice);
        assert!(strategy(json!({"OnDemandAllocationStrategy": "prioritized"})).is_err());
    }
}
