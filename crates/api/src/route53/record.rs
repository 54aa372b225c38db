//! Changing and listing what stands in a zone.

use super::change::{self, Changed};
use super::record_shape::{RecordSetShape, TYPES};
use super::zone::MAX_RECORDS;
use super::{Result, invalid, max_items, name};
use crate::Ctx;
use crate::elbv2::is_hosted_zone;
use model::route53::{HostedZone, RecordAnswer, RecordSet, RecordSetKey, Routing};
use serde::{Deserialize, Serialize};
use wire::ApiError;

/// Changes of one batch, and values in it.
const MOST_CHANGES: usize = 1000;
/// Of the values of one batch.
const MOST_CHARACTERS: usize = 32_000;
/// Record sets of one answer.
const PAGE: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeResourceRecordSets {
    hosted_zone_id: String,
    change_batch: ChangeBatch,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeBatch {
    comment: Option<String>,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    action: Action,
    resource_record_set: RecordSetShape,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Action {
    Create,
    Delete,
    Upsert,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Upsert => "UPSERT",
        }
    }
}

/// All of a batch, or nothing of it.
pub fn change(ctx: &mut Ctx, input: ChangeResourceRecordSets) -> Result<Changed> {
    let zone = super::zone(ctx, &input.hosted_zone_id)?;
    let batch = input.change_batch;
    if batch.changes.is_empty() || batch.changes.len() > MOST_CHANGES {
        return Err(invalid(format!(
            "A change batch has 1 to {MOST_CHANGES} changes."
        )));
    }
    let mut problems = Vec::new();
    let mut changed = Vec::new();
    let (mut records, mut characters) = (0, 0);
    for Change {
        action,
        resource_record_set,
    } in batch.changes
    {
        let before = problems.len();
        let record = resource_record_set.record(&zone.id, action.name(), &mut problems)?;
        if let Some(RecordAnswer::Values { values, .. }) = record.as_ref().map(|r| &r.answer) {
            // An UPSERT counts as the two changes that it may be.
            let times = if action == Action::Upsert { 2 } else { 1 };
            records += times * values.len();
            characters += times * values.iter().map(|v| v.chars().count()).sum::<usize>();
        }
        let Some(record) = record.filter(|_| problems.len() == before) else {
            continue;
        };
        if let Some(id) = record
            .health_check
            .as_deref()
            .filter(|_| action != Action::Delete)
        {
            let known = ctx.tx.health_checks.get(id);
            if known.is_none_or(|c| c.scope.account != ctx.scope.account) {
                let message = format!("No health check exists with the ID {id}.");
                return Err(ApiError::not_found("NoSuchHealthCheck", message));
            }
        }
        apply(ctx, &zone, action, record, &mut changed, &mut problems);
    }
    for (count, most, what) in [
        (records, MOST_CHANGES, "records"),
        (characters, MOST_CHARACTERS, "characters"),
    ] {
        if count > most {
            problems.push(format!("Number of {what} limit of {most} exceeded."));
        }
    }
    // What a later change of the batch took back stands against nothing.
    let stays = |r: &RecordSet| {
        ctx.tx
            .record_sets
            .get(&r.key())
            .is_some_and(|now| **now == *r)
    };
    changed.retain(stays);
    for record in &changed {
        problems.extend(conflict(ctx, &zone, record));
    }
    let own = |kind: &str| {
        let key = RecordSetKey::new(&zone.id, &zone.name, kind, "");
        ctx.tx.record_sets.contains_key(&key)
    };
    if !own("SOA") {
        problems.push("A HostedZone must contain exactly one SOA record.".to_owned());
    }
    if !own("NS") {
        problems
            .push("A HostedZone must contain at least one NS record for the zone itself.".into());
    }
    if ctx.tx.record_sets.of(&*zone.id).count() > MAX_RECORDS {
        problems.push(format!(
            "The hosted zone {} has {MAX_RECORDS} record sets, its limit.",
            zone.id
        ));
    }
    if !problems.is_empty() {
        let message = format!("[{}]", problems.join(", "));
        return Err(ApiError::client("InvalidChangeBatch", message));
    }
    Ok(Changed {
        change_info: change::submitted(ctx, batch.comment),
    })
}

