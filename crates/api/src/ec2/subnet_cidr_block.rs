//! The IPv6 block of a subnet, given and taken after its creation.

use super::error::{Result, error, refuse, required};
use super::ipv6::{self, SubnetBlock};
use super::resource::{find, owned};
use crate::Ctx;
use model::vpc::{NetworkInterface, Subnet};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociateSubnetCidrBlock {
    subnet_id: String,
    ipv6_cidr_block: Option<String>,
    ipv6_ipam_pool_id: Option<String>,
    ipv6_netmask_length: Option<i32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetCidrBlock {
    subnet_id: String,
    ipv6_cidr_block_association: SubnetBlock,
}

pub fn associate(ctx: &mut Ctx, input: AssociateSubnetCidrBlock) -> Result<SubnetCidrBlock> {
    refuse(&input.ipv6_ipam_pool_id, "Ipv6IpamPoolId")?;
    refuse(&input.ipv6_netmask_length, "Ipv6NetmaskLength")?;
    let mut subnet = Subnet::clone(&*find::<Subnet>(ctx, &input.subnet_id)?);
    let text = required(input.ipv6_cidr_block, "ipv6CidrBlock")?;
    if subnet.ipv6_cidr.is_some() {
        return Err(error(
            "SubnetAlreadyHasIpv6CidrBlock",
            format!("Subnet {} already has an IPv6 CIDR block.", subnet.id),
        ));
    }
    let given = ipv6::subnet_block(ctx, &subnet.vpc, &text)?;
    let answer = SubnetCidrBlock {
        subnet_id: subnet.id.to_string(),
        ipv6_cidr_block_association: SubnetBlock::new(&given, "associated"),
    };
    subnet.ipv6_cidr = Some(given);
    ctx.tx.put(subnet);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisassociateSubnetCidrBlock {
    association_id: String,
}

pub fn disassociate(ctx: &mut Ctx, input: DisassociateSubnetCidrBlock) -> Result<SubnetCidrBlock> {
    let wanted = &input.association_id;
    let holder = owned::<Subnet>(&ctx.tx, &ctx.scope)
        .find(|s| s.ipv6_cidr.as_ref().is_some_and(|(id, _)| id == wanted));
    let Some(mut subnet) = holder.map(|s| Subnet::clone(s)) else {
        return Err(error(
            "InvalidSubnetCidrBlockAssociationID.NotFound",
            format!("The subnet CIDR block with association ID {wanted} does not exist"),
        ));
    };
    let used = owned::<NetworkInterface>(&ctx.tx, &ctx.scope)
        .any(|i| i.subnet == subnet.id && !i.ipv6_addresses.is_empty());
    if used || subnet.assign_ipv6_address_on_creation {
        return Err(error(
            "DependencyViolation",
            format!(
                "The subnet CIDR block with association ID {wanted} has dependencies and cannot be disassociated."
            ),
        ));
    }
    let given = required(subnet.ipv6_cidr.take(), "associationId")?;
    let answer = SubnetCidrBlock {
        subnet_id: subnet.id.to_string(),
        ipv6_cidr_block_association: SubnetBlock::new(&given, "disassociated"),
    };
    ctx.tx.put(subnet);
    Ok(answer)
}
