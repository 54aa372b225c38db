//! Attributes of queues: AWS's limits and defaults.

use super::{Result, error, find};
use crate::Ctx;
use model::sqs::Queue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub type Attributes = BTreeMap<String, String>;

/// Name, least, greatest and default value.
const NUMBERS: &[(&str, u64, u64, &str)] = &[
    ("VisibilityTimeout", 0, 43_200, "30"),
    ("MaximumMessageSize", 1024, 1_048_576, "1048576"),
    ("MessageRetentionPeriod", 60, 1_209_600, "345600"),
    ("DelaySeconds", 0, 900, "0"),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, "0"),
];
/// What may be set, and is absent unless it was.
const OPTIONAL: &[&str] = &[
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

pub fn check(given: &Attributes) -> Result<()> {
    for (name, value) in given {
        if let Some((_, least, most, _)) = NUMBERS.iter().find(|(n, ..)| n == name) {
            if !value.parse().is_ok_and(|n| (*least..=*most).contains(&n)) {
                return Err(error(
                    "InvalidAttributeValue",
                    format!("Invalid value for the parameter {name}."),
                ));
            }
        } else if !OPTIONAL.contains(&name.as_str()) {
            return Err(error(
                "InvalidAttributeName",
                format!("Unknown Attribute {name}."),
            ));
        }
    }
    Ok(())
}

/// What the queue has under that name.
pub fn value(queue: &Queue, name: &str) -> Option<String> {
    all(queue).remove(name)
}

fn all(queue: &Queue) -> Attributes {
    let encrypted = !queue.attributes.contains_key("KmsMasterKeyId");
    let mut all = Attributes::from([
        ("QueueArn".into(), queue.scope.arn("sqs", &queue.name)),
        (
            "CreatedTimestamp".into(),
            queue.created.as_second().to_string(),
        ),
        (
            "LastModifiedTimestamp".into(),
            queue.modified.as_second().to_string(),
        ),
        ("ApproximateNumberOfMessages".into(), "0".into()),
        ("ApproximateNumberOfMessagesNotVisible".into(), "0".into()),
        ("ApproximateNumberOfMessagesDelayed".into(), "0".into()),
        ("SqsManagedSseEnabled".into(), encrypted.to_string()),
    ]);
    for (name, _, _, default) in NUMBERS {
        all.insert((*name).into(), (*default).into());
    }
    if queue
        .attributes
        .get("FifoQueue")
        .is_some_and(|v| v == "true")
    {
        let defaults = [
            ("ContentBasedDeduplication", "false"),
            ("DeduplicationScope", "queue"),
            ("FifoThroughputLimit", "perQueue"),
        ];
        all.extend(defaults.map(|(name, value)| (name.into(), value.into())));
    }
    all.extend(queue.attributes.clone());
    // An empty value takes an attribute away.
    all.retain(|_, value| !value.is_empty());
    all
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueAttributes {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: Attributes,
}

pub fn get(ctx: &mut Ctx, input: GetQueueAttributes) -> Result<QueueAttributes> {
    let queue = find(ctx, &input.queue_url)?;
    let mut attributes = all(&queue);
    let asked = &input.attribute_names;
    if !asked.iter().any(|name| name == "All") {
        attributes.retain(|name, _| asked.contains(name));
    }
    Ok(QueueAttributes { attributes })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetQueueAttributes {
    queue_url: String,
    #[serde(deserialize_with = "wire::stored")]
    attributes: Attributes,
}

pub fn set(ctx: &mut Ctx, input: SetQueueAttributes) -> Result<()> {
    let mut queue = Queue::clone(&*find(ctx, &input.queue_url)?);
    let given: Attributes = input
        .attributes
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    check(&given)?;
    queue.attributes.extend(input.attributes);
    queue.attributes.retain(|_, value| !value.is_empty());
    queue.modified = ctx.now;
    ctx.tx.put(queue);
    Ok(())
}
