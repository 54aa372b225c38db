//! Users: named identities with keys of their own. What they may do is not evaluated.

use super::error::{Result, already_exists, check_name, delete_conflict, path};
use super::identity::{self, all, modify, same_name};
use super::tag::{self, Tag, TagList};
use super::{global, page, policy, unique_id};
use crate::Ctx;
use model::iam_user::{AccessKey, Group, User};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::ScopedName;
use wire::Timestamp;

const MAX_NAME: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    path: String,
    user_name: String,
    user_id: String,
    arn: String,
    create_date: Timestamp,
    permissions_boundary: Option<super::role::Boundary>,
    tags: Option<Vec<Tag>>,
}

fn shape(user: &User) -> Shape {
    Shape {
        permissions_boundary: user
            .permissions_boundary
            .as_deref()
            .map(super::role::Boundary::of),
        tags: Some(tag::list(&user.tags)).filter(|tags| !tags.is_empty()),
        ..listed(user)
    }
}

/// As lists show it, without what only GetUser tells.
pub(super) fn listed(user: &User) -> Shape {
    Shape {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.id.clone(),
        arn: user.arn.clone(),
        create_date: user.created.into(),
        permissions_boundary: None,
        tags: None,
    }
}

/// The named user, or the one whose key signed the call.
pub(super) fn named_or_caller(ctx: &Ctx, name: Option<&str>) -> Result<Arc<User>> {
    match name {
        Some(name) => identity::find(ctx, name),
        None => super::caller(ctx).ok_or_else(|| {
            super::error::invalid("Must specify userName when calling with non-User credentials")
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneUser {
    user: Shape,
}

fn arn(ctx: &Ctx, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{}:user{path}{name}", ctx.scope.account)
}

fn check_free(ctx: &Ctx, name: &str) -> Result<()> {
    check_name(name, "userName", MAX_NAME)?;
    match same_name::<User>(ctx, name) {
        Some(taken) => Err(already_exists(format!(
            "User with name {taken} already exists."
        ))),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateUser {
    user_name: String,
    path: Option<String>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreateUser) -> Result<OneUser> {
    let path = path(input.path)?;
    if let Some(arn) = &input.permissions_boundary {
        policy::check(ctx, arn)?;
    }
    let tags = tag::of(&input.tags)?;
    check_free(ctx, &input.user_name)?;
    let user = User {
        arn: arn(ctx, &path, &input.user_name),
        scope: global(ctx),
        name: input.user_name,
        id: unique_id("AIDA"),
        path,
        permissions_boundary: input.permissions_boundary,
        attached_policies: Vec::new(),
        inline_policies: BTreeMap::new(),
        login: None,
        ssh_keys: Vec::new(),
        created: ctx.now,
        tags,
    };
    let answer = OneUser { user: shape(&user) };
    ctx.tx.put(user);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetUser {
    user_name: Option<String>,
}

pub fn get(ctx: &mut Ctx, input: GetUser) -> Result<OneUser> {
    let user = named_or_caller(ctx, input.user_name.as_deref())?;
    Ok(OneUser { user: shape(&user) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsers {
    path_prefix: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Users {
    users: Vec<Shape>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListUsers) -> Result<Users> {
    let prefix = input.path_prefix.unwrap_or_default();
    let users = all::<User>(ctx).filter(|u| u.path.starts_with(&prefix));
    let (users, marker) = page::of(
        users,
        |u| u.name.clone(),
        input.max_items,
        input.marker.as_deref(),
    )?;
    Ok(Users {
        users: users.into_iter().map(|u| listed(u)).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateUser {
    user_name: String,
    new_user_name: Option<String>,
    new_path: Option<String>,
}

/// A new name takes the user's groups and keys along.
pub fn update(ctx: &mut Ctx, input: UpdateUser) -> Result<()> {
    let mut user = User::clone(&*identity::find::<User>(ctx, &input.user_name)?);
    if let Some(given) = input.new_path {
        user.path = path(Some(given))?;
    }
    let old = user.name.clone();
    if let Some(name) = input.new_user_name.filter(|new| *new != old) {
        if !name.eq_ignore_ascii_case(&old) {
            check_free(ctx, &name)?;
        }
        check_name(&name, "userName", MAX_NAME)?;
        for group in groups(ctx, &old) {
            modify::<Group>(ctx, &group.name, |group| {
                group.users.retain(|u| *u != old);
                group.users.push(name.clone());
                group.users.sort();
                Ok(())
            })?;
        }
        for key in keys(ctx, &old) {
            let user = name.clone();
            ctx.tx.put(AccessKey {
                user,
                ..AccessKey::clone(&key)
            });
        }
        ctx.tx.remove::<User>(&ScopedName::new(&user.scope, &old));
        user.name = name;
    }
    user.arn = arn(ctx, &user.path, &user.name);
    ctx.tx.put(user);
    Ok(())
}

pub(super) fn groups(ctx: &Ctx, user: &str) -> Vec<Arc<Group>> {
    let of = |g: &&Arc<Group>| g.users.iter().any(|u| u == user);
    all::<Group>(ctx).filter(of).cloned().collect()
}

pub(super) fn keys(ctx: &Ctx, user: &str) -> Vec<Arc<AccessKey>> {
    let scope = global(ctx);
    let keys = ctx.tx.access_keys.values();
    keys.filter(|k| k.scope == scope && k.user == user)
        .cloned()
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UserName {
    user_name: String,
}

pub fn delete(ctx: &mut Ctx, input: UserName) -> Result<()> {
    let user = identity::find::<User>(ctx, &input.user_name)?;
    let first = if !user.attached_policies.is_empty() {
        "detach all policies"
    } else if !user.inline_policies.is_empty() {
        "delete policies"
    } else if !keys(ctx, &user.name).is_empty() {
        "delete access keys"
    } else if !groups(ctx, &user.name).is_empty() {
        "remove users from group"
    } else if !user.ssh_keys.is_empty() {
        "delete SSH public keys"
    } else if user.login.is_some() {
        "delete login profile"
    } else {
        ctx.tx
            .remove::<User>(&ScopedName::new(&user.scope, &user.name));
        return Ok(());
    };
    Err(delete_conflict(format!(
        "Cannot delete entity, must {first} first."
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutBoundary {
    user_name: String,
    permissions_boundary: String,
}

pub fn put_permissions_boundary(ctx: &mut Ctx, input: PutBoundary) -> Result<()> {
    policy::check(ctx, &input.permissions_boundary)?;
    modify::<User>(ctx, &input.user_name, |user| {
        user.permissions_boundary = Some(input.permissions_boundary);
        Ok(())
    })
}

pub fn delete_permissions_boundary(ctx: &mut Ctx, input: UserName) -> Result<()> {
    modify::<User>(ctx, &input.user_name, |user| {
        user.permissions_boundary = None;
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagUser {
    user_name: String,
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagUser) -> Result<()> {
    modify::<User>(ctx, &input.user_name, |u| {
        tag::add(&mut u.tags, &input.tags)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagUser {
    user_name: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagUser) -> Result<()> {
    modify::<User>(ctx, &input.user_name, |user| {
        user.tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListUserTags {
    user_name: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

/// At most 50 tags: one page.
pub fn list_tags(ctx: &mut Ctx, input: ListUserTags) -> Result<TagList> {
    let user = identity::find::<User>(ctx, &input.user_name)?;
    Ok(TagList {
        tags: tag::list(&user.tags),
        is_truncated: false,
    })
}
