//! Instances: launches what should run, stops what should not, and records what was seen.

mod dhcp;

use crate::World;
use crate::clock::earliest;
use crate::index::interfaces;
use host::instance::{Cpu, Exit, InstanceSpec, ObservedInstance, RunState};
use jiff::{SignedDuration, Timestamp};
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState, Volume};
use model::vpc::{Address, NetworkInterface};
use model::{InstanceId, NetworkInterfaceId};
use std::collections::BTreeMap;
use store::{Snapshot, State, Tx};

/// Terminated instances stay describable for about an hour.
const DESCRIBABLE_SECS: u32 = 3600;

/// A start takes well under a second, and some on a machine with much to do. Never scaled.
const STUCK: SignedDuration = SignedDuration::from_mins(5);

/// After the host could not say what runs.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// What to do for one instance, worked out from its record and what the host saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Launch,
    Stop {
        force: bool,
    },
    Reboot,
    /// Removes its traces from the host.
    Clear,
    Become {
        state: InstanceState,
        reason: Option<(&'static str, String)>,
        desired: Option<DesiredInstance>,
    },
    Ready(Timestamp),
    /// Its instance status check passes or fails.
    Check {
        reachable: bool,
    },
    UserDataFailed(String),
    /// The record has been terminated for long enough.
    Forget,
}

