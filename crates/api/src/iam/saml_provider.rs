//! SAML providers, kept as AWS keeps them. Nothing asks them for identities:
//! `AssumeRoleWithSAML` is not there.

use super::error::{Result, already_exists, check_name, invalid, no_such_entity};
use super::tag::{self, Tag, TagList};
use super::{global, unique_id};
use crate::Ctx;
use jiff::SignedDuration;
use model::identity_provider::SamlProvider;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::{ApiError, Timestamp};

/// AWS takes a provider as valid for a hundred years.
const VALIDITY: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

fn find(ctx: &Ctx, arn: &str) -> Result<Arc<SamlProvider>> {
    let scope = global(ctx);
    let found = ctx.tx.saml_providers.get(arn).filter(|p| p.scope == scope);
    found
        .cloned()
        .ok_or_else(|| no_such_entity(format!("Manifest not found for arn {arn}")))
}

fn modify(
    ctx: &mut Ctx,
    arn: &str,
    change: impl FnOnce(&mut SamlProvider) -> Result<()>,
) -> Result<()> {
    let mut provider = SamlProvider::clone(&*find(ctx, arn)?);
    change(&mut provider)?;
    ctx.tx.put(provider);
    Ok(())
}

/// Metadata describes an entity in XML and is neither tiny nor huge.
fn check_metadata(document: &str) -> Result<()> {
    if !(1000..=10_000_000).contains(&document.len()) {
        return Err(invalid(
            "1 validation error detected: Value at 'sAMLMetadataDocument' failed to satisfy constraint: Member must have length between 1000 and 10000000",
        ));
    }
    if !document.contains("EntityDescriptor") {
        return Err(ApiError::client(
            "InvalidInput",
            "Could not parse metadata: it has no EntityDescriptor",
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSAMLProvider {
    name: String,
    #[serde(rename = "SAMLMetadataDocument")]
    metadata: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
    tags: Option<Vec<Tag>>,
}

pub fn create(ctx: &mut Ctx, input: CreateSAMLProvider) -> Result<Created> {
    check_name(&input.name, "name", 128)?;
    check_metadata(&input.metadata)?;
    let tags = tag::of(&input.tags)?;
    let scope = global(ctx);
    let arn = format!(
        "arn:aws:iam::{}:saml-provider/{}",
        scope.account, input.name
    );
    if ctx.tx.saml_providers.contains_key(&arn) {
        return Err(already_exists(format!(
            "SAMLProvider with name {} already exists.",
            input.name
        )));
    }
    let answer = Created {
        arn: arn.clone(),
        tags: Some(tag::list(&tags)).filter(|tags| !tags.is_empty()),
    };
    ctx.tx.put(SamlProvider {
        arn,
        scope,
        name: input.name,
        id: unique_id("ASP"),
        metadata: input.metadata,
        created: ctx.now,
        valid_until: ctx.now.checked_add(VALIDITY).unwrap_or(ctx.now),
        tags,
    });
    Ok(answer)
}

#[derive(Deserialize)]
pub struct ProviderArn {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    #[serde(rename = "SAMLProviderUUID")]
    id: String,
    #[serde(rename = "SAMLMetadataDocument")]
    metadata: String,
    create_date: Timestamp,
    valid_until: Timestamp,
    tags: Option<Vec<Tag>>,
}

pub fn get(ctx: &mut Ctx, input: ProviderArn) -> Result<Shape> {
    let provider = find(ctx, &input.arn)?;
    Ok(Shape {
        id: provider.id.clone(),
        metadata: provider.metadata.clone(),
        create_date: provider.created.into(),
        valid_until: provider.valid_until.into(),
        tags: Some(tag::list(&provider.tags)).filter(|tags| !tags.is_empty()),
    })
}

#[derive(Deserialize)]
pub struct ListSAMLProviders {}

#[derive(Serialize)]
pub struct Providers {
    #[serde(rename = "SAMLProviderList")]
    providers: Vec<Listed>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    arn: String,
    valid_until: Timestamp,
    create_date: Timestamp,
}

pub fn list(ctx: &mut Ctx, _: ListSAMLProviders) -> Result<Providers> {
    let scope = global(ctx);
    let ours = ctx.tx.saml_providers.values().filter(|p| p.scope == scope);
    let listed = |p: &Arc<SamlProvider>| Listed {
        arn: p.arn.clone(),
        valid_until: p.valid_until.into(),
        create_date: p.created.into(),
    };
    Ok(Providers {
        providers: ours.map(listed).collect(),
    })
}

#[derive(Deserialize)]
pub struct UpdateSAMLProvider {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
    #[serde(rename = "SAMLMetadataDocument")]
    metadata: Option<String>,
}

#[derive(Serialize)]
pub struct Updated {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
}

pub fn update(ctx: &mut Ctx, input: UpdateSAMLProvider) -> Result<Updated> {
    if let Some(metadata) = &input.metadata {
        check_metadata(metadata)?;
    }
    modify(ctx, &input.arn, |provider| {
        if let Some(metadata) = input.metadata {
            provider.metadata = metadata;
        }
        Ok(())
    })?;
    Ok(Updated { arn: input.arn })
}

pub fn delete(ctx: &mut Ctx, input: ProviderArn) -> Result<()> {
    let provider = find(ctx, &input.arn)?;
    ctx.tx.remove::<SamlProvider>(&provider.arn);
    Ok(())
}

#[derive(Deserialize)]
pub struct TagProvider {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagProvider) -> Result<()> {
    modify(ctx, &input.arn, |p| tag::add(&mut p.tags, &input.tags))
}

#[derive(Deserialize)]
pub struct UntagProvider {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
    #[serde(rename = "TagKeys")]
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagProvider) -> Result<()> {
    modify(ctx, &input.arn, |provider| {
        provider.tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
}

#[derive(Deserialize)]
pub struct ListProviderTags {
    #[serde(rename = "SAMLProviderArn")]
    arn: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

/// At most 50 tags: one page.
pub fn list_tags(ctx: &mut Ctx, input: ListProviderTags) -> Result<TagList> {
    Ok(TagList {
        tags: tag::list(&find(ctx, &input.arn)?.tags),
        is_truncated: false,
    })
}
