//! DescribeInstanceStatus: what the status checks of running instances say.

use super::error::{Result, dry_run, invalid_combination};
use super::filter::{Field, Filter, one};
use super::instance_shape::StateShape;
use super::page::{Page, describe};
use crate::Ctx;
use model::event::Fault;
use model::instance::{Instance, InstanceState};
use model::{Timestamp, zone};
use serde::{Deserialize, Serialize};
use store::State;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceStatus {
    #[serde(default)]
    instance_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_all_instances: Option<bool>,
    include_managed_resources: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatuses {
    instance_status_set: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    instance_id: String,
    availability_zone: String,
    availability_zone_id: Option<&'static str>,
    instance_state: StateShape,
    instance_status: Summary,
    system_status: Summary,
    attached_ebs_status: Summary,
}

#[derive(Serialize)]
struct Summary {
    status: &'static str,
    details: Vec<Check>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    name: &'static str,
    status: &'static str,
    impaired_since: Option<wire::Timestamp>,
}

/// A summary, the reachability check behind it, and since when that fails.
type Status = (&'static str, &'static str, Option<Timestamp>);

const OK: Status = ("ok", "passed", None);
const NOT_APPLICABLE: Status = ("not-applicable", "", None);

/// Passed once the instance's init has reported that it is up, and for as long as its
/// interface answers.
fn instance_status(instance: &Instance) -> Status {
    match (instance.state, instance.ready, instance.unreachable) {
        (InstanceState::Running, _, Some(since)) => ("impaired", "failed", Some(since)),
        (InstanceState::Running, Some(_), None) => OK,
        (InstanceState::Running, None, None) => ("initializing", "initializing", None),
        _ => NOT_APPLICABLE,
    }
}

/// The host runs it, and its zone has a network: what `nines break az` takes away.
fn system_status(state: &State, instance: &Instance) -> Status {
    let cut = |fault: &Fault| matches!(fault, Fault::Zone(zone) if *zone == instance.zone);
    match instance.state {
        InstanceState::Running if state.faults.keys().any(cut) => ("impaired", "failed", None),
        InstanceState::Running => OK,
        _ => NOT_APPLICABLE,
    }
}

/// Volumes are of the host's disk, which is there as long as the instance runs.
fn volume_status(instance: &Instance) -> Status {
    match instance.state {
        InstanceState::Running => OK,
        _ => NOT_APPLICABLE,
    }
}

fn summary((status, check, since): Status) -> Summary {
    let details = [check].into_iter().filter(|check| !check.is_empty());
    Summary {
        status,
        details: details
            .map(|status| Check {
                name: "reachability",
                status,
                impaired_since: since.map(Into::into),
            })
            .collect(),
    }
}

fn shape(state: &State, instance: &Instance) -> Shape {
    Shape {
        instance_id: instance.id.to_string(),
        availability_zone: instance.zone.clone(),
        availability_zone_id: zone::zone_id(&instance.zone),
        instance_state: instance.state.into(),
        instance_status: summary(instance_status(instance)),
        system_status: summary(system_status(state, instance)),
        attached_ebs_status: summary(volume_status(instance)),
    }
}

const FILTERS: &[Field<Instance>] = &[
    ("attached-ebs-status.status", |_, i| one(volume_status(i).0)),
    ("availability-zone", |_, i| one(&i.zone)),
    ("availability-zone-id", |_, i| {
        super::filter::maybe(zone::zone_id(&i.zone))
    }),
    ("event.code", |_, _| Vec::new()),
    ("event.description", |_, _| Vec::new()),
    ("event.instance-event-id", |_, _| Vec::new()),
    ("event.not-after", |_, _| Vec::new()),
    ("event.not-before", |_, _| Vec::new()),
    ("event.not-before-deadline", |_, _| Vec::new()),
    ("instance-state-code", |_, i| one(i.state.code())),
    ("instance-state-name", |_, i| one(i.state.name())),
    ("instance-status.reachability", |_, i| {
        one(instance_status(i).1)
    }),
    ("instance-status.status", |_, i| one(instance_status(i).0)),
    ("system-status.reachability", |state, i| {
        one(system_status(state, i).1)
    }),
    ("system-status.status", |state, i| {
        one(system_status(state, i).0)
    }),
];

pub fn describe_all(ctx: &mut Ctx, input: DescribeInstanceStatus) -> Result<InstanceStatuses> {
    let _ = input.include_managed_resources;
    let all = Page::new(None, None)?;
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    if !input.instance_id.is_empty() && input.max_results.is_some() {
        return Err(invalid_combination(
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    let (found, _) = describe(ctx, &input.instance_id, &input.filter, FILTERS, &all)?;
    dry_run(input.dry_run)?;
    let any_state = input.include_all_instances.unwrap_or(false);
    let wanted = found
        .into_iter()
        .filter(|i| any_state || i.state == InstanceState::Running);
    let (found, next_token) = page.of(wanted, |i| i.id.to_string());
    Ok(InstanceStatuses {
        instance_status_set: found.iter().map(|i| shape(&ctx.tx, i)).collect(),
        next_token,
    })
}