/// `attached`: its interfaces stand in the host's network.
pub fn plan(
    record: &Instance,
    seen: Option<&ObservedInstance>,
    attached: bool,
    now: Timestamp,
    forget_after: SignedDuration,
) -> Vec<Step> {
    use InstanceState as S;
    let become_ = |state, reason| Step::Become {
        state,
        reason,
        desired: None,
    };
    let run = seen.map(|o| o.state);
    // What is seen of an earlier one is how it ended before the last start.
    let this_run = seen.is_some_and(|o| o.run == record.run);
    // What runs in an instance outlives its host process that was killed.
    let orphaned = matches!(run, Some(RunState::Stopped(Exit::Crashed(-1))));
    let orphans = orphaned.then_some(Step::Stop { force: true });
    let mut steps = Vec::new();
    match (record.desired, record.state) {
        (_, S::Terminated) => {
            if seen.is_some() {
                steps.push(Step::Clear);
            } else if now >= record.state_since + forget_after {
                steps.push(Step::Forget);
            }
        }
        (DesiredInstance::Terminated, _) => match run {
            Some(RunState::Starting | RunState::Running) => steps.push(Step::Stop { force: false }),
            Some(RunState::Stopping) => {}
            Some(RunState::Stopped(_)) => steps.push(Step::Clear),
            None => steps.push(become_(
                S::Terminated,
                record.state_reason.is_none().then(user_shutdown),
            )),
        },
        (DesiredInstance::Stopped { force }, state) => match run {
            Some(RunState::Starting | RunState::Running) => steps.push(Step::Stop { force }),
            // A forced stop may follow a gentle one that hangs.
            Some(RunState::Stopping) if force => steps.push(Step::Stop { force }),
            Some(RunState::Stopping) => {}
            Some(RunState::Stopped(_)) | None if state != S::Stopped => {
                steps.extend(orphans);
                steps.push(become_(S::Stopped, None));
            }
            Some(RunState::Stopped(_)) | None => {}
        },
        (DesiredInstance::Running, S::Pending) => match run {
            None => steps.extend(attached.then_some(Step::Launch)),
            Some(RunState::Stopped(exit)) if this_run => {
                let why = seen
                    .and_then(|o| o.failure.clone())
                    .unwrap_or_else(|| format!("{exit:?}"));
                steps.push(failed_start(record, &why));
            }
            Some(RunState::Stopped(_)) => steps.extend(attached.then_some(Step::Launch)),
            Some(RunState::Running) if this_run => steps.push(become_(S::Running, None)),
            // Whatever makes its namespaces and mounts hangs; another try may not.
            Some(RunState::Starting)
                if this_run && seen.is_some_and(|o| now >= o.started + STUCK) =>
            {
                steps.push(failed_start(record, "it did not start"));
            }
            Some(RunState::Starting) if this_run => {}
            // The run before goes on although it was taken for stopped.
            Some(RunState::Starting | RunState::Running) => {
                steps.push(Step::Stop { force: false });
            }
            Some(RunState::Stopping) => {}
        },
        (DesiredInstance::Running, _) => match run {
            Some(RunState::Stopped(Exit::PowerOff)) => {
                let terminate = record.shutdown_behavior == "terminate";
                steps.push(Step::Become {
                    state: if terminate {
                        S::ShuttingDown
                    } else {
                        S::Stopped
                    },
                    reason: Some((
                        "Client.InstanceInitiatedShutdown",
                        "Client.InstanceInitiatedShutdown: Instance initiated shutdown".into(),
                    )),
                    desired: Some(if terminate {
                        DesiredInstance::Terminated
                    } else {
                        DesiredInstance::Stopped { force: false }
                    }),
                });
            }
            // Its host process vanished (the machine was restarted): as AWS's
            // simplified automatic recovery, it starts again with the same root volume
            // and stays `running` meanwhile. One that vanishes before it has booted again
            // would only repeat that.
            None => steps.extend(attached.then_some(Step::Launch)),
            Some(RunState::Stopped(Exit::Crashed(-1)))
                if record.ready.is_some() && record.auto_recovery != "disabled" =>
            {
                steps.extend(attached.then_some(Step::Launch))
            }
            Some(RunState::Stopped(exit)) => {
                let why = seen
                    .and_then(|o| o.failure.clone())
                    .unwrap_or_else(|| format!("{exit:?}"));
                steps.extend(orphans);
                steps.push(Step::Become {
                    state: S::Stopped,
                    reason: Some((
                        "Server.InternalError",
                        format!("Server.InternalError: the instance ended unasked ({why})"),
                    )),
                    desired: Some(DesiredInstance::Stopped { force: false }),
                });
            }
            Some(RunState::Running) if record.reboots_wanted > record.reboots_done => {
                steps.push(Step::Reboot)
            }
            _ => {}
        },
    }
    if let Some(ready) = seen
        .filter(|o| o.ready && this_run)
        .and_then(|o| o.ready_at)
        && record.ready.is_none()
        && record.state == S::Running
    {
        steps.push(Step::Ready(ready));
    }
    if let Some(seen) = seen.filter(|_| this_run && record.state == S::Running) {
        // Until it has booted it is initializing, whatever it answers.
        match (seen.reachable, record.unreachable) {
            (Some(false), None) if record.ready.is_some() => {
                steps.push(Step::Check { reachable: false });
            }
            (Some(true), Some(_)) => steps.push(Step::Check { reachable: true }),
            _ => {}
        }
        if let Some(why) = &seen.user_data_failure
            && record.user_data_failure.as_ref() != Some(why)
        {
            steps.push(Step::UserDataFailed(why.clone()));
        }
    }
    steps
}

/// As AWS: what never ran is terminated. One that was started again keeps its root volume.
fn failed_start(record: &Instance, why: &str) -> Step {
    let (state, desired) = match record.run {
        0 => (InstanceState::ShuttingDown, DesiredInstance::Terminated),
        _ => (
            InstanceState::Stopped,
            DesiredInstance::Stopped { force: false },
        ),
    };
    Step::Become {
        state,
        reason: Some(internal_error(why)),
        desired: Some(desired),
    }
}

fn internal_error(why: &str) -> (&'static str, String) {
    (
        "Server.InternalError",
        format!("Server.InternalError: Internal error on launch ({why})"),
    )
}

fn user_shutdown() -> (&'static str, String) {
    (
        "Client.UserInitiatedShutdown",
        "Client.UserInitiatedShutdown: User initiated shutdown".into(),
    )
}

