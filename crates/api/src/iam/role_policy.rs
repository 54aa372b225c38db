//! Policies of a role: attached ones and its own inline ones.

use super::error::{Result, check_document, check_name, encoded, limit_exceeded, no_such_entity};
use super::{page, policy, role};
use crate::Ctx;
use serde::{Deserialize, Serialize};

/// AWS's quota, with an increase.
const MAX_ATTACHED: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RolePolicyArn {
    role_name: String,
    policy_arn: String,
}

/// Attaching twice is attaching once.
pub fn attach(ctx: &mut Ctx, input: RolePolicyArn) -> Result<()> {
    policy::check(ctx, &input.policy_arn)?;
    role::modify(ctx, &input.role_name, |role| {
        if role.attached_policies.contains(&input.policy_arn) {
            return Ok(());
        }
        if role.attached_policies.len() >= MAX_ATTACHED {
            return Err(limit_exceeded(format!(
                "Cannot exceed quota for PoliciesPerRole: {MAX_ATTACHED}"
            )));
        }
        role.attached_policies.push(input.policy_arn);
        Ok(())
    })
}

pub fn detach(ctx: &mut Ctx, input: RolePolicyArn) -> Result<()> {
    role::modify(ctx, &input.role_name, |role| {
        let before = role.attached_policies.len();
        role.attached_policies
            .retain(|arn| *arn != input.policy_arn);
        if role.attached_policies.len() == before {
            return Err(no_such_entity(format!(
                "Policy {} was not found.",
                input.policy_arn
            )));
        }
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAttachedRolePolicies {
    role_name: String,
    path_prefix: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedPolicies {
    attached_policies: Vec<AttachedPolicy>,
    is_truncated: bool,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedPolicy {
    policy_name: String,
    policy_arn: String,
}

pub fn list_attached(ctx: &mut Ctx, input: ListAttachedRolePolicies) -> Result<AttachedPolicies> {
    let role = role::find(ctx, &input.role_name)?;
    let prefix = input.path_prefix.unwrap_or_default();
    let mut arns: Vec<&String> = role.attached_policies.iter().collect();
    arns.retain(|arn| path_of(arn).starts_with(&prefix));
    arns.sort();
    let (arns, marker) = page::of(
        arns,
        |a| (*a).clone(),
        input.max_items,
        input.marker.as_deref(),
    )?;
    let attached = |arn: &String| AttachedPolicy {
        policy_name: arn.rsplit('/').next().unwrap_or(arn).to_owned(),
        policy_arn: arn.clone(),
    };
    Ok(AttachedPolicies {
        attached_policies: arns.into_iter().map(attached).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

/// `/service-role/` of `arn:aws:iam::aws:policy/service-role/X`.
fn path_of(arn: &str) -> &str {
    let rest = arn.split_once(":policy").map_or("/", |(_, rest)| rest);
    rest.rfind('/').map_or("/", |end| &rest[..=end])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRolePolicy {
    role_name: String,
    policy_name: String,
    policy_document: String,
}

pub fn put(ctx: &mut Ctx, input: PutRolePolicy) -> Result<()> {
    check_name(&input.policy_name, "policyName", 128)?;
    check_document(&input.policy_document)?;
    role::modify(ctx, &input.role_name, |role| {
        role.inline_policies
            .insert(input.policy_name, input.policy_document);
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RolePolicyName {
    role_name: String,
    policy_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RolePolicy {
    role_name: String,
    policy_name: String,
    policy_document: String,
}

pub fn get(ctx: &mut Ctx, input: RolePolicyName) -> Result<RolePolicy> {
    let role = role::find(ctx, &input.role_name)?;
    let Some(document) = role.inline_policies.get(&input.policy_name) else {
        return Err(not_found(&input.policy_name));
    };
    Ok(RolePolicy {
        role_name: role.name.clone(),
        policy_document: encoded(document),
        policy_name: input.policy_name,
    })
}

pub fn delete(ctx: &mut Ctx, input: RolePolicyName) -> Result<()> {
    role::modify(ctx, &input.role_name, |role| {
        match role.inline_policies.remove(&input.policy_name) {
            Some(_) => Ok(()),
            None => Err(not_found(&input.policy_name)),
        }
    })
}

fn not_found(name: &str) -> wire::ApiError {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListRolePolicies {
    role_name: String,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyNames {
    policy_names: Vec<String>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListRolePolicies) -> Result<PolicyNames> {
    let role = role::find(ctx, &input.role_name)?;
    let names = role.inline_policies.keys().cloned();
    let (policy_names, marker) = page::of(
        names,
        Clone::clone,
        input.max_items,
        input.marker.as_deref(),
    )?;
    Ok(PolicyNames {
        policy_names,
        is_truncated: marker.is_some(),
        marker,
    })
}
