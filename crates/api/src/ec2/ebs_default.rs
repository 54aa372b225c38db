//! Whether new volumes of the account in the region are encrypted, and with which key.
//!
//! Encryption is described: the root file systems lie on the host's disk as that is.

use super::error::{Result, dry_run};
use crate::Ctx;
use model::Scope;
use model::region_settings::RegionSettings;
use serde::{Deserialize, Serialize};
use store::State;

/// The choices in force.
pub(super) fn of(state: &State, scope: &Scope) -> RegionSettings {
    let found = state.region_settings.get(scope);
    found.map_or_else(
        || RegionSettings::new(scope),
        |settings| RegionSettings::clone(settings),
    )
}

/// The alias of the key that AWS manages.
fn key_of(settings: &RegionSettings) -> String {
    let own = settings.ebs_kms_key.clone();
    own.unwrap_or_else(|| "alias/aws/ebs".into())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    ebs_encryption_by_default: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    ebs_encryption_by_default: bool,
    sse_type: Option<&'static str>,
}

pub fn get(ctx: &mut Ctx, input: Request) -> Result<Described> {
    dry_run(input.dry_run)?;
    let on = of(&ctx.tx, &ctx.scope).ebs_encryption;
    Ok(Described {
        ebs_encryption_by_default: on,
        sse_type: on.then_some("sse-kms"),
    })
}

fn set(ctx: &mut Ctx, input: &Request, on: bool) -> Result<Encryption> {
    dry_run(input.dry_run)?;
    let mut settings = of(&ctx.tx, &ctx.scope);
    settings.ebs_encryption = on;
    ctx.tx.put(settings);
    Ok(Encryption {
        ebs_encryption_by_default: on,
    })
}

pub fn enable(ctx: &mut Ctx, input: Request) -> Result<Encryption> {
    set(ctx, &input, true)
}

pub fn disable(ctx: &mut Ctx, input: Request) -> Result<Encryption> {
    set(ctx, &input, false)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    kms_key_id: String,
}

pub fn get_key(ctx: &mut Ctx, input: Request) -> Result<Key> {
    dry_run(input.dry_run)?;
    Ok(Key {
        kms_key_id: key_of(&of(&ctx.tx, &ctx.scope)),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyKey {
    kms_key_id: String,
    dry_run: Option<bool>,
}

pub fn modify_key(ctx: &mut Ctx, input: ModifyKey) -> Result<Key> {
    dry_run(input.dry_run)?;
    let mut settings = of(&ctx.tx, &ctx.scope);
    settings.ebs_kms_key = Some(input.kms_key_id);
    let answer = Key {
        kms_key_id: key_of(&settings),
    };
    ctx.tx.put(settings);
    Ok(answer)
}

pub fn reset_key(ctx: &mut Ctx, input: Request) -> Result<Key> {
    dry_run(input.dry_run)?;
    let mut settings = of(&ctx.tx, &ctx.scope);
    settings.ebs_kms_key = None;
    let answer = Key {
        kms_key_id: key_of(&settings),
    };
    ctx.tx.put(settings);
    Ok(answer)
}