/// Carries out one change; a refused batch takes the whole transaction with it.
fn apply(
    ctx: &mut Ctx,
    zone: &HostedZone,
    action: Action,
    record: RecordSet,
    changed: &mut Vec<RecordSet>,
    problems: &mut Vec<String>,
) {
    if !name::is_in(&record.name, &zone.name) {
        problems.push(format!(
            "RRSet with DNS name {} is not permitted in zone {}",
            record.name, zone.name
        ));
        return;
    }
    let key = record.key();
    let existing = ctx.tx.record_sets.get(&key).cloned();
    let named = match record.set_identifier.as_str() {
        "" => format!("[name='{}', type='{}']", record.name, record.kind),
        identifier => format!(
            "[name='{}', type='{}', set-identifier='{identifier}']",
            record.name, record.kind
        ),
    };
    match (action, existing) {
        (Action::Create, Some(_)) => problems.push(format!(
            "Tried to create resource record set {named} but it already exists"
        )),
        (Action::Delete, None) => problems.push(format!(
            "Tried to delete resource record set {named} but it was not found"
        )),
        (Action::Delete, Some(existing)) if !is_same(&existing, &record) => {
            problems.push(format!(
                "Tried to delete resource record set {named} but the values provided do not match the current values"
            ));
        }
        (Action::Delete, Some(_)) => {
            ctx.tx.remove::<RecordSet>(&key);
        }
        (Action::Create | Action::Upsert, _) => {
            changed.push(record.clone());
            ctx.tx.put(record);
        }
    }
}

/// The order of values means nothing.
fn is_same(a: &RecordSet, b: &RecordSet) -> bool {
    let sorted = |record: &RecordSet| {
        let mut record = record.clone();
        if let RecordAnswer::Values { values, .. } = &mut record.answer {
            values.sort();
        }
        record
    };
    sorted(a) == sorted(b)
}

/// What stands against a record among the others, once all changes are made.
fn conflict(ctx: &Ctx, zone: &HostedZone, record: &RecordSet) -> Option<String> {
    let RecordSet { name, kind, .. } = record;
    let here = &zone.name;
    if kind == "CNAME" && *name == zone.name {
        return Some(format!(
            "RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {here}"
        ));
    }
    if matches!(&**kind, "SOA" | "NS")
        && (*kind == "SOA" || *name == zone.name)
        && (*name != zone.name
            || record.routing != Routing::Simple
            || matches!(record.answer, RecordAnswer::Alias { .. }))
    {
        return Some(format!(
            "RRSet of type {kind} with DNS name {name} is not permitted in zone {here}"
        ));
    }
    let others = ctx.tx.record_sets.of(&*zone.id);
    for other in others.filter(|o| o.name == *name) {
        if kind == "CNAME" && other.kind != "CNAME" {
            return Some(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records with the same DNS name in zone {here}"
            ));
        }
        if kind != "CNAME" && other.kind == "CNAME" {
            return Some(format!(
                "RRSet of type {kind} with DNS name {name} is not permitted because a conflicting RRSet of type CNAME with the same DNS name already exists in zone {here}"
            ));
        }
        if other.kind != *kind || other.set_identifier == record.set_identifier {
            continue;
        }
        if std::mem::discriminant(&other.routing) != std::mem::discriminant(&record.routing) {
            return Some(format!(
                "RRSet with DNS name {name}, type {kind}, SetIdentifier {} cannot be created as other RRSets exist with the same name and type and another routing policy.",
                record.set_identifier
            ));
        }
        if let (Routing::Failover { .. } | Routing::Latency(_), true) =
            (&record.routing, other.routing == record.routing)
        {
            return Some(format!(
                "RRSet with DNS name {name}, type {kind}, SetIdentifier {} cannot be created because the set {} has the same routing already.",
                record.set_identifier, other.set_identifier
            ));
        }
    }
    alias_problem(ctx, zone, record)
}

