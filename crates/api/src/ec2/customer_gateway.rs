//! Customer gateways: what the caller says of the far end of a VPN.

use super::error::{Result, dry_run, invalid_parameter, missing};
use super::filter::{Field, Filter, maybe, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done};
use crate::Ctx;
use model::CustomerGatewayId;
use model::gateway::CustomerGateway;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

const DEFAULT_ASN: i64 = 65_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    customer_gateway_id: String,
    state: &'static str,
    r#type: &'static str,
    /// The member for numbers of two octets; larger ones have a member of their own.
    bgp_asn: Option<String>,
    bgp_asn_extended: Option<String>,
    ip_address: Option<String>,
    certificate_arn: Option<String>,
    device_name: Option<String>,
    tag_set: Vec<Tag>,
}

fn shape(gateway: &CustomerGateway) -> Shape {
    let asn = gateway.bgp_asn.to_string();
    let extended = gateway.bgp_asn > i64::from(i32::MAX);
    Shape {
        customer_gateway_id: gateway.id.to_string(),
        state: "available",
        r#type: "ipsec.1",
        bgp_asn: Some(asn.clone()).filter(|_| !extended),
        bgp_asn_extended: Some(asn).filter(|_| extended),
        ip_address: gateway.ip_address.clone(),
        certificate_arn: gateway.certificate_arn.clone(),
        device_name: gateway.device_name.clone(),
        tag_set: tag::list(&gateway.tags),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateCustomerGateway {
    bgp_asn: Option<i64>,
    bgp_asn_extended: Option<i64>,
    public_ip: Option<String>,
    ip_address: Option<String>,
    certificate_arn: Option<String>,
    r#type: String,
    device_name: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneCustomerGateway {
    customer_gateway: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreateCustomerGateway) -> Result<OneCustomerGateway> {
    if input.r#type != "ipsec.1" {
        return Err(invalid_parameter(
            input.r#type,
            "type",
            "Expecting ipsec.1.",
        ));
    }
    let ip_address = input.ip_address.or(input.public_ip);
    if ip_address.is_none() && input.certificate_arn.is_none() {
        return Err(missing("ipAddress"));
    }
    if let Some(ip) = &ip_address
        && ip.parse::<Ipv4Addr>().is_err()
    {
        return Err(invalid_parameter(
            ip,
            "ipAddress",
            "This is not a valid IPv4 address.",
        ));
    }
    let bgp_asn = input
        .bgp_asn_extended
        .or(input.bgp_asn)
        .unwrap_or(DEFAULT_ASN);
    if !(1..=i64::from(u32::MAX)).contains(&bgp_asn) {
        let why = "Expecting a number from 1 to 4294967295.";
        return Err(invalid_parameter(bgp_asn, "bgpAsn", why));
    }
    let tags = tag::of(&input.tag_specification, CustomerGateway::TYPE)?;
    dry_run(input.dry_run)?;
    // The same end once more is the one that is there.
    let same = owned::<CustomerGateway>(&ctx.tx, &ctx.scope).find(|g| {
        g.bgp_asn == bgp_asn
            && g.ip_address == ip_address
            && g.certificate_arn == input.certificate_arn
            && g.device_name == input.device_name
    });
    if let Some(there) = same {
        return Ok(OneCustomerGateway {
            customer_gateway: shape(there),
        });
    }
    let gateway = CustomerGateway {
        id: CustomerGatewayId::random(),
        scope: ctx.scope.clone(),
        bgp_asn,
        ip_address,
        certificate_arn: input.certificate_arn,
        device_name: input.device_name,
        tags,
    };
    let answer = OneCustomerGateway {
        customer_gateway: shape(&gateway),
    };
    ctx.tx.put(gateway);
    Ok(answer)
}

const FILTERS: &[Field<CustomerGateway>] = &[
    ("bgp-asn", |_, g| one(g.bgp_asn)),
    ("customer-gateway-id", |_, g| one(&g.id)),
    ("ip-address", |_, g| maybe(g.ip_address.as_ref())),
    ("state", |_, _| one("available")),
    ("type", |_, _| one("ipsec.1")),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCustomerGateways {
    #[serde(default)]
    customer_gateway_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerGateways {
    customer_gateway_set: Vec<Shape>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeCustomerGateways) -> Result<CustomerGateways> {
    let ids = &input.customer_gateway_id;
    let (gateways, _) = describe(ctx, ids, &input.filter, FILTERS, &Page::new(None, None)?)?;
    dry_run(input.dry_run)?;
    Ok(CustomerGateways {
        customer_gateway_set: gateways.iter().map(|g| shape(g)).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteCustomerGateway {
    customer_gateway_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteCustomerGateway) -> Result<Done> {
    let gateway = find::<CustomerGateway>(ctx, &input.customer_gateway_id)?;
    dry_run(input.dry_run)?;
    ctx.tx.remove::<CustomerGateway>(&gateway.id);
    done()
}
