//! A command is called off, as a whole or in some instances.

use super::super::Result;
use super::{error, find};
use crate::Ctx;
use model::ssm::{Command, Invocation};
use serde::{Deserialize, Serialize};
use store::Record;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelCommand {
    command_id: String,
    #[serde(default)]
    instance_ids: Vec<String>,
}

#[derive(Serialize)]
pub struct Done {}

/// What has ended stays as it ended.
pub fn cancel(ctx: &mut Ctx, input: CancelCommand) -> Result<Done> {
    let command = find(ctx, &input.command_id)?;
    let all: Vec<_> = ctx
        .tx
        .invocations
        .of(command.id.as_str())
        .cloned()
        .collect();
    let sent = |id: &&String| all.iter().any(|i| i.instance.as_str() == id.as_str());
    if let Some(other) = input.instance_ids.iter().find(|id| !sent(id)) {
        let message = format!("The command was not sent to {other}.");
        return Err(error("InvalidInstanceId", message));
    }
    for invocation in all {
        let meant = input.instance_ids.is_empty()
            || input
                .instance_ids
                .iter()
                .any(|id| id == invocation.instance.as_str());
        if meant && !invocation.status.ended() {
            ctx.tx
                .modify::<Invocation>(&invocation.key(), |i| i.cancelled = true);
        }
    }
    ctx.tx.modify::<Command>(&command.id, |c| {
        c.cancelled |= input.instance_ids.is_empty()
    });
    Ok(Done {})
}
