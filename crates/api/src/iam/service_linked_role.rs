//! Roles that belong to a service: their names and trust follow from the service's.

use super::error::{Result, invalid, no_such_entity};
use super::role::{self, OneRole};
use super::{global, unique_id};
use crate::Ctx;
use model::Tags;
use model::iam::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::ScopedName;
use wire::ApiError;

/// Service, the name of its role, whether a suffix of one's own is allowed.
const SERVICES: &[(&str, &str, bool)] = &[
    (
        "autoscaling.amazonaws.com",
        "AWSServiceRoleForAutoScaling",
        true,
    ),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        false,
    ),
    ("ec2.amazonaws.com", "AWSServiceRoleForEC2", false),
    ("spot.amazonaws.com", "AWSServiceRoleForEC2Spot", false),
    (
        "spotfleet.amazonaws.com",
        "AWSServiceRoleForEC2SpotFleet",
        false,
    ),
    ("ssm.amazonaws.com", "AWSServiceRoleForAmazonSSM", false),
    ("ecs.amazonaws.com", "AWSServiceRoleForECS", false),
    ("rds.amazonaws.com", "AWSServiceRoleForRDS", false),
    (
        "events.amazonaws.com",
        "AWSServiceRoleForCloudWatchEvents",
        false,
    ),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateServiceLinkedRole {
    #[serde(rename = "AWSServiceName")]
    aws_service_name: String,
    description: Option<String>,
    custom_suffix: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateServiceLinkedRole) -> Result<OneRole> {
    let service = input.aws_service_name;
    let known = SERVICES.iter().find(|(name, ..)| *name == service);
    let Some((_, base, suffixed)) = known else {
        return Err(ApiError::client(
            "InvalidInput",
            format!("Service role {service} is not known."),
        ));
    };
    let name = match input.custom_suffix {
        None => (*base).to_owned(),
        Some(suffix) if *suffixed => format!("{base}_{suffix}"),
        Some(_) => {
            return Err(ApiError::client(
                "InvalidInput",
                format!("Custom suffix is not allowed for {service}"),
            ));
        }
    };
    super::error::check_name(&name, "roleName", 64)?;
    let scope = global(ctx);
    if ctx.tx.roles.contains_key(&ScopedName::new(&scope, &name)) {
        return Err(ApiError::client(
            "InvalidInput",
            format!(
                "Service role name {name} has been taken in this account, please try a different suffix."
            ),
        ));
    }
    let trust = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
        }],
    });
    let path = format!("/aws-service-role/{service}/");
    let role = Role {
        arn: format!("arn:aws:iam::{}:role{path}{name}", scope.account),
        scope,
        name,
        id: unique_id("AROA"),
        path,
        assume_role_policy: trust.to_string(),
        description: input.description.filter(|d| !d.is_empty()),
        max_session_duration: 3600,
        permissions_boundary: None,
        attached_policies: Vec::new(),
        inline_policies: BTreeMap::new(),
        created: ctx.now,
        tags: Tags::new(),
    };
    let answer = OneRole::new(&role);
    ctx.tx.put(role);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteServiceLinkedRole {
    role_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeletionTask {
    deletion_task_id: String,
}

/// The services here work without their roles, so deletion is done at once.
pub fn delete(ctx: &mut Ctx, input: DeleteServiceLinkedRole) -> Result<DeletionTask> {
    let role = role::find(ctx, &input.role_name)?;
    if !role.path.starts_with("/aws-service-role/") {
        return Err(invalid(format!(
            "{} is not a service-linked role.",
            role.name
        )));
    }
    ctx.tx
        .remove::<Role>(&ScopedName::new(&role.scope, &role.name));
    Ok(DeletionTask {
        deletion_task_id: format!("task{}{}/{}", role.path, role.name, uuid::Uuid::new_v4()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetServiceLinkedRoleDeletionStatus {
    deletion_task_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeletionStatus {
    status: &'static str,
}

/// A task that was handed out is one that has succeeded.
pub fn deletion_status(
    _: &mut Ctx,
    input: GetServiceLinkedRoleDeletionStatus,
) -> Result<DeletionStatus> {
    if !input.deletion_task_id.starts_with("task/aws-service-role/") {
        return Err(no_such_entity(format!(
            "Deletion task {} cannot be found.",
            input.deletion_task_id
        )));
    }
    Ok(DeletionStatus {
        status: "SUCCEEDED",
    })
}
