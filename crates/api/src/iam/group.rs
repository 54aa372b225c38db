//! Groups of users.

use super::error::{
    Result, already_exists, check_name, delete_conflict, limit_exceeded, no_such_entity, path,
};
use super::identity::{self, all, modify, same_name};
use super::{global, page, unique_id, user};
use crate::Ctx;
use model::iam_user::{Group, User};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::ScopedName;
use wire::Timestamp;

const MAX_NAME: usize = 128;
/// Groups that a user can be in.
const MAX_GROUPS: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    path: String,
    group_name: String,
    group_id: String,
    arn: String,
    create_date: Timestamp,
}

fn shape(group: &Group) -> Shape {
    Shape {
        path: group.path.clone(),
        group_name: group.name.clone(),
        group_id: group.id.clone(),
        arn: group.arn.clone(),
        create_date: group.created.into(),
    }
}

fn arn(ctx: &Ctx, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{}:group{path}{name}", ctx.scope.account)
}

fn check_free(ctx: &Ctx, name: &str) -> Result<()> {
    check_name(name, "groupName", MAX_NAME)?;
    match same_name::<Group>(ctx, name) {
        Some(taken) => Err(already_exists(format!(
            "Group with name {taken} already exists."
        ))),
        None => Ok(()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneGroup {
    group: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateGroup {
    group_name: String,
    path: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateGroup) -> Result<OneGroup> {
    let path = path(input.path)?;
    check_free(ctx, &input.group_name)?;
    let group = Group {
        arn: arn(ctx, &path, &input.group_name),
        scope: global(ctx),
        name: input.group_name,
        id: unique_id("AGPA"),
        path,
        attached_policies: Vec::new(),
        inline_policies: BTreeMap::new(),
        users: Vec::new(),
        created: ctx.now,
    };
    let answer = OneGroup {
        group: shape(&group),
    };
    ctx.tx.put(group);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetGroup {
    group_name: String,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GroupAndUsers {
    group: Shape,
    users: Vec<user::Shape>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn get(ctx: &mut Ctx, input: GetGroup) -> Result<GroupAndUsers> {
    let group = identity::find::<Group>(ctx, &input.group_name)?;
    let names = group.users.iter().cloned();
    let (names, marker) = page::of(
        names,
        Clone::clone,
        input.max_items,
        input.marker.as_deref(),
    )?;
    let users = names
        .iter()
        .filter_map(|name| identity::find::<User>(ctx, name).ok());
    Ok(GroupAndUsers {
        group: shape(&group),
        users: users.map(|u| user::listed(&u)).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListGroups {
    path_prefix: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Groups {
    groups: Vec<Shape>,
    is_truncated: bool,
    marker: Option<String>,
}

impl Groups {
    fn page<'a>(
        groups: impl IntoIterator<Item = &'a Group>,
        max_items: Option<i64>,
        marker: Option<&str>,
    ) -> Result<Self> {
        let (groups, marker) = page::of(groups, |g| g.name.clone(), max_items, marker)?;
        Ok(Self {
            groups: groups.into_iter().map(shape).collect(),
            is_truncated: marker.is_some(),
            marker,
        })
    }
}

pub fn list(ctx: &mut Ctx, input: ListGroups) -> Result<Groups> {
    let prefix = input.path_prefix.unwrap_or_default();
    let groups = all::<Group>(ctx).filter(|g| g.path.starts_with(&prefix));
    Groups::page(
        groups.map(AsRef::as_ref),
        input.max_items,
        input.marker.as_deref(),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListGroupsForUser {
    user_name: String,
    max_items: Option<i64>,
    marker: Option<String>,
}

pub fn list_for_user(ctx: &mut Ctx, input: ListGroupsForUser) -> Result<Groups> {
    let user = identity::find::<User>(ctx, &input.user_name)?;
    let groups = user::groups(ctx, &user.name);
    Groups::page(
        groups.iter().map(AsRef::as_ref),
        input.max_items,
        input.marker.as_deref(),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateGroup {
    group_name: String,
    new_group_name: Option<String>,
    new_path: Option<String>,
}

pub fn update(ctx: &mut Ctx, input: UpdateGroup) -> Result<()> {
    let mut group = Group::clone(&*identity::find::<Group>(ctx, &input.group_name)?);
    if let Some(given) = input.new_path {
        group.path = path(Some(given))?;
    }
    if let Some(name) = input.new_group_name.filter(|new| *new != group.name) {
        if !name.eq_ignore_ascii_case(&group.name) {
            check_free(ctx, &name)?;
        }
        check_name(&name, "groupName", MAX_NAME)?;
        ctx.tx
            .remove::<Group>(&ScopedName::new(&group.scope, &group.name));
        group.name = name;
    }
    group.arn = arn(ctx, &group.path, &group.name);
    ctx.tx.put(group);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GroupName {
    group_name: String,
}

pub fn delete(ctx: &mut Ctx, input: GroupName) -> Result<()> {
    let group = identity::find::<Group>(ctx, &input.group_name)?;
    let first = if !group.attached_policies.is_empty() {
        "detach all policies"
    } else if !group.inline_policies.is_empty() {
        "delete policies"
    } else if !group.users.is_empty() {
        "remove users from group"
    } else {
        ctx.tx
            .remove::<Group>(&ScopedName::new(&group.scope, &group.name));
        return Ok(());
    };
    Err(delete_conflict(format!(
        "Cannot delete entity, must {first} first."
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Membership {
    group_name: String,
    user_name: String,
}

/// Adding twice is adding once.
pub fn add_user(ctx: &mut Ctx, input: Membership) -> Result<()> {
    identity::find::<User>(ctx, &input.user_name)?;
    let already = user::groups(ctx, &input.user_name);
    modify::<Group>(ctx, &input.group_name, |group| {
        if group.users.contains(&input.user_name) {
            return Ok(());
        }
        if already.len() >= MAX_GROUPS {
            return Err(limit_exceeded(format!(
                "Cannot exceed quota for GroupsPerUser: {MAX_GROUPS}"
            )));
        }
        group.users.push(input.user_name);
        group.users.sort();
        Ok(())
    })
}

pub fn remove_user(ctx: &mut Ctx, input: Membership) -> Result<()> {
    identity::find::<User>(ctx, &input.user_name)?;
    modify::<Group>(ctx, &input.group_name, |group| {
        let before = group.users.len();
        group.users.retain(|u| *u != input.user_name);
        if group.users.len() == before {
            return Err(no_such_entity(format!(
                "User {} is not in group {}.",
                input.user_name, group.name
            )));
        }
        Ok(())
    })
}
