//! VPCs in which a private zone resolves.

use super::change::{self, Changed};
use super::zone::MAX_VPCS;
use super::{Result, conflict};
use crate::Ctx;
use model::VpcId;
use model::route53::{HostedZone, ZoneVpc};
use serde::{Deserialize, Serialize};
use wire::ApiError;

#[derive(Deserialize, Serialize)]
pub struct VpcShape {
    #[serde(rename = "VPCRegion")]
    region: Option<String>,
    #[serde(rename = "VPCId")]
    id: Option<String>,
}

impl From<&ZoneVpc> for VpcShape {
    fn from(vpc: &ZoneVpc) -> Self {
        Self {
            region: Some(vpc.region.to_string()),
            id: Some(vpc.vpc.to_string()),
        }
    }
}

/// The account's own VPC; another's would have to be authorized first, which is not here.
pub fn of(ctx: &Ctx, shape: &VpcShape) -> Result<ZoneVpc> {
    let (region, id) = (
        shape.region.as_deref().unwrap_or_default(),
        shape.id.as_deref().unwrap_or_default(),
    );
    let found = id.parse::<VpcId>().ok().filter(|id| {
        let vpc = ctx.tx.vpcs.get(id);
        vpc.is_some_and(|v| v.scope.account == ctx.scope.account && *v.scope.region == *region)
    });
    let message = || {
        format!(
            "The VPC: {id} in region {region} that you provided is not authorized to make the association."
        )
    };
    let vpc = found.ok_or_else(|| ApiError::client("InvalidVPCId", message()))?;
    Ok(ZoneVpc {
        region: region.into(),
        vpc,
    })
}

/// A VPC has one private zone of a name.
pub fn check_free(ctx: &Ctx, name: &str, vpc: &ZoneVpc) -> Result<()> {
    let mut same = ctx.tx.hosted_zones.values().filter(|z| z.name == name);
    let Some(other) = same.find(|z| z.vpcs.contains(vpc)) else {
        return Ok(());
    };
    let message = format!(
        "The VPC {} in region {} has already been associated with the hosted zone {} with the same domain name.",
        vpc.vpc, vpc.region, other.id
    );
    Err(ApiError::client("ConflictingDomainExists", message))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Association {
    hosted_zone_id: String,
    #[serde(rename = "VPC")]
    vpc: VpcShape,
    comment: Option<String>,
}

pub fn associate(ctx: &mut Ctx, input: Association) -> Result<Changed> {
    let zone = super::zone(ctx, &input.hosted_zone_id)?;
    if !zone.private {
        let message = format!(
            "You can't associate a VPC with the public hosted zone {}; only private ones have VPCs.",
            zone.id
        );
        return Err(ApiError::client("PublicZoneVPCAssociation", message));
    }
    let vpc = of(ctx, &input.vpc)?;
    check_free(ctx, &zone.name, &vpc)?;
    if zone.vpcs.len() >= MAX_VPCS {
        let message = format!("The hosted zone {} has {MAX_VPCS} VPCs already.", zone.id);
        return Err(ApiError::client("LimitsExceeded", message));
    }
    ctx.tx
        .modify::<HostedZone>(&zone.id, |zone| zone.vpcs.push(vpc));
    Ok(Changed {
        change_info: change::submitted(ctx, input.comment),
    })
}

pub fn disassociate(ctx: &mut Ctx, input: Association) -> Result<Changed> {
    let zone = super::zone(ctx, &input.hosted_zone_id)?;
    // A VPC that is gone may still be taken out.
    let (region, id) = (input.vpc.region.as_deref(), input.vpc.id.as_deref());
    let matches =
        |v: &ZoneVpc| Some(v.vpc.as_str()) == id && region.is_none_or(|r| *v.region == *r);
    if !zone.vpcs.iter().any(matches) {
        let message = format!(
            "The VPC {} is not associated with the hosted zone {}.",
            id.unwrap_or_default(),
            zone.id
        );
        return Err(ApiError::not_found("VPCAssociationNotFound", message));
    }
    if zone.vpcs.len() == 1 {
        let message = format!(
            "The VPC is the last of the private hosted zone {}, which must keep one; delete the zone instead.",
            zone.id
        );
        return Err(conflict("LastVPCAssociation", message).with_status(400));
    }
    ctx.tx
        .modify::<HostedZone>(&zone.id, |zone| zone.vpcs.retain(|v| !matches(v)));
    Ok(Changed {
        change_info: change::submitted(ctx, input.comment),
    })
}
