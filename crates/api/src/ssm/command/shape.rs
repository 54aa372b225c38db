//! How answers show a command: what it is, and the sum of its invocations.

use super::send::Target;
use crate::Ctx;
use jiff::SignedDuration;
use model::ssm::{Command, Invocation, InvocationStatus as Status};
use serde::Serialize;
use std::collections::BTreeMap;
use wire::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommandShape {
    command_id: String,
    document_name: String,
    document_version: String,
    comment: String,
    expires_after: Timestamp,
    parameters: BTreeMap<String, Vec<String>>,
    instance_ids: Vec<String>,
    targets: Vec<Target>,
    requested_date_time: Timestamp,
    pub(super) status: &'static str,
    status_details: &'static str,
    max_concurrency: String,
    max_errors: String,
    target_count: usize,
    completed_count: usize,
    error_count: usize,
    delivery_timed_out_count: usize,
    timeout_seconds: u32,
}

pub fn command(ctx: &Ctx, command: &Command) -> CommandShape {
    let all: Vec<&Invocation> = ctx
        .tx
        .invocations
        .of(command.id.as_str())
        .map(AsRef::as_ref)
        .collect();
    let count = |holds: fn(Status) -> bool| all.iter().filter(|i| holds(i.status)).count();
    let (status, status_details) = sum(command, all.iter().map(|i| i.status));
    let whole = u64::from(command.deliver_secs) + u64::from(command.execution_secs);
    let life = SignedDuration::from_secs(i64::try_from(whole).unwrap_or(i64::MAX));
    let expires = command.requested.checked_add(life);
    CommandShape {
        command_id: command.id.clone(),
        document_name: command.document.clone(),
        document_version: command.document_version.clone(),
        comment: command.comment.clone(),
        expires_after: expires.unwrap_or(command.requested).into(),
        parameters: command.parameters.clone(),
        instance_ids: command.instance_ids.clone(),
        targets: command
            .targets
            .iter()
            .map(|(key, values)| Target {
                key: key.clone(),
                values: values.clone(),
            })
            .collect(),
        requested_date_time: command.requested.into(),
        status,
        status_details,
        max_concurrency: command.max_concurrency.clone(),
        max_errors: command.max_errors.clone(),
        target_count: all.len(),
        completed_count: count(Status::ended),
        error_count: count(|s| matches!(s, Status::Failed | Status::ExecutionTimedOut)),
        delivery_timed_out_count: count(|s| s == Status::DeliveryTimedOut),
        timeout_seconds: command.deliver_secs,
    }
}

/// Status and details of the whole.
fn sum(command: &Command, all: impl Iterator<Item = Status>) -> (&'static str, &'static str) {
    let all: Vec<Status> = all.collect();
    let any = |wanted: &[Status]| all.iter().find(|s| wanted.contains(s)).copied();
    if all.is_empty() {
        return ("Success", "NoInstancesInTag");
    }
    if !all.iter().all(|s| s.ended()) {
        let begun = all.iter().any(|s| *s != Status::Pending);
        let status = match (command.cancelled, begun) {
            (true, _) => "Cancelling",
            (false, true) => "InProgress",
            (false, false) => "Pending",
        };
        return (status, status);
    }
    // What went wrong counts before what was called off.
    let worst = any(&[Status::Failed, Status::Terminated, Status::Undeliverable])
        .or(any(&[Status::ExecutionTimedOut, Status::DeliveryTimedOut]))
        .or(any(&[Status::Cancelled]));
    match worst {
        Some(Status::Terminated) => ("Failed", "Failed"),
        Some(status) => (status.name(), status.details()),
        None => ("Success", "Success"),
    }
}
