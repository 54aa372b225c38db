//! Prefix lists of the caller's own: made, changed version by version, deleted.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, invalid_value, missing,
};
use super::prefix_list::{ManagedShape, check_unused, managed_shape, version_of};
use super::resource::{Resource, find};
use super::tag::{self, TagSpecification};
use super::{cidr, prefix_list};
use crate::Ctx;
use ipnet::IpNet;
use model::PrefixListId;
use model::vpc::{ManagedPrefixList, PrefixListEntry};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most entries that a list may be sized for.
const MAX_ENTRIES: i64 = 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnePrefixList {
    prefix_list: ManagedShape,
}

fn answer(list: &ManagedPrefixList, state: &'static str) -> Result<OnePrefixList> {
    Ok(OnePrefixList {
        prefix_list: managed_shape(list, state),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateManagedPrefixList {
    prefix_list_name: String,
    address_family: String,
    max_entries: i64,
    #[serde(default)]
    entry: Vec<Entry>,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    cidr: String,
    description: Option<String>,
}

pub fn create(ctx: &mut Ctx, input: CreateManagedPrefixList) -> Result<OnePrefixList> {
    check_name(&input.prefix_list_name)?;
    if !matches!(input.address_family.as_str(), "IPv4" | "IPv6") {
        let why = "Expecting IPv4 or IPv6.";
        return Err(invalid_parameter(
            input.address_family,
            "addressFamily",
            why,
        ));
    }
    let tags = tag::of(&input.tag_specification, ManagedPrefixList::TYPE)?;
    let mut entries = Vec::new();
    add(&mut entries, &input.entry, &input.address_family)?;
    let max_entries = size(input.max_entries, entries.len())?;
    let same = super::idempotent::<ManagedPrefixList>(
        ctx,
        input.client_token.as_deref(),
        |l| l.client_token.as_deref(),
        |l| l.name == input.prefix_list_name && l.max_entries == max_entries && l.tags == tags,
    )?;
    dry_run(input.dry_run)?;
    let list = match same {
        Some(made) => made,
        None => {
            let list = Arc::new(ManagedPrefixList {
                id: PrefixListId::random(),
                scope: ctx.scope.clone(),
                name: input.prefix_list_name,
                address_family: input.address_family,
                max_entries,
                versions: vec![entries],
                client_token: input.client_token,
                tags,
            });
            ctx.tx.put(ManagedPrefixList::clone(&list));
            list
        }
    };
    answer(&list, "create-complete")
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > 255 || name.starts_with("com.amazonaws") {
        return Err(invalid_parameter(
            name,
            "prefixListName",
            "A name has up to 255 characters and does not start with com.amazonaws.",
        ));
    }
    Ok(())
}

fn size(max_entries: i64, used: usize) -> Result<u32> {
    let size = u32::try_from(max_entries).ok();
    let size = size.filter(|_| (1..=MAX_ENTRIES).contains(&max_entries));
    let Some(size) = size else {
        return Err(invalid_parameter(
            max_entries,
            "maxEntries",
            "Expecting a number between 1 and 1000.",
        ));
    };
    if used > size as usize {
        return Err(error(
            "PrefixListMaxEntriesExceeded",
            "You've reached the maximum number of entries for the prefix list.",
        ));
    }
    Ok(size)
}

fn add(entries: &mut Vec<PrefixListEntry>, new: &[Entry], family: &str) -> Result<()> {
    for entry in new {
        let cidr = cidr::any(&entry.cidr, "cidr")?;
        if matches!(cidr, IpNet::V4(_)) != (family == "IPv4") {
            let why = format!("The prefix list is of the address family {family}.");
            return Err(invalid_parameter(&entry.cidr, "cidr", &why));
        }
        if entries.iter().any(|e| e.cidr == cidr) {
            return Err(invalid_value(format!(
                "The prefix list has an entry for {cidr} already."
            )));
        }
        entries.push(PrefixListEntry {
            cidr,
            description: entry.description.clone().filter(|d| !d.is_empty()),
        });
    }
    Ok(())
}

/// A list that the caller may change: not one of AWS's.
fn find_own(ctx: &Ctx, id: &str) -> Result<ManagedPrefixList> {
    let own = find::<ManagedPrefixList>(ctx, id);
    match own {
        Ok(list) => Ok(ManagedPrefixList::clone(&list)),
        Err(_) if prefix_list::find(ctx, id).is_ok() => Err(error(
            "OperationNotPermitted",
            format!("The prefix list '{id}' is managed by AWS."),
        )),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyManagedPrefixList {
    prefix_list_id: String,
    current_version: Option<i64>,
    prefix_list_name: Option<String>,
    max_entries: Option<i64>,
    #[serde(default)]
    add_entry: Vec<Entry>,
    #[serde(default)]
    remove_entry: Vec<RemovedEntry>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RemovedEntry {
    cidr: String,
}

/// A change of entries makes a new version; of name or size does not.
pub fn modify(ctx: &mut Ctx, input: ModifyManagedPrefixList) -> Result<OnePrefixList> {
    let mut list = find_own(ctx, &input.prefix_list_id)?;
    let entries_change = !input.add_entry.is_empty() || !input.remove_entry.is_empty();
    if let Some(name) = input.prefix_list_name {
        check_name(&name)?;
        list.name = name;
    }
    if let Some(max_entries) = input.max_entries {
        if entries_change {
            return Err(invalid_combination(
                "The size and the entries of a prefix list cannot be changed in one request.",
            ));
        }
        list.max_entries = size(max_entries, list.entries().len())?;
    }
    if entries_change {
        check_version(&list, input.current_version)?;
        let mut entries = list.entries().to_vec();
        for removed in &input.remove_entry {
            let cidr = cidr::any(&removed.cidr, "cidr")?;
            let at = entries.iter().position(|e| e.cidr == cidr);
            match at {
                Some(at) => entries.remove(at),
                None => {
                    return Err(invalid_value(format!(
                        "The prefix list has no entry for {cidr}."
                    )));
                }
            };
            if input.add_entry.iter().any(|e| e.cidr == removed.cidr) {
                return Err(invalid_value(format!(
                    "Request cannot contain Cidr {cidr} in both AddPrefixListEntries and RemovePrefixListEntries"
                )));
            }
        }
        add(&mut entries, &input.add_entry, &list.address_family)?;
        size(list.max_entries.into(), entries.len())?;
        list.versions.push(entries);
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(list.clone());
    answer(&list, "modify-complete")
}

fn check_version(list: &ManagedPrefixList, given: Option<i64>) -> Result<()> {
    let Some(given) = given else {
        return Err(missing("currentVersion"));
    };
    if usize::try_from(given).ok() != Some(list.versions.len()) {
        return Err(error(
            "PrefixListVersionMismatch",
            "The prefix list has the incorrect version number.",
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RestoreManagedPrefixListVersion {
    prefix_list_id: String,
    previous_version: i64,
    current_version: i64,
    dry_run: Option<bool>,
}

/// The entries of an earlier version, as a new one.
pub fn restore(ctx: &mut Ctx, input: RestoreManagedPrefixListVersion) -> Result<OnePrefixList> {
    let mut list = find_own(ctx, &input.prefix_list_id)?;
    check_version(&list, Some(input.current_version))?;
    let entries = version_of(&list, input.previous_version)?.clone();
    size(list.max_entries.into(), entries.len())?;
    list.versions.push(entries);
    dry_run(input.dry_run)?;
    ctx.tx.put(list.clone());
    answer(&list, "restore-complete")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteManagedPrefixList {
    prefix_list_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteManagedPrefixList) -> Result<OnePrefixList> {
    let list = find_own(ctx, &input.prefix_list_id)?;
    check_unused(ctx, &list.id)?;
    dry_run(input.dry_run)?;
    ctx.tx.remove::<ManagedPrefixList>(&list.id);
    answer(&list, "delete-complete")
}
