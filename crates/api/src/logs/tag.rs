//! Tags of log groups, by ARN and, in the older calls, by name.

use super::group::NamedGroup;
use super::{Result, find_group, group_of_arn, invalid, not_found};
use crate::Ctx;
use model::Tags;
use model::logs::LogGroup;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::Record;

/// AWS's limit on one resource.
const MAX_TAGS: usize = 50;

fn by_arn(ctx: &Ctx, arn: &str) -> Result<Arc<LogGroup>> {
    match group_of_arn(ctx, arn) {
        Some(name) => find_group(ctx, name),
        None => Err(not_found("resource")),
    }
}

fn add(ctx: &mut Ctx, group: &LogGroup, tags: Tags) -> Result<()> {
    let mut all = group.tags.clone();
    all.extend(tags);
    if all.len() > MAX_TAGS {
        return Err(wire::ApiError::client(
            "TooManyTagsException",
            format!("A resource can have no more than {MAX_TAGS} tags."),
        ));
    }
    if all.keys().any(|k| k.is_empty() || k.chars().count() > 128) {
        return Err(invalid("Tag keys have 1 to 128 characters."));
    }
    ctx.tx.modify::<LogGroup>(&group.key(), |g| g.tags = all);
    Ok(())
}

fn take(ctx: &mut Ctx, group: &LogGroup, keys: &[String]) {
    ctx.tx.modify::<LogGroup>(&group.key(), |g| {
        g.tags.retain(|key, _| !keys.contains(key));
    });
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagResource {
    resource_arn: String,
    tags: Tags,
}

pub fn tag(ctx: &mut Ctx, input: TagResource) -> Result<()> {
    let group = by_arn(ctx, &input.resource_arn)?;
    add(ctx, &group, input.tags)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UntagResource {
    resource_arn: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagResource) -> Result<()> {
    let group = by_arn(ctx, &input.resource_arn)?;
    take(ctx, &group, &input.tag_keys);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTagsForResource {
    resource_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagsShape {
    tags: Tags,
}

pub fn list(ctx: &mut Ctx, input: ListTagsForResource) -> Result<TagsShape> {
    let group = by_arn(ctx, &input.resource_arn)?;
    Ok(TagsShape {
        tags: group.tags.clone(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagLogGroup {
    log_group_name: String,
    tags: Tags,
}

pub fn tag_group(ctx: &mut Ctx, input: TagLogGroup) -> Result<()> {
    let group = find_group(ctx, &input.log_group_name)?;
    add(ctx, &group, input.tags)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UntagLogGroup {
    log_group_name: String,
    tags: Vec<String>,
}

pub fn untag_group(ctx: &mut Ctx, input: UntagLogGroup) -> Result<()> {
    let group = find_group(ctx, &input.log_group_name)?;
    take(ctx, &group, &input.tags);
    Ok(())
}

pub fn list_group(ctx: &mut Ctx, input: NamedGroup) -> Result<TagsShape> {
    let group = find_group(ctx, &input.log_group_name)?;
    Ok(TagsShape {
        tags: group.tags.clone(),
    })
}
