//! Routes of a table: the implied local ones and those that were made.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, invalid_value, missing, refuse,
    required, unsupported,
};
use super::resource::{Resource, find, owned};
use super::{Done, cidr, done};
use crate::Ctx;
use ipnet::{IpNet, Ipv4Net};
use model::instance::{Instance, InstanceState};
use model::vpc::{
    InternetGateway, NatGateway, NatGatewayState, NetworkInterface, Route, RouteTable, RouteTarget,
    Subnet, Vpc,
};
use model::{InstanceId, Scope};
use serde::{Deserialize, Serialize};
use store::State;

/// Routes of one table, AWS's default quota.
const MAX_ROUTES: usize = 500;

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteShape {
    pub destination_cidr_block: Option<String>,
    pub destination_ipv6_cidr_block: Option<String>,
    pub gateway_id: Option<String>,
    pub nat_gateway_id: Option<String>,
    pub network_interface_id: Option<String>,
    pub instance_id: Option<String>,
    instance_owner_id: Option<String>,
    pub origin: &'static str,
    pub state: &'static str,
}

/// The table's routes as answers list them, the local ones first.
pub(super) fn shapes(state: &State, table: &RouteTable) -> Vec<RouteShape> {
    let vpc = state.vpcs.get(&table.vpc);
    let local = vpc.iter().flat_map(|v| &v.cidrs).map(|(_, c)| RouteShape {
        destination_cidr_block: Some(c.to_string()),
        gateway_id: Some("local".into()),
        origin: "CreateRouteTable",
        state: "active",
        ..RouteShape::default()
    });
    let made = table.routes.iter().map(|route| RouteShape {
        destination_cidr_block: Some(route.destination.to_string()),
        ..made(state, table, &route.target)
    });
    let ipv6 = table
        .ipv6_routes
        .iter()
        .map(|(destination, target)| RouteShape {
            destination_ipv6_cidr_block: Some(destination.to_string()),
            ..self::made(state, table, target)
        });
    local.chain(made).chain(ipv6).collect()
}

/// A route that was made, but for its destination.
fn made(state: &State, table: &RouteTable, target: &RouteTarget) -> RouteShape {
    let mut shape = RouteShape {
        origin: "CreateRoute",
        state: match leads_somewhere(state, table, target) {
            true => "active",
            false => "blackhole",
        },
        ..RouteShape::default()
    };
    match target {
        RouteTarget::InternetGateway(id) => shape.gateway_id = Some(id.to_string()),
        RouteTarget::NatGateway(id) => shape.nat_gateway_id = Some(id.to_string()),
        RouteTarget::NetworkInterface(id) => {
            shape.network_interface_id = Some(id.to_string());
            let attachment = state.network_interfaces.get(id);
            let attachment = attachment.and_then(|i| i.attachment.as_ref());
            if let Some(attachment) = attachment {
                shape.instance_id = Some(attachment.instance.to_string());
                shape.instance_owner_id = Some(table.scope.account.to_string());
            }
        }
        RouteTarget::Instance(id) => {
            shape.instance_id = Some(id.to_string());
            shape.instance_owner_id = Some(table.scope.account.to_string());
            shape.network_interface_id = primary_interface(state, &table.scope, id)
                .map(|interface| interface.id.to_string());
        }
    }
    shape
}

/// Whether the target is there; a route to one that is gone stays, as a black hole.
pub fn leads_somewhere(state: &State, table: &RouteTable, target: &RouteTarget) -> bool {
    let running = |id: &InstanceId| {
        let instance = state.instances.get(id);
        instance.is_some_and(|i| i.state == InstanceState::Running)
    };
    match target {
        RouteTarget::InternetGateway(id) => {
            let gateway = state.internet_gateways.get(id);
            gateway.is_some_and(|g| g.vpc.as_ref() == Some(&table.vpc))
        }
        RouteTarget::NatGateway(id) => {
            let gateway = state.nat_gateways.get(id);
            gateway.is_some_and(|g| {
                matches!(
                    g.state,
                    NatGatewayState::Pending | NatGatewayState::Available
                )
            })
        }
        RouteTarget::NetworkInterface(id) => match state.network_interfaces.get(id) {
            Some(interface) => match &interface.attachment {
                Some(attachment) => running(&attachment.instance),
                None => interface.requester.is_some(),
            },
            None => false,
        },
        RouteTarget::Instance(id) => running(id),
    }
}

