//! Trust stores: the authorities whose clients a listener lets in (mutual TLS in mode `verify`), and
//! the lists of certificates that they have revoked. Source: `A/mutual-authentication.html`.
//!
//! Both are read from S3 when a call names them, as AWS does: what becomes of the object later changes
//! nothing.

use super::arn::{self, find, owned};
use super::error::{Result, error, validation};
use super::page::page;
use super::tag::{self, Tag};
use super::{Done, check};
use crate::Ctx;
use crate::s3::body;
use model::elbv2::{Listener, Revocation, TrustStore};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// Of one region, and of one trust store (A/load-balancer-limits.html).
const MAX_TRUST_STORES: usize = 20;
const MAX_AUTHORITIES: usize = 25;
const MAX_REVOCATIONS: usize = 30;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    name: String,
    trust_store_arn: String,
    status: &'static str,
    number_of_ca_certificates: usize,
    total_revoked_entries: u64,
}

fn shape(store: &TrustStore) -> Shape {
    Shape {
        name: store.name.clone(),
        trust_store_arn: store.arn.clone(),
        status: "ACTIVE",
        number_of_ca_certificates: CertificateDer::pem_slice_iter(store.authorities.as_bytes())
            .count(),
        total_revoked_entries: store.revocations.iter().map(|r| r.entries).sum(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TrustStores {
    trust_stores: Vec<Shape>,
    next_marker: Option<String>,
}

fn one(store: &TrustStore) -> TrustStores {
    TrustStores {
        trust_stores: vec![shape(store)],
        next_marker: None,
    }
}

/// The bundle at that place, known to hold authorities.
fn authorities(ctx: &Ctx, bucket: &str, key: &str, version: Option<&str>) -> Result<String> {
    let content = body::content(ctx, bucket, key, version).ok_or_else(|| {
        error(
            "CaCertificatesBundleNotFound",
            format!("The CA certificates bundle '{key}' was not found in the bucket '{bucket}'"),
        )
    })?;
    let invalid = |why: &str| {
        error(
            "InvalidCaCertificatesBundle",
            format!("The CA certificates bundle is not valid: {why}"),
        )
    };
    let text = String::from_utf8(content).map_err(|_| invalid("it is not in PEM"))?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| invalid("it is not in PEM"))?;
    if found.is_empty() || MAX_AUTHORITIES < found.len() {
        return Err(invalid(&format!(
            "it must hold 1 to {MAX_AUTHORITIES} certificates"
        )));
    }
    let is_good = |certificate: &CertificateDer<'_>| X509Certificate::from_der(certificate).is_ok();
    match found.iter().all(is_good) {
        true => Ok(text),
        false => Err(invalid("a certificate in it cannot be read")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateTrustStore {
    name: String,
    #[serde(rename = "CaCertificatesBundleS3Bucket")]
    bucket: String,
    #[serde(rename = "CaCertificatesBundleS3Key")]
    key: String,
    #[serde(rename = "CaCertificatesBundleS3ObjectVersion")]
    version: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreateTrustStore) -> Result<TrustStores> {
    check::name(&input.name, "Trust store")?;
    let is_taken = owned::<TrustStore>(&ctx.tx, &ctx.scope).any(|store| store.name == input.name);
    if is_taken {
        return Err(error(
            "DuplicateTrustStoreName",
            format!(
                "A trust store with the name '{}' already exists",
                input.name
            ),
        ));
    }
    if MAX_TRUST_STORES <= owned::<TrustStore>(&ctx.tx, &ctx.scope).count() {
        return Err(error(
            "TooManyTrustStores",
            "The maximum number of trust stores has been reached",
        ));
    }
    let store = TrustStore {
        arn: arn::new_trust_store(&ctx.scope, &input.name),
        scope: ctx.scope.clone(),
        authorities: authorities(ctx, &input.bucket, &input.key, input.version.as_deref())?,
        revocations: Vec::new(),
        last_revocation: 0,
        tags: tag::of(&input.tags)?,
        name: input.name,
    };
    let answer = one(&store);
    ctx.tx.put(store);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyTrustStore {
    trust_store_arn: String,
    #[serde(rename = "CaCertificatesBundleS3Bucket")]
    bucket: String,
    #[serde(rename = "CaCertificatesBundleS3Key")]
    key: String,
    #[serde(rename = "CaCertificatesBundleS3ObjectVersion")]
    version: Option<String>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyTrustStore) -> Result<TrustStores> {
    let mut store = TrustStore::clone(&*find::<TrustStore>(ctx, &input.trust_store_arn)?);
    store.authorities = authorities(ctx, &input.bucket, &input.key, input.version.as_deref())?;
    let answer = one(&store);
    ctx.tx.put(store);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeTrustStores {
    #[serde(default)]
    trust_store_arns: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeTrustStores) -> Result<TrustStores> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    let (arns, names) = (&input.trust_store_arns, &input.names);
    for arn in arns {
        find::<TrustStore>(ctx, arn)?;
    }
    let all: Vec<_> = owned::<TrustStore>(&ctx.tx, &ctx.scope).collect();
    if names.iter().any(|n| !all.iter().any(|s| s.name == *n)) {
        return Err(error(
            "TrustStoreNotFound",
            "One or more trust stores not found",
        ));
    }
    let chosen = all.into_iter().filter(|s| {
        (arns.is_empty() || arns.contains(&s.arn)) && (names.is_empty() || names.contains(&s.name))
    });
    let (chosen, next_marker) = page.of(chosen, |s| s.arn.clone());
    Ok(TrustStores {
        trust_stores: chosen.into_iter().map(|s| shape(s)).collect(),
        next_marker,
    })
}

/// ARNs of the listeners that ask the store.
fn users<'a>(ctx: &'a Ctx, store: &'a str) -> impl Iterator<Item = &'a str> {
    let listeners = owned::<Listener>(&ctx.tx, &ctx.scope);
    let asks = move |l: &&std::sync::Arc<Listener>| {
        l.trust.as_ref().is_some_and(|trust| trust.store == store)
    };
    listeners.filter(asks).map(|l| l.arn.as_str())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteTrustStore {
    trust_store_arn: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteTrustStore) -> Result<Done> {
    let store = find::<TrustStore>(ctx, &input.trust_store_arn)?;
    if users(ctx, &store.arn).next().is_some() {
        return Err(error(
            "TrustStoreInUse",
            format!(
                "The trust store '{}' is currently in use by a listener",
                store.arn
            ),
        ));
    }
    ctx.tx.remove::<TrustStore>(&store.arn);
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAssociations {
    trust_store_arn: String,
    marker: Option<String>,
    page_size: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Association {
    resource_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Associations {
    trust_store_associations: Vec<Association>,
    next_marker: Option<String>,
}

pub fn associations(ctx: &mut Ctx, input: DescribeAssociations) -> Result<Associations> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    let store = find::<TrustStore>(ctx, &input.trust_store_arn)?;
    let users: Vec<&str> = users(ctx, &store.arn).collect();
    let (users, next_marker) = page.of(users, |arn| (*arn).to_owned());
    let association = |arn: &str| Association {
        resource_arn: arn.to_owned(),
    };
    Ok(Associations {
        trust_store_associations: users.into_iter().map(association).collect(),
        next_marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RevocationContent {
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    s3_object_version: Option<String>,
    revocation_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddRevocations {
    trust_store_arn: String,
    #[serde(default)]
    revocation_contents: Vec<RevocationContent>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RevocationShape {
    trust_store_arn: String,
    revocation_id: u64,
    revocation_type: &'static str,
    number_of_revoked_entries: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Revocations {
    trust_store_revocations: Vec<RevocationShape>,
    next_marker: Option<String>,
}

fn revocation_shape(store: &TrustStore, revocation: &Revocation) -> RevocationShape {
    RevocationShape {
        trust_store_arn: store.arn.clone(),
        revocation_id: revocation.id,
        revocation_type: "CRL",
        number_of_revoked_entries: revocation.entries,
    }
}

pub fn add_revocations(ctx: &mut Ctx, input: AddRevocations) -> Result<Revocations> {
    let mut store = TrustStore::clone(&*find::<TrustStore>(ctx, &input.trust_store_arn)?);
    let mut added = Vec::new();
    for content in &input.revocation_contents {
        let list = content.read(ctx)?;
        store.last_revocation += 1;
        let revocation = Revocation {
            id: store.last_revocation,
            entries: entries(&list)?,
            list,
        };
        added.push(revocation_shape(&store, &revocation));
        store.revocations.push(revocation);
    }
    if MAX_REVOCATIONS < store.revocations.len() {
        return Err(error(
            "TooManyTrustStoreRevocationEntries",
            "The maximum number of revocation lists for a trust store has been reached",
        ));
    }
    ctx.tx.put(store);
    Ok(Revocations {
        trust_store_revocations: added,
        next_marker: None,
    })
}

fn invalid_list(why: &str) -> wire::ApiError {
    error(
        "InvalidRevocationContent",
        format!("The revocation list is not valid: {why}"),
    )
}

impl RevocationContent {
    fn read(&self, ctx: &Ctx) -> Result<String> {
        if let Some(kind) = &self.revocation_type {
            check::one_of(kind, "revocationContents.member.revocationType", &["CRL"])?;
        }
        let (Some(bucket), Some(key)) = (&self.s3_bucket, &self.s3_key) else {
            return Err(validation("A revocation list needs a bucket and a key"));
        };
        let version = self.s3_object_version.as_deref();
        let content = body::content(ctx, bucket, key, version).ok_or_else(|| {
            error(
                "RevocationContentNotFound",
                format!("The revocation list '{key}' was not found in the bucket '{bucket}'"),
            )
        })?;
        String::from_utf8(content).map_err(|_| invalid_list("it is not in PEM"))
    }
}

/// Revoked certificates in lists in PEM.
fn entries(lists: &str) -> Result<u64> {
    let found = CertificateRevocationListDer::pem_slice_iter(lists.as_bytes());
    let found = found.collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| invalid_list("it is not in PEM"))?;
    if found.is_empty() {
        return Err(invalid_list("it is not in PEM"));
    }
    let mut entries = 0;
    for list in &found {
        let (_, parsed) = CertificateRevocationList::from_der(list)
            .map_err(|_| invalid_list("it cannot be read"))?;
        entries += parsed.iter_revoked_certificates().count() as u64;
    }
    Ok(entries)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveRevocations {
    trust_store_arn: String,
    revocation_ids: Vec<u64>,
}

fn check_known(store: &TrustStore, ids: &[u64]) -> Result<()> {
    let is_known = |id: &&u64| !store.revocations.iter().any(|r| r.id == **id);
    match ids.iter().find(is_known) {
        Some(id) => Err(error(
            "RevocationIdNotFound",
            format!("The revocation '{id}' was not found"),
        )),
        None => Ok(()),
    }
}

pub fn remove_revocations(ctx: &mut Ctx, input: RemoveRevocations) -> Result<Done> {
    let mut store = TrustStore::clone(&*find::<TrustStore>(ctx, &input.trust_store_arn)?);
    check_known(&store, &input.revocation_ids)?;
    store
        .revocations
        .retain(|r| !input.revocation_ids.contains(&r.id));
    ctx.tx.put(store);
    Ok(Done {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeRevocations {
    trust_store_arn: String,
    #[serde(default)]
    revocation_ids: Vec<u64>,
    marker: Option<String>,
    page_size: Option<i64>,
}

pub fn describe_revocations(ctx: &mut Ctx, input: DescribeRevocations) -> Result<Revocations> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    let store = find::<TrustStore>(ctx, &input.trust_store_arn)?;
    let ids = &input.revocation_ids;
    check_known(&store, ids)?;
    let chosen = store.revocations.iter();
    let chosen = chosen.filter(|r| ids.is_empty() || ids.contains(&r.id));
    let (chosen, next_marker) = page.of(chosen, |r| format!("{:020}", r.id));
    Ok(Revocations {
        trust_store_revocations: chosen
            .into_iter()
            .map(|r| revocation_shape(&store, r))
            .collect(),
        next_marker,
    })
}
