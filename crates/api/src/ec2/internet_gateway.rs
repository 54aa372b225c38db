//! Internet gateways: one to a VPC.

use super::error::{Result, dry_run, error, has_dependencies, invalid_value};
use super::filter::{Field, Filter, maybe, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done, public_address, quota};
use crate::Ctx;
use model::InternetGatewayId;
use model::vpc::{InternetGateway, Vpc};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    internet_gateway_id: String,
    owner_id: String,
    attachment_set: Vec<AttachmentShape>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttachmentShape {
    vpc_id: String,
    /// `available`, where other gateways say `attached`.
    state: &'static str,
}

fn shape(gateway: &InternetGateway) -> Shape {
    Shape {
        internet_gateway_id: gateway.id.to_string(),
        owner_id: gateway.scope.account.to_string(),
        attachment_set: gateway
            .vpc
            .iter()
            .map(|vpc| AttachmentShape {
                vpc_id: vpc.to_string(),
                state: "available",
            })
            .collect(),
        tag_set: tag::list(&gateway.tags),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateInternetGateway {
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneInternetGateway {
    internet_gateway: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreateInternetGateway) -> Result<OneInternetGateway> {
    let tags = tag::of(&input.tag_specification, InternetGateway::TYPE)?;
    quota::check::<InternetGateway>(
        ctx,
        quota::INTERNET_GATEWAYS,
        "InternetGatewayLimitExceeded",
        "internet gateways",
        |_| true,
    )?;
    dry_run(input.dry_run)?;
    let gateway = InternetGateway {
        id: InternetGatewayId::random(),
        scope: ctx.scope.clone(),
        vpc: None,
        tags,
    };
    let answer = OneInternetGateway {
        internet_gateway: shape(&gateway),
    };
    ctx.tx.put(gateway);
    Ok(answer)
}

const FILTERS: &[Field<InternetGateway>] = &[
    ("attachment.state", |_, g| {
        maybe(g.vpc.as_ref().map(|_| "available"))
    }),
    ("attachment.vpc-id", |_, g| maybe(g.vpc.as_ref())),
    ("internet-gateway-id", |_, g| one(&g.id)),
    ("owner-id", |_, g| one(&g.scope.account)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInternetGateways {
    #[serde(default)]
    internet_gateway_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InternetGateways {
    internet_gateway_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeInternetGateways) -> Result<InternetGateways> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let ids = &input.internet_gateway_id;
    let (gateways, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(InternetGateways {
        internet_gateway_set: gateways.iter().map(|g| shape(g)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteInternetGateway {
    internet_gateway_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteInternetGateway) -> Result<Done> {
    let gateway = find::<InternetGateway>(ctx, &input.internet_gateway_id)?;
    if gateway.vpc.is_some() {
        return Err(has_dependencies("internetGateway", &gateway.id));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<InternetGateway>(&gateway.id);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attachment {
    internet_gateway_id: String,
    vpc_id: String,
    dry_run: Option<bool>,
}

pub fn attach(ctx: &mut Ctx, input: Attachment) -> Result<Done> {
    let gateway = find::<InternetGateway>(ctx, &input.internet_gateway_id)?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    if let Some(other) = &gateway.vpc {
        return Err(error(
            "Resource.AlreadyAssociated",
            format!(
                "resource {} is already attached to network {other}",
                gateway.id
            ),
        ));
    }
    if of_vpc(&ctx.tx, &vpc).is_some() {
        return Err(invalid_value(format!(
            "Network {} already has an internet gateway attached",
            vpc.id
        )));
    }
    dry_run(input.dry_run)?;
    ctx.tx
        .modify::<InternetGateway>(&gateway.id, |g| g.vpc = Some(vpc.id.clone()));
    done()
}

pub fn detach(ctx: &mut Ctx, input: Attachment) -> Result<Done> {
    let gateway = find::<InternetGateway>(ctx, &input.internet_gateway_id)?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    if gateway.vpc.as_ref() != Some(&vpc.id) {
        return Err(error(
            "Gateway.NotAttached",
            format!(
                "resource {} is not attached to network {}",
                gateway.id, vpc.id
            ),
        ));
    }
    if public_address::in_use(&ctx.tx, &vpc) {
        return Err(error(
            "DependencyViolation",
            format!(
                "Network {} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.",
                vpc.id
            ),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx
        .modify::<InternetGateway>(&gateway.id, |g| g.vpc = None);
    done()
}

/// The gateway that is attached to the VPC.
pub(super) fn of_vpc<'a>(state: &'a store::State, vpc: &'a Vpc) -> Option<&'a InternetGateway> {
    owned::<InternetGateway>(state, &vpc.scope)
        .find(|g| g.vpc.as_ref() == Some(&vpc.id))
        .map(|g| g.as_ref())
}
