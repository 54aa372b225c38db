//! Policies of an identity: attached ones and its own inline ones.
//!
//! AWS has the same seven actions for users, groups and roles, whose members differ in
//! one name; the macro below writes those shapes, the functions do the work for all.

use super::document::{self, Kind};
use super::error::{Result, check_name, encoded, limit_exceeded, no_such_entity};
use super::identity::{Identity, find, modify};
use super::{page, policy};
use crate::Ctx;
use serde::Serialize;

fn attach<I: Identity>(ctx: &mut Ctx, name: &str, arn: String) -> Result<()> {
    policy::check(ctx, &arn)?;
    modify::<I>(ctx, name, |identity| {
        let attached = identity.policies().attached;
        // Attaching twice is attaching once.
        if attached.contains(&arn) {
            return Ok(());
        }
        let (most, quota) = I::ATTACHABLE;
        if attached.len() >= most {
            return Err(limit_exceeded(format!(
                "Cannot exceed quota for {quota}: {most}"
            )));
        }
        attached.push(arn);
        Ok(())
    })
}

fn detach<I: Identity>(ctx: &mut Ctx, name: &str, arn: &str) -> Result<()> {
    modify::<I>(ctx, name, |identity| {
        let attached = identity.policies().attached;
        let before = attached.len();
        attached.retain(|a| a != arn);
        if attached.len() == before {
            return Err(no_such_entity(format!("Policy {arn} was not found.")));
        }
        Ok(())
    })
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

fn list_attached<I: Identity>(
    ctx: &Ctx,
    name: &str,
    prefix: Option<&str>,
    max_items: Option<i64>,
    marker: Option<&str>,
) -> Result<AttachedPolicies> {
    let identity = find::<I>(ctx, name)?;
    let mut arns: Vec<&String> = identity.attached().iter().collect();
    arns.retain(|arn| path_of(arn).starts_with(prefix.unwrap_or_default()));
    arns.sort();
    let (arns, marker) = page::of(arns, |a| (*a).clone(), max_items, marker)?;
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

fn put<I: Identity>(ctx: &mut Ctx, name: &str, policy: String, document: String) -> Result<()> {
    check_name(&policy, "policyName", 128)?;
    document::check(&document, Kind::Inline)?;
    modify::<I>(ctx, name, |identity| {
        identity.policies().inline.insert(policy, document);
        Ok(())
    })
}

/// The document of an inline policy, encoded as AWS answers it.
fn document<I: Identity>(ctx: &Ctx, name: &str, policy: &str) -> Result<String> {
    let identity = find::<I>(ctx, name)?;
    let document = identity.inline().get(policy);
    document
        .map(|d| encoded(d))
        .ok_or_else(|| not_found::<I>(policy))
}

fn delete<I: Identity>(ctx: &mut Ctx, name: &str, policy: &str) -> Result<()> {
    modify::<I>(ctx, name, |identity| {
        let removed = identity.policies().inline.remove(policy);
        removed.map(drop).ok_or_else(|| not_found::<I>(policy))
    })
}

fn not_found<I: Identity>(name: &str) -> wire::ApiError {
    no_such_entity(format!(
        "The {} policy with name {name} cannot be found.",
        I::KIND
    ))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyNames {
    policy_names: Vec<String>,
    is_truncated: bool,
    marker: Option<String>,
}

fn list<I: Identity>(
    ctx: &Ctx,
    name: &str,
    max_items: Option<i64>,
    marker: Option<&str>,
) -> Result<PolicyNames> {
    let identity = find::<I>(ctx, name)?;
    let names = identity.inline().keys().cloned();
    let (policy_names, marker) = page::of(names, Clone::clone, max_items, marker)?;
    Ok(PolicyNames {
        policy_names,
        is_truncated: marker.is_some(),
        marker,
    })
}

/// The actions for identities of one kind, whose name the member `$member` holds.
macro_rules! policies_of {
    ($module:ident, $identity:ty, $member:literal) => {
        pub mod $module {
            use super::{AttachedPolicies, PolicyNames, Result};
            use crate::Ctx;
            use serde::{Deserialize, Serialize};

            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            pub struct PolicyArn {
                #[serde(rename = $member)]
                name: String,
                policy_arn: String,
            }

            pub fn attach(ctx: &mut Ctx, input: PolicyArn) -> Result<()> {
                super::attach::<$identity>(ctx, &input.name, input.policy_arn)
            }

            pub fn detach(ctx: &mut Ctx, input: PolicyArn) -> Result<()> {
                super::detach::<$identity>(ctx, &input.name, &input.policy_arn)
            }

            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            pub struct ListAttached {
                #[serde(rename = $member)]
                name: String,
                path_prefix: Option<String>,
                max_items: Option<i64>,
                marker: Option<String>,
            }

            pub fn list_attached(ctx: &mut Ctx, input: ListAttached) -> Result<AttachedPolicies> {
                let (prefix, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
                super::list_attached::<$identity>(ctx, &input.name, prefix, input.max_items, marker)
            }

            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            pub struct Put {
                #[serde(rename = $member)]
                name: String,
                policy_name: String,
                policy_document: String,
            }

            pub fn put(ctx: &mut Ctx, input: Put) -> Result<()> {
                super::put::<$identity>(ctx, &input.name, input.policy_name, input.policy_document)
            }

            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            pub struct PolicyName {
                #[serde(rename = $member)]
                name: String,
                policy_name: String,
            }

            #[derive(Serialize)]
            #[serde(rename_all = "PascalCase")]
            pub struct Document {
                #[serde(rename = $member)]
                name: String,
                policy_name: String,
                policy_document: String,
            }

            pub fn get(ctx: &mut Ctx, input: PolicyName) -> Result<Document> {
                Ok(Document {
                    policy_document: super::document::<$identity>(
                        ctx,
                        &input.name,
                        &input.policy_name,
                    )?,
                    name: input.name,
                    policy_name: input.policy_name,
                })
            }

            pub fn delete(ctx: &mut Ctx, input: PolicyName) -> Result<()> {
                super::delete::<$identity>(ctx, &input.name, &input.policy_name)
            }

            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            pub struct List {
                #[serde(rename = $member)]
                name: String,
                max_items: Option<i64>,
                marker: Option<String>,
            }

            pub fn list(ctx: &mut Ctx, input: List) -> Result<PolicyNames> {
                super::list::<$identity>(ctx, &input.name, input.max_items, input.marker.as_deref())
            }
        }
    };
}

policies_of!(of_role, model::iam::Role, "RoleName");
policies_of!(of_user, model::iam_user::User, "UserName");
policies_of!(of_group, model::iam_user::Group, "GroupName");
