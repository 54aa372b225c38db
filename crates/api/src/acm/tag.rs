//! Tags of certificates. Source: `docs.aws.amazon.com/acm/latest/userguide/tags-restrictions.html`.

use super::error::{Result, client};
use super::{CertificateArn, Done, find};
use crate::Ctx;
use model::Tags;
use model::acm::Certificate;
use serde::{Deserialize, Serialize};

const MAX_TAGS: usize = 50;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    value: Option<String>,
}

/// Adds `given` within AWS's limits.
pub fn extend(tags: &mut Tags, given: &[Tag]) -> Result<()> {
    for Tag { key, value } in given {
        let value = value.as_deref().unwrap_or_default();
        if !(1..=128).contains(&key.chars().count()) || 256 < value.chars().count() {
            return Err(client(
                "InvalidTagException",
                format!(
                    "Tag '{key}' is not valid: keys have 1 to 128 characters, values at most 256"
                ),
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(client(
                "InvalidTagException",
                format!("Tag key '{key}' is not valid: the prefix aws: is reserved"),
            ));
        }
        tags.insert(key.clone(), value.to_owned());
    }
    if MAX_TAGS < tags.len() {
        return Err(client(
            "TooManyTagsException",
            format!("A certificate can have at most {MAX_TAGS} tags"),
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagsOfCertificate {
    certificate_arn: String,
    tags: Vec<Tag>,
}

pub fn add(ctx: &mut Ctx, input: TagsOfCertificate) -> Result<Done> {
    let mut certificate = Certificate::clone(&*find(ctx, &input.certificate_arn)?);
    extend(&mut certificate.tags, &input.tags)?;
    ctx.tx.put(certificate);
    Ok(Done {})
}

/// A tag given with a value goes only if it has that value.
pub fn remove(ctx: &mut Ctx, input: TagsOfCertificate) -> Result<Done> {
    let mut certificate = Certificate::clone(&*find(ctx, &input.certificate_arn)?);
    for Tag { key, value } in &input.tags {
        if value.is_none() || certificate.tags.get(key) == value.as_ref() {
            certificate.tags.remove(key);
        }
    }
    ctx.tx.put(certificate);
    Ok(Done {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagList {
    tags: Vec<Tag>,
}

pub fn list(ctx: &mut Ctx, input: CertificateArn) -> Result<TagList> {
    let certificate = find(ctx, &input.certificate_arn)?;
    let tags = certificate.tags.iter().map(|(key, value)| Tag {
        key: key.clone(),
        value: Some(value.clone()),
    });
    Ok(TagList {
        tags: tags.collect(),
    })
}
