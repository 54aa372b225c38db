//! Roles: who may be assumed, with which description and limits.

use super::document::{self, Kind};
use super::error::{
    Result, already_exists, check_name, delete_conflict, done, encoded, invalid, path,
};
use super::identity::{self, same_name};
use super::tag::{self, Tag, TagList};
use super::{global, page, policy, unique_id};
use crate::Ctx;
use model::Tags;
use model::iam::{InstanceProfile, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Timestamp};

const MAX_NAME: usize = 64;
/// Seconds a session may last: an hour to twelve.
const SESSION: std::ops::RangeInclusive<u32> = 3600..=43_200;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shape {
    path: String,
    role_name: String,
    role_id: String,
    arn: String,
    create_date: Timestamp,
    assume_role_policy_document: String,
    description: Option<String>,
    max_session_duration: Option<u32>,
    permissions_boundary: Option<Boundary>,
    tags: Option<Vec<Tag>>,
    role_last_used: Option<LastUsed>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Boundary {
    permissions_boundary_type: &'static str,
    permissions_boundary_arn: String,
}

impl Boundary {
    pub(super) fn of(arn: &str) -> Self {
        Self {
            permissions_boundary_type: "Policy",
            permissions_boundary_arn: arn.to_owned(),
        }
    }
}

/// Nothing records the use of a role; AWS writes an empty element for that too.
#[derive(Serialize)]
struct LastUsed {}

/// As GetRole and CreateRole show it.
pub(super) fn shape(role: &Role) -> Shape {
    Shape {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.id.clone(),
        arn: role.arn.clone(),
        create_date: role.created.into(),
        assume_role_policy_document: encoded(&role.assume_role_policy),
        description: role.description.clone(),
        max_session_duration: Some(role.max_session_duration),
        permissions_boundary: role.permissions_boundary.as_deref().map(Boundary::of),
        tags: Some(tag::list(&role.tags)).filter(|tags| !tags.is_empty()),
        role_last_used: Some(LastUsed {}),
    }
}

/// As lists show it, without what only GetRole tells.
pub(super) fn listed(role: &Role) -> Shape {
    Shape {
        permissions_boundary: None,
        tags: None,
        role_last_used: None,
        ..shape(role)
    }
}

pub(super) fn find(ctx: &Ctx, name: &str) -> Result<Arc<Role>> {
    identity::find(ctx, name)
}

/// Changes the role, which must exist and be no service's own.
fn modify(ctx: &mut Ctx, name: &str, change: impl FnOnce(&mut Role) -> Result<()>) -> Result<()> {
    identity::modify(ctx, name, change)
}

pub(super) fn refuse_service_role(role: &Role) -> Result<()> {
    if !role.path.starts_with("/aws-service-role/") {
        return Ok(());
    }
    Err(ApiError::client(
        "UnmodifiableEntity",
        format!(
            "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS",
            role.name
        ),
    ))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneRole {
    role: Shape,
}

impl OneRole {
    pub(super) fn new(role: &Role) -> Self {
        Self { role: shape(role) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRole {
    role_name: String,
    assume_role_policy_document: String,
    path: Option<String>,
    description: Option<String>,
    max_session_duration: Option<u32>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreateRole) -> Result<OneRole> {
    check_name(&input.role_name, "roleName", MAX_NAME)?;
    let path = path(input.path)?;
    document::check(&input.assume_role_policy_document, Kind::Trust)?;
    let max_session_duration = input.max_session_duration.unwrap_or(3600);
    check_session(max_session_duration)?;
    if let Some(arn) = &input.permissions_boundary {
        policy::check(ctx, arn)?;
    }
    let tags = tag::of(&input.tags)?;
    let scope = global(ctx);
    if let Some(taken) = same_name::<Role>(ctx, &input.role_name) {
        return Err(already_exists(format!(
            "Role with name {taken} already exists."
        )));
    }
    let role = Role {
        arn: format!(
            "arn:aws:iam::{}:role{path}{}",
            scope.account, input.role_name
        ),
        scope,
        name: input.role_name,
        id: unique_id("AROA"),
        path,
        assume_role_policy: input.assume_role_policy_document,
        description: input.description.filter(|d| !d.is_empty()),
        max_session_duration,
        permissions_boundary: input.permissions_boundary,
        attached_policies: Vec::new(),
        inline_policies: BTreeMap::new(),
        created: ctx.now,
        tags,
    };
    let answer = OneRole::new(&role);
    ctx.tx.put(role);
    Ok(answer)
}

fn check_session(seconds: u32) -> Result<()> {
    if SESSION.contains(&seconds) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{seconds}' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between {} and {}",
        SESSION.start(),
        SESSION.end()
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RoleName {
    role_name: String,
}

pub fn get(ctx: &mut Ctx, input: RoleName) -> Result<OneRole> {
    Ok(OneRole::new(&*find(ctx, &input.role_name)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListRoles {
    path_prefix: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Roles {
    roles: Vec<Shape>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListRoles) -> Result<Roles> {
    let prefix = input.path_prefix.unwrap_or_default();
    let mine = identity::all::<Role>(ctx).filter(|r| r.path.starts_with(&prefix));
    let (roles, marker) = page::of(
        mine,
        |r| r.name.clone(),
        input.max_items,
        input.marker.as_deref(),
    )?;
    Ok(Roles {
        roles: roles.into_iter().map(|r| listed(r)).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateRole {
    role_name: String,
    description: Option<String>,
    max_session_duration: Option<u32>,
}

#[derive(Serialize)]
pub struct Nothing {}

pub fn update(ctx: &mut Ctx, input: UpdateRole) -> Result<Nothing> {
    if let Some(seconds) = input.max_session_duration {
        check_session(seconds)?;
    }
    modify(ctx, &input.role_name, |role| {
        // What is not given is left; an empty description removes it.
        if let Some(description) = input.description {
            role.description = Some(description).filter(|d| !d.is_empty());
        }
        role.max_session_duration = input
            .max_session_duration
            .unwrap_or(role.max_session_duration);
        Ok(())
    })?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateRoleDescription {
    role_name: String,
    description: String,
}

pub fn update_description(ctx: &mut Ctx, input: UpdateRoleDescription) -> Result<OneRole> {
    modify(ctx, &input.role_name, |role| {
        role.description = Some(input.description).filter(|d| !d.is_empty());
        Ok(())
    })?;
    Ok(OneRole::new(&*find(ctx, &input.role_name)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateAssumeRolePolicy {
    role_name: String,
    policy_document: String,
}

pub fn update_assume_role_policy(ctx: &mut Ctx, input: UpdateAssumeRolePolicy) -> Result<()> {
    document::check(&input.policy_document, Kind::Trust)?;
    modify(ctx, &input.role_name, |role| {
        role.assume_role_policy = input.policy_document;
        Ok(())
    })
}

pub fn delete(ctx: &mut Ctx, input: RoleName) -> Result<()> {
    let role = find(ctx, &input.role_name)?;
    refuse_service_role(&role)?;
    if !role.attached_policies.is_empty() {
        return Err(delete_conflict(
            "Cannot delete entity, must detach all policies first.",
        ));
    }
    if !role.inline_policies.is_empty() {
        return Err(delete_conflict(
            "Cannot delete entity, must delete policies first.",
        ));
    }
    let in_profile =
        |p: &&Arc<InstanceProfile>| p.scope == role.scope && p.role.as_ref() == Some(&role.name);
    if ctx.tx.instance_profiles.values().find(in_profile).is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    ctx.tx
        .remove::<Role>(&ScopedName::new(&role.scope, &role.name));
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagRole {
    role_name: String,
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagRole) -> Result<()> {
    modify(ctx, &input.role_name, |role| {
        tag::add(&mut role.tags, &input.tags)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagRole {
    role_name: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagRole) -> Result<()> {
    modify(ctx, &input.role_name, |role| {
        role.tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListRoleTags {
    role_name: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

/// At most 50 tags: one page.
pub fn list_tags(ctx: &mut Ctx, input: ListRoleTags) -> Result<TagList> {
    let tags: &Tags = &find(ctx, &input.role_name)?.tags;
    Ok(TagList {
        tags: tag::list(tags),
        is_truncated: false,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRolePermissionsBoundary {
    role_name: String,
    permissions_boundary: String,
}

pub fn put_permissions_boundary(ctx: &mut Ctx, input: PutRolePermissionsBoundary) -> Result<()> {
    policy::check(ctx, &input.permissions_boundary)?;
    modify(ctx, &input.role_name, |role| {
        role.permissions_boundary = Some(input.permissions_boundary);
        Ok(())
    })
}

pub fn delete_permissions_boundary(ctx: &mut Ctx, input: RoleName) -> Result<()> {
    modify(ctx, &input.role_name, |role| {
        role.permissions_boundary = None;
        Ok(())
    })
}
