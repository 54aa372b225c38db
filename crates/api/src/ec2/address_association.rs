//! Which private address of which interface an Elastic IP stands for.

use super::address::{by_ip, find_address, not_yours, of_interface};
use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, missing, required,
};
use super::network_interface::of_instance;
use super::resource::{find, owned};
use super::{Done, cidr, done, internet_gateway, route_shape};
use crate::Ctx;
use model::instance::{Instance, InstanceState};
use model::vpc::{Address, AddressAssociation, NetworkInterface, Vpc};
use model::{AddressAssociationId, AllocationId, NetworkInterfaceId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociateAddress {
    allocation_id: Option<String>,
    public_ip: Option<String>,
    instance_id: Option<String>,
    network_interface_id: Option<String>,
    private_ip_address: Option<String>,
    allow_reassociation: Option<bool>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociatedAddress {
    r#return: bool,
    association_id: String,
}

pub fn associate(ctx: &mut Ctx, input: AssociateAddress) -> Result<AssociatedAddress> {
    let (id, ip) = (input.allocation_id.as_deref(), input.public_ip.as_deref());
    let address = find_address(ctx, id, ip)?;
    let interface = target(ctx, &input)?;
    let private_ip = match &input.private_ip_address {
        Some(ip) => cidr::address(ip, "privateIpAddress")?,
        None => interface.primary_ip(),
    };
    if !interface.private_ips.contains(&private_ip) {
        return Err(invalid_parameter(
            private_ip,
            "privateIpAddress",
            &format!("It is not an address of interface {}.", interface.id),
        ));
    }
    let vpc = ctx.tx.get::<Vpc>(&interface.vpc);
    if vpc.is_none_or(|v| internet_gateway::of_vpc(&ctx.tx, v).is_none()) {
        return Err(error(
            "Gateway.NotAttached",
            format!(
                "Network {} is not attached to any internet gateway",
                interface.vpc
            ),
        ));
    }
    if interface.requester.is_some() {
        return Err(not_yours());
    }
    let there = AddressAssociation {
        id: AddressAssociationId::random(),
        interface: interface.id.clone(),
        private_ip,
    };
    if let Some(old) = &address.association {
        if (&old.interface, old.private_ip) == (&there.interface, there.private_ip) {
            return Ok(AssociatedAddress {
                r#return: true,
                association_id: old.id.to_string(),
            });
        }
        check_reassociation(ctx, &input, old, &address.allocation)?;
    }
    let other = of_interface(&ctx.tx, &interface, private_ip).cloned();
    if let Some(other) = &other {
        if input.allow_reassociation == Some(false) {
            return Err(already_associated(&interface.id));
        }
        ctx.tx
            .modify::<Address>(&other.allocation, |a| a.association = None);
    }
    dry_run(input.dry_run)?;
    let id = there.id.clone();
    ctx.tx
        .modify::<Address>(&address.allocation, |a| a.association = Some(there));
    if private_ip == interface.primary_ip() {
        // An Elastic IP takes the place of an address that was assigned.
        ctx.tx
            .modify::<NetworkInterface>(&interface.id, |i| i.auto_public_ip = None);
    }
    Ok(AssociatedAddress {
        r#return: true,
        association_id: id.to_string(),
    })
}

/// The interface that the call names, or the instance's primary one.
fn target(ctx: &Ctx, input: &AssociateAddress) -> Result<Arc<NetworkInterface>> {
    match (&input.network_interface_id, &input.instance_id) {
        (Some(id), None) => find::<NetworkInterface>(ctx, id),
        (None, Some(id)) => {
            let instance = find::<Instance>(ctx, id)?;
            if !matches!(
                instance.state,
                InstanceState::Running | InstanceState::Stopped | InstanceState::Stopping
            ) {
                return Err(error(
                    "InvalidInstanceID",
                    format!(
                        "The {} instance '{id}' is not in a valid state for this operation.",
                        instance.state.name()
                    ),
                ));
            }
            if of_instance(&ctx.tx, &instance.id).len() > 1 {
                return Err(error(
                    "InvalidInstanceID",
                    format!(
                        "There are multiple interfaces attached to instance '{id}'. Please specify an interface ID for the operation instead."
                    ),
                ));
            }
            let primary = route_shape::primary_interface(&ctx.tx, &ctx.scope, &instance.id);
            let primary = required(primary, "networkInterfaceId")?;
            find::<NetworkInterface>(ctx, primary.id.as_str())
        }
        (Some(_), Some(_)) => Err(invalid_combination(
            "You may specify an instance ID or a network interface ID, but not both",
        )),
        (None, None) => Err(missing("networkInterfaceId")),
    }
}

/// An address in use moves unless the caller forbids it, or it serves a NAT gateway.
fn check_reassociation(
    ctx: &Ctx,
    input: &AssociateAddress,
    old: &AddressAssociation,
    allocation: &AllocationId,
) -> Result<()> {
    let holder = ctx.tx.get::<NetworkInterface>(&old.interface);
    if holder.is_some_and(|i| i.requester.is_some()) {
        return Err(not_yours());
    }
    if input.allow_reassociation == Some(false) {
        return Err(error(
            "Resource.AlreadyAssociated",
            format!(
                "resource {allocation} is already associated with associate-id {}",
                old.id
            ),
        ));
    }
    Ok(())
}

fn already_associated(interface: &NetworkInterfaceId) -> ApiError {
    error(
        "Resource.AlreadyAssociated",
        format!("resource {interface} is already associated with an Elastic IP address"),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisassociateAddress {
    association_id: Option<String>,
    public_ip: Option<String>,
    dry_run: Option<bool>,
}

pub fn disassociate(ctx: &mut Ctx, input: DisassociateAddress) -> Result<Done> {
    let address = match (&input.association_id, &input.public_ip) {
        (Some(id), None) => owned::<Address>(&ctx.tx, &ctx.scope)
            .find(|a| a.association.as_ref().is_some_and(|a| a.id.as_str() == id))
            .cloned()
            .ok_or_else(|| {
                error(
                    "InvalidAssociationID.NotFound",
                    format!("The association ID '{id}' does not exist"),
                )
            })?,
        (None, Some(ip)) => by_ip(ctx, ip)?,
        (None, None) => return Err(missing("associationId")),
        (Some(_), Some(_)) => {
            return Err(invalid_combination(
                "You may specify public IP or association id, but not both in the same call",
            ));
        }
    };
    let interface = address
        .association
        .as_ref()
        .and_then(|a| ctx.tx.get::<NetworkInterface>(&a.interface));
    if interface.is_some_and(|i| i.requester.is_some()) {
        return Err(not_yours());
    }
    dry_run(input.dry_run)?;
    ctx.tx
        .modify::<Address>(&address.allocation, |a| a.association = None);
    done()
}
