//! Keys: made, described, switched off, deleted after a wait.

use super::tag::{self, Tag};
use super::{Result, by_id, check_there, error, find, is_gone, managed, validation};
use crate::Ctx;
use jiff::SignedDuration;
use model::kms::Key;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::Timestamp;

const SYMMETRIC: &str = "SYMMETRIC_DEFAULT";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(rename = "AWSAccountId")]
    account: String,
    key_id: String,
    arn: String,
    creation_date: Timestamp,
    enabled: bool,
    description: String,
    key_usage: &'static str,
    key_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_date: Option<Timestamp>,
    origin: &'static str,
    key_manager: &'static str,
    key_spec: &'static str,
    customer_master_key_spec: &'static str,
    encryption_algorithms: [&'static str; 1],
    multi_region: bool,
}

fn state(key: &Key) -> &'static str {
    match (key.deletion, key.enabled) {
        (Some(_), _) => "PendingDeletion",
        (None, true) => "Enabled",
        (None, false) => "Disabled",
    }
}

fn metadata(key: &Key) -> Metadata {
    Metadata {
        account: key.scope.account.to_string(),
        key_id: key.id.clone(),
        arn: key.arn(),
        creation_date: key.created.into(),
        enabled: state(key) == "Enabled",
        description: key.description.clone(),
        key_usage: "ENCRYPT_DECRYPT",
        key_state: state(key),
        deletion_date: key.deletion.map(|(at, _)| at.into()),
        origin: "AWS_KMS",
        key_manager: if key.managed { "AWS" } else { "CUSTOMER" },
        key_spec: SYMMETRIC,
        customer_master_key_spec: SYMMETRIC,
        encryption_algorithms: [SYMMETRIC],
        multi_region: false,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneKey {
    key_metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateKey {
    #[serde(default, deserialize_with = "wire::stored")]
    policy: Option<String>,
    description: Option<String>,
    key_usage: Option<String>,
    key_spec: Option<String>,
    customer_master_key_spec: Option<String>,
    origin: Option<String>,
    multi_region: Option<bool>,
    /// Nobody can be locked out where no policy is evaluated.
    #[serde(rename = "BypassPolicyLockoutSafetyCheck")]
    #[serde(default, deserialize_with = "wire::validated")]
    _bypass: Option<bool>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreateKey) -> Result<OneKey> {
    let unsupported = |what: &str| {
        error(
            "UnsupportedOperationException",
            format!("This cloud has symmetric encryption keys of its own only, no {what}."),
        )
    };
    let specs = [&input.key_spec, &input.customer_master_key_spec];
    if let Some(other) = specs.into_iter().flatten().find(|s| *s != SYMMETRIC) {
        return Err(unsupported(&format!("keys of the kind {other}")));
    }
    if let Some(other) = input.key_usage.filter(|u| u != "ENCRYPT_DECRYPT") {
        return Err(unsupported(&format!("keys to {other}")));
    }
    if let Some(other) = input.origin.filter(|o| o != "AWS_KMS") {
        return Err(unsupported(&format!("keys of the origin {other}")));
    }
    if input.multi_region == Some(true) {
        return Err(unsupported("multi-Region keys"));
    }
    if let Some(policy) = &input.policy {
        check_policy(policy)?;
    }
    let account = &ctx.scope.account;
    let key = Key {
        id: uuid::Uuid::new_v4().to_string(),
        scope: ctx.scope.clone(),
        description: input.description.unwrap_or_default(),
        policy: input.policy.unwrap_or_else(|| default_policy(account)),
        secret: super::cipher::random_bytes(32)?,
        enabled: true,
        managed: false,
        deletion: None,
        rotation: None,
        created: ctx.now,
        tags: tag::of(&input.tags)?,
    };
    let answer = OneKey {
        key_metadata: metadata(&key),
    };
    ctx.tx.put(key);
    Ok(answer)
}

/// AWS's own for a key made without one.
fn default_policy(account: &str) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
            "Action": "kms:*",
            "Resource": "*",
        }],
    })
    .to_string()
}

