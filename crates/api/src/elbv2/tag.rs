//! Tags of load balancers, listeners, rules and target groups.

use super::arn::{self, find};
use super::error::{Result, error, not_permitted, validation};
use super::{Done, check};
use crate::Ctx;
use model::Tags;
use model::elbv2::{Listener, LoadBalancer, Rule, TargetGroup, TrustStore};
use serde::{Deserialize, Serialize};

const MAX_TAGS: usize = 50;
/// Resources of one call.
const MAX_RESOURCES: usize = 20;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// The tags that a creating or tagging call gives.
pub fn of(list: &[Tag]) -> Result<Tags> {
    let mut tags = Tags::new();
    for Tag { key, value } in list {
        check::length(key, "tags.member.key", 1, 128)?;
        check::length(value, "tags.member.value", 0, 256)?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(validation(
                "Tag keys starting with 'aws:' are reserved for system use",
            ));
        }
        if tags.insert(key.clone(), value.clone()).is_some() {
            return Err(error(
                "DuplicateTagKeys",
                format!("The tag key '{key}' was specified more than once"),
            ));
        }
    }
    limit(&tags)?;
    Ok(tags)
}

fn limit(tags: &Tags) -> Result<()> {
    if MAX_TAGS < tags.len() {
        return Err(error(
            "TooManyTags",
            format!("The maximum number of tags ({MAX_TAGS}) for a resource has been exceeded"),
        ));
    }
    Ok(())
}

/// The tags of the resource, whichever kind its ARN spells.
fn read(ctx: &Ctx, arn: &str) -> Result<Tags> {
    match arn::kind(arn) {
        Some("loadbalancer") => find::<LoadBalancer>(ctx, arn).map(|r| r.tags.clone()),
        Some("listener") => find::<Listener>(ctx, arn).map(|r| r.tags.clone()),
        Some("listener-rule") => match arn::listener_of_default_rule(ctx, arn) {
            Some(_) => Ok(Tags::new()),
            None => find::<Rule>(ctx, arn).map(|r| r.tags.clone()),
        },
        Some("targetgroup") => find::<TargetGroup>(ctx, arn).map(|r| r.tags.clone()),
        Some("truststore") => find::<TrustStore>(ctx, arn).map(|r| r.tags.clone()),
        _ => Err(validation(format!("'{arn}' is not a valid ARN"))),
    }
}

/// Stores the tags of a resource that [`read`] has found.
fn write(ctx: &mut Ctx, arn: &str, tags: Tags) -> Result<()> {
    let key = arn.to_owned();
    match arn::kind(arn) {
        Some("loadbalancer") => ctx.tx.modify::<LoadBalancer>(&key, |r| r.tags = tags),
        Some("listener") => ctx.tx.modify::<Listener>(&key, |r| r.tags = tags),
        Some("listener-rule") if arn::listener_of_default_rule(ctx, arn).is_some() => {
            return Err(not_permitted(
                "Tags of default rules are not supported by this cloud; tag the listener.",
            ));
        }
        Some("listener-rule") => ctx.tx.modify::<Rule>(&key, |r| r.tags = tags),
        Some("truststore") => ctx.tx.modify::<TrustStore>(&key, |r| r.tags = tags),
        _ => ctx.tx.modify::<TargetGroup>(&key, |r| r.tags = tags),
    };
    Ok(())
}

fn check_resources(arns: &[String]) -> Result<()> {
    if arns.is_empty() {
        return Err(validation("At least one resource ARN must be specified"));
    }
    if MAX_RESOURCES < arns.len() {
        return Err(validation(format!(
            "At most {MAX_RESOURCES} resource ARNs can be specified"
        )));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddTags {
    resource_arns: Vec<String>,
    tags: Vec<Tag>,
}

pub fn add(ctx: &mut Ctx, input: AddTags) -> Result<Done> {
    check_resources(&input.resource_arns)?;
    let new = of(&input.tags)?;
    for arn in &input.resource_arns {
        let mut tags = read(ctx, arn)?;
        tags.extend(new.clone());
        limit(&tags)?;
        write(ctx, arn, tags)?;
    }
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveTags {
    resource_arns: Vec<String>,
    tag_keys: Vec<String>,
}

pub fn remove(ctx: &mut Ctx, input: RemoveTags) -> Result<Done> {
    check_resources(&input.resource_arns)?;
    for arn in &input.resource_arns {
        let mut tags = read(ctx, arn)?;
        tags.retain(|key, _| !input.tag_keys.contains(key));
        write(ctx, arn, tags)?;
    }
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTags {
    resource_arns: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagDescriptions {
    tag_descriptions: Vec<TagDescription>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagDescription {
    resource_arn: String,
    tags: Vec<Tag>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeTags) -> Result<TagDescriptions> {
    check_resources(&input.resource_arns)?;
    let mut tag_descriptions = Vec::new();
    for arn in input.resource_arns {
        let tags = read(ctx, &arn)?
            .into_iter()
            .map(|(key, value)| Tag { key, value });
        tag_descriptions.push(TagDescription {
            tags: tags.collect(),
            resource_arn: arn,
        });
    }
    Ok(TagDescriptions { tag_descriptions })
}
