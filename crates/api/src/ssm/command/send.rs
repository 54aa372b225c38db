//! A command is sent.

use super::super::Result;
use super::document::{self, Parameters};
use super::error;
use super::instance::managed;
use super::shape::{self, CommandShape};
use crate::Ctx;
use jiff::SignedDuration;
use model::InstanceId;
use model::instance::Instance;
use model::ssm::{Command, Invocation, InvocationStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use store::Record;

/// How long AWS keeps what became of a command.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendCommand {
    document_name: String,
    document_version: Option<String>,
    #[serde(default)]
    instance_ids: Vec<String>,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    parameters: Parameters,
    timeout_seconds: Option<u32>,
    comment: Option<String>,
    max_concurrency: Option<String>,
    max_errors: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sent {
    command: CommandShape,
}

pub fn send(ctx: &mut Ctx, input: SendCommand) -> Result<Sent> {
    document::check_name(ctx, &input.document_name, input.document_version.as_deref())?;
    let script = document::script(&input.parameters)?;
    let deliver_secs = input.timeout_seconds.unwrap_or(3600);
    if !(30..=2_592_000).contains(&deliver_secs) {
        return Err(super::super::validation(format!(
            "1 validation error detected: Value '{deliver_secs}' at 'timeoutSeconds' failed to satisfy constraint: Member must have value between 30 and 2592000"
        )));
    }
    let instances = match (input.instance_ids.is_empty(), input.targets.is_empty()) {
        (false, true) => named(ctx, &input.instance_ids)?,
        (true, false) => chosen(ctx, &input.targets)?,
        _ => {
            let message = "Give either InstanceIds or Targets.";
            return Err(super::super::validation(message));
        }
    };
    let max_concurrency = input.max_concurrency.unwrap_or_else(|| "50".into());
    let max_errors = input.max_errors.unwrap_or_else(|| "0".into());
    let at_once = share(&max_concurrency, instances.len(), "MaxConcurrency")?;
    let tolerated = share(&max_errors, instances.len(), "MaxErrors")?;
    if at_once == 0 && max_concurrency.trim_end_matches('%') == "0" {
        return Err(error("InvalidParameters", "MaxConcurrency is at least 1."));
    }
    let command = Command {
        id: uuid::Uuid::new_v4().to_string(),
        scope: ctx.scope.clone(),
        document: document::NAME.into(),
        document_version: input.document_version.unwrap_or_else(|| "$DEFAULT".into()),
        comment: input.comment.unwrap_or_default(),
        parameters: input.parameters,
        instance_ids: input.instance_ids,
        targets: input
            .targets
            .into_iter()
            .map(|t| (t.key, t.values))
            .collect(),
        max_concurrency,
        max_errors,
        at_once: at_once.max(1),
        tolerated,
        deliver_secs,
        script: script.text,
        working_directory: script.working_directory,
        execution_secs: script.execution_secs,
        cancelled: false,
        requested: ctx.now,
    };
    forget_old(ctx);
    for instance in instances {
        ctx.tx.put(Invocation {
            command: command.id.clone(),
            instance,
            scope: ctx.scope.clone(),
            cancelled: false,
            status: InvocationStatus::Pending,
            started: None,
            ended: None,
            exit_code: None,
            stdout: String::new(),
            stderr: String::new(),
        });
    }
    ctx.tx.put(command.clone());
    Ok(Sent {
        command: shape::command(ctx, &command),
    })
}

fn named(ctx: &Ctx, ids: &[String]) -> Result<Vec<InstanceId>> {
    if ids.len() > 50 {
        let message = "InstanceIds has at most 50 members; use Targets for more.";
        return Err(super::super::validation(message));
    }
    let mut found = BTreeSet::new();
    for id in ids {
        let parsed = id.parse::<InstanceId>().ok();
        let instance = parsed.and_then(|id| ctx.tx.instances.get(&id));
        match instance.filter(|i| i.scope == ctx.scope && managed(i)) {
            Some(instance) => found.insert(instance.id.clone()),
            None => {
                let account = &ctx.scope.account;
                let message =
                    format!("Instances [[{id}]] not in a valid state for account {account}");
                return Err(error("InvalidInstanceId", message));
            }
        };
    }
    Ok(found.into_iter().collect())
}

/// The managed instances that all targets mean.
fn chosen(ctx: &Ctx, targets: &[Target]) -> Result<Vec<InstanceId>> {
    if targets.len() > 5 {
        return Err(super::super::validation("Targets has at most 5 members."));
    }
    type Check<'a> = Box<dyn Fn(&Instance) -> bool + 'a>;
    let mut checks: Vec<Check<'_>> = Vec::new();
    for target in targets {
        let values = &target.values;
        let key = target.key.as_str();
        if let Some(tag) = key.strip_prefix("tag:") {
            checks.push(Box::new(move |i| {
                i.tags.get(tag).is_some_and(|v| values.contains(v))
            }));
        } else if key == "tag-key" {
            checks.push(Box::new(move |i| {
                values.iter().any(|v| i.tags.contains_key(v))
            }));
        } else if key.eq_ignore_ascii_case("instanceids") {
            let all = |v: &String| v == "*";
            checks.push(Box::new(move |i| {
                values.iter().any(|v| all(v) || *v == *i.id.as_str())
            }));
        } else {
            let message = format!(
                "Targets by {key} are not supported by this cloud: use tag:NAME, tag-key or InstanceIds."
            );
            return Err(error("InvalidTarget", message));
        }
    }
    let instances = ctx.tx.instances.of(&ctx.scope);
    let meant = instances.filter(|i| managed(i) && checks.iter().all(|check| check(i)));
    Ok(meant.map(|i| i.id.clone()).collect())
}

/// A number, or a share of all in percent.
fn share(text: &str, all: usize, at: &str) -> Result<usize> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    let number = digits.parse::<usize>().ok();
    match (number, text.ends_with('%')) {
        (Some(number), false) if digits.len() <= 7 => Ok(number),
        (Some(number @ 0..=100), true) => Ok(all * number / 100),
        _ => Err(error(
            "InvalidParameters",
            format!("{at} is a number or a percentage, not {text}."),
        )),
    }
}

fn forget_old(ctx: &mut Ctx) {
    let old = |c: &&std::sync::Arc<Command>| ctx.now.duration_since(c.requested) > KEPT;
    let old: Vec<String> = ctx
        .tx
        .commands
        .values()
        .filter(old)
        .map(|c| c.id.clone())
        .collect();
    for id in old {
        let keys: Vec<_> = ctx
            .tx
            .invocations
            .of(id.as_str())
            .map(|i| i.key())
            .collect();
        for key in keys {
            ctx.tx.remove::<Invocation>(&key);
        }
        ctx.tx.remove::<Command>(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares() {
        let check = |text: &str, expected: Option<usize>| {
            assert_eq!(share(text, 10, "x").ok(), expected, "{text}");
        };
        check("0", Some(0));
        check("7", Some(7));
        check("50%", Some(5));
        check("15%", Some(1));
        check("101%", None);
        check("-1", None);
        check("", None);
        check("x", None);
    }
}
