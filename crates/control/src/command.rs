//! Run Command: begins what was sent, in as many instances at once as was asked, and writes down
//! how it ended.
//!
//! What runs when the control plane ends is not taken over by the next, which finds nothing of it
//! and says that it failed.

use crate::World;
use crate::clock::earliest;
use host::command::{CommandEnd, CommandSpec, CommandState, Ending};
use jiff::{SignedDuration, Timestamp};
use model::instance::{Instance, InstanceState};
use model::ssm::{Command, Invocation, InvocationStatus as Status};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use store::{Record, State};

/// What is to be done about an invocation.
#[derive(Debug, PartialEq)]
enum Step {
    Begin,
    /// It shall end, and is seen to end later.
    Kill,
    Ended(CommandEnd),
    /// It has ended without having run, or without anybody knowing how.
    Over(Status, &'static str),
}

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let mut again = None;
    let open = |i: &&std::sync::Arc<Invocation>| !i.status.ended();
    state.invocations.values().find(open)?;
    let seen = world.host.commands();
    for command in state.commands.values() {
        let invocations: Vec<&Invocation> = state
            .invocations
            .of(command.id.as_str())
            .map(AsRef::as_ref)
            .collect();
        if invocations.iter().any(|i| i.status == Status::Pending) {
            let late = SignedDuration::from_secs(command.deliver_secs.into());
            again = earliest(again, Some(command.requested + late));
        }
        for (invocation, step) in plan(&state, command, &invocations, &seen, now) {
            take(world, command, invocation, step, now);
        }
    }
    again
}

/// By which the host knows it.
fn key(invocation: &Invocation) -> String {
    format!("{}/{}", invocation.command, invocation.instance)
}

fn plan<'a>(
    state: &State,
    command: &Command,
    invocations: &[&'a Invocation],
    seen: &BTreeMap<String, CommandState>,
    now: Timestamp,
) -> Vec<(&'a Invocation, Step)> {
    let bad = |status: Status| {
        matches!(
            status,
            Status::Failed | Status::DeliveryTimedOut | Status::ExecutionTimedOut
        )
    };
    let mut failed = invocations.iter().filter(|i| bad(i.status)).count();
    let mut busy = 0;
    let mut steps = Vec::new();
    for invocation in invocations {
        if invocation.status != Status::InProgress {
            continue;
        }
        let step = match seen.get(&key(invocation)) {
            Some(CommandState::Ended(end)) => {
                failed += usize::from(bad(status(end)));
                Step::Ended(end.clone())
            }
            Some(CommandState::Running) => {
                busy += 1;
                match invocation.cancelled {
                    true => Step::Kill,
                    false => continue,
                }
            }
            None => {
                failed += 1;
                Step::Over(
                    Status::Failed,
                    "The control plane was started anew while this ran.",
                )
            }
        };
        steps.push((*invocation, step));
    }
    let late = command.requested + SignedDuration::from_secs(command.deliver_secs.into());
    for invocation in invocations {
        if invocation.status != Status::Pending {
            continue;
        }
        let instance = state.instances.get(&invocation.instance);
        let gone = instance.is_none_or(|i| {
            matches!(
                i.state,
                InstanceState::ShuttingDown | InstanceState::Terminated
            )
        });
        let step = if invocation.cancelled {
            Step::Over(Status::Cancelled, "")
        } else if failed > command.tolerated {
            Step::Over(Status::Terminated, "")
        } else if gone {
            Step::Over(Status::Undeliverable, "")
        } else if now >= late {
            failed += 1;
            Step::Over(Status::DeliveryTimedOut, "")
        } else if busy < command.at_once && instance.is_some_and(|i| listens(i)) {
            busy += 1;
            Step::Begin
        } else {
            continue;
        };
        steps.push((*invocation, step));
    }
    steps
}

/// Whether a command would reach it.
fn listens(instance: &Instance) -> bool {
    instance.state == InstanceState::Running && instance.ready.is_some()
}

fn status(end: &CommandEnd) -> Status {
    match end.how {
        Ending::Exited(0) => Status::Success,
        Ending::Exited(_) => Status::Failed,
        Ending::TimedOut => Status::ExecutionTimedOut,
        Ending::Cancelled => Status::Cancelled,
    }
}

fn take(world: &World, command: &Command, invocation: &Invocation, step: Step, now: Timestamp) {
    let key = key(invocation);
    let write = |change: &dyn Fn(&mut Invocation)| {
        world
            .store
            .update(|tx| tx.modify::<Invocation>(&invocation.key(), |i| change(i)));
    };
    match step {
        Step::Kill => world.host.cancel_command(&key),
        Step::Over(status, why) => write(&|i| {
            i.status = status;
            i.ended = Some(now);
            i.stderr = why.to_owned();
        }),
        Step::Ended(end) => {
            write(&|i| {
                i.status = status(&end);
                i.ended = Some(end.at);
                i.exit_code = match end.how {
                    Ending::Exited(code) => Some(code),
                    Ending::TimedOut | Ending::Cancelled => None,
                };
                i.stdout.clone_from(&end.stdout);
                i.stderr.clone_from(&end.stderr);
            });
            world.host.forget_command(&key);
        }
        Step::Begin => {
            let begun = world.host.run_command(&spec(command, invocation, key));
            write(&|i| {
                i.started = Some(now);
                match &begun {
                    Ok(()) => i.status = Status::InProgress,
                    Err(error) => {
                        i.status = Status::Failed;
                        i.ended = Some(now);
                        i.stderr = format!("failed to {error}");
                    }
                }
            });
        }
    }
}

fn spec(command: &Command, invocation: &Invocation, key: String) -> CommandSpec {
    CommandSpec {
        key,
        instance: invocation.instance.clone(),
        script: command.script.clone(),
        // Where AWS's agent has it.
        directory: Path::new("/var/lib/amazon/ssm")
            .join(invocation.instance.as_str())
            .join("document/orchestration")
            .join(&command.id)
            .join("awsrunShellScript/0.awsrunShellScript"),
        working_directory: command.working_directory.clone(),
        timeout: Duration::from_secs(command.execution_secs.into()),
    }
}
