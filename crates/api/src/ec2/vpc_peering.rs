//! Peering of two VPCs: asked for by one side, accepted by the other, then routed.

use super::error::{Result, dry_run, error, invalid_value};
use super::filter::{Field, Filter, Filters, all, one};
use super::page::Page;
use super::resource::{Resource, parse_id};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, cidr, done};
use crate::Ctx;
use ipnet::Ipv4Net;
use model::vpc::Vpc;
use model::vpc_peering::{PeeredVpc, VpcPeeringConnection, VpcPeeringState as S};
use model::{Scope, VpcId, VpcPeeringConnectionId, zone};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::State;

/// A request that nobody accepts is void after this time.
const EXPIRES_AFTER_DAYS: i64 = 7;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    vpc_peering_connection_id: String,
    requester_vpc_info: Side,
    accepter_vpc_info: Side,
    status: Status,
    expiration_time: Option<wire::Timestamp>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    vpc_id: String,
    owner_id: String,
    region: String,
    cidr_block: Option<String>,
    cidr_block_set: Vec<CidrBlock>,
    peering_options: Option<OptionsShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CidrBlock {
    cidr_block: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OptionsShape {
    allow_dns_resolution_from_remote_vpc: bool,
    allow_egress_from_local_classic_link_to_remote_vpc: bool,
    allow_egress_from_local_vpc_to_remote_classic_link: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    code: &'static str,
    message: String,
}

pub(super) fn state_name(state: S) -> &'static str {
    match state {
        S::PendingAcceptance => "pending-acceptance",
        S::Provisioning => "provisioning",
        S::Active => "active",
        S::Deleted => "deleted",
        S::Rejected => "rejected",
        S::Expired => "expired",
    }
}

/// Whether routes to it may be made; packets pass once it is active.
pub(super) fn is_usable(peering: &VpcPeeringConnection) -> bool {
    matches!(
        peering.state,
        S::PendingAcceptance | S::Provisioning | S::Active
    )
}

pub(super) fn is_active(state: &State, id: &VpcPeeringConnectionId) -> bool {
    let peering = state.vpc_peering_connections.get(id);
    peering.is_some_and(|p| p.state == S::Active)
}

/// The connection over which two VPCs reach each other.
pub(super) fn between<'a>(
    state: &'a State,
    one: &VpcId,
    other: &VpcId,
) -> Option<&'a Arc<VpcPeeringConnection>> {
    let mut all = state.vpc_peering_connections.values();
    all.find(|p| {
        let pair = [&p.requester.vpc, &p.accepter.vpc];
        matches!(p.state, S::Provisioning | S::Active)
            && (pair == [one, other] || pair == [other, one])
    })
}

/// Whether a connection keeps the VPC from going.
pub(super) fn is_peered(state: &State, vpc: &VpcId) -> bool {
    let mut all = state.vpc_peering_connections.values();
    all.any(|p| {
        matches!(p.state, S::Provisioning | S::Active)
            && (p.requester.vpc == *vpc || p.accepter.vpc == *vpc)
    })
}

fn shape(peering: &VpcPeeringConnection) -> Shape {
    // The accepter's blocks are told once the request is accepted.
    let accepted = matches!(peering.state, S::Provisioning | S::Active);
    let message = match peering.state {
        S::PendingAcceptance => {
            format!("Pending Acceptance by {}", peering.accepter.scope.account)
        }
        S::Provisioning => "Provisioning".to_owned(),
        S::Active => "Active".to_owned(),
        S::Deleted => format!("Deleted by {}", peering.scope.account),
        S::Rejected => format!("Rejected by {}", peering.accepter.scope.account),
        S::Expired => "Expired".to_owned(),
    };
    let expires = peering.created + jiff::SignedDuration::from_hours(24 * EXPIRES_AFTER_DAYS);
    Shape {
        vpc_peering_connection_id: peering.id.to_string(),
        requester_vpc_info: side(&peering.requester, true),
        accepter_vpc_info: side(&peering.accepter, accepted),
        status: Status {
            code: state_name(peering.state),
            message,
        },
        expiration_time: (peering.state == S::PendingAcceptance).then(|| expires.into()),
        tag_set: tag::list(&peering.tags),
    }
}

