//! Shifts: started, prolonged, canceled, listed.

use super::resource::Resource;
use super::{Result, conflict, invalid, not_there, page, resource};
use crate::Ctx;
use jiff::SignedDuration;
use model::event::Severity;
use model::zonal_shift::ZonalShift;
use model::{Timestamp, zone};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const MOST_HOURS: u64 = 72;
const LONGEST_COMMENT: usize = 128;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartZonalShift {
    resource_identifier: String,
    away_from: String,
    expires_in: String,
    comment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateZonalShift {
    zonal_shift_id: String,
    comment: Option<String>,
    expires_in: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelZonalShift {
    zonal_shift_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListZonalShifts {
    next_token: Option<String>,
    status: Option<String>,
    max_results: Option<String>,
    resource_identifier: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shift {
    zonal_shift_id: String,
    resource_identifier: String,
    away_from: String,
    expiry_time: wire::Timestamp,
    start_time: wire::Timestamp,
    status: &'static str,
    comment: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    zonal_shift_id: String,
    resource_identifier: String,
    away_from: String,
    expiry_time: wire::Timestamp,
    start_time: wire::Timestamp,
    status: &'static str,
    comment: String,
    shift_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summaries {
    items: Vec<Summary>,
    next_token: Option<String>,
}

pub fn start(ctx: &mut Ctx, input: StartZonalShift) -> Result<Shift> {
    let resource = resource::find(ctx, &input.resource_identifier)?;
    check_zone(ctx, &resource, &input.away_from)?;
    check_comment(&input.comment)?;
    let length = length(ctx, &input.expires_in)?;
    if let Some(other) = active(ctx, &resource) {
        let message = "There is already an active zonal shift for this resource. To start another one, cancel it first.";
        let error = conflict("ZonalShiftAlreadyExists", message);
        return Err(error.with_detail("zonalShiftId", other.id.clone()));
    }
    let shift = ZonalShift {
        id: uuid::Uuid::new_v4().to_string(),
        scope: ctx.scope.clone(),
        resource: resource.arn,
        away_from: input.away_from,
        comment: input.comment,
        started: ctx.now,
        expires: ctx.now + length,
        canceled: false,
        ended: false,
    };
    let told = format!(
        "is shifted away from {} until {}: {}",
        shift.away_from, shift.expires, shift.comment
    );
    ctx.tx.event(
        ctx.now,
        Severity::Warning,
        &resource.name,
        "zonal-shift",
        told,
    );
    ctx.tx.put(shift.clone());
    Ok(shape(&shift, ctx.now))
}

pub fn update(ctx: &mut Ctx, input: UpdateZonalShift) -> Result<Shift> {
    let mut shift = (*running(ctx, &input.zonal_shift_id)?).clone();
    if let Some(comment) = input.comment {
        check_comment(&comment)?;
        shift.comment = comment;
    }
    if let Some(expires_in) = input.expires_in {
        shift.expires = ctx.now + length(ctx, &expires_in)?;
    }
    ctx.tx.put(shift.clone());
    Ok(shape(&shift, ctx.now))
}

pub fn cancel(ctx: &mut Ctx, input: CancelZonalShift) -> Result<Shift> {
    let mut shift = (*running(ctx, &input.zonal_shift_id)?).clone();
    shift.canceled = true;
    ctx.tx.put(shift.clone());
    let told = format!("the zonal shift away from {} was canceled", shift.away_from);
    let subject = shift.resource_name();
    ctx.tx
        .event(ctx.now, Severity::Info, subject, "zonal-shift", told);
    Ok(shape(&shift, ctx.now))
}

pub fn list(ctx: &mut Ctx, input: ListZonalShifts) -> Result<Summaries> {
    if let Some(status) = &input.status
        && !["ACTIVE", "EXPIRED", "CANCELED"].contains(&status.as_str())
    {
        return Err(invalid(
            "InvalidStatus",
            format!("{status} is no status of a zonal shift."),
        ));
    }
    let page = page(input.max_results.as_deref(), input.next_token.as_deref())?;
    let wanted = |s: &&Arc<ZonalShift>| {
        s.scope == ctx.scope
            && input.status.as_ref().is_none_or(|t| t == s.status(ctx.now))
            && input
                .resource_identifier
                .as_ref()
                .is_none_or(|r| *r == s.resource)
    };
    let found = ctx.tx.zonal_shifts.values().filter(wanted);
    let (found, next_token) = page.of(found, |s| s.id.clone());
    let items = found.into_iter().map(|s| summary(s, ctx.now)).collect();
    Ok(Summaries { items, next_token })
}

/// The one that moves the resource away from a zone now.
pub fn active<'a>(ctx: &'a Ctx, resource: &Resource) -> Option<&'a Arc<ZonalShift>> {
    let mut shifts = ctx.tx.zonal_shifts.of(resource.arn.as_str());
    shifts.find(|s| s.active(ctx.now))
}

fn running(ctx: &Ctx, id: &str) -> Result<Arc<ZonalShift>> {
    let found = ctx.tx.zonal_shifts.get(&id.to_owned());
    let Some(shift) = found.filter(|s| s.scope == ctx.scope) else {
        return Err(not_there(format!("There is no zonal shift {id}.")));
    };
    match shift.active(ctx.now) {
        true => Ok(shift.clone()),
        false => Err(conflict(
            "ZonalShiftStatusNotActive",
            format!("The zonal shift {id} is not active."),
        )),
    }
}

fn check_zone(ctx: &Ctx, resource: &Resource, id: &str) -> Result<()> {
    let region = zone::region(&ctx.scope.region);
    if !region.is_some_and(|r| r.zones().any(|(_, known)| known == id)) {
        let message = format!(
            "{id} is no id of an Availability Zone in {}.",
            ctx.scope.region
        );
        return Err(invalid("InvalidAz", message));
    }
    if !resource.zones.iter().any(|z| zone::zone_id(z) == Some(id)) {
        let message = format!("{} is not in the Availability Zone {id}.", resource.name);
        return Err(invalid("UnsupportedAz", message));
    }
    Ok(())
}

fn check_comment(comment: &str) -> Result<()> {
    match comment.chars().count() <= LONGEST_COMMENT {
        true => Ok(()),
        false => Err(invalid(
            "MissingValue",
            "A comment has at most 128 characters.",
        )),
    }
}

/// `30m` or `12h`, 72 hours at most.
fn length(ctx: &Ctx, given: &str) -> Result<SignedDuration> {
    match seconds(given) {
        Some(seconds) => Ok(ctx.cloud.speed.wait(seconds)),
        None => Err(invalid(
            "InvalidExpiresIn",
            format!(
                "{given} is no length of a zonal shift: minutes as 30m or hours as 12h, up to 72 hours."
            ),
        )),
    }
}

fn seconds(given: &str) -> Option<u32> {
    let (digits, unit) = given.split_at_checked(given.len().checked_sub(1)?)?;
    if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let minutes = match unit {
        "m" => number,
        "h" => number.checked_mul(60)?,
        _ => return None,
    };
    let whole = (minutes <= MOST_HOURS * 60).then_some(minutes * 60)?;
    u32::try_from(whole).ok()
}

fn shape(shift: &ZonalShift, now: Timestamp) -> Shift {
    Shift {
        zonal_shift_id: shift.id.clone(),
        resource_identifier: shift.resource.clone(),
        away_from: shift.away_from.clone(),
        expiry_time: shift.expires.into(),
        start_time: shift.started.into(),
        status: shift.status(now),
        comment: shift.comment.clone(),
    }
}

fn summary(shift: &ZonalShift, now: Timestamp) -> Summary {
    let Shift {
        zonal_shift_id,
        resource_identifier,
        away_from,
        expiry_time,
        start_time,
        status,
        comment,
    } = shape(shift, now);
    Summary {
        zonal_shift_id,
        resource_identifier,
        away_from,
        expiry_time,
        start_time,
        status,
        comment,
        shift_type: "ZONAL_SHIFT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let check = |given: &str, expected| assert_eq!(seconds(given), expected, "{given}");
        check("1m", Some(60));
        check("72h", Some(259_200));
        check("4320m", Some(259_200));
        check("73h", None);
        check("0m", None);
        check("5", None);
        check("m", None);
        check("", None);
        check("1d", None);
        check("-1h", None);
        check("99999999999999999999h", None);
        check("1é", None);
    }
}
