//! Aliases: second names of keys.

use super::key::page;
use super::managed::{self, PREFIX};
use super::{Result, by_id, check_there, error, validation};
use crate::Ctx;
use model::kms::KeyAlias;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::ScopedName;
use wire::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasOfKey {
    alias_name: String,
    target_key_id: String,
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let tail = name.strip_prefix("alias/").unwrap_or_default();
    if tail.is_empty() || name.len() > 256 || !tail.chars().all(allowed) {
        return Err(validation(
            "Invalid identifier: an alias begins with alias/ and contains only alphanumeric characters, forward slashes, underscores and dashes.",
        ));
    }
    if name.starts_with(PREFIX) {
        return Err(error(
            "NotAuthorizedException",
            "Aliases that begin with alias/aws/ are reserved.",
        ));
    }
    Ok(())
}

pub fn create(ctx: &mut Ctx, input: AliasOfKey) -> Result<()> {
    check_name(&input.alias_name)?;
    let key = by_id(ctx, &input.target_key_id)?;
    check_there(&key)?;
    let name = ScopedName::new(&ctx.scope, &input.alias_name);
    if ctx.tx.kms_aliases.contains_key(&name) {
        let arn = ctx.scope.arn("kms", &input.alias_name);
        return Err(error(
            "AlreadyExistsException",
            format!("An alias with the name {arn} already exists"),
        ));
    }
    ctx.tx.put(KeyAlias {
        scope: ctx.scope.clone(),
        name: input.alias_name,
        key: key.id.clone(),
        created: ctx.now,
        updated: ctx.now,
    });
    Ok(())
}

fn find(ctx: &Ctx, name: &str) -> Result<Arc<KeyAlias>> {
    let found = ctx.tx.kms_aliases.get(&ScopedName::new(&ctx.scope, name));
    found.cloned().ok_or_else(|| {
        let arn = ctx.scope.arn("kms", name);
        error("NotFoundException", format!("Alias {arn} is not found."))
    })
}

pub fn update(ctx: &mut Ctx, input: AliasOfKey) -> Result<()> {
    check_name(&input.alias_name)?;
    let alias = find(ctx, &input.alias_name)?;
    let key = by_id(ctx, &input.target_key_id)?;
    check_there(&key)?;
    ctx.tx.put(KeyAlias {
        key: key.id.clone(),
        updated: ctx.now,
        ..KeyAlias::clone(&alias)
    });
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AliasName {
    alias_name: String,
}

pub fn delete(ctx: &mut Ctx, input: AliasName) -> Result<()> {
    check_name(&input.alias_name)?;
    let alias = find(ctx, &input.alias_name)?;
    ctx.tx
        .remove::<KeyAlias>(&ScopedName::new(&alias.scope, &alias.name));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAliases {
    key_id: Option<String>,
    limit: Option<usize>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Aliases {
    aliases: Vec<Shape>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    alias_name: String,
    alias_arn: String,
    // Of an alias whose key is not made yet there is no more than the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated_date: Option<Timestamp>,
}

pub fn list(ctx: &mut Ctx, input: ListAliases) -> Result<Aliases> {
    let key = input.key_id.map(|id| by_id(ctx, &id)).transpose()?;
    let aliases = ctx.tx.kms_aliases.values();
    let ours =
        aliases.filter(|a| a.scope == ctx.scope && key.as_ref().is_none_or(|key| a.key == key.id));
    let shape = |name: String, alias: Option<&Arc<KeyAlias>>| Shape {
        alias_arn: ctx.scope.arn("kms", &name),
        alias_name: name,
        target_key_id: alias.map(|a| a.key.clone()),
        creation_date: alias.map(|a| a.created.into()),
        last_updated_date: alias.map(|a| a.updated.into()),
    };
    let mut all: BTreeMap<String, Shape> = BTreeMap::new();
    if key.is_none() {
        all.extend(managed::aliases().map(|name| (name.clone(), shape(name, None))));
    }
    all.extend(ours.map(|a| (a.name.clone(), shape(a.name.clone(), Some(a)))));
    let name = |a: &Shape| a.alias_name.clone();
    let (aliases, next_marker) = page(all.into_values(), name, input.limit, input.marker)?;
    Ok(Aliases {
        aliases,
        truncated: next_marker.is_some(),
        next_marker,
    })
}
