//! Log events: put, got from a stream, found in a group.

use super::filter::Pattern;
use super::{MAX_EVENTS, Result, group, invalid, millis, named_group, stream};
use crate::Ctx;
use model::logs::{LogEvent, LogEventKey, LogGroup, LogStream, LogStreamKey};
use serde::{Deserialize, Serialize};

/// AWS's limits on one call: events, and bytes with 26 more for each.
const MAX_BATCH: usize = 10_000;
const MAX_BATCH_BYTES: usize = 1_048_576;
const DAY_MILLIS: i64 = 86_400_000;
/// Events older than this, or further ahead, are rejected.
const OLDEST_DAYS: i64 = 14;
const NEWEST_MILLIS: i64 = 2 * 3_600_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputEvent {
    timestamp: i64,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutLogEvents {
    log_group_name: String,
    log_stream_name: String,
    log_events: Vec<InputEvent>,
    /// Ignored, as AWS does since 2023.
    #[serde(rename = "sequenceToken")]
    #[serde(default, deserialize_with = "wire::validated")]
    _sequence_token: Option<String>,
    entity: Option<serde_json::Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutAnswer {
    next_sequence_token: String,
    rejected_log_events_info: Option<Rejected>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    too_new_log_event_start_index: Option<usize>,
    too_old_log_event_end_index: Option<usize>,
    expired_log_event_end_index: Option<usize>,
}

/// Timestamps before this are past what a group keeps.
pub(super) fn oldest_kept(ctx: &Ctx, retention_days: Option<u32>) -> i64 {
    retention_days.map_or(i64::MIN, |days| {
        millis(ctx.now) - i64::from(days) * DAY_MILLIS
    })
}

pub fn put(ctx: &mut Ctx, input: PutLogEvents) -> Result<PutAnswer> {
    let group = super::find_group(ctx, &input.log_group_name)?;
    let found = stream::find(ctx, &group.name, &input.log_stream_name)?;
    if input.entity.is_some() {
        return Err(invalid("Entities are not supported by this cloud."));
    }
    let bytes: usize = input.log_events.iter().map(|e| e.message.len() + 26).sum();
    if input.log_events.is_empty() || input.log_events.len() > MAX_BATCH || bytes > MAX_BATCH_BYTES
    {
        return Err(invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {MAX_BATCH_BYTES}, or not 1 to {MAX_BATCH} events"
        )));
    }
    let in_order = input
        .log_events
        .windows(2)
        .all(|pair| pair[0].timestamp <= pair[1].timestamp);
    if !in_order {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let now = millis(ctx.now);
    let (too_old, too_new) = (now - OLDEST_DAYS * DAY_MILLIS, now + NEWEST_MILLIS);
    let expired = oldest_kept(ctx, group.retention_days);
    let mut rejected = Rejected::default();
    let mut any_rejected = false;
    let mut next = found.next;
    for (index, event) in input.log_events.into_iter().enumerate() {
        if event.timestamp > too_new {
            rejected.too_new_log_event_start_index.get_or_insert(index);
            any_rejected = true;
        } else if event.timestamp < expired {
            rejected.expired_log_event_end_index = Some(index + 1);
            any_rejected = true;
        } else if event.timestamp < too_old {
            rejected.too_old_log_event_end_index = Some(index + 1);
            any_rejected = true;
        } else {
            ctx.tx.put(LogEvent {
                key: LogEventKey {
                    stream: found.key.clone(),
                    timestamp: event.timestamp,
                    number: next,
                },
                ingested: ctx.now,
                message: event.message,
            });
            next += 1;
        }
    }
    let now = ctx.now;
    ctx.tx.modify::<LogStream>(&found.key, |s| {
        s.next = next;
        s.ingested = Some(now);
    });
    drop_oldest(ctx, &group, &found.key);
    Ok(PutAnswer {
        next_sequence_token: format!("{next:056}"),
        rejected_log_events_info: any_rejected.then_some(rejected),
    })
}

/// Past the retention, and beyond what a stream keeps.
fn drop_oldest(ctx: &mut Ctx, group: &LogGroup, stream: &LogStreamKey) {
    let expired = oldest_kept(ctx, group.retention_days);
    let count = stream::events(&ctx.tx, stream).count();
    let surplus = count.saturating_sub(MAX_EVENTS);
    let doomed: Vec<LogEventKey> = stream::events(&ctx.tx, stream)
        .enumerate()
        .take_while(|(index, e)| *index < surplus || e.key.timestamp < expired)
        .map(|(_, e)| e.key.clone())
        .collect();
    for key in doomed {
        ctx.tx.remove::<LogEvent>(&key);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetLogEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<usize>,
    start_from_head: Option<bool>,
    /// Nothing is masked.
    #[serde(rename = "unmask")]
    #[serde(default, deserialize_with = "wire::validated")]
    _unmask: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Events {
    events: Vec<EventShape>,
    next_forward_token: String,
    next_backward_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventShape {
    timestamp: i64,
    message: String,
    ingestion_time: i64,
}

/// Tokens name the position of an event: `f/` after it, `b/` before it. The end of the
/// stream answers the token that was given, which is how clients know it.
pub fn get(ctx: &mut Ctx, input: GetLogEvents) -> Result<Events> {
    let group = named_group(
        ctx,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    let found = stream::find(ctx, &group.name, &input.log_stream_name)?;
    let limit = input.limit.unwrap_or(MAX_BATCH);
    if !(1..=MAX_BATCH).contains(&limit) {
        return Err(invalid(format!(
            "The limit is from 1 to {MAX_BATCH}, not {limit}."
        )));
    }
    let token = input.next_token.as_deref().map(position).transpose()?;
    let expired = oldest_kept(ctx, group.retention_days);
    let start = input.start_time.unwrap_or(i64::MIN).max(expired);
    let end = input.end_time.unwrap_or(i64::MAX);
    let within = |e: &&LogEvent| (start..end).contains(&e.key.timestamp);
    let at = |e: &LogEvent| (e.key.timestamp, e.key.number);
    let all = stream::events(&ctx.tx, &found.key).filter(within);
    let mut page: Vec<&LogEvent> = match token {
        Some((true, after)) => all.filter(|e| at(e) > after).take(limit).collect(),
        Some((false, before)) => last(all.filter(|e| at(e) < before), limit),
        None if input.start_from_head == Some(true) => all.take(limit).collect(),
        None => last(all, limit),
    };
    page.sort_by_key(|e| at(e));
    let edge = |event: Option<&&LogEvent>| event.map(|e| at(e));
    let stays = token.map_or((i64::MIN, 0), |(_, at)| at);
    let spell = |kind: char, at: (i64, u64)| format!("{kind}/{}/{}", at.0, at.1);
    Ok(Events {
        next_forward_token: spell('f', edge(page.last()).unwrap_or(stays)),
        next_backward_token: spell('b', edge(page.first()).unwrap_or(stays)),
        events: page.into_iter().map(event_shape).collect(),
    })
}

fn last<'a>(
    events: impl DoubleEndedIterator<Item = &'a LogEvent>,
    limit: usize,
) -> Vec<&'a LogEvent> {
    events.rev().take(limit).collect()
}

fn event_shape(event: &LogEvent) -> EventShape {
    EventShape {
        timestamp: event.key.timestamp,
        message: event.message.clone(),
        ingestion_time: millis(event.ingested),
    }
}

/// Whether a token leads forward, and from where.
fn position(token: &str) -> Result<(bool, (i64, u64))> {
    let bad = || invalid("The specified nextToken is invalid.");
    let mut parts = token.split('/');
    let forward = match parts.next() {
        Some("f") => true,
        Some("b") => false,
        _ => return Err(bad()),
    };
    let time = parts.next().and_then(|t| t.parse().ok()).ok_or_else(bad)?;
    let number = parts.next().and_then(|n| n.parse().ok()).ok_or_else(bad)?;
    Ok((forward, (time, number)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterLogEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    #[serde(default)]
    log_stream_names: Vec<String>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
    /// Always so, as AWS does since 2019.
    #[serde(rename = "interleaved")]
    #[serde(default, deserialize_with = "wire::validated")]
    _interleaved: Option<bool>,
    #[serde(rename = "unmask")]
    #[serde(default, deserialize_with = "wire::validated")]
    _unmask: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilteredEvents {
    events: Vec<FilteredEvent>,
    searched_log_streams: Vec<()>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilteredEvent {
    log_stream_name: String,
    timestamp: i64,
    message: String,
    ingestion_time: i64,
    event_id: String,
}

pub fn filter(ctx: &mut Ctx, input: FilterLogEvents) -> Result<FilteredEvents> {
    let group = named_group(
        ctx,
        input.log_group_name.as_deref(),
        input.log_group_identifier.as_deref(),
    )?;
    if !input.log_stream_names.is_empty() && input.log_stream_name_prefix.is_some() {
        return Err(invalid(
            "Only one of logStreamNames and logStreamNamePrefix may be specified.",
        ));
    }
    for name in &input.log_stream_names {
        stream::find(ctx, &group.name, name)?;
    }
    let pattern = Pattern::new(input.filter_pattern.as_deref().unwrap_or_default())?;
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    let names = &input.log_stream_names;
    let expired = oldest_kept(ctx, group.retention_days);
    let start = input.start_time.unwrap_or(i64::MIN).max(expired);
    let end = input.end_time.unwrap_or(i64::MAX);
    let mut found: Vec<&LogEvent> = group::streams(ctx, &group)
        .filter(|s| names.is_empty() || names.contains(&s.key.stream))
        .filter(|s| s.key.stream.starts_with(&prefix))
        .flat_map(|s| stream::events(&ctx.tx, &s.key))
        .filter(|e| (start..=end).contains(&e.key.timestamp) && pattern.matches(&e.message))
        .collect();
    found.sort_by_key(|e| (e.key.timestamp, &e.key.stream.stream, e.key.number));
    let (page, next_token) = super::page(
        found.into_iter(),
        |e| event_id(e),
        input.limit,
        MAX_BATCH,
        input.next_token.as_deref(),
    )?;
    let shape = |e: &LogEvent| FilteredEvent {
        log_stream_name: e.key.stream.stream.clone(),
        timestamp: e.key.timestamp,
        message: e.message.clone(),
        ingestion_time: millis(e.ingested),
        event_id: event_id(e),
    };
    Ok(FilteredEvents {
        events: page.into_iter().map(shape).collect(),
        searched_log_streams: Vec::new(),
        next_token,
    })
}

/// Sorts as the answer does: by time, stream and arrival.
fn event_id(event: &LogEvent) -> String {
    format!(
        "{:020}/{}/{:020}",
        event.key.timestamp.max(0),
        event.key.stream.stream,
        event.key.number
    )
}
