//! OpenID Connect providers, kept as AWS keeps them. Nothing asks them for identities:
//! `AssumeRoleWithWebIdentity` is not there.

use super::error::{Result, already_exists, invalid, limit_exceeded, no_such_entity};
use super::global;
use super::tag::{self, Tag, TagList};
use crate::Ctx;
use model::identity_provider::OidcProvider;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::{ApiError, Timestamp};

const MAX_CLIENTS: usize = 100;
const MAX_THUMBPRINTS: usize = 5;

fn find(ctx: &Ctx, arn: &str) -> Result<Arc<OidcProvider>> {
    let scope = global(ctx);
    let found = ctx.tx.oidc_providers.get(arn).filter(|p| p.scope == scope);
    found
        .cloned()
        .ok_or_else(|| no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}")))
}

fn modify(
    ctx: &mut Ctx,
    arn: &str,
    change: impl FnOnce(&mut OidcProvider) -> Result<()>,
) -> Result<()> {
    let mut provider = OidcProvider::clone(&*find(ctx, arn)?);
    change(&mut provider)?;
    ctx.tx.put(provider);
    Ok(())
}

fn check_thumbprints(given: &[String]) -> Result<()> {
    if given.len() > MAX_THUMBPRINTS {
        return Err(ApiError::client(
            "InvalidInput",
            "Thumbprint list must contain fewer than 5 entries.",
        ));
    }
    let fits = |t: &String| t.len() == 40 && t.bytes().all(|b| b.is_ascii_hexdigit());
    match given.iter().find(|t| !fits(t)) {
        Some(bad) => Err(invalid(format!(
            "1 validation error detected: Value '{bad}' at 'thumbprintList' failed to satisfy constraint: Member must have length of 40 hexadecimal digits"
        ))),
        None => Ok(()),
    }
}

fn check_clients(given: &[String]) -> Result<()> {
    if given.len() > MAX_CLIENTS {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {MAX_CLIENTS}"
        )));
    }
    match given.iter().find(|c| c.is_empty() || c.len() > 255) {
        Some(_) => Err(invalid("Client ids have 1 to 255 characters.")),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateOpenIDConnectProvider {
    url: String,
    #[serde(default, rename = "ClientIDList")]
    client_ids: Vec<String>,
    #[serde(default, rename = "ThumbprintList")]
    thumbprints: Vec<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    tags: Option<Vec<Tag>>,
}

pub fn create(ctx: &mut Ctx, input: CreateOpenIDConnectProvider) -> Result<Created> {
    let host = input.url.strip_prefix("https://");
    let host = host.filter(|rest| {
        rest.len() <= 247 && !rest.is_empty() && !rest.contains(['?', '#', ':', ' '])
    });
    let Some(host) = host else {
        return Err(invalid("Invalid Open ID Connect Provider URL"));
    };
    check_clients(&input.client_ids)?;
    check_thumbprints(&input.thumbprints)?;
    let tags = tag::of(&input.tags)?;
    let url = host.trim_end_matches('/').to_owned();
    let scope = global(ctx);
    let arn = format!("arn:aws:iam::{}:oidc-provider/{url}", scope.account);
    if ctx.tx.oidc_providers.contains_key(&arn) {
        return Err(already_exists(format!(
            "Provider with url {} already exists.",
            input.url
        )));
    }
    let answer = Created {
        arn: arn.clone(),
        tags: Some(tag::list(&tags)).filter(|tags| !tags.is_empty()),
    };
    ctx.tx.put(OidcProvider {
        arn,
        scope,
        url,
        client_ids: input.client_ids,
        thumbprints: input.thumbprints,
        created: ctx.now,
        tags,
    });
    Ok(answer)
}

#[derive(Deserialize)]
pub struct ProviderArn {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    url: String,
    #[serde(rename = "ClientIDList")]
    client_ids: Vec<String>,
    #[serde(rename = "ThumbprintList")]
    thumbprints: Vec<String>,
    create_date: Timestamp,
    tags: Option<Vec<Tag>>,
}

pub fn get(ctx: &mut Ctx, input: ProviderArn) -> Result<Shape> {
    let provider = find(ctx, &input.arn)?;
    Ok(Shape {
        url: provider.url.clone(),
        client_ids: provider.client_ids.clone(),
        thumbprints: provider.thumbprints.clone(),
        create_date: provider.created.into(),
        tags: Some(tag::list(&provider.tags)).filter(|tags| !tags.is_empty()),
    })
}

#[derive(Deserialize)]
pub struct ListOpenIDConnectProviders {}

#[derive(Serialize)]
pub struct Providers {
    #[serde(rename = "OpenIDConnectProviderList")]
    providers: Vec<Listed>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    arn: String,
}

pub fn list(ctx: &mut Ctx, _: ListOpenIDConnectProviders) -> Result<Providers> {
    let scope = global(ctx);
    let ours = ctx.tx.oidc_providers.values().filter(|p| p.scope == scope);
    Ok(Providers {
        providers: ours.map(|p| Listed { arn: p.arn.clone() }).collect(),
    })
}

/// One that is not there counts as deleted.
pub fn delete(ctx: &mut Ctx, input: ProviderArn) -> Result<()> {
    if let Ok(provider) = find(ctx, &input.arn) {
        ctx.tx.remove::<OidcProvider>(&provider.arn);
    }
    Ok(())
}

#[derive(Deserialize)]
pub struct ClientId {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "ClientID")]
    client_id: String,
}

/// Adding twice is adding once.
pub fn add_client(ctx: &mut Ctx, input: ClientId) -> Result<()> {
    modify(ctx, &input.arn, |provider| {
        if !provider.client_ids.contains(&input.client_id) {
            provider.client_ids.push(input.client_id);
        }
        check_clients(&provider.client_ids)
    })
}

pub fn remove_client(ctx: &mut Ctx, input: ClientId) -> Result<()> {
    modify(ctx, &input.arn, |provider| {
        provider.client_ids.retain(|id| *id != input.client_id);
        Ok(())
    })
}

#[derive(Deserialize)]
pub struct UpdateThumbprint {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "ThumbprintList")]
    thumbprints: Vec<String>,
}

pub fn update_thumbprint(ctx: &mut Ctx, input: UpdateThumbprint) -> Result<()> {
    check_thumbprints(&input.thumbprints)?;
    modify(ctx, &input.arn, |provider| {
        provider.thumbprints = input.thumbprints;
        Ok(())
    })
}

#[derive(Deserialize)]
pub struct TagProvider {
    #[serde(rename = "OpenIDConnectProviderArn")]
    arn: String,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagProvider) -> Result<()> {
    modify(ctx, &input.arn, |p| tag::add(&mut p.tags, &input.tags))
}

#[derive(Deserialize)]
pub struct UntagProvider {
    #[serde(rename = "OpenIDConnectProviderArn")]
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
    #[serde(rename = "OpenIDConnectProviderArn")]
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
