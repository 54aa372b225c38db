//! Tags of alarms, of both kinds.

use super::error::Result;
use crate::Ctx;
use model::Tags;
use model::cloudwatch::{CompositeAlarm, MetricAlarm};
use serde::{Deserialize, Serialize};
use store::ScopedName;
use wire::ApiError;

const MAX_TAGS: usize = 50;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

pub fn of(list: &[Tag]) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in list {
        super::error::length(&tag.key, "Tags.member.Key", 1, 128)?;
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(super::error::invalid(
                "Tag keys starting with 'aws:' are reserved for system use",
            ));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    if tags.len() > MAX_TAGS {
        return Err(ApiError::client(
            "LimitExceeded",
            format!("A resource has at most {MAX_TAGS} tags."),
        ));
    }
    Ok(tags)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagResource {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagResource {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
pub struct ListTags {
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    tags: Vec<Tag>,
}

#[derive(Serialize)]
pub struct Done {}

pub fn tag(ctx: &mut Ctx, input: TagResource) -> Result<Done> {
    let key = find(ctx, &input.resource_arn)?.0;
    let tags = of(&input.tags)?;
    change(ctx, &key, |all| all.extend(tags));
    Ok(Done {})
}

pub fn untag(ctx: &mut Ctx, input: UntagResource) -> Result<Done> {
    let key = find(ctx, &input.resource_arn)?.0;
    change(ctx, &key, |all| {
        all.retain(|k, _| !input.tag_keys.contains(k))
    });
    Ok(Done {})
}

pub fn list(ctx: &mut Ctx, input: ListTags) -> Result<Listed> {
    let (_, tags) = find(ctx, &input.resource_arn)?;
    Ok(Listed {
        tags: tags
            .into_iter()
            .map(|(key, value)| Tag { key, value })
            .collect(),
    })
}

fn change(ctx: &mut Ctx, key: &ScopedName, f: impl FnOnce(&mut Tags)) {
    if ctx.tx.get::<MetricAlarm>(key).is_some() {
        ctx.tx.modify::<MetricAlarm>(key, |a| f(&mut a.tags));
    } else {
        ctx.tx.modify::<CompositeAlarm>(key, |a| f(&mut a.tags));
    }
}

fn find(ctx: &Ctx, arn: &str) -> Result<(ScopedName, Tags)> {
    let name = arn.split_once(":alarm:").map_or("", |(_, name)| name);
    let key = ScopedName::new(&ctx.scope, name);
    let metric = ctx.tx.get::<MetricAlarm>(&key).map(|a| (&a.arn, &a.tags));
    let composite = || {
        ctx.tx
            .get::<CompositeAlarm>(&key)
            .map(|a| (&a.arn, &a.tags))
    };
    match metric.or_else(composite) {
        Some((found, tags)) if found == arn => {
            let tags = tags.clone();
            Ok((key, tags))
        }
        _ => Err(ApiError::client(
            "ResourceNotFoundException",
            format!("Unknown resource {arn}"),
        )
        .with_status(404)),
    }
}
