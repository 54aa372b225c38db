//! Tags of hosted zones and health checks.

use super::{Result, health_check, invalid, zone};
use crate::Ctx;
use model::Tags;
use model::route53::{HealthCheck, HostedZone};
use serde::{Deserialize, Serialize};

const MOST: usize = 50;
/// Resources of one ListTagsForResources.
const MANY: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeTagsForResource {
    resource_type: String,
    resource_id: String,
    #[serde(default)]
    add_tags: Vec<Tag>,
    #[serde(default)]
    remove_tag_keys: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Serialize)]
pub struct Done {}

pub fn change(ctx: &mut Ctx, input: ChangeTagsForResource) -> Result<Done> {
    let (kind, id) = (&*input.resource_type, bare(&input.resource_id));
    let mut tags = of(ctx, kind, id)?;
    for key in &input.remove_tag_keys {
        tags.remove(key);
    }
    for Tag { key, value } in input.add_tags {
        let fits = (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.to_ascii_lowercase().starts_with("aws:");
        if !fits {
            return Err(invalid(format!(
                "The tag {key} is not valid: keys have 1 to 128 characters and do not begin with aws:, values at most 256."
            )));
        }
        tags.insert(key, value);
    }
    if tags.len() > MOST {
        return Err(invalid(format!("A resource has at most {MOST} tags.")));
    }
    let id = id.to_owned();
    match kind {
        "hostedzone" => ctx.tx.modify::<HostedZone>(&id, |z| z.tags = tags),
        _ => ctx.tx.modify::<HealthCheck>(&id, |c| c.tags = tags),
    };
    Ok(Done {})
}

fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn of(ctx: &Ctx, kind: &str, id: &str) -> Result<Tags> {
    match kind {
        "hostedzone" => Ok(zone(ctx, id)?.tags.clone()),
        "healthcheck" => Ok(health_check::find(ctx, id)?.tags.clone()),
        other => Err(invalid(format!(
            "1 validation error detected: Value '{other}' at 'resourceType' failed to satisfy constraint: Member must satisfy enum value set: [healthcheck, hostedzone]"
        ))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForResource {
    resource_type: String,
    resource_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    resource_tag_set: TagSet,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagSet {
    resource_type: String,
    resource_id: String,
    tags: TagList,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/Tag")]
struct TagList(Vec<Tag>);

fn tag_set(ctx: &Ctx, kind: &str, id: &str) -> Result<TagSet> {
    let tags = of(ctx, kind, bare(id))?.into_iter();
    Ok(TagSet {
        resource_type: kind.to_owned(),
        resource_id: bare(id).to_owned(),
        tags: TagList(tags.map(|(key, value)| Tag { key, value }).collect()),
    })
}

pub fn list(ctx: &mut Ctx, input: ListTagsForResource) -> Result<Listed> {
    Ok(Listed {
        resource_tag_set: tag_set(ctx, &input.resource_type, &input.resource_id)?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagsForResources {
    resource_type: String,
    resource_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedMany {
    resource_tag_sets: TagSets,
}

#[derive(Serialize)]
#[serde(rename = "$wire::Items/ResourceTagSet")]
struct TagSets(Vec<TagSet>);

pub fn list_many(ctx: &mut Ctx, input: ListTagsForResources) -> Result<ListedMany> {
    if !(1..=MANY).contains(&input.resource_ids.len()) {
        return Err(invalid(format!("ResourceIds has 1 to {MANY} ids.")));
    }
    let ids = input.resource_ids.iter();
    let sets = ids.map(|id| tag_set(ctx, &input.resource_type, id));
    Ok(ListedMany {
        resource_tag_sets: TagSets(sets.collect::<Result<_>>()?),
    })
}
