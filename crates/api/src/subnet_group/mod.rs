//! Subnet groups of RDS, ElastiCache and Redshift.
//!
//! A subnet group is a record and nothing else, on AWS too, so that much of these services is
//! here: a network module that prepares subnets for a database applies and is destroyed as on
//! AWS. The databases themselves are no actions.

mod elasticache;
mod rds;
mod redshift;

use crate::Ctx;
use model::subnet_group::{SubnetGroup, SubnetGroupKey};
use model::vpc::Subnet;
use model::{SubnetId, Tags, VpcId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::{ApiError, QueryKind, Service};

pub use elasticache::service as elasticache;
pub use rds::service as rds;
pub use redshift::service as redshift;

type Result<T, E = ApiError> = std::result::Result<T, E>;

/// AWS's limits: subnets of a group, groups of a region, tags of a group.
const MAX_SUBNETS: usize = 20;
const MAX_GROUPS: usize = 50;
const MAX_TAGS: usize = 50;
/// Records on one page.
const MAX_PAGE: usize = 100;

/// One of the three services, and what it calls things.
struct Kind {
    service: &'static str,
    /// Between the account and the name in an ARN.
    arn: &'static str,
    /// Begins its error codes: `DBSubnetGroup`.
    noun: &'static str,
    not_found_status: u16,
    /// Zones that a group must cover.
    zones: usize,
}

fn query(name: &'static str, version: &'static str, namespace: &'static str) -> Service<Ctx> {
    Service {
        version,
        xml_namespace: namespace,
        query_kind: Some(QueryKind::Query),
        ..Service::new(name)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// Elements of a list by the names that these services give them.
#[derive(Serialize)]
#[serde(rename = "$wire::Items/Tag")]
struct TagItems(Vec<Tag>);

#[derive(Serialize)]
#[serde(rename = "$wire::Items/Subnet")]
struct SubnetItems(Vec<SubnetShape>);

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagList {
    tag_list: TagItems,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetShape {
    subnet_identifier: String,
    subnet_availability_zone: Zone,
    subnet_status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Zone {
    name: String,
}

fn tag_items(tags: &Tags) -> TagItems {
    let tag = |(key, value): (&String, &String)| Tag {
        key: key.clone(),
        value: value.clone(),
    };
    TagItems(tags.iter().map(tag).collect())
}

/// `status` for the services that tell one.
fn subnet_items(ctx: &Ctx, group: &SubnetGroup, status: Option<&'static str>) -> SubnetItems {
    let shape = |id: &SubnetId| SubnetShape {
        subnet_identifier: id.to_string(),
        subnet_availability_zone: Zone {
            name: ctx
                .tx
                .get::<Subnet>(id)
                .map(|s| s.zone.clone())
                .unwrap_or_default(),
        },
        subnet_status: status,
    };
    SubnetItems(group.subnets.iter().map(shape).collect())
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterValue", message)
}

impl Kind {
    /// Names are kept in lower case.
    fn key(&self, ctx: &Ctx, name: &str) -> SubnetGroupKey {
        SubnetGroupKey {
            scope: ctx.scope.clone(),
            service: self.service.to_owned(),
            name: name.to_lowercase(),
        }
    }

    fn arn(&self, group: &SubnetGroup) -> String {
        let rest = format_args!("{}:{}", self.arn, group.key.name);
        group.key.scope.arn(self.service, rest)
    }

    fn not_found(&self, name: &str) -> ApiError {
        ApiError::new(
            self.not_found_status,
            format!("{}NotFoundFault", self.noun),
            format!("{} '{name}' not found.", self.noun),
        )
    }

    fn find(&self, ctx: &Ctx, name: &str) -> Result<Arc<SubnetGroup>> {
        let found = ctx.tx.subnet_groups.get(&self.key(ctx, name));
        found.cloned().ok_or_else(|| self.not_found(name))
    }

    fn by_arn(&self, ctx: &Ctx, arn: &str) -> Result<Arc<SubnetGroup>> {
        let prefix = ctx.scope.arn(self.service, format_args!("{}:", self.arn));
        match arn.strip_prefix(&prefix) {
            Some(name) => self.find(ctx, name),
            None => Err(invalid(format!(
                "{arn} is no ARN of a resource that this cloud emulates."
            ))),
        }
    }

    /// The subnets, which must be of one VPC and cover enough zones.
    fn subnets(&self, ctx: &Ctx, ids: &[String]) -> Result<(VpcId, Vec<SubnetId>)> {
        let bad = |id: &String| {
            ApiError::client(
                "InvalidSubnet",
                format!("Some input subnets in :[{id}] are invalid."),
            )
        };
        let mut subnets: Vec<Arc<Subnet>> = Vec::new();
        for id in ids {
            let found = id.parse::<SubnetId>().ok();
            let found = found.and_then(|id| ctx.tx.subnets.get(&id).cloned());
            let found = found.filter(|s| s.scope == ctx.scope);
            subnets.push(found.ok_or_else(|| bad(id))?);
        }
        let Some(vpc) = subnets.first().map(|s| s.vpc.clone()) else {
            return Err(invalid("The request must contain the parameter SubnetIds."));
        };
        if subnets.iter().any(|s| s.vpc != vpc) {
            return Err(ApiError::client(
                "InvalidSubnet",
                "The subnets are not all of the same VPC.",
            ));
        }
        if subnets.len() > MAX_SUBNETS {
            let noun = self.noun.trim_end_matches("Group");
            return Err(ApiError::client(
                format!("{noun}QuotaExceededFault"),
                format!("A subnet group has at most {MAX_SUBNETS} subnets."),
            ));
        }
        let zones: std::collections::BTreeSet<&str> =
            subnets.iter().map(|s| s.zone.as_str()).collect();
        if zones.len() < self.zones {
            return Err(ApiError::client(
                format!("{}DoesNotCoverEnoughAZs", self.noun),
                format!(
                    "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: {}. Add subnets to cover at least {} AZs.",
                    zones.into_iter().collect::<Vec<_>>().join(", "),
                    self.zones
                ),
            ));
        }
        Ok((vpc, subnets.iter().map(|s| s.id.clone()).collect()))
    }

    fn create(
        &self,
        ctx: &mut Ctx,
        name: &str,
        description: String,
        subnets: &[String],
        tags: &[Tag],
    ) -> Result<SubnetGroup> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
        if name.is_empty() || name.len() > 255 || !name.chars().all(allowed) {
            return Err(invalid(format!(
                "The parameter {}Name is not a valid identifier.",
                self.noun
            )));
        }
        if name.eq_ignore_ascii_case("default") {
            return Err(invalid("The name default is reserved."));
        }
        let key = self.key(ctx, name);
        if ctx.tx.subnet_groups.contains_key(&key) {
            return Err(ApiError::client(
                format!("{}AlreadyExistsFault", self.noun),
                format!("The {} '{name}' already exists.", self.noun),
            ));
        }
        if self.all(ctx).count() >= MAX_GROUPS {
            return Err(ApiError::client(
                format!("{}QuotaExceededFault", self.noun),
                format!("The maximum number of subnet groups is {MAX_GROUPS}."),
            ));
        }
        let (vpc, subnets) = self.subnets(ctx, subnets)?;
        let group = SubnetGroup {
            key,
            description,
            vpc,
            subnets,
            tags: extended(Tags::new(), tags)?,
        };
        ctx.tx.put(group.clone());
        Ok(group)
    }

    fn modify(
        &self,
        ctx: &mut Ctx,
        name: &str,
        description: Option<String>,
        subnets: &[String],
    ) -> Result<SubnetGroup> {
        let mut group = SubnetGroup::clone(&*self.find(ctx, name)?);
        if let Some(description) = description {
            group.description = description;
        }
        if !subnets.is_empty() {
            let (vpc, subnets) = self.subnets(ctx, subnets)?;
            if vpc != group.vpc {
                return Err(ApiError::client(
                    "InvalidSubnet",
                    "The new subnets are not in the group's VPC.",
                ));
            }
            group.subnets = subnets;
        }
        ctx.tx.put(group.clone());
        Ok(group)
    }

    fn delete(&self, ctx: &mut Ctx, name: &str) -> Result<()> {
        let group = self.find(ctx, name)?;
        ctx.tx.remove::<SubnetGroup>(&group.key);
        Ok(())
    }

    fn all<'a>(&'a self, ctx: &'a Ctx) -> impl Iterator<Item = &'a Arc<SubnetGroup>> {
        let groups = ctx.tx.subnet_groups.values();
        groups.filter(|g| g.key.scope == ctx.scope && g.key.service == self.service)
    }

    /// The group of that name, or a page of all; the marker is the last name of the page before.
    fn describe(
        &self,
        ctx: &Ctx,
        name: Option<&str>,
        max_records: Option<usize>,
        marker: Option<&str>,
    ) -> Result<(Vec<Arc<SubnetGroup>>, Option<String>)> {
        if let Some(name) = name {
            return Ok((vec![self.find(ctx, name)?], None));
        }
        let limit = max_records.unwrap_or(MAX_PAGE);
        if !(20..=MAX_PAGE).contains(&limit) {
            return Err(invalid(format!(
                "Invalid value {limit} for MaxRecords. Must be between 20 and {MAX_PAGE}"
            )));
        }
        let mut rest = self
            .all(ctx)
            .filter(|g| marker.is_none_or(|m| g.key.name.as_str() > m));
        let page: Vec<_> = rest.by_ref().take(limit).cloned().collect();
        let more = rest.next().is_some();
        let marker = page.last().filter(|_| more).map(|g| g.key.name.clone());
        Ok((page, marker))
    }

    fn tag(&self, ctx: &mut Ctx, arn: &str, tags: &[Tag]) -> Result<Tags> {
        let group = self.by_arn(ctx, arn)?;
        let tags = extended(group.tags.clone(), tags)?;
        ctx.tx
            .modify::<SubnetGroup>(&group.key, |g| g.tags = tags.clone());
        Ok(tags)
    }

    fn untag(&self, ctx: &mut Ctx, arn: &str, keys: &[String]) -> Result<Tags> {
        let group = self.by_arn(ctx, arn)?;
        let mut tags = group.tags.clone();
        tags.retain(|key, _| !keys.contains(key));
        ctx.tx
            .modify::<SubnetGroup>(&group.key, |g| g.tags = tags.clone());
        Ok(tags)
    }
}

fn extended(mut tags: Tags, given: &[Tag]) -> Result<Tags> {
    for tag in given {
        let (key, value) = (tag.key.chars().count(), tag.value.chars().count());
        if !(1..=128).contains(&key) || value > 256 {
            return Err(invalid(
                "Tag keys have 1 to 128 characters, tag values at most 256.",
            ));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("Tag keys starting with 'aws:' are reserved."));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    if tags.len() > MAX_TAGS {
        return Err(invalid(format!(
            "A resource can have no more than {MAX_TAGS} tags."
        )));
    }
    Ok(tags)
}
