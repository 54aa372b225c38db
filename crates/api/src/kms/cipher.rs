//! What keys are for: encrypting a few bytes, and making keys that encrypt the rest.
//!
//! A ciphertext is a version, the id of its key, a nonce, and what AES-256-GCM makes of the
//! plaintext with the encryption context beside it. AWS's own form is not public.

use super::{Result, error, find, validation};
use crate::Ctx;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use model::kms::Key;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::{ApiError, Blob};

const VERSION: u8 = 1;
/// A UUID as text.
const ID: usize = 36;
const ALGORITHM: &str = "SYMMETRIC_DEFAULT";
const MAX_PLAINTEXT: usize = 4096;

type Context = BTreeMap<String, String>;

fn failed<E>(_: E) -> ApiError {
    ApiError::new(500, "KMSInternalException", "The key cannot be used.")
}

pub fn random_bytes(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn sealing(key: &Key) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, &key.secret).map_err(failed)?;
    Ok(LessSafeKey::new(key))
}

/// Names and values, each with its length, so that no two contexts look alike.
fn beside(context: &Context) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in context.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn seal(key: &Key, plaintext: &[u8], context: &Context) -> Result<Vec<u8>> {
    let nonce = random_bytes(NONCE_LEN)?;
    let mut sealed = plaintext.to_vec();
    let unique = Nonce::try_assume_unique_for_key(&nonce).map_err(failed)?;
    sealing(key)?
        .seal_in_place_append_tag(unique, Aad::from(beside(context)), &mut sealed)
        .map_err(failed)?;
    Ok([&[VERSION], key.id.as_bytes(), &nonce, &sealed].concat())
}

/// The id of the key, the nonce and what was sealed.
fn parts(ciphertext: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (version, rest) = ciphertext.split_first()?;
    let (id, rest) = rest.split_at_checked(ID)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
    let id = std::str::from_utf8(id).ok()?;
    (*version == VERSION).then_some((id, nonce, sealed))
}

fn invalid_ciphertext() -> ApiError {
    // AWS gives no reason either.
    error("InvalidCiphertextException", "")
}

/// The key, if it can be used now.
fn usable(ctx: &Ctx, id: &str) -> Result<Arc<Key>> {
    let key = find(ctx, id)?;
    super::check_there(&key)?;
    if !key.enabled {
        let message = format!("{} is disabled.", key.arn());
        return Err(error("DisabledException", message));
    }
    Ok(key)
}

