//! Reserved capacity. Balancers here have no capacity units, so that there is never a reservation.

use super::arn::find;
use super::error::{Result, unsupported, validation};
use crate::Ctx;
use model::elbv2::LoadBalancer;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCapacityReservation {
    load_balancer_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CapacityReservation {
    /// Of the day; none has been used.
    decrease_requests_remaining: u32,
    capacity_reservation_state: &'static [()],
}

fn none() -> CapacityReservation {
    CapacityReservation {
        decrease_requests_remaining: 2,
        capacity_reservation_state: &[],
    }
}

pub fn describe(ctx: &mut Ctx, input: DescribeCapacityReservation) -> Result<CapacityReservation> {
    find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    Ok(none())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyCapacityReservation {
    load_balancer_arn: String,
    minimum_load_balancer_capacity: Option<MinimumCapacity>,
    reset_capacity_reservation: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MinimumCapacity {
    capacity_units: Option<i64>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyCapacityReservation) -> Result<CapacityReservation> {
    find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    let units = input
        .minimum_load_balancer_capacity
        .and_then(|m| m.capacity_units);
    match (units, input.reset_capacity_reservation) {
        (Some(_), _) => Err(unsupported("Capacity reservations of load balancers are")),
        (None, Some(true)) => Ok(none()),
        (None, _) => Err(validation(
            "Either a minimum load balancer capacity or a reset must be specified",
        )),
    }
}
