//! Who of a peered VPC names a security group, and whose such rules are stale.

use super::error::{Result, dry_run, missing};
use super::page::Page;
use super::resource::{find, owned};
use super::vpc_peering;
use crate::Ctx;
use model::SecurityGroupId;
use model::vpc::{SecurityGroup, SecurityGroupPeer, Vpc};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSecurityGroupReferences {
    #[serde(default)]
    group_id: Vec<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct References {
    security_group_reference_set: Vec<Reference>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    group_id: String,
    referencing_vpc_id: String,
    vpc_peering_connection_id: String,
}

fn names(group: &SecurityGroup, other: &SecurityGroupId) -> bool {
    let mut peers = group.rules.iter().map(|r| &r.peer);
    peers.any(|p| matches!(p, SecurityGroupPeer::Group(id) if id == other))
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeSecurityGroupReferences) -> Result<References> {
    if input.group_id.is_empty() {
        return Err(missing("groupId"));
    }
    let mut references = Vec::new();
    for id in &input.group_id {
        let group = find::<SecurityGroup>(ctx, id)?;
        let mut others = ctx.tx.security_groups.values();
        for other in others
            .by_ref()
            .filter(|o| o.vpc != group.vpc && names(o, &group.id))
        {
            if let Some(peering) = vpc_peering::between(&ctx.tx, &group.vpc, &other.vpc) {
                references.push(Reference {
                    group_id: group.id.to_string(),
                    referencing_vpc_id: other.vpc.to_string(),
                    vpc_peering_connection_id: peering.id.to_string(),
                });
            }
        }
    }
    dry_run(input.dry_run)?;
    Ok(References {
        security_group_reference_set: references,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeStaleSecurityGroups {
    vpc_id: String,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaleGroups {
    stale_security_group_set: Vec<StaleGroup>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StaleGroup {
    group_id: String,
    group_name: String,
    description: String,
    vpc_id: String,
}

/// Groups with a rule that names one of a VPC to which no peering connection leads any more.
pub fn describe_stale(ctx: &mut Ctx, input: DescribeStaleSecurityGroups) -> Result<StaleGroups> {
    let page = Page::within(5, 255, input.max_results, input.next_token.as_deref())?;
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    dry_run(input.dry_run)?;
    let stale = |group: &SecurityGroup| {
        let mut peers = group.rules.iter().map(|r| &r.peer);
        peers.any(|p| match p {
            SecurityGroupPeer::Group(id) => match ctx.tx.get::<SecurityGroup>(id) {
                Some(other) if other.vpc == vpc.id => false,
                Some(other) => vpc_peering::between(&ctx.tx, &vpc.id, &other.vpc).is_none(),
                None => true,
            },
            SecurityGroupPeer::Cidr(_) | SecurityGroupPeer::PrefixList(_) => false,
        })
    };
    let groups =
        owned::<SecurityGroup>(&ctx.tx, &ctx.scope).filter(|g| g.vpc == vpc.id && stale(g));
    let (groups, next_token) = page.of(groups, |g| g.id.to_string());
    let shape = |g: &SecurityGroup| StaleGroup {
        group_id: g.id.to_string(),
        group_name: g.name.clone(),
        description: g.description.clone(),
        vpc_id: g.vpc.to_string(),
    };
    Ok(StaleGroups {
        stale_security_group_set: groups.into_iter().map(|g| shape(g)).collect(),
        next_token,
    })
}
