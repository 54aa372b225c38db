//! Spot requests: what is open is launched for, what became of its instance is seen.
//!
//! What comes of a request is a pure function of it and its instance ([`next`]). A persistent
//! request is open again when its instance has ended, whoever ended it, as on AWS.

use crate::World;
use crate::clock::{Speed, earliest};
use jiff::Timestamp;
use model::SpotRequestId;
use model::event::Severity;
use model::instance::{Instance, InstanceState, LaunchError};
use model::spot_request::{SpotRequest, SpotRequestState as S};

/// What is over stays describable so long (assumption: AWS says "for some time").
const DESCRIBABLE_SECS: u32 = 3600;
/// Between launches that find no capacity.
const RETRY_SECS: u32 = 60;

const NO_CAPACITY: &str = "capacity-not-available";
const NOT_YET: &str = "not-scheduled-yet";

#[derive(Debug, PartialEq)]
enum Next {
    /// Nothing before that time, or before something else changes.
    Wait(Option<Timestamp>),
    Launch,
    Become(S, &'static str, &'static str),
    Forget,
}

fn next(request: &SpotRequest, instance: Option<&Instance>, now: Timestamp, speed: Speed) -> Next {
    let there = instance.filter(|i| {
        !matches!(
            i.state,
            InstanceState::ShuttingDown | InstanceState::Terminated
        )
    });
    let said = |code: &str| request.status.0 == code;
    match request.state {
        S::Open => open(request, now, speed),
        S::Active | S::Disabled => match there.map(|i| i.state) {
            None if request.persistent => Next::Become(
                S::Open,
                "pending-evaluation",
                "The instance has ended; the persistent Spot request is open again.",
            ),
            None if instance.is_some_and(interrupted) => Next::Become(
                S::Closed,
                "instance-terminated-no-capacity",
                "Your Spot Instance was interrupted.",
            ),
            None => Next::Become(
                S::Closed,
                "instance-terminated-by-user",
                "Your Spot Instance was terminated.",
            ),
            Some(InstanceState::Stopping | InstanceState::Stopped)
                if request.state == S::Active =>
            {
                Next::Become(
                    S::Disabled,
                    "instance-stopped-by-user",
                    "Your Spot Instance was stopped.",
                )
            }
            Some(InstanceState::Pending | InstanceState::Running)
                if request.state == S::Disabled =>
            {
                Next::Become(S::Active, "fulfilled", "Your Spot request is fulfilled.")
            }
            Some(_) => Next::Wait(None),
        },
        S::Cancelled if there.is_some() => Next::Wait(None),
        S::Cancelled if said("request-canceled-and-instance-running") => Next::Become(
            S::Cancelled,
            "instance-terminated-by-user",
            "Your Spot Instance was terminated.",
        ),
        S::Cancelled | S::Closed | S::Failed => {
            let forget = request.status_since + speed.wait(DESCRIBABLE_SECS);
            if now >= forget {
                Next::Forget
            } else {
                Next::Wait(Some(forget))
            }
        }
    }
}

/// Whether it was taken back.
fn interrupted(instance: &Instance) -> bool {
    let reason = instance.state_reason.as_ref();
    reason.is_some_and(|(code, _)| code == "Server.SpotInstanceTermination")
}

fn open(request: &SpotRequest, now: Timestamp, speed: Speed) -> Next {
    if request.valid_until.is_some_and(|until| now >= until) {
        return Next::Become(
            S::Closed,
            "schedule-expired",
            "Your Spot request has expired before it was fulfilled.",
        );
    }
    if let Some(from) = request.valid_from.filter(|from| now < *from) {
        return if request.status.0 == NOT_YET {
            Next::Wait(Some(from))
        } else {
            Next::Become(S::Open, NOT_YET, "Your Spot request is not evaluated yet.")
        };
    }
    let retry = request.status_since + speed.wait(RETRY_SECS);
    if request.status.0 == NO_CAPACITY && now < retry {
        return Next::Wait(earliest(Some(retry), request.valid_until));
    }
    Next::Launch
}

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let mut again = None;
    for request in state.spot_requests.values() {
        let instance = request.instance.as_ref();
        let instance = instance.and_then(|id| state.instances.get(id));
        let next = next(
            request,
            instance.map(AsRef::as_ref),
            now,
            world.settings.speed,
        );
        match next {
            Next::Wait(until) => again = earliest(again, until),
            Next::Launch => launch(world, request, now),
            Next::Become(state, code, message) => world.store.update(|tx| {
                tx.modify::<SpotRequest>(&request.id, |r| {
                    r.become_state(state, code, message, now);
                    if state == S::Open {
                        r.instance = None;
                    }
                });
                tx.event(now, Severity::Info, &request.id, "spot-request", message);
            }),
            Next::Forget => world.store.update(|tx| {
                tx.remove::<SpotRequest>(&request.id);
            }),
        }
    }
    again
}

fn launch(world: &World, request: &SpotRequest, now: Timestamp) {
    let tried = world.store.transact(|tx| {
        let id = (world.spot_launcher)(tx, request, now)?;
        tx.event(
            now,
            Severity::Info,
            &request.id,
            "spot-request",
            format!("is fulfilled by {id}"),
        );
        tx.modify::<SpotRequest>(&request.id, |r| {
            r.instance = Some(id);
            r.become_state(
                S::Active,
                "fulfilled",
                "Your Spot request is fulfilled.",
                now,
            );
        });
        Ok(())
    });
    match tried {
        Ok(((), commit)) => commit.forget(),
        Err(failure) => refused(world, &request.id, &failure, now),
    }
}

fn refused(world: &World, id: &SpotRequestId, failure: &LaunchError, now: Timestamp) {
    world.store.update(|tx| {
        let (state, code) = match failure.code.as_str() {
            "InsufficientInstanceCapacity" => (S::Open, NO_CAPACITY),
            _ => (S::Failed, "bad-parameters"),
        };
        tx.event(
            now,
            Severity::Warning,
            id,
            "spot-request",
            failure.to_string(),
        );
        tx.modify::<SpotRequest>(id, |r| r.become_state(state, code, &failure.message, now));
    });
}
