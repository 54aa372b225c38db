//! Log groups.

use super::{Result, arn, find_group, group_of_arn, invalid, millis, page};
use crate::Ctx;
use model::Tags;
use model::logs::{LogEvent, LogGroup, LogStream};
use serde::{Deserialize, Serialize};
use store::{Record, ScopedName};
use wire::ApiError;

/// Days that AWS offers.
const RETENTIONS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateLogGroup {
    log_group_name: String,
    kms_key_id: Option<String>,
    log_group_class: Option<String>,
    deletion_protection_enabled: Option<bool>,
    #[serde(default)]
    tags: Tags,
}

pub fn create(ctx: &mut Ctx, input: CreateLogGroup) -> Result<()> {
    check_name(&input.log_group_name)?;
    if input.deletion_protection_enabled == Some(true) {
        return Err(invalid(
            "Deletion protection of log groups is not supported by this cloud.",
        ));
    }
    let class = input.log_group_class.unwrap_or_else(|| "STANDARD".into());
    if !matches!(
        class.as_str(),
        "STANDARD" | "INFREQUENT_ACCESS" | "DELIVERY"
    ) {
        return Err(invalid(format!("'{class}' is no class of log groups.")));
    }
    let key = ScopedName::new(&ctx.scope, &input.log_group_name);
    if ctx.tx.log_groups.contains_key(&key) {
        return Err(ApiError::client(
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ));
    }
    ctx.tx.put(LogGroup {
        scope: ctx.scope.clone(),
        name: input.log_group_name,
        class,
        retention_days: None,
        kms_key: input.kms_key_id,
        created: ctx.now,
        tags: input.tags,
    });
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
    if (1..=512).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeLogGroups {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    #[serde(default)]
    log_group_identifiers: Vec<String>,
    log_group_class: Option<String>,
    #[serde(default)]
    account_identifiers: Vec<String>,
    include_linked_accounts: Option<bool>,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogGroups {
    log_groups: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    log_group_name: String,
    creation_time: i64,
    retention_in_days: Option<u32>,
    metric_filter_count: u32,
    arn: String,
    log_group_arn: String,
    stored_bytes: usize,
    kms_key_id: Option<String>,
    log_group_class: String,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeLogGroups) -> Result<LogGroups> {
    if !input.account_identifiers.is_empty() || input.include_linked_accounts == Some(true) {
        return Err(invalid("This cloud's accounts are not linked."));
    }
    let prefix = input.log_group_name_prefix.unwrap_or_default();
    let pattern = input.log_group_name_pattern.unwrap_or_default();
    if !prefix.is_empty() && !pattern.is_empty() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let named = |group: &LogGroup| {
        let mut ids = input.log_group_identifiers.iter();
        ids.any(|id| group_of_arn(ctx, id).unwrap_or(id) == group.name)
    };
    let groups = ctx.tx.log_groups.of(&ctx.scope).filter(|group| {
        group.name.starts_with(&prefix)
            && group.name.to_lowercase().contains(&pattern.to_lowercase())
            && (input.log_group_identifiers.is_empty() || named(group))
            && input
                .log_group_class
                .as_ref()
                .is_none_or(|class| *class == group.class)
    });
    let token = input.next_token.as_deref();
    let (groups, next_token) = page(groups, |g| g.name.clone(), input.limit, 50, token)?;
    let shape = |group: &LogGroup| Shape {
        log_group_name: group.name.clone(),
        creation_time: millis(group.created),
        retention_in_days: group.retention_days,
        metric_filter_count: 0,
        arn: format!("{}:*", arn(group)),
        log_group_arn: arn(group),
        stored_bytes: stored_bytes(ctx, group),
        kms_key_id: group.kms_key.clone(),
        log_group_class: group.class.clone(),
    };
    Ok(LogGroups {
        log_groups: groups.into_iter().map(|g| shape(g)).collect(),
        next_token,
    })
}

/// As AWS counts: the messages and 26 bytes for each.
fn stored_bytes(ctx: &Ctx, group: &LogGroup) -> usize {
    let events = ctx.tx.log_events.values();
    events
        .filter(|e| e.key.stream.scope == group.scope && e.key.stream.group == group.name)
        .map(|e| e.message.len() + 26)
        .sum()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedGroup {
    pub(super) log_group_name: String,
}

pub fn delete(ctx: &mut Ctx, input: NamedGroup) -> Result<()> {
    let group = find_group(ctx, &input.log_group_name)?;
    let streams: Vec<_> = ctx
        .tx
        .log_streams
        .keys()
        .filter(|k| k.scope == group.scope && k.group == group.name)
        .cloned()
        .collect();
    for stream in streams {
        super::stream::remove(&mut ctx.tx, &stream);
    }
    ctx.tx.remove::<LogGroup>(&group.key());
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutRetentionPolicy {
    log_group_name: String,
    retention_in_days: u32,
}

/// Events past the retention are dropped as others arrive, and answered by no call.
pub fn put_retention(ctx: &mut Ctx, input: PutRetentionPolicy) -> Result<()> {
    let days = input.retention_in_days;
    if !RETENTIONS.contains(&days) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: {RETENTIONS:?}"
        )));
    }
    let group = find_group(ctx, &input.log_group_name)?;
    ctx.tx
        .modify::<LogGroup>(&group.key(), |g| g.retention_days = Some(days));
    let oldest = super::event::oldest_kept(ctx, Some(days));
    let expired: Vec<_> = ctx
        .tx
        .log_events
        .keys()
        .filter(|k| {
            k.stream.scope == group.scope && k.stream.group == group.name && k.timestamp < oldest
        })
        .cloned()
        .collect();
    for key in expired {
        ctx.tx.remove::<LogEvent>(&key);
    }
    Ok(())
}

pub fn delete_retention(ctx: &mut Ctx, input: NamedGroup) -> Result<()> {
    let group = find_group(ctx, &input.log_group_name)?;
    ctx.tx
        .modify::<LogGroup>(&group.key(), |g| g.retention_days = None);
    Ok(())
}

/// The streams of a group, by name.
pub(super) fn streams<'a>(
    ctx: &'a Ctx,
    group: &'a LogGroup,
) -> impl Iterator<Item = &'a LogStream> {
    let streams = ctx.tx.log_streams.values().map(AsRef::as_ref);
    streams.filter(|s: &&LogStream| s.key.scope == group.scope && s.key.group == group.name)
}