fn check_algorithm(given: Option<&str>) -> Result<()> {
    match given {
        None | Some(ALGORITHM) => Ok(()),
        Some(other) => Err(error(
            "InvalidKeyUsageException",
            format!("The algorithm {other} does not fit a symmetric key."),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Encrypt {
    key_id: String,
    plaintext: Blob,
    #[serde(default)]
    encryption_context: Context,
    encryption_algorithm: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Encrypted {
    key_id: String,
    ciphertext_blob: Blob,
    encryption_algorithm: &'static str,
}

pub fn encrypt(ctx: &mut Ctx, input: Encrypt) -> Result<Encrypted> {
    check_algorithm(input.encryption_algorithm.as_deref())?;
    let wanted = match input.plaintext.0.len() {
        0 => Some("greater than or equal to 1".to_owned()),
        1..=MAX_PLAINTEXT => None,
        _ => Some(format!("less than or equal to {MAX_PLAINTEXT}")),
    };
    if let Some(wanted) = wanted {
        return Err(validation(format!(
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length {wanted}"
        )));
    }
    let key = usable(ctx, &input.key_id)?;
    Ok(Encrypted {
        key_id: key.arn(),
        ciphertext_blob: Blob(seal(&key, &input.plaintext.0, &input.encryption_context)?),
        encryption_algorithm: ALGORITHM,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Decrypt {
    ciphertext_blob: Blob,
    key_id: Option<String>,
    #[serde(default)]
    encryption_context: Context,
    encryption_algorithm: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Decrypted {
    key_id: String,
    plaintext: Blob,
    encryption_algorithm: &'static str,
}

pub fn decrypt(ctx: &mut Ctx, input: Decrypt) -> Result<Decrypted> {
    check_algorithm(input.encryption_algorithm.as_deref())?;
    let (id, nonce, sealed) = parts(&input.ciphertext_blob.0).ok_or_else(invalid_ciphertext)?;
    let key = usable(ctx, id)?;
    if let Some(asked) = &input.key_id
        && find(ctx, asked)?.id != key.id
    {
        return Err(error(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ));
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(failed)?;
    let mut opened = sealed.to_vec();
    let plaintext = sealing(&key)?
        .open_in_place(
            nonce,
            Aad::from(beside(&input.encryption_context)),
            &mut opened,
        )
        .map_err(|_| invalid_ciphertext())?;
    Ok(Decrypted {
        key_id: key.arn(),
        plaintext: Blob(plaintext.to_vec()),
        encryption_algorithm: ALGORITHM,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateDataKey {
    key_id: String,
    #[serde(default)]
    encryption_context: Context,
    number_of_bytes: Option<usize>,
    key_spec: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DataKey {
    key_id: String,
    ciphertext_blob: Blob,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Blob>,
}

pub fn data_key(ctx: &mut Ctx, input: GenerateDataKey) -> Result<DataKey> {
    let size = match (input.key_spec.as_deref(), input.number_of_bytes) {
        (Some("AES_256"), None) => 32,
        (Some("AES_128"), None) => 16,
        (None, Some(n)) if (1..=1024).contains(&n) => n,
        _ => {
            return Err(validation(
                "Please specify either number of bytes (1 to 1024) or key spec (AES_128 or AES_256).",
            ));
        }
    };
    let key = usable(ctx, &input.key_id)?;
    let plaintext = random_bytes(size)?;
    Ok(DataKey {
        key_id: key.arn(),
        ciphertext_blob: Blob(seal(&key, &plaintext, &input.encryption_context)?),
        plaintext: Some(Blob(plaintext)),
    })
}

pub fn hidden_data_key(ctx: &mut Ctx, input: GenerateDataKey) -> Result<DataKey> {
    let made = data_key(ctx, input)?;
    Ok(DataKey {
        plaintext: None,
        ..made
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GenerateRandom {
    number_of_bytes: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Random {
    plaintext: Blob,
}

pub fn random(_: &mut Ctx, input: GenerateRandom) -> Result<Random> {
    match input.number_of_bytes {
        Some(n) if (1..=1024).contains(&n) => Ok(Random {
            plaintext: Blob(random_bytes(n)?),
        }),
        _ => Err(validation("NumberOfBytes is 1 to 1024.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{input, run};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    #[test]
    fn only_the_same_context_opens() {
        run(|ctx| {
            super::super::key::create(ctx, input(json!({}))).unwrap();
            let key = ctx.tx.kms_keys.values().next().unwrap().clone();
            let plaintext = STANDARD.encode("secret");
            let asked = json!({"KeyId": key.arn(), "Plaintext": plaintext, "EncryptionContext": {"a": "b"}});
            let blob = encrypt(ctx, input(asked)).unwrap().ciphertext_blob.0;
            let mut open = |blob: &[u8], context: serde_json::Value| {
                let blob = STANDARD.encode(blob);
                let asked = json!({"CiphertextBlob": blob, "EncryptionContext": context});
                decrypt(ctx, input(asked))
                    .map(|d| d.plaintext.0)
                    .map_err(|e| e.code.into_owned())
            };
            assert_eq!(open(&blob, json!({"a": "b"})), Ok(b"secret".to_vec()));
            let refused = Err("InvalidCiphertextException".to_owned());
            assert_eq!(open(&blob, json!({"a": "c"})), refused);
            assert_eq!(open(&blob, json!({})), refused);
            assert_eq!(open(&blob[..20], json!({"a": "b"})), refused);
            let mut changed = blob.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert_eq!(open(&changed, json!({"a": "b"})), refused);
        });
    }
}
