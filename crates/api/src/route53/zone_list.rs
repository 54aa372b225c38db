//! Lists of hosted zones.

use super::zone::{Shape, shape};
use super::{Result, invalid, max_items, name};
use crate::Ctx;
use model::route53::{HostedZone, RecordSetKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Zones of one answer.
const PAGE: usize = 100;

#[derive(Serialize)]
#[serde(rename = "$wire::Items/HostedZone")]
struct HostedZones(Vec<Shape>);

fn own(ctx: &Ctx) -> impl Iterator<Item = &Arc<HostedZone>> {
    let account = &ctx.scope.account;
    let all = ctx.tx.hosted_zones.values();
    all.filter(move |z| z.scope.account == *account)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListHostedZones {
    marker: Option<String>,
    max_items: Option<String>,
    delegation_set_id: Option<String>,
    hosted_zone_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    hosted_zones: HostedZones,
    marker: String,
    is_truncated: bool,
    next_marker: Option<String>,
    max_items: String,
}

pub fn list(ctx: &mut Ctx, input: ListHostedZones) -> Result<Listed> {
    let most = max_items(input.max_items.as_deref(), PAGE)?;
    let private = match input.hosted_zone_type.as_deref() {
        None | Some("") => false,
        Some("PrivateHostedZone") => true,
        Some(other) => {
            return Err(invalid(format!(
                "HostedZoneType is PrivateHostedZone, not {other}."
            )));
        }
    };
    // Reusable sets have none of the zones.
    let none = input.delegation_set_id.is_some_and(|id| !id.is_empty());
    let marker = input.marker.unwrap_or_default();
    let mut rest = own(ctx).filter(|z| !none && (!private || z.private) && z.id >= marker);
    let page: Vec<_> = rest.by_ref().take(most).map(|z| shape(ctx, z)).collect();
    let next = rest.next().map(|z| z.id.clone());
    Ok(Listed {
        hosted_zones: HostedZones(page),
        marker,
        is_truncated: next.is_some(),
        next_marker: next,
        max_items: most.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListHostedZonesByName {
    #[serde(rename = "DNSName")]
    dns_name: Option<String>,
    hosted_zone_id: Option<String>,
    max_items: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedByName {
    hosted_zones: HostedZones,
    #[serde(rename = "DNSName")]
    dns_name: Option<String>,
    hosted_zone_id: Option<String>,
    is_truncated: bool,
    #[serde(rename = "NextDNSName")]
    next_dns_name: Option<String>,
    next_hosted_zone_id: Option<String>,
    max_items: String,
}

/// By labels from the right, then by id.
pub fn list_by_name(ctx: &mut Ctx, input: ListHostedZonesByName) -> Result<ListedByName> {
    let most = max_items(input.max_items.as_deref(), PAGE)?;
    let order = |name: &str, id: &str| (RecordSetKey::new("", name, "", "").labels, id.to_owned());
    let given = input.dns_name.as_deref().filter(|n| !n.is_empty());
    let id = input.hosted_zone_id.as_deref().unwrap_or_default();
    let id = id.strip_prefix("/hostedzone/").unwrap_or(id);
    if given.is_none() && !id.is_empty() {
        return Err(invalid("HostedZoneId is given together with DNSName."));
    }
    let first = given
        .map(|n| Ok(order(&name::of_zone(n)?, id)))
        .transpose()?;
    let mut sorted: Vec<_> = own(ctx)
        .map(|z| (order(&z.name, &z.id), z))
        .filter(|(key, _)| first.as_ref().is_none_or(|first| key >= first))
        .collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    let next = sorted
        .get(most)
        .map(|(_, z)| (z.name.clone(), z.id.clone()));
    let page = sorted.iter().take(most).map(|(_, z)| shape(ctx, z));
    let (next_dns_name, next_hosted_zone_id) = next.unzip();
    Ok(ListedByName {
        hosted_zones: HostedZones(page.collect()),
        is_truncated: next_dns_name.is_some(),
        dns_name: input.dns_name,
        hosted_zone_id: input.hosted_zone_id,
        next_dns_name,
        next_hosted_zone_id,
        max_items: most.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListHostedZonesByVpc {
    #[serde(rename = "VPCId")]
    vpc_id: String,
    #[serde(rename = "VPCRegion")]
    vpc_region: String,
    max_items: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedByVpc {
    hosted_zone_summaries: Summaries,
    max_items: String,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/HostedZoneSummary")]
struct Summaries(Vec<Summary>);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    hosted_zone_id: String,
    name: String,
    owner: Owner,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Owner {
    owning_account: String,
}

pub fn list_by_vpc(ctx: &mut Ctx, input: ListHostedZonesByVpc) -> Result<ListedByVpc> {
    let most = max_items(input.max_items.as_deref(), PAGE)?;
    let after = input.next_token.unwrap_or_default();
    let here = |z: &&Arc<HostedZone>| {
        let mut vpcs = z.vpcs.iter();
        vpcs.any(|v| v.vpc.as_str() == input.vpc_id && *v.region == *input.vpc_region)
    };
    let mut rest = own(ctx).filter(|z| z.id >= after).filter(here);
    let summary = |zone: &Arc<HostedZone>| Summary {
        hosted_zone_id: zone.id.clone(),
        name: zone.name.clone(),
        owner: Owner {
            owning_account: zone.scope.account.to_string(),
        },
    };
    let page = rest.by_ref().take(most).map(summary).collect();
    Ok(ListedByVpc {
        hosted_zone_summaries: Summaries(page),
        next_token: rest.next().map(|z| z.id.clone()),
        max_items: most.to_string(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Count {
    hosted_zone_count: usize,
}

pub fn count(ctx: &mut Ctx, (): ()) -> Result<Count> {
    Ok(Count {
        hosted_zone_count: own(ctx).count(),
    })
}
