//! NAT gateways: asked for here, made available and removed by their controller.

use super::error::{Result, dry_run, error, invalid_combination, missing, refuse, unsupported};
use super::filter::{Field, Filter, one};
use super::network_interface::{self, NewInterface};
use super::page::{Page, describe};
use super::resource::{Resource, find};
use super::tag::{self, Tag, TagSpecification};
use super::{address, cidr, private_address, quota};
use crate::Ctx;
use model::vpc::{
    Address, AddressAssociation, NatGateway, NatGatewayState, NetworkInterface, Requester, Subnet,
};
use model::{AddressAssociationId, AllocationId, NatGatewayId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::Tx;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    nat_gateway_id: String,
    vpc_id: String,
    subnet_id: String,
    state: &'static str,
    connectivity_type: &'static str,
    availability_mode: &'static str,
    create_time: wire::Timestamp,
    delete_time: Option<wire::Timestamp>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    nat_gateway_address_set: Vec<AddressShape>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddressShape {
    allocation_id: Option<String>,
    association_id: Option<String>,
    network_interface_id: String,
    private_ip: String,
    public_ip: Option<String>,
    is_primary: bool,
    status: &'static str,
}

pub fn state_name(state: NatGatewayState) -> &'static str {
    match state {
        NatGatewayState::Pending => "pending",
        NatGatewayState::Available => "available",
        NatGatewayState::Failed => "failed",
        NatGatewayState::Deleting => "deleting",
        NatGatewayState::Deleted => "deleted",
    }
}

fn connectivity(gateway: &NatGateway) -> &'static str {
    match gateway.allocation {
        Some(_) => "public",
        None => "private",
    }
}

