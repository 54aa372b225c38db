//! What a group launches from: a launch template, by itself or inside a mixed
//! instances policy.

use super::error::{Result, validation};
use super::mixed_instances::{self, MixedInstancesPolicy};
use crate::Ctx;
use crate::ec2::launch_template;
use crate::ec2::launch_template_data::LaunchTemplateData;
use model::autoscaling::{AutoScalingGroup, GroupTemplate};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchTemplateSpecification {
    pub launch_template_id: Option<String>,
    pub launch_template_name: Option<String>,
    pub version: Option<String>,
}

impl LaunchTemplateSpecification {
    /// A version that was not named is not shown either: launches take the default one.
    pub fn of(id: &impl ToString, name: &str, version: &str) -> Self {
        Self {
            launch_template_id: Some(id.to_string()),
            launch_template_name: Some(name.to_owned()),
            version: (!version.is_empty()).then(|| version.to_owned()),
        }
    }
}

/// The template that a call names; `None` where it names none.
pub fn of(
    ctx: &Ctx,
    group: &AutoScalingGroup,
    single: Option<LaunchTemplateSpecification>,
    mixed: Option<MixedInstancesPolicy>,
) -> Result<Option<GroupTemplate>> {
    match (single, mixed) {
        (Some(_), Some(_)) => Err(one_source()),
        (Some(one), None) => specified(ctx, &one).map(|(template, _)| Some(template)),
        (None, Some(policy)) => {
            let unit = group.desired_capacity_type.as_deref();
            let before = Some(&group.template).filter(|t| t.configuration.is_none());
            mixed_instances::template(ctx, before, unit, policy).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// A group launches from one thing.
pub fn one_source() -> wire::ApiError {
    validation(
        "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.",
    )
}

/// The template, and what its version says.
pub fn specified(
    ctx: &Ctx,
    given: &LaunchTemplateSpecification,
) -> Result<(GroupTemplate, LaunchTemplateData)> {
    let (id, name) = (&given.launch_template_id, &given.launch_template_name);
    if id.is_some() == name.is_some() {
        return Err(validation(
            "Valid requests must contain either launchTemplateId or LaunchTemplateName",
        ));
    }
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
    let group_template = GroupTemplate {
        id: template.id.clone(),
        name: template.name.clone(),
        version: wanted,
        policy: None,
        configuration: None,
    };
    Ok((group_template, data))
}
