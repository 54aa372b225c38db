//! Where a group launches: its subnets, and the zones that follow from them.

use super::error::{Result, validation};
use crate::Ctx;
use model::vpc::Subnet;
use model::{SubnetId, zone};
use std::collections::BTreeSet;

pub struct Placement {
    /// Sorted.
    pub zones: Vec<String>,
    pub subnets: Vec<SubnetId>,
    /// The call named subnets, not only zones.
    pub named: bool,
}

/// `None` where the call names neither subnets nor zones.
pub fn of(
    ctx: &Ctx,
    subnets: Option<&str>,
    zones: Option<&[String]>,
    zone_ids: Option<&[String]>,
) -> Result<Option<Placement>> {
    let zones = zones_of(ctx, zones, zone_ids)?;
    let ids: Vec<&str> = subnets
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .collect();
    if ids.is_empty() {
        if zones.is_empty() {
            return Ok(None);
        }
        let subnets = default_subnets(ctx, &zones)?;
        let zones = zones.into_iter().collect();
        return Ok(Some(Placement {
            zones,
            subnets,
            named: false,
        }));
    }
    let named = named_subnets(ctx, &ids)?;
    let theirs: BTreeSet<String> = named.iter().map(|s| s.zone.clone()).collect();
    if !zones.is_empty() && zones != theirs {
        return Err(validation(
            "The availability zones of the specified subnets and the Auto Scaling group do not match",
        ));
    }
    Ok(Some(Placement {
        zones: theirs.into_iter().collect(),
        subnets: named.iter().map(|s| s.id.clone()).collect(),
        named: true,
    }))
}

fn zones_of(
    ctx: &Ctx,
    names: Option<&[String]>,
    ids: Option<&[String]>,
) -> Result<BTreeSet<String>> {
    let region = zone::region(&ctx.scope.region);
    let known: Vec<(String, String)> = region.map(|r| r.zones().collect()).unwrap_or_default();
    let mut zones = BTreeSet::new();
    for name in names.unwrap_or_default() {
        if !known.iter().any(|(zone, _)| zone == name) {
            return Err(validation(format!("Invalid availability zones [{name}]")));
        }
        zones.insert(name.clone());
    }
    for id in ids.unwrap_or_default() {
        let Some((name, _)) = known.iter().find(|(_, zone_id)| zone_id == id) else {
            return Err(validation(format!("Invalid availability zone ids [{id}]")));
        };
        zones.insert(name.clone());
    }
    Ok(zones)
}

fn named_subnets<'a>(ctx: &'a Ctx, ids: &[&str]) -> Result<Vec<&'a Subnet>> {
    let mut found: Vec<&Subnet> = Vec::with_capacity(ids.len());
    for id in ids {
        let parsed = id.parse::<SubnetId>().ok();
        let subnet = parsed.and_then(|id| ctx.tx.get::<Subnet>(&id));
        let Some(subnet) = subnet.filter(|s| s.scope == ctx.scope) else {
            return Err(validation(format!("The subnet ID '{id}' does not exist")));
        };
        if found.iter().any(|s| s.vpc != subnet.vpc) {
            return Err(validation(
                "The specified subnets must all be in the same VPC",
            ));
        }
        if !found.iter().any(|s| s.id == subnet.id) {
            found.push(subnet);
        }
    }
    Ok(found)
}

/// A group that names only zones launches into the default subnets there.
fn default_subnets(ctx: &Ctx, zones: &BTreeSet<String>) -> Result<Vec<SubnetId>> {
    let mut subnets = Vec::with_capacity(zones.len());
    for zone in zones {
        let mut all = ctx.tx.subnets.values();
        let default = all.find(|s| s.scope == ctx.scope && s.default_for_az && s.zone == *zone);
        let Some(default) = default else {
            return Err(validation(format!(
                "No default subnet exists in the availability zone {zone}"
            )));
        };
        subnets.push(default.id.clone());
    }
    Ok(subnets)
}