/// Most launches of one pass, some half a second: of hundreds at once the first are seen to run, and
/// alarms, health and the cloud's end have their turn, while others still start.
const LAUNCHES: usize = 32;

/// Runs the plan of every instance; says when to look again.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let seen = match world.host.instances() {
        Ok(seen) => seen,
        // Taken for an empty list, it would launch what runs a second time.
        Err(error) => {
            tracing::warn!(%error, "failed to see the instances");
            return Some(now + LOOK_AGAIN);
        }
    };
    let seen: BTreeMap<InstanceId, ObservedInstance> =
        seen.into_iter().map(|o| (o.id.clone(), o)).collect();
    let forget_after = world.settings.speed.wait(DESCRIBABLE_SECS);
    let mut again = None;
    let mut launches = 0;
    for record in state.instances.values() {
        let own = interfaces(&state, &record.id);
        let attached = !own.is_empty()
            && own
                .iter()
                .all(|i| world.applied.is_attached(&record.vpc, &i.id, &record.id));
        // A run that ended with the cloud is as one that vanished with its machine.
        let ended = |o: &&ObservedInstance| {
            matches!(o.state, RunState::Stopped(_)) && world.resume.contains(&record.id)
        };
        let seen = seen.get(&record.id).filter(|o| !ended(o));
        for step in plan(record, seen, attached, now, forget_after) {
            if step == Step::Launch {
                launches += 1;
                if launches > LAUNCHES {
                    again = Some(now);
                    continue;
                }
            }
            apply(world, &state, &own, record, step, now);
        }
        if record.state == InstanceState::Terminated {
            again = earliest(again, Some(record.state_since + forget_after));
        }
    }
    // What no record wants is removed, on start as well.
    for id in seen.keys().filter(|id| !state.instances.contains_key(*id)) {
        if let Err(error) = world.host.terminate(id) {
            tracing::warn!(%id, %error, "failed to remove an instance that no record wants");
        }
    }
    again
}

fn apply(
    world: &mut World,
    state: &Snapshot,
    interfaces: &[&NetworkInterface],
    record: &Instance,
    step: Step,
    now: Timestamp,
) {
    let id = &record.id;
    if step == Step::Launch {
        world.resume.remove(id);
    }
    let done = match &step {
        Step::Launch => match spec(world, state, interfaces, record) {
            Ok(spec) => world.host.launch(&spec).map_err(|e| e.to_string()),
            Err(why) => Err(why),
        },
        Step::Stop { force } => world.host.stop(id, *force).map_err(|e| e.to_string()),
        Step::Reboot => world.host.reboot(id).map_err(|e| e.to_string()),
        Step::Clear => world.host.terminate(id).map_err(|e| e.to_string()),
        Step::Become { .. }
        | Step::Ready(_)
        | Step::Check { .. }
        | Step::UserDataFailed(_)
        | Step::Forget => Ok(()),
    };
    if let Err(why) = &done {
        tracing::warn!(%id, %why, ?step, "failed to act on an instance");
    }
    world.store.update(|tx| match (step, done) {
        (Step::Launch, Err(why)) => {
            // Nothing of a first run is on the host, so there is nothing to shut down.
            let (state, desired) = match (record.run, record.state) {
                (0, InstanceState::Pending) => {
                    (InstanceState::Terminated, DesiredInstance::Terminated)
                }
                _ => (
                    InstanceState::Stopped,
                    DesiredInstance::Stopped { force: false },
                ),
            };
            let reason = Some(internal_error(&why));
            become_state(tx, id, state, reason, Some(desired), now);
        }
        (Step::Launch, Ok(())) if record.state == InstanceState::Running => {
            tx.event(
                now,
                Severity::Warning,
                id,
                "instance-recovered",
                "its host process was gone; it was started again with its root volume",
            );
            tx.modify::<Instance>(id, |i| {
                i.state_since = now;
                i.ready = None;
                i.unreachable = None;
            });
        }
        (Step::Reboot, Ok(())) => {
            tx.modify::<Instance>(id, |i| i.reboots_done = i.reboots_wanted);
            tx.event(
                now,
                Severity::Info,
                id,
                "instance-reboot",
                "rebooting as asked",
            );
        }
        (
            Step::Become {
                state,
                reason,
                desired,
            },
            _,
        ) => become_state(tx, id, state, reason, desired, now),
        (Step::Ready(at), _) => {
            tx.modify::<Instance>(id, |i| i.ready = Some(at));
            let boot = (at - record.launched)
                .total(jiff::Unit::Second)
                .unwrap_or(0.0);
            tx.event(
                now,
                Severity::Info,
                id,
                "instance-ready",
                format!("its init has booted, {boot:.1} s after launch"),
            );
        }
        (Step::Check { reachable }, _) => {
            tx.modify::<Instance>(id, |i| i.unreachable = (!reachable).then_some(now));
            let (severity, message) = match reachable {
                true => (Severity::Info, "its instance status check passes again"),
                false => (
                    Severity::Warning,
                    "its instance status check fails: its interface does not answer",
                ),
            };
            tx.event(now, severity, id, "status-check", message);
        }
        (Step::UserDataFailed(why), _) => {
            let message = format!("its user data failed: {why}; `nines console {id}` shows more");
            tx.event(now, Severity::Warning, id, "user-data", message);
            tx.modify::<Instance>(id, |i| i.user_data_failure = Some(why));
        }
        (Step::Forget, _) => {
            tx.remove::<Instance>(id);
        }
        _ => {}
    });
}

