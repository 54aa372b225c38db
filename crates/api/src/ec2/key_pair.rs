//! Key pairs: public keys that instances get at launch.

use super::error::{Result, dry_run, error, invalid_value, missing};
use super::filter::{Field, Filter, Filters, one};
use super::public_key::PublicKey;
use super::resource::{owned, parse_id};
use super::secret_key::{Format, Kind, SecretKey};
use super::tag::{self, Tag, TagSpecification};
use crate::Ctx;
use model::instance::KeyPair;
use model::{KeyPairId, Tags};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wire::{ApiError, Blob, Timestamp};

const MAX_NAME: usize = 255;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    key_name: String,
    key_type: Option<Kind>,
    key_format: Option<Format>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

/// What was asked for, and a key. Drawing an RSA key takes part of a second, so it is done
/// while the call is decoded and not in the transaction, where all others would wait.
#[derive(Deserialize)]
#[serde(from = "Asked")]
pub struct CreateKeyPair {
    asked: Asked,
    secret: Result<SecretKey>,
}

impl From<Asked> for CreateKeyPair {
    fn from(asked: Asked) -> Self {
        let secret = SecretKey::random(asked.key_type.unwrap_or(Kind::Rsa));
        Self { asked, secret }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKeyPair {
    key_pair_id: String,
    key_name: String,
    key_fingerprint: String,
    key_material: String,
    tag_set: Vec<Tag>,
}

pub fn create(ctx: &mut Ctx, input: CreateKeyPair) -> Result<CreatedKeyPair> {
    let (asked, secret) = (input.asked, input.secret?);
    let tags = tag::of(&asked.tag_specification, "key-pair")?;
    check_name(ctx, &asked.key_name)?;
    dry_run(asked.dry_run)?;
    let key = PublicKey::parse(secret.public_line(&asked.key_name).as_bytes())?;
    let fingerprint = secret.fingerprint()?.unwrap_or_else(|| key.fingerprint());
    let pair = put(ctx, asked.key_name, key, fingerprint, tags);
    Ok(CreatedKeyPair {
        key_pair_id: pair.id.to_string(),
        key_material: secret.text(asked.key_format.unwrap_or(Format::Pem), &pair.name)?,
        key_name: pair.name,
        key_fingerprint: pair.fingerprint,
        tag_set: tag::list(&pair.tags),
    })
}

fn put(ctx: &mut Ctx, name: String, key: PublicKey, fingerprint: String, tags: Tags) -> KeyPair {
    let pair = KeyPair {
        id: KeyPairId::random(),
        scope: ctx.scope.clone(),
        name,
        fingerprint,
        key_type: key.kind().to_owned(),
        public_key: key.line,
        created: ctx.now,
        tags,
    };
    ctx.tx.put(pair.clone());
    pair
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImportKeyPair {
    key_name: String,
    public_key_material: Blob,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportedKeyPair {
    key_pair_id: String,
    key_name: String,
    key_fingerprint: String,
    tag_set: Vec<Tag>,
}

pub fn import(ctx: &mut Ctx, input: ImportKeyPair) -> Result<ImportedKeyPair> {
    let tags = tag::of(&input.tag_specification, "key-pair")?;
    check_name(ctx, &input.key_name)?;
    let key = PublicKey::parse(&input.public_key_material.0)?;
    dry_run(input.dry_run)?;
    let fingerprint = key.fingerprint();
    let pair = put(ctx, input.key_name, key, fingerprint, tags);
    Ok(ImportedKeyPair {
        key_pair_id: pair.id.to_string(),
        key_name: pair.name,
        key_fingerprint: pair.fingerprint,
        tag_set: tag::list(&pair.tags),
    })
}

fn check_name(ctx: &Ctx, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || !name.is_ascii() {
        return Err(invalid_value(format!(
            "Value for parameter KeyName is invalid. It must have 1 to {MAX_NAME} ASCII characters."
        )));
    }
    if named(ctx, name).is_some() {
        return Err(error(
            "InvalidKeyPair.Duplicate",
            format!("The keypair '{name}' already exists."),
        ));
    }
    Ok(())
}

fn named(ctx: &Ctx, name: &str) -> Option<Arc<KeyPair>> {
    owned::<KeyPair>(&ctx.tx, &ctx.scope)
        .find(|k| k.name == name)
        .cloned()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeKeyPairs {
    #[serde(default)]
    key_name: Vec<String>,
    #[serde(default)]
    key_pair_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_public_key: Option<bool>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPairs {
    key_set: Vec<Shape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    key_pair_id: String,
    key_name: String,
    key_type: String,
    key_fingerprint: String,
    public_key: Option<String>,
    create_time: Timestamp,
    tag_set: Vec<Tag>,
}

const FILTERS: &[Field<KeyPair>] = &[
    ("fingerprint", |_, k| one(&k.fingerprint)),
    ("key-name", |_, k| one(&k.name)),
    ("key-pair-id", |_, k| one(&k.id)),
];

pub fn describe_all(ctx: &mut Ctx, input: DescribeKeyPairs) -> Result<KeyPairs> {
    let filters = Filters::new(&input.filter, FILTERS)?;
    for name in &input.key_name {
        named(ctx, name).ok_or_else(|| not_found(name))?;
    }
    for id in &input.key_pair_id {
        super::resource::find::<KeyPair>(ctx, id)?;
    }
    dry_run(input.dry_run)?;
    let wanted = |k: &KeyPair| {
        let all = input.key_name.is_empty() && input.key_pair_id.is_empty();
        all || input.key_name.contains(&k.name) || input.key_pair_id.contains(&k.id.to_string())
    };
    let mut found: Vec<&Arc<KeyPair>> = owned::<KeyPair>(&ctx.tx, &ctx.scope)
        .filter(|k| wanted(k) && filters.matches(&ctx.tx, k))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let with_key = input.include_public_key.unwrap_or(false);
    let shape = |k: &Arc<KeyPair>| Shape {
        key_pair_id: k.id.to_string(),
        key_name: k.name.clone(),
        key_type: k.key_type.clone(),
        key_fingerprint: k.fingerprint.clone(),
        public_key: with_key.then(|| k.public_key.clone()),
        create_time: k.created.into(),
        tag_set: tag::list(&k.tags),
    };
    Ok(KeyPairs {
        key_set: found.into_iter().map(shape).collect(),
    })
}

fn not_found(name: &str) -> ApiError {
    error(
        "InvalidKeyPair.NotFound",
        format!("The key pair '{name}' does not exist"),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteKeyPair {
    key_name: Option<String>,
    key_pair_id: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedKeyPair {
    r#return: bool,
    key_pair_id: Option<String>,
}

/// A pair that is not there counts as deleted.
pub fn delete(ctx: &mut Ctx, input: DeleteKeyPair) -> Result<DeletedKeyPair> {
    let found = match (&input.key_name, &input.key_pair_id) {
        (_, Some(id)) => {
            let id: KeyPairId = parse_id::<KeyPair>(id)?;
            ctx.tx
                .get::<KeyPair>(&id)
                .filter(|k| k.scope == ctx.scope)
                .map(|k| k.id.clone())
        }
        (Some(name), None) => named(ctx, name).map(|k| k.id.clone()),
        (None, None) => return Err(missing("KeyName")),
    };
    dry_run(input.dry_run)?;
    if let Some(id) = &found {
        ctx.tx.remove::<KeyPair>(id);
    }
    Ok(DeletedKeyPair {
        r#return: true,
        key_pair_id: found.map(|id| id.to_string()),
    })
}
