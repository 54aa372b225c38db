//! Server certificates: what HTTPS listeners serve where ACM is not used.
//!
//! IAM is global: listeners of every region may name them.

use super::error::{Result, already_exists, check_name, no_such_entity, path};
use super::tag::{self, Tag, TagList};
use super::{global, page, unique_id};
use crate::Ctx;
use crate::certificate::{self, Unfit};
use model::iam::ServerCertificate;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Timestamp};

const MAX_NAME: usize = 128;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    path: String,
    server_certificate_name: String,
    server_certificate_id: String,
    arn: String,
    upload_date: Timestamp,
    expiration: Timestamp,
}

fn metadata(certificate: &ServerCertificate) -> Metadata {
    Metadata {
        path: certificate.path.clone(),
        server_certificate_name: certificate.name.clone(),
        server_certificate_id: certificate.id.clone(),
        arn: certificate.arn.clone(),
        upload_date: certificate.uploaded.into(),
        expiration: certificate.expiration.into(),
    }
}

fn tags_of(certificate: &ServerCertificate) -> Option<Vec<Tag>> {
    Some(tag::list(&certificate.tags)).filter(|tags| !tags.is_empty())
}

fn find(ctx: &Ctx, name: &str) -> Result<Arc<ServerCertificate>> {
    let key = ScopedName::new(&global(ctx), name);
    let found = ctx.tx.server_certificates.get(&key);
    found.cloned().ok_or_else(|| {
        no_such_entity(format!(
            "The Server Certificate with name {name} cannot be found."
        ))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadServerCertificate {
    server_certificate_name: String,
    certificate_body: String,
    private_key: String,
    certificate_chain: Option<String>,
    path: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadedServerCertificate {
    server_certificate_metadata: Metadata,
    tags: Option<Vec<Tag>>,
}

pub fn upload(ctx: &mut Ctx, input: UploadServerCertificate) -> Result<UploadedServerCertificate> {
    let name = input.server_certificate_name;
    check_name(&name, "serverCertificateName", MAX_NAME)?;
    let path = path(input.path)?;
    let tags = tag::of(&input.tags)?;
    let body = input.certificate_body.trim().to_owned();
    let chain = input.certificate_chain.as_deref();
    let facts = certificate::check(&body, chain, &input.private_key).map_err(unfit)?;
    let scope = global(ctx);
    let mut certificates = ctx
        .tx
        .server_certificates
        .values()
        .filter(|c| c.scope == scope);
    if certificates.any(|c| c.name.eq_ignore_ascii_case(&name)) {
        return Err(already_exists(format!(
            "The Server Certificate with name {name} already exists."
        )));
    }
    let certificate = ServerCertificate {
        arn: format!(
            "arn:aws:iam::{}:server-certificate{path}{name}",
            scope.account
        ),
        scope,
        name,
        id: unique_id("ASCA"),
        path,
        body,
        chain: input.certificate_chain.map(|chain| chain.trim().to_owned()),
        private_key: input.private_key,
        uploaded: ctx.now,
        expiration: facts.not_after,
        tags,
    };
    let answer = UploadedServerCertificate {
        server_certificate_metadata: metadata(&certificate),
        tags: tags_of(&certificate),
    };
    ctx.tx.put(certificate);
    Ok(answer)
}

fn unfit(why: Unfit) -> ApiError {
    let malformed = |what: &str| {
        ApiError::client(
            "MalformedCertificate",
            format!("Unable to parse {what}. Please ensure the {what} is in PEM format."),
        )
    };
    match why {
        Unfit::Certificate => malformed("certificate"),
        Unfit::Chain => malformed("certificate chain"),
        Unfit::ChainOrder => ApiError::client(
            "MalformedCertificate",
            "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order.",
        ),
        Unfit::Key => malformed("key"),
        Unfit::KeyKind => ApiError::client(
            "MalformedCertificate",
            "The private key is not supported: this cloud serves RSA keys of 2048 to 8192 bits and EC keys on the curves P-256 and P-384.",
        ),
        Unfit::Mismatch => ApiError::client(
            "KeyPairMismatch",
            "Public key certificate and private key do not match.",
        ),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerCertificateName {
    server_certificate_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneServerCertificate {
    server_certificate: Shape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    server_certificate_metadata: Metadata,
    certificate_body: String,
    certificate_chain: Option<String>,
    tags: Option<Vec<Tag>>,
}

pub fn get(ctx: &mut Ctx, input: ServerCertificateName) -> Result<OneServerCertificate> {
    let certificate = find(ctx, &input.server_certificate_name)?;
    Ok(OneServerCertificate {
        server_certificate: Shape {
            server_certificate_metadata: metadata(&certificate),
            certificate_body: certificate.body.clone(),
            certificate_chain: certificate.chain.clone(),
            tags: tags_of(&certificate),
        },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListServerCertificates {
    path_prefix: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerCertificates {
    server_certificate_metadata_list: Vec<Metadata>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListServerCertificates) -> Result<ServerCertificates> {
    let scope = global(ctx);
    let prefix = input.path_prefix.unwrap_or_default();
    let all = ctx.tx.server_certificates.values();
    let mine = all.filter(|c| c.scope == scope && c.path.starts_with(&prefix));
    let (found, marker) = page::of(
        mine,
        |c| c.name.clone(),
        input.max_items,
        input.marker.as_deref(),
    )?;
    Ok(ServerCertificates {
        server_certificate_metadata_list: found.into_iter().map(|c| metadata(c)).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

/// Listeners hold the ARN; one that still names it keeps it from going.
pub fn delete(ctx: &mut Ctx, input: ServerCertificateName) -> Result<()> {
    let certificate = find(ctx, &input.server_certificate_name)?;
    let mut listeners = ctx.tx.listeners.values();
    if let Some(listener) = listeners.find(|l| l.certificates.contains(&certificate.arn)) {
        return Err(super::error::delete_conflict(format!(
            "Certificate: {} is currently in use by {}. Please remove it first before deleting it from IAM.",
            certificate.id, listener.arn
        )));
    }
    let key = ScopedName::new(&certificate.scope, &certificate.name);
    ctx.tx.remove::<ServerCertificate>(&key);
    Ok(())
}

fn modify(
    ctx: &mut Ctx,
    name: &str,
    change: impl FnOnce(&mut ServerCertificate) -> Result<()>,
) -> Result<()> {
    let mut certificate = ServerCertificate::clone(&*find(ctx, name)?);
    change(&mut certificate)?;
    ctx.tx.put(certificate);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagServerCertificate {
    server_certificate_name: String,
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagServerCertificate) -> Result<()> {
    modify(ctx, &input.server_certificate_name, |c| {
        tag::add(&mut c.tags, &input.tags)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagServerCertificate {
    server_certificate_name: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagServerCertificate) -> Result<()> {
    modify(ctx, &input.server_certificate_name, |certificate| {
        certificate
            .tags
            .retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListServerCertificateTags {
    server_certificate_name: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

/// At most 50 tags: one page.
pub fn list_tags(ctx: &mut Ctx, input: ListServerCertificateTags) -> Result<TagList> {
    Ok(TagList {
        tags: tag::list(&find(ctx, &input.server_certificate_name)?.tags),
        is_truncated: false,
    })
}
