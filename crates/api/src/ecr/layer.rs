//! Layers by calls: looked for, linked to, brought in parts. Docker does the same by the registry.

use super::{Result, constraint, disk, find, invalid, key, layout};
use crate::Ctx;
use jiff::SignedDuration;
use model::ecr::Registry;
use oci::{Digest, Layout, Upload, UploadError, UploadId};
use serde::{Deserialize, Serialize};
use std::io::Write;
use wire::{ApiError, Blob};

/// How long a link to a layer opens it, as AWS's.
const LINK: SignedDuration = SignedDuration::from_hours(1);
/// Of a part, so that it fits into a call as text.
const PART: u64 = 5 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchCheckLayerAvailability {
    registry_id: Option<String>,
    repository_name: String,
    layer_digests: Vec<String>,
}

#[derive(Serialize)]
pub struct Layers {
    layers: Vec<Layer>,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    layer_digest: String,
    layer_availability: &'static str,
    layer_size: Option<u64>,
    media_type: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    layer_digest: String,
    failure_code: &'static str,
    failure_reason: &'static str,
}

pub fn check(ctx: &mut Ctx, input: BatchCheckLayerAvailability) -> Result<Layers> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    if !(1..=100).contains(&input.layer_digests.len()) {
        return Err(constraint(
            "layerDigests",
            "must have length between 1 and 100",
        ));
    }
    let layout = layout(ctx, &repository);
    let mut answer = Layers {
        layers: Vec::new(),
        failures: Vec::new(),
    };
    for text in input.layer_digests {
        let Some(digest) = Digest::parse(&text) else {
            answer.failures.push(Failure {
                layer_digest: text,
                failure_code: "InvalidLayerDigest",
                failure_reason: "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
            });
            continue;
        };
        let size = layout.blob_size(&digest).map_err(disk)?;
        answer.layers.push(Layer {
            layer_digest: text,
            layer_availability: match size {
                Some(_) => "AVAILABLE",
                None => "UNAVAILABLE",
            },
            layer_size: size,
            media_type: size.map(|_| "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        });
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetDownloadUrlForLayer {
    registry_id: Option<String>,
    repository_name: String,
    layer_digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadUrl {
    download_url: String,
    layer_digest: String,
}

/// A link into the registry itself; AWS's leads to S3.
pub fn download_url(ctx: &mut Ctx, input: GetDownloadUrlForLayer) -> Result<DownloadUrl> {
    let name = &input.repository_name;
    let repository = find(ctx, input.registry_id.as_deref(), name)?;
    let digest = parse(&input.layer_digest)?;
    let size = layout(ctx, &repository).blob_size(&digest).map_err(disk)?;
    if size.is_none() {
        return Err(absent(ctx, name, &digest));
    }
    let end = ctx.now.checked_add(LINK).unwrap_or(ctx.now);
    let expires = end.as_second().try_into().unwrap_or_default();
    let link = format!("{}/v2/{name}/blobs/{digest}", Registry::host(&ctx.scope));
    let signature = key(&ctx.cloud)?.sign_link(&link, expires);
    Ok(DownloadUrl {
        download_url: format!("https://{link}?expires={expires}&signature={signature}"),
        layer_digest: input.layer_digest,
    })
}

fn parse(digest: &str) -> Result<Digest> {
    Digest::parse(digest).ok_or_else(|| {
        let rule = "must satisfy regular expression 'sha256:[0-9a-f]{64}'";
        constraint("layerDigest", rule)
    })
}

fn absent(ctx: &Ctx, name: &str, digest: &Digest) -> ApiError {
    ApiError::client(
        "LayersNotFoundException",
        format!(
            "Layers with digests '[{digest}]' do not exist in the repository with name '{name}' in the registry with id '{}'",
            ctx.scope.account
        ),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitiateLayerUpload {
    registry_id: Option<String>,
    repository_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Begun {
    upload_id: String,
    part_size: u64,
}

pub fn begin(ctx: &mut Ctx, input: InitiateLayerUpload) -> Result<Begun> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let layout = layout(ctx, &repository);
    let upload = Upload::begin(&layout).map_err(disk)?;
    Ok(Begun {
        upload_id: upload.id().as_str().to_owned(),
        part_size: PART,
    })
}

/// The upload of that id.
fn upload<'a>(layout: &'a Layout, id: &str) -> Result<Upload<'a>> {
    let parsed = UploadId::parse(id).ok_or_else(|| unknown(id))?;
    Ok(Upload::of(layout, parsed))
}

fn unknown(id: &str) -> ApiError {
    let message = format!("The upload with id '{id}' does not exist");
    ApiError::client("UploadNotFoundException", message)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadLayerPart {
    registry_id: Option<String>,
    repository_name: String,
    upload_id: String,
    part_first_byte: u64,
    part_last_byte: u64,
    layer_part_blob: Blob,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extended {
    registry_id: String,
    repository_name: String,
    upload_id: String,
    last_byte_received: u64,
}

pub fn extend(ctx: &mut Ctx, input: UploadLayerPart) -> Result<Extended> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let layout = layout(ctx, &repository);
    let (part, id) = (input.layer_part_blob.0, input.upload_id);
    let (first, last) = (input.part_first_byte, input.part_last_byte);
    if last.checked_sub(first).map(|n| n + 1) != Some(part.len() as u64) {
        return Err(invalid(
            "Invalid parameter at 'partLastByte': the part does not have as many bytes",
        ));
    }
    let mut file = upload(&layout, &id)?
        .extend(Some(first))
        .map_err(|error| match error {
            UploadError::Gap { length } => ApiError::client(
                "InvalidLayerPartException",
                format!(
                    "The layer part's first byte must be {length}, which follows what was received"
                ),
            ),
            other => refused(other, &id),
        })?;
    file.write_all(&part).map_err(disk)?;
    Ok(Extended {
        registry_id: ctx.scope.account.to_string(),
        repository_name: input.repository_name,
        upload_id: id,
        last_byte_received: last,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompleteLayerUpload {
    registry_id: Option<String>,
    repository_name: String,
    upload_id: String,
    layer_digests: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completed {
    registry_id: String,
    repository_name: String,
    upload_id: String,
    layer_digest: String,
}

pub fn complete(ctx: &mut Ctx, input: CompleteLayerUpload) -> Result<Completed> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let layout = layout(ctx, &repository);
    let id = input.upload_id;
    let [digest] = &input.layer_digests[..] else {
        return Err(invalid(
            "Invalid parameter at 'layerDigests': give one, of the whole layer",
        ));
    };
    let digest = parse(digest)?;
    let upload = upload(&layout, &id)?;
    if upload.length().map_err(|e| refused(e, &id))? == 0 {
        let message = format!("The upload with id '{id}' has no parts");
        return Err(ApiError::client("EmptyUploadException", message));
    }
    if layout.blob_size(&digest).map_err(disk)?.is_some() {
        let message = format!("The layer with digest '{digest}' already exists");
        return Err(ApiError::client("LayerAlreadyExistsException", message));
    }
    upload.complete(&digest).map_err(|e| refused(e, &id))?;
    Ok(Completed {
        registry_id: ctx.scope.account.to_string(),
        repository_name: input.repository_name,
        upload_id: id,
        layer_digest: digest.to_string(),
    })
}

fn refused(error: UploadError, id: &str) -> ApiError {
    match error {
        UploadError::Io(error) => disk(error),
        UploadError::Unknown => unknown(id),
        UploadError::Mismatch { .. } => ApiError::client(
            "InvalidLayerException",
            format!(
                "The layer with upload id '{id}' does not have the digest that was given: {error}"
            ),
        ),
        other => invalid(format!("The upload with id '{id}': {other}")),
    }
}
