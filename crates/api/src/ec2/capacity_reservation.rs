//! Capacity reservations, and which of them a launch runs in.
//!
//! A reservation has so many places. An instance takes one at its launch or start and
//! gives it back when it stops; how many are free is counted, not kept.

use super::error::{Result, dry_run, error, invalid_parameter, invalid_value, refuse};
use super::filter::{Field, Filter, maybe, one};
use super::launch_template_data::{CapacityReservationSpecification, CapacityReservationTarget};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done, idempotent};
use crate::Ctx;
use model::capacity_reservation::CapacityReservation;
use model::instance::{Instance, InstanceState};
use model::{CapacityReservationId, Scope, Timestamp, instance_type, zone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{State, Table, Tx};
use wire::ApiError;

const PLATFORM: &str = "Linux/UNIX";
const TENANCIES: [&str; 2] = ["default", "dedicated"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    capacity_reservation_id: String,
    owner_id: String,
    capacity_reservation_arn: String,
    availability_zone: String,
    availability_zone_id: Option<&'static str>,
    instance_type: String,
    instance_platform: String,
    tenancy: String,
    total_instance_count: u32,
    available_instance_count: u32,
    ebs_optimized: bool,
    ephemeral_storage: bool,
    state: &'static str,
    start_date: wire::Timestamp,
    create_date: wire::Timestamp,
    end_date: Option<wire::Timestamp>,
    end_date_type: &'static str,
    instance_match_criteria: &'static str,
    reservation_type: &'static str,
    tag_set: Vec<Tag>,
}

fn criteria(reservation: &CapacityReservation) -> &'static str {
    if reservation.targeted {
        "targeted"
    } else {
        "open"
    }
}

fn end_type(reservation: &CapacityReservation) -> &'static str {
    if reservation.end.is_some() {
        "limited"
    } else {
        "unlimited"
    }
}

fn arn(reservation: &CapacityReservation) -> String {
    let id = &reservation.id;
    reservation
        .scope
        .arn("ec2", format_args!("capacity-reservation/{id}"))
}

fn shape(state: &State, reservation: &CapacityReservation, now: Timestamp) -> Shape {
    let active = reservation.state(now) == "active";
    let total = if active { reservation.count } else { 0 };
    Shape {
        capacity_reservation_id: reservation.id.to_string(),
        owner_id: reservation.scope.account.to_string(),
        capacity_reservation_arn: arn(reservation),
        availability_zone: reservation.zone.clone(),
        availability_zone_id: zone::zone_id(&reservation.zone),
        instance_type: reservation.instance_type.clone(),
        instance_platform: reservation.platform.clone(),
        tenancy: reservation.tenancy.clone(),
        total_instance_count: total,
        available_instance_count: free(state, reservation, now),
        ebs_optimized: reservation.ebs_optimized,
        ephemeral_storage: reservation.ephemeral_storage,
        state: reservation.state(now),
        start_date: reservation.created.into(),
        create_date: reservation.created.into(),
        end_date: reservation.end.map(Into::into),
        end_date_type: end_type(reservation),
        instance_match_criteria: criteria(reservation),
        reservation_type: "default",
        tag_set: tag::list(&reservation.tags),
    }
}

/// Whether an instance in that state keeps its place.
fn occupies(instance: &Instance) -> bool {
    use InstanceState::{Pending, Running, ShuttingDown, Stopping};
    matches!(instance.state, Pending | Running | Stopping | ShuttingDown)
}

fn used(state: &State, reservation: &CapacityReservation) -> u32 {
    let id = Some(&reservation.id);
    let instances = owned::<Instance>(state, &reservation.scope);
    let here = instances.filter(|i| i.capacity_reservation.as_ref() == id && occupies(i));
    u32::try_from(here.count()).unwrap_or(u32::MAX)
}

fn free(state: &State, reservation: &CapacityReservation, now: Timestamp) -> u32 {
    match reservation.state(now) {
        "active" => reservation.count.saturating_sub(used(state, reservation)),
        _ => 0,
    }
}

