//! Tags of identities.

use super::error::{Result, invalid, limit_exceeded};
use model::Tags;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// Tags as answers list them.
pub fn list(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag {
        key: key.clone(),
        value: value.clone(),
    };
    tags.iter().map(tag).collect()
}

/// Adds `given` within AWS's limits.
pub fn add(tags: &mut Tags, given: &[Tag]) -> Result<()> {
    for tag in given {
        let (key, value) = (tag.key.chars().count(), tag.value.chars().count());
        let too_long = |what: &str, text: &str, most: usize| {
            invalid(format!(
                "1 validation error detected: Value '{text}' at 'tags.member.{what}' failed to satisfy constraint: Member must have length less than or equal to {most}."
            ))
        };
        if key == 0 {
            return Err(invalid("Tag keys have at least one character."));
        }
        if key > 128 {
            return Err(too_long("key", &tag.key, 128));
        }
        if value > 256 {
            return Err(too_long("value", &tag.value, 256));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(wire::ApiError::client(
                "InvalidInput",
                "Tag keys starting with 'aws:' are reserved for internal use",
            ));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    if tags.len() > 50 {
        return Err(limit_exceeded(
            "Cannot exceed quota for TagsPerResource: 50",
        ));
    }
    Ok(())
}

/// The tags that a new identity gets.
pub fn of(given: &[Tag]) -> Result<Tags> {
    let mut tags = Tags::new();
    add(&mut tags, given)?;
    Ok(tags)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagList {
    pub tags: Vec<Tag>,
    pub is_truncated: bool,
}
