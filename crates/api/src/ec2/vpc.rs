//! VPCs, their attributes and CIDR blocks.
//!
//! A VPC comes with a main route table, a default network ACL and a default
//! security group, and takes them with it when it goes.

use super::error::{
    Result, dry_run, error, has_dependencies, invalid_parameter, refuse, required, unsupported,
};
use super::filter::{Field, Filter, all, one};
use super::ipv6::{self, VpcBlock};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{
    Done, cidr, dhcp_options, done, network_acl, quota, route_table, security_group, vpc_peering,
};
use crate::Ctx;
use ipnet::Ipv4Net;
use model::gateway::{EgressOnlyInternetGateway, VpnGateway};
use model::vpc::{
    InternetGateway, NetworkAcl, NetworkInterface, RouteTable, SecurityGroup, Subnet, Vpc,
};
use model::vpc_endpoint::VpcEndpoint;
use model::{Scope, Tags, VpcId};
use serde::{Deserialize, Serialize};
use store::{State, Tx};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shape {
    vpc_id: String,
    owner_id: String,
    state: &'static str,
    cidr_block: String,
    cidr_block_association_set: Vec<CidrBlockAssociation>,
    ipv6_cidr_block_association_set: Vec<VpcBlock>,
    dhcp_options_id: String,
    instance_tenancy: String,
    is_default: bool,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CidrBlockAssociation {
    association_id: String,
    cidr_block: String,
    cidr_block_state: CidrBlockState,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CidrBlockState {
    state: &'static str,
}

impl CidrBlockAssociation {
    pub(super) fn new(id: &str, cidr: &Ipv4Net, state: &'static str) -> Self {
        Self {
            association_id: id.to_owned(),
            cidr_block: cidr.to_string(),
            cidr_block_state: CidrBlockState { state },
        }
    }
}

pub(super) fn shape(vpc: &Vpc) -> Shape {
    Shape {
        vpc_id: vpc.id.to_string(),
        owner_id: vpc.scope.account.to_string(),
        state: "available",
        cidr_block: vpc.primary_cidr().to_string(),
        cidr_block_association_set: vpc
            .cidrs
            .iter()
            .map(|(id, cidr)| CidrBlockAssociation::new(id, cidr, "associated"))
            .collect(),
        ipv6_cidr_block_association_set: vpc
            .ipv6_cidrs
            .iter()
            .map(|given| VpcBlock::new(vpc, given, "associated"))
            .collect(),
        dhcp_options_id: vpc.dhcp_options.to_string(),
        instance_tenancy: vpc.instance_tenancy.clone(),
        is_default: vpc.is_default,
        tag_set: tag::list(&vpc.tags),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneVpc {
    pub(super) vpc: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateVpc {
    cidr_block: Option<String>,
    instance_tenancy: Option<String>,
    amazon_provided_ipv6_cidr_block: Option<bool>,
    ipv6_cidr_block_network_border_group: Option<String>,
    ipv6_cidr_block: Option<String>,
    ipv6_pool: Option<String>,
    ipv4_ipam_pool_id: Option<String>,
    ipv4_netmask_length: Option<i32>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

pub fn create(ctx: &mut Ctx, input: CreateVpc) -> Result<OneVpc> {
    check_border_group(ctx, input.ipv6_cidr_block_network_border_group.as_deref())?;
    refuse(&input.ipv6_cidr_block, "Ipv6CidrBlock")?;
    refuse(&input.ipv6_pool, "Ipv6Pool")?;
    refuse(&input.ipv4_ipam_pool_id, "Ipv4IpamPoolId")?;
    refuse(&input.ipv4_netmask_length, "Ipv4NetmaskLength")?;
    let block = cidr::ipv4(&required(input.cidr_block, "cidrBlock")?, "cidrBlock")?;
    check_block(ctx, &block)?;
    let tenancy = input.instance_tenancy.unwrap_or_else(|| "default".into());
    if !matches!(tenancy.as_str(), "default" | "dedicated") {
        let why = "The tenancy of a VPC is default or dedicated.";
        return Err(invalid_parameter(tenancy, "instanceTenancy", why));
    }
    let tags = tag::of(&input.tag_specification, Vpc::TYPE)?;
    quota::check::<Vpc>(ctx, quota::VPCS, "VpcLimitExceeded", "VPCs", |_| true)?;
    dry_run(input.dry_run)?;
    let scope = ctx.scope.clone();
    let mut vpc = make(&mut ctx.tx, &scope, block, tenancy, tags);
    if input.amazon_provided_ipv6_cidr_block == Some(true) {
        ipv6::give(ctx, &mut vpc)?;
        security_group::allow_ipv6(&mut ctx.tx, &vpc);
        ctx.tx.put(vpc.clone());
    }
    Ok(OneVpc { vpc: shape(&vpc) })
}

/// Addresses are announced from the region itself: Local and Wavelength Zones are not here.
pub(super) fn check_border_group(ctx: &Ctx, group: Option<&str>) -> Result<()> {
    match group {
        Some(group) if *group != *ctx.scope.region => Err(unsupported(format!(
            "The network border group {group} is not supported by this cloud."
        ))),
        _ => Ok(()),
    }
}

/// A VPC and what comes with it.
pub(super) fn make(
    tx: &mut Tx,
    scope: &Scope,
    block: Ipv4Net,
    instance_tenancy: String,
    tags: Tags,
) -> Vpc {
    let vpc = Vpc {
        id: VpcId::random(),
        scope: scope.clone(),
        cidrs: vec![(association_id(), block)],
        ipv6_cidrs: Vec::new(),
        is_default: false,
        instance_tenancy,
        dhcp_options: dhcp_options::default_of(tx, scope),
        enable_dns_support: true,
        enable_dns_hostnames: false,
        enable_network_address_usage_metrics: false,
        tags,
    };
    tx.put(vpc.clone());
    route_table::make_main(tx, &vpc);
    network_acl::make_default(tx, &vpc);
    security_group::make_default(tx, &vpc);
    vpc
}

pub(super) fn association_id() -> String {
    format!("vpc-cidr-assoc-{}", model::random_hex(17))
}

/// The sizes and ranges that a VPC may have.
pub(super) fn check_block(ctx: &Ctx, block: &Ipv4Net) -> Result<()> {
    const NEVER: [&str; 4] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];
    let never = NEVER.iter().filter_map(|n| n.parse::<Ipv4Net>().ok());
    // Addresses of the public pool would be inside and outside at once.
    let mut barred = never.chain([ctx.cloud.public_pool]);
    let size = (16..=28).contains(&block.prefix_len());
    if !size || barred.any(|n| cidr::overlap(&n, block)) {
        return Err(range(block));
    }
    Ok(())
}

pub(super) fn range(block: &Ipv4Net) -> wire::ApiError {
    error(
        "InvalidVpc.Range",
        format!("The CIDR '{block}' is invalid."),
    )
}

const FILTERS: &[Field<Vpc>] = &[
    ("cidr", |_, v| one(v.primary_cidr())),
    ("cidr-block-association.cidr-block", |_, v| {
        all(v.cidrs.iter().map(|(_, c)| c))
    }),
    ("cidr-block-association.association-id", |_, v| {
        all(v.cidrs.iter().map(|(id, _)| id))
    }),
    ("cidr-block-association.state", |_, _| one("associated")),
    ("dhcp-options-id", |_, v| one(&v.dhcp_options)),
    ("is-default", |_, v| one(v.is_default)),
    ("isDefault", |_, v| one(v.is_default)),
    ("instance-tenancy", |_, v| one(&v.instance_tenancy)),
    ("owner-id", |_, v| one(&v.scope.account)),
    ("state", |_, _| one("available")),
    ("vpc-id", |_, v| one(&v.id)),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_, v| {
        all(v.ipv6_cidrs.iter().map(|(_, block)| block))
    }),
    ("ipv6-cidr-block-association.association-id", |_, v| {
        all(v.ipv6_cidrs.iter().map(|(id, _)| id))
    }),
    ("ipv6-cidr-block-association.ipv6-pool", |_, v| {
        all(v.ipv6_cidrs.iter().map(|_| "Amazon"))
    }),
    ("ipv6-cidr-block-association.state", |_, v| {
        all(v.ipv6_cidrs.iter().map(|_| "associated"))
    }),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVpcs {
    #[serde(default)]
    vpc_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vpcs {
    vpc_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeVpcs) -> Result<Vpcs> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (vpcs, next_token) = describe(ctx, &input.vpc_id, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(Vpcs {
        vpc_set: vpcs.iter().map(|v| shape(v)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteVpc {
    vpc_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteVpc) -> Result<Done> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    if has_contents(&ctx.tx, &vpc) {
        return Err(has_dependencies("vpc", &vpc.id));
    }
    dry_run(input.dry_run)?;
    let tables = ids(&ctx.tx, &vpc, |t: &RouteTable| (&t.vpc, t.id.clone()));
    let acls = ids(&ctx.tx, &vpc, |a: &NetworkAcl| (&a.vpc, a.id.clone()));
    let groups = ids(&ctx.tx, &vpc, |g: &SecurityGroup| (&g.vpc, g.id.clone()));
    for id in tables {
        ctx.tx.remove::<RouteTable>(&id);
    }
    for id in acls {
        ctx.tx.remove::<NetworkAcl>(&id);
    }
    for id in groups {
        ctx.tx.remove::<SecurityGroup>(&id);
    }
    ctx.tx.remove::<Vpc>(&vpc.id);
    done()
}

fn ids<R: Resource>(tx: &Tx, vpc: &Vpc, of: fn(&R) -> (&VpcId, R::Key)) -> Vec<R::Key> {
    owned::<R>(tx, &vpc.scope)
        .map(|r| of(r))
        .filter(|(id, _)| **id == vpc.id)
        .map(|(_, key)| key)
        .collect()
}

/// Whether the VPC holds anything besides what came with it.
fn has_contents(state: &State, vpc: &Vpc) -> bool {
    let (id, scope) = (&vpc.id, &vpc.scope);
    owned::<Subnet>(state, scope).any(|s| s.vpc == *id)
        || owned::<InternetGateway>(state, scope).any(|g| g.vpc.as_ref() == Some(id))
        || owned::<NetworkInterface>(state, scope).any(|i| i.vpc == *id)
        || owned::<EgressOnlyInternetGateway>(state, scope).any(|g| g.vpc == *id)
        || owned::<VpnGateway>(state, scope).any(|g| g.vpc.as_ref() == Some(id))
        || owned::<VpcEndpoint>(state, scope).any(|e| e.vpc == *id)
        || vpc_peering::is_peered(state, id)
        || owned::<RouteTable>(state, scope).any(|t| t.vpc == *id && !t.is_main())
        || owned::<NetworkAcl>(state, scope).any(|a| a.vpc == *id && !a.is_default)
        || owned::<SecurityGroup>(state, scope)
            .any(|g| g.vpc == *id && !security_group::is_default(g))
}
