//! DescribeInstanceStatus: what the status checks of running instances say.

use super::error::{Result, dry_run};
use super::filter::{Field, Filter, one};
use super::instance_shape::StateShape;
use super::page::{Page, describe};
use crate::Ctx;
use model::instance::{Instance, InstanceState};
use model::zone;
use serde::{Deserialize, Serialize};

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
struct Check {
    name: &'static str,
    status: &'static str,
}

/// A summary and the reachability check behind it.
type Status = (&'static str, &'static str);

/// Passed once the instance's init has reported that it is up.
fn instance_status(instance: &Instance) -> Status {
    match (instance.state, instance.ready) {
        (InstanceState::Running, Some(_)) => ("ok", "passed"),
        (InstanceState::Running, None) => ("initializing", "initializing"),
        _ => ("not-applicable", ""),
    }
}

/// The host runs it: what is running has passed.
fn system_status(instance: &Instance) -> Status {
    match instance.state {
        InstanceState::Running => ("ok", "passed"),
        _ => ("not-applicable", ""),
    }
}

fn summary((status, check): Status) -> Summary {
    let details = [check].into_iter().filter(|check| !check.is_empty());
    Summary {
        status,
        details: details
            .map(|status| Check {
                name: "reachability",
                status,
            })
            .collect(),
    }
}

fn shape(instance: &Instance) -> Shape {
    Shape {
        instance_id: instance.id.to_string(),
        availability_zone: instance.zone.clone(),
        availability_zone_id: zone::zone_id(&instance.zone),
        instance_state: instance.state.into(),
        instance_status: summary(instance_status(instance)),
        system_status: summary(system_status(instance)),
        attached_ebs_status: summary(system_status(instance)),
    }
}

const FILTERS: &[Field<Instance>] = &[
    ("attached-ebs-status.status", |_, i| one(system_status(i).0)),
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
    ("system-status.reachability", |_, i| one(system_status(i).1)),
    ("system-status.status", |_, i| one(system_status(i).0)),
];

pub fn describe_all(ctx: &mut Ctx, input: DescribeInstanceStatus) -> Result<InstanceStatuses> {
    let _ = input.include_managed_resources;
    let all = Page::new(None, None)?;
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (found, _) = describe(ctx, &input.instance_id, &input.filter, FILTERS, &all)?;
    dry_run(input.dry_run)?;
    let any_state = input.include_all_instances.unwrap_or(false);
    let wanted = found
        .into_iter()
        .filter(|i| any_state || i.state == InstanceState::Running);
    let (found, next_token) = page.of(wanted, |i| i.id.to_string());
    Ok(InstanceStatuses {
        instance_status_set: found.iter().map(|i| shape(i)).collect(),
        next_token,
    })
}
