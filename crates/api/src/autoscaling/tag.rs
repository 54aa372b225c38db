//! Tags of groups, and which of them new instances get.

use super::error::{Result, error, validation};
use super::page::{Filter, page, unknown_filter};
use super::{check, group};
use crate::Ctx;
use model::autoscaling::{AutoScalingGroup, GroupTag};
use serde::{Deserialize, Serialize};

const RESOURCE_TYPE: &str = "auto-scaling-group";
const MAX_TAGS: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    resource_id: Option<String>,
    resource_type: Option<String>,
    key: String,
    value: Option<String>,
    propagate_at_launch: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagDescription {
    resource_id: String,
    resource_type: &'static str,
    key: String,
    value: String,
    propagate_at_launch: bool,
}

impl TagDescription {
    pub fn of(group: &AutoScalingGroup) -> Vec<Self> {
        let describe = |tag: &GroupTag| Self {
            resource_id: group.name.clone(),
            resource_type: RESOURCE_TYPE,
            key: tag.key.clone(),
            value: tag.value.clone(),
            propagate_at_launch: tag.propagate_at_launch,
        };
        group.tags.iter().map(describe).collect()
    }
}

/// The tags that creating a group gives it.
pub fn of_new_group(name: &str, given: Vec<Tag>) -> Result<Vec<GroupTag>> {
    let mut tags = Vec::with_capacity(given.len());
    for tag in given {
        // AWS fills in what says which group is meant.
        if tag.resource_id.as_deref().is_some_and(|id| id != name) {
            return Err(validation(
                "The resource ID of a tag must be the name of the group that is created.",
            ));
        }
        set(&mut tags, tag)?;
    }
    Ok(tags)
}

/// Adds the tag, or replaces the one with its key.
fn set(tags: &mut Vec<GroupTag>, tag: Tag) -> Result<()> {
    let value = tag.value.unwrap_or_default();
    check::length(&tag.key, "tags.member.key", 1, 128)?;
    check::length(&value, "tags.member.value", 0, 256)?;
    if tag.key.to_ascii_lowercase().starts_with("aws:") {
        return Err(validation(
            "Tag keys starting with 'aws:' are reserved for system use",
        ));
    }
    let kind = tag.resource_type.as_deref().unwrap_or(RESOURCE_TYPE);
    if kind != RESOURCE_TYPE {
        return Err(validation(format!("Invalid tag resource type: {kind}")));
    }
    tags.retain(|t| t.key != tag.key);
    tags.push(GroupTag {
        key: tag.key,
        value,
        propagate_at_launch: tag.propagate_at_launch.unwrap_or(false),
    });
    tags.sort_by(|a, b| a.key.cmp(&b.key));
    if MAX_TAGS < tags.len() {
        return Err(error(
            "LimitExceeded",
            format!("A group can have at most {MAX_TAGS} tags."),
        ));
    }
    Ok(())
}

fn group_of(tag: &Tag) -> Result<String> {
    tag.resource_id
        .clone()
        .ok_or_else(|| validation("The resource ID of a tag must be the name of a group."))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tags {
    tags: Vec<Tag>,
}

pub fn create_or_update(ctx: &mut Ctx, input: Tags) -> Result<()> {
    for tag in input.tags {
        let mut group = group::find_alive(ctx, &group_of(&tag)?)?;
        set(&mut group.tags, tag)?;
        ctx.tx.put(group);
    }
    Ok(())
}

/// A tag given with a value goes only if it has that value.
pub fn delete(ctx: &mut Ctx, input: Tags) -> Result<()> {
    for tag in input.tags {
        let mut group = group::find_alive(ctx, &group_of(&tag)?)?;
        group.tags.retain(|t| {
            t.key != tag.key || tag.value.as_ref().is_some_and(|value| *value != t.value)
        });
        ctx.tx.put(group);
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTags {
    #[serde(default)]
    filters: Vec<Filter>,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagDescriptions {
    tags: Vec<TagDescription>,
    next_token: Option<String>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeTags) -> Result<TagDescriptions> {
    const FILTERS: [&str; 4] = [RESOURCE_TYPE, "key", "value", "propagate-at-launch"];
    for filter in &input.filters {
        if !FILTERS.contains(&filter.name.as_str()) {
            return Err(unknown_filter(&filter.name));
        }
    }
    let matches = |tag: &TagDescription| {
        input.filters.iter().all(|f| match f.name.as_str() {
            "key" => f.admits(&tag.key),
            "value" => f.admits(&tag.value),
            "propagate-at-launch" => f.admits(&tag.propagate_at_launch.to_string()),
            _ => f.admits(&tag.resource_id),
        })
    };
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let all = group::owned(ctx).flat_map(|g| TagDescription::of(g));
    // NUL is in no name, so keys sort within their group.
    let (tags, next_token) = page.of(all.filter(matches), |t| {
        format!("{}\0{}", t.resource_id, t.key)
    });
    Ok(TagDescriptions { tags, next_token })
}
