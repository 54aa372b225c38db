//! Key pairs: public keys that instances get at launch.
//!
//! Fingerprints are AWS's: of imported RSA keys the MD5 of the public key in DER,
//! of ED25519 keys the SHA-256 that OpenSSH shows.
//! `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html`

use super::error::{Result, dry_run, error, invalid_value, missing, unsupported};
use super::filter::{Field, Filter, Filters, one};
use super::resource::{owned, parse_id};
use super::tag::{self, Tag, TagSpecification};
use crate::Ctx;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use model::instance::KeyPair;
use model::{KeyPairId, Tags};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::sync::Arc;
use wire::{ApiError, Blob, Timestamp};

const MAX_NAME: usize = 255;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateKeyPair {
    key_name: String,
    key_type: Option<KeyType>,
    key_format: Option<KeyFormat>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeyType {
    Rsa,
    Ed25519,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeyFormat {
    Pem,
    Ppk,
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

/// Only ED25519: no library that this cloud trusts makes RSA keys, and another
/// kind than was asked for would be a surprise.
pub fn create(ctx: &mut Ctx, input: CreateKeyPair) -> Result<CreatedKeyPair> {
    let tags = tag::of(&input.tag_specification, "key-pair")?;
    check_name(ctx, &input.key_name)?;
    if input.key_type != Some(KeyType::Ed25519) {
        return Err(unsupported(
            "This cloud creates key pairs of type ed25519 only; ask for that type, or import an RSA key.",
        ));
    }
    if input.key_format == Some(KeyFormat::Ppk) {
        return Err(unsupported(
            "This cloud creates key pairs in the format pem only.",
        ));
    }
    dry_run(input.dry_run)?;
    let secret = Ed25519Secret::random()?;
    let line = format!(
        "ssh-ed25519 {} {}",
        STANDARD.encode(secret.public_blob()),
        input.key_name
    );
    let key = PublicKey::parse(line.as_bytes())?;
    let pair = put(ctx, input.key_name, key, tags);
    Ok(CreatedKeyPair {
        key_pair_id: pair.id.to_string(),
        key_material: secret.openssh(&pair.name),
        key_name: pair.name,
        key_fingerprint: pair.fingerprint,
        tag_set: tag::list(&pair.tags),
    })
}

fn put(ctx: &mut Ctx, name: String, key: PublicKey, tags: Tags) -> KeyPair {
    let pair = KeyPair {
        id: KeyPairId::random(),
        scope: ctx.scope.clone(),
        name,
        fingerprint: key.fingerprint(),
        key_type: key.kind().to_owned(),
        public_key: key.line,
        created: ctx.now,
        tags,
    };
    ctx.tx.put(pair.clone());
    pair
}

/// A new private key; only its caller ever has it.
struct Ed25519Secret {
    seed: [u8; 32],
    public: Vec<u8>,
}

impl Ed25519Secret {
    fn random() -> Result<Self> {
        let failed = |_| ApiError::internal("A key pair cannot be made: no randomness.");
        let mut seed = [0; 32];
        let random = ring::rand::SystemRandom::new();
        ring::rand::SecureRandom::fill(&random, &mut seed).map_err(failed)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|_| ApiError::internal("A key pair cannot be made."))?;
        Ok(Self {
            seed,
            public: pair.public_key().as_ref().to_vec(),
        })
    }

    fn public_blob(&self) -> Vec<u8> {
        [field(b"ssh-ed25519"), field(&self.public)].concat()
    }

    /// OpenSSH's own format, not encrypted: its `PROTOCOL.key`.
    fn openssh(&self, comment: &str) -> String {
        // Equal halves tell a reader that it has decrypted right.
        let check = [0x5a; 4];
        let both = [self.seed.as_slice(), &self.public].concat();
        let mut secret = [
            check.to_vec(),
            check.to_vec(),
            self.public_blob(),
            field(&both),
            field(comment.as_bytes()),
        ]
        .concat();
        let padding = (8 - secret.len() % 8) % 8;
        secret.extend((1u8..).take(padding));
        let whole = [
            b"openssh-key-v1\0".to_vec(),
            field(b"none"),
            field(b"none"),
            field(b""),
            1u32.to_be_bytes().to_vec(),
            field(&self.public_blob()),
            field(&secret),
        ]
        .concat();
        let text = STANDARD.encode(whole);
        let mut pem = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(70));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END OPENSSH PRIVATE KEY-----\n");
        pem
    }
}

/// A length and the bytes; keys are far below 4 GiB.
fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), bytes].concat()
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
    let pair = put(ctx, input.key_name, key, tags);
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

/// A public key in OpenSSH's form, its blob taken apart as RFC 4253 §6.6 lays it out.
struct PublicKey {
    /// As it goes into `authorized_keys`.
    line: String,
    blob: Vec<u8>,
    key: Key,
}

enum Key {
    Ed25519,
    Rsa { exponent: Vec<u8>, modulus: Vec<u8> },
}

impl PublicKey {
    fn parse(material: &[u8]) -> Result<Self> {
        Self::read(material).ok_or_else(|| {
            error(
                "InvalidKey.Format",
                "Key is not in valid OpenSSH public key format",
            )
        })
    }

    fn read(material: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(material).ok()?.trim();
        if line.contains('\n') {
            return None;
        }
        let mut words = line.split_whitespace();
        let (name, blob) = (words.next()?, words.next()?);
        let blob = STANDARD.decode(blob).ok()?;
        let mut rest = blob.as_slice();
        if take(&mut rest)? != name.as_bytes() {
            return None;
        }
        let key = match name {
            "ssh-ed25519" if take(&mut rest)?.len() == 32 => Key::Ed25519,
            "ssh-rsa" => Key::Rsa {
                exponent: take(&mut rest)?.to_vec(),
                modulus: take(&mut rest)?.to_vec(),
            },
            _ => return None,
        };
        // 1024 bits and a sign byte are the least that AWS takes.
        let long_enough = match &key {
            Key::Ed25519 => true,
            Key::Rsa { modulus, .. } => modulus.len() >= 128,
        };
        (rest.is_empty() && long_enough).then(|| Self {
            line: line.to_owned(),
            blob: blob.clone(),
            key,
        })
    }

    fn kind(&self) -> &'static str {
        match self.key {
            Key::Ed25519 => "ed25519",
            Key::Rsa { .. } => "rsa",
        }
    }

    fn fingerprint(&self) -> String {
        match &self.key {
            Key::Ed25519 => STANDARD.encode(Sha256::digest(&self.blob)),
            Key::Rsa { exponent, modulus } => {
                let digest = Md5::digest(rsa_der(exponent, modulus));
                let octets: Vec<String> = digest.iter().map(|o| format!("{o:02x}")).collect();
                octets.join(":")
            }
        }
    }
}

/// The next length-prefixed field of a blob.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(field)
}

/// SubjectPublicKeyInfo (RFC 5280, RFC 8017 A.1.1) of an RSA key.
fn rsa_der(exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    /// OID 1.2.840.113549.1.1.1 and NULL.
    const RSA_ENCRYPTION: [u8; 13] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let numbers = [der(INTEGER, modulus), der(INTEGER, exponent)].concat();
    let mut bits = vec![0];
    bits.extend(der(SEQUENCE, &numbers));
    let content = [der(SEQUENCE, &RSA_ENCRYPTION), der(BIT_STRING, &bits)].concat();
    der(SEQUENCE, &content)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.iter().copied().skip_while(|b| *b == 0).collect();
    let mut out = vec![tag];
    match digits.as_slice() {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // At most eight digits.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend(long);
        }
    }
    out.extend(content);
    out
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
