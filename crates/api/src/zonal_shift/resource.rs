//! What can be shifted: groups whose impairment policy says so. Load balancers are none here.

use super::shift::active;
use super::{Result, not_there, page};
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use model::zonal_shift::ZonalShift;
use model::zone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetManagedResource {
    resource_identifier: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListManagedResources {
    next_token: Option<String>,
    max_results: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedResource {
    arn: String,
    name: String,
    applied_weights: BTreeMap<&'static str, f64>,
    zonal_shifts: Vec<InResource>,
    zonal_autoshift_status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    arn: String,
    name: String,
    availability_zones: Vec<&'static str>,
    applied_weights: BTreeMap<&'static str, f64>,
    zonal_shifts: Vec<InResource>,
    zonal_autoshift_status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InResource {
    applied_status: &'static str,
    zonal_shift_id: String,
    resource_identifier: String,
    away_from: String,
    expiry_time: wire::Timestamp,
    start_time: wire::Timestamp,
    comment: String,
    shift_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summaries {
    items: Vec<Summary>,
    next_token: Option<String>,
}

pub fn get(ctx: &mut Ctx, input: GetManagedResource) -> Result<ManagedResource> {
    let group = group(ctx, &input.resource_identifier)?;
    let shift = active(ctx, &group);
    Ok(ManagedResource {
        arn: group.arn.clone(),
        name: group.name.clone(),
        applied_weights: weights(&group, shift),
        zonal_shifts: shift.map(in_resource).into_iter().collect(),
        zonal_autoshift_status: "DISABLED",
    })
}

pub fn list(ctx: &mut Ctx, input: ListManagedResources) -> Result<Summaries> {
    let page = page(input.max_results.as_deref(), input.next_token.as_deref())?;
    let mut groups: Vec<&Arc<AutoScalingGroup>> =
        ctx.tx.auto_scaling_groups.of(&ctx.scope).collect();
    groups.retain(|g| g.zonal_shift);
    groups.sort_by(|a, b| a.arn.cmp(&b.arn));
    let (groups, next_token) = page.of(groups, |g| g.arn.clone());
    let items = groups.into_iter().map(|group| {
        let shift = active(ctx, group);
        Summary {
            arn: group.arn.clone(),
            name: group.name.clone(),
            availability_zones: ids(group).collect(),
            applied_weights: weights(group, shift),
            zonal_shifts: shift.map(in_resource).into_iter().collect(),
            zonal_autoshift_status: "DISABLED",
        }
    });
    Ok(Summaries {
        items: items.collect(),
        next_token,
    })
}

/// The group of that ARN, if it may be shifted.
pub fn group(ctx: &Ctx, arn: &str) -> Result<Arc<AutoScalingGroup>> {
    let mut groups = ctx.tx.auto_scaling_groups.of(&ctx.scope);
    let found = groups.find(|g| g.arn == arn && g.zonal_shift && g.deleting.is_none());
    found.cloned().ok_or_else(|| {
        not_there(format!(
            "{arn} is not a resource that can be shifted: an Auto Scaling group whose AvailabilityZoneImpairmentPolicy enables zonal shift."
        ))
    })
}

/// The group's name, as its ARN has it.
pub fn name(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

fn ids(group: &AutoScalingGroup) -> impl Iterator<Item = &'static str> {
    group.zones.iter().filter_map(|z| zone::zone_id(z))
}

fn weights(
    group: &AutoScalingGroup,
    shift: Option<&Arc<ZonalShift>>,
) -> BTreeMap<&'static str, f64> {
    let away = |id: &str| shift.is_some_and(|s| s.away_from == id);
    ids(group)
        .map(|id| (id, if away(id) { 0.0 } else { 1.0 }))
        .collect()
}

fn in_resource(shift: &Arc<ZonalShift>) -> InResource {
    InResource {
        applied_status: "APPLIED",
        zonal_shift_id: shift.id.clone(),
        resource_identifier: shift.resource.clone(),
        away_from: shift.away_from.clone(),
        expiry_time: shift.expires.into(),
        start_time: shift.started.into(),
        comment: shift.comment.clone(),
        shift_type: "ZONAL_SHIFT",
    }
}
