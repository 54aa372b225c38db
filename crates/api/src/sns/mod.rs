//! SNS: topics and subscriptions, for the alarms, groups and stacks that name them.
//!
//! What is published, by a call, an alarm or a group, is told as an event. Nothing is delivered to
//! endpoints, so one that would have to agree first (email, HTTP) stays pending. Text and form of
//! errors are from botocore's model and the Terraform provider's expectations; how the rest of a
//! message after `Invalid parameter:` reads on AWS is an assumption.

mod attribute;
mod publish;
mod subscription;
mod tag;
mod topic;

use crate::Ctx;
use model::Scope;
use model::sns::Topic;
use std::fmt::Display;
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, QueryKind, Service, action};

type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2010-03-31",
        xml_namespace: "http://sns.amazonaws.com/doc/2010-03-31/",
        query_kind: Some(QueryKind::Query),
        actions: vec![
            action("CreateTopic", topic::create),
            action("DeleteTopic", topic::delete),
            action("ListTopics", topic::list),
            action("GetTopicAttributes", topic::get_attributes),
            action("SetTopicAttributes", topic::set_attributes),
            action("Subscribe", subscription::subscribe),
            action("Unsubscribe", subscription::unsubscribe),
            action("ListSubscriptions", subscription::list),
            action("ListSubscriptionsByTopic", subscription::list_by_topic),
            action("GetSubscriptionAttributes", subscription::get_attributes),
            action("SetSubscriptionAttributes", subscription::set_attributes),
            action("Publish", publish::publish),
            action("TagResource", tag::tag),
            action("UntagResource", tag::untag),
            action("ListTagsForResource", tag::list),
        ],
        ..Service::new("sns")
    }
}

fn invalid(what: impl Display) -> ApiError {
    ApiError::client("InvalidParameter", format!("Invalid parameter: {what}"))
}

/// The name in an ARN of this account and region; another's is not to be seen.
fn own_name<'a>(ctx: &Ctx, arn: &'a str) -> Result<&'a str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, "sns", region, account, name] = parts[..] else {
        return Err(invalid("TopicArn"));
    };
    if *region != *ctx.scope.region || *account != *ctx.scope.account {
        let message =
            "The caller is not authorized to use what belongs to another account or region";
        return Err(ApiError::new(403, "AuthorizationError", message));
    }
    Ok(name)
}

fn find(ctx: &Ctx, arn: &str) -> Result<Arc<Topic>> {
    let key = ScopedName::new(&ctx.scope, own_name(ctx, arn)?);
    let found = ctx.tx.topics.get(&key).cloned();
    found.ok_or_else(|| ApiError::not_found("NotFound", "Topic does not exist"))
}

/// Whether there is such a topic, whoever has it.
pub(crate) fn exists(ctx: &Ctx, arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, "sns", region, account, name] = parts[..] else {
        return false;
    };
    let key = ScopedName::new(&Scope::new(account, region), name);
    ctx.tx.topics.get(&key).is_some()
}

/// Items per page of every list, as AWS's.
const PAGE: usize = 100;

/// A page of what is sorted by name, and the name to go on after.
fn page<T>(
    all: impl Iterator<Item = T>,
    name: impl Fn(&T) -> String,
    after: Option<&str>,
) -> (Vec<T>, Option<String>) {
    let mut rest = all.filter(|item| after.is_none_or(|after| name(item).as_str() > after));
    let page: Vec<T> = rest.by_ref().take(PAGE).collect();
    let more = rest.next().is_some();
    let next = page.last().filter(|_| more).map(name);
    (page, next)
}
