//! ARC zonal shift, for Auto Scaling groups and load balancers that are opted in.
//!
//! Source: `https://docs.aws.amazon.com/r53recovery/latest/dg/arc-zonal-shift.how-it-works.html`.
//! There are no autoshifts and no practice runs, whose calls are refused as unknown. A shift ends
//! an Nth of the asked time after its start where the cloud is N times faster, as schedules do.

mod resource;
mod shift;

use crate::Ctx;
use crate::ec2::page::Page;
use wire::{ApiError, Service, action};

type Result<T> = std::result::Result<T, ApiError>;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2022-10-30",
        rest: Some(wire::Protocol::RestJson),
        actions: vec![
            action("StartZonalShift", shift::start).at("POST", "/zonalshifts", 201),
            action("UpdateZonalShift", shift::update).at(
                "PATCH",
                "/zonalshifts/{zonalShiftId}",
                200,
            ),
            action("CancelZonalShift", shift::cancel).at(
                "DELETE",
                "/zonalshifts/{zonalShiftId}",
                200,
            ),
            action("ListZonalShifts", shift::list).at("GET", "/zonalshifts", 200),
            action("GetManagedResource", resource::get).at(
                "GET",
                "/managedresources/{resourceIdentifier}",
                200,
            ),
            action("ListManagedResources", resource::list).at("GET", "/managedresources", 200),
        ],
        ..Service::new("arc-zonal-shift")
    }
}

fn not_there(what: impl Into<String>) -> ApiError {
    ApiError::not_found("ResourceNotFoundException", what)
}

fn invalid(reason: &str, message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message).with_detail("reason", reason)
}

fn conflict(reason: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(409, "ConflictException", message).with_detail("reason", reason)
}

/// 1 to 100 of a list; both come as text in the address.
fn page(most: Option<&str>, token: Option<&str>) -> Result<Page> {
    let number = most.map(str::parse::<i64>).transpose();
    let number = number
        .ok()
        .filter(|n| n.is_none_or(|n| (1..=100).contains(&n)));
    let Some(number) = number else {
        return Err(invalid(
            "MissingValue",
            "maxResults must be between 1 and 100.",
        ));
    };
    Page::within(1, 100, Some(number.unwrap_or(100)), token)
        .map_err(|_| invalid("InvalidToken", "The nextToken is not valid."))
}
