//! Where a route is asked to lead.

use super::error::{
    Result, error, invalid_combination, invalid_value, missing, refuse, required, unsupported,
};
use super::resource::{Resource, find, owned};
use super::route::RouteRequest;
use super::vpc_peering;
use crate::Ctx;
use ipnet::IpNet;
use model::gateway::{EgressOnlyInternetGateway, VpnGateway};
use model::instance::Instance;
use model::vpc::{
    InternetGateway, NatGateway, NatGatewayState, NetworkInterface, RouteTable, RouteTarget,
};
use wire::ApiError;

/// What a route's destination is.
#[derive(Clone, PartialEq)]
pub(super) enum Destination {
    Block(IpNet),
    PrefixList(model::PrefixListId),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Block(block) => block.fmt(f),
            Self::PrefixList(id) => id.fmt(f),
        }
    }
}

/// The one target that the call names, checked to be of the table's VPC.
pub(super) fn target(
    ctx: &Ctx,
    input: &RouteRequest,
    table: &RouteTable,
    destination: &Destination,
) -> Result<RouteTarget> {
    refuse(&input.transit_gateway_id, "TransitGatewayId")?;
    refuse(&input.vpc_endpoint_id, "VpcEndpointId")?;
    refuse(&input.local_gateway_id, "LocalGatewayId")?;
    refuse(&input.carrier_gateway_id, "CarrierGatewayId")?;
    refuse(&input.core_network_arn, "CoreNetworkArn")?;
    refuse(&input.odb_network_arn, "OdbNetworkArn")?;
    if input.local_target == Some(true) {
        return Err(unsupported(
            "A local route cannot be replaced, so it cannot be restored.",
        ));
    }
    let given = [
        &input.gateway_id,
        &input.nat_gateway_id,
        &input.network_interface_id,
        &input.instance_id,
        &input.egress_only_internet_gateway_id,
        &input.vpc_peering_connection_id,
    ];
    match given.iter().filter(|id| id.is_some()).count() {
        0 => return Err(missing("gatewayId")),
        1 => {}
        _ => return Err(invalid_combination("Only one target can be specified.")),
    }
    // AWS takes a gateway and a NAT gateway under either name, and answers with its own (Terraform's
    // documentation of `aws_route_table` warns of it).
    if let Some(id) = &input.gateway_id {
        return match id.starts_with("nat-") {
            true => nat_gateway(ctx, table, id),
            false => gateway(ctx, table, id),
        };
    }
    if let Some(id) = &input.nat_gateway_id {
        return match id.starts_with("igw-") {
            true => gateway(ctx, table, id),
            false => nat_gateway(ctx, table, id),
        };
    }
    if let Some(id) = &input.network_interface_id {
        let interface = find::<NetworkInterface>(ctx, id)?;
        if interface.vpc != table.vpc {
            return Err(different(table, &interface.id));
        }
        return Ok(RouteTarget::NetworkInterface(interface.id.clone()));
    }
    if let Some(id) = &input.egress_only_internet_gateway_id {
        let gateway = find::<EgressOnlyInternetGateway>(ctx, id)?;
        if gateway.vpc != table.vpc {
            return Err(different(table, &gateway.id));
        }
        if !matches!(destination, Destination::Block(IpNet::V6(_))) {
            return Err(invalid_combination(
                "An egress-only internet gateway is for IPv6 destinations only.",
            ));
        }
        return Ok(RouteTarget::EgressOnlyInternetGateway(gateway.id.clone()));
    }
    if let Some(id) = &input.vpc_peering_connection_id {
        let peering = vpc_peering::find(ctx, id)?;
        if peering.requester.vpc != table.vpc && peering.accepter.vpc != table.vpc {
            return Err(different(table, &peering.id));
        }
        if !vpc_peering::is_usable(&peering) {
            return Err(error(
                "InvalidStateTransition",
                format!(
                    "Invalid state for VPC peering connection {}: it is {}",
                    peering.id,
                    vpc_peering::state_name(peering.state)
                ),
            ));
        }
        return Ok(RouteTarget::VpcPeeringConnection(peering.id.clone()));
    }
    let id = required(input.instance_id.as_deref(), "instanceId")?;
    instance(ctx, table, id)
}

fn different(table: &RouteTable, id: &dyn std::fmt::Display) -> ApiError {
    invalid_value(format!(
        "route table {} and {id} belong to different networks",
        table.id
    ))
}

fn gateway(ctx: &Ctx, table: &RouteTable, id: &str) -> Result<RouteTarget> {
    // Only routes call it a gateway.
    let as_gateway = |e: ApiError| match e.code.as_ref() {
        InternetGateway::NOT_FOUND | VpnGateway::NOT_FOUND => error(
            "InvalidGatewayID.NotFound",
            format!("The gateway ID '{id}' does not exist"),
        ),
        _ => e,
    };
    if id.starts_with("vpce-") {
        return Err(invalid_value(
            "A gateway endpoint's route is made by naming the route table at the endpoint.",
        ));
    }
    if id.starts_with("vgw-") {
        let gateway = find::<VpnGateway>(ctx, id).map_err(as_gateway)?;
        return match &gateway.vpc {
            Some(vpc) if *vpc == table.vpc => Ok(RouteTarget::VpnGateway(gateway.id.clone())),
            _ => Err(different(table, &gateway.id)),
        };
    }
    let gateway = find::<InternetGateway>(ctx, id).map_err(as_gateway)?;
    match &gateway.vpc {
        Some(vpc) if *vpc == table.vpc => Ok(RouteTarget::InternetGateway(gateway.id.clone())),
        _ => Err(different(table, &gateway.id)),
    }
}

fn nat_gateway(ctx: &Ctx, table: &RouteTable, id: &str) -> Result<RouteTarget> {
    let gateway = find::<NatGateway>(ctx, id)?;
    if gateway.vpc != table.vpc {
        return Err(different(table, &gateway.id));
    }
    if !matches!(
        gateway.state,
        NatGatewayState::Pending | NatGatewayState::Available
    ) {
        return Err(NatGateway::not_found(id));
    }
    Ok(RouteTarget::NatGateway(gateway.id.clone()))
}

fn instance(ctx: &Ctx, table: &RouteTable, id: &str) -> Result<RouteTarget> {
    let instance = find::<Instance>(ctx, id)?;
    if instance.vpc != table.vpc {
        return Err(different(table, &instance.id));
    }
    let interfaces = owned::<NetworkInterface>(&ctx.tx, &ctx.scope)
        .filter(|i| {
            let attachment = i.attachment.as_ref();
            attachment.is_some_and(|a| a.instance == instance.id)
        })
        .count();
    if interfaces != 1 {
        return Err(error(
            "InvalidInstanceID",
            format!(
                "There are multiple interfaces attached to instance '{id}'. Please specify an interface ID for the operation instead."
            ),
        ));
    }
    Ok(RouteTarget::Instance(instance.id.clone()))
}
