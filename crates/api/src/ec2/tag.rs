//! Tags: on creation, afterwards, and described over every kind of resource.

use super::error::{Result, dry_run, error, invalid_value};
use super::filter::{Field, Filter, Filters, one};
use super::page::Page;
use super::resource::{Resource, owned, parse_id};
use super::security_group_rule;
use super::{Done, done};
use crate::Ctx;
use model::capacity_reservation::CapacityReservation;
use model::flow_log::FlowLog;
use model::gateway::{CustomerGateway, EgressOnlyInternetGateway, VpnGateway};
use model::instance::{Instance, KeyPair, LaunchTemplate, Volume};
use model::instance_connect::InstanceConnectEndpoint;
use model::placement_group::PlacementGroup;
use model::public_access::PublicAccessExclusion;
use model::snapshot::{OwnImage, Snapshot};
use model::spot_request::SpotRequest;
use model::vpc::{
    Address, DhcpOptions, InternetGateway, ManagedPrefixList, NatGateway, NetworkAcl,
    NetworkInterface, RouteTable, SecurityGroup, Subnet, Vpc,
};
use model::vpc_endpoint::VpcEndpoint;
use model::vpc_peering::VpcPeeringConnection;
use model::{Scope, Tags};
use serde::{Deserialize, Serialize};
use store::State;

/// AWS's limits on one resource's tags and their lengths in characters.
const MAX_TAGS: usize = 50;
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
pub struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

/// Tags to give a resource as it is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagSpecification {
    pub resource_type: Option<String>,
    #[serde(default)]
    pub tag: Vec<Tag>,
}

/// A tag of a record, where an answer borrows from it.
#[derive(Serialize)]
pub struct TagRef<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> TagRef<'a> {
    pub fn list(tags: &'a Tags) -> Vec<Self> {
        tags.iter()
            .map(|(key, value)| Self { key, value })
            .collect()
    }
}

