//! CIDR blocks that a VPC has besides its first.

use super::error::{Result, error, invalid_combination, refuse, required};
use super::ipv6::{self, VpcBlock};
use super::resource::{find, owned};
use super::vpc::{CidrBlockAssociation, association_id, check_block, check_border_group, range};
use super::{cidr, quota, security_group};
use crate::Ctx;
use ipnet::Ipv4Net;
use model::vpc::{Subnet, Vpc};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociateVpcCidrBlock {
    vpc_id: String,
    cidr_block: Option<String>,
    amazon_provided_ipv6_cidr_block: Option<bool>,
    ipv6_cidr_block_network_border_group: Option<String>,
    ipv6_cidr_block: Option<String>,
    ipv6_pool: Option<String>,
    ipv4_ipam_pool_id: Option<String>,
    ipv4_netmask_length: Option<i32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociatedCidrBlock {
    vpc_id: String,
    cidr_block_association: Option<CidrBlockAssociation>,
    ipv6_cidr_block_association: Option<VpcBlock>,
}

pub fn associate(ctx: &mut Ctx, input: AssociateVpcCidrBlock) -> Result<AssociatedCidrBlock> {
    check_border_group(ctx, input.ipv6_cidr_block_network_border_group.as_deref())?;
    refuse(&input.ipv6_cidr_block, "Ipv6CidrBlock")?;
    refuse(&input.ipv6_pool, "Ipv6Pool")?;
    refuse(&input.ipv4_ipam_pool_id, "Ipv4IpamPoolId")?;
    refuse(&input.ipv4_netmask_length, "Ipv4NetmaskLength")?;
    let mut vpc = Vpc::clone(&*find::<Vpc>(ctx, &input.vpc_id)?);
    if input.amazon_provided_ipv6_cidr_block == Some(true) {
        if input.cidr_block.is_some() {
            return Err(invalid_combination(
                "Only one of cidrBlock and amazonProvidedIpv6CidrBlock may be specified.",
            ));
        }
        let given = ipv6::give(ctx, &mut vpc)?;
        let answer = AssociatedCidrBlock {
            vpc_id: vpc.id.to_string(),
            cidr_block_association: None,
            ipv6_cidr_block_association: Some(VpcBlock::new(&vpc, &given, "associating")),
        };
        security_group::allow_ipv6(&mut ctx.tx, &vpc);
        ctx.tx.put(vpc);
        return Ok(answer);
    }
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
    if vpc.cidrs.len() >= quota::CIDRS_PER_VPC {
        return Err(error(
            "CidrLimitExceeded",
            format!(
                "This network {} has met its maximum number of allowed CIDRs: {}",
                vpc.id,
                quota::CIDRS_PER_VPC
            ),
        ));
    }
    let id = association_id();
    vpc.cidrs.push((id.clone(), block));
    let answer = AssociatedCidrBlock {
        vpc_id: vpc.id.to_string(),
        cidr_block_association: Some(CidrBlockAssociation::new(&id, &block, "associating")),
        ipv6_cidr_block_association: None,
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

pub fn disassociate(ctx: &mut Ctx, input: DisassociateVpcCidrBlock) -> Result<AssociatedCidrBlock> {
    let id = &input.association_id;
    if let Some(answer) = disassociate_ipv6(ctx, id)? {
        return Ok(answer);
    }
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
        return Err(in_use(id));
    }
    let answer = AssociatedCidrBlock {
        vpc_id: vpc.id.to_string(),
        cidr_block_association: Some(CidrBlockAssociation::new(id, &block, "disassociating")),
        ipv6_cidr_block_association: None,
    };
    ctx.tx.put(vpc);
    Ok(answer)
}

/// Takes an IPv6 block back, if the id is of one.
fn disassociate_ipv6(ctx: &mut Ctx, id: &str) -> Result<Option<AssociatedCidrBlock>> {
    let holder = owned::<Vpc>(&ctx.tx, &ctx.scope).find_map(|vpc| {
        let at = vpc.ipv6_cidrs.iter().position(|(a, _)| a == id)?;
        Some((Vpc::clone(vpc), at))
    });
    let Some((mut vpc, at)) = holder else {
        return Ok(None);
    };
    let given = vpc.ipv6_cidrs.remove(at);
    let used = |s: &Subnet| {
        let block = s.ipv6_cidr.as_ref();
        s.vpc == vpc.id && block.is_some_and(|(_, block)| given.1.contains(block))
    };
    if owned::<Subnet>(&ctx.tx, &ctx.scope).any(|s| used(s)) {
        return Err(in_use(id));
    }
    let answer = AssociatedCidrBlock {
        vpc_id: vpc.id.to_string(),
        cidr_block_association: None,
        ipv6_cidr_block_association: Some(VpcBlock::new(&vpc, &given, "disassociating")),
    };
    ctx.tx.put(vpc);
    Ok(Some(answer))
}

fn in_use(id: &str) -> wire::ApiError {
    error(
        "DependencyViolation",
        format!(
            "The vpc CIDR block with association ID {id} has dependencies and cannot be disassociated."
        ),
    )
}