/// The instance's own, while it is there and the instance occupies it.
pub fn occupied(
    reservations: &Table<CapacityReservation>,
    instance: &Instance,
) -> Option<CapacityReservationId> {
    let id = instance.capacity_reservation.as_ref()?;
    let there = reservations.get(id)?;
    (occupies(instance) && !there.cancelled).then(|| id.clone())
}

/// What a launch or start is to run in.
pub struct Wanted<'a> {
    pub scope: &'a Scope,
    pub instance_type: &'a str,
    pub zone: &'a str,
    pub tenancy: &'a str,
    /// `open`, `none` or `capacity-reservations-only`.
    pub preference: &'a str,
    pub target: Option<&'a CapacityReservationId>,
    pub now: Timestamp,
}

/// The reservation with room that fits, if any; a target that has none is refused.
pub fn choose(state: &State, wanted: &Wanted<'_>) -> Result<Option<CapacityReservationId>> {
    let fits = |r: &CapacityReservation| {
        r.instance_type == wanted.instance_type
            && r.zone == wanted.zone
            && r.tenancy == wanted.tenancy
            && r.platform == PLATFORM
            && free(state, r, wanted.now) > 0
    };
    let full = || {
        error(
            "ReservationCapacityExceeded",
            "The requested reservation does not have sufficient compatible and available capacity for this request.",
        )
    };
    let mut all = owned::<CapacityReservation>(state, wanted.scope);
    if let Some(id) = wanted.target {
        let target = all
            .find(|r| r.id == *id)
            .ok_or_else(|| CapacityReservation::not_found(id))?;
        return if fits(target) {
            Ok(Some(id.clone()))
        } else {
            Err(full())
        };
    }
    match wanted.preference {
        "none" => Ok(None),
        "capacity-reservations-only" => {
            let found = all.find(|r| !r.targeted && fits(r));
            found.map(|r| Some(r.id.clone())).ok_or_else(full)
        }
        _ => Ok(all.find(|r| !r.targeted && fits(r)).map(|r| r.id.clone())),
    }
}

/// Gives an instance that starts its place again.
pub fn start(tx: &mut Tx, instance: &Instance, now: Timestamp) -> Result<()> {
    let chosen = choose(
        tx,
        &Wanted {
            scope: &instance.scope,
            instance_type: &instance.instance_type,
            zone: &instance.zone,
            tenancy: &instance.tenancy,
            preference: &instance.capacity_reservation_preference,
            target: instance.capacity_reservation_target.as_ref(),
            now,
        },
    )?;
    if chosen != instance.capacity_reservation {
        tx.modify::<Instance>(&instance.id, |i| i.capacity_reservation = chosen);
    }
    Ok(())
}

