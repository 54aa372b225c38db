//! Subscriptions and their attributes.

use super::attribute::{Attributes, check_subscription, put};
use super::{Result, find, invalid, own_name, page};
use crate::Ctx;
use model::sns::Subscription;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Record, ScopedName};
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Subscribe {
    topic_arn: String,
    protocol: String,
    endpoint: Option<String>,
    #[serde(default, deserialize_with = "wire::stored")]
    attributes: Attributes,
    #[serde(default)]
    return_subscription_arn: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SubscriptionArn {
    subscription_arn: String,
}

/// The same again gives the same subscription; with other attributes it is refused.
pub fn subscribe(ctx: &mut Ctx, input: Subscribe) -> Result<SubscriptionArn> {
    let topic = find(ctx, &input.topic_arn)?;
    let protocol = input.protocol;
    let endpoint = input.endpoint.unwrap_or_default();
    check_endpoint(&protocol, &endpoint)?;
    let mut attributes = Attributes::new();
    for (name, value) in input.attributes {
        check_subscription(&name, &value)?;
        put(&mut attributes, name, value);
    }
    let same = |s: &&Arc<Subscription>| {
        (&s.scope, &s.topic, &s.protocol, &s.endpoint)
            == (&ctx.scope, &topic.name, &protocol, &endpoint)
    };
    let made = match ctx.tx.subscriptions.values().find(same) {
        Some(made) => {
            let differs =
                |(key, value): (&String, &String)| made.attributes.get(key) != Some(value);
            if attributes.iter().any(differs) {
                return Err(invalid(
                    "Attributes Reason: Subscription already exists with different attributes",
                ));
            }
            Subscription::clone(made)
        }
        None => Subscription {
            scope: ctx.scope.clone(),
            topic: topic.name.clone(),
            id: uuid::Uuid::new_v4().to_string(),
            // Whom AWS asks first.
            pending: matches!(&*protocol, "http" | "https" | "email" | "email-json"),
            protocol,
            endpoint,
            attributes,
        },
    };
    let subscription_arn = match made.pending && !input.return_subscription_arn {
        true => "pending confirmation".into(),
        false => made.arn(),
    };
    ctx.tx.put(made);
    Ok(SubscriptionArn { subscription_arn })
}

fn check_endpoint(protocol: &str, endpoint: &str) -> Result<()> {
    let arn_of =
        |service: &str| endpoint.starts_with("arn:") && endpoint.split(':').nth(2) == Some(service);
    let (fits, what) = match protocol {
        "http" => (
            endpoint.starts_with("http://"),
            "Endpoint must match the specified protocol",
        ),
        "https" => (
            endpoint.starts_with("https://"),
            "Endpoint must match the specified protocol",
        ),
        "email" | "email-json" => (endpoint.contains('@'), "Email address"),
        "sms" => {
            let number = endpoint.strip_prefix('+').unwrap_or(endpoint);
            let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            (digits && (5..=20).contains(&number.len()), "SMS endpoint")
        }
        "sqs" => (arn_of("sqs"), "SQS endpoint ARN"),
        "lambda" => (arn_of("lambda"), "Lambda endpoint ARN"),
        "firehose" => (arn_of("firehose"), "Firehose endpoint ARN"),
        "application" => (arn_of("sns"), "Application endpoint arn invalid"),
        other => {
            return Err(invalid(format_args!(
                "Amazon SNS does not support this protocol string: {other}"
            )));
        }
    };
    if !fits {
        return Err(invalid(what));
    }
    Ok(())
}

fn find_subscription(ctx: &Ctx, arn: &str) -> Result<Arc<Subscription>> {
    let name = own_name(ctx, arn).map_err(|_| invalid("SubscriptionArn"))?;
    let found = ctx.tx.subscriptions.get(&ScopedName::new(&ctx.scope, name));
    let missing = || ApiError::not_found("NotFound", "Subscription does not exist");
    found.cloned().ok_or_else(missing)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Named {
    subscription_arn: String,
}

/// One that is gone is fine; one that waits for its endpoint cannot end before its topic.
pub fn unsubscribe(ctx: &mut Ctx, input: Named) -> Result<()> {
    let Ok(found) = find_subscription(ctx, &input.subscription_arn) else {
        return own_name(ctx, &input.subscription_arn)
            .map(drop)
            .map_err(|_| invalid("SubscriptionArn"));
    };
    if found.pending {
        return Err(invalid(
            "SubscriptionArn Reason: Cannot unsubscribe a subscription that is pending confirmation",
        ));
    }
    ctx.tx.remove::<Subscription>(&found.key());
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListSubscriptions {
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListSubscriptionsByTopic {
    topic_arn: String,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Subscriptions {
    subscriptions: Vec<Listed>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    subscription_arn: String,
    owner: String,
    protocol: String,
    endpoint: String,
    topic_arn: String,
}

pub fn list(ctx: &mut Ctx, input: ListSubscriptions) -> Result<Subscriptions> {
    Ok(listed(ctx, input.next_token, |_| true))
}

pub fn list_by_topic(ctx: &mut Ctx, input: ListSubscriptionsByTopic) -> Result<Subscriptions> {
    let topic = find(ctx, &input.topic_arn)?;
    Ok(listed(ctx, input.next_token, |s| s.topic == topic.name))
}

fn listed(
    ctx: &Ctx,
    after: Option<String>,
    which: impl Fn(&Subscription) -> bool,
) -> Subscriptions {
    let all = ctx.tx.subscriptions.values();
    let ours = all.filter(|s| s.scope == ctx.scope && which(s));
    let (page, next_token) = page(ours, |s| s.name(), after.as_deref());
    let shape = |s: &Subscription| Listed {
        subscription_arn: match s.pending {
            true => "PendingConfirmation".into(),
            false => s.arn(),
        },
        owner: s.scope.account.to_string(),
        protocol: s.protocol.clone(),
        endpoint: s.endpoint.clone(),
        topic_arn: s.scope.arn("sns", &s.topic),
    };
    Subscriptions {
        subscriptions: page.into_iter().map(|s| shape(s)).collect(),
        next_token,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SubscriptionAttributes {
    attributes: Attributes,
}

pub fn get_attributes(ctx: &mut Ctx, input: Named) -> Result<SubscriptionAttributes> {
    let found = find_subscription(ctx, &input.subscription_arn)?;
    let account = &found.scope.account;
    let mut attributes = Attributes::from([
        ("SubscriptionArn".into(), found.arn()),
        ("TopicArn".into(), found.scope.arn("sns", &found.topic)),
        ("Owner".into(), account.to_string()),
        (
            "SubscriptionPrincipal".into(),
            format!("arn:aws:iam::{account}:root"),
        ),
        ("Protocol".into(), found.protocol.clone()),
        ("Endpoint".into(), found.endpoint.clone()),
        ("PendingConfirmation".into(), found.pending.to_string()),
        (
            "ConfirmationWasAuthenticated".into(),
            (!found.pending).to_string(),
        ),
        ("RawMessageDelivery".into(), "false".into()),
    ]);
    if found.attributes.contains_key("FilterPolicy") {
        attributes.insert("FilterPolicyScope".into(), "MessageAttributes".into());
    }
    attributes.extend(found.attributes.clone());
    Ok(SubscriptionAttributes { attributes })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetSubscriptionAttributes {
    subscription_arn: String,
    attribute_name: String,
    #[serde(default, deserialize_with = "wire::stored")]
    attribute_value: String,
}

pub fn set_attributes(ctx: &mut Ctx, input: SetSubscriptionAttributes) -> Result<()> {
    let found = find_subscription(ctx, &input.subscription_arn)?;
    let (name, value) = (input.attribute_name, input.attribute_value);
    check_subscription(&name, &value)?;
    ctx.tx.modify::<Subscription>(&found.key(), |subscription| {
        put(&mut subscription.attributes, name, value);
    });
    Ok(())
}
