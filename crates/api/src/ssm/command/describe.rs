//! Commands listed, the newest first.

use super::super::Result;
use super::page;
use super::shape::{self, CommandShape};
use crate::Ctx;
use model::InstanceId;
use model::ssm::Command;
use serde::{Deserialize, Serialize};
use wire::ApiError;

#[derive(Deserialize)]
pub struct Filter {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCommands {
    command_id: Option<String>,
    instance_id: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Commands {
    commands: Vec<CommandShape>,
    next_token: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListCommands) -> Result<Commands> {
    let one = input.command_id.as_deref();
    let found = newest_first(ctx, one, input.instance_id.as_deref(), &input.filters)?;
    let (found, next_token) = page(found, input.max_results, input.next_token.as_deref())?;
    Ok(Commands {
        commands: found.into_iter().map(|(_, shape)| shape).collect(),
        next_token,
    })
}

/// The account's commands that a call asks for.
pub(super) fn newest_first(
    ctx: &Ctx,
    one: Option<&str>,
    instance: Option<&str>,
    filters: &[Filter],
) -> Result<Vec<(Command, CommandShape)>> {
    if let Some(id) = one {
        super::find(ctx, id)?;
    }
    let instance = instance.map(|id| id.parse::<InstanceId>().ok());
    let in_instance = |command: &Command| match &instance {
        None => true,
        Some(id) => {
            let mut all = ctx.tx.invocations.of(command.id.as_str());
            all.any(|i| Some(&i.instance) == id.as_ref())
        }
    };
    let mut found = Vec::new();
    for command in ctx.tx.commands.of(&ctx.scope) {
        let asked = one.is_none_or(|id| command.id == id) && in_instance(command);
        let shape = shape::command(ctx, command);
        if asked && passes(command, &shape, filters)? {
            found.push((Command::clone(command), shape));
        }
    }
    found.sort_by_key(|(command, _)| std::cmp::Reverse(command.requested));
    Ok(found)
}

fn passes(command: &Command, shape: &CommandShape, filters: &[Filter]) -> Result<bool> {
    let invalid = |message: String| ApiError::client("InvalidFilterKey", message);
    let mut all = true;
    for filter in filters {
        let time = || {
            let time = filter.value.parse::<model::Timestamp>();
            time.map_err(|_| invalid(format!("{} is no time.", filter.value)))
        };
        all &= match filter.key.as_str() {
            "InvokedAfter" => command.requested >= time()?,
            "InvokedBefore" => command.requested < time()?,
            "Status" => shape.status == filter.value,
            "DocumentName" => command.document == filter.value,
            other => {
                let known = "InvokedAfter, InvokedBefore, Status or DocumentName";
                return Err(invalid(format!("Filter by {known}, not by {other}.")));
            }
        };
    }
    Ok(all)
}
