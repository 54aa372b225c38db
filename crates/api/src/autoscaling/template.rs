//! What a group launches from: a launch template, by itself or inside a mixed
//! instances policy.
//!
//! A policy is kept as it came and given back with AWS's defaults. All instances
//! of this cloud are On-Demand ones of the template's own type, so a policy that
//! asks for Spot or for other types is refused rather than served halfway.

use super::error::{Result, unsupported, validation};
use crate::Ctx;
use crate::ec2::launch_template;
use crate::ec2::launch_template_data::LaunchTemplateData;
use model::autoscaling::GroupTemplate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchTemplateSpecification {
    pub launch_template_id: Option<String>,
    pub launch_template_name: Option<String>,
    pub version: Option<String>,
}

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
    #[serde(default)]
    overrides: Vec<LaunchTemplateOverrides>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LaunchTemplateOverrides {
    instance_type: Option<String>,
    weighted_capacity: Option<String>,
    launch_template_specification: Option<LaunchTemplateSpecification>,
    image_id: Option<String>,
    /// Refused, so never stored.
    #[serde(skip_serializing)]
    instance_requirements: Option<Value>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstancesDistribution {
    on_demand_allocation_strategy: Option<String>,
    on_demand_base_capacity: Option<i64>,
    on_demand_percentage_above_base_capacity: Option<i64>,
    spot_allocation_strategy: Option<String>,
    spot_instance_pools: Option<i64>,
    spot_max_price: Option<String>,
}

/// The template that a call names; `None` where it names none.
pub fn of(
    ctx: &Ctx,
    single: Option<LaunchTemplateSpecification>,
    mixed: Option<MixedInstancesPolicy>,
) -> Result<Option<GroupTemplate>> {
    match (single, mixed) {
        (Some(_), Some(_)) => Err(one_source()),
        (Some(one), None) => specified(ctx, &one).map(|(template, _)| Some(template)),
        (None, Some(policy)) => mixed_template(ctx, policy).map(Some),
        (None, None) => Ok(None),
    }
}

/// A group launches from one thing.
pub fn one_source() -> wire::ApiError {
    validation(
        "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.",
    )
}

/// The policy as it was given, for answers.
pub fn stored_policy(template: &GroupTemplate) -> Option<MixedInstancesPolicy> {
    let text = template.mixed.as_ref()?;
    serde_json::from_str(text).ok()
}

/// The template and the instance type that its version names.
fn specified(
    ctx: &Ctx,
    given: &LaunchTemplateSpecification,
) -> Result<(GroupTemplate, Option<String>)> {
    let (id, name) = (&given.launch_template_id, &given.launch_template_name);
    let not_formed = |why: &str| {
        validation(format!(
            "You must use a valid fully-formed launch template. {why}"
        ))
    };
    let found = launch_template::chosen(ctx, id.as_deref(), name.as_deref());
    let template = found.map_err(|e| not_formed(&e.message))?;
    let wanted = given.version.clone().unwrap_or_default();
    let version =
        launch_template::version(&template, &wanted).map_err(|e| not_formed(&e.message))?;
    let data = LaunchTemplateData::load(&version.data)?;
    if data.image_id.is_none() {
        return Err(not_formed("The request must contain the parameter ImageId"));
    }
    let default = "$Default".to_owned();
    let group_template = GroupTemplate {
        id: template.id.clone(),
        name: template.name.clone(),
        version: if wanted.is_empty() { default } else { wanted },
        mixed: None,
        configuration: None,
    };
    Ok((group_template, data.instance_type))
}

fn mixed_template(ctx: &Ctx, mut policy: MixedInstancesPolicy) -> Result<GroupTemplate> {
    let launch = policy.launch_template.as_mut();
    let named = launch.and_then(|l| Some((l.launch_template_specification.clone()?, l)));
    let Some((specification, launch)) = named else {
        return Err(validation(
            "The mixed instances policy must name a launch template.",
        ));
    };
    let (mut template, instance_type) = specified(ctx, &specification)?;
    for over in &launch.overrides {
        let same_type = over.instance_type.is_none() || over.instance_type == instance_type;
        let weight = over.weighted_capacity.as_deref().unwrap_or("1");
        let plain = over.launch_template_specification.is_none()
            && over.image_id.is_none()
            && over.instance_requirements.is_none();
        if !same_type || weight != "1" || !plain {
            return Err(unsupported(
                "A mixed instances policy with overrides other than the launch template's own instance type is",
            ));
        }
    }
    launch.launch_template_specification = Some(LaunchTemplateSpecification {
        launch_template_id: Some(template.id.to_string()),
        launch_template_name: Some(template.name.clone()),
        version: Some(template.version.clone()),
    });
    policy.instances_distribution = Some(distribution(policy.instances_distribution)?);
    // Our own plain type: writing it as JSON cannot fail.
    template.mixed = serde_json::to_string(&policy).ok();
    Ok(template)
}

/// What was asked for, with AWS's defaults filled in.
fn distribution(given: Option<InstancesDistribution>) -> Result<InstancesDistribution> {
    let given = given.unwrap_or_default();
    if given
        .on_demand_percentage_above_base_capacity
        .unwrap_or(100)
        != 100
    {
        return Err(unsupported(
            "A mixed instances policy with Spot Instances (OnDemandPercentageAboveBaseCapacity below 100) is",
        ));
    }
    Ok(InstancesDistribution {
        on_demand_allocation_strategy: given
            .on_demand_allocation_strategy
            .or_else(|| Some("prioritized".into())),
        on_demand_base_capacity: given.on_demand_base_capacity.or(Some(0)),
        on_demand_percentage_above_base_capacity: Some(100),
        spot_instance_pools: match &given.spot_allocation_strategy {
            None => Some(given.spot_instance_pools.unwrap_or(2)),
            Some(strategy) if strategy == "lowest-price" => {
                Some(given.spot_instance_pools.unwrap_or(2))
            }
            Some(_) => given.spot_instance_pools,
        },
        spot_allocation_strategy: given
            .spot_allocation_strategy
            .or_else(|| Some("lowest-price".into())),
        spot_max_price: given.spot_max_price,
    })
}
