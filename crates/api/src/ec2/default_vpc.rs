//! The default VPC of an account and region: made at first sight, or again on demand.

use super::error::{Result, dry_run, error, refuse_ipv6, required};
use super::resource::owned;
use super::subnet::{self, OneSubnet};
use super::vpc::{self, OneVpc};
use super::{availability_zone, dhcp_options};
use crate::Ctx;
use ipnet::Ipv4Net;
use model::vpc::{InternetGateway, Route, RouteTable, RouteTarget, Subnet, Vpc};
use model::{InternetGatewayId, Scope, Tags, Timestamp, zone};
use serde::Deserialize;
use std::net::Ipv4Addr;
use store::Tx;

const PREFIX: u8 = 16;
const SUBNET_PREFIX: u8 = 20;

fn block() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), PREFIX)
}

/// Gives an account and region seen for the first time what every account has there.
///
/// The default DHCP option set, which cannot be deleted, marks that it happened:
/// a default VPC that the user deleted stays deleted.
pub fn ensure_defaults(tx: &mut Tx, scope: &Scope, _now: Timestamp) {
    if dhcp_options::find_default(tx, scope).is_some() {
        return;
    }
    dhcp_options::default_of(tx, scope);
    make(tx, scope);
}

/// Whether [`ensure_defaults`] has nothing left to do, so that a reader need not write.
pub fn has_defaults(state: &store::State, scope: &Scope) -> bool {
    dhcp_options::find_default(state, scope).is_some()
}

fn make(tx: &mut Tx, scope: &Scope) -> Vpc {
    let mut vpc = vpc::make(tx, scope, block(), "default".into(), Tags::new());
    vpc.is_default = true;
    vpc.enable_dns_hostnames = true;
    tx.put(vpc.clone());
    let zones = zone::region(&scope.region).map(|r| r.zones());
    let blocks = block().subnets(SUBNET_PREFIX).into_iter().flatten();
    for ((zone, _), cidr) in zones.into_iter().flatten().zip(blocks) {
        make_subnet(tx, &vpc, zone, cidr);
    }
    let gateway = InternetGateway {
        id: InternetGatewayId::random(),
        scope: scope.clone(),
        vpc: Some(vpc.id.clone()),
        tags: Tags::new(),
    };
    let main = owned::<RouteTable>(tx, scope)
        .find(|t| t.vpc == vpc.id && t.is_main())
        .map(|t| t.id.clone());
    if let Some(main) = main {
        tx.modify::<RouteTable>(&main, |table| {
            table.routes.push(Route {
                destination: Ipv4Net::default(),
                target: RouteTarget::InternetGateway(gateway.id.clone()),
            });
        });
    }
    tx.put(gateway);
    vpc
}

fn make_subnet(tx: &mut Tx, vpc: &Vpc, zone: String, cidr: Ipv4Net) -> Subnet {
    let mut subnet = subnet::make(tx, vpc, zone, cidr, Tags::new());
    subnet.default_for_az = true;
    subnet.map_public_ip_on_launch = true;
    tx.put(subnet.clone());
    subnet
}

/// The caller's default VPC, if it still has one.
pub fn find(ctx: &Ctx) -> Option<std::sync::Arc<Vpc>> {
    owned::<Vpc>(&ctx.tx, &ctx.scope)
        .find(|v| v.is_default)
        .cloned()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateDefaultVpc {
    dry_run: Option<bool>,
}

pub fn create(ctx: &mut Ctx, input: CreateDefaultVpc) -> Result<OneVpc> {
    if let Some(vpc) = find(ctx) {
        return Err(error(
            "DefaultVpcAlreadyExists",
            format!(
                "A Default VPC already exists for this account in this region: {}.",
                vpc.id
            ),
        ));
    }
    dry_run(input.dry_run)?;
    let scope = ctx.scope.clone();
    let vpc = make(&mut ctx.tx, &scope);
    Ok(OneVpc {
        vpc: vpc::shape(&vpc),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateDefaultSubnet {
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    ipv6_native: Option<bool>,
    dry_run: Option<bool>,
}

pub fn create_subnet(ctx: &mut Ctx, input: CreateDefaultSubnet) -> Result<OneSubnet> {
    refuse_ipv6(input.ipv6_native)?;
    let zone = availability_zone::choose(ctx, input.availability_zone, input.availability_zone_id)?;
    let zone = required(zone, "availabilityZone")?;
    let Some(vpc) = find(ctx) else {
        return Err(error(
            "DefaultVpcDoesNotExist",
            "No default VPC exists for this account in this region.",
        ));
    };
    let mine = |s: &&std::sync::Arc<Subnet>| s.vpc == vpc.id;
    if let Some(there) = owned::<Subnet>(&ctx.tx, &ctx.scope)
        .filter(mine)
        .find(|s| s.default_for_az && s.zone == zone)
    {
        return Err(error(
            "DefaultSubnetAlreadyExistsInAvailabilityZone",
            format!("'{}' is already the default subnet in {zone}.", there.id),
        ));
    }
    let taken: Vec<Ipv4Net> = owned::<Subnet>(&ctx.tx, &ctx.scope)
        .filter(mine)
        .map(|s| s.cidr)
        .collect();
    let free = block()
        .subnets(SUBNET_PREFIX)
        .into_iter()
        .flatten()
        .find(|b| !taken.iter().any(|t| super::cidr::overlap(t, b)));
    let Some(cidr) = free else {
        return Err(error(
            "InsufficientFreeAddressesInSubnet",
            format!("The default VPC {} has no free /20 block.", vpc.id),
        ));
    };
    dry_run(input.dry_run)?;
    let subnet = make_subnet(&mut ctx.tx, &vpc, zone, cidr);
    Ok(OneSubnet {
        subnet: subnet::shape(&ctx.tx, &subnet),
    })
}
