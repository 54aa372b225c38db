//! Placement groups. One machine is all the hardware there is, so a strategy changes nothing
//! about where an instance runs; what counts is kept: AWS's limits of a spread group, and
//! that a group with instances stays.

use super::error::{Result, dry_run, error, invalid_parameter, refuse};
use super::filter::{Field, Filter, Filters, maybe, one};
use super::resource::{Resource, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done};
use crate::Ctx;
use model::instance::{Instance, InstanceState};
use model::placement_group::PlacementGroup;
use model::{PlacementGroupId, Scope};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::State;

/// Partitions of a group; instances of a spread group in one zone.
const MAX_PARTITIONS: u32 = 7;
const MAX_SPREAD: usize = 7;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    group_id: String,
    group_name: String,
    group_arn: String,
    strategy: String,
    state: &'static str,
    partition_count: Option<u32>,
    spread_level: Option<String>,
    tag_set: Vec<Tag>,
}

fn arn(group: &PlacementGroup) -> String {
    group
        .scope
        .arn("ec2", format_args!("placement-group/{}", group.name))
}

fn shape(group: &PlacementGroup) -> Shape {
    Shape {
        group_id: group.id.to_string(),
        group_name: group.name.clone(),
        group_arn: arn(group),
        strategy: group.strategy.clone(),
        state: "available",
        partition_count: group.partitions,
        spread_level: group.spread_level.clone(),
        tag_set: tag::list(&group.tags),
    }
}

pub(super) fn find<'a>(
    state: &'a State,
    scope: &'a Scope,
    name: &str,
) -> Result<&'a PlacementGroup> {
    owned::<PlacementGroup>(state, scope)
        .find(|g| g.name == name)
        .map(Arc::as_ref)
        .ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> wire::ApiError {
    error(
        "InvalidPlacementGroup.Unknown",
        format!("The placement group '{name}' is unknown."),
    )
}

/// The instances of a group that are there.
fn members<'a>(state: &'a State, group: &'a PlacementGroup) -> impl Iterator<Item = &'a Instance> {
    owned::<Instance>(state, &group.scope)
        .map(Arc::as_ref)
        .filter(|i| {
            i.placement_group.as_ref() == Some(&group.name)
                && !matches!(
                    i.state,
                    InstanceState::ShuttingDown | InstanceState::Terminated
                )
        })
}

