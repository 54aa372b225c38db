//! Prefix lists: those that AWS manages, and those of the caller.
//!
//! AWS's hold the addresses of S3 and DynamoDB in the region. A service of this
//! cloud has its address in the first 256 of the public pool, so that block is
//! what they hold.

use super::error::{Result, dry_run, error, invalid_value};
use super::filter::{Field, Filter, Filters, one};
use super::page::Page;
use super::public_address;
use super::resource::{Resource, owned, parse_id};
use super::tag::{self, Tag};
use crate::Ctx;
use ipnet::{IpNet, Ipv4Net};
use model::vpc::{
    ManagedPrefixList, PrefixListEntry, RouteTable, SecurityGroup, SecurityGroupPeer,
};
use model::{PrefixListId, Scope, Tags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::State;

const SERVICES: [&str; 2] = ["s3", "dynamodb"];

/// Owner of the lists that AWS manages.
const AWS: &str = "AWS";

/// AWS's lists of the region. An id follows from the name, since AWS's do not change.
fn of_aws(region: &str, pool: Ipv4Net) -> impl Iterator<Item = ManagedPrefixList> {
    SERVICES.iter().filter_map(move |service| {
        let name = format!("com.amazonaws.{region}.{service}");
        let block = public_address::reserved(pool);
        Some(ManagedPrefixList {
            id: id_of_service(&name)?,
            scope: Scope::new(AWS, region),
            name,
            address_family: "IPv4".into(),
            max_entries: 1,
            versions: vec![vec![PrefixListEntry {
                cidr: IpNet::V4(block),
                description: None,
            }]],
            client_token: None,
            tags: Tags::new(),
        })
    })
}

/// The id of AWS's list of the addresses of a service, whose name is such as `com.amazonaws.us-east-1.s3`.
pub fn id_of_service(name: &str) -> Option<PrefixListId> {
    let (_, service) = name.rsplit_once('.')?;
    if !SERVICES.contains(&service) {
        return None;
    }
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    format!("pl-{}", digest.get(..8)?).parse().ok()
}

/// The lists that a caller of that scope sees, ordered by id.
fn visible(state: &State, scope: &Scope, pool: Ipv4Net) -> Vec<ManagedPrefixList> {
    let own = owned::<ManagedPrefixList>(state, scope).map(|l| ManagedPrefixList::clone(l));
    let mut lists: Vec<_> = of_aws(&scope.region, pool).chain(own).collect();
    lists.sort_by(|a, b| a.id.cmp(&b.id));
    lists
}

/// The blocks that a rule which names the list means.
pub fn cidrs(state: &State, scope: &Scope, pool: Ipv4Net, id: &PrefixListId) -> Vec<IpNet> {
    let lists = visible(state, scope, pool);
    let list = lists.iter().find(|l| l.id == *id);
    let entries = list.map_or(&[][..], |l| l.entries());
    entries.iter().map(|e| e.cidr).collect()
}

/// A list that the caller sees.
pub(super) fn find(ctx: &Ctx, id: &str) -> Result<ManagedPrefixList> {
    parse_id::<ManagedPrefixList>(id)?;
    let lists = visible(&ctx.tx, &ctx.scope, ctx.cloud.public_pool);
    let mut lists = lists.into_iter();
    lists
        .find(|l| l.id.as_str() == id)
        .ok_or_else(|| ManagedPrefixList::not_found(id))
}

const FILTERS: &[Field<ManagedPrefixList>] = &[
    ("owner-id", |_, l| one(&l.scope.account)),
    ("prefix-list-id", |_, l| one(&l.id)),
    ("prefix-list-name", |_, l| one(&l.name)),
];

/// `DescribePrefixLists` and `DescribeManagedPrefixLists`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribePrefixLists {
    #[serde(default)]
    prefix_list_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

type Chosen = (Vec<ManagedPrefixList>, Option<String>);

fn chosen(ctx: &Ctx, input: &DescribePrefixLists, managed: bool) -> Result<Chosen> {
    let page = Page::within(1, 100, input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    let ids = &input.prefix_list_id;
    for id in ids {
        find(ctx, id)?;
    }
    dry_run(input.dry_run)?;
    let mut lists = visible(&ctx.tx, &ctx.scope, ctx.cloud.public_pool);
    lists.retain(|l| {
        (ids.is_empty() || ids.iter().any(|id| id == l.id.as_str()))
            && (managed || is_aws(l))
            && filters.matches(&ctx.tx, l)
    });
    Ok(page.of(lists, |l| l.id.to_string()))
}

fn is_aws(list: &ManagedPrefixList) -> bool {
    *list.scope.account == *AWS
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrefixLists {
    prefix_list_set: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    prefix_list_id: String,
    prefix_list_name: String,
    cidr_set: Vec<String>,
}

/// Only AWS's: the older call knows no others.
pub fn describe_all(ctx: &mut Ctx, input: DescribePrefixLists) -> Result<PrefixLists> {
    let (lists, next_token) = chosen(ctx, &input, false)?;
    let shape = |l: ManagedPrefixList| Shape {
        prefix_list_id: l.id.to_string(),
        cidr_set: l.entries().iter().map(|e| e.cidr.to_string()).collect(),
        prefix_list_name: l.name,
    };
    Ok(PrefixLists {
        prefix_list_set: lists.into_iter().map(shape).collect(),
        next_token,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedPrefixLists {
    prefix_list_set: Vec<ManagedShape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ManagedShape {
    prefix_list_id: String,
    prefix_list_name: String,
    prefix_list_arn: String,
    address_family: String,
    state: &'static str,
    owner_id: String,
    max_entries: Option<u32>,
    version: usize,
    tag_set: Vec<Tag>,
}

/// `state` such as `create-complete`.
pub(super) fn managed_shape(list: &ManagedPrefixList, state: &'static str) -> ManagedShape {
    let owner = match is_aws(list) {
        true => "aws",
        false => &list.scope.account,
    };
    let region = &list.scope.region;
    ManagedShape {
        prefix_list_id: list.id.to_string(),
        prefix_list_name: list.name.clone(),
        prefix_list_arn: format!("arn:aws:ec2:{region}:{owner}:prefix-list/{}", list.id),
        address_family: list.address_family.clone(),
        state,
        owner_id: list.scope.account.to_string(),
        max_entries: Some(list.max_entries).filter(|_| !is_aws(list)),
        version: list.versions.len(),
        tag_set: tag::list(&list.tags),
    }
}

pub fn describe_managed(ctx: &mut Ctx, input: DescribePrefixLists) -> Result<ManagedPrefixLists> {
    let (lists, next_token) = chosen(ctx, &input, true)?;
    let shape = |l: &ManagedPrefixList| match l.versions.len() {
        1 => managed_shape(l, "create-complete"),
        _ => managed_shape(l, "modify-complete"),
    };
    Ok(ManagedPrefixLists {
        prefix_list_set: lists.iter().map(shape).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetManagedPrefixListEntries {
    prefix_list_id: String,
    target_version: Option<i64>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entries {
    entry_set: Vec<EntryShape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryShape {
    cidr: String,
    description: Option<String>,
}

pub fn get_entries(ctx: &mut Ctx, input: GetManagedPrefixListEntries) -> Result<Entries> {
    let page = Page::within(1, 100, input.max_results, input.next_token.as_deref())?;
    let list = find(ctx, &input.prefix_list_id)?;
    let mut entries = match input.target_version {
        Some(version) => version_of(&list, version)?.clone(),
        None => list.entries().to_vec(),
    };
    dry_run(input.dry_run)?;
    entries.sort_by_key(|e| e.cidr.to_string());
    let (entries, next_token) = page.of(entries, |e| e.cidr.to_string());
    let shape = |e: PrefixListEntry| EntryShape {
        cidr: e.cidr.to_string(),
        description: e.description,
    };
    Ok(Entries {
        entry_set: entries.into_iter().map(shape).collect(),
        next_token,
    })
}

/// The entries of a version, numbered from 1.
pub(super) fn version_of(list: &ManagedPrefixList, version: i64) -> Result<&Vec<PrefixListEntry>> {
    let index = usize::try_from(version).ok().and_then(|v| v.checked_sub(1));
    index.and_then(|i| list.versions.get(i)).ok_or_else(|| {
        invalid_value(format!(
            "The prefix list '{}' has no version {version}.",
            list.id
        ))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetManagedPrefixListAssociations {
    prefix_list_id: String,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Associations {
    prefix_list_association_set: Vec<AssociationShape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationShape {
    resource_id: String,
    resource_owner: String,
}

pub fn get_associations(
    ctx: &mut Ctx,
    input: GetManagedPrefixListAssociations,
) -> Result<Associations> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let list = find(ctx, &input.prefix_list_id)?;
    dry_run(input.dry_run)?;
    let users = users(&ctx.tx, &ctx.scope, &list.id);
    let (users, next_token) = page.of(users, String::clone);
    let shape = |resource_id| AssociationShape {
        resource_id,
        resource_owner: ctx.scope.account.to_string(),
    };
    Ok(Associations {
        prefix_list_association_set: users.into_iter().map(shape).collect(),
        next_token,
    })
}

/// The security groups with a rule that names the list and the route tables with a route
/// to it, by id.
fn users(state: &State, scope: &Scope, id: &PrefixListId) -> Vec<String> {
    let groups = owned::<SecurityGroup>(state, scope).filter(|g| {
        let mut peers = g.rules.iter().map(|r| &r.peer);
        peers.any(|p| matches!(p, SecurityGroupPeer::PrefixList(list) if list == id))
    });
    let tables = owned::<RouteTable>(state, scope)
        .filter(|t| t.prefix_list_routes.iter().any(|(list, _)| list == id));
    tables
        .map(|t| t.id.to_string())
        .chain(groups.map(|g| g.id.to_string()))
        .collect()
}

/// Refuses to delete a list that a rule or route names.
pub(super) fn check_unused(ctx: &Ctx, id: &PrefixListId) -> Result<()> {
    match users(&ctx.tx, &ctx.scope, id).first() {
        Some(user) => Err(error(
            "DependencyViolation",
            format!("The prefix list '{id}' is used by {user}."),
        )),
        None => Ok(()),
    }
}
