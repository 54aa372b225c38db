//! Virtual private gateways: AWS's end of a VPN, one to a VPC.
//!
//! A VPN connection cannot be made here (`CreateVpnConnection` is refused), so a route to
//! a gateway drops what it matches, as on AWS while no tunnel is up.

use super::error::{Result, dry_run, error, invalid_parameter, invalid_value};
use super::filter::{Field, Filter, maybe, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done};
use crate::Ctx;
use model::gateway::VpnGateway;
use model::vpc::{RouteTable, Vpc};
use model::{VpnGatewayId, zone};
use serde::{Deserialize, Serialize};

const DEFAULT_ASN: i64 = 64_512;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    vpn_gateway_id: String,
    state: &'static str,
    r#type: &'static str,
    amazon_side_asn: i64,
    availability_zone: Option<String>,
    attachments: Vec<AttachmentShape>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttachmentShape {
    vpc_id: String,
    state: &'static str,
}

fn shape(gateway: &VpnGateway) -> Shape {
    let attachments = gateway.vpc.iter().map(|vpc| AttachmentShape {
        vpc_id: vpc.to_string(),
        state: "attached",
    });
    Shape {
        vpn_gateway_id: gateway.id.to_string(),
        state: "available",
        r#type: "ipsec.1",
        amazon_side_asn: gateway.amazon_side_asn,
        availability_zone: gateway.zone.clone(),
        attachments: attachments.collect(),
        tag_set: tag::list(&gateway.tags),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateVpnGateway {
    r#type: String,
    availability_zone: Option<String>,
    amazon_side_asn: Option<i64>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneVpnGateway {
    vpn_gateway: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreateVpnGateway) -> Result<OneVpnGateway> {
    if input.r#type != "ipsec.1" {
        return Err(invalid_parameter(
            input.r#type,
            "type",
            "Expecting ipsec.1.",
        ));
    }
    let asn = input.amazon_side_asn.unwrap_or(DEFAULT_ASN);
    let private =
        (64_512..=65_534).contains(&asn) || (4_200_000_000..=4_294_967_294).contains(&asn);
    if !private {
        let why = "Expecting a private ASN: 64512 to 65534, or 4200000000 to 4294967294.";
        return Err(invalid_parameter(asn, "amazonSideAsn", why));
    }
    let zone = input.availability_zone.filter(|z| !z.is_empty());
    if let Some(zone) = &zone
        && zone::zone_id(zone).is_none()
    {
        return Err(invalid_value(format!(
            "Invalid availability zone: [{zone}]"
        )));
    }
    let tags = tag::of(&input.tag_specification, VpnGateway::TYPE)?;
    dry_run(input.dry_run)?;
    let gateway = VpnGateway {
        id: VpnGatewayId::random(),
        scope: ctx.scope.clone(),
        vpc: None,
        amazon_side_asn: asn,
        zone,
        tags,
    };
    let answer = OneVpnGateway {
        vpn_gateway: shape(&gateway),
    };
    ctx.tx.put(gateway);
    Ok(answer)
}

const FILTERS: &[Field<VpnGateway>] = &[
    ("amazon-side-asn", |_, g| one(g.amazon_side_asn)),
    ("attachment.state", |_, g| {
        maybe(g.vpc.as_ref().map(|_| "attached"))
    }),
    ("attachment.vpc-id", |_, g| maybe(g.vpc.as_ref())),
    ("availability-zone", |_, g| maybe(g.zone.as_ref())),
    ("state", |_, _| one("available")),
    ("type", |_, _| one("ipsec.1")),
    ("vpn-gateway-id", |_, g| one(&g.id)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVpnGateways {
    #[serde(default)]
    vpn_gateway_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VpnGateways {
    vpn_gateway_set: Vec<Shape>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeVpnGateways) -> Result<VpnGateways> {
    let ids = &input.vpn_gateway_id;
    let (gateways, _) = describe(ctx, ids, &input.filter, FILTERS, &Page::new(None, None)?)?;
    dry_run(input.dry_run)?;
    Ok(VpnGateways {
        vpn_gateway_set: gateways.iter().map(|g| shape(g)).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteVpnGateway {
    vpn_gateway_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteVpnGateway) -> Result<Done> {
    let gateway = find::<VpnGateway>(ctx, &input.vpn_gateway_id)?;
    if gateway.vpc.is_some() {
        return Err(error(
            "IncorrectState",
            format!("The vpnGateway '{}' is attached to a VPC.", gateway.id),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<VpnGateway>(&gateway.id);
    done()
}

/// `AttachVpnGateway` and `DetachVpnGateway`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attachment {
    vpc_id: String,
    vpn_gateway_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    attachment: AttachmentShape,
}

pub fn attach(ctx: &mut Ctx, input: Attachment) -> Result<Attached> {
    let gateway = find::<VpnGateway>(ctx, &input.vpn_gateway_id)?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    if gateway.vpc.as_ref().is_some_and(|other| *other != vpc.id) {
        return Err(error(
            "VpnGatewayAttachmentLimitExceeded",
            format!("vpnGateway '{}' is attached to another VPC.", gateway.id),
        ));
    }
    let other = |g: &VpnGateway| g.id != gateway.id && g.vpc.as_ref() == Some(&vpc.id);
    if owned::<VpnGateway>(&ctx.tx, &ctx.scope).any(|g| other(g)) {
        return Err(invalid_value(format!(
            "Network {} already has a virtual private gateway attached",
            vpc.id
        )));
    }
    dry_run(input.dry_run)?;
    ctx.tx
        .modify::<VpnGateway>(&gateway.id, |g| g.vpc = Some(vpc.id.clone()));
    Ok(Attached {
        attachment: AttachmentShape {
            vpc_id: vpc.id.to_string(),
            state: "attached",
        },
    })
}

pub fn detach(ctx: &mut Ctx, input: Attachment) -> Result<Done> {
    let gateway = find::<VpnGateway>(ctx, &input.vpn_gateway_id)?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    if gateway.vpc.as_ref() != Some(&vpc.id) {
        return Err(error(
            "InvalidVpnGatewayAttachment.NotFound",
            format!(
                "The attachment with vpn gateway ID '{}' and vpc ID '{}' does not exist",
                gateway.id, vpc.id
            ),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx.modify::<VpnGateway>(&gateway.id, |g| g.vpc = None);
    // A gateway that left the VPC has no routes to give.
    let tables: Vec<_> = owned::<RouteTable>(&ctx.tx, &ctx.scope)
        .filter(|t| t.propagating_gateways.contains(&gateway.id))
        .map(|t| t.id.clone())
        .collect();
    for table in tables {
        ctx.tx.modify::<RouteTable>(&table, |t| {
            t.propagating_gateways.retain(|g| *g != gateway.id);
        });
    }
    done()
}

/// `EnableVgwRoutePropagation` and `DisableVgwRoutePropagation`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Propagation {
    gateway_id: String,
    route_table_id: String,
    dry_run: Option<bool>,
}

pub fn enable_propagation(ctx: &mut Ctx, input: Propagation) -> Result<Done> {
    let (mut table, gateway) = propagation(ctx, &input)?;
    if ctx
        .tx
        .get::<VpnGateway>(&gateway)
        .and_then(|g| g.vpc.clone())
        != Some(table.vpc.clone())
    {
        return Err(error(
            "Gateway.NotAttached",
            format!(
                "resource {gateway} is not attached to network {}",
                table.vpc
            ),
        ));
    }
    if !table.propagating_gateways.contains(&gateway) {
        table.propagating_gateways.push(gateway);
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(table);
    done()
}

pub fn disable_propagation(ctx: &mut Ctx, input: Propagation) -> Result<Done> {
    let (mut table, gateway) = propagation(ctx, &input)?;
    table.propagating_gateways.retain(|g| *g != gateway);
    dry_run(input.dry_run)?;
    ctx.tx.put(table);
    done()
}

fn propagation(ctx: &Ctx, input: &Propagation) -> Result<(RouteTable, VpnGatewayId)> {
    let table = find::<RouteTable>(ctx, &input.route_table_id)?;
    let gateway = find::<VpnGateway>(ctx, &input.gateway_id)?;
    Ok((RouteTable::clone(&table), gateway.id.clone()))
}
