//! Queues: made, described, tagged and deleted, for stacks that name one. There are no
//! messages: calls that send or receive them are refused as unknown.

mod attribute;
mod queue;
mod tag;

use crate::Ctx;
use model::sqs::Queue;
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Service, action};

type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2012-11-05",
        json_target_prefix: Some("AmazonSQS"),
        query_errors: Some(&[
            (
                "AWS.SimpleQueueService.NonExistentQueue",
                "QueueDoesNotExist",
            ),
            ("QueueAlreadyExists", "QueueNameExists"),
        ]),
        actions: vec![
            action("CreateQueue", queue::create),
            action("GetQueueUrl", queue::get_url),
            action("ListQueues", queue::list),
            action("DeleteQueue", queue::delete),
            action("GetQueueAttributes", attribute::get),
            action("SetQueueAttributes", attribute::set),
            action("TagQueue", tag::tag),
            action("UntagQueue", tag::untag),
            action("ListQueueTags", tag::list),
        ],
        ..Service::new("sqs")
    }
}

fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

fn not_there() -> ApiError {
    error(
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

fn url(queue: &Queue) -> String {
    let (region, account) = (&queue.scope.region, &queue.scope.account);
    format!(
        "https://sqs.{region}.amazonaws.com/{account}/{}",
        queue.name
    )
}

fn named(ctx: &Ctx, name: &str) -> Result<Arc<Queue>> {
    let found = ctx.tx.queues.get(&ScopedName::new(&ctx.scope, name));
    found.cloned().ok_or_else(not_there)
}

/// By its URL, of whatever host: the last two parts tell account and name.
fn find(ctx: &Ctx, url: &str) -> Result<Arc<Queue>> {
    let mut parts = url.rsplit('/');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next());
    match account {
        Some(account) if *account == *ctx.scope.account => named(ctx, name),
        _ => Err(not_there()),
    }
}
