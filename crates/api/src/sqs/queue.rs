//! Queues themselves.

use super::attribute::{self, Attributes};
use super::{Result, error, find, named, url};
use crate::Ctx;
use model::Tags;
use model::sqs::Queue;
use serde::{Deserialize, Serialize};
use store::ScopedName;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateQueue {
    queue_name: String,
    #[serde(default, deserialize_with = "wire::stored")]
    attributes: Attributes,
    #[serde(default, rename = "tags")]
    tags: Tags,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueUrl {
    queue_url: String,
}

/// The same again gives the same queue; with other attributes it is refused.
pub fn create(ctx: &mut Ctx, input: CreateQueue) -> Result<QueueUrl> {
    let name = input.queue_name;
    let fifo = input
        .attributes
        .get("FifoQueue")
        .is_some_and(|v| v == "true");
    let stem = name.strip_suffix(".fifo");
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = stem.unwrap_or(&name).chars().all(allowed) && (1..=80).contains(&name.len());
    if !fits || stem.is_some() != fifo {
        return Err(error(
            "InvalidParameterValue",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length; the name of a FIFO queue, and no other, ends with .fifo",
        ));
    }
    attribute::check(&input.attributes)?;
    super::tag::check(&input.tags)?;
    if let Ok(made) = named(ctx, &name) {
        let differs =
            |(key, value): (&String, &String)| attribute::value(&made, key).as_ref() != Some(value);
        if input.attributes.iter().any(differs) {
            return Err(error(
                "QueueAlreadyExists",
                "A queue already exists with the same name and a different value for an attribute.",
            ));
        }
        return Ok(QueueUrl {
            queue_url: url(&made),
        });
    }
    let queue = Queue {
        scope: ctx.scope.clone(),
        name,
        attributes: input.attributes,
        created: ctx.now,
        modified: ctx.now,
        tags: input.tags,
    };
    let answer = QueueUrl {
        queue_url: url(&queue),
    };
    ctx.tx.put(queue);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueUrl {
    queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

pub fn get_url(ctx: &mut Ctx, input: GetQueueUrl) -> Result<QueueUrl> {
    if input
        .owner
        .is_some_and(|owner| *owner != *ctx.scope.account)
    {
        return Err(super::not_there());
    }
    Ok(QueueUrl {
        queue_url: url(&*named(ctx, &input.queue_name)?),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueues {
    queue_name_prefix: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Queues {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListQueues) -> Result<Queues> {
    let limit = input.max_results.unwrap_or(1000);
    if !(1..=1000).contains(&limit) {
        return Err(error("InvalidParameterValue", "MaxResults is 1 to 1000."));
    }
    let prefix = input.queue_name_prefix.unwrap_or_default();
    let after = input.next_token.unwrap_or_default();
    let mut ours = ctx.tx.queues.values().filter(|q| {
        q.scope == ctx.scope && q.name.starts_with(&prefix) && q.name.as_str() > after.as_str()
    });
    let page: Vec<_> = ours.by_ref().take(limit).collect();
    let more = ours.next().is_some();
    // Only a caller that asked for pages gets a token, as on AWS.
    let last = page.last().map(|q| q.name.clone());
    Ok(Queues {
        next_token: last.filter(|_| more && input.max_results.is_some()),
        queue_urls: page.into_iter().map(|q| url(q)).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteQueue {
    queue_url: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteQueue) -> Result<()> {
    let queue = find(ctx, &input.queue_url)?;
    ctx.tx
        .remove::<Queue>(&ScopedName::new(&queue.scope, &queue.name));
    Ok(())
}
