//! Managed policies: the account's own, with versions, and AWS's for reading.

use super::document::{self, Kind};
use super::error::{
    Result, already_exists, check_name, delete_conflict, encoded, limit_exceeded, no_such_entity,
    path,
};
use super::identity::{Identity, all};
use super::tag::{self, Tag, TagList};
use super::{global, managed_policy, page, unique_id};
use crate::Ctx;
use model::iam::{Policy, Role};
use model::iam_user::{Group, User};
use serde::{Deserialize, Serialize};
use wire::{ApiError, Timestamp};

const MAX_NAME: usize = 128;
/// Versions that a policy keeps.
const MAX_VERSIONS: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    policy_name: String,
    policy_id: String,
    arn: String,
    path: String,
    default_version_id: String,
    attachment_count: usize,
    permissions_boundary_usage_count: usize,
    is_attachable: bool,
    description: Option<String>,
    create_date: Timestamp,
    update_date: Timestamp,
    tags: Option<Vec<Tag>>,
}

fn shape(ctx: &Ctx, policy: &Policy) -> Shape {
    let updated = policy.versions.iter().map(|(_, _, created)| *created).max();
    Shape {
        policy_name: policy.name.clone(),
        policy_id: policy.id.clone(),
        arn: policy.arn.clone(),
        path: policy.path.clone(),
        default_version_id: policy.default_version.clone(),
        attachment_count: attachments(ctx, &policy.arn),
        permissions_boundary_usage_count: bounded(ctx, &policy.arn),
        is_attachable: true,
        description: policy.description.clone(),
        create_date: policy.created.into(),
        update_date: updated.unwrap_or(policy.created).into(),
        tags: Some(tag::list(&policy.tags)),
    }
}

/// How many users, groups and roles have the policy.
fn attachments(ctx: &Ctx, arn: &str) -> usize {
    fn of<I: Identity>(ctx: &Ctx, arn: &str) -> usize {
        let has = |i: &&std::sync::Arc<I>| i.attached().iter().any(|a| a == arn);
        all::<I>(ctx).filter(has).count()
    }
    of::<User>(ctx, arn) + of::<Group>(ctx, arn) + of::<Role>(ctx, arn)
}

/// How many users and roles it bounds.
fn bounded(ctx: &Ctx, arn: &str) -> usize {
    let is = |boundary: &Option<String>| boundary.as_deref() == Some(arn);
    let users = all::<User>(ctx).filter(|u| is(&u.permissions_boundary));
    let roles = all::<Role>(ctx).filter(|r| is(&r.permissions_boundary));
    users.count() + roles.count()
}

pub(super) fn find(ctx: &Ctx, arn: &str) -> Result<Policy> {
    if let Some(policy) = managed_policy::find(arn) {
        return Ok(policy);
    }
    let own = ctx.tx.policies.get(arn).filter(|p| p.scope == global(ctx));
    own.map(|p| Policy::clone(p)).ok_or_else(|| not_found(arn))
}

fn not_found(arn: &str) -> ApiError {
    no_such_entity(format!("Policy {arn} was not found."))
}

/// Whether the policy can be attached.
pub(super) fn check(ctx: &Ctx, arn: &str) -> Result<()> {
    match find(ctx, arn) {
        Ok(_) => Ok(()),
        Err(_) => Err(no_such_entity(format!(
            "Policy {arn} does not exist or is not attachable."
        ))),
    }
}

