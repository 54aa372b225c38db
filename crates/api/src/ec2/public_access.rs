//! VPC Block Public Access: the region's block and its exclusions. The network controller cuts
//! what they say; states are what it has seen done.

use super::error::{Result, dry_run, invalid_combination, invalid_parameter, missing};
use super::filter::{Field, Filter, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use crate::Ctx;
use model::PublicAccessExclusionId;
use model::public_access::{
    BlockMode, Excluded, ExclusionState, PublicAccessBlock, PublicAccessExclusion,
};
use model::vpc::{Subnet, Vpc};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    vpc_block_public_access_options: OptionsShape,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OptionsShape {
    aws_account_id: String,
    aws_region: String,
    state: &'static str,
    internet_gateway_block_mode: &'static str,
    last_update_timestamp: Option<wire::Timestamp>,
    managed_by: &'static str,
    exclusions_allowed: &'static str,
}

fn options(ctx: &Ctx, block: Option<&PublicAccessBlock>) -> Options {
    Options {
        vpc_block_public_access_options: OptionsShape {
            aws_account_id: ctx.scope.account.to_string(),
            aws_region: ctx.scope.region.to_string(),
            state: match block {
                None => "default-state",
                Some(block) if block.in_force => "update-complete",
                Some(_) => "update-in-progress",
            },
            internet_gateway_block_mode: match block.map(|b| b.mode) {
                None | Some(BlockMode::Off) => "off",
                Some(BlockMode::Bidirectional) => "block-bidirectional",
                Some(BlockMode::Ingress) => "block-ingress",
            },
            last_update_timestamp: block.map(|b| b.since.into()),
            managed_by: "account",
            exclusions_allowed: "allowed",
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOptions {
    dry_run: Option<bool>,
}

pub fn describe_options(ctx: &mut Ctx, input: DescribeOptions) -> Result<Options> {
    dry_run(input.dry_run)?;
    let settings = super::ebs_default::of(&ctx.tx, &ctx.scope);
    Ok(options(ctx, settings.public_access.as_ref()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyOptions {
    internet_gateway_block_mode: String,
    dry_run: Option<bool>,
}

pub fn modify_options(ctx: &mut Ctx, input: ModifyOptions) -> Result<Options> {
    let mode = match input.internet_gateway_block_mode.as_str() {
        "off" => BlockMode::Off,
        "block-bidirectional" => BlockMode::Bidirectional,
        "block-ingress" => BlockMode::Ingress,
        other => {
            let why = "Expecting off, block-bidirectional or block-ingress.";
            return Err(invalid_parameter(other, "InternetGatewayBlockMode", why));
        }
    };
    dry_run(input.dry_run)?;
    let block = PublicAccessBlock {
        mode,
        since: ctx.now,
        in_force: false,
    };
    let answer = options(ctx, Some(&block));
    let mut settings = super::ebs_default::of(&ctx.tx, &ctx.scope);
    settings.public_access = Some(block);
    ctx.tx.put(settings);
    Ok(answer)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    exclusion_id: String,
    internet_gateway_exclusion_mode: &'static str,
    resource_arn: String,
    state: &'static str,
    creation_timestamp: wire::Timestamp,
    last_update_timestamp: wire::Timestamp,
    deletion_timestamp: Option<wire::Timestamp>,
    tag_set: Vec<Tag>,
}

fn mode(exclusion: &PublicAccessExclusion) -> &'static str {
    if exclusion.egress_only {
        "allow-egress"
    } else {
        "allow-bidirectional"
    }
}

fn arn(exclusion: &PublicAccessExclusion) -> String {
    match &exclusion.of {
        Excluded::Vpc(id) => exclusion.scope.arn("ec2", format_args!("vpc/{id}")),
        Excluded::Subnet(id) => exclusion.scope.arn("ec2", format_args!("subnet/{id}")),
    }
}

fn shape(exclusion: &PublicAccessExclusion) -> Shape {
    Shape {
        exclusion_id: exclusion.id.to_string(),
        internet_gateway_exclusion_mode: mode(exclusion),
        resource_arn: arn(exclusion),
        state: exclusion.state.name(),
        creation_timestamp: exclusion.created.into(),
        last_update_timestamp: exclusion.updated.into(),
        deletion_timestamp: exclusion.deleted.map(Into::into),
        tag_set: tag::list(&exclusion.tags),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneExclusion {
    vpc_block_public_access_exclusion: Shape,
}

fn answer(exclusion: &PublicAccessExclusion) -> Result<OneExclusion> {
    Ok(OneExclusion {
        vpc_block_public_access_exclusion: shape(exclusion),
    })
}

fn is_egress_only(mode: &str) -> Result<bool> {
    match mode {
        "allow-bidirectional" => Ok(false),
        "allow-egress" => Ok(true),
        other => {
            let why = "Expecting allow-bidirectional or allow-egress.";
            Err(invalid_parameter(
                other,
                "InternetGatewayExclusionMode",
                why,
            ))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateExclusion {
    vpc_id: Option<String>,
    subnet_id: Option<String>,
    internet_gateway_exclusion_mode: String,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

pub fn create(ctx: &mut Ctx, input: CreateExclusion) -> Result<OneExclusion> {
    let egress_only = is_egress_only(&input.internet_gateway_exclusion_mode)?;
    let of = match (input.vpc_id, input.subnet_id) {
        (Some(id), None) => Excluded::Vpc(find::<Vpc>(ctx, &id)?.id.clone()),
        (None, Some(id)) => Excluded::Subnet(find::<Subnet>(ctx, &id)?.id.clone()),
        (None, None) => return Err(missing("VpcId or SubnetId")),
        (Some(_), Some(_)) => {
            return Err(invalid_combination(
                "An exclusion is of a VPC or of a subnet, not of both.",
            ));
        }
    };
    let same = |e: &std::sync::Arc<PublicAccessExclusion>| e.of == of && e.state.counts();
    if owned::<PublicAccessExclusion>(&ctx.tx, &ctx.scope).any(same) {
        return Err(super::error::invalid_value(
            "There is an exclusion of that VPC or subnet already.",
        ));
    }
    let tags = tag::of(&input.tag_specification, PublicAccessExclusion::TYPE)?;
    dry_run(input.dry_run)?;
    let exclusion = PublicAccessExclusion {
        id: PublicAccessExclusionId::random(),
        scope: ctx.scope.clone(),
        of,
        egress_only,
        state: ExclusionState::CreateInProgress,
        created: ctx.now,
        updated: ctx.now,
        deleted: None,
        tags,
    };
    ctx.tx.put(exclusion.clone());
    answer(&exclusion)
}

/// The caller's exclusion, which must not have been deleted.
fn present(ctx: &Ctx, id: &str) -> Result<PublicAccessExclusion> {
    let found = find::<PublicAccessExclusion>(ctx, id)?;
    if found.state.counts() {
        return Ok(PublicAccessExclusion::clone(&found));
    }
    Err(PublicAccessExclusion::not_found(id))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyExclusion {
    exclusion_id: String,
    internet_gateway_exclusion_mode: String,
    dry_run: Option<bool>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyExclusion) -> Result<OneExclusion> {
    let mut exclusion = present(ctx, &input.exclusion_id)?;
    exclusion.egress_only = is_egress_only(&input.internet_gateway_exclusion_mode)?;
    exclusion.state = ExclusionState::UpdateInProgress;
    exclusion.updated = ctx.now;
    dry_run(input.dry_run)?;
    ctx.tx.put(exclusion.clone());
    answer(&exclusion)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteExclusion {
    exclusion_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteExclusion) -> Result<OneExclusion> {
    let mut exclusion = present(ctx, &input.exclusion_id)?;
    dry_run(input.dry_run)?;
    exclusion.state = ExclusionState::DeleteInProgress;
    exclusion.updated = ctx.now;
    exclusion.deleted = Some(ctx.now);
    ctx.tx.put(exclusion.clone());
    answer(&exclusion)
}

const FILTERS: &[Field<PublicAccessExclusion>] = &[
    ("internet-gateway-exclusion-mode", |_, e| one(mode(e))),
    ("resource-arn", |_, e| one(arn(e))),
    ("state", |_, e| one(e.state.name())),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeExclusions {
    #[serde(default)]
    exclusion_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exclusions {
    vpc_block_public_access_exclusion_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeExclusions) -> Result<Exclusions> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (found, next_token) = describe(ctx, &input.exclusion_id, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(Exclusions {
        vpc_block_public_access_exclusion_set: found.iter().map(|e| shape(e)).collect(),
        next_token,
    })
}
