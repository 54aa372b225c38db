//! Reserved capacity: kept and described. A balancer has what the machine leaves it, so that
//! nothing is set aside, which an event says.

use super::arn::find;
use super::error::{Result, validation};
use crate::Ctx;
use model::elbv2::LoadBalancer;
use model::event::Severity;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCapacityReservation {
    load_balancer_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CapacityReservation {
    last_modified_time: Option<wire::Timestamp>,
    /// Of the day; they are not counted.
    decrease_requests_remaining: u32,
    minimum_load_balancer_capacity: Option<MinimumCapacity>,
    capacity_reservation_state: Vec<ZonalState>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ZonalState {
    availability_zone: String,
    state: Status,
    effective_capacity_units: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    code: &'static str,
}

fn shape(balancer: &LoadBalancer) -> CapacityReservation {
    let zones = balancer.zones.iter();
    let share = |units: u32| f64::from(units) / balancer.zones.len().max(1) as f64;
    let states = |units: u32| {
        zones
            .map(|z| ZonalState {
                availability_zone: z.zone.clone(),
                state: Status {
                    code: "provisioned",
                },
                effective_capacity_units: share(units),
            })
            .collect()
    };
    let reserved = balancer.capacity;
    CapacityReservation {
        last_modified_time: reserved.map(|(_, at)| at.into()),
        decrease_requests_remaining: 2,
        minimum_load_balancer_capacity: reserved.map(|(units, _)| MinimumCapacity {
            capacity_units: Some(units.into()),
        }),
        capacity_reservation_state: reserved.map(|(units, _)| states(units)).unwrap_or_default(),
    }
}

pub fn describe(ctx: &mut Ctx, input: DescribeCapacityReservation) -> Result<CapacityReservation> {
    let balancer = find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    Ok(shape(&balancer))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyCapacityReservation {
    load_balancer_arn: String,
    minimum_load_balancer_capacity: Option<MinimumCapacity>,
    reset_capacity_reservation: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MinimumCapacity {
    #[serde(default, deserialize_with = "wire::stored")]
    capacity_units: Option<i64>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyCapacityReservation) -> Result<CapacityReservation> {
    let mut balancer = LoadBalancer::clone(&*find::<LoadBalancer>(ctx, &input.load_balancer_arn)?);
    let units = input
        .minimum_load_balancer_capacity
        .and_then(|m| m.capacity_units);
    balancer.capacity = match (units, input.reset_capacity_reservation) {
        (Some(units), None | Some(false)) => {
            let units = u32::try_from(units).ok().filter(|n| *n > 0);
            let units = units.ok_or_else(|| validation("CapacityUnits must be at least 1"))?;
            Some((units, ctx.now))
        }
        (None, Some(true)) => None,
        _ => {
            return Err(validation(
                "Either a minimum load balancer capacity or a reset must be specified",
            ));
        }
    };
    if balancer.capacity.is_some() {
        let said = "capacity is kept and described; the balancer has what the machine leaves it";
        ctx.tx.event(
            ctx.now,
            Severity::Warning,
            &balancer.arn,
            "not-emulated",
            said,
        );
    }
    let answer = shape(&balancer);
    ctx.tx.put(balancer);
    Ok(answer)
}
