//! Tags of topics.

use super::{Result, find, invalid};
use crate::Ctx;
use model::Tags;
use model::sns::Topic;
use serde::{Deserialize, Serialize};
use store::Record;
use wire::ApiError;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    value: String,
}

pub fn of(list: &[Tag]) -> Result<Tags> {
    let mut tags = Tags::new();
    for Tag { key, value } in list {
        let fits = (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.to_ascii_lowercase().starts_with("aws:");
        if !fits {
            return Err(invalid(
                "Tags Reason: keys have 1 to 128 characters and do not begin with aws:, values at most 256",
            ));
        }
        if tags.insert(key.clone(), value.clone()).is_some() {
            return Err(invalid("Duplicated keys are not allowed"));
        }
    }
    few(tags)
}

fn few(tags: Tags) -> Result<Tags> {
    if tags.len() > 50 {
        let message = "Could not complete request: tag quota of per resource exceeded";
        return Err(ApiError::client("TagLimitExceeded", message));
    }
    Ok(tags)
}

/// These calls have an error of their own for a topic that is not there.
fn key(ctx: &Ctx, arn: &str) -> Result<store::ScopedName> {
    let found = find(ctx, arn);
    let topic = found.map_err(|error| match &*error.code {
        "NotFound" => ApiError::not_found("ResourceNotFound", "Resource does not exist"),
        _ => error,
    })?;
    Ok(topic.key())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagResource {
    resource_arn: String,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
pub struct Done {}

pub fn tag(ctx: &mut Ctx, input: TagResource) -> Result<Done> {
    let key = key(ctx, &input.resource_arn)?;
    let given = of(&input.tags)?;
    let mut all = ctx
        .tx
        .topics
        .get(&key)
        .map(|t| t.tags.clone())
        .unwrap_or_default();
    all.extend(given);
    let all = few(all)?;
    ctx.tx.modify::<Topic>(&key, |topic| topic.tags = all);
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagResource {
    resource_arn: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagResource) -> Result<Done> {
    let key = key(ctx, &input.resource_arn)?;
    ctx.tx.modify::<Topic>(&key, |topic| {
        topic.tags.retain(|key, _| !input.tag_keys.contains(key));
    });
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForResource {
    resource_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    tags: Vec<Tag>,
}

pub fn list(ctx: &mut Ctx, input: ListTagsForResource) -> Result<Listed> {
    let key = key(ctx, &input.resource_arn)?;
    let tags = ctx
        .tx
        .topics
        .get(&key)
        .map(|t| t.tags.clone())
        .unwrap_or_default();
    let tags = tags.into_iter().map(|(key, value)| Tag { key, value });
    Ok(Listed {
        tags: tags.collect(),
    })
}
