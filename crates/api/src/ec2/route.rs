//! Routes of a table: made, replaced, deleted.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, invalid_value, missing,
};
use super::resource::{find, owned};
use super::route_target::{Destination, target};
use super::{Done, cidr, done, prefix_list, quota};
use crate::Ctx;
use ipnet::{IpNet, Ipv4Net};
use model::vpc::{Route, RouteTable, RouteTarget, Subnet, Vpc};
use serde::{Deserialize, Serialize};

/// `CreateRoute` and `ReplaceRoute`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RouteRequest {
    route_table_id: String,
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    pub(super) gateway_id: Option<String>,
    pub(super) nat_gateway_id: Option<String>,
    pub(super) network_interface_id: Option<String>,
    pub(super) instance_id: Option<String>,
    pub(super) egress_only_internet_gateway_id: Option<String>,
    pub(super) transit_gateway_id: Option<String>,
    pub(super) vpc_peering_connection_id: Option<String>,
    pub(super) vpc_endpoint_id: Option<String>,
    pub(super) local_gateway_id: Option<String>,
    pub(super) carrier_gateway_id: Option<String>,
    pub(super) core_network_arn: Option<String>,
    pub(super) odb_network_arn: Option<String>,
    pub(super) local_target: Option<bool>,
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
        match &destination {
            Destination::Block(IpNet::V4(block)) => table.routes.push(Route {
                destination: *block,
                target,
            }),
            Destination::Block(IpNet::V6(block)) => table.ipv6_routes.push((*block, target)),
            Destination::PrefixList(id) => table.prefix_list_routes.push((id.clone(), target)),
        }
        if routes(ctx, &table) > quota::ROUTES_PER_TABLE {
            return Err(error(
                "RouteLimitExceeded",
                format!(
                    "The maximum number of routes of {} is {}.",
                    table.id,
                    quota::ROUTES_PER_TABLE
                ),
            ));
        }
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(table);
    Ok(Created { r#return: true })
}

/// What counts towards the quota: of a prefix list, all that it may hold.
fn routes(ctx: &Ctx, table: &RouteTable) -> usize {
    let lists = table.prefix_list_routes.iter();
    let listed: usize = lists
        .filter_map(|(id, _)| prefix_list::find(ctx, id.as_str()).ok())
        .map(|list| list.max_entries as usize)
        .sum();
    table.routes.len().max(table.ipv6_routes.len()) + listed
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
fn target_of<'a>(
    table: &'a mut RouteTable,
    destination: &Destination,
) -> Option<&'a mut RouteTarget> {
    match destination {
        Destination::Block(IpNet::V4(net)) => {
            let mut routes = table.routes.iter_mut();
            routes
                .find(|r| r.destination == *net)
                .map(|r| &mut r.target)
        }
        Destination::Block(IpNet::V6(net)) => {
            let mut routes = table.ipv6_routes.iter_mut();
            routes.find(|(d, _)| d == net).map(|(_, target)| target)
        }
        Destination::PrefixList(id) => {
            let mut routes = table.prefix_list_routes.iter_mut();
            routes.find(|(d, _)| d == id).map(|(_, target)| target)
        }
    }
}

fn no_such_route(table: &RouteTable, destination: &Destination) -> wire::ApiError {
    let name = match destination {
        Destination::Block(IpNet::V4(_)) => "destination-cidr-block",
        Destination::Block(IpNet::V6(_)) => "destination-ipv6-cidr-block",
        Destination::PrefixList(_) => "destination-prefix-list-id",
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
fn checked(ctx: &Ctx, input: &RouteRequest) -> Result<(RouteTable, Destination, RouteTarget)> {
    let table = RouteTable::clone(&*find::<RouteTable>(ctx, &input.route_table_id)?);
    let destination = destination(
        ctx,
        [
            &input.destination_cidr_block,
            &input.destination_ipv6_cidr_block,
            &input.destination_prefix_list_id,
        ],
    )?;
    let target = target(ctx, input, &table, &destination)?;
    if let Destination::Block(IpNet::V4(block)) = &destination {
        check_destination(ctx, &table, block, &target)?;
    }
    Ok((table, destination, target))
}

/// IPv4, IPv6 or a prefix list. A route to IPv6 is kept, but no packet takes it.
fn destination(ctx: &Ctx, given: [&Option<String>; 3]) -> Result<Destination> {
    match given {
        [Some(v4), None, None] => Ok(Destination::Block(IpNet::V4(cidr::ipv4(
            v4,
            "destinationCidrBlock",
        )?))),
        [None, Some(v6), None] => match cidr::any(v6, "destinationIpv6CidrBlock")? {
            net @ IpNet::V6(_) => Ok(Destination::Block(net)),
            IpNet::V4(_) => Err(invalid_parameter(
                v6,
                "destinationIpv6CidrBlock",
                "This is not a valid IPv6 CIDR block.",
            )),
        },
        [None, None, Some(list)] => {
            let list = prefix_list::find(ctx, list)?;
            Ok(Destination::PrefixList(list.id))
        }
        [None, None, None] => Err(missing("destinationCidrBlock")),
        _ => Err(invalid_combination(
            "Only one of destinationCidrBlock, destinationIpv6CidrBlock and destinationPrefixListId may be specified.",
        )),
    }
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
    let destination = destination(
        ctx,
        [
            &input.destination_cidr_block,
            &input.destination_ipv6_cidr_block,
            &input.destination_prefix_list_id,
        ],
    )?;
    let local = |v: &Vpc| {
        let v4 = v.cidrs.iter().map(|(_, c)| IpNet::V4(*c));
        let v6 = v.ipv6_cidrs.iter().map(|(_, c)| IpNet::V6(*c));
        v4.chain(v6).any(|c| Destination::Block(c) == destination)
    };
    if ctx.tx.get::<Vpc>(&table.vpc).is_some_and(local) {
        return Err(invalid_value(format!(
            "cannot remove local route {destination} in route table {}",
            table.id
        )));
    }
    if target_of(&mut table, &destination).is_none() {
        return Err(no_such_route(&table, &destination));
    }
    match &destination {
        Destination::Block(IpNet::V4(block)) => table.routes.retain(|r| r.destination != *block),
        Destination::Block(IpNet::V6(block)) => table.ipv6_routes.retain(|(d, _)| d != block),
        Destination::PrefixList(id) => table.prefix_list_routes.retain(|(d, _)| d != id),
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(table);
    done()
}
