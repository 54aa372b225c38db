//! Instance profiles: what carries one role to an instance.

use super::error::{
    Result, already_exists, check_name, delete_conflict, limit_exceeded, no_such_entity, path,
};
use super::tag::{self, Tag, TagList};
use super::{global, page, role, unique_id};
use crate::Ctx;
use model::iam::InstanceProfile;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::ScopedName;
use wire::Timestamp;

const MAX_NAME: usize = 128;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    path: String,
    instance_profile_name: String,
    instance_profile_id: String,
    arn: String,
    create_date: Timestamp,
    roles: Vec<role::Shape>,
    tags: Option<Vec<Tag>>,
}

fn shape(ctx: &Ctx, profile: &InstanceProfile) -> Shape {
    let role = profile
        .role
        .as_ref()
        .and_then(|name| role::find(ctx, name).ok());
    Shape {
        path: profile.path.clone(),
        instance_profile_name: profile.name.clone(),
        instance_profile_id: profile.id.clone(),
        arn: profile.arn.clone(),
        create_date: profile.created.into(),
        roles: role.iter().map(|r| role::listed(r)).collect(),
        tags: Some(tag::list(&profile.tags)).filter(|tags| !tags.is_empty()),
    }
}

fn find(ctx: &Ctx, name: &str) -> Result<Arc<InstanceProfile>> {
    let key = ScopedName::new(&global(ctx), name);
    ctx.tx
        .instance_profiles
        .get(&key)
        .cloned()
        .ok_or_else(|| no_such_entity(format!("Instance Profile {name} cannot be found.")))
}

fn modify(
    ctx: &mut Ctx,
    name: &str,
    change: impl FnOnce(&mut InstanceProfile) -> Result<()>,
) -> Result<()> {
    let mut profile = InstanceProfile::clone(&*find(ctx, name)?);
    change(&mut profile)?;
    ctx.tx.put(profile);
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneInstanceProfile {
    instance_profile: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateInstanceProfile {
    instance_profile_name: String,
    path: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreateInstanceProfile) -> Result<OneInstanceProfile> {
    let name = input.instance_profile_name;
    check_name(&name, "instanceProfileName", MAX_NAME)?;
    let path = path(input.path)?;
    let tags = tag::of(&input.tags)?;
    let scope = global(ctx);
    let mut profiles = ctx
        .tx
        .instance_profiles
        .values()
        .filter(|p| p.scope == scope);
    if profiles.any(|p| p.name.eq_ignore_ascii_case(&name)) {
        return Err(already_exists(format!(
            "Instance Profile {name} already exists."
        )));
    }
    let profile = InstanceProfile {
        arn: format!(
            "arn:aws:iam::{}:instance-profile{path}{name}",
            scope.account
        ),
        scope,
        name,
        id: unique_id("AIPA"),
        path,
        role: None,
        created: ctx.now,
        tags,
    };
    let instance_profile = shape(ctx, &profile);
    ctx.tx.put(profile);
    Ok(OneInstanceProfile { instance_profile })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceProfileName {
    instance_profile_name: String,
}

pub fn get(ctx: &mut Ctx, input: InstanceProfileName) -> Result<OneInstanceProfile> {
    let profile = find(ctx, &input.instance_profile_name)?;
    Ok(OneInstanceProfile {
        instance_profile: shape(ctx, &profile),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListInstanceProfiles {
    path_prefix: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceProfiles {
    instance_profiles: Vec<Shape>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListInstanceProfiles) -> Result<InstanceProfiles> {
    let prefix = input.path_prefix.unwrap_or_default();
    listing(ctx, input.max_items, input.marker, |p| {
        p.path.starts_with(&prefix)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListInstanceProfilesForRole {
    role_name: String,
    max_items: Option<i64>,
    marker: Option<String>,
}

pub fn list_for_role(
    ctx: &mut Ctx,
    input: ListInstanceProfilesForRole,
) -> Result<InstanceProfiles> {
    let role = role::find(ctx, &input.role_name)?;
    listing(ctx, input.max_items, input.marker, |p| {
        p.role.as_ref() == Some(&role.name)
    })
}

fn listing(
    ctx: &Ctx,
    max_items: Option<i64>,
    marker: Option<String>,
    wanted: impl Fn(&InstanceProfile) -> bool,
) -> Result<InstanceProfiles> {
    let scope = global(ctx);
    let profiles = ctx.tx.instance_profiles.values();
    let mine = profiles.filter(|p| p.scope == scope && wanted(p));
    let (profiles, marker) = page::of(mine, |p| p.name.clone(), max_items, marker.as_deref())?;
    Ok(InstanceProfiles {
        instance_profiles: profiles.into_iter().map(|p| shape(ctx, p)).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RoleInProfile {
    instance_profile_name: String,
    role_name: String,
}

pub fn add_role(ctx: &mut Ctx, input: RoleInProfile) -> Result<()> {
    let role = role::find(ctx, &input.role_name)?;
    modify(ctx, &input.instance_profile_name, |profile| {
        if profile.role.is_some() {
            return Err(limit_exceeded(
                "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
            ));
        }
        profile.role = Some(role.name.clone());
        Ok(())
    })
}

pub fn remove_role(ctx: &mut Ctx, input: RoleInProfile) -> Result<()> {
    role::find(ctx, &input.role_name)?;
    modify(ctx, &input.instance_profile_name, |profile| {
        if profile.role.as_ref() != Some(&input.role_name) {
            return Err(no_such_entity(format!(
                "Role {} in Instance Profile {} cannot be found.",
                input.role_name, input.instance_profile_name
            )));
        }
        profile.role = None;
        Ok(())
    })
}

pub fn delete(ctx: &mut Ctx, input: InstanceProfileName) -> Result<()> {
    let profile = find(ctx, &input.instance_profile_name)?;
    if profile.role.is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    ctx.tx
        .remove::<InstanceProfile>(&ScopedName::new(&profile.scope, &profile.name));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagInstanceProfile {
    instance_profile_name: String,
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagInstanceProfile) -> Result<()> {
    modify(ctx, &input.instance_profile_name, |p| {
        tag::add(&mut p.tags, &input.tags)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagInstanceProfile {
    instance_profile_name: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagInstanceProfile) -> Result<()> {
    modify(ctx, &input.instance_profile_name, |profile| {
        profile.tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListInstanceProfileTags {
    instance_profile_name: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

/// At most 50 tags: one page.
pub fn list_tags(ctx: &mut Ctx, input: ListInstanceProfileTags) -> Result<TagList> {
    Ok(TagList {
        tags: tag::list(&find(ctx, &input.instance_profile_name)?.tags),
        is_truncated: false,
    })
}