/// Preference and target of a launch; a target goes without a preference.
pub fn asked(
    given: Option<&CapacityReservationSpecification>,
) -> Result<(String, Option<CapacityReservationId>)> {
    let Some(given) = given else {
        return Ok(("open".to_owned(), None));
    };
    let preference = given.capacity_reservation_preference.as_deref();
    let target = given.capacity_reservation_target.as_ref();
    if let Some(other) =
        preference.filter(|p| !["open", "none", "capacity-reservations-only"].contains(p))
    {
        let why = "Expecting open, none or capacity-reservations-only.";
        return Err(invalid_parameter(
            other,
            "capacityReservationPreference",
            why,
        ));
    }
    let Some(CapacityReservationTarget {
        capacity_reservation_id: Some(id),
        ..
    }) = target
    else {
        refuse(
            &target.and_then(|t| t.capacity_reservation_resource_group_arn.clone()),
            "CapacityReservationResourceGroupArn",
        )?;
        return Ok((preference.unwrap_or("open").to_owned(), None));
    };
    if preference.is_some() {
        return Err(super::error::invalid_combination(
            "CapacityReservationPreference and CapacityReservationTarget cannot both be specified.",
        ));
    }
    let id = super::resource::parse_id::<CapacityReservation>(id)?;
    Ok(("open".to_owned(), Some(id)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateCapacityReservation {
    client_token: Option<String>,
    instance_type: String,
    instance_platform: String,
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    tenancy: Option<String>,
    instance_count: u32,
    #[serde(default, deserialize_with = "wire::stored")]
    ebs_optimized: Option<bool>,
    #[serde(default, deserialize_with = "wire::stored")]
    ephemeral_storage: Option<bool>,
    end_date: Option<wire::Timestamp>,
    end_date_type: Option<String>,
    instance_match_criteria: Option<String>,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneCapacityReservation {
    capacity_reservation: Shape,
}

/// When it ends, by date and kind, which must agree.
fn end(
    kind: Option<&str>,
    date: Option<wire::Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let date = date.map(Timestamp::from);
    match (kind, date) {
        (None | Some("unlimited"), None) => Ok(None),
        (None | Some("limited"), Some(date)) if date > now => Ok(Some(date)),
        (Some("limited"), None) => Err(super::error::missing("EndDate")),
        (None | Some("limited"), Some(_)) => {
            Err(invalid_value("The end date must be in the future."))
        }
        (Some("unlimited"), Some(_)) => Err(super::error::invalid_combination(
            "EndDate cannot be specified where EndDateType is unlimited.",
        )),
        (Some(other), _) => {
            let why = "Expecting limited or unlimited.";
            Err(invalid_parameter(other, "endDateType", why))
        }
    }
}

fn is_targeted(given: Option<&str>) -> Result<bool> {
    match given {
        None | Some("open") => Ok(false),
        Some("targeted") => Ok(true),
        Some(other) => {
            let why = "Expecting open or targeted.";
            Err(invalid_parameter(other, "instanceMatchCriteria", why))
        }
    }
}

fn zone_of(ctx: &Ctx, name: Option<String>, id: Option<String>) -> Result<String> {
    let zones = zone::region(&ctx.scope.region).map(|r| r.zones());
    let mut zones = zones.into_iter().flatten();
    let given = name.clone().or_else(|| id.clone());
    let found = match (name, id) {
        (Some(name), None) => zones.find(|(n, _)| *n == name),
        (None, Some(id)) => zones.find(|(_, i)| *i == id),
        (None, None) => return Err(super::error::missing("AvailabilityZone")),
        (Some(_), Some(_)) => {
            return Err(super::error::invalid_combination(
                "Only one of AvailabilityZone and AvailabilityZoneId may be specified.",
            ));
        }
    };
    found.map(|(name, _)| name).ok_or_else(|| {
        let why = "The Availability Zone is not of this region.";
        invalid_parameter(given.unwrap_or_default(), "availabilityZone", why)
    })
}

pub fn create(ctx: &mut Ctx, input: CreateCapacityReservation) -> Result<OneCapacityReservation> {
    let kind = instance_type::find(&input.instance_type).ok_or_else(|| {
        invalid_value(format!(
            "Invalid value '{}' for InstanceType.",
            input.instance_type
        ))
    })?;
    if input.instance_platform != PLATFORM {
        return Err(super::error::unsupported(format!(
            "Instances of this cloud run {PLATFORM}, not {}.",
            input.instance_platform
        )));
    }
    let zone = zone_of(ctx, input.availability_zone, input.availability_zone_id)?;
    if !instance_type::offered_in(kind, &zone) {
        return Err(error(
            "Unsupported",
            format!(
                "Your requested instance type ({}) is not supported in your requested Availability Zone ({zone}).",
                kind.name
            ),
        ));
    }
    let tenancy = input.tenancy.unwrap_or_else(|| "default".to_owned());
    if !TENANCIES.contains(&tenancy.as_str()) {
        let why = "Expecting default or dedicated.";
        return Err(invalid_parameter(tenancy, "tenancy", why));
    }
    if !(1..=1000).contains(&input.instance_count) {
        let why = "Expecting 1 to 1000.";
        return Err(invalid_parameter(
            input.instance_count,
            "instanceCount",
            why,
        ));
    }
    let reservation = CapacityReservation {
        id: CapacityReservationId::random(),
        scope: ctx.scope.clone(),
        instance_type: input.instance_type,
        platform: input.instance_platform,
        zone,
        tenancy,
        count: input.instance_count,
        ebs_optimized: input.ebs_optimized.unwrap_or(false),
        ephemeral_storage: input.ephemeral_storage.unwrap_or(false),
        targeted: is_targeted(input.instance_match_criteria.as_deref())?,
        end: end(input.end_date_type.as_deref(), input.end_date, ctx.now)?,
        cancelled: false,
        created: ctx.now,
        client_token: input.client_token.filter(|t| !t.is_empty()),
        tags: tag::of(&input.tag_specifications, CapacityReservation::TYPE)?,
    };
    let same = |made: &CapacityReservation| {
        made.instance_type == reservation.instance_type && made.zone == reservation.zone
    };
    let token = reservation.client_token.as_deref();
    let made = idempotent::<CapacityReservation>(ctx, token, |r| r.client_token.as_deref(), same)?;
    dry_run(input.dry_run)?;
    let answer = OneCapacityReservation {
        capacity_reservation: shape(&ctx.tx, made.as_deref().unwrap_or(&reservation), ctx.now),
    };
    if made.is_none() {
        ctx.tx.put(reservation);
    }
    Ok(answer)
}

const FILTERS: &[Field<CapacityReservation>] = &[
    ("instance-type", |_, r| one(&r.instance_type)),
    ("owner-id", |_, r| one(&r.scope.account)),
    ("instance-platform", |_, r| one(&r.platform)),
    ("availability-zone", |_, r| one(&r.zone)),
    ("availability-zone-id", |_, r| maybe(zone::zone_id(&r.zone))),
    ("tenancy", |_, r| one(&r.tenancy)),
    ("start-date", |_, r| one(r.created)),
    ("end-date", |_, r| maybe(r.end)),
    ("end-date-type", |_, r| one(end_type(r))),
    ("instance-match-criteria", |_, r| one(criteria(r))),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCapacityReservations {
    #[serde(default)]
    capacity_reservation_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityReservations {
    capacity_reservation_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(
    ctx: &mut Ctx,
    input: DescribeCapacityReservations,
) -> Result<CapacityReservations> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    // States depend on the time, which fields of filters do not know.
    let by_state = |f: &Filter| f.name == "state";
    let (states, filters): (Vec<Filter>, Vec<Filter>) =
        input.filter.into_iter().partition(by_state);
    let mut ids = input.capacity_reservation_id;
    for id in &ids {
        find::<CapacityReservation>(ctx, id)?;
    }
    if !states.is_empty() {
        let fits = |r: &CapacityReservation| {
            let state = r.state(ctx.now);
            let named = ids.is_empty() || ids.iter().any(|id| id == r.id.as_str());
            named && states.iter().all(|f| f.value.iter().any(|v| v == state))
        };
        let all = owned::<CapacityReservation>(&ctx.tx, &ctx.scope);
        ids = all.filter(|r| fits(r)).map(|r| r.id.to_string()).collect();
        if ids.is_empty() {
            return Ok(CapacityReservations {
                capacity_reservation_set: Vec::new(),
                next_token: None,
            });
        }
    }
    let (found, next_token) = describe(ctx, &ids, &filters, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(CapacityReservations {
        capacity_reservation_set: found.iter().map(|r| shape(&ctx.tx, r, ctx.now)).collect(),
        next_token,
    })
}

/// The caller's reservation, which must not have ended.
fn active(ctx: &Ctx, id: &str) -> Result<CapacityReservation> {
    let reservation = find::<CapacityReservation>(ctx, id)?;
    match reservation.state(ctx.now) {
        "active" => Ok(CapacityReservation::clone(&reservation)),
        state => Err(ApiError::client(
            "InvalidCapacityReservationState",
            format!("The Capacity Reservation '{id}' is in the state {state}."),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyCapacityReservation {
    capacity_reservation_id: String,
    instance_count: Option<u32>,
    end_date: Option<wire::Timestamp>,
    end_date_type: Option<String>,
    instance_match_criteria: Option<String>,
    dry_run: Option<bool>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyCapacityReservation) -> Result<Done> {
    let mut reservation = active(ctx, &input.capacity_reservation_id)?;
    if let Some(count) = input.instance_count {
        let used = used(&ctx.tx, &reservation);
        if count == 0 || count < used {
            return Err(invalid_value(format!(
                "The instance count cannot be less than the {used} instances that run in the reservation, nor zero."
            )));
        }
        reservation.count = count;
    }
    if input.end_date.is_some() || input.end_date_type.is_some() {
        reservation.end = end(input.end_date_type.as_deref(), input.end_date, ctx.now)?;
    }
    if input.instance_match_criteria.is_some() {
        reservation.targeted = is_targeted(input.instance_match_criteria.as_deref())?;
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(reservation);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelCapacityReservation {
    capacity_reservation_id: String,
    dry_run: Option<bool>,
}

/// What runs in it runs on. The record stays, as on AWS, to be described as cancelled.
pub fn cancel(ctx: &mut Ctx, input: CancelCapacityReservation) -> Result<Done> {
    let mut reservation = active(ctx, &input.capacity_reservation_id)?;
    dry_run(input.dry_run)?;
    reservation.cancelled = true;
    ctx.tx.put(reservation);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCapacityReservationUsage {
    capacity_reservation_id: String,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    capacity_reservation_id: String,
    instance_type: String,
    total_instance_count: u32,
    available_instance_count: u32,
    state: &'static str,
    instance_usage_set: Vec<AccountUsage>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountUsage {
    account_id: String,
    used_instance_count: u32,
}

/// Reservations are not shared, so at most one account uses one.
pub fn usage(ctx: &mut Ctx, input: GetCapacityReservationUsage) -> Result<Usage> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let reservation = find::<CapacityReservation>(ctx, &input.capacity_reservation_id)?;
    dry_run(input.dry_run)?;
    let mut accounts = BTreeMap::new();
    let used = used(&ctx.tx, &reservation);
    if used > 0 {
        accounts.insert(reservation.scope.account.to_string(), used);
    }
    let (page, next_token) = page.of(accounts, |(account, _)| account.clone());
    let told = shape(&ctx.tx, &reservation, ctx.now);
    Ok(Usage {
        capacity_reservation_id: told.capacity_reservation_id,
        instance_type: told.instance_type,
        total_instance_count: told.total_instance_count,
        available_instance_count: told.available_instance_count,
        state: told.state,
        instance_usage_set: page
            .into_iter()
            .map(|(account_id, used_instance_count)| AccountUsage {
                account_id,
                used_instance_count,
            })
            .collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyInstanceCapacityReservationAttributes {
    instance_id: String,
    capacity_reservation_specification: CapacityReservationSpecification,
    dry_run: Option<bool>,
}

/// It counts from the instance's next start on.
pub fn modify_instance(
    ctx: &mut Ctx,
    input: ModifyInstanceCapacityReservationAttributes,
) -> Result<Done> {
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    if instance.state != InstanceState::Stopped {
        return Err(error(
            "IncorrectInstanceState",
            format!(
                "The instance '{}' is not in the 'stopped' state.",
                instance.id
            ),
        ));
    }
    let (preference, target) = asked(Some(&input.capacity_reservation_specification))?;
    if let Some(id) = &target {
        find::<CapacityReservation>(ctx, id.as_str())?;
    }
    dry_run(input.dry_run)?;
    ctx.tx.modify::<Instance>(&instance.id, |i| {
        i.capacity_reservation_preference = preference;
        i.capacity_reservation_target = target;
    });
    done()
}
