//! Route tables and what they are associated with. Routes are in [`super::route`].

use super::error::{Result, dry_run, error, has_dependencies, invalid_value, missing, refuse};
use super::filter::{Field, Filter, all, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::route_shape::{self, RouteShape};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done, quota};
use crate::Ctx;
use model::vpc::{RouteTable, RouteTableAssociation, Subnet, Vpc};
use model::{RouteTableAssociationId, RouteTableId, SubnetId, Tags};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{State, Tx};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    route_table_id: String,
    vpc_id: String,
    owner_id: String,
    route_set: Vec<RouteShape>,
    association_set: Vec<AssociationShape>,
    propagating_vgw_set: Vec<PropagatingGateway>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationShape {
    route_table_association_id: String,
    route_table_id: String,
    subnet_id: Option<String>,
    main: bool,
    association_state: AssociationState,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationState {
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PropagatingGateway {
    gateway_id: String,
}

const ASSOCIATED: AssociationState = AssociationState {
    state: "associated",
};

fn shape(state: &State, table: &RouteTable) -> Shape {
    Shape {
        route_table_id: table.id.to_string(),
        vpc_id: table.vpc.to_string(),
        owner_id: table.scope.account.to_string(),
        route_set: route_shape::shapes(state, table),
        association_set: table
            .associations
            .iter()
            .map(|a| AssociationShape {
                route_table_association_id: a.id.to_string(),
                route_table_id: table.id.to_string(),
                subnet_id: a.subnet.as_ref().map(SubnetId::to_string),
                main: a.subnet.is_none(),
                association_state: ASSOCIATED,
            })
            .collect(),
        propagating_vgw_set: table
            .propagating_gateways
            .iter()
            .map(|id| PropagatingGateway {
                gateway_id: id.to_string(),
            })
            .collect(),
        tag_set: tag::list(&table.tags),
    }
}

/// The table that a VPC comes with.
pub(super) fn make_main(tx: &mut Tx, vpc: &Vpc) {
    tx.put(RouteTable {
        id: RouteTableId::random(),
        scope: vpc.scope.clone(),
        vpc: vpc.id.clone(),
        routes: Vec::new(),
        ipv6_routes: Vec::new(),
        prefix_list_routes: Vec::new(),
        propagating_gateways: Vec::new(),
        associations: vec![RouteTableAssociation {
            id: RouteTableAssociationId::random(),
            subnet: None,
        }],
        client_token: None,
        tags: Tags::new(),
    });
}

/// The table in force in the subnet.
pub fn of_subnet<'a>(state: &'a State, subnet: &'a Subnet) -> Option<&'a RouteTable> {
    let tables = || owned::<RouteTable>(state, &subnet.scope).filter(|t| t.vpc == subnet.vpc);
    tables()
        .find(|t| {
            t.associations
                .iter()
                .any(|a| a.subnet.as_ref() == Some(&subnet.id))
        })
        .or_else(|| tables().find(|t| t.is_main()))
        .map(Arc::as_ref)
}

/// Takes a subnet that is being deleted out of its table.
pub(super) fn forget_subnet(tx: &mut Tx, subnet: &Subnet) {
    let holder = owned::<RouteTable>(tx, &subnet.scope)
        .find(|t| {
            t.associations
                .iter()
                .any(|a| a.subnet.as_ref() == Some(&subnet.id))
        })
        .map(|t| t.id.clone());
    if let Some(id) = holder {
        tx.modify::<RouteTable>(&id, |t| {
            t.associations
                .retain(|a| a.subnet.as_ref() != Some(&subnet.id));
        });
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRouteTable {
    vpc_id: String,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneRouteTable {
    route_table: Shape,
    client_token: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateRouteTable) -> Result<OneRouteTable> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let tags = tag::of(&input.tag_specification, RouteTable::TYPE)?;
    let same = super::idempotent::<RouteTable>(
        ctx,
        input.client_token.as_deref(),
        |t| t.client_token.as_deref(),
        |t| t.vpc == vpc.id && t.tags == tags,
    )?;
    dry_run(input.dry_run)?;
    let table = match same {
        Some(made) => made,
        None => {
            quota::check::<RouteTable>(
                ctx,
                quota::ROUTE_TABLES_PER_VPC,
                "RouteTableLimitExceeded",
                "route tables",
                |other| other.vpc == vpc.id,
            )?;
            let table = Arc::new(RouteTable {
                id: RouteTableId::random(),
                scope: ctx.scope.clone(),
                vpc: vpc.id.clone(),
                routes: Vec::new(),
                ipv6_routes: Vec::new(),
                prefix_list_routes: Vec::new(),
                propagating_gateways: Vec::new(),
                associations: Vec::new(),
                client_token: input.client_token.clone(),
                tags,
            });
            ctx.tx.put(RouteTable::clone(&table));
            table
        }
    };
    Ok(OneRouteTable {
        route_table: shape(&ctx.tx, &table),
        client_token: input.client_token,
    })
}

const FILTERS: &[Field<RouteTable>] = &[
    ("association.gateway-id", |_, _| vec![]),
    ("association.main", |_, t| {
        all(t.associations.iter().map(|a| a.subnet.is_none()))
    }),
    ("association.route-table-association-id", |_, t| {
        all(t.associations.iter().map(|a| &a.id))
    }),
    ("association.route-table-id", |_, t| {
        all(t.associations.iter().map(|_| &t.id))
    }),
    ("association.subnet-id", |_, t| {
        all(t.associations.iter().filter_map(|a| a.subnet.as_ref()))
    }),
    ("owner-id", |_, t| one(&t.scope.account)),
    ("route-table-id", |_, t| one(&t.id)),
    ("route.destination-cidr-block", |s, t| {
        routes(s, t, |r| r.destination_cidr_block.clone())
    }),
    ("route.destination-ipv6-cidr-block", |s, t| {
        routes(s, t, |r| r.destination_ipv6_cidr_block.clone())
    }),
    ("route.destination-prefix-list-id", |s, t| {
        routes(s, t, |r| r.destination_prefix_list_id.clone())
    }),
    ("route.egress-only-internet-gateway-id", |s, t| {
        routes(s, t, |r| r.egress_only_internet_gateway_id.clone())
    }),
    ("route.gateway-id", |s, t| {
        routes(s, t, |r| r.gateway_id.clone())
    }),
    ("route.instance-id", |s, t| {
        routes(s, t, |r| r.instance_id.clone())
    }),
    ("route.nat-gateway-id", |s, t| {
        routes(s, t, |r| r.nat_gateway_id.clone())
    }),
    ("route.network-interface-id", |s, t| {
        routes(s, t, |r| r.network_interface_id.clone())
    }),
    ("route.transit-gateway-id", |_, _| vec![]),
    ("route.vpc-peering-connection-id", |s, t| {
        routes(s, t, |r| r.vpc_peering_connection_id.clone())
    }),
    ("route.origin", |s, t| {
        routes(s, t, |r| Some(r.origin.to_owned()))
    }),
    ("route.state", |s, t| {
        routes(s, t, |r| Some(r.state.to_owned()))
    }),
    ("vpc-id", |_, t| one(&t.vpc)),
];

fn routes(state: &State, table: &RouteTable, of: fn(&RouteShape) -> Option<String>) -> Vec<String> {
    route_shape::shapes(state, table)
        .iter()
        .filter_map(of)
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeRouteTables {
    #[serde(default)]
    route_table_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTables {
    route_table_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeRouteTables) -> Result<RouteTables> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let ids = &input.route_table_id;
    let (tables, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(RouteTables {
        route_table_set: tables.iter().map(|t| shape(&ctx.tx, t)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteRouteTable {
    route_table_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteRouteTable) -> Result<Done> {
    let table = find::<RouteTable>(ctx, &input.route_table_id)?;
    if !table.associations.is_empty() {
        return Err(has_dependencies("routeTable", &table.id));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<RouteTable>(&table.id);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociateRouteTable {
    route_table_id: String,
    subnet_id: Option<String>,
    gateway_id: Option<String>,
    public_ipv4_pool: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Associated {
    association_id: String,
    association_state: AssociationState,
}

pub fn associate(ctx: &mut Ctx, input: AssociateRouteTable) -> Result<Associated> {
    refuse(&input.gateway_id, "GatewayId")?;
    refuse(&input.public_ipv4_pool, "PublicIpv4Pool")?;
    let table = find::<RouteTable>(ctx, &input.route_table_id)?;
    let Some(subnet) = &input.subnet_id else {
        return Err(missing("subnetId"));
    };
    let subnet = find::<Subnet>(ctx, subnet)?;
    same_vpc(&table, &subnet)?;
    let there = owned::<RouteTable>(&ctx.tx, &ctx.scope).find_map(|t| {
        let association = t
            .associations
            .iter()
            .find(|a| a.subnet.as_ref() == Some(&subnet.id))?;
        Some((t.id.clone(), association.id.clone()))
    });
    let id = match there {
        // Asking again for what is so answers what is so.
        Some((holder, id)) if holder == table.id => id,
        Some((_, id)) => {
            return Err(error(
                "Resource.AlreadyAssociated",
                format!(
                    "the specified association for route table {} conflicts with an existing association {id}",
                    table.id
                ),
            ));
        }
        None => {
            dry_run(input.dry_run)?;
            add_association(&mut ctx.tx, &table.id, Some(subnet.id.clone()))
        }
    };
    Ok(Associated {
        association_id: id.to_string(),
        association_state: ASSOCIATED,
    })
}

fn same_vpc(table: &RouteTable, subnet: &Subnet) -> Result<()> {
    if table.vpc == subnet.vpc {
        return Ok(());
    }
    Err(invalid_value(format!(
        "Route table {} and subnet {} belong to different networks",
        table.id, subnet.id
    )))
}

fn add_association(
    tx: &mut Tx,
    table: &RouteTableId,
    subnet: Option<SubnetId>,
) -> RouteTableAssociationId {
    let id = RouteTableAssociationId::random();
    let association = RouteTableAssociation {
        id: id.clone(),
        subnet,
    };
    tx.modify::<RouteTable>(table, |t| t.associations.push(association));
    id
}

/// The table that holds the association, and what it is with.
fn find_association(ctx: &Ctx, id: &str) -> Result<(Arc<RouteTable>, RouteTableAssociation)> {
    let found = owned::<RouteTable>(&ctx.tx, &ctx.scope).find_map(|table| {
        let association = table.associations.iter().find(|a| a.id.as_str() == id)?;
        Some((table.clone(), association.clone()))
    });
    found.ok_or_else(|| match id.parse::<RouteTableAssociationId>() {
        Ok(_) => error(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{id}' does not exist"),
        ),
        Err(_) => error(
            "InvalidAssociationID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"rtbassoc-...\")"),
        ),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisassociateRouteTable {
    association_id: String,
    dry_run: Option<bool>,
}

pub fn disassociate(ctx: &mut Ctx, input: DisassociateRouteTable) -> Result<Done> {
    let (table, association) = find_association(ctx, &input.association_id)?;
    if association.subnet.is_none() {
        return Err(invalid_value(format!(
            "cannot disassociate the main route table association {}",
            association.id
        )));
    }
    dry_run(input.dry_run)?;
    ctx.tx.modify::<RouteTable>(&table.id, |t| {
        t.associations.retain(|a| a.id != association.id);
    });
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplaceRouteTableAssociation {
    association_id: String,
    route_table_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplacedAssociation {
    new_association_id: String,
    association_state: AssociationState,
}

/// Of the main association too: that is how another table becomes the main one.
pub fn replace_association(
    ctx: &mut Ctx,
    input: ReplaceRouteTableAssociation,
) -> Result<ReplacedAssociation> {
    let (old, association) = find_association(ctx, &input.association_id)?;
    let table = find::<RouteTable>(ctx, &input.route_table_id)?;
    if table.vpc != old.vpc {
        return Err(invalid_value(format!(
            "Route table {} and association {} belong to different networks",
            table.id, association.id
        )));
    }
    dry_run(input.dry_run)?;
    ctx.tx.modify::<RouteTable>(&old.id, |t| {
        t.associations.retain(|a| a.id != association.id);
    });
    let id = add_association(&mut ctx.tx, &table.id, association.subnet);
    Ok(ReplacedAssociation {
        new_association_id: id.to_string(),
        association_state: ASSOCIATED,
    })
}