/// Tags as answers list them.
pub fn list(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// The tags that a call which makes one kind of resource asks for.
pub fn of(specifications: &[TagSpecification], kind: &str) -> Result<Tags> {
    let mut tags = Tags::new();
    for specification in specifications {
        match &specification.resource_type {
            Some(given) if given == kind => {}
            Some(given) => {
                return Err(invalid_value(format!(
                    "'{given}' is not a valid taggable resource type for this operation."
                )));
            }
            None => {
                return Err(error(
                    "MissingParameter",
                    "Tag specification resource type must have a value",
                ));
            }
        }
        for tag in &specification.tag {
            if tags.contains_key(&tag.key) {
                return Err(invalid_value(format!(
                    "Duplicate tag key '{}' specified.",
                    tag.key
                )));
            }
            add(&mut tags, tag)?;
        }
    }
    Ok(tags)
}

/// Sets one tag that a user asks for, within AWS's limits.
fn add(tags: &mut Tags, tag: &Tag) -> Result<()> {
    if tag.key.is_empty() {
        return Err(invalid_value("Tag key cannot be empty."));
    }
    if tag.key.chars().count() > MAX_KEY {
        return Err(invalid_value(format!(
            "Tag key exceeds the maximum length of {MAX_KEY} characters"
        )));
    }
    if tag.value.chars().count() > MAX_VALUE {
        return Err(invalid_value(format!(
            "Tag value exceeds the maximum length of {MAX_VALUE} characters"
        )));
    }
    if is_reserved(&tag.key) {
        return Err(invalid_value(
            "Tag keys starting with 'aws:' are reserved for internal use",
        ));
    }
    tags.insert(tag.key.clone(), tag.value.clone());
    let own = tags.keys().filter(|key| !is_reserved(key)).count();
    if own > MAX_TAGS {
        return Err(error(
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        ));
    }
    Ok(())
}

fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("aws:"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateTags {
    #[serde(default)]
    resource_id: Vec<String>,
    #[serde(default)]
    tag: Vec<Tag>,
    dry_run: Option<bool>,
}

pub fn create_tags(ctx: &mut Ctx, input: CreateTags) -> Result<Done> {
    if input.resource_id.is_empty() {
        return Err(super::error::missing("ResourceId"));
    }
    if input.tag.is_empty() {
        return Err(super::error::missing("Tag"));
    }
    for id in &input.resource_id {
        change(ctx, id, &mut |tags| {
            input.tag.iter().try_for_each(|tag| add(tags, tag))
        })?;
    }
    dry_run(input.dry_run)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagToDelete {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteTags {
    #[serde(default)]
    resource_id: Vec<String>,
    #[serde(default)]
    tag: Vec<TagToDelete>,
    dry_run: Option<bool>,
}

/// Without tags all go; with a value a tag goes only where the value is that.
pub fn delete_tags(ctx: &mut Ctx, input: DeleteTags) -> Result<Done> {
    if input.resource_id.is_empty() {
        return Err(super::error::missing("ResourceId"));
    }
    for id in &input.resource_id {
        change(ctx, id, &mut |tags| {
            if input.tag.is_empty() {
                tags.retain(|key, _| is_reserved(key));
            }
            for tag in &input.tag {
                let Some(key) = &tag.key else {
                    return Err(super::error::missing("Tag.Key"));
                };
                if is_reserved(key) {
                    return Err(invalid_value(
                        "Tag keys starting with 'aws:' are reserved for internal use",
                    ));
                }
                let same = |value: &String| tag.value.as_ref().is_none_or(|v| v == value);
                if tags.get(key).is_some_and(same) {
                    tags.remove(key);
                }
            }
            Ok(())
        })?;
    }
    dry_run(input.dry_run)?;
    done()
}

type Change<'a> = &'a mut dyn FnMut(&mut Tags) -> Result<()>;

fn change_record<R: Resource>(ctx: &mut Ctx, id: &str, change: Change<'_>) -> Result<()> {
    let key = parse_id::<R>(id)?;
    let mut record = match ctx.tx.get::<R>(&key) {
        Some(record) if *record.scope() == ctx.scope => record.clone(),
        _ => return Err(R::not_found(id)),
    };
    change(record.tags_mut())?;
    ctx.tx.put(record);
    Ok(())
}

macro_rules! taggable {
    ($($prefix:literal: $record:ty;)*) => {
        /// Changes the tags of whatever has that id.
        fn change(ctx: &mut Ctx, id: &str, change: Change<'_>) -> Result<()> {
            match id.rsplit_once('-').map(|(prefix, _)| prefix) {
                $(Some($prefix) => change_record::<$record>(ctx, id, change),)*
                Some("sgr") => security_group_rule::change_tags(ctx, id, change),
                _ => Err(error("InvalidID", format!("The ID '{id}' is not valid"))),
            }
        }

        /// Every tag of the caller's resources.
        fn described(state: &State, scope: &Scope) -> Vec<TagDescription> {
            let mut found = Vec::new();
            $(for record in owned::<$record>(state, scope) {
                describe_tags_of(&mut found, <$record as Resource>::TYPE, store::Record::key(record.as_ref()), &record.tags);
            })*
            for group in owned::<SecurityGroup>(state, scope) {
                for rule in &group.rules {
                    describe_tags_of(&mut found, "security-group-rule", &rule.id, &rule.tags);
                }
            }
            found
        }
    };
}

taggable! {
    "vpc": Vpc;
    "subnet": Subnet;
    "igw": InternetGateway;
    "rtb": RouteTable;
    "acl": NetworkAcl;
    "sg": SecurityGroup;
    "pl": ManagedPrefixList;
    "dopt": DhcpOptions;
    "eipalloc": Address;
    "nat": NatGateway;
    "eni": NetworkInterface;
    "eigw": EgressOnlyInternetGateway;
    "vgw": VpnGateway;
    "cgw": CustomerGateway;
    "vpce": VpcEndpoint;
    "eice": InstanceConnectEndpoint;
    "pcx": VpcPeeringConnection;
    "fl": FlowLog;
    "pg": PlacementGroup;
    "cr": CapacityReservation;
    "vpcbpa-exclude": PublicAccessExclusion;
    "sir": SpotRequest;
    "i": Instance;
    "vol": Volume;
    "snap": Snapshot;
    "ami": OwnImage;
    "lt": LaunchTemplate;
    "key": KeyPair;
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct TagDescription {
    resource_id: String,
    key: String,
    resource_type: &'static str,
    value: String,
}

fn describe_tags_of(
    found: &mut Vec<TagDescription>,
    resource_type: &'static str,
    id: impl ToString,
    tags: &Tags,
) {
    found.extend(tags.iter().map(|(key, value)| TagDescription {
        resource_id: id.to_string(),
        key: key.clone(),
        resource_type,
        value: value.clone(),
    }));
}

const FILTERS: &[Field<TagDescription>] = &[
    ("key", |_, t| one(&t.key)),
    ("resource-id", |_, t| one(&t.resource_id)),
    ("resource-type", |_, t| one(t.resource_type)),
    ("value", |_, t| one(&t.value)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTags {
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagDescriptions {
    tag_set: Vec<TagDescription>,
    next_token: Option<String>,
}

pub fn describe_tags(ctx: &mut Ctx, input: DescribeTags) -> Result<TagDescriptions> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    dry_run(input.dry_run)?;
    let mut found = described(&ctx.tx, &ctx.scope);
    found.retain(|t| {
        let tags = Tags::from([(t.key.clone(), t.value.clone())]);
        filters.match_tagged(&ctx.tx, t, &tags)
    });
    found.sort();
    // A tag's key may hold any character but not the separator of the token.
    let (tag_set, next_token) = page.of(found, |t| format!("{}\0{}", t.resource_id, t.key));
    Ok(TagDescriptions {
        tag_set,
        next_token,
    })
}
