//! What became of a command in its instances.

use super::super::Result;
use super::describe::{Filter, newest_first};
use super::{document, error, find, page};
use crate::Ctx;
use model::InstanceId;
use model::ssm::{Command, Invocation, InvocationStatus};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

const PLUGIN: &str = "aws:runShellScript";
/// Characters of output in a list.
const SHORT: usize = 2500;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCommandInvocation {
    command_id: String,
    instance_id: String,
    plugin_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InvocationShape {
    command_id: String,
    instance_id: String,
    comment: String,
    document_name: String,
    document_version: String,
    plugin_name: &'static str,
    response_code: i32,
    execution_start_date_time: String,
    execution_elapsed_time: String,
    execution_end_date_time: String,
    status: &'static str,
    status_details: &'static str,
    standard_output_content: String,
    standard_output_url: &'static str,
    standard_error_content: String,
    standard_error_url: &'static str,
}

pub fn get(ctx: &mut Ctx, input: GetCommandInvocation) -> Result<InvocationShape> {
    let command = find(ctx, &input.command_id)?;
    if let Some(other) = input.plugin_name.filter(|name| name != PLUGIN) {
        let message = format!("{} has no plugin {other}.", document::NAME);
        return Err(error("InvalidPluginName", message));
    }
    let instance = input.instance_id.parse::<InstanceId>().ok();
    let mut all = ctx.tx.invocations.of(command.id.as_str());
    let found = all.find(|i| Some(&i.instance) == instance.as_ref());
    let found = found.ok_or_else(|| {
        let message = "The command ID and managed node ID you specified did not match any invocations. Verify the command ID and the managed node ID and try again.";
        error("InvocationDoesNotExist", message)
    })?;
    let text = |at: Option<model::Timestamp>| {
        let shown = |at: model::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        at.map(shown).unwrap_or_default()
    };
    let elapsed = found.started.zip(found.ended);
    let elapsed = elapsed.map(|(from, to)| to.duration_since(from).as_secs_f64());
    Ok(InvocationShape {
        command_id: command.id.clone(),
        instance_id: found.instance.to_string(),
        comment: command.comment.clone(),
        document_name: command.document.clone(),
        document_version: command.document_version.clone(),
        plugin_name: PLUGIN,
        response_code: code(found),
        execution_start_date_time: text(found.started),
        execution_elapsed_time: elapsed.map(|s| format!("PT{s:.3}S")).unwrap_or_default(),
        execution_end_date_time: text(found.ended),
        status: found.status.name(),
        status_details: found.status.details(),
        standard_output_content: found.stdout.clone(),
        standard_output_url: "",
        standard_error_content: found.stderr.clone(),
        standard_error_url: "",
    })
}

/// As AWS's agent: −1 while nothing is known, and 137 of what was killed for its time.
fn code(invocation: &Invocation) -> i32 {
    match invocation.status {
        InvocationStatus::ExecutionTimedOut => 137,
        _ => invocation.exit_code.unwrap_or(-1),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCommandInvocations {
    command_id: Option<String>,
    instance_id: Option<String>,
    details: Option<bool>,
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Invocations {
    command_invocations: Vec<Listed>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    command_id: String,
    instance_id: String,
    comment: String,
    document_name: String,
    document_version: String,
    requested_date_time: Timestamp,
    status: &'static str,
    status_details: &'static str,
    standard_output_url: &'static str,
    standard_error_url: &'static str,
    command_plugins: Vec<Plugin>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Plugin {
    name: &'static str,
    status: &'static str,
    status_details: &'static str,
    response_code: i32,
    response_start_date_time: Option<Timestamp>,
    response_finish_date_time: Option<Timestamp>,
    output: String,
}

pub fn list(ctx: &mut Ctx, input: ListCommandInvocations) -> Result<Invocations> {
    let instance = input.instance_id.as_deref();
    let commands = newest_first(ctx, input.command_id.as_deref(), instance, &input.filters)?;
    let details = input.details == Some(true);
    let mut found = Vec::new();
    for (command, _) in &commands {
        let all = ctx.tx.invocations.of(command.id.as_str());
        let asked = all.filter(|i| instance.is_none_or(|id| id == i.instance.as_str()));
        found.extend(asked.map(|invocation| listed(command, invocation, details)));
    }
    let (command_invocations, next_token) =
        page(found, input.max_results, input.next_token.as_deref())?;
    Ok(Invocations {
        command_invocations,
        next_token,
    })
}

fn listed(command: &Command, invocation: &Invocation, details: bool) -> Listed {
    let plugin = || Plugin {
        name: PLUGIN,
        status: invocation.status.name(),
        status_details: invocation.status.details(),
        response_code: code(invocation),
        response_start_date_time: invocation.started.map(Into::into),
        response_finish_date_time: invocation.ended.map(Into::into),
        output: invocation.stdout.chars().take(SHORT).collect(),
    };
    Listed {
        command_id: command.id.clone(),
        instance_id: invocation.instance.to_string(),
        comment: command.comment.clone(),
        document_name: command.document.clone(),
        document_version: command.document_version.clone(),
        requested_date_time: command.requested.into(),
        status: invocation.status.name(),
        status_details: invocation.status.details(),
        standard_output_url: "",
        standard_error_url: "",
        command_plugins: details.then(plugin).into_iter().collect(),
    }
}
