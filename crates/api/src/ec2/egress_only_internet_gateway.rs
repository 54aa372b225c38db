//! Egress-only internet gateways: IPv6 out, nothing in. IPv6 packets are not carried, so
//! what a gateway has to do is be there, be named by routes and go.

use super::error::{Result, dry_run, has_dependencies};
use super::filter::{Field, Filter};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use crate::Ctx;
use model::EgressOnlyInternetGatewayId;
use model::gateway::EgressOnlyInternetGateway;
use model::vpc::{RouteTable, RouteTarget, Vpc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    egress_only_internet_gateway_id: String,
    attachment_set: Vec<AttachmentShape>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttachmentShape {
    vpc_id: String,
    state: &'static str,
}

fn shape(gateway: &EgressOnlyInternetGateway) -> Shape {
    Shape {
        egress_only_internet_gateway_id: gateway.id.to_string(),
        attachment_set: vec![AttachmentShape {
            vpc_id: gateway.vpc.to_string(),
            state: "attached",
        }],
        tag_set: tag::list(&gateway.tags),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateEgressOnlyInternetGateway {
    vpc_id: String,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneEgressOnlyInternetGateway {
    client_token: Option<String>,
    egress_only_internet_gateway: Shape,
}

pub fn create(
    ctx: &mut Ctx,
    input: CreateEgressOnlyInternetGateway,
) -> Result<OneEgressOnlyInternetGateway> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let tags = tag::of(&input.tag_specification, EgressOnlyInternetGateway::TYPE)?;
    let same = super::idempotent::<EgressOnlyInternetGateway>(
        ctx,
        input.client_token.as_deref(),
        |g| g.client_token.as_deref(),
        |g| g.vpc == vpc.id && g.tags == tags,
    )?;
    dry_run(input.dry_run)?;
    let gateway = match same {
        Some(made) => made,
        None => {
            let gateway = Arc::new(EgressOnlyInternetGateway {
                id: EgressOnlyInternetGatewayId::random(),
                scope: ctx.scope.clone(),
                vpc: vpc.id.clone(),
                client_token: input.client_token.clone(),
                tags,
            });
            ctx.tx.put(EgressOnlyInternetGateway::clone(&gateway));
            gateway
        }
    };
    Ok(OneEgressOnlyInternetGateway {
        client_token: input.client_token,
        egress_only_internet_gateway: shape(&gateway),
    })
}

/// Tags only, which every resource has.
const FILTERS: &[Field<EgressOnlyInternetGateway>] = &[];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeEgressOnlyInternetGateways {
    #[serde(default)]
    egress_only_internet_gateway_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EgressOnlyInternetGateways {
    egress_only_internet_gateway_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(
    ctx: &mut Ctx,
    input: DescribeEgressOnlyInternetGateways,
) -> Result<EgressOnlyInternetGateways> {
    let page = Page::within(5, 255, input.max_results, input.next_token.as_deref())?;
    let ids = &input.egress_only_internet_gateway_id;
    let (gateways, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(EgressOnlyInternetGateways {
        egress_only_internet_gateway_set: gateways.iter().map(|g| shape(g)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteEgressOnlyInternetGateway {
    egress_only_internet_gateway_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    return_code: bool,
}

pub fn delete(ctx: &mut Ctx, input: DeleteEgressOnlyInternetGateway) -> Result<Deleted> {
    let id = &input.egress_only_internet_gateway_id;
    let gateway = find::<EgressOnlyInternetGateway>(ctx, id)?;
    let target = RouteTarget::EgressOnlyInternetGateway(gateway.id.clone());
    let routed = owned::<RouteTable>(&ctx.tx, &ctx.scope)
        .any(|t| t.ipv6_routes.iter().any(|(_, to)| *to == target));
    if routed {
        return Err(has_dependencies("egressOnlyInternetGateway", &gateway.id));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<EgressOnlyInternetGateway>(&gateway.id);
    Ok(Deleted { return_code: true })
}