fn shape(gateway: &NatGateway) -> Shape {
    let (failure_code, failure_message) = gateway.failure.clone().unzip();
    Shape {
        nat_gateway_id: gateway.id.to_string(),
        vpc_id: gateway.vpc.to_string(),
        subnet_id: gateway.subnet.to_string(),
        state: state_name(gateway.state),
        connectivity_type: connectivity(gateway),
        availability_mode: "zonal",
        create_time: gateway.created.into(),
        delete_time: gateway.deleted.map(Into::into),
        failure_code,
        failure_message,
        nat_gateway_address_set: vec![AddressShape {
            allocation_id: gateway.allocation.as_ref().map(AllocationId::to_string),
            association_id: gateway
                .association
                .as_ref()
                .map(AddressAssociationId::to_string),
            network_interface_id: gateway.interface.to_string(),
            private_ip: gateway.private_ip.to_string(),
            public_ip: gateway.public_ip.map(|ip| ip.to_string()),
            is_primary: true,
            status: match gateway.state {
                NatGatewayState::Pending => "associating",
                NatGatewayState::Failed => "failed",
                _ => "succeeded",
            },
        }],
        tag_set: tag::list(&gateway.tags),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateNatGateway {
    subnet_id: Option<String>,
    allocation_id: Option<String>,
    connectivity_type: Option<String>,
    private_ip_address: Option<String>,
    client_token: Option<String>,
    availability_mode: Option<String>,
    vpc_id: Option<String>,
    #[serde(default)]
    secondary_allocation_id: Vec<String>,
    #[serde(default)]
    secondary_private_ip_address: Vec<String>,
    secondary_private_ip_address_count: Option<i64>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedNatGateway {
    client_token: Option<String>,
    nat_gateway: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreateNatGateway) -> Result<CreatedNatGateway> {
    if input
        .availability_mode
        .as_deref()
        .is_some_and(|m| m != "zonal")
    {
        return Err(unsupported(
            "Regional NAT gateways are not supported by this cloud.",
        ));
    }
    refuse(&input.vpc_id, "VpcId")?;
    let secondary = !input.secondary_allocation_id.is_empty()
        || !input.secondary_private_ip_address.is_empty()
        || input
            .secondary_private_ip_address_count
            .is_some_and(|n| n > 0);
    if secondary {
        return Err(unsupported(
            "Secondary addresses of NAT gateways are not supported by this cloud.",
        ));
    }
    let Some(subnet) = &input.subnet_id else {
        return Err(missing("subnetId"));
    };
    let subnet = find::<Subnet>(ctx, subnet)?;
    let tags = tag::of(&input.tag_specification, NatGateway::TYPE)?;
    let wanted = input.allocation_id.as_deref();
    let same = super::idempotent::<NatGateway>(
        ctx,
        input.client_token.as_deref(),
        |g| g.client_token.as_deref(),
        |g| {
            let allocation = g.allocation.as_ref().map(AllocationId::as_str);
            g.subnet == subnet.id && allocation == wanted && g.tags == tags
        },
    )?;
    if let Some(made) = same {
        return Ok(CreatedNatGateway {
            client_token: input.client_token,
            nat_gateway: shape(&made),
        });
    }
    let in_zone = |g: &NatGateway| {
        let there = ctx.tx.subnets.get(&g.subnet);
        let counts = matches!(
            g.state,
            NatGatewayState::Pending | NatGatewayState::Available
        );
        counts && there.is_some_and(|s| s.zone == subnet.zone)
    };
    quota::check::<NatGateway>(
        ctx,
        quota::NAT_GATEWAYS,
        "NatGatewayLimitExceeded",
        "NAT gateways in the Availability Zone",
        in_zone,
    )?;
    let elastic = elastic_ip(ctx, input.connectivity_type.as_deref(), wanted)?;
    let private_ip = match &input.private_ip_address {
        Some(ip) => {
            let ip = cidr::address(ip, "privateIpAddress")?;
            private_address::check(&ctx.tx, &subnet, ip)?;
            ip
        }
        None => private_address::take(&ctx.tx, &subnet, 1)?
            .first()
            .copied()
            .ok_or_else(|| missing("privateIpAddress"))?,
    };
    dry_run(input.dry_run)?;
    let id = NatGatewayId::random();
    let interface = network_interface::make(
        &mut ctx.tx,
        &subnet,
        NewInterface {
            description: format!("Interface for NAT Gateway {id}"),
            private_ips: vec![private_ip],
            requester: Some(Requester::NatGateway(id.clone())),
            ..NewInterface::default()
        },
        ctx.now,
    );
    let association = elastic.as_ref().map(|_| AddressAssociationId::random());
    if let (Some(elastic), Some(association)) = (&elastic, &association) {
        let there = AddressAssociation {
            id: association.clone(),
            interface: interface.id.clone(),
            private_ip,
        };
        ctx.tx
            .modify::<Address>(&elastic.allocation, |a| a.association = Some(there));
    }
    let gateway = NatGateway {
        id,
        scope: ctx.scope.clone(),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        allocation: elastic.as_ref().map(|a| a.allocation.clone()),
        association,
        interface: interface.id,
        private_ip,
        public_ip: elastic.as_ref().map(|a| a.public_ip),
        state: NatGatewayState::Pending,
        failure: None,
        client_token: input.client_token.clone(),
        created: ctx.now,
        deleted: None,
        tags,
    };
    let answer = CreatedNatGateway {
        client_token: input.client_token,
        nat_gateway: shape(&gateway),
    };
    ctx.tx.put(gateway);
    Ok(answer)
}

/// The free Elastic IP of a public gateway; a private one has none.
fn elastic_ip(
    ctx: &Ctx,
    connectivity: Option<&str>,
    allocation: Option<&str>,
) -> Result<Option<Arc<Address>>> {
    match (connectivity.unwrap_or("public"), allocation) {
        ("private", None) => Ok(None),
        ("private", Some(_)) => Err(invalid_combination(
            "An allocation ID may not be specified for a private NAT gateway.",
        )),
        ("public", None) => Err(missing("allocationId")),
        ("public", Some(id)) => {
            let address = find::<Address>(ctx, id)?;
            match &address.association {
                None => Ok(Some(address)),
                Some(_) => Err(error(
                    "Resource.AlreadyAssociated",
                    format!("Elastic IP address [{id}] is already associated"),
                )),
            }
        }
        (other, _) => Err(super::error::invalid_parameter(
            other,
            "connectivityType",
            "Expecting public or private.",
        )),
    }
}

const FILTERS: &[Field<NatGateway>] = &[
    ("nat-gateway-id", |_, g| one(&g.id)),
    ("state", |_, g| one(state_name(g.state))),
    ("subnet-id", |_, g| one(&g.subnet)),
    ("vpc-id", |_, g| one(&g.vpc)),
    ("connectivity-type", |_, g| one(connectivity(g))),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeNatGateways {
    #[serde(default)]
    nat_gateway_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NatGateways {
    nat_gateway_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeNatGateways) -> Result<NatGateways> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let ids = &input.nat_gateway_id;
    let (gateways, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(NatGateways {
        nat_gateway_set: gateways.iter().map(|g| shape(g)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteNatGateway {
    nat_gateway_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedNatGateway {
    nat_gateway_id: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteNatGateway) -> Result<DeletedNatGateway> {
    let gateway = find::<NatGateway>(ctx, &input.nat_gateway_id)?;
    dry_run(input.dry_run)?;
    match gateway.state {
        NatGatewayState::Deleted => return Err(NatGateway::not_found(&gateway.id)),
        NatGatewayState::Deleting => {}
        NatGatewayState::Pending | NatGatewayState::Available | NatGatewayState::Failed => {
            let now = ctx.now;
            ctx.tx.modify::<NatGateway>(&gateway.id, |g| {
                g.state = NatGatewayState::Deleting;
                g.deleted = Some(now);
            });
        }
    }
    Ok(DeletedNatGateway {
        nat_gateway_id: gateway.id.to_string(),
    })
}

/// What its controller does once the data plane has let go of a gateway that is being
/// deleted: its interface goes and its Elastic IP is free again.
pub fn finish_delete(tx: &mut Tx, id: &NatGatewayId) {
    give_up(tx, id);
    tx.modify::<NatGateway>(id, |g| g.state = NatGatewayState::Deleted);
}

/// What its controller does with a gateway that cannot be made, such as one in a VPC
/// without an internet gateway (`Gateway.NotAttached`).
pub fn fail(tx: &mut Tx, id: &NatGatewayId, code: &str, message: &str) {
    give_up(tx, id);
    tx.modify::<NatGateway>(id, |g| {
        g.state = NatGatewayState::Failed;
        g.failure = Some((code.to_owned(), message.to_owned()));
    });
}

fn give_up(tx: &mut Tx, id: &NatGatewayId) {
    let interface = tx
        .get::<NatGateway>(id)
        .and_then(|g| tx.get::<NetworkInterface>(&g.interface))
        .cloned();
    if let Some(interface) = interface {
        address::disassociate_all(tx, &interface, &interface.private_ips);
        tx.remove::<NetworkInterface>(&interface.id);
    }
}