fn check_policy(policy: &str) -> Result<()> {
    let value = serde_json::from_str::<serde_json::Value>(policy).ok();
    match value {
        Some(value) if value.get("Statement").is_some() => Ok(()),
        _ => Err(error(
            "MalformedPolicyDocumentException",
            "The key policy is not a policy document.",
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyId {
    key_id: String,
}

pub fn describe(ctx: &mut Ctx, input: KeyId) -> Result<OneKey> {
    managed::ensure_named(ctx, &input.key_id)?;
    Ok(OneKey {
        key_metadata: metadata(&*find(ctx, &input.key_id)?),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Paging {
    limit: Option<usize>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Keys {
    keys: Vec<Listed>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key_id: String,
    key_arn: String,
}

pub fn list(ctx: &mut Ctx, input: Paging) -> Result<Keys> {
    let keys = ctx.tx.kms_keys.values();
    let ours = keys.filter(|k| k.scope == ctx.scope && !is_gone(k, ctx.now));
    let (keys, next_marker) = page(
        ours,
        |k: &&Arc<Key>| k.id.clone(),
        input.limit,
        input.marker,
    )?;
    Ok(Keys {
        keys: keys
            .into_iter()
            .map(|k| Listed {
                key_id: k.id.clone(),
                key_arn: k.arn(),
            })
            .collect(),
        truncated: next_marker.is_some(),
        next_marker,
    })
}

/// A page of items in order of their keys, and the marker of the next.
pub(super) fn page<T>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    limit: Option<usize>,
    marker: Option<String>,
) -> Result<(Vec<T>, Option<String>)> {
    let limit = limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(validation(format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value between 1 and 1000"
        )));
    }
    let mut rest = items.filter(|i| marker.as_ref().is_none_or(|m| key(i) > *m));
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let marker = page.last().filter(|_| more).map(key);
    Ok((page, marker))
}

fn modify(ctx: &mut Ctx, id: &str, change: impl FnOnce(&mut Key) -> Result<()>) -> Result<()> {
    let mut key = Key::clone(&*by_id(ctx, id)?);
    change(&mut key)?;
    ctx.tx.put(key);
    Ok(())
}

pub fn enable(ctx: &mut Ctx, input: KeyId) -> Result<()> {
    switch(ctx, &input.key_id, true)
}

pub fn disable(ctx: &mut Ctx, input: KeyId) -> Result<()> {
    switch(ctx, &input.key_id, false)
}

fn switch(ctx: &mut Ctx, id: &str, on: bool) -> Result<()> {
    modify(ctx, id, |key| {
        check_there(key)?;
        key.enabled = on;
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateKeyDescription {
    key_id: String,
    description: String,
}

pub fn update_description(ctx: &mut Ctx, input: UpdateKeyDescription) -> Result<()> {
    modify(ctx, &input.key_id, |key| {
        check_there(key)?;
        key.description = input.description;
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScheduleKeyDeletion {
    key_id: String,
    pending_window_in_days: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Scheduled {
    key_id: String,
    deletion_date: Timestamp,
    key_state: &'static str,
    pending_window_in_days: u32,
}

pub fn schedule_deletion(ctx: &mut Ctx, input: ScheduleKeyDeletion) -> Result<Scheduled> {
    let days = input.pending_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(validation(format!(
            "1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value between 7 and 30"
        )));
    }
    let wait = SignedDuration::from_hours(24 * i64::from(days));
    let at = ctx.now.checked_add(wait).unwrap_or(ctx.now);
    modify(ctx, &input.key_id, |key| {
        check_there(key)?;
        key.deletion = Some((at, days));
        Ok(())
    })?;
    Ok(Scheduled {
        key_id: by_id(ctx, &input.key_id)?.arn(),
        deletion_date: at.into(),
        key_state: "PendingDeletion",
        pending_window_in_days: days,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Cancelled {
    key_id: String,
}

/// What comes back is disabled, as on AWS.
pub fn cancel_deletion(ctx: &mut Ctx, input: KeyId) -> Result<Cancelled> {
    modify(ctx, &input.key_id, |key| {
        if key.deletion.take().is_none() {
            return Err(error(
                "KMSInvalidStateException",
                format!("{} is not pending deletion.", key.arn()),
            ));
        }
        key.enabled = false;
        Ok(())
    })?;
    Ok(Cancelled {
        key_id: by_id(ctx, &input.key_id)?.arn(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyOf {
    key_id: String,
    policy_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyPolicy {
    policy: String,
    policy_name: &'static str,
}

fn check_policy_name(name: Option<&str>) -> Result<()> {
    match name {
        None | Some("default") => Ok(()),
        Some(other) => Err(error(
            "NotFoundException",
            format!("No such policy exists: {other}"),
        )),
    }
}

pub fn get_policy(ctx: &mut Ctx, input: PolicyOf) -> Result<KeyPolicy> {
    check_policy_name(input.policy_name.as_deref())?;
    Ok(KeyPolicy {
        policy: by_id(ctx, &input.key_id)?.policy.clone(),
        policy_name: "default",
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutKeyPolicy {
    key_id: String,
    policy_name: Option<String>,
    #[serde(deserialize_with = "wire::stored")]
    policy: String,
    #[serde(rename = "BypassPolicyLockoutSafetyCheck")]
    #[serde(default, deserialize_with = "wire::validated")]
    _bypass: Option<bool>,
}

pub fn put_policy(ctx: &mut Ctx, input: PutKeyPolicy) -> Result<()> {
    check_policy_name(input.policy_name.as_deref())?;
    check_policy(&input.policy)?;
    modify(ctx, &input.key_id, |key| {
        check_there(key)?;
        key.policy = input.policy;
        Ok(())
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyNames {
    policy_names: [&'static str; 1],
    truncated: bool,
}

pub fn list_policies(ctx: &mut Ctx, input: KeyId) -> Result<PolicyNames> {
    by_id(ctx, &input.key_id)?;
    Ok(PolicyNames {
        policy_names: ["default"],
        truncated: false,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rotation {
    key_id: String,
    key_rotation_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_period_in_days: Option<u32>,
}

pub fn rotation_status(ctx: &mut Ctx, input: KeyId) -> Result<Rotation> {
    let key = by_id(ctx, &input.key_id)?;
    Ok(Rotation {
        key_id: key.arn(),
        key_rotation_enabled: key.rotation.is_some() && key.deletion.is_none(),
        rotation_period_in_days: key.rotation,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnableKeyRotation {
    key_id: String,
    #[serde(default, deserialize_with = "wire::stored")]
    rotation_period_in_days: Option<u32>,
}

pub fn enable_rotation(ctx: &mut Ctx, input: EnableKeyRotation) -> Result<()> {
    let days = input.rotation_period_in_days.unwrap_or(365);
    if !(90..=2560).contains(&days) {
        return Err(validation(format!(
            "1 validation error detected: Value '{days}' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value between 90 and 2560"
        )));
    }
    rotate(ctx, &input.key_id, Some(days))
}

pub fn disable_rotation(ctx: &mut Ctx, input: KeyId) -> Result<()> {
    rotate(ctx, &input.key_id, None)
}

fn rotate(ctx: &mut Ctx, id: &str, days: Option<u32>) -> Result<()> {
    modify(ctx, id, |key| {
        check_there(key)?;
        key.rotation = days;
        Ok(())
    })
}