fn alias_problem(ctx: &Ctx, zone: &HostedZone, record: &RecordSet) -> Option<String> {
    let RecordAnswer::Alias {
        zone: target_zone,
        name,
        ..
    } = &record.answer
    else {
        return None;
    };
    let kind = &record.kind;
    let problem = |what: &str| {
        Some(format!(
            "Tried to create an alias that targets {name}, type {kind} in zone {target_zone}, but {what}"
        ))
    };
    if *target_zone == zone.id {
        if !name::is_in(name, &zone.name) {
            return problem("the alias target name does not lie within the target zone");
        }
        let mut all = ctx.tx.record_sets.of(&*zone.id);
        let exists = all.any(|r| r.name == *name && r.kind == *kind && r.key() != record.key());
        return match exists {
            true => None,
            false => problem("that target was not found"),
        };
    }
    if !is_hosted_zone(target_zone) {
        return problem(
            "this cloud has no such zone: aliases lead to records of the same zone or to load balancers",
        );
    }
    if !matches!(&**kind, "A" | "AAAA") {
        return problem("a load balancer has addresses only");
    }
    // On AWS, too, the zone of an alias must be that of the balancer's region and kind.
    let target = name.strip_prefix("dualstack.").unwrap_or(name);
    let mut balancers = ctx.tx.load_balancers.values();
    let belongs = balancers.find(|b| {
        let own = b.dns_name.to_ascii_lowercase();
        target.strip_suffix('.') == Some(&*own)
    });
    match belongs {
        Some(balancer) if crate::elbv2::hosted_zone(balancer) != Some(target_zone) => {
            problem("the alias target name does not lie within the target zone")
        }
        _ if !name.ends_with(".amazonaws.com.") => {
            problem("the alias target name does not lie within the target zone")
        }
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListResourceRecordSets {
    hosted_zone_id: String,
    start_record_name: Option<String>,
    start_record_type: Option<String>,
    start_record_identifier: Option<String>,
    max_items: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    resource_record_sets: RecordSets,
    is_truncated: bool,
    next_record_name: Option<String>,
    next_record_type: Option<String>,
    next_record_identifier: Option<String>,
    max_items: String,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/ResourceRecordSet")]
struct RecordSets(Vec<RecordSetShape>);

pub fn list(ctx: &mut Ctx, input: ListResourceRecordSets) -> Result<Listed> {
    let zone = super::zone(ctx, &input.hosted_zone_id)?;
    let most = max_items(input.max_items.as_deref(), PAGE)?;
    let given = |text: Option<String>| text.filter(|t| !t.is_empty());
    let (start, kind, identifier) = (
        given(input.start_record_name),
        given(input.start_record_type),
        given(input.start_record_identifier),
    );
    if start.is_none() && kind.is_some() {
        return Err(invalid(
            "StartRecordType is given together with StartRecordName.",
        ));
    }
    if kind.is_none() && identifier.is_some() {
        return Err(invalid(
            "StartRecordIdentifier is given together with StartRecordName and StartRecordType.",
        ));
    }
    if let Some(other) = kind.as_deref().filter(|kind| !TYPES.contains(kind)) {
        return Err(invalid(format!("There are no records of type {other}.")));
    }
    let first = start
        .map(|n| name::normal(&n).map_err(invalid))
        .transpose()?
        .map(|name| {
            let (kind, identifier) = (kind.unwrap_or_default(), identifier.unwrap_or_default());
            RecordSetKey::new(&zone.id, &name, &kind, &identifier)
        });
    let all = ctx.tx.record_sets.of(&*zone.id);
    let mut rest = all.filter(|r| first.as_ref().is_none_or(|first| r.key() >= *first));
    let page: Vec<RecordSetShape> = rest
        .by_ref()
        .take(most)
        .map(|r| RecordSetShape::from(&**r))
        .collect();
    let next = rest.next();
    Ok(Listed {
        resource_record_sets: RecordSets(page),
        is_truncated: next.is_some(),
        next_record_name: next.map(|r| r.name.clone()),
        next_record_type: next.map(|r| r.kind.clone()),
        next_record_identifier: next
            .map(|r| r.set_identifier.clone())
            .filter(|i| !i.is_empty()),
        max_items: most.to_string(),
    })
}
