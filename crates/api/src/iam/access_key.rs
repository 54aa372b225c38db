//! Access keys of users. Their ids carry the account, calls signed with them must be
//! signed right, and what signed the call is its user; nothing more depends on them.

use super::error::{Result, invalid, limit_exceeded, no_such_entity};
use super::{global, page, user};
use crate::Ctx;
use model::iam_user::AccessKey;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::{ApiError, Timestamp};

const MAX_KEYS: usize = 2;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAccessKey {
    user_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedAccessKey {
    access_key: Created,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    user_name: String,
    access_key_id: String,
    status: &'static str,
    secret_access_key: String,
    create_date: Timestamp,
}

fn status(key: &AccessKey) -> &'static str {
    if key.active { "Active" } else { "Inactive" }
}

pub fn create(ctx: &mut Ctx, input: CreateAccessKey) -> Result<CreatedAccessKey> {
    let user = user::named_or_caller(ctx, input.user_name.as_deref())?;
    if user::keys(ctx, &user.name).len() >= MAX_KEYS {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}"
        )));
    }
    let key = AccessKey {
        id: crate::sts::user_key_id(&ctx.scope.account),
        scope: global(ctx),
        user: user.name.clone(),
        secret: model::random_hex(40),
        active: true,
        created: ctx.now,
        last_used: None,
    };
    let answer = CreatedAccessKey {
        access_key: Created {
            user_name: key.user.clone(),
            access_key_id: key.id.clone(),
            status: status(&key),
            secret_access_key: key.secret.clone(),
            create_date: key.created.into(),
        },
    };
    ctx.tx.put(key);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessKeys {
    user_name: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeys {
    access_key_metadata: Vec<Metadata>,
    is_truncated: bool,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    user_name: String,
    access_key_id: String,
    status: &'static str,
    create_date: Timestamp,
}

pub fn list(ctx: &mut Ctx, input: ListAccessKeys) -> Result<AccessKeys> {
    let user = user::named_or_caller(ctx, input.user_name.as_deref())?;
    let (keys, marker) = page::of(
        user::keys(ctx, &user.name),
        |k| k.id.clone(),
        input.max_items,
        input.marker.as_deref(),
    )?;
    let metadata = |key: Arc<AccessKey>| Metadata {
        user_name: key.user.clone(),
        access_key_id: key.id.clone(),
        status: status(&key),
        create_date: key.created.into(),
    };
    Ok(AccessKeys {
        access_key_metadata: keys.into_iter().map(metadata).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

/// The user's key of that id; without a user's name that of whoever has it.
fn find(ctx: &Ctx, user_name: Option<&str>, id: &str) -> Result<Arc<AccessKey>> {
    if let Some(name) = user_name {
        user::named_or_caller(ctx, Some(name))?;
    }
    let scope = global(ctx);
    let found = ctx.tx.access_keys.get(id);
    found
        .filter(|k| k.scope == scope && user_name.is_none_or(|name| k.user == name))
        .cloned()
        .ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> ApiError {
    no_such_entity(format!("The Access Key with id {id} cannot be found."))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateAccessKey {
    user_name: Option<String>,
    access_key_id: String,
    status: String,
}

pub fn update(ctx: &mut Ctx, input: UpdateAccessKey) -> Result<()> {
    let active = match input.status.as_str() {
        "Active" => true,
        "Inactive" => false,
        other => {
            return Err(invalid(format!(
                "1 validation error detected: Value '{other}' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"
            )));
        }
    };
    let key = find(ctx, input.user_name.as_deref(), &input.access_key_id)?;
    ctx.tx.put(AccessKey {
        active,
        ..AccessKey::clone(&key)
    });
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAccessKey {
    user_name: Option<String>,
    access_key_id: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteAccessKey) -> Result<()> {
    let key = find(ctx, input.user_name.as_deref(), &input.access_key_id)?;
    ctx.tx.remove::<AccessKey>(&key.id);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAccessKeyLastUsed {
    access_key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LastUsed {
    user_name: String,
    access_key_last_used: Use,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Use {
    last_used_date: Option<Timestamp>,
    service_name: String,
    region: String,
}

pub fn last_used(ctx: &mut Ctx, input: GetAccessKeyLastUsed) -> Result<LastUsed> {
    let key = find(ctx, None, &input.access_key_id)?;
    let (date, service, region) = match &key.last_used {
        Some((at, service, region)) => (Some((*at).into()), service.clone(), region.clone()),
        None => (None, "N/A".to_owned(), "N/A".to_owned()),
    };
    Ok(LastUsed {
        user_name: key.user.clone(),
        access_key_last_used: Use {
            last_used_date: date,
            service_name: service,
            region,
        },
    })
}