fn side(side: &PeeredVpc, known: bool) -> Side {
    let cidrs: &[Ipv4Net] = if known { &side.cidrs } else { &[] };
    Side {
        vpc_id: side.vpc.to_string(),
        owner_id: side.scope.account.to_string(),
        region: side.scope.region.to_string(),
        cidr_block: cidrs.first().map(Ipv4Net::to_string),
        cidr_block_set: cidrs
            .iter()
            .map(|c| CidrBlock {
                cidr_block: c.to_string(),
            })
            .collect(),
        peering_options: known.then_some(OptionsShape {
            allow_dns_resolution_from_remote_vpc: side.dns_resolution,
            allow_egress_from_local_classic_link_to_remote_vpc: false,
            allow_egress_from_local_vpc_to_remote_classic_link: false,
        }),
    }
}

/// Both sides see a connection.
fn sees(scope: &Scope, peering: &VpcPeeringConnection) -> bool {
    [&peering.requester.scope, &peering.accepter.scope].contains(&scope)
}

pub(super) fn find(ctx: &Ctx, id: &str) -> Result<Arc<VpcPeeringConnection>> {
    let key = parse_id::<VpcPeeringConnection>(id)?;
    let peering = ctx.tx.vpc_peering_connections.get(&key);
    match peering.filter(|p| sees(&ctx.scope, p)) {
        Some(peering) => Ok(Arc::clone(peering)),
        None => Err(VpcPeeringConnection::not_found(id)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateVpcPeeringConnection {
    vpc_id: String,
    peer_vpc_id: Option<String>,
    peer_owner_id: Option<String>,
    peer_region: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneVpcPeeringConnection {
    vpc_peering_connection: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreateVpcPeeringConnection) -> Result<OneVpcPeeringConnection> {
    let own = super::resource::find::<Vpc>(ctx, &input.vpc_id)?;
    let peer_id = super::error::required(input.peer_vpc_id, "peerVpcId")?;
    let peer_id = parse_id::<Vpc>(&peer_id)?;
    let account = input.peer_owner_id.as_deref().unwrap_or(&ctx.scope.account);
    let region = input.peer_region.as_deref().unwrap_or(&ctx.scope.region);
    if zone::region(region).is_none() {
        return Err(invalid_value(format!("Invalid region: [{region}]")));
    }
    let peer_scope = Scope::new(account, region);
    if peer_id == own.id {
        return Err(invalid_value(format!(
            "A VPC cannot be peered with itself: {}",
            own.id
        )));
    }
    let tags = tag::of(&input.tag_specification, VpcPeeringConnection::TYPE)?;
    // Another account's VPC need not exist: the request then just waits, as on AWS it fails.
    let peer = ctx
        .tx
        .get::<Vpc>(&peer_id)
        .filter(|v| v.scope == peer_scope);
    let Some(peer) = peer.cloned() else {
        return Err(Vpc::not_found(&peer_id));
    };
    let state = match cidrs_overlap(&own, &peer) {
        true => {
            return Err(error(
                "OverlappingCidrs",
                format!("The CIDR blocks of {} and {} overlap.", own.id, peer.id),
            ));
        }
        false => S::PendingAcceptance,
    };
    let same = |p: &&Arc<VpcPeeringConnection>| {
        let pair = [&p.requester.vpc, &p.accepter.vpc];
        pair.contains(&&own.id) && pair.contains(&&peer.id) && is_usable(p)
    };
    if let Some(there) = ctx.tx.vpc_peering_connections.values().find(same) {
        return Err(error(
            "VpcPeeringConnectionAlreadyExists",
            format!("A VPC peering connection already exists: {}", there.id),
        ));
    }
    dry_run(input.dry_run)?;
    let side = |vpc: &Vpc| PeeredVpc {
        vpc: vpc.id.clone(),
        scope: vpc.scope.clone(),
        cidrs: vpc.cidrs.iter().map(|(_, c)| *c).collect(),
        dns_resolution: false,
    };
    let peering = VpcPeeringConnection {
        id: VpcPeeringConnectionId::random(),
        scope: ctx.scope.clone(),
        requester: side(&own),
        accepter: side(&peer),
        state,
        created: ctx.now,
        ended: None,
        tags,
    };
    let answer = OneVpcPeeringConnection {
        vpc_peering_connection: shape(&peering),
    };
    ctx.tx.put(peering);
    Ok(answer)
}

fn cidrs_overlap(a: &Vpc, b: &Vpc) -> bool {
    let mut pairs = a
        .cidrs
        .iter()
        .flat_map(|(_, x)| b.cidrs.iter().map(move |(_, y)| (x, y)));
    pairs.any(|(x, y)| cidr::overlap(x, y))
}

/// `AcceptVpcPeeringConnection`, `RejectVpcPeeringConnection` and `DeleteVpcPeeringConnection`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Decision {
    vpc_peering_connection_id: Option<String>,
    dry_run: Option<bool>,
}

fn decided(ctx: &Ctx, input: &Decision) -> Result<VpcPeeringConnection> {
    let Some(id) = &input.vpc_peering_connection_id else {
        return Err(super::error::missing("vpcPeeringConnectionId"));
    };
    Ok(VpcPeeringConnection::clone(&*find(ctx, id)?))
}

fn bad_transition(peering: &VpcPeeringConnection) -> wire::ApiError {
    error(
        "InvalidStateTransition",
        format!(
            "Invalid state transition for {}, attempted to transition from {}",
            peering.id,
            state_name(peering.state)
        ),
    )
}

pub fn accept(ctx: &mut Ctx, input: Decision) -> Result<OneVpcPeeringConnection> {
    let mut peering = decided(ctx, &input)?;
    if peering.accepter.scope != ctx.scope {
        return Err(error(
            "OperationNotPermitted",
            format!(
                "User {} cannot accept peering {}",
                ctx.scope.account, peering.id
            ),
        ));
    }
    match peering.state {
        S::PendingAcceptance => peering.state = S::Provisioning,
        S::Provisioning | S::Active => {}
        S::Deleted | S::Rejected | S::Expired => return Err(bad_transition(&peering)),
    }
    dry_run(input.dry_run)?;
    let answer = OneVpcPeeringConnection {
        vpc_peering_connection: shape(&peering),
    };
    ctx.tx.put(peering);
    Ok(answer)
}

pub fn reject(ctx: &mut Ctx, input: Decision) -> Result<Done> {
    let mut peering = decided(ctx, &input)?;
    if peering.state != S::PendingAcceptance || peering.accepter.scope != ctx.scope {
        return Err(bad_transition(&peering));
    }
    dry_run(input.dry_run)?;
    peering.state = S::Rejected;
    peering.ended = Some(ctx.now);
    ctx.tx.put(peering);
    done()
}

pub fn delete(ctx: &mut Ctx, input: Decision) -> Result<Done> {
    let mut peering = decided(ctx, &input)?;
    if !is_usable(&peering) {
        return Err(bad_transition(&peering));
    }
    dry_run(input.dry_run)?;
    peering.state = S::Deleted;
    peering.ended = Some(ctx.now);
    ctx.tx.put(peering);
    done()
}

const FILTERS: &[Field<VpcPeeringConnection>] = &[
    ("accepter-vpc-info.cidr-block", |_, p| {
        all(&p.accepter.cidrs)
    }),
    ("accepter-vpc-info.owner-id", |_, p| {
        one(&p.accepter.scope.account)
    }),
    ("accepter-vpc-info.vpc-id", |_, p| one(&p.accepter.vpc)),
    ("expiration-time", |_, p| {
        one(p.created + jiff::SignedDuration::from_hours(24 * EXPIRES_AFTER_DAYS))
    }),
    ("requester-vpc-info.cidr-block", |_, p| {
        all(&p.requester.cidrs)
    }),
    ("requester-vpc-info.owner-id", |_, p| {
        one(&p.requester.scope.account)
    }),
    ("requester-vpc-info.vpc-id", |_, p| one(&p.requester.vpc)),
    ("status-code", |_, p| one(state_name(p.state))),
    ("status-message", |_, p| one(shape(p).status.message)),
    ("vpc-peering-connection-id", |_, p| one(&p.id)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVpcPeeringConnections {
    #[serde(default)]
    vpc_peering_connection_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcPeeringConnections {
    vpc_peering_connection_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(
    ctx: &mut Ctx,
    input: DescribeVpcPeeringConnections,
) -> Result<VpcPeeringConnections> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    let ids = &input.vpc_peering_connection_id;
    for id in ids {
        find(ctx, id)?;
    }
    dry_run(input.dry_run)?;
    let all = ctx.tx.vpc_peering_connections.values();
    let mine = all.filter(|p| {
        sees(&ctx.scope, p)
            && (ids.is_empty() || ids.iter().any(|id| id == p.id.as_str()))
            && filters.matches(&ctx.tx, p)
    });
    let (page, next_token) = page.of(mine, |p| p.id.to_string());
    Ok(VpcPeeringConnections {
        vpc_peering_connection_set: page.into_iter().map(|p| shape(p)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Options {
    allow_dns_resolution_from_remote_vpc: Option<bool>,
    allow_egress_from_local_classic_link_to_remote_vpc: Option<bool>,
    allow_egress_from_local_vpc_to_remote_classic_link: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyVpcPeeringConnectionOptions {
    vpc_peering_connection_id: String,
    requester_peering_connection_options: Option<Options>,
    accepter_peering_connection_options: Option<Options>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModifiedOptions {
    requester_peering_connection_options: Option<OptionsShape>,
    accepter_peering_connection_options: Option<OptionsShape>,
}

pub fn modify_options(
    ctx: &mut Ctx,
    input: ModifyVpcPeeringConnectionOptions,
) -> Result<ModifiedOptions> {
    let mut peering = VpcPeeringConnection::clone(&*find(ctx, &input.vpc_peering_connection_id)?);
    let scope = ctx.scope.clone();
    let apply = |side: &mut PeeredVpc, options: &Option<Options>| -> Result<()> {
        let Some(options) = options else {
            return Ok(());
        };
        if side.scope != scope {
            return Err(error(
                "OperationNotPermitted",
                format!("The options of {} are for its owner to modify.", side.vpc),
            ));
        }
        let classic = [
            options.allow_egress_from_local_classic_link_to_remote_vpc,
            options.allow_egress_from_local_vpc_to_remote_classic_link,
        ];
        if classic.contains(&Some(true)) {
            return Err(invalid_value("EC2-Classic has been retired."));
        }
        if let Some(on) = options.allow_dns_resolution_from_remote_vpc {
            side.dns_resolution = on;
        }
        Ok(())
    };
    if !matches!(peering.state, S::Provisioning | S::Active) {
        return Err(bad_transition(&peering));
    }
    apply(
        &mut peering.requester,
        &input.requester_peering_connection_options,
    )?;
    apply(
        &mut peering.accepter,
        &input.accepter_peering_connection_options,
    )?;
    dry_run(input.dry_run)?;
    let answer = ModifiedOptions {
        requester_peering_connection_options: side(&peering.requester, true)
            .peering_options
            .filter(|_| input.requester_peering_connection_options.is_some()),
        accepter_peering_connection_options: side(&peering.accepter, true)
            .peering_options
            .filter(|_| input.accepter_peering_connection_options.is_some()),
    };
    ctx.tx.put(peering);
    Ok(answer)
}
