//! Object Lock: versions that cannot be deleted until a date, or while a hold is on.

use super::document::{self, Document, Element};
use super::error::{denied, invalid_argument, invalid_request};
use super::request::{Request, find_bucket};
use super::{configuration, schema, version};
use model::Timestamp;
use model::s3::{Bucket, Object};
use std::collections::BTreeMap;
use wire::{ApiError, HttpResponse};

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";

/// Locking needs versions, and cannot be taken back.
pub fn enable(bucket: &mut Bucket) {
    bucket.object_lock = true;
    bucket.versioning = Some("Enabled".to_owned());
    let enabled = Element::text("ObjectLockEnabled", "Enabled");
    let lock = Element::new("ObjectLockConfiguration").with(enabled);
    let status = Element::text("Status", "Enabled");
    let versioning = Element::new("VersioningConfiguration").with(status);
    let set = [("object-lock", lock), ("versioning", versioning)];
    let set = set.map(|(name, element)| (name.to_owned(), element.document()));
    bucket.configuration.extend(set);
}

pub fn accept(_: &Request<'_>, bucket: &mut Bucket, lock: &mut Element) -> Result<(), ApiError> {
    if bucket.versioning.as_deref() != Some("Enabled") {
        let message =
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration";
        return Err(ApiError::new(409, "InvalidBucketState", message));
    }
    if lock.child("ObjectLockEnabled").is_none() {
        return Err(super::error::malformed_xml());
    }
    if let Some(retention) = default_retention(lock) {
        let number = |name| {
            retention
                .get(name)
                .map(|text| text.parse::<i64>().unwrap_or_default())
        };
        match (number("Days"), number("Years")) {
            (Some(days), None) if (1..=36_500).contains(&days) => {}
            (None, Some(years)) if (1..=100).contains(&years) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(invalid_argument(
                    "Default retention period must be a positive integer value.",
                ));
            }
            _ => return Err(super::error::malformed_xml()),
        }
    }
    bucket.object_lock = true;
    Ok(())
}

fn default_retention(lock: &Element) -> Option<&Element> {
    lock.child("Rule")?.child("DefaultRetention")
}

/// Puts what the request or the bucket's default says into the headers of a new object.
pub fn of_request(
    request: &Request<'_>,
    bucket: &Bucket,
    kept: &mut BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let (mode, until, hold) = (
        request.header(MODE),
        request.header(UNTIL),
        request.header(HOLD),
    );
    if !bucket.object_lock {
        return match (mode, until, hold) {
            (None, None, None) => Ok(()),
            _ => Err(invalid_request(
                "Bucket is missing Object Lock Configuration",
            )),
        };
    }
    match hold {
        Some("ON" | "OFF") | None => {}
        Some(_) => {
            return Err(invalid_argument(
                "Legal Hold must be either of 'ON' or 'OFF'",
            ));
        }
    }
    if let Some(hold) = hold {
        kept.insert(HOLD.to_owned(), hold.to_owned());
    }
    match (mode, until) {
        (Some(mode), Some(until)) => {
            if !["GOVERNANCE", "COMPLIANCE"].contains(&mode) {
                return Err(invalid_argument("Unknown wormMode directive."));
            }
            let date = until.parse::<Timestamp>();
            let date = date.map_err(|_| {
                invalid_argument("The retain until date must be provided in ISO 8601 format")
            })?;
            check_future(request, date)?;
            kept.insert(MODE.to_owned(), mode.to_owned());
            kept.insert(UNTIL.to_owned(), iso(date));
        }
        (None, None) => {
            let lock = configuration::kept(bucket, "object-lock");
            if let Some(retention) = lock.as_ref().and_then(default_retention) {
                let number = |name| {
                    retention
                        .get(name)
                        .and_then(|text| text.parse::<i64>().ok())
                };
                let days = number("Days").or(number("Years").map(|years| years * 365));
                let hours = days.unwrap_or_default().saturating_mul(24);
                let until = request
                    .now
                    .checked_add(jiff::SignedDuration::from_hours(hours));
                let until =
                    until.map_err(|_| invalid_argument("The retention period is too long"))?;
                kept.insert(
                    MODE.to_owned(),
                    retention.get("Mode").unwrap_or_default().to_owned(),
                );
                kept.insert(UNTIL.to_owned(), iso(until));
            }
        }
        _ => {
            let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
            return Err(invalid_argument(message));
        }
    }
    Ok(())
}

fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn check_future(request: &Request<'_>, date: Timestamp) -> Result<(), ApiError> {
    match date > request.now {
        true => Ok(()),
        false => Err(invalid_argument(
            "The retain until date must be in the future!",
        )),
    }
}

/// Whether the version may not go now. Governance yields to those who ask to bypass it.
pub fn locks(object: &Object, request: &Request<'_>) -> bool {
    let bypass = request.is_true("x-amz-bypass-governance-retention");
    is_locked(object, request.now, bypass)
}

fn is_locked(object: &Object, now: Timestamp, bypass: bool) -> bool {
    let get = |name: &str| object.headers.get(name).map(String::as_str);
    if get(HOLD) == Some("ON") {
        return true;
    }
    let until = get(UNTIL).and_then(|text| text.parse::<Timestamp>().ok());
    let retained = until.is_some_and(|until| until > now);
    retained && !(bypass && get(MODE) == Some("GOVERNANCE"))
}

fn missing() -> ApiError {
    let message = "The specified object does not have a ObjectLock configuration";
    ApiError::not_found("NoSuchObjectLockConfiguration", message)
}

fn check_bucket(bucket: &Bucket) -> Result<(), ApiError> {
    match bucket.object_lock {
        true => Ok(()),
        false => Err(invalid_request(
            "Bucket is missing Object Lock Configuration",
        )),
    }
}

fn get(
    request: &Request<'_>,
    root: &str,
    members: &[(&str, &str)],
) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    check_bucket(find_bucket(&state, &request.bucket)?)?;
    let object = version::find_body(&state, request)?;
    let mut answer = Element::new(root);
    for (member, header) in members {
        let value = object.headers.get(*header).ok_or_else(missing)?;
        answer.children.push(Element::text(member, value));
    }
    Ok(HttpResponse::new(200).with_body("application/xml", answer.document()))
}

pub fn get_retention(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    get(
        request,
        "Retention",
        &[("Mode", MODE), ("RetainUntilDate", UNTIL)],
    )
}

pub fn get_legal_hold(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    get(request, "LegalHold", &[("Status", HOLD)])
}

fn change(
    request: &Request<'_>,
    f: impl FnOnce(&mut Object) -> Result<(), ApiError>,
) -> Result<HttpResponse, ApiError> {
    request.transact(|change| {
        check_bucket(find_bucket(change.tx, &request.bucket)?)?;
        let mut object = version::find_body(change.tx, request)?.clone();
        f(&mut object)?;
        change.tx.put(object);
        Ok(HttpResponse::new(200))
    })
}

pub fn put_legal_hold(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let asked = document::parse(&request.document()?, "LegalHold")?;
    let asked = schema::check(&asked, &schema::LEGAL_HOLD)?;
    let status = asked.get("Status").unwrap_or_default().to_owned();
    change(request, |object| {
        object.headers.insert(HOLD.to_owned(), status);
        Ok(())
    })
}

pub fn put_retention(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let asked = document::parse(&request.document()?, "Retention")?;
    let asked = schema::check(&asked, &schema::RETENTION)?;
    let mode = asked.get("Mode").map(str::to_owned);
    let until = asked
        .get("RetainUntilDate")
        .map(str::parse::<Timestamp>)
        .transpose();
    let until = until.map_err(|_| super::error::malformed_xml())?;
    change(request, |object| {
        let bypass = request.is_true("x-amz-bypass-governance-retention");
        let mut without_hold = object.clone();
        without_hold.headers.remove(HOLD);
        let old = object
            .headers
            .get(UNTIL)
            .and_then(|text| text.parse::<Timestamp>().ok());
        let shorter = until.is_none_or(|until| old.is_some_and(|old| until < old));
        let weaker = object
            .headers
            .get(MODE)
            .is_some_and(|old| old == "COMPLIANCE" && mode.as_deref() != Some("COMPLIANCE"));
        if (shorter || weaker) && is_locked(&without_hold, request.now, bypass) {
            return Err(denied(
                "Access Denied because object protected by object lock.",
            ));
        }
        match (mode, until) {
            (Some(mode), Some(until)) => {
                check_future(request, until)?;
                object.headers.insert(MODE.to_owned(), mode);
                object.headers.insert(UNTIL.to_owned(), iso(until));
            }
            (None, None) => {
                object.headers.remove(MODE);
                object.headers.remove(UNTIL);
            }
            _ => return Err(super::error::malformed_xml()),
        }
        Ok(())
    })
}