pub(super) fn primary_interface<'a>(
    state: &'a State,
    scope: &'a Scope,
    instance: &InstanceId,
) -> Option<&'a NetworkInterface> {
    owned::<NetworkInterface>(state, scope)
        .find(|i| {
            let attachment = i.attachment.as_ref();
            attachment.is_some_and(|a| a.instance == *instance && a.device_index == 0)
        })
        .map(|i| i.as_ref())
}

/// `CreateRoute` and `ReplaceRoute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RouteRequest {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    gateway_id: Option<String>,
    nat_gateway_id: Option<String>,
    network_interface_id: Option<String>,
    instance_id: Option<String>,
    egress_only_internet_gateway_id: Option<String>,
    transit_gateway_id: Option<String>,
    vpc_peering_connection_id: Option<String>,
    vpc_endpoint_id: Option<String>,
    local_gateway_id: Option<String>,
    carrier_gateway_id: Option<String>,
    core_network_arn: Option<String>,
    odb_network_arn: Option<String>,
    local_target: Option<bool>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    r#return: bool,
}

pub fn create(ctx: &mut Ctx, input: RouteRequest) -> Result<Created> {
    let (mut table, destination, target) = checked(ctx, &input)?;
    if let Some(there) = target_of(&mut table, &destination) {
        // The same route once more is no error.
        if *there != target {
            return Err(error(
                "RouteAlreadyExists",
                format!("The route identified by {destination} already exists."),
            ));
        }
    } else {
        match destination {
            IpNet::V4(destination) => table.routes.push(Route {
                destination,
                target,
            }),
            IpNet::V6(destination) => table.ipv6_routes.push((destination, target)),
        }
        if table.routes.len().max(table.ipv6_routes.len()) > MAX_ROUTES {
            return Err(error(
                "RouteLimitExceeded",
                format!(
                    "The maximum number of routes of {} is {MAX_ROUTES}.",
                    table.id
                ),
            ));
        }
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(table);
    Ok(Created { r#return: true })
}

pub fn replace(ctx: &mut Ctx, input: RouteRequest) -> Result<Done> {
    let (mut table, destination, target) = checked(ctx, &input)?;
    match target_of(&mut table, &destination) {
        Some(there) => *there = target,
        None => return Err(no_such_route(&table, &destination)),
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(table);
    done()
}

/// Where the table's route to just that destination leads.
fn target_of<'a>(table: &'a mut RouteTable, destination: &IpNet) -> Option<&'a mut RouteTarget> {
    match destination {
        IpNet::V4(net) => {
            let mut routes = table.routes.iter_mut();
            routes
                .find(|r| r.destination == *net)
                .map(|r| &mut r.target)
        }
        IpNet::V6(net) => {
            let mut routes = table.ipv6_routes.iter_mut();
            routes.find(|(d, _)| d == net).map(|(_, target)| target)
        }
    }
}

fn no_such_route(table: &RouteTable, destination: &IpNet) -> wire::ApiError {
    let name = match destination {
        IpNet::V4(_) => "destination-cidr-block",
        IpNet::V6(_) => "destination-ipv6-cidr-block",
    };
    error(
        "InvalidRoute.NotFound",
        format!(
            "no route with {name} {destination} in route table {}",
            table.id
        ),
    )
}

/// The table, and the route that is asked for.
fn checked(ctx: &Ctx, input: &RouteRequest) -> Result<(RouteTable, IpNet, RouteTarget)> {
    let table = RouteTable::clone(&*find::<RouteTable>(ctx, &input.route_table_id)?);
    refuse(&input.destination_prefix_list_id, "DestinationPrefixListId")?;
    let destination = destination(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
    )?;
    let target = target(ctx, input, &table)?;
    if let IpNet::V4(destination) = &destination {
        check_destination(ctx, &table, destination, &target)?;
    }
    Ok((table, destination, target))
}

/// IPv4 or IPv6: a route to the latter is kept, but nothing here has such an address.
fn destination(v4: Option<&str>, v6: Option<&str>) -> Result<IpNet> {
    match (v4, v6) {
        (Some(v4), None) => Ok(IpNet::V4(cidr::ipv4(v4, "destinationCidrBlock")?)),
        (None, Some(v6)) => match cidr::any(v6, "destinationIpv6CidrBlock")? {
            net @ IpNet::V6(_) => Ok(net),
            IpNet::V4(_) => Err(invalid_parameter(
                v6,
                "destinationIpv6CidrBlock",
                "This is not a valid IPv6 CIDR block.",
            )),
        },
        (None, None) => Err(missing("destinationCidrBlock")),
        (Some(_), Some(_)) => Err(invalid_combination(
            "Only one of destinationCidrBlock and destinationIpv6CidrBlock may be specified.",
        )),
    }
}

fn target(ctx: &Ctx, input: &RouteRequest, table: &RouteTable) -> Result<RouteTarget> {
    refuse(
        &input.egress_only_internet_gateway_id,
        "EgressOnlyInternetGatewayId",
    )?;
    refuse(&input.transit_gateway_id, "TransitGatewayId")?;
    refuse(&input.vpc_peering_connection_id, "VpcPeeringConnectionId")?;
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
    ];
    match given.iter().filter(|id| id.is_some()).count() {
        0 => return Err(missing("gatewayId")),
        1 => {}
        _ => return Err(invalid_combination("Only one target can be specified.")),
    }
    let different = |id: &dyn std::fmt::Display| {
        invalid_value(format!(
            "route table {} and {id} belong to different networks",
            table.id
        ))
    };
    if let Some(id) = &input.gateway_id {
        if id.starts_with("vgw-") {
            return Err(unsupported(
                "Virtual private gateways are not supported by this cloud.",
            ));
        }
        let gateway = find::<InternetGateway>(ctx, id)
            // Only routes call it a gateway.
            .map_err(|e| match e.code.as_ref() {
                InternetGateway::NOT_FOUND => error(
                    "InvalidGatewayID.NotFound",
                    format!("The gateway ID '{id}' does not exist"),
                ),
                _ => e,
            })?;
        return match &gateway.vpc {
            Some(vpc) if *vpc == table.vpc => Ok(RouteTarget::InternetGateway(gateway.id.clone())),
            Some(_) | None => Err(different(&gateway.id)),
        };
    }
    if let Some(id) = &input.nat_gateway_id {
        let gateway = find::<NatGateway>(ctx, id)?;
        if gateway.vpc != table.vpc {
            return Err(different(&gateway.id));
        }
        if !matches!(
            gateway.state,
            NatGatewayState::Pending | NatGatewayState::Available
        ) {
            return Err(NatGateway::not_found(id));
        }
        return Ok(RouteTarget::NatGateway(gateway.id.clone()));
    }
    if let Some(id) = &input.network_interface_id {
        let interface = find::<NetworkInterface>(ctx, id)?;
        if interface.vpc != table.vpc {
            return Err(different(&interface.id));
        }
        return Ok(RouteTarget::NetworkInterface(interface.id.clone()));
    }
    let id = required(input.instance_id.as_deref(), "instanceId")?;
    let instance = find::<Instance>(ctx, id)?;
    if instance.vpc != table.vpc {
        return Err(different(&instance.id));
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

/// Inside the VPC only a whole subnet may be routed away from `local`, and only to an interface or NAT gateway.
fn check_destination(
    ctx: &Ctx,
    table: &RouteTable,
    destination: &Ipv4Net,
    target: &RouteTarget,
) -> Result<()> {
    let Some(vpc) = ctx.tx.get::<Vpc>(&table.vpc) else {
        return Ok(());
    };
    if vpc.cidrs.iter().any(|(_, c)| c == destination) {
        return Err(error(
            "RouteAlreadyExists",
            format!("The route identified by {destination} already exists."),
        ));
    }
    if !vpc.cidrs.iter().any(|(_, c)| c.contains(destination)) {
        return Ok(());
    }
    let whole_subnet =
        owned::<Subnet>(&ctx.tx, &ctx.scope).any(|s| s.vpc == vpc.id && s.cidr == *destination);
    if whole_subnet && !matches!(target, RouteTarget::InternetGateway(_)) {
        return Ok(());
    }
    Err(invalid_parameter(
        destination,
        "destinationCidrBlock",
        "The destination CIDR block is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance.",
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteRoute {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteRoute) -> Result<Done> {
    let mut table = RouteTable::clone(&*find::<RouteTable>(ctx, &input.route_table_id)?);
    refuse(&input.destination_prefix_list_id, "DestinationPrefixListId")?;
    let destination = destination(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
    )?;
    let vpc = ctx.tx.get::<Vpc>(&table.vpc);
    let local = |v: &Vpc| v.cidrs.iter().any(|(_, c)| IpNet::V4(*c) == destination);
    if vpc.is_some_and(local) {
        return Err(invalid_value(format!(
            "cannot remove local route {destination} in route table {}",
            table.id
        )));
    }
    if target_of(&mut table, &destination).is_none() {
        return Err(no_such_route(&table, &destination));
    }
    table
        .routes
        .retain(|r| IpNet::V4(r.destination) != destination);
    table
        .ipv6_routes
        .retain(|(d, _)| IpNet::V6(*d) != destination);
    dry_run(input.dry_run)?;
    ctx.tx.put(table);
    done()
}
