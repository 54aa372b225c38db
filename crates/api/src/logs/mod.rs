//! CloudWatch Logs: groups, streams and events, over JSON.
//!
//! Events are kept with the other records, the newest [`MAX_EVENTS`] of each stream:
//! this is for the logs of stacks under test, not an archive. Queries (Insights), metric
//! filters, subscriptions and exports are no actions here.

mod event;
mod filter;
mod group;
mod stream;
mod tag;

use crate::Ctx;
use model::Timestamp;
use model::logs::LogGroup;
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Service, action};

pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Events that a stream keeps.
const MAX_EVENTS: usize = 10_000;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2014-03-28",
        json_target_prefix: Some("Logs_20140328"),
        actions: vec![
            action("CreateLogGroup", group::create),
            action("DescribeLogGroups", group::describe_all),
            action("DeleteLogGroup", group::delete),
            action("PutRetentionPolicy", group::put_retention),
            action("DeleteRetentionPolicy", group::delete_retention),
            action("TagResource", tag::tag),
            action("UntagResource", tag::untag),
            action("ListTagsForResource", tag::list),
            action("TagLogGroup", tag::tag_group),
            action("UntagLogGroup", tag::untag_group),
            action("ListTagsLogGroup", tag::list_group),
            action("CreateLogStream", stream::create),
            action("DescribeLogStreams", stream::describe_all),
            action("DeleteLogStream", stream::delete),
            action("PutLogEvents", event::put),
            action("GetLogEvents", event::get),
            action("FilterLogEvents", event::filter),
        ],
        ..Service::new("logs")
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterException", message)
}

fn not_found(what: &str) -> ApiError {
    ApiError::client(
        "ResourceNotFoundException",
        format!("The specified {what} does not exist."),
    )
}

fn find_group(ctx: &Ctx, name: &str) -> Result<Arc<LogGroup>> {
    let key = ScopedName::new(&ctx.scope, name);
    let group = ctx.tx.log_groups.get(&key);
    group.cloned().ok_or_else(|| not_found("log group"))
}

/// The group that a call names in one of two ways; an identifier is a name or an ARN.
fn named_group(ctx: &Ctx, name: Option<&str>, identifier: Option<&str>) -> Result<Arc<LogGroup>> {
    match (name, identifier) {
        (Some(name), None) => find_group(ctx, name),
        // The ARN that ends in `:*` names what is in the group, and is not taken here.
        (None, Some(id)) if id.contains('*') => Err(invalid(
            "1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w#+=/:,.@-]*",
        )),
        (None, Some(id)) => find_group(ctx, group_of_arn(ctx, id).unwrap_or(id)),
        (None, None) => Err(invalid("A log group name or identifier is required.")),
        (Some(_), Some(_)) => Err(invalid(
            "Only one of logGroupName and logGroupIdentifier may be specified.",
        )),
    }
}

/// The name in `arn:aws:logs:us-east-1:123456789012:log-group:NAME` or the same with `:*`.
fn group_of_arn<'a>(ctx: &Ctx, arn: &'a str) -> Option<&'a str> {
    let rest = arn.strip_prefix(&ctx.scope.arn("logs", "log-group:"))?;
    Some(rest.strip_suffix(":*").unwrap_or(rest))
}

fn arn(group: &LogGroup) -> String {
    group
        .scope
        .arn("logs", format_args!("log-group:{}", group.name))
}

fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A page of `items`, which are in order of `key`; the token is the last key of the page before.
fn page<T>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    limit: Option<usize>,
    most: usize,
    token: Option<&str>,
) -> Result<(Vec<T>, Option<String>)> {
    let limit = limit.unwrap_or(most);
    if !(1..=most).contains(&limit) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value between 1 and {most}"
        )));
    }
    let mut rest = items.filter(|item| token.is_none_or(|token| key(item).as_str() > token));
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let next = page.last().filter(|_| more).map(key);
    Ok((page, next))
}
