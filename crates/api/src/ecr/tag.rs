//! Tags of repositories.

use super::{Result, find, invalid};
use crate::Ctx;
use model::Tags;
use model::ecr::Repository;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::ApiError;

const MAX_TAGS: usize = 50;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    value: String,
}

fn add(tags: &mut Tags, given: &[Tag]) -> Result<()> {
    for tag in given {
        let key = tag.key.chars().count();
        let reserved = tag.key.to_ascii_lowercase().starts_with("aws:");
        if !(1..=128).contains(&key) || tag.value.chars().count() > 256 || reserved {
            return Err(ApiError::client(
                "InvalidTagParameterException",
                "Tag keys have 1 to 128 characters and do not begin with aws:, tag values at most 256.",
            ));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    if tags.len() > MAX_TAGS {
        let message = format!("A repository can have no more than {MAX_TAGS} tags.");
        return Err(ApiError::client("TooManyTagsException", message));
    }
    Ok(())
}

/// The tags that a new repository gets.
pub(super) fn of(given: &[Tag]) -> Result<Tags> {
    let mut tags = Tags::new();
    add(&mut tags, given)?;
    Ok(tags)
}

fn by_arn(ctx: &Ctx, arn: &str) -> Result<Arc<Repository>> {
    let name = arn.strip_prefix(&ctx.scope.arn("ecr", "repository/"));
    let name = name.ok_or_else(|| {
        invalid("Invalid parameter at 'resourceArn': it is no ARN of a repository of this account and Region")
    })?;
    find(ctx, None, name)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagResource {
    resource_arn: String,
    tags: Vec<Tag>,
}

/// An answer without members, but a structure all the same.
#[derive(Serialize)]
pub struct Done {}

pub fn tag(ctx: &mut Ctx, input: TagResource) -> Result<Done> {
    let mut repository = Repository::clone(&*by_arn(ctx, &input.resource_arn)?);
    add(&mut repository.tags, &input.tags)?;
    ctx.tx.put(repository);
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UntagResource {
    resource_arn: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagResource) -> Result<Done> {
    let mut repository = Repository::clone(&*by_arn(ctx, &input.resource_arn)?);
    repository
        .tags
        .retain(|key, _| !input.tag_keys.contains(key));
    ctx.tx.put(repository);
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTagsForResource {
    resource_arn: String,
}

#[derive(Serialize)]
pub struct TagList {
    tags: Vec<Tag>,
}

pub fn list(ctx: &mut Ctx, input: ListTagsForResource) -> Result<TagList> {
    let repository = by_arn(ctx, &input.resource_arn)?;
    let tags = repository.tags.iter().map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    });
    Ok(TagList {
        tags: tags.collect(),
    })
}
