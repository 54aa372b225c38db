//! What a repository holds: listed, described, given out.

use super::{Result, constraint, disk, find, layout, page};
use crate::Ctx;
use model::ecr::Repository;
use oci::{Digest, Found, Image, Layout, Manifest, Reference, Summary};
use serde::{Deserialize, Serialize};
use wire::{ApiError, Timestamp};

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageId {
    pub(super) image_digest: Option<String>,
    pub(super) image_tag: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    image_id: ImageId,
    failure_code: &'static str,
    failure_reason: &'static str,
}

impl Failure {
    pub(super) fn of(image_id: &ImageId, (code, reason): (&'static str, &'static str)) -> Self {
        Self {
            image_id: image_id.clone(),
            failure_code: code,
            failure_reason: reason,
        }
    }
}

pub(super) const ABSENT: (&str, &str) = ("ImageNotFound", "Requested image not found");

/// What an id names, and the digest that its tag must then have; or why it names nothing.
pub(super) fn reference(
    id: &ImageId,
) -> std::result::Result<(Reference, Option<Digest>), (&'static str, &'static str)> {
    let digest = id.image_digest.as_deref().map(Digest::parse);
    match (&id.image_tag, digest) {
        (None, None) => Err((
            "MissingDigestAndTag",
            "Invalid request parameters: both tag and digest cannot be null",
        )),
        (_, Some(None)) => Err((
            "InvalidImageDigest",
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        )),
        (Some(tag), _) if !oci::valid_tag(tag) => Err((
            "InvalidImageTag",
            "Invalid request parameters: image tag should satisfy the regex '^[a-zA-Z0-9_]+[a-zA-Z0-9._-]*$'",
        )),
        (Some(tag), digest) => Ok((Reference::Tag(tag.clone()), digest.flatten())),
        (None, Some(Some(digest))) => Ok((Reference::Digest(digest), None)),
    }
}

pub(super) const DIFFERENT: (&str, &str) = (
    "ImageTagDoesNotMatchDigest",
    "Requested image tag does not match the requested image digest",
);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    tag_status: Option<String>,
    image_status: Option<String>,
}

impl Filter {
    /// Whether it takes images with tags, and such without.
    fn takes(&self) -> Result<(bool, bool)> {
        // Nothing here is ever archived.
        if let Some(other @ ("ARCHIVED" | "ACTIVATING")) = self.image_status.as_deref() {
            let rule = format!("images are never {other} in this cloud");
            return Err(constraint("filter.imageStatus", &rule));
        }
        if !matches!(self.image_status.as_deref(), None | Some("ACTIVE" | "ANY")) {
            let rule = "must satisfy enum value set: [ACTIVE, ARCHIVED, ACTIVATING, ANY]";
            return Err(constraint("filter.imageStatus", rule));
        }
        match self.tag_status.as_deref() {
            None | Some("ANY") => Ok((true, true)),
            Some("TAGGED") => Ok((true, false)),
            Some("UNTAGGED") => Ok((false, true)),
            _ => {
                let rule = "must satisfy enum value set: [TAGGED, UNTAGGED, ANY]";
                Err(constraint("filter.tagStatus", rule))
            }
        }
    }
}

