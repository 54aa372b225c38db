//! Availability Zones and Regions.

use super::error::{Result, dry_run, error, invalid_combination, invalid_parameter, invalid_value};
use super::filter::{Field, Filter, Filters, one};
use crate::Ctx;
use model::{Tags, zone};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ZoneShape {
    zone_name: String,
    zone_id: String,
    /// `available` unless a fault is in force; AWS reports an impaired zone as available too.
    zone_state: &'static str,
    zone_type: &'static str,
    region_name: String,
    group_name: String,
    group_long_name: String,
    network_border_group: String,
    opt_in_status: &'static str,
    message_set: Vec<String>,
}

const ZONE_FILTERS: &[Field<ZoneShape>] = &[
    ("group-name", |_, z| one(&z.group_name)),
    ("group-long-name", |_, z| one(&z.group_long_name)),
    ("message", |_, _| vec![]),
    ("opt-in-status", |_, z| one(z.opt_in_status)),
    ("parent-zone-id", |_, _| vec![]),
    ("parent-zone-name", |_, _| vec![]),
    ("region-name", |_, z| one(&z.region_name)),
    ("state", |_, z| one(z.zone_state)),
    ("zone-id", |_, z| one(&z.zone_id)),
    ("zone-type", |_, z| one(z.zone_type)),
    ("zone-name", |_, z| one(&z.zone_name)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAvailabilityZones {
    #[serde(default)]
    zone_name: Vec<String>,
    #[serde(default)]
    zone_id: Vec<String>,
    /// Zones that need opting in are listed too; the regions here have none.
    #[expect(dead_code, reason = "there is nothing to leave out")]
    all_availability_zones: Option<bool>,
    #[serde(default)]
    filter: Vec<Filter>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AvailabilityZones {
    availability_zone_info: Vec<ZoneShape>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeAvailabilityZones) -> Result<AvailabilityZones> {
    let filters = Filters::new(&input.filter, ZONE_FILTERS)?;
    let mut zones = zones(&ctx.scope.region);
    for name in &input.zone_name {
        if !zones.iter().any(|z| z.zone_name == *name) {
            return Err(unknown(name));
        }
    }
    for id in &input.zone_id {
        if !zones.iter().any(|z| z.zone_id == *id) {
            return Err(unknown(id));
        }
    }
    dry_run(input.dry_run)?;
    let no_tags = Tags::new();
    zones.retain(|z| {
        (input.zone_name.is_empty() || input.zone_name.contains(&z.zone_name))
            && (input.zone_id.is_empty() || input.zone_id.contains(&z.zone_id))
            && filters.match_tagged(&ctx.tx, z, &no_tags)
    });
    Ok(AvailabilityZones {
        availability_zone_info: zones,
    })
}

fn unknown(zone: &str) -> wire::ApiError {
    invalid_value(format!("Invalid availability zone: [{zone}]"))
}

fn zones(region: &str) -> Vec<ZoneShape> {
    let zones = zone::region(region).map(|r| r.zones());
    let shape = |(name, id): (String, String)| ZoneShape {
        zone_name: name,
        group_long_name: format!("{} 1", zone::region(region).map_or("", |r| r.place)),
        zone_id: id,
        zone_state: "available",
        zone_type: "availability-zone",
        region_name: region.to_owned(),
        group_name: format!("{region}-zg-1"),
        network_border_group: region.to_owned(),
        opt_in_status: "opt-in-not-required",
        message_set: Vec::new(),
    };
    zones.into_iter().flatten().map(shape).collect()
}

/// The zone that a call names by name or id, if by any.
pub fn choose(ctx: &Ctx, name: Option<String>, id: Option<String>) -> Result<Option<String>> {
    let zones = || {
        zone::region(&ctx.scope.region)
            .into_iter()
            .flat_map(|r| r.zones())
    };
    match (name, id) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(invalid_combination(
            "Only one of AvailabilityZone and AvailabilityZoneId may be specified.",
        )),
        (Some(name), None) => match zones().find(|(n, _)| *n == name) {
            Some((name, _)) => Ok(Some(name)),
            None => {
                let valid: Vec<String> = zones().map(|(n, _)| n).collect();
                let why = format!(
                    "Subnets can currently only be created in the following availability zones: {}.",
                    valid.join(", ")
                );
                Err(invalid_parameter(name, "availabilityZone", &why))
            }
        },
        (None, Some(id)) => match zones().find(|(_, i)| *i == id) {
            Some((name, _)) => Ok(Some(name)),
            None => Err(invalid_parameter(
                id,
                "availabilityZoneId",
                "There is no such availability zone.",
            )),
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegionShape {
    region_name: &'static str,
    region_endpoint: String,
    opt_in_status: &'static str,
}

const REGION_FILTERS: &[Field<RegionShape>] = &[
    ("endpoint", |_, r| one(&r.region_endpoint)),
    ("opt-in-status", |_, r| one(r.opt_in_status)),
    ("region-name", |_, r| one(r.region_name)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeRegions {
    #[serde(default)]
    region_name: Vec<String>,
    /// Regions that are not opted in are listed too; all of ours are.
    #[expect(dead_code, reason = "there is nothing to leave out")]
    all_regions: Option<bool>,
    #[serde(default)]
    filter: Vec<Filter>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Regions {
    region_info: Vec<RegionShape>,
}

pub fn describe_regions(ctx: &mut Ctx, input: DescribeRegions) -> Result<Regions> {
    let filters = Filters::new(&input.filter, REGION_FILTERS)?;
    for name in &input.region_name {
        if zone::region(name).is_none() {
            return Err(error(
                "InvalidParameterValue",
                format!("Invalid region name: [{name}]"),
            ));
        }
    }
    dry_run(input.dry_run)?;
    let named = |name: &str| {
        input.region_name.is_empty() || input.region_name.iter().any(|n| n.as_str() == name)
    };
    let mut regions: Vec<RegionShape> = zone::REGIONS
        .iter()
        .filter(|r| named(r.name))
        .map(|r| RegionShape {
            region_name: r.name,
            region_endpoint: format!("ec2.{}.amazonaws.com", r.name),
            opt_in_status: "opt-in-not-required",
        })
        .collect();
    let no_tags = Tags::new();
    regions.retain(|r| filters.match_tagged(&ctx.tx, r, &no_tags));
    Ok(Regions {
        region_info: regions,
    })
}
