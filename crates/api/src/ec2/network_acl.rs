//! Network ACLs and which subnets stand in them. Entries are in [`super::network_acl_entry`].

use super::error::{Result, dry_run, error, has_dependencies, invalid_value};
use super::filter::{Field, Filter, all, one};
use super::network_acl_entry::{self as entry, EntryShape};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done, quota};
use crate::Ctx;
use model::vpc::{NetworkAcl, Subnet, Vpc};
use model::{NetworkAclAssociationId, NetworkAclId, Tags};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{State, Tx};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    network_acl_id: String,
    vpc_id: String,
    owner_id: String,
    default: bool,
    entry_set: Vec<EntryShape>,
    association_set: Vec<AssociationShape>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationShape {
    network_acl_association_id: String,
    network_acl_id: String,
    subnet_id: String,
}

fn shape(acl: &NetworkAcl) -> Shape {
    Shape {
        network_acl_id: acl.id.to_string(),
        vpc_id: acl.vpc.to_string(),
        owner_id: acl.scope.account.to_string(),
        default: acl.is_default,
        entry_set: entry::shapes(acl),
        association_set: acl
            .associations
            .iter()
            .map(|(id, subnet)| AssociationShape {
                network_acl_association_id: id.to_string(),
                network_acl_id: acl.id.to_string(),
                subnet_id: subnet.to_string(),
            })
            .collect(),
        tag_set: tag::list(&acl.tags),
    }
}

/// The ACL that a VPC comes with: everything may pass.
pub(super) fn make_default(tx: &mut Tx, vpc: &Vpc) {
    tx.put(NetworkAcl {
        id: NetworkAclId::random(),
        scope: vpc.scope.clone(),
        vpc: vpc.id.clone(),
        is_default: true,
        entries: vec![entry::allow_all(false), entry::allow_all(true)],
        associations: Vec::new(),
        client_token: None,
        tags: Tags::new(),
    });
}

fn default_of(state: &State, subnet: &Subnet) -> Option<NetworkAclId> {
    owned::<NetworkAcl>(state, &subnet.scope)
        .find(|a| a.vpc == subnet.vpc && a.is_default)
        .map(|a| a.id.clone())
}

/// Puts a new subnet in its VPC's default ACL.
pub(super) fn associate_default(tx: &mut Tx, subnet: &Subnet) {
    if let Some(acl) = default_of(tx, subnet) {
        tx.modify::<NetworkAcl>(&acl, |a| {
            let id = NetworkAclAssociationId::random();
            a.associations.push((id, subnet.id.clone()));
        });
    }
}

/// Takes a subnet that is being deleted out of its ACL.
pub(super) fn forget_subnet(tx: &mut Tx, subnet: &Subnet) {
    if let Some(acl) = of_subnet(tx, subnet).map(|a| a.id.clone()) {
        tx.modify::<NetworkAcl>(&acl, |a| {
            a.associations.retain(|(_, s)| *s != subnet.id);
        });
    }
}

