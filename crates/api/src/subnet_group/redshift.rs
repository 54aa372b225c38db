//! Redshift: cluster subnet groups.

use super::{Kind, Result, SubnetItems, Tag, TagItems, query, subnet_items, tag_items};
use crate::Ctx;
use model::subnet_group::SubnetGroup;
use serde::{Deserialize, Serialize};
use wire::{Service, action};

const KIND: Kind = Kind {
    service: "redshift",
    arn: "subnetgroup",
    noun: "ClusterSubnetGroup",
    not_found_status: 400,
    zones: 1,
};

pub fn service() -> Service<Ctx> {
    Service {
        actions: vec![
            action("CreateClusterSubnetGroup", create),
            action("DescribeClusterSubnetGroups", describe),
            action("ModifyClusterSubnetGroup", modify),
            action("DeleteClusterSubnetGroup", delete),
            action("CreateTags", tag),
            action("DeleteTags", untag),
        ],
        ..query(
            "redshift",
            "2012-12-01",
            "http://redshift.amazonaws.com/doc/2012-12-01/",
        )
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    cluster_subnet_group_name: String,
    description: String,
    vpc_id: String,
    subnet_group_status: &'static str,
    subnets: SubnetItems,
    tags: TagItems,
    supported_cluster_ip_address_types: Types,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/item")]
struct Types([&'static str; 1]);

fn shape(ctx: &Ctx, group: &SubnetGroup) -> Shape {
    Shape {
        cluster_subnet_group_name: group.key.name.clone(),
        description: group.description.clone(),
        vpc_id: group.vpc.to_string(),
        subnet_group_status: "Complete",
        subnets: subnet_items(ctx, group, Some("Active")),
        tags: tag_items(&group.tags),
        supported_cluster_ip_address_types: Types(["ipv4"]),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    cluster_subnet_group: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    cluster_subnet_group_name: String,
    description: String,
    #[serde(default)]
    subnet_ids: Vec<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn create(ctx: &mut Ctx, input: Create) -> Result<One> {
    let group = KIND.create(
        ctx,
        &input.cluster_subnet_group_name,
        input.description,
        &input.subnet_ids,
        &input.tags,
    )?;
    Ok(One {
        cluster_subnet_group: shape(ctx, &group),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modify {
    cluster_subnet_group_name: String,
    description: Option<String>,
    #[serde(default)]
    subnet_ids: Vec<String>,
}

fn modify(ctx: &mut Ctx, input: Modify) -> Result<One> {
    let name = &input.cluster_subnet_group_name;
    let group = KIND.modify(ctx, name, input.description, &input.subnet_ids)?;
    Ok(One {
        cluster_subnet_group: shape(ctx, &group),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    cluster_subnet_group_name: String,
}

fn delete(ctx: &mut Ctx, input: Named) -> Result<()> {
    KIND.delete(ctx, &input.cluster_subnet_group_name)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    cluster_subnet_group_name: Option<String>,
    max_records: Option<usize>,
    marker: Option<String>,
    #[serde(default)]
    tag_keys: Vec<String>,
    #[serde(default)]
    tag_values: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    cluster_subnet_groups: Items,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/ClusterSubnetGroup")]
struct Items(Vec<Shape>);

fn describe(ctx: &mut Ctx, input: Describe) -> Result<Page> {
    let (groups, marker) = KIND.describe(
        ctx,
        input.cluster_subnet_group_name.as_deref(),
        input.max_records,
        input.marker.as_deref(),
    )?;
    // Any of the keys, and any of the values.
    let tagged = |group: &SubnetGroup| {
        let has = |wanted: &[String], found: Vec<&String>| {
            wanted.is_empty() || found.iter().any(|f| wanted.contains(f))
        };
        has(&input.tag_keys, group.tags.keys().collect())
            && has(&input.tag_values, group.tags.values().collect())
    };
    let groups = groups.iter().filter(|g| tagged(g));
    Ok(Page {
        cluster_subnet_groups: Items(groups.map(|g| shape(ctx, g)).collect()),
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
