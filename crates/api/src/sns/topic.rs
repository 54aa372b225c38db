//! Topics themselves, and their attributes.

use super::attribute::{Attributes, check_topic, put};
use super::tag::{self, Tag};
use super::{Result, find, invalid, page};
use crate::Ctx;
use model::sns::{Subscription, Topic};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Record, ScopedName};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateTopic {
    name: String,
    #[serde(default, deserialize_with = "wire::stored")]
    attributes: Attributes,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopicArn {
    topic_arn: String,
}

/// The same again gives the same topic; with other attributes or tags it is refused.
pub fn create(ctx: &mut Ctx, input: CreateTopic) -> Result<TopicArn> {
    let name = input.name;
    let fifo = input
        .attributes
        .get("FifoTopic")
        .is_some_and(|v| v == "true");
    let stem = name.strip_suffix(".fifo");
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let bare = stem.unwrap_or(&name);
    let fits = !bare.is_empty() && bare.bytes().all(allowed) && name.len() <= 256;
    if !fits || stem.is_some() != fifo {
        return Err(invalid("Topic Name"));
    }
    let mut attributes = Attributes::new();
    for (attribute, value) in input.attributes {
        check_topic(&attribute, &value)?;
        put(&mut attributes, attribute, value);
    }
    let tags = tag::of(&input.tags)?;
    let topic = Topic {
        scope: ctx.scope.clone(),
        name,
        attributes,
        tags,
    };
    let topic_arn = topic.arn();
    if let Some(made) = ctx.tx.topics.get(&topic.key()) {
        let differs = |(key, value): (&String, &String)| made.attributes.get(key) != Some(value);
        if topic.attributes.iter().any(differs) {
            return Err(invalid(
                "Attributes Reason: Topic already exists with different attributes",
            ));
        }
        if !topic.tags.is_empty() && topic.tags != made.tags {
            return Err(invalid(
                "Tags Reason: Topic already exists with different tags",
            ));
        }
        return Ok(TopicArn { topic_arn });
    }
    ctx.tx.put(topic);
    Ok(TopicArn { topic_arn })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Named {
    topic_arn: String,
}

/// Its subscriptions end with it. One that is not there is deleted too, as on AWS.
pub fn delete(ctx: &mut Ctx, input: Named) -> Result<()> {
    let name = super::own_name(ctx, &input.topic_arn)?;
    ctx.tx.remove::<Topic>(&ScopedName::new(&ctx.scope, name));
    let theirs: Vec<ScopedName> = of_topic(ctx, name).map(Record::key).collect();
    for key in theirs {
        ctx.tx.remove::<Subscription>(&key);
    }
    Ok(())
}

fn of_topic<'a>(ctx: &'a Ctx, topic: &str) -> impl Iterator<Item = &'a Subscription> {
    let all = ctx.tx.subscriptions.values().map(|s| &**s);
    all.filter(move |s| s.scope == ctx.scope && s.topic == topic)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTopics {
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Topics {
    topics: Vec<TopicArn>,
    next_token: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListTopics) -> Result<Topics> {
    let ours = ctx.tx.topics.values().filter(|t| t.scope == ctx.scope);
    let (page, next_token) = page(ours, |t| t.name.clone(), input.next_token.as_deref());
    let shape = |topic: &Topic| TopicArn {
        topic_arn: topic.arn(),
    };
    Ok(Topics {
        topics: page.into_iter().map(|t| shape(t)).collect(),
        next_token,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopicAttributes {
    attributes: Attributes,
}

pub fn get_attributes(ctx: &mut Ctx, input: Named) -> Result<TopicAttributes> {
    let topic = find(ctx, &input.topic_arn)?;
    let count = |pending: bool| {
        let such = of_topic(ctx, &topic.name).filter(|s| s.pending == pending);
        such.count().to_string()
    };
    let mut attributes = Attributes::from([
        ("TopicArn".into(), topic.arn()),
        ("Owner".into(), topic.scope.account.to_string()),
        ("DisplayName".into(), String::new()),
        ("Policy".into(), default_policy(&topic)),
        ("EffectiveDeliveryPolicy".into(), effective_delivery(&topic)),
        ("SubscriptionsConfirmed".into(), count(false)),
        ("SubscriptionsPending".into(), count(true)),
        ("SubscriptionsDeleted".into(), "0".into()),
    ]);
    if topic.name.ends_with(".fifo") {
        attributes.insert("ContentBasedDeduplication".into(), "false".into());
        attributes.insert("FifoThroughputScope".into(), "Topic".into());
    }
    attributes.extend(topic.attributes.clone());
    Ok(TopicAttributes { attributes })
}

/// Whoever is of the account may do what a topic is for.
fn default_policy(topic: &Topic) -> String {
    let calls = [
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    ];
    json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": calls.map(|call| format!("SNS:{call}")),
            "Resource": topic.arn(),
            "Condition": {"StringEquals": {"AWS:SourceOwner": *topic.scope.account}},
        }],
    })
    .to_string()
}

/// AWS's defaults for HTTP, under what the topic has of its own.
fn effective_delivery(topic: &Topic) -> String {
    let mut policy = json!({
        "http": {
            "defaultHealthyRetryPolicy": {
                "minDelayTarget": 20,
                "maxDelayTarget": 20,
                "numRetries": 3,
                "numMaxDelayRetries": 0,
                "numNoDelayRetries": 0,
                "numMinDelayRetries": 0,
                "backoffFunction": "linear",
            },
            "disableSubscriptionOverrides": false,
            "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
        },
    });
    let own = topic.attributes.get("DeliveryPolicy");
    let own: Option<serde_json::Value> = own.and_then(|text| serde_json::from_str(text).ok());
    if let Some(own) = own.as_ref().and_then(|own| own["http"].as_object()) {
        for (name, value) in own {
            policy["http"][name] = value.clone();
        }
    }
    policy.to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetTopicAttributes {
    topic_arn: String,
    attribute_name: String,
    #[serde(default, deserialize_with = "wire::stored")]
    attribute_value: String,
}

pub fn set_attributes(ctx: &mut Ctx, input: SetTopicAttributes) -> Result<()> {
    let topic = find(ctx, &input.topic_arn)?;
    let (name, value) = (input.attribute_name, input.attribute_value);
    if name == "FifoTopic" {
        return Err(invalid("AttributeName"));
    }
    check_topic(&name, &value)?;
    ctx.tx.modify::<Topic>(&topic.key(), |topic| {
        put(&mut topic.attributes, name, value);
    });
    Ok(())
}
