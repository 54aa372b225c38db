//! VPCs, their attributes and CIDR blocks.
//!
//! A VPC comes with a main route table, a default network ACL and a default
//! security group, and takes them with it when it goes.

use super::error::{
    Result, dry_run, error, has_dependencies, invalid_combination, invalid_parameter, missing,
    refuse, refuse_ipv6, required,
};
use super::filter::{Field, Filter, all, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, cidr, dhcp_options, done, network_acl, route_table, security_group};
use crate::Ctx;
use ipnet::Ipv4Net;
use model::vpc::{
    InternetGateway, NetworkAcl, NetworkInterface, RouteTable, SecurityGroup, Subnet, Vpc,
};
use model::{Scope, Tags, VpcId};
use serde::{Deserialize, Serialize};
use store::{State, Tx};

/// CIDR blocks of one VPC, AWS's default quota.
const MAX_CIDRS: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shape {
    vpc_id: String,
    owner_id: String,
    state: &'static str,
    cidr_block: String,
    cidr_block_association_set: Vec<CidrBlockAssociation>,
    dhcp_options_id: String,
    instance_tenancy: String,
    is_default: bool,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CidrBlockAssociation {
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
    fn new(id: &str, cidr: &Ipv4Net, state: &'static str) -> Self {
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
    ipv6_cidr_block: Option<String>,
    ipv6_pool: Option<String>,
    ipv4_ipam_pool_id: Option<String>,
    ipv4_netmask_length: Option<i32>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

pub fn create(ctx: &mut Ctx, input: CreateVpc) -> Result<OneVpc> {
    refuse_ipv6(input.amazon_provided_ipv6_cidr_block)?;
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
    dry_run(input.dry_run)?;
    let scope = ctx.scope.clone();
    let vpc = make(&mut ctx.tx, &scope, block, tenancy, tags);
    Ok(OneVpc { vpc: shape(&vpc) })
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

fn association_id() -> String {
    format!("vpc-cidr-assoc-{}", model::random_hex(17))
}

/// The sizes and ranges that a VPC may have.
fn check_block(ctx: &Ctx, block: &Ipv4Net) -> Result<()> {
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

fn range(block: &Ipv4Net) -> wire::ApiError {
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
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_, _| vec![]),
    ("ipv6-cidr-block-association.association-id", |_, _| vec![]),
    ("ipv6-cidr-block-association.ipv6-pool", |_, _| vec![]),
    ("ipv6-cidr-block-association.state", |_, _| vec![]),
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
        || owned::<RouteTable>(state, scope).any(|t| t.vpc == *id && !t.is_main())
        || owned::<NetworkAcl>(state, scope).any(|a| a.vpc == *id && !a.is_default)
        || owned::<SecurityGroup>(state, scope)
            .any(|g| g.vpc == *id && !security_group::is_default(g))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVpcAttribute {
    vpc_id: String,
    attribute: String,
    dry_run: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
pub struct AttributeBooleanValue {
    pub value: Option<bool>,
}

impl AttributeBooleanValue {
    pub fn new(value: bool) -> Option<Self> {
        Some(Self { value: Some(value) })
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcAttribute {
    vpc_id: String,
    enable_dns_support: Option<AttributeBooleanValue>,
    enable_dns_hostnames: Option<AttributeBooleanValue>,
    enable_network_address_usage_metrics: Option<AttributeBooleanValue>,
}

pub fn describe_attribute(ctx: &mut Ctx, input: DescribeVpcAttribute) -> Result<VpcAttribute> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let mut answer = VpcAttribute {
        vpc_id: vpc.id.to_string(),
        ..VpcAttribute::default()
    };
    let value = AttributeBooleanValue::new;
    match input.attribute.as_str() {
        "enableDnsSupport" => answer.enable_dns_support = value(vpc.enable_dns_support),
        "enableDnsHostnames" => answer.enable_dns_hostnames = value(vpc.enable_dns_hostnames),
        "enableNetworkAddressUsageMetrics" => {
            answer.enable_network_address_usage_metrics =
                value(vpc.enable_network_address_usage_metrics);
        }
        other => {
            return Err(invalid_parameter(
                other,
                "attribute",
                "Unknown VPC attribute.",
            ));
        }
    }
    dry_run(input.dry_run)?;
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyVpcAttribute {
    vpc_id: String,
    enable_dns_support: Option<AttributeBooleanValue>,
    enable_dns_hostnames: Option<AttributeBooleanValue>,
    enable_network_address_usage_metrics: Option<AttributeBooleanValue>,
}

pub fn modify_attribute(ctx: &mut Ctx, input: ModifyVpcAttribute) -> Result<Done> {
    let mut vpc = Vpc::clone(&*find::<Vpc>(ctx, &input.vpc_id)?);
    let changes = [
        (input.enable_dns_support, &mut vpc.enable_dns_support),
        (input.enable_dns_hostnames, &mut vpc.enable_dns_hostnames),
        (
            input.enable_network_address_usage_metrics,
            &mut vpc.enable_network_address_usage_metrics,
        ),
    ];
    let mut given = 0;
    for (change, attribute) in changes {
        if let Some(change) = change {
            *attribute = change.value.ok_or_else(|| missing("Value"))?;
            given += 1;
        }
    }
    match given {
        0 => return Err(missing("enableDnsSupport or enableDnsHostnames")),
        1 => ctx.tx.put(vpc),
        _ => {
            return Err(invalid_combination(
                "Only one attribute can be modified in one request.",
            ));
        }
    }
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociateVpcCidrBlock {
    vpc_id: String,
    cidr_block: Option<String>,
    amazon_provided_ipv6_cidr_block: Option<bool>,
    ipv6_cidr_block: Option<String>,
    ipv6_pool: Option<String>,
    ipv4_ipam_pool_id: Option<String>,
    ipv4_netmask_length: Option<i32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociatedCidrBlock {
    vpc_id: String,
    cidr_block_association: CidrBlockAssociation,
}

pub fn associate_cidr_block(
    ctx: &mut Ctx,
    input: AssociateVpcCidrBlock,
) -> Result<AssociatedCidrBlock> {
    refuse_ipv6(input.amazon_provided_ipv6_cidr_block)?;
    refuse(&input.ipv6_cidr_block, "Ipv6CidrBlock")?;
    refuse(&input.ipv6_pool, "Ipv6Pool")?;
    refuse(&input.ipv4_ipam_pool_id, "Ipv4IpamPoolId")?;
    refuse(&input.ipv4_netmask_length, "Ipv4NetmaskLength")?;
    let mut vpc = Vpc::clone(&*find::<Vpc>(ctx, &input.vpc_id)?);
    let block = cidr::ipv4(&required(input.cidr_block, "cidrBlock")?, "cidrBlock")?;
    check_block(ctx, &block)?;
    if is_restricted(&vpc.primary_cidr(), &block) {
        return Err(error(
            "InvalidVpc.Range",
            format!(
                "The CIDR '{block}' is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or use a publicly-routable CIDR."
            ),
        ));
    }
    if vpc.cidrs.iter().any(|(_, c)| cidr::overlap(c, &block)) {
        return Err(range(&block));
    }
    if vpc.cidrs.len() >= MAX_CIDRS {
        return Err(error(
            "CidrBlockLimitExceeded",
            format!("Network {} has reached its limit of CIDR blocks.", vpc.id),
        ));
    }
    let id = association_id();
    vpc.cidrs.push((id.clone(), block));
    let answer = AssociatedCidrBlock {
        vpc_id: vpc.id.to_string(),
        cidr_block_association: CidrBlockAssociation::new(&id, &block, "associated"),
    };
    ctx.tx.put(vpc);
    Ok(answer)
}

/// A block of one private range cannot join a VPC of another.
///
/// `https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html#add-cidr-block-restrictions`
fn is_restricted(primary: &Ipv4Net, block: &Ipv4Net) -> bool {
    const RANGES: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    let range_of = |net: &Ipv4Net| {
        RANGES
            .iter()
            .position(|r| r.parse::<Ipv4Net>().is_ok_and(|r| r.contains(net)))
    };
    match range_of(block) {
        None => false,
        of_block => range_of(primary) != of_block,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisassociateVpcCidrBlock {
    association_id: String,
}

pub fn disassociate_cidr_block(
    ctx: &mut Ctx,
    input: DisassociateVpcCidrBlock,
) -> Result<AssociatedCidrBlock> {
    let id = &input.association_id;
    let holder = owned::<Vpc>(&ctx.tx, &ctx.scope).find_map(|vpc| {
        let at = vpc.cidrs.iter().position(|(a, _)| a == id)?;
        Some((Vpc::clone(vpc), at))
    });
    let Some((mut vpc, at)) = holder else {
        return Err(error(
            "InvalidVpcCidrBlockAssociationID.NotFound",
            format!("The vpc CIDR block association ID '{id}' does not exist"),
        ));
    };
    if at == 0 {
        return Err(error(
            "OperationNotPermitted",
            format!(
                "The vpc CIDR block with association ID {id} may not be disassociated. It is the primary IPv4 CIDR block of the VPC"
            ),
        ));
    }
    let (_, block) = vpc.cidrs.remove(at);
    let used =
        owned::<Subnet>(&ctx.tx, &ctx.scope).any(|s| s.vpc == vpc.id && block.contains(&s.cidr));
    if used {
        return Err(error(
            "DependencyViolation",
            format!(
                "The vpc CIDR block with association ID {id} has dependencies and cannot be disassociated."
            ),
        ));
    }
    let answer = AssociatedCidrBlock {
        vpc_id: vpc.id.to_string(),
        cidr_block_association: CidrBlockAssociation::new(id, &block, "disassociated"),
    };
    ctx.tx.put(vpc);
    Ok(answer)
}