/// The ACL in force in the subnet.
pub fn of_subnet<'a>(state: &'a State, subnet: &'a Subnet) -> Option<&'a NetworkAcl> {
    owned::<NetworkAcl>(state, &subnet.scope)
        .find(|a| a.associations.iter().any(|(_, s)| *s == subnet.id))
        .map(Arc::as_ref)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateNetworkAcl {
    vpc_id: String,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneNetworkAcl {
    network_acl: Shape,
    client_token: Option<String>,
}

/// A new ACL denies everything until entries are added.
pub fn create(ctx: &mut Ctx, input: CreateNetworkAcl) -> Result<OneNetworkAcl> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let tags = tag::of(&input.tag_specification, NetworkAcl::TYPE)?;
    let same = super::idempotent::<NetworkAcl>(
        ctx,
        input.client_token.as_deref(),
        |a| a.client_token.as_deref(),
        |a| a.vpc == vpc.id && a.tags == tags,
    )?;
    dry_run(input.dry_run)?;
    let acl = match same {
        Some(made) => made,
        None => {
            quota::check::<NetworkAcl>(
                ctx,
                quota::NETWORK_ACLS_PER_VPC,
                "NetworkAclLimitExceeded",
                "network ACLs",
                |other| other.vpc == vpc.id,
            )?;
            let acl = Arc::new(NetworkAcl {
                id: NetworkAclId::random(),
                scope: ctx.scope.clone(),
                vpc: vpc.id.clone(),
                is_default: false,
                entries: Vec::new(),
                associations: Vec::new(),
                client_token: input.client_token.clone(),
                tags,
            });
            ctx.tx.put(NetworkAcl::clone(&acl));
            acl
        }
    };
    Ok(OneNetworkAcl {
        network_acl: shape(&acl),
        client_token: input.client_token,
    })
}

const FILTERS: &[Field<NetworkAcl>] = &[
    ("association.association-id", |_, a| {
        all(a.associations.iter().map(|(id, _)| id))
    }),
    ("association.network-acl-id", |_, a| {
        all(a.associations.iter().map(|_| &a.id))
    }),
    ("association.subnet-id", |_, a| {
        all(a.associations.iter().map(|(_, s)| s))
    }),
    ("default", |_, a| one(a.is_default)),
    ("entry.cidr", |_, a| entries(a, |e| e.cidr_block.clone())),
    ("entry.icmp.code", |_, a| {
        entries(a, |e| Some(e.icmp_type_code.as_ref()?.code.to_string()))
    }),
    ("entry.icmp.type", |_, a| {
        entries(a, |e| Some(e.icmp_type_code.as_ref()?.r#type.to_string()))
    }),
    ("entry.ipv6-cidr", |_, a| {
        entries(a, |e| e.ipv6_cidr_block.clone())
    }),
    ("entry.port-range.from", |_, a| {
        entries(a, |e| Some(e.port_range.as_ref()?.from.to_string()))
    }),
    ("entry.port-range.to", |_, a| {
        entries(a, |e| Some(e.port_range.as_ref()?.to.to_string()))
    }),
    ("entry.protocol", |_, a| {
        entries(a, |e| Some(e.protocol.clone()))
    }),
    ("entry.rule-action", |_, a| {
        entries(a, |e| Some(e.rule_action.to_owned()))
    }),
    ("entry.egress", |_, a| {
        entries(a, |e| Some(e.egress.to_string()))
    }),
    ("entry.rule-number", |_, a| {
        entries(a, |e| Some(e.rule_number.to_string()))
    }),
    ("network-acl-id", |_, a| one(&a.id)),
    ("owner-id", |_, a| one(&a.scope.account)),
    ("vpc-id", |_, a| one(&a.vpc)),
];

fn entries(acl: &NetworkAcl, of: fn(&EntryShape) -> Option<String>) -> Vec<String> {
    entry::shapes(acl).iter().filter_map(of).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeNetworkAcls {
    #[serde(default)]
    network_acl_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkAcls {
    network_acl_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeNetworkAcls) -> Result<NetworkAcls> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let ids = &input.network_acl_id;
    let (acls, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(NetworkAcls {
        network_acl_set: acls.iter().map(|a| shape(a)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteNetworkAcl {
    network_acl_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteNetworkAcl) -> Result<Done> {
    let acl = find::<NetworkAcl>(ctx, &input.network_acl_id)?;
    if acl.is_default {
        return Err(invalid_value(format!(
            "cannot delete default network ACL {}",
            acl.id
        )));
    }
    if !acl.associations.is_empty() {
        return Err(has_dependencies("networkAcl", &acl.id));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<NetworkAcl>(&acl.id);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplaceNetworkAclAssociation {
    association_id: String,
    network_acl_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplacedAssociation {
    new_association_id: String,
}

pub fn replace_association(
    ctx: &mut Ctx,
    input: ReplaceNetworkAclAssociation,
) -> Result<ReplacedAssociation> {
    let id = &input.association_id;
    let found = owned::<NetworkAcl>(&ctx.tx, &ctx.scope).find_map(|acl| {
        let (_, subnet) = acl.associations.iter().find(|(a, _)| a.as_str() == id)?;
        Some((acl.clone(), subnet.clone()))
    });
    let Some((old, subnet)) = found else {
        return Err(error(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{id}' does not exist"),
        ));
    };
    let acl = find::<NetworkAcl>(ctx, &input.network_acl_id)?;
    if acl.vpc != old.vpc {
        return Err(invalid_value(format!(
            "networkAcl {} and subnet {subnet} belong to different networks",
            acl.id
        )));
    }
    dry_run(input.dry_run)?;
    let new = NetworkAclAssociationId::random();
    ctx.tx.modify::<NetworkAcl>(&old.id, |a| {
        a.associations.retain(|(_, s)| *s != subnet);
    });
    ctx.tx.modify::<NetworkAcl>(&acl.id, |a| {
        a.associations.push((new.clone(), subnet));
    });
    Ok(ReplacedAssociation {
        new_association_id: new.to_string(),
    })
}
