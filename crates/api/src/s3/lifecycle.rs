//! Lifecycle rules: checked and given back. Nothing expires here.

use super::document::Element;
use super::error::{invalid_argument, invalid_request, malformed_xml};
use super::request::Request;
use model::s3::Bucket;
use std::collections::BTreeSet;
use wire::{ApiError, HttpResponse};

const MINIMUM_SIZE: &str = "x-amz-transition-default-minimum-object-size";
const MINIMUM_SIZES: &[&str] = &["all_storage_classes_128K", "varies_by_storage_class"];

const ACTIONS: &[&str] = &[
    "Transition",
    "Expiration",
    "NoncurrentVersionTransition",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
];

pub fn accept(
    request: &Request<'_>,
    bucket: &mut Bucket,
    rules: &mut Element,
) -> Result<(), ApiError> {
    if rules.children.len() > 1000 {
        return Err(malformed_xml());
    }
    let size = request.header(MINIMUM_SIZE).unwrap_or(MINIMUM_SIZES[0]);
    if !MINIMUM_SIZES.contains(&size) {
        return Err(invalid_argument(format!("Invalid {MINIMUM_SIZE}: {size}")));
    }
    let mut ids = BTreeSet::new();
    for rule in &mut rules.children {
        if rule.get("ID").unwrap_or_default().is_empty() {
            rule.children.retain(|child| child.name != "ID");
            let id = Element::text("ID", uuid::Uuid::new_v4().to_string());
            rule.children.insert(0, id);
        }
        let id = rule.get("ID").unwrap_or_default();
        if id.len() > 255 {
            return Err(invalid_argument(
                "ID length should not exceed allowed limit of 255",
            ));
        }
        if !ids.insert(id.to_owned()) {
            let message =
                format!("Rule ID must be unique. Found same ID for more than one rule: {id}");
            return Err(invalid_argument(message));
        }
        check_rule(rule)?;
    }
    bucket
        .configuration
        .insert(MINIMUM_SIZE.to_owned(), size.to_owned());
    Ok(())
}

fn check_rule(rule: &Element) -> Result<(), ApiError> {
    if rule.child("Prefix").is_some() == rule.child("Filter").is_some() {
        return Err(malformed_xml());
    }
    if let Some(filter) = rule.child("Filter")
        && filter.children.len() > 1
    {
        return Err(malformed_xml());
    }
    if !ACTIONS.iter().any(|action| rule.child(action).is_some()) {
        return Err(invalid_request(
            "At least one action needs to be specified in a rule",
        ));
    }
    for transition in rule.all("Transition") {
        let class = transition.get("StorageClass").unwrap_or_default();
        when(transition, "Transition", 0)?;
        let days = number(transition, "Days");
        if ["STANDARD_IA", "ONEZONE_IA"].contains(&class) && days.is_some_and(|days| days < 30) {
            let message = format!(
                "'Days' in Transition action must be greater than or equal to 30 for storageClass '{class}'"
            );
            return Err(invalid_argument(message));
        }
    }
    if let Some(expiration) = rule.child("Expiration") {
        match expiration.child("ExpiredObjectDeleteMarker") {
            Some(_) if expiration.children.len() > 1 => return Err(malformed_xml()),
            Some(_) => {}
            None => when(expiration, "Expiration", 1)?,
        }
    }
    let positive = [
        ("NoncurrentVersionExpiration", "NoncurrentDays"),
        ("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
    ];
    for (action, member) in positive {
        let days = rule.child(action).and_then(|action| number(action, member));
        if days.is_some_and(|days| days < 1) {
            let message = format!("'{member}' for {action} action must be a positive integer");
            return Err(invalid_argument(message));
        }
    }
    Ok(())
}

/// A date at midnight or a number of days, one of the two.
fn when(action: &Element, name: &str, least: i64) -> Result<(), ApiError> {
    match (number(action, "Days"), action.get("Date")) {
        (Some(days), None) if days < least => {
            let message = format!("'Days' for {name} action must be a positive integer");
            Err(invalid_argument(message))
        }
        (Some(_), None) => Ok(()),
        (None, Some(date)) if !date.contains("T00:00:00.000Z") => {
            Err(invalid_argument("'Date' must be at midnight GMT"))
        }
        (None, Some(_)) => Ok(()),
        _ => Err(malformed_xml()),
    }
}

fn number(element: &Element, name: &str) -> Option<i64> {
    element.get(name)?.parse().ok()
}

/// The header that goes with every lifecycle answer.
pub fn mark(response: HttpResponse, bucket: &Bucket) -> HttpResponse {
    match bucket.configuration.get(MINIMUM_SIZE) {
        Some(size) => response.with_header(MINIMUM_SIZE, size.clone()),
        None => response,
    }
}
