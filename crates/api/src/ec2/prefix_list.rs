//! Prefix lists that AWS manages: the addresses of S3 and DynamoDB in the region.
//!
//! In this cloud a service of its own has an address in the first 256 of the
//! public pool, so that block is what the lists hold.

use super::error::{Result, dry_run, error};
use super::filter::{Field, Filter, Filters, one};
use super::page::Page;
use crate::Ctx;
use ipnet::Ipv4Net;
use model::{PrefixListId, Tags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const SERVICES: [&str; 2] = ["s3", "dynamodb"];

struct PrefixList {
    id: PrefixListId,
    name: String,
    cidrs: Vec<Ipv4Net>,
}

/// The lists of the region, ordered by id. An id follows from the name, as AWS's do not change.
fn lists(region: &str, pool: Ipv4Net) -> Vec<PrefixList> {
    let mut lists: Vec<PrefixList> = SERVICES
        .iter()
        .filter_map(|service| {
            let name = format!("com.amazonaws.{region}.{service}");
            let digest = hex::encode(Sha256::digest(name.as_bytes()));
            Some(PrefixList {
                id: format!("pl-{}", digest.get(..8)?).parse().ok()?,
                name,
                cidrs: own_block(pool).into_iter().collect(),
            })
        })
        .collect();
    lists.sort_by(|a, b| a.id.cmp(&b.id));
    lists
}

fn own_block(pool: Ipv4Net) -> Option<Ipv4Net> {
    Ipv4Net::new(pool.network(), pool.prefix_len().max(24)).ok()
}

/// The blocks that rules and routes which name the list mean.
pub fn cidrs(region: &str, pool: Ipv4Net, id: &PrefixListId) -> Vec<Ipv4Net> {
    let lists = lists(region, pool);
    let list = lists.into_iter().find(|l| l.id == *id);
    list.map(|l| l.cidrs).unwrap_or_default()
}

/// The list's id, if there is such a list.
pub(super) fn find_id(ctx: &Ctx, id: &str) -> Result<PrefixListId> {
    let mut lists = lists(&ctx.scope.region, ctx.cloud.public_pool).into_iter();
    match lists.find(|l| l.id.as_str() == id) {
        Some(list) => Ok(list.id),
        None => Err(not_found(id)),
    }
}

fn not_found(id: &str) -> wire::ApiError {
    match id.parse::<PrefixListId>() {
        Ok(_) => error(
            "InvalidPrefixListID.NotFound",
            format!("The prefix list ID '{id}' does not exist"),
        ),
        Err(_) => error(
            "InvalidPrefixListId.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"pl-...\")"),
        ),
    }
}

const FILTERS: &[Field<PrefixList>] = &[
    ("owner-id", |_, _| one("AWS")),
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

fn chosen(ctx: &Ctx, input: &DescribePrefixLists) -> Result<(Vec<PrefixList>, Option<String>)> {
    let page = Page::within(1, 100, input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    for id in &input.prefix_list_id {
        find_id(ctx, id)?;
    }
    dry_run(input.dry_run)?;
    let no_tags = Tags::new();
    let mut lists = lists(&ctx.scope.region, ctx.cloud.public_pool);
    lists.retain(|l| {
        let ids = &input.prefix_list_id;
        (ids.is_empty() || ids.iter().any(|id| id == l.id.as_str()))
            && filters.match_tagged(&ctx.tx, l, &no_tags)
    });
    Ok(page.of(lists, |l| l.id.to_string()))
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

pub fn describe_all(ctx: &mut Ctx, input: DescribePrefixLists) -> Result<PrefixLists> {
    let (lists, next_token) = chosen(ctx, &input)?;
    Ok(PrefixLists {
        prefix_list_set: lists
            .iter()
            .map(|l| Shape {
                prefix_list_id: l.id.to_string(),
                prefix_list_name: l.name.clone(),
                cidr_set: l.cidrs.iter().map(Ipv4Net::to_string).collect(),
            })
            .collect(),
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
struct ManagedShape {
    prefix_list_id: String,
    prefix_list_name: String,
    prefix_list_arn: String,
    address_family: &'static str,
    state: &'static str,
    owner_id: &'static str,
    version: u32,
}

pub fn describe_managed(ctx: &mut Ctx, input: DescribePrefixLists) -> Result<ManagedPrefixLists> {
    let (lists, next_token) = chosen(ctx, &input)?;
    let region = &ctx.scope.region;
    Ok(ManagedPrefixLists {
        prefix_list_set: lists
            .iter()
            .map(|l| ManagedShape {
                prefix_list_id: l.id.to_string(),
                prefix_list_name: l.name.clone(),
                prefix_list_arn: format!("arn:aws:ec2:{region}:aws:prefix-list/{}", l.id),
                address_family: "IPv4",
                state: "create-complete",
                owner_id: "AWS",
                version: 1,
            })
            .collect(),
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
    entry_set: Vec<Entry>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    cidr: String,
}

pub fn get_entries(ctx: &mut Ctx, input: GetManagedPrefixListEntries) -> Result<Entries> {
    let page = Page::within(1, 100, input.max_results, input.next_token.as_deref())?;
    let id = find_id(ctx, &input.prefix_list_id)?;
    if let Some(version) = input.target_version
        && version != 1
    {
        return Err(error(
            "PrefixListVersionNotFound",
            format!("The prefix list {id} has no version {version}"),
        ));
    }
    dry_run(input.dry_run)?;
    let cidrs = cidrs(&ctx.scope.region, ctx.cloud.public_pool, &id);
    let (cidrs, next_token) = page.of(cidrs, Ipv4Net::to_string);
    Ok(Entries {
        entry_set: cidrs
            .iter()
            .map(|cidr| Entry {
                cidr: cidr.to_string(),
            })
            .collect(),
        next_token,
    })
}