fn chosen(layout: &Layout, filter: Option<Filter>) -> Result<Vec<Image>> {
    let (tagged, untagged) = filter.unwrap_or_default().takes()?;
    let mut images = layout.images().map_err(disk)?;
    images.retain(|image| match image.tags.is_empty() {
        true => untagged,
        false => tagged,
    });
    Ok(images)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListImages {
    registry_id: Option<String>,
    repository_name: String,
    next_token: Option<String>,
    max_results: Option<usize>,
    filter: Option<Filter>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIds {
    image_ids: Vec<ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListImages) -> Result<ImageIds> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let mut ids = Vec::new();
    for image in chosen(&layout(ctx, &repository), input.filter)? {
        let id = |image_tag| ImageId {
            image_digest: Some(image.digest.to_string()),
            image_tag,
        };
        match image.tags.is_empty() {
            true => ids.push(id(None)),
            false => ids.extend(image.tags.iter().cloned().map(Some).map(id)),
        }
    }
    let (image_ids, next_token) = page(ids, input.max_results, input.next_token.as_deref())?;
    Ok(ImageIds {
        image_ids,
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeImages {
    registry_id: Option<String>,
    repository_name: String,
    image_ids: Option<Vec<ImageId>>,
    next_token: Option<String>,
    max_results: Option<usize>,
    filter: Option<Filter>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDetails {
    image_details: Vec<ImageDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageDetail {
    registry_id: String,
    repository_name: String,
    image_digest: String,
    image_tags: Option<Vec<String>>,
    image_size_in_bytes: Option<u64>,
    image_pushed_at: Option<Timestamp>,
    image_manifest_media_type: String,
    artifact_media_type: Option<String>,
    image_status: &'static str,
}

pub fn describe(ctx: &mut Ctx, input: DescribeImages) -> Result<ImageDetails> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let layout = layout(ctx, &repository);
    let images = chosen(&layout, input.filter)?;
    let images = match input.image_ids {
        None => images,
        Some(ids) => {
            let one = |id: &ImageId| {
                let found = images.iter().find(|image| names(id, image));
                found.cloned().ok_or_else(|| absent(ctx, &repository, id))
            };
            ids.iter().map(one).collect::<Result<_>>()?
        }
    };
    let (images, next_token) = page(images, input.max_results, input.next_token.as_deref())?;
    let details = images.into_iter().map(|i| detail(&layout, &repository, i));
    Ok(ImageDetails {
        image_details: details.collect::<Result<_>>()?,
        next_token,
    })
}

fn names(id: &ImageId, image: &Image) -> bool {
    let digest = id.image_digest.as_deref();
    let tag = id.image_tag.as_ref();
    (digest.is_some() || tag.is_some())
        && digest.is_none_or(|digest| digest == image.digest.as_str())
        && tag.is_none_or(|tag| image.tags.contains(tag))
}

fn absent(ctx: &Ctx, repository: &Repository, id: &ImageId) -> ApiError {
    let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "null".into());
    ApiError::client(
        "ImageNotFoundException",
        format!(
            "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{}' in the registry with id '{}'",
            text(&id.image_digest),
            text(&id.image_tag),
            repository.name,
            ctx.scope.account
        ),
    )
}

fn detail(layout: &Layout, repository: &Repository, image: Image) -> Result<ImageDetail> {
    let reference = Reference::Digest(image.digest.clone());
    let summary = match layout.manifest(&reference).map_err(disk)? {
        Found::Yes(manifest) => Summary::of(&manifest.content, Some(&manifest.media_type)).ok(),
        Found::No | Found::NoRepository => None,
    };
    // An index has no size of its own, as on AWS.
    let size = summary.as_ref().filter(|s| s.manifests.is_empty());
    Ok(ImageDetail {
        registry_id: repository.scope.account.to_string(),
        repository_name: repository.name.clone(),
        image_digest: image.digest.to_string(),
        image_tags: (!image.tags.is_empty()).then_some(image.tags),
        image_size_in_bytes: size.map(|s| s.size),
        image_pushed_at: image.pushed.map(Into::into),
        image_manifest_media_type: image.media_type,
        artifact_media_type: summary.and_then(|s| s.artifact_type),
        image_status: "ACTIVE",
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchGetImage {
    registry_id: Option<String>,
    repository_name: String,
    image_ids: Vec<ImageId>,
    /// Manifests are not translated: clients get what was pushed, as they mostly do on AWS.
    #[serde(rename = "acceptedMediaTypes")]
    #[serde(default, deserialize_with = "wire::validated")]
    _accepted: Option<Vec<String>>,
}

#[derive(Serialize)]
pub struct Images {
    images: Vec<ImageShape>,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageShape {
    registry_id: String,
    repository_name: String,
    image_id: ImageId,
    image_manifest: String,
    image_manifest_media_type: String,
}

impl ImageShape {
    pub(super) fn new(repository: &Repository, tag: Option<String>, manifest: Manifest) -> Self {
        Self {
            registry_id: repository.scope.account.to_string(),
            repository_name: repository.name.clone(),
            image_id: ImageId {
                image_digest: Some(manifest.digest.to_string()),
                image_tag: tag,
            },
            image_manifest: String::from_utf8_lossy(&manifest.content).into_owned(),
            image_manifest_media_type: manifest.media_type,
        }
    }
}

/// So many ids one call takes.
pub(super) fn check_ids(ids: &[ImageId]) -> Result<()> {
    match ids.len() {
        1..=100 => Ok(()),
        _ => Err(constraint("imageIds", "must have length between 1 and 100")),
    }
}

pub fn get(ctx: &mut Ctx, input: BatchGetImage) -> Result<Images> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    check_ids(&input.image_ids)?;
    let layout = layout(ctx, &repository);
    let mut answer = Images {
        images: Vec::new(),
        failures: Vec::new(),
    };
    for id in &input.image_ids {
        let (reference, digest) = match reference(id) {
            Ok(named) => named,
            Err(why) => {
                answer.failures.push(Failure::of(id, why));
                continue;
            }
        };
        match layout.manifest(&reference).map_err(disk)? {
            Found::Yes(manifest) if digest.is_some_and(|d| d != manifest.digest) => {
                answer.failures.push(Failure::of(id, DIFFERENT));
            }
            Found::Yes(manifest) => {
                let shape = ImageShape::new(&repository, id.image_tag.clone(), manifest);
                answer.images.push(shape);
            }
            Found::No | Found::NoRepository => answer.failures.push(Failure::of(id, ABSENT)),
        }
    }
    Ok(answer)
}