fn modify(ctx: &mut Ctx, arn: &str, change: impl FnOnce(&mut Policy) -> Result<()>) -> Result<()> {
    let mut policy = find(ctx, arn)?;
    if policy.scope != global(ctx) {
        return Err(ApiError::new(
            403,
            "AccessDenied",
            format!("The policy {arn} is AWS's own and cannot be changed."),
        ));
    }
    change(&mut policy)?;
    ctx.tx.put(policy);
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OnePolicy {
    policy: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePolicy {
    policy_name: String,
    policy_document: String,
    path: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreatePolicy) -> Result<OnePolicy> {
    let name = input.policy_name;
    check_name(&name, "policyName", MAX_NAME)?;
    let path = path(input.path)?;
    document::check(&input.policy_document, Kind::Managed)?;
    let tags = tag::of(&input.tags)?;
    let scope = global(ctx);
    let mut policies = ctx.tx.policies.values().filter(|p| p.scope == scope);
    if policies.any(|p| p.name.eq_ignore_ascii_case(&name)) {
        return Err(already_exists(format!(
            "A policy called {name} already exists. Duplicate names are not allowed."
        )));
    }
    let policy = Policy {
        arn: format!("arn:aws:iam::{}:policy{path}{name}", scope.account),
        scope,
        name,
        id: unique_id("ANPA"),
        path,
        description: input.description.filter(|d| !d.is_empty()),
        versions: vec![("v1".to_owned(), input.policy_document, ctx.now)],
        default_version: "v1".to_owned(),
        created: ctx.now,
        tags,
    };
    let mut made = shape(ctx, &policy);
    // The answer to this call alone shows no description, and tags where there are any.
    made.description = None;
    made.tags = made.tags.filter(|tags| !tags.is_empty());
    ctx.tx.put(policy);
    Ok(OnePolicy { policy: made })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyArn {
    policy_arn: String,
}

pub fn get(ctx: &mut Ctx, input: PolicyArn) -> Result<OnePolicy> {
    let policy = find(ctx, &input.policy_arn)?;
    Ok(OnePolicy {
        policy: shape(ctx, &policy),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPolicies {
    scope: Option<PolicyScope>,
    only_attached: Option<bool>,
    path_prefix: Option<String>,
    policy_usage_filter: Option<Usage>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
enum PolicyScope {
    All,
    #[serde(rename = "AWS")]
    Aws,
    Local,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
pub(super) enum Usage {
    PermissionsPolicy,
    PermissionsBoundary,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policies {
    policies: Vec<Shape>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListPolicies) -> Result<Policies> {
    let scope = input.scope.unwrap_or(PolicyScope::All);
    let account = global(ctx);
    let own = ctx
        .tx
        .policies
        .values()
        .filter(|p| p.scope == account)
        .map(|p| Policy::clone(p));
    let mut found: Vec<Policy> = Vec::new();
    if scope != PolicyScope::Aws {
        found.extend(own);
    }
    if scope != PolicyScope::Local {
        found.extend(managed_policy::all());
    }
    let prefix = input.path_prefix.unwrap_or_default();
    found.retain(|p| p.path.starts_with(&prefix));
    found.sort_by(|a, b| a.arn.cmp(&b.arn));
    let mut shapes: Vec<Shape> = found.iter().map(|p| shape(ctx, p)).collect();
    shapes.retain(|s| {
        let attached = input.only_attached != Some(true) || s.attachment_count > 0;
        let used = match input.policy_usage_filter {
            None => true,
            Some(Usage::PermissionsPolicy) => s.attachment_count > 0,
            Some(Usage::PermissionsBoundary) => s.permissions_boundary_usage_count > 0,
        };
        attached && used
    });
    // Lists show neither tags nor descriptions.
    for shape in &mut shapes {
        (shape.tags, shape.description) = (None, None);
    }
    let (policies, marker) = page::of(
        shapes,
        |s| s.arn.clone(),
        input.max_items,
        input.marker.as_deref(),
    )?;
    Ok(Policies {
        policies,
        is_truncated: marker.is_some(),
        marker,
    })
}

pub fn delete(ctx: &mut Ctx, input: PolicyArn) -> Result<()> {
    let arn = input.policy_arn;
    let mut versions = 0;
    modify(ctx, &arn, |policy| {
        versions = policy.versions.len();
        Ok(())
    })?;
    if attachments(ctx, &arn) + bounded(ctx, &arn) > 0 {
        return Err(delete_conflict(
            "Cannot delete a policy attached to entities.",
        ));
    }
    if versions > 1 {
        return Err(delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        ));
    }
    ctx.tx.remove::<Policy>(&arn);
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionShape {
    document: Option<String>,
    version_id: String,
    is_default_version: bool,
    create_date: Timestamp,
}

fn version_shape(policy: &Policy, id: &str, with_document: bool) -> Result<VersionShape> {
    let found = policy.versions.iter().find(|(v, _, _)| v == id);
    let Some((version, document, created)) = found else {
        return Err(no_such_entity(format!(
            "Policy {} version {id} does not exist or is not attachable.",
            policy.arn
        )));
    };
    Ok(VersionShape {
        document: with_document.then(|| encoded(document)),
        version_id: version.clone(),
        is_default_version: *version == policy.default_version,
        create_date: (*created).into(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OnePolicyVersion {
    policy_version: VersionShape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePolicyVersion {
    policy_arn: String,
    policy_document: String,
    set_as_default: Option<bool>,
}

pub fn create_version(ctx: &mut Ctx, input: CreatePolicyVersion) -> Result<OnePolicyVersion> {
    document::check(&input.policy_document, Kind::Managed)?;
    let now = ctx.now;
    let mut added = String::new();
    modify(ctx, &input.policy_arn, |policy| {
        if policy.versions.len() >= MAX_VERSIONS {
            return Err(limit_exceeded(format!(
                "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must delete an existing version."
            )));
        }
        added = format!("v{}", highest(policy) + 1);
        policy
            .versions
            .push((added.clone(), input.policy_document, now));
        if input.set_as_default == Some(true) {
            policy.default_version = added.clone();
        }
        Ok(())
    })?;
    let policy = find(ctx, &input.policy_arn)?;
    Ok(OnePolicyVersion {
        policy_version: version_shape(&policy, &added, false)?,
    })
}

fn highest(policy: &Policy) -> u64 {
    let numbers = policy
        .versions
        .iter()
        .filter_map(|(v, _, _)| v.get(1..)?.parse().ok());
    numbers.max().unwrap_or(0)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyVersionId {
    policy_arn: String,
    version_id: String,
}

pub fn get_version(ctx: &mut Ctx, input: PolicyVersionId) -> Result<OnePolicyVersion> {
    let policy = find(ctx, &input.policy_arn)?;
    Ok(OnePolicyVersion {
        policy_version: version_shape(&policy, &input.version_id, true)?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPolicyVersions {
    policy_arn: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyVersions {
    versions: Vec<VersionShape>,
    is_truncated: bool,
}

/// At most five versions: one page, the newest first.
pub fn list_versions(ctx: &mut Ctx, input: ListPolicyVersions) -> Result<PolicyVersions> {
    let policy = find(ctx, &input.policy_arn)?;
    let newest_first = policy.versions.iter().rev();
    let shapes = newest_first.map(|(id, _, _)| version_shape(&policy, id, false));
    Ok(PolicyVersions {
        versions: shapes.collect::<Result<_>>()?,
        is_truncated: false,
    })
}

pub fn delete_version(ctx: &mut Ctx, input: PolicyVersionId) -> Result<()> {
    modify(ctx, &input.policy_arn, |policy| {
        version_shape(policy, &input.version_id, false)?;
        if policy.default_version == input.version_id {
            return Err(delete_conflict(
                "Cannot delete the default version of a policy.",
            ));
        }
        policy.versions.retain(|(id, _, _)| *id != input.version_id);
        Ok(())
    })
}

pub fn set_default_version(ctx: &mut Ctx, input: PolicyVersionId) -> Result<()> {
    modify(ctx, &input.policy_arn, |policy| {
        version_shape(policy, &input.version_id, false)?;
        policy.default_version = input.version_id;
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagPolicy {
    policy_arn: String,
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagPolicy) -> Result<()> {
    modify(ctx, &input.policy_arn, |policy| {
        tag::add(&mut policy.tags, &input.tags)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagPolicy {
    policy_arn: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagPolicy) -> Result<()> {
    modify(ctx, &input.policy_arn, |policy| {
        policy.tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPolicyTags {
    policy_arn: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

/// At most 50 tags: one page.
pub fn list_tags(ctx: &mut Ctx, input: ListPolicyTags) -> Result<TagList> {
    Ok(TagList {
        tags: tag::list(&find(ctx, &input.policy_arn)?.tags),
        is_truncated: false,
    })
}
