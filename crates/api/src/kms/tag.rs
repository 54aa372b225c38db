//! Tags of keys.

use super::{Result, by_id, error, validation};
use crate::Ctx;
use model::Tags;
use model::kms::Key;
use serde::{Deserialize, Serialize};

const MAX_TAGS: usize = 50;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    tag_key: String,
    tag_value: String,
}

fn add(tags: &mut Tags, given: &[Tag]) -> Result<()> {
    for tag in given {
        let key = tag.tag_key.chars().count();
        if !(1..=128).contains(&key) || tag.tag_value.chars().count() > 256 {
            return Err(validation(
                "Tag keys have 1 to 128 characters, tag values at most 256.",
            ));
        }
        if tag.tag_key.to_ascii_lowercase().starts_with("aws:") {
            return Err(error(
                "TagException",
                "aws: prefixed tag key name is not allowed",
            ));
        }
        tags.insert(tag.tag_key.clone(), tag.tag_value.clone());
    }
    if tags.len() > MAX_TAGS {
        return Err(error("LimitExceededException", "Too many tags"));
    }
    Ok(())
}

/// The tags that a new key gets.
pub fn of(given: &[Tag]) -> Result<Tags> {
    let mut tags = Tags::new();
    add(&mut tags, given)?;
    Ok(tags)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagResource {
    key_id: String,
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagResource) -> Result<()> {
    let mut key = Key::clone(&*by_id(ctx, &input.key_id)?);
    super::check_there(&key)?;
    add(&mut key.tags, &input.tags)?;
    ctx.tx.put(key);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagResource {
    key_id: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagResource) -> Result<()> {
    let key = by_id(ctx, &input.key_id)?;
    super::check_there(&key)?;
    ctx.tx.modify::<Key>(&key.id, |key| {
        key.tags.retain(|name, _| !input.tag_keys.contains(name));
    });
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListResourceTags {
    key_id: String,
    limit: Option<usize>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagList {
    tags: Vec<Tag>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListResourceTags) -> Result<TagList> {
    let key = by_id(ctx, &input.key_id)?;
    let tags = key.tags.iter().map(|(key, value)| Tag {
        tag_key: key.clone(),
        tag_value: value.clone(),
    });
    let name = |t: &Tag| t.tag_key.clone();
    let (tags, next_marker) = super::key::page(tags, name, input.limit, input.marker)?;
    Ok(TagList {
        tags,
        truncated: next_marker.is_some(),
        next_marker,
    })
}
