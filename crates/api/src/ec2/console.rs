//! What an instance wrote to its console, and its (absent) UEFI variables.

use super::error::{Result, dry_run, unsupported};
use super::resource::find;
use crate::Ctx;
use model::instance::Instance;
use serde::{Deserialize, Serialize};
use wire::{Blob, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetConsoleOutput {
    instance_id: String,
    latest: Option<bool>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleOutput {
    instance_id: String,
    timestamp: Timestamp,
    output: Blob,
}

/// Always the newest text; AWS answers older text unless `Latest` is asked for.
pub fn output(ctx: &mut Ctx, input: GetConsoleOutput) -> Result<ConsoleOutput> {
    let _ = input.latest;
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    dry_run(input.dry_run)?;
    Ok(ConsoleOutput {
        instance_id: instance.id.to_string(),
        timestamp: ctx.now.into(),
        output: Blob((ctx.cloud.console)(&instance.id).unwrap_or_default()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetInstanceUefiData {
    instance_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UefiData {
    instance_id: String,
    uefi_data: String,
}

/// Instances have no firmware, so there is no variable store to read.
pub fn uefi_data(ctx: &mut Ctx, input: GetInstanceUefiData) -> Result<UefiData> {
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    dry_run(input.dry_run)?;
    Err(unsupported(format!(
        "The instance '{}' has no UEFI variable store.",
        instance.id
    )))
}
