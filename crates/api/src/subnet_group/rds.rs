//! RDS: DB subnet groups.

use super::{Kind, Result, SubnetItems, Tag, TagList, invalid, query, subnet_items, tag_items};
use crate::Ctx;
use model::subnet_group::SubnetGroup;
use serde::{Deserialize, Serialize};
use wire::{Service, action};

const KIND: Kind = Kind {
    service: "rds",
    arn: "subgrp",
    noun: "DBSubnetGroup",
    not_found_status: 404,
    zones: 2,
};

pub fn service() -> Service<Ctx> {
    Service {
        actions: vec![
            action("CreateDBSubnetGroup", create),
            action("DescribeDBSubnetGroups", describe),
            action("ModifyDBSubnetGroup", modify),
            action("DeleteDBSubnetGroup", delete),
            action("AddTagsToResource", tag),
            action("RemoveTagsFromResource", untag),
            action("ListTagsForResource", list_tags),
        ],
        ..query(
            "rds",
            "2014-10-31",
            "http://rds.amazonaws.com/doc/2014-10-31/",
        )
    }
}

#[derive(Serialize)]
struct Shape {
    #[serde(rename = "DBSubnetGroupName")]
    name: String,
    #[serde(rename = "DBSubnetGroupDescription")]
    description: String,
    #[serde(rename = "DBSubnetGroupArn")]
    arn: String,
    #[serde(rename = "VpcId")]
    vpc: String,
    #[serde(rename = "SubnetGroupStatus")]
    status: &'static str,
    #[serde(rename = "Subnets")]
    subnets: SubnetItems,
    #[serde(rename = "SupportedNetworkTypes")]
    network_types: [&'static str; 1],
}

fn shape(ctx: &Ctx, group: &SubnetGroup) -> Shape {
    Shape {
        name: group.key.name.clone(),
        description: group.description.clone(),
        arn: KIND.arn(group),
        vpc: group.vpc.to_string(),
        status: "Complete",
        subnets: subnet_items(ctx, group, Some("Active")),
        network_types: ["IPV4"],
    }
}

#[derive(Serialize)]
struct One {
    #[serde(rename = "DBSubnetGroup")]
    group: Shape,
}

#[derive(Deserialize)]
struct Create {
    #[serde(rename = "DBSubnetGroupName")]
    name: String,
    #[serde(rename = "DBSubnetGroupDescription")]
    description: String,
    #[serde(rename = "SubnetIds", default)]
    subnets: Vec<String>,
    #[serde(rename = "Tags", default)]
    tags: Vec<Tag>,
}

fn create(ctx: &mut Ctx, input: Create) -> Result<One> {
    let group = KIND.create(
        ctx,
        &input.name,
        input.description,
        &input.subnets,
        &input.tags,
    )?;
    Ok(One {
        group: shape(ctx, &group),
    })
}

#[derive(Deserialize)]
struct Modify {
    #[serde(rename = "DBSubnetGroupName")]
    name: String,
    #[serde(rename = "DBSubnetGroupDescription")]
    description: Option<String>,
    #[serde(rename = "SubnetIds", default)]
    subnets: Vec<String>,
}

fn modify(ctx: &mut Ctx, input: Modify) -> Result<One> {
    let group = KIND.modify(ctx, &input.name, input.description, &input.subnets)?;
    Ok(One {
        group: shape(ctx, &group),
    })
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "DBSubnetGroupName")]
    name: String,
}

fn delete(ctx: &mut Ctx, input: Named) -> Result<()> {
    KIND.delete(ctx, &input.name)
}

#[derive(Deserialize)]
struct Describe {
    #[serde(rename = "DBSubnetGroupName")]
    name: Option<String>,
    #[serde(rename = "Filters", default)]
    filters: Vec<Filter>,
    #[serde(rename = "MaxRecords")]
    max_records: Option<usize>,
    #[serde(rename = "Marker")]
    marker: Option<String>,
}

/// No filters are supported, on AWS neither.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    name: String,
    #[serde(rename = "Values")]
    #[serde(default, deserialize_with = "wire::validated")]
    _values: Vec<String>,
}

#[derive(Serialize)]
struct Page {
    #[serde(rename = "DBSubnetGroups")]
    groups: Items,
    #[serde(rename = "Marker")]
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/DBSubnetGroup")]
struct Items(Vec<Shape>);

fn describe(ctx: &mut Ctx, input: Describe) -> Result<Page> {
    if let Some(filter) = input.filters.first() {
        return Err(invalid(format!(
            "Unrecognized filter name: {}",
            filter.name
        )));
    }
    let (groups, marker) = KIND.describe(
        ctx,
        input.name.as_deref(),
        input.max_records,
        input.marker.as_deref(),
    )?;
    Ok(Page {
        groups: Items(groups.iter().map(|g| shape(ctx, g)).collect()),
        marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddTags {
    resource_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn tag(ctx: &mut Ctx, input: AddTags) -> Result<()> {
    KIND.tag(ctx, &input.resource_name, &input.tags).map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RemoveTags {
    resource_name: String,
    #[serde(default)]
    tag_keys: Vec<String>,
}

fn untag(ctx: &mut Ctx, input: RemoveTags) -> Result<()> {
    KIND.untag(ctx, &input.resource_name, &input.tag_keys)
        .map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListTags {
    resource_name: String,
    #[serde(default)]
    filters: Vec<Filter>,
}

fn list_tags(ctx: &mut Ctx, input: ListTags) -> Result<TagList> {
    if let Some(filter) = input.filters.first() {
        return Err(invalid(format!(
            "Unrecognized filter name: {}",
            filter.name
        )));
    }
    let group = KIND.by_arn(ctx, &input.resource_name)?;
    Ok(TagList {
        tag_list: tag_items(&group.tags),
    })
}
