//! ElastiCache: cache subnet groups.

use super::{Kind, Result, SubnetItems, Tag, TagList, query, subnet_items, tag_items};
use crate::Ctx;
use model::subnet_group::SubnetGroup;
use serde::{Deserialize, Serialize};
use wire::{Service, action};

const KIND: Kind = Kind {
    service: "elasticache",
    arn: "subnetgroup",
    noun: "CacheSubnetGroup",
    not_found_status: 400,
    zones: 1,
};

pub fn service() -> Service<Ctx> {
    Service {
        actions: vec![
            action("CreateCacheSubnetGroup", create),
            action("DescribeCacheSubnetGroups", describe),
            action("ModifyCacheSubnetGroup", modify),
            action("DeleteCacheSubnetGroup", delete),
            action("AddTagsToResource", tag),
            action("RemoveTagsFromResource", untag),
            action("ListTagsForResource", list_tags),
        ],
        ..query(
            "elasticache",
            "2015-02-02",
            "http://elasticache.amazonaws.com/doc/2015-02-02/",
        )
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    cache_subnet_group_name: String,
    cache_subnet_group_description: String,
    vpc_id: String,
    subnets: SubnetItems,
    #[serde(rename = "ARN")]
    arn: String,
    supported_network_types: [&'static str; 1],
}

fn shape(ctx: &Ctx, group: &SubnetGroup) -> Shape {
    Shape {
        cache_subnet_group_name: group.key.name.clone(),
        cache_subnet_group_description: group.description.clone(),
        vpc_id: group.vpc.to_string(),
        subnets: subnet_items(ctx, group, None),
        arn: KIND.arn(group),
        supported_network_types: ["ipv4"],
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    cache_subnet_group: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    cache_subnet_group_name: String,
    cache_subnet_group_description: String,
    #[serde(default)]
    subnet_ids: Vec<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn create(ctx: &mut Ctx, input: Create) -> Result<One> {
    let group = KIND.create(
        ctx,
        &input.cache_subnet_group_name,
        input.cache_subnet_group_description,
        &input.subnet_ids,
        &input.tags,
    )?;
    Ok(One {
        cache_subnet_group: shape(ctx, &group),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modify {
    cache_subnet_group_name: String,
    cache_subnet_group_description: Option<String>,
    #[serde(default)]
    subnet_ids: Vec<String>,
}

fn modify(ctx: &mut Ctx, input: Modify) -> Result<One> {
    let group = KIND.modify(
        ctx,
        &input.cache_subnet_group_name,
        input.cache_subnet_group_description,
        &input.subnet_ids,
    )?;
    Ok(One {
        cache_subnet_group: shape(ctx, &group),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    cache_subnet_group_name: String,
}

fn delete(ctx: &mut Ctx, input: Named) -> Result<()> {
    KIND.delete(ctx, &input.cache_subnet_group_name)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    cache_subnet_group_name: Option<String>,
    max_records: Option<usize>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    cache_subnet_groups: Items,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/CacheSubnetGroup")]
struct Items(Vec<Shape>);

fn describe(ctx: &mut Ctx, input: Describe) -> Result<Page> {
    let (groups, marker) = KIND.describe(
        ctx,
        input.cache_subnet_group_name.as_deref(),
        input.max_records,
        input.marker.as_deref(),
    )?;
    Ok(Page {
        cache_subnet_groups: Items(groups.iter().map(|g| shape(ctx, g)).collect()),
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

fn tag(ctx: &mut Ctx, input: AddTags) -> Result<TagList> {
    let tags = KIND.tag(ctx, &input.resource_name, &input.tags)?;
    Ok(TagList {
        tag_list: tag_items(&tags),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RemoveTags {
    resource_name: String,
    #[serde(default)]
    tag_keys: Vec<String>,
}

fn untag(ctx: &mut Ctx, input: RemoveTags) -> Result<TagList> {
    let tags = KIND.untag(ctx, &input.resource_name, &input.tag_keys)?;
    Ok(TagList {
        tag_list: tag_items(&tags),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListTags {
    resource_name: String,
}

fn list_tags(ctx: &mut Ctx, input: ListTags) -> Result<TagList> {
    let group = KIND.by_arn(ctx, &input.resource_name)?;
    Ok(TagList {
        tag_list: tag_items(&group.tags),
    })
}
