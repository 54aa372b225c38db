//! What can be shifted: groups whose impairment policy says so, and load balancers whose attribute does.

use super::shift::active;
use super::{Result, not_there, page};
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use model::elbv2::LoadBalancer;
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

/// Something that is opted in.
pub struct Resource {
    pub arn: String,
    pub name: String,
    /// Names of its Availability Zones.
    pub zones: Vec<String>,
}

impl Resource {
    fn of_group(group: &AutoScalingGroup) -> Option<Resource> {
        (group.zonal_shift && group.deleting.is_none()).then(|| Resource {
            arn: group.arn.clone(),
            name: group.name.clone(),
            zones: group.zones.clone(),
        })
    }

    fn of_balancer(balancer: &LoadBalancer) -> Option<Resource> {
        (balancer.allows_zonal_shift() && balancer.deleted.is_none()).then(|| Resource {
            arn: balancer.arn.clone(),
            name: balancer.name.clone(),
            zones: balancer.zones.iter().map(|z| z.zone.clone()).collect(),
        })
    }

    fn ids(&self) -> impl Iterator<Item = &'static str> {
        self.zones.iter().filter_map(|z| zone::zone_id(z))
    }

    fn weights(&self, shift: Option<&Arc<ZonalShift>>) -> BTreeMap<&'static str, f64> {
        let away = |id: &str| shift.is_some_and(|s| s.away_from == id);
        self.ids()
            .map(|id| (id, if away(id) { 0.0 } else { 1.0 }))
            .collect()
    }
}

pub fn get(ctx: &mut Ctx, input: GetManagedResource) -> Result<ManagedResource> {
    let resource = find(ctx, &input.resource_identifier)?;
    let shift = active(ctx, &resource);
    Ok(ManagedResource {
        applied_weights: resource.weights(shift),
        zonal_shifts: shift.map(in_resource).into_iter().collect(),
        zonal_autoshift_status: "DISABLED",
        arn: resource.arn,
        name: resource.name,
    })
}

pub fn list(ctx: &mut Ctx, input: ListManagedResources) -> Result<Summaries> {
    let page = page(input.max_results.as_deref(), input.next_token.as_deref())?;
    let mut all: Vec<Resource> = all(ctx).collect();
    all.sort_by(|a, b| a.arn.cmp(&b.arn));
    let (listed, next_token) = page.of(&all, |r| r.arn.clone());
    let items = listed.into_iter().map(|resource| {
        let shift = active(ctx, resource);
        Summary {
            arn: resource.arn.clone(),
            name: resource.name.clone(),
            availability_zones: resource.ids().collect(),
            applied_weights: resource.weights(shift),
            zonal_shifts: shift.map(in_resource).into_iter().collect(),
            zonal_autoshift_status: "DISABLED",
        }
    });
    Ok(Summaries {
        items: items.collect(),
        next_token,
    })
}

fn all(ctx: &Ctx) -> impl Iterator<Item = Resource> {
    let groups = ctx.tx.auto_scaling_groups.of(&ctx.scope);
    let groups = groups.filter_map(|group| Resource::of_group(group));
    let balancers = ctx.tx.load_balancers.of(&ctx.scope);
    groups.chain(balancers.filter_map(|balancer| Resource::of_balancer(balancer)))
}

/// That of the ARN, if it may be shifted.
pub fn find(ctx: &Ctx, arn: &str) -> Result<Resource> {
    all(ctx).find(|r| r.arn == arn).ok_or_else(|| {
        not_there(format!(
            "{arn} is not a resource that can be shifted: an Auto Scaling group whose AvailabilityZoneImpairmentPolicy, \
             or a load balancer whose attribute zonal_shift.config.enabled, enables zonal shift."
        ))
    })
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
