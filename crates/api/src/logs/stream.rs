//! Log streams.

use super::{Result, group, invalid, millis, named_group, not_found, page};
use crate::Ctx;
use model::logs::{LogEvent, LogEventKey, LogStream, LogStreamKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::Tx;
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedStream {
    log_group_name: String,
    log_stream_name: String,
}

pub(super) fn key(ctx: &Ctx, group: &str, stream: &str) -> LogStreamKey {
    LogStreamKey {
        scope: ctx.scope.clone(),
        group: group.to_owned(),
        stream: stream.to_owned(),
    }
}

pub(super) fn find(ctx: &Ctx, group: &str, stream: &str) -> Result<Arc<LogStream>> {
    let found = ctx.tx.log_streams.get(&key(ctx, group, stream));
    found.cloned().ok_or_else(|| not_found("log stream"))
}

pub fn create(ctx: &mut Ctx, input: NamedStream) -> Result<()> {
    let group = super::find_group(ctx, &input.log_group_name)?;
    let name = &input.log_stream_name;
    if !(1..=512).contains(&name.len()) || name.contains([':', '*']) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*"
        )));
    }
    let key = key(ctx, &group.name, name);
    if ctx.tx.log_streams.contains_key(&key) {
        return Err(ApiError::client(
            "ResourceAlreadyExistsException",
            "The specified log stream already exists",
        ));
    }
    ctx.tx.put(LogStream {
        key,
        created: ctx.now,
        ingested: None,
        next: 0,
    });
    Ok(())
}

pub fn delete(ctx: &mut Ctx, input: NamedStream) -> Result<()> {
    super::find_group(ctx, &input.log_group_name)?;
    let stream = find(ctx, &input.log_group_name, &input.log_stream_name)?;
    remove(&mut ctx.tx, &stream.key);
    Ok(())
}

/// Removes a stream with its events.
pub(super) fn remove(tx: &mut Tx, stream: &LogStreamKey) {
    let doomed: Vec<LogEventKey> = events(tx, stream).map(|e| e.key.clone()).collect();
    for key in doomed {
        tx.remove::<LogEvent>(&key);
    }
    tx.remove::<LogStream>(stream);
}

/// The events of a stream in order of their time.
pub(super) fn events<'a>(
    tx: &'a Tx,
    stream: &'a LogStreamKey,
) -> impl DoubleEndedIterator<Item = &'a LogEvent> {
    let edge = |timestamp, number| LogEventKey {
        stream: stream.clone(),
        timestamp,
        number,
    };
    let range = edge(i64::MIN, 0)..=edge(i64::MAX, u64::MAX);
    tx.log_events.range(range).map(|(_, event)| event.as_ref())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeLogStreams {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogStreams {
    log_streams: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    log_stream_name: String,
    creation_time: i64,
    first_event_timestamp: Option<i64>,
    last_event_timestamp: Option<i64>,
    last_ingestion_time: Option<i64>,
    upload_sequence_token: String,
    arn: String,
    stored_bytes: u64,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeLogStreams) -> Result<LogStreams> {
    let group = named_group(
        ctx,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let by_time = match input.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(other) => return Err(invalid(format!("'{other}' is no order of log streams."))),
    };
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(invalid(
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ));
    }
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    let mut streams: Vec<Shape> = group::streams(ctx, &group)
        .filter(|s| s.key.stream.starts_with(&prefix))
        .map(|stream| shape(ctx, stream))
        .collect();
    if by_time {
        streams.sort_by_key(|s| s.last_event_timestamp);
    }
    if input.descending == Some(true) {
        streams.reverse();
    }
    // A page's token is the name of the last stream before it, wherever that now stands.
    if let Some(token) = &input.next_token {
        let at = streams.iter().position(|s| s.log_stream_name == *token);
        streams.drain(..at.map_or(0, |at| at + 1));
    }
    let (log_streams, next_token) = page(
        streams.into_iter(),
        |s| s.log_stream_name.clone(),
        input.limit,
        50,
        None,
    )?;
    Ok(LogStreams {
        log_streams,
        next_token,
    })
}

fn shape(ctx: &Ctx, stream: &LogStream) -> Shape {
    let mut of = events(&ctx.tx, &stream.key);
    let first = of.next().map(|e| e.key.timestamp);
    let last = of.next_back().map(|e| e.key.timestamp).or(first);
    Shape {
        log_stream_name: stream.key.stream.clone(),
        creation_time: millis(stream.created),
        first_event_timestamp: first,
        last_event_timestamp: last,
        last_ingestion_time: stream.ingested.map(millis),
        upload_sequence_token: format!("{:056}", stream.next),
        arn: stream.key.scope.arn(
            "logs",
            format_args!(
                "log-group:{}:log-stream:{}",
                stream.key.group, stream.key.stream
            ),
        ),
        // AWS has counted no bytes of streams since 2019.
        stored_bytes: 0,
    }
}
