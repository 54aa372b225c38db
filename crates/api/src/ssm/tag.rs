//! Tags of parameters; nothing else of Systems Manager is here to be tagged.

use super::{Result, find, validation};
use crate::Ctx;
use model::Tags;
use model::ssm::Parameter;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::Record;
use wire::ApiError;

/// AWS's limit on one resource.
const MAX_TAGS: usize = 50;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    value: String,
}

/// The tags that a new parameter gets.
pub(super) fn of(given: &[Tag]) -> Result<Tags> {
    extended(Tags::new(), given)
}

fn extended(mut tags: Tags, given: &[Tag]) -> Result<Tags> {
    for tag in given {
        if !(1..=128).contains(&tag.key.chars().count()) || tag.value.chars().count() > 256 {
            return Err(validation(
                "Tag keys have 1 to 128 characters, tag values at most 256.",
            ));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(validation("Tag keys starting with 'aws:' are reserved."));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    if tags.len() > MAX_TAGS {
        return Err(ApiError::client(
            "TooManyTagsError",
            format!("A parameter can have no more than {MAX_TAGS} tags."),
        ));
    }
    Ok(tags)
}

fn resource(ctx: &Ctx, kind: &str, id: &str) -> Result<Arc<Parameter>> {
    if kind != "Parameter" {
        return Err(ApiError::client(
            "InvalidResourceType",
            format!("Resources of type {kind} are not supported by this cloud."),
        ));
    }
    find(ctx, id).map_err(|_| {
        ApiError::client(
            "InvalidResourceId",
            "The resource ID isn't valid. Verify that you entered the correct ID and try again.",
        )
    })
}

#[derive(Serialize)]
pub struct Empty {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddTags {
    resource_type: String,
    resource_id: String,
    tags: Vec<Tag>,
}

pub fn add(ctx: &mut Ctx, input: AddTags) -> Result<Empty> {
    let parameter = resource(ctx, &input.resource_type, &input.resource_id)?;
    let tags = extended(parameter.tags.clone(), &input.tags)?;
    ctx.tx
        .modify::<Parameter>(&parameter.key(), |p| p.tags = tags);
    Ok(Empty {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveTags {
    resource_type: String,
    resource_id: String,
    tag_keys: Vec<String>,
}

pub fn remove(ctx: &mut Ctx, input: RemoveTags) -> Result<Empty> {
    let parameter = resource(ctx, &input.resource_type, &input.resource_id)?;
    ctx.tx.modify::<Parameter>(&parameter.key(), |p| {
        p.tags.retain(|key, _| !input.tag_keys.contains(key));
    });
    Ok(Empty {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTags {
    resource_type: String,
    resource_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagList {
    tag_list: Vec<Tag>,
}

pub fn list(ctx: &mut Ctx, input: ListTags) -> Result<TagList> {
    let parameter = resource(ctx, &input.resource_type, &input.resource_id)?;
    let tags = parameter.tags.iter().map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    });
    Ok(TagList {
        tag_list: tags.collect(),
    })
}
