//! Hosted zones themselves.

use super::change::{self, ChangeInfo, Changed};
use super::zone_vpc::{self, VpcShape};
use super::{Result, conflict, invalid, location, name, new_id};
use crate::Ctx;
use model::Tags;
use model::route53::{HostedZone, RecordAnswer, RecordSet, RecordSetKey, Routing};
use serde::{Deserialize, Serialize};
use wire::ApiError;

/// Records of a zone, and VPCs of a private one. Source:
/// `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html`
pub const MAX_RECORDS: usize = 10_000;
pub const MAX_VPCS: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateHostedZone {
    name: String,
    #[serde(rename = "VPC")]
    vpc: Option<VpcShape>,
    caller_reference: String,
    hosted_zone_config: Option<Config>,
    #[serde(default, deserialize_with = "wire::refused")]
    delegation_set_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    comment: Option<String>,
    #[serde(default)]
    private_zone: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    id: String,
    name: String,
    caller_reference: String,
    config: Config,
    resource_record_set_count: usize,
}

pub fn shape(ctx: &Ctx, zone: &HostedZone) -> Shape {
    Shape {
        id: format!("/hostedzone/{}", zone.id),
        name: zone.name.clone(),
        caller_reference: zone.caller_reference.clone(),
        config: Config {
            comment: zone.comment.clone(),
            private_zone: zone.private,
        },
        resource_record_set_count: ctx.tx.record_sets.of(&*zone.id).count(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DelegationSet {
    name_servers: NameServers,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/NameServer")]
struct NameServers(Vec<&'static str>);

fn delegation_set(zone: &HostedZone) -> DelegationSet {
    DelegationSet {
        name_servers: NameServers(zone.name_servers().into()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    #[serde(rename = "$wire::Header/Location")]
    location: String,
    hosted_zone: Shape,
    change_info: ChangeInfo,
    delegation_set: DelegationSet,
    #[serde(rename = "VPC")]
    vpc: Option<VpcShape>,
}

pub fn create(ctx: &mut Ctx, input: CreateHostedZone) -> Result<Created> {
    let zone_name = name::of_zone(&input.name)?;
    if input.delegation_set_id.is_some() {
        let message = "There are no reusable delegation sets here; leave DelegationSetId out.";
        return Err(ApiError::client("NoSuchDelegationSet", message));
    }
    if input.caller_reference.is_empty() || input.caller_reference.len() > 128 {
        return Err(invalid("CallerReference has 1 to 128 characters."));
    }
    if input.vpc.is_none() && zone_name.matches('.').count() < 2 {
        // As on AWS: it would be everybody's.
        let message = format!("{zone_name} is a top-level domain, which cannot be a public zone");
        return Err(ApiError::client("InvalidDomainName", message));
    }
    let account = &ctx.scope.account;
    let ours = |z: &&std::sync::Arc<HostedZone>| z.scope.account == *account;
    if ctx
        .tx
        .hosted_zones
        .values()
        .filter(ours)
        .any(|z| z.caller_reference == input.caller_reference)
    {
        let message = "A hosted zone has already been created with the specified caller reference.";
        return Err(conflict("HostedZoneAlreadyExists", message));
    }
    let config = input.hosted_zone_config;
    if input.vpc.is_none() && config.as_ref().is_some_and(|c| c.private_zone) {
        return Err(invalid(
            "When you're creating a private hosted zone (when you specify true for PrivateZone), you must also specify values for VPCId and VPCRegion.",
        ));
    }
    let vpc = input.vpc.map(|vpc| zone_vpc::of(ctx, &vpc)).transpose()?;
    if let Some(vpc) = &vpc {
        zone_vpc::check_free(ctx, &zone_name, vpc)?;
    }
    let comment = config.and_then(|c| c.comment).filter(|c| !c.is_empty());
    if comment.as_ref().is_some_and(|c| c.chars().count() > 256) {
        return Err(invalid("A comment has at most 256 characters."));
    }
    let zone = HostedZone {
        scope: ctx.scope.clone(),
        id: new_id('Z'),
        name: zone_name,
        caller_reference: input.caller_reference,
        comment,
        private: vpc.is_some(),
        vpcs: vpc.iter().cloned().collect(),
        created: ctx.now,
        tags: Tags::new(),
    };
    let own = |kind: &str, ttl, values| RecordSet {
        zone: zone.id.clone(),
        name: zone.name.clone(),
        kind: kind.to_owned(),
        set_identifier: String::new(),
        routing: Routing::Simple,
        answer: RecordAnswer::Values { ttl, values },
        health_check: None,
    };
    let servers = zone.name_servers();
    let soa = format!(
        "{}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
        servers[0]
    );
    let dotted = servers.iter().map(|server| format!("{server}."));
    ctx.tx.put(own("NS", 172_800, dotted.collect()));
    ctx.tx.put(own("SOA", 900, vec![soa]));
    ctx.tx.put(zone.clone());
    let change_info = change::submitted(ctx, None);
    Ok(Created {
        location: location(&format!("/hostedzone/{}", zone.id)),
        hosted_zone: shape(ctx, &zone),
        change_info,
        delegation_set: delegation_set(&zone),
        vpc: vpc.as_ref().map(VpcShape::from),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OfId {
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Got {
    hosted_zone: Shape,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegation_set: Option<DelegationSet>,
    #[serde(rename = "VPCs")]
    vpcs: Option<Vpcs>,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/VPC")]
struct Vpcs(Vec<VpcShape>);

pub fn get(ctx: &mut Ctx, input: OfId) -> Result<Got> {
    let zone = super::zone(ctx, &input.id)?;
    Ok(Got {
        hosted_zone: shape(ctx, &zone),
        delegation_set: (!zone.private).then(|| delegation_set(&zone)),
        vpcs: zone
            .private
            .then(|| Vpcs(zone.vpcs.iter().map(VpcShape::from).collect())),
    })
}

pub fn delete(ctx: &mut Ctx, input: OfId) -> Result<Changed> {
    let zone = super::zone(ctx, &input.id)?;
    let is_own = |r: &RecordSet| r.name == zone.name && matches!(&*r.kind, "NS" | "SOA");
    if !ctx.tx.record_sets.of(&*zone.id).all(|r| is_own(r)) {
        let message = "The specified hosted zone contains non-required resource record sets and so cannot be deleted.";
        return Err(ApiError::client("HostedZoneNotEmpty", message));
    }
    let records: Vec<RecordSetKey> = ctx.tx.record_sets.of(&*zone.id).map(|r| r.key()).collect();
    for key in records {
        ctx.tx.remove::<RecordSet>(&key);
    }
    ctx.tx.remove::<HostedZone>(&zone.id);
    Ok(Changed {
        change_info: change::submitted(ctx, None),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateHostedZoneComment {
    id: String,
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Updated {
    hosted_zone: Shape,
}

pub fn update_comment(ctx: &mut Ctx, input: UpdateHostedZoneComment) -> Result<Updated> {
    let zone = super::zone(ctx, &input.id)?;
    let comment = input.comment.filter(|c| !c.is_empty());
    if comment.as_ref().is_some_and(|c| c.chars().count() > 256) {
        return Err(invalid("A comment has at most 256 characters."));
    }
    let mut zone = HostedZone::clone(&zone);
    zone.comment = comment;
    ctx.tx.put(zone.clone());
    Ok(Updated {
        hosted_zone: shape(ctx, &zone),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetHostedZoneLimit {
    hosted_zone_id: String,
    r#type: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GotLimit {
    limit: Limit,
    count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limit {
    r#type: String,
    value: usize,
}

pub fn limit(ctx: &mut Ctx, input: GetHostedZoneLimit) -> Result<GotLimit> {
    let zone = super::zone(ctx, &input.hosted_zone_id)?;
    let (value, count) = match &*input.r#type {
        "MAX_RRSETS_BY_ZONE" => (MAX_RECORDS, ctx.tx.record_sets.of(&*zone.id).count()),
        "MAX_VPCS_ASSOCIATED_BY_ZONE" if zone.private => (MAX_VPCS, zone.vpcs.len()),
        "MAX_VPCS_ASSOCIATED_BY_ZONE" => {
            let message = format!("The hosted zone {} is not private.", zone.id);
            return Err(ApiError::client("HostedZoneNotPrivate", message));
        }
        other => {
            return Err(invalid(format!(
                "Type is MAX_RRSETS_BY_ZONE or MAX_VPCS_ASSOCIATED_BY_ZONE, not {other}."
            )));
        }
    };
    Ok(GotLimit {
        limit: Limit {
            r#type: input.r#type,
            value,
        },
        count,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetDnssec {
    hosted_zone_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dnssec {
    status: DnssecStatus,
    key_signing_keys: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DnssecStatus {
    serve_signature: &'static str,
}

/// No zone here is signed.
pub fn dnssec(ctx: &mut Ctx, input: GetDnssec) -> Result<Dnssec> {
    super::zone(ctx, &input.hosted_zone_id)?;
    Ok(Dnssec {
        status: DnssecStatus {
            serve_signature: "NOT_SIGNING",
        },
        key_signing_keys: [],
    })
}
