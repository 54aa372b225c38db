//! Start, stop, reboot, terminate: what is wanted of an instance.
//!
//! The answer shows the transition as AWS does; the instance controller carries
//! it out and records the state that is reached.

use super::error::{Result, dry_run, error, missing, unsupported};
use super::instance_shape::StateShape;
use super::resource::find;
use super::{Done, capacity_reservation, done, public_address};
use crate::Ctx;
use ipnet::Ipv4Net;
use model::instance::LaunchError;
use model::instance::{DesiredInstance, Instance, InstanceState};
use model::vpc::NetworkInterface;
use model::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::Tx;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateChanges {
    instances_set: Vec<StateChange>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateChange {
    instance_id: String,
    current_state: StateShape,
    previous_state: StateShape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartInstances {
    #[serde(default)]
    instance_id: Vec<String>,
    additional_info: Option<String>,
    dry_run: Option<bool>,
}

pub fn start(ctx: &mut Ctx, input: StartInstances) -> Result<StateChanges> {
    super::error::refuse(&input.additional_info, "AdditionalInfo")?;
    let instances = all(ctx, &input.instance_id)?;
    for instance in &instances {
        if !matches!(
            instance.state,
            InstanceState::Stopped | InstanceState::Pending | InstanceState::Running
        ) {
            return Err(incorrect_state(instance, "started"));
        }
    }
    dry_run(input.dry_run)?;
    for instance in instances
        .iter()
        .filter(|i| i.state == InstanceState::Stopped)
    {
        assign_public_ip(&mut ctx.tx, ctx.cloud.public_pool, instance)?;
        capacity_reservation::start(&mut ctx.tx, instance, ctx.now)?;
    }
    Ok(change(ctx, &instances, become_pending))
}

fn become_pending(instance: &mut Instance, now: Timestamp) {
    if instance.state == InstanceState::Stopped {
        become_state(instance, InstanceState::Pending, now);
        instance.desired = DesiredInstance::Running;
        instance.launched = now;
        instance.run += 1;
        // Whatever a reboot was asked for, this boot does it as well.
        instance.reboots_done = instance.reboots_wanted;
        instance.state_reason = None;
        instance.state_transition_reason = String::new();
    }
}

/// `StartInstances` for an Auto Scaling group, whose warm pool holds stopped instances.
pub fn start_one(
    tx: &mut Tx,
    public_pool: Ipv4Net,
    id: &InstanceId,
    now: Timestamp,
) -> Result<(), LaunchError> {
    let Some(instance) = tx.get::<Instance>(id).cloned() else {
        return Err(LaunchError {
            code: "InvalidInstanceID.NotFound".into(),
            message: format!("The instance ID '{id}' does not exist"),
        });
    };
    let ready = assign_public_ip(tx, public_pool, &instance)
        .and_then(|()| capacity_reservation::start(tx, &instance, now));
    ready.map_err(|e| LaunchError {
        code: e.code.into_owned(),
        message: e.message,
    })?;
    tx.modify::<Instance>(id, |i| become_pending(i, now));
    Ok(())
}

/// A public address that was assigned at launch went with the stop; now there is another.
fn assign_public_ip(tx: &mut Tx, public_pool: Ipv4Net, instance: &Instance) -> Result<()> {
    if !instance.assign_public_ip {
        return Ok(());
    }
    let primary = tx.network_interfaces.of(&instance.id).find(|i| {
        let attachment = i.attachment.as_ref();
        attachment.is_some_and(|a| a.device_index == 0)
    });
    let Some(id) = primary.map(|p| p.id.clone()) else {
        return Ok(());
    };
    if tx.addresses.of(&id).next().is_none() {
        let ip = public_address::take(tx, public_pool)?;
        tx.modify::<NetworkInterface>(&id, |i| i.auto_public_ip = Some(ip));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StopInstances {
    #[serde(default)]
    instance_id: Vec<String>,
    hibernate: Option<bool>,
    force: Option<bool>,
    skip_os_shutdown: Option<bool>,
    dry_run: Option<bool>,
}

pub fn stop(ctx: &mut Ctx, input: StopInstances) -> Result<StateChanges> {
    if input.hibernate == Some(true) {
        return Err(unsupported("Hibernation is not supported by this cloud."));
    }
    let instances = all(ctx, &input.instance_id)?;
    for instance in &instances {
        if matches!(
            instance.state,
            InstanceState::ShuttingDown | InstanceState::Terminated
        ) {
            return Err(incorrect_state(instance, "stopped"));
        }
        if instance.disable_api_stop {
            return Err(not_permitted(instance, "stopped", "disableApiStop"));
        }
        if instance.spot.as_ref().is_some_and(|s| !s.persistent) {
            return Err(unsupported(format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
                instance.id
            )));
        }
    }
    dry_run(input.dry_run)?;
    // Without the operating system's shutdown there is nothing left to wait for.
    let force = input.force == Some(true) || input.skip_os_shutdown == Some(true);
    Ok(change(ctx, &instances, |instance, now| {
        if instance.state != InstanceState::Stopped {
            become_state(instance, InstanceState::Stopping, now);
            instance.desired = DesiredInstance::Stopped { force };
            user_initiated(instance, now);
        }
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RebootInstances {
    #[serde(default)]
    instance_id: Vec<String>,
    dry_run: Option<bool>,
}

pub fn reboot(ctx: &mut Ctx, input: RebootInstances) -> Result<Done> {
    let instances = all(ctx, &input.instance_id)?;
    for instance in &instances {
        if instance.state != InstanceState::Running && instance.state != InstanceState::Pending {
            return Err(incorrect_state(instance, "rebooted"));
        }
    }
    dry_run(input.dry_run)?;
    change(ctx, &instances, |instance, _| instance.reboots_wanted += 1);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminateInstances {
    #[serde(default)]
    instance_id: Vec<String>,
    force: Option<bool>,
    skip_os_shutdown: Option<bool>,
    dry_run: Option<bool>,
}

pub fn terminate(ctx: &mut Ctx, input: TerminateInstances) -> Result<StateChanges> {
    // Termination never waits for the instance longer than its stop takes; there is nothing to force.
    let _ = (input.force, input.skip_os_shutdown);
    let instances = all(ctx, &input.instance_id)?;
    for instance in &instances {
        let gone = instance.state == InstanceState::Terminated;
        if instance.disable_api_termination && !gone {
            return Err(not_permitted(
                instance,
                "terminated",
                "disableApiTermination",
            ));
        }
    }
    dry_run(input.dry_run)?;
    Ok(change(ctx, &instances, |instance, now| {
        if instance.state != InstanceState::Terminated {
            become_state(instance, InstanceState::ShuttingDown, now);
            instance.desired = DesiredInstance::Terminated;
            user_initiated(instance, now);
        }
    }))
}

/// The instances of a call, each of which must exist.
pub(super) fn all(ctx: &Ctx, ids: &[String]) -> Result<Vec<Arc<Instance>>> {
    if ids.is_empty() {
        return Err(missing("InstanceId"));
    }
    let mut found = Vec::with_capacity(ids.len());
    let mut unknown = Vec::new();
    for id in ids {
        match find::<Instance>(ctx, id) {
            Ok(instance) => found.push(instance),
            Err(e) if e.code == "InvalidInstanceID.NotFound" => unknown.push(id.as_str()),
            Err(e) => return Err(e),
        }
    }
    match unknown.as_slice() {
        [] => Ok(found),
        [_] => Err(find::<Instance>(ctx, unknown[0])
            .err()
            .unwrap_or_else(|| missing("InstanceId"))),
        _ => Err(error(
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", unknown.join(", ")),
        )),
    }
}

fn change(
    ctx: &mut Ctx,
    instances: &[Arc<Instance>],
    f: impl Fn(&mut Instance, Timestamp),
) -> StateChanges {
    let mut changes = Vec::with_capacity(instances.len());
    for before in instances {
        let mut after = Instance::clone(before);
        f(&mut after, ctx.now);
        changes.push(StateChange {
            instance_id: after.id.to_string(),
            current_state: after.state.into(),
            previous_state: before.state.into(),
        });
        if after != **before {
            ctx.tx.put(after);
        }
    }
    StateChanges {
        instances_set: changes,
    }
}

/// A state that is already there keeps the moment it began.
fn become_state(instance: &mut Instance, state: InstanceState, now: Timestamp) {
    if instance.state != state {
        instance.state = state;
        instance.state_since = now;
    }
}

fn user_initiated(instance: &mut Instance, now: Timestamp) {
    instance.state_reason = Some((
        "Client.UserInitiatedShutdown".to_owned(),
        "Client.UserInitiatedShutdown: User initiated shutdown".to_owned(),
    ));
    let when = now.strftime("%Y-%m-%d %H:%M:%S GMT");
    instance.state_transition_reason = format!("User initiated ({when})");
}

fn incorrect_state(instance: &Instance, what: &str) -> wire::ApiError {
    error(
        "IncorrectInstanceState",
        format!(
            "The instance '{}' is not in a state from which it can be {what}.",
            instance.id
        ),
    )
}

fn not_permitted(instance: &Instance, what: &str, attribute: &str) -> wire::ApiError {
    error(
        "OperationNotPermitted",
        format!(
            "The instance '{}' may not be {what}. Modify its '{attribute}' instance attribute and try again.",
            instance.id
        ),
    )
}