/// Refuses a launch of so many instances into the zone that the group does not allow.
pub(super) fn check_launch(
    state: &State,
    scope: &Scope,
    name: &str,
    zone: &str,
    count: usize,
) -> Result<()> {
    let group = find(state, scope, name)?;
    let there: Vec<&str> = members(state, group).map(|i| i.zone.as_str()).collect();
    match group.strategy.as_str() {
        "spread" => {
            let here = there.iter().filter(|z| **z == zone).count();
            if here + count > MAX_SPREAD {
                return Err(error(
                    "InsufficientInstanceCapacity",
                    format!(
                        "A spread placement group has at most {MAX_SPREAD} running instances per Availability Zone."
                    ),
                )
                .with_status(500));
            }
        }
        "cluster" if there.iter().any(|z| *z != zone) => {
            return Err(super::error::invalid_combination(format!(
                "The placement group '{name}' has instances in another Availability Zone."
            )));
        }
        _ => {}
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePlacementGroup {
    group_name: Option<String>,
    strategy: Option<String>,
    partition_count: Option<u32>,
    spread_level: Option<String>,
    linked_group_id: Option<String>,
    operator: Option<Operator>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Operator {
    principal: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedPlacementGroup {
    r#return: bool,
    placement_group: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreatePlacementGroup) -> Result<CreatedPlacementGroup> {
    refuse(&input.linked_group_id, "LinkedGroupId")?;
    refuse(&input.operator.and_then(|o| o.principal), "Operator")?;
    let name = super::error::required(input.group_name, "groupName")?;
    if name.is_empty() || name.chars().count() > 255 {
        return Err(invalid_parameter(
            name,
            "groupName",
            "It has 1 to 255 characters.",
        ));
    }
    let strategy = input.strategy.unwrap_or_else(|| "cluster".into());
    let partitions = match (strategy.as_str(), input.partition_count) {
        ("partition", given) => Some(given.unwrap_or(2)),
        ("cluster" | "spread", None) => None,
        ("cluster" | "spread", Some(n)) => {
            let why = "Only groups of the strategy partition have partitions.";
            return Err(invalid_parameter(n, "partitionCount", why));
        }
        (other, _) => {
            let why = "Expecting cluster, spread or partition.";
            return Err(invalid_parameter(other, "strategy", why));
        }
    };
    if let Some(n) = partitions.filter(|n| !(1..=MAX_PARTITIONS).contains(n)) {
        let why = format!("Expecting 1 to {MAX_PARTITIONS}.");
        return Err(invalid_parameter(n, "partitionCount", &why));
    }
    let spread_level = match (strategy.as_str(), input.spread_level.as_deref()) {
        ("spread", None | Some("rack")) => Some("rack".to_owned()),
        (_, None) => None,
        (_, Some(other)) => {
            let why = "Only rack is a level of spread groups outside of Outposts.";
            return Err(invalid_parameter(other, "spreadLevel", why));
        }
    };
    if find(&ctx.tx, &ctx.scope, &name).is_ok() {
        return Err(error(
            "InvalidPlacementGroup.Duplicate",
            format!("The placement group '{name}' already exists."),
        ));
    }
    let tags = tag::of(&input.tag_specification, PlacementGroup::TYPE)?;
    dry_run(input.dry_run)?;
    let group = PlacementGroup {
        id: PlacementGroupId::random(),
        scope: ctx.scope.clone(),
        name,
        strategy,
        partitions,
        spread_level,
        tags,
    };
    let answer = CreatedPlacementGroup {
        r#return: true,
        placement_group: shape(&group),
    };
    ctx.tx.put(group);
    Ok(answer)
}

const FILTERS: &[Field<PlacementGroup>] = &[
    ("group-arn", |_, g| one(arn(g))),
    ("group-name", |_, g| one(&g.name)),
    ("partition-count", |_, g| maybe(g.partitions)),
    ("spread-level", |_, g| maybe(g.spread_level.as_ref())),
    ("state", |_, _| one("available")),
    ("strategy", |_, g| one(&g.strategy)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribePlacementGroups {
    #[serde(default)]
    group_name: Vec<String>,
    #[serde(default)]
    group_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacementGroups {
    placement_group_set: Vec<Shape>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribePlacementGroups) -> Result<PlacementGroups> {
    let filters = Filters::new(&input.filter, FILTERS)?;
    for name in &input.group_name {
        find(&ctx.tx, &ctx.scope, name)?;
    }
    for id in &input.group_id {
        super::resource::find::<PlacementGroup>(ctx, id)?;
    }
    dry_run(input.dry_run)?;
    let (names, ids) = (&input.group_name, &input.group_id);
    let chosen = owned::<PlacementGroup>(&ctx.tx, &ctx.scope).filter(|g| {
        (names.is_empty() || names.contains(&g.name))
            && (ids.is_empty() || ids.iter().any(|id| id == g.id.as_str()))
            && filters.matches(&ctx.tx, g)
    });
    Ok(PlacementGroups {
        placement_group_set: chosen.map(|g| shape(g)).collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeletePlacementGroup {
    group_name: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeletePlacementGroup) -> Result<Done> {
    let group = find(&ctx.tx, &ctx.scope, &input.group_name)?.clone();
    if members(&ctx.tx, &group).next().is_some() {
        return Err(error(
            "InvalidPlacementGroup.InUse",
            format!("The placement group '{}' is in use.", group.name),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<PlacementGroup>(&group.id);
    done()
}
