//! Spot Instances that are taken back: a recommendation to replace them, a notice, and the end.
//!
//! There is no market, so only `nines break spot` does it. Both are told in the instance's metadata
//! and as events. Source: `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html`

use crate::World;
use crate::clock::{Speed, earliest};
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use model::event::Severity;
use model::instance::{DesiredInstance, Instance, InstanceState, Spot};
use store::Tx;

/// Between the notice and the end.
const NOTICE_SECS: u32 = 120;

/// What an interruption does to the instance.
pub fn action(spot: &Spot) -> &'static str {
    if spot.stops { "stop" } else { "terminate" }
}

/// Recommends to rebalance, where that has not been done, and gives notice; says what it told.
pub fn interrupt(
    tx: &mut Tx,
    id: &InstanceId,
    speed: Speed,
    now: Timestamp,
) -> Result<String, String> {
    let instance = interruptible(tx, id)?;
    if let Some(ends) = instance.spot.as_ref().and_then(|s| s.ends) {
        return Err(format!("its notice was given already, it ends at {ends}"));
    }
    if instance
        .spot
        .as_ref()
        .is_some_and(|s| s.rebalance.is_none())
    {
        recommend(tx, id, now)?;
    }
    let ends = now + notice(tx, &instance, speed);
    let mut action_name = "terminate";
    tx.modify::<Instance>(id, |i| {
        if let Some(spot) = &mut i.spot {
            spot.ends = Some(ends);
            action_name = action(spot);
        }
    });
    let told = format!(
        "EC2 Spot Instance Interruption Warning: {action_name} at {}",
        ends.strftime("%Y-%m-%dT%H:%M:%SZ")
    );
    tx.event(now, Severity::Warning, id, "spot-interruption", &*told);
    Ok(told)
}

/// Says that the instance is at a higher risk of being interrupted, and no more.
pub fn recommend(tx: &mut Tx, id: &InstanceId, now: Timestamp) -> Result<String, String> {
    interruptible(tx, id)?;
    tx.modify::<Instance>(id, |i| {
        if let Some(spot) = &mut i.spot {
            spot.rebalance = spot.rebalance.or(Some(now));
        }
    });
    let told = "EC2 Instance Rebalance Recommendation".to_owned();
    tx.event(
        now,
        Severity::Warning,
        id,
        "rebalance-recommendation",
        &*told,
    );
    Ok(told)
}

fn interruptible(tx: &Tx, id: &InstanceId) -> Result<Instance, String> {
    let instance = tx.get::<Instance>(id).ok_or("there is no such instance")?;
    if instance.spot.is_none() {
        return Err("it is no Spot Instance but on demand (`instance` kills one)".into());
    }
    match instance.state {
        InstanceState::Pending | InstanceState::Running => Ok(instance.clone()),
        state => Err(format!("it is {}", state.name())),
    }
}

/// Two minutes, shrunk by `speed` as far as a successor has the time to boot in.
fn notice(tx: &Tx, instance: &Instance, speed: Speed) -> SignedDuration {
    let init = instance
        .ready
        .map(|at| at.duration_since(instance.launched));
    let mut groups = tx.auto_scaling_groups.values();
    let group = groups.find(|g| g.member(&instance.id).is_some());
    let application = match group {
        Some(group) if !group.target_groups.is_empty() => {
            group.measured_boot_ms.map(SignedDuration::from_millis)
        }
        _ => Some(SignedDuration::ZERO),
    };
    let boot = init.zip(application).map(|(a, b)| a.saturating_add(b));
    // Twice: a busy machine boots the next one slower.
    speed.wait_with_boot(NOTICE_SECS, boot.map(|b| b.saturating_mul(2)))
}

/// Ends what has had its notice.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let mut again = None;
    for instance in state.instances.values() {
        let Some(ends) = instance.spot.as_ref().and_then(|s| s.ends) else {
            continue;
        };
        let lives = matches!(
            instance.state,
            InstanceState::Pending | InstanceState::Running
        );
        match lives {
            true if now < ends => again = earliest(again, Some(ends)),
            true => world.store.update(|tx| end(tx, instance, now)),
            false => {}
        }
    }
    again
}

fn end(tx: &mut Tx, instance: &Instance, now: Timestamp) {
    let stops = instance.spot.as_ref().is_some_and(|s| s.stops);
    let (desired, state, code, done) = match stops {
        true => (
            DesiredInstance::Stopped { force: false },
            InstanceState::Stopping,
            "Server.SpotInstanceShutdown",
            "stopped",
        ),
        false => (
            DesiredInstance::Terminated,
            InstanceState::ShuttingDown,
            "Server.SpotInstanceTermination",
            "terminated",
        ),
    };
    let told = format!("its notice is over: it is {done}");
    tx.event(
        now,
        Severity::Warning,
        &instance.id,
        "spot-interruption",
        told,
    );
    tx.modify::<Instance>(&instance.id, |i| {
        i.desired = desired;
        i.state = state;
        i.state_since = now;
        i.state_reason = Some((code.into(), format!("{code}: A Spot Instance was {done}")));
        i.state_transition_reason = code.into();
        if let Some(spot) = i.spot.as_mut().filter(|_| stops) {
            (spot.rebalance, spot.ends) = (None, None);
        }
    });
}
