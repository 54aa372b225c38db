//! Tags of queues.

use super::{Result, error, find};
use crate::Ctx;
use model::Tags;
use model::sqs::Queue;
use serde::{Deserialize, Serialize};
use store::Record;

pub fn check(tags: &Tags) -> Result<()> {
    let fits = |key: &String, value: &String| {
        (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.to_ascii_lowercase().starts_with("aws:")
    };
    if tags.len() > 50 || !tags.iter().all(|(key, value)| fits(key, value)) {
        return Err(error(
            "InvalidParameterValue",
            "A queue has at most 50 tags; keys have 1 to 128 characters and do not begin with aws:, values at most 256.",
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagQueue {
    queue_url: String,
    tags: Tags,
}

pub fn tag(ctx: &mut Ctx, input: TagQueue) -> Result<()> {
    let mut queue = Queue::clone(&*find(ctx, &input.queue_url)?);
    queue.tags.extend(input.tags);
    check(&queue.tags)?;
    ctx.tx.put(queue);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagQueue {
    queue_url: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagQueue) -> Result<()> {
    let queue = find(ctx, &input.queue_url)?;
    ctx.tx.modify::<Queue>(&queue.key(), |queue| {
        queue.tags.retain(|key, _| !input.tag_keys.contains(key));
    });
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueTags {
    queue_url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueTags {
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
}

pub fn list(ctx: &mut Ctx, input: ListQueueTags) -> Result<QueueTags> {
    Ok(QueueTags {
        tags: find(ctx, &input.queue_url)?.tags.clone(),
    })
}
