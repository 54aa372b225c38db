//! Key Management: symmetric keys that encrypt, their aliases and policies.
//!
//! Keys are real (AES-256-GCM); volumes and objects that name one are not encrypted with
//! it. Policies are kept, not evaluated; no key rotates.

mod alias;
mod cipher;
mod key;
mod managed;
mod tag;

pub use managed::of_volume;

use crate::Ctx;
use model::Timestamp;
use model::kms::Key;
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Service, action};

type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2014-11-01",
        json_target_prefix: Some("TrentService"),
        actions: vec![
            action("CreateKey", key::create),
            // It makes the key of an alias of AWS's.
            action("DescribeKey", key::describe).writes(),
            action("ListKeys", key::list),
            action("EnableKey", key::enable),
            action("DisableKey", key::disable),
            action("UpdateKeyDescription", key::update_description),
            action("ScheduleKeyDeletion", key::schedule_deletion),
            action("CancelKeyDeletion", key::cancel_deletion),
            action("GetKeyPolicy", key::get_policy),
            action("PutKeyPolicy", key::put_policy),
            action("ListKeyPolicies", key::list_policies),
            action("GetKeyRotationStatus", key::rotation_status),
            action("EnableKeyRotation", key::enable_rotation),
            action("DisableKeyRotation", key::disable_rotation),
            action("CreateAlias", alias::create),
            action("UpdateAlias", alias::update),
            action("DeleteAlias", alias::delete),
            action("ListAliases", alias::list),
            action("TagResource", tag::tag),
            action("UntagResource", tag::untag),
            action("ListResourceTags", tag::list),
            action("Encrypt", cipher::encrypt),
            action("Decrypt", cipher::decrypt),
            action("GenerateDataKey", cipher::data_key),
            action("GenerateDataKeyWithoutPlaintext", cipher::hidden_data_key),
            action("GenerateRandom", cipher::random),
        ],
        ..Service::new("kms")
    }
}

fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

fn validation(message: impl Into<String>) -> ApiError {
    error("ValidationException", message)
}

fn is_gone(key: &Key, now: Timestamp) -> bool {
    key.deletion.is_some_and(|(at, _)| at <= now)
}

/// The key of that id or ARN.
fn by_id(ctx: &Ctx, id: &str) -> Result<Arc<Key>> {
    let arn = ctx.scope.arn("kms", "key/");
    let bare = id.strip_prefix(&arn).unwrap_or(id);
    let found = ctx.tx.kms_keys.get(bare);
    found
        .filter(|k| k.scope == ctx.scope && !is_gone(k, ctx.now))
        .cloned()
        .ok_or_else(|| {
            let shown = if id.starts_with("arn:") {
                id.to_owned()
            } else {
                format!("{arn}{id}")
            };
            error("NotFoundException", format!("Key '{shown}' does not exist"))
        })
}

/// The same, or the one that an alias stands for.
fn find(ctx: &Ctx, id: &str) -> Result<Arc<Key>> {
    let arn = ctx.scope.arn("kms", "");
    let name = id.strip_prefix(&arn).unwrap_or(id);
    if !name.starts_with("alias/") {
        return by_id(ctx, id);
    }
    let alias = ctx.tx.kms_aliases.get(&ScopedName::new(&ctx.scope, name));
    let alias = alias.ok_or_else(|| {
        error(
            "NotFoundException",
            format!("Alias {arn}{name} is not found."),
        )
    })?;
    by_id(ctx, &alias.key)
}

/// Refuses to change or use a key that is on its way out, or is not the caller's to change.
fn check_there(key: &Key) -> Result<()> {
    managed::check_own(key)?;
    match key.deletion {
        Some(_) => Err(error(
            "KMSInvalidStateException",
            format!("{} is pending deletion.", key.arn()),
        )),
        None => Ok(()),
    }
}