fn become_state(
    tx: &mut Tx,
    id: &InstanceId,
    state: InstanceState,
    reason: Option<(&'static str, String)>,
    desired: Option<DesiredInstance>,
    now: Timestamp,
) {
    let message = match &reason {
        Some((_, text)) => format!("is {} ({text})", state.name()),
        None => format!("is {}", state.name()),
    };
    let severity = if reason
        .as_ref()
        .is_some_and(|(code, _)| code.starts_with("Server."))
    {
        Severity::Error
    } else {
        Severity::Info
    };
    tx.event(now, severity, id, "instance-state", message);
    tx.modify::<Instance>(id, |i| {
        i.state = state;
        i.state_since = now;
        if let Some((code, text)) = reason {
            i.state_reason = Some((code.to_owned(), text));
        }
        if let Some(desired) = desired {
            i.desired = desired;
        }
        if state != InstanceState::Running {
            i.ready = None;
            i.unreachable = None;
        }
    });
    match state {
        InstanceState::Terminated => release(tx, id),
        InstanceState::Stopped => drop_public_address(tx, id),
        _ => {}
    }
}

/// A terminated instance lets go of its interfaces, addresses and volumes.
fn release(tx: &mut Tx, id: &InstanceId) {
    let interfaces: Vec<NetworkInterface> = tx
        .network_interfaces
        .of(id)
        .map(|i| (**i).clone())
        .collect();
    for mut interface in interfaces {
        let delete = interface
            .attachment
            .as_ref()
            .is_some_and(|a| a.delete_on_termination);
        if delete {
            disassociate(tx, &interface.id);
            tx.remove::<NetworkInterface>(&interface.id);
        } else {
            interface.attachment = None;
            interface.auto_public_ip = None;
            tx.put(interface);
        }
    }
    let volumes: Vec<Volume> = tx.volumes.of(id).map(|v| (**v).clone()).collect();
    for mut volume in volumes {
        if volume
            .attachment
            .as_ref()
            .is_some_and(|a| a.delete_on_termination)
        {
            tx.remove::<Volume>(&volume.id);
        } else {
            volume.attachment = None;
            tx.put(volume);
        }
    }
}

fn drop_public_address(tx: &mut Tx, id: &InstanceId) {
    let interfaces: Vec<NetworkInterface> = tx
        .network_interfaces
        .of(id)
        .filter(|i| i.auto_public_ip.is_some())
        .map(|i| (**i).clone())
        .collect();
    for mut interface in interfaces {
        interface.auto_public_ip = None;
        tx.put(interface);
    }
}

/// Elastic IPs of an interface that goes are free again, not released.
pub fn disassociate(tx: &mut Tx, interface: &NetworkInterfaceId) {
    let bound: Vec<Address> = tx.addresses.of(interface).map(|a| (**a).clone()).collect();
    for mut address in bound {
        address.association = None;
        tx.put(address);
    }
}

/// The private name that AWS gives an address (`ip-10-0-1-5`), and its domain.
pub fn private_name(address: std::net::Ipv4Addr, region: &str) -> (String, String) {
    let [a, b, c, d] = address.octets();
    let domain = if region == "us-east-1" {
        "ec2.internal".to_owned()
    } else {
        format!("{region}.compute.internal")
    };
    (format!("ip-{a}-{b}-{c}-{d}"), domain)
}

/// What an instance is told that it is called: its host name, and its domain. That is what the DHCP
/// options say, several with spaces between or none, while its name in DNS keeps the region's.
/// <https://github.com/kubernetes/cloud-provider-aws/issues/384>
pub fn own_name(
    state: &State,
    instance: &Instance,
    primary: &NetworkInterface,
) -> (String, String) {
    let (by_address, private) = private_name(primary.primary_ip(), &instance.scope.region);
    let host = match instance.private_dns.hostname_type.as_str() {
        "resource-name" => instance.id.to_string(),
        _ => by_address,
    };
    let vpc = state.vpcs.get(&instance.vpc);
    let options = vpc.and_then(|vpc| state.dhcp_options.get(&vpc.dhcp_options));
    (host, dhcp::search(options.map(AsRef::as_ref), &private))
}

fn spec(
    world: &World,
    state: &Snapshot,
    interfaces: &[&NetworkInterface],
    record: &Instance,
) -> Result<InstanceSpec, String> {
    let primary = interfaces.first().ok_or("it has no network interface")?;
    let vpc = state.vpcs.get(&record.vpc).ok_or("its VPC is gone")?;
    let kind = model::instance_type::find(&record.instance_type)
        .ok_or_else(|| format!("unknown instance type {}", record.instance_type))?;
    let built = world.settings.images.get();
    if built.is_empty() {
        return Err("no machine image is built; run `make images`".into());
    }
    let contents = record.contents.as_ref();
    let base = contents.map_or(&record.image, |c| &c.base);
    let recipe = model::image::backing(base, &built).recipe;
    let (hostname, search) = own_name(state, record, primary);
    let options = state.dhcp_options.get(&vpc.dhcp_options).map(AsRef::as_ref);
    Ok(InstanceSpec {
        id: record.id.clone(),
        run: record.run,
        image: world
            .settings
            .images_dir
            .join(&recipe)
            .join("current/rootfs"),
        layers: contents.map(|c| c.layers.clone()).unwrap_or_default(),
        uid_base: record.uid_base,
        hostname,
        default_user: model::image::stand_in_user(base, &recipe).map(str::to_owned),
        address: primary.primary_ip(),
        name_servers: dhcp::name_servers(vpc.resolver().into(), options),
        domain: search.split(' ').next().unwrap_or_default().to_owned(),
        search,
        cpu: Cpu {
            vcpus: kind.vcpus,
            millicores_per_vcpu: world.settings.millicores_per_vcpu,
        },
        memory_bytes: u64::from(kind.memory_mib) * 1024 * 1024,
        pids_max: 4096,
        root_bytes: state
            .volumes
            .get(&record.root_volume)
            .filter(|_| world.settings.sized_volumes)
            .map(|volume| u64::from(volume.size) << 30),
        trust: world.settings.trust.clone(),
        binds: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
