//! SSH public keys of users, which AWS takes for CodeCommit. There are no repositories here:
//! keys are checked, kept and described.

use super::error::{Result, invalid, limit_exceeded, no_such_entity};
use super::{identity, page, unique_id, user};
use crate::Ctx;
use crate::ec2::public_key::PublicKey;
use model::iam_user::{SshPublicKey, User};
use serde::{Deserialize, Serialize};
use wire::{ApiError, Timestamp};

/// AWS's quota of a user.
const MAX_KEYS: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneKey {
    #[serde(rename = "SSHPublicKey")]
    key: Shape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    user_name: String,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
    fingerprint: String,
    #[serde(rename = "SSHPublicKeyBody")]
    body: String,
    status: &'static str,
    upload_date: Timestamp,
}

fn status(key: &SshPublicKey) -> &'static str {
    if key.active { "Active" } else { "Inactive" }
}

fn parse(body: &str) -> Result<PublicKey> {
    let parsed = PublicKey::parse(body.as_bytes()).ok();
    parsed.filter(|k| k.kind() == "rsa").ok_or_else(|| {
        ApiError::client(
            "InvalidPublicKey",
            "The public key must be an RSA key in the form of OpenSSH.",
        )
    })
}

fn shape(user: &User, key: &SshPublicKey, pem: bool) -> Result<OneKey> {
    let parsed = parse(&key.body)?;
    Ok(OneKey {
        key: Shape {
            user_name: user.name.clone(),
            id: key.id.clone(),
            fingerprint: parsed.md5(),
            body: match pem {
                true => parsed.pem().unwrap_or_default(),
                false => key.body.clone(),
            },
            status: status(key),
            upload_date: key.uploaded.into(),
        },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadSshPublicKey {
    user_name: String,
    #[serde(rename = "SSHPublicKeyBody")]
    body: String,
}

pub fn upload(ctx: &mut Ctx, input: UploadSshPublicKey) -> Result<OneKey> {
    let mut user = User::clone(&*identity::find::<User>(ctx, &input.user_name)?);
    let line = parse(&input.body)?.line;
    let blob = |body: &str| body.split_whitespace().nth(1).map(str::to_owned);
    if user.ssh_keys.iter().any(|k| blob(&k.body) == blob(&line)) {
        return Err(ApiError::client(
            "DuplicateSSHPublicKey",
            format!(
                "The SSH public key is already associated with the user {}.",
                user.name
            ),
        ));
    }
    if user.ssh_keys.len() >= MAX_KEYS {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for SSHPublicKeysPerUser: {MAX_KEYS}"
        )));
    }
    let key = SshPublicKey {
        id: unique_id("APKA"),
        body: line,
        active: true,
        uploaded: ctx.now,
    };
    let answer = shape(&user, &key, false)?;
    user.ssh_keys.push(key);
    ctx.tx.put(user);
    Ok(answer)
}

fn not_found(id: &str) -> ApiError {
    no_such_entity(format!("The Public Key with id {id} cannot be found."))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetSshPublicKey {
    user_name: String,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
    encoding: String,
}

pub fn get(ctx: &mut Ctx, input: GetSshPublicKey) -> Result<OneKey> {
    let user = identity::find::<User>(ctx, &input.user_name)?;
    let pem = match input.encoding.as_str() {
        "SSH" => false,
        "PEM" => true,
        other => {
            return Err(ApiError::client(
                "UnrecognizedPublicKeyEncoding",
                format!("The encoding {other} is not known: SSH or PEM."),
            ));
        }
    };
    let found = user.ssh_keys.iter().find(|k| k.id == input.id);
    shape(&user, found.ok_or_else(|| not_found(&input.id))?, pem)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListSshPublicKeys {
    user_name: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Keys {
    #[serde(rename = "SSHPublicKeys")]
    keys: Vec<Listed>,
    is_truncated: bool,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    user_name: String,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
    status: &'static str,
    upload_date: Timestamp,
}

pub fn list(ctx: &mut Ctx, input: ListSshPublicKeys) -> Result<Keys> {
    let user = user::named_or_caller(ctx, input.user_name.as_deref())?;
    let mut keys: Vec<&SshPublicKey> = user.ssh_keys.iter().collect();
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    let id = |k: &&SshPublicKey| k.id.clone();
    let (keys, marker) = page::of(keys, id, input.max_items, input.marker.as_deref())?;
    let listed = |key: &SshPublicKey| Listed {
        user_name: user.name.clone(),
        id: key.id.clone(),
        status: status(key),
        upload_date: key.uploaded.into(),
    };
    Ok(Keys {
        keys: keys.into_iter().map(listed).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateSshPublicKey {
    user_name: String,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
    status: String,
}

pub fn update(ctx: &mut Ctx, input: UpdateSshPublicKey) -> Result<()> {
    let active = match input.status.as_str() {
        "Active" => true,
        "Inactive" => false,
        other => {
            return Err(invalid(format!(
                "1 validation error detected: Value '{other}' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"
            )));
        }
    };
    let mut user = User::clone(&*identity::find::<User>(ctx, &input.user_name)?);
    let found = user.ssh_keys.iter_mut().find(|k| k.id == input.id);
    found.ok_or_else(|| not_found(&input.id))?.active = active;
    ctx.tx.put(user);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteSshPublicKey {
    user_name: String,
    #[serde(rename = "SSHPublicKeyId")]
    id: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteSshPublicKey) -> Result<()> {
    let mut user = User::clone(&*identity::find::<User>(ctx, &input.user_name)?);
    let before = user.ssh_keys.len();
    user.ssh_keys.retain(|k| k.id != input.id);
    if user.ssh_keys.len() == before {
        return Err(not_found(&input.id));
    }
    ctx.tx.put(user);
    Ok(())
}
