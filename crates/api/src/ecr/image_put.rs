//! A manifest put by a call, as copying tools do; pushes come by the registry.

use super::image::{ImageId, ImageShape};
use super::{Result, constraint, disk, find, invalid, layout};
use crate::Ctx;
use model::ecr::Repository;
use oci::{Digest, Found, Layout, Manifest, PutError, Reference, TagRule};
use serde::{Deserialize, Serialize};
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutImage {
    registry_id: Option<String>,
    repository_name: String,
    image_manifest: String,
    image_manifest_media_type: Option<String>,
    image_tag: Option<String>,
    image_digest: Option<String>,
}

#[derive(Serialize)]
pub struct OneImage {
    image: ImageShape,
}

pub fn put(ctx: &mut Ctx, input: PutImage) -> Result<OneImage> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let layout = layout(ctx, &repository);
    let content = input.image_manifest.into_bytes();
    let digest = Digest::of(&content);
    if input.image_digest.is_some_and(|d| d != digest.as_str()) {
        return Err(ApiError::client(
            "ImageDigestDoesNotMatchException",
            "The provided digest does not match the digest of the image manifest",
        ));
    }
    let reference = match &input.image_tag {
        Some(tag) if !oci::valid_tag(tag) => {
            let rule = "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'";
            return Err(constraint("imageTag", rule));
        }
        Some(tag) => Reference::Tag(tag.clone()),
        None => Reference::Digest(digest.clone()),
    };
    if holds(&layout, &reference, &digest).map_err(disk)? {
        return Err(exists(ctx, &repository, &digest, input.image_tag));
    }
    let media_type = input.image_manifest_media_type.as_deref();
    layout
        .put_manifest(
            &reference,
            media_type,
            &content,
            &rule(&repository),
            ctx.now,
        )
        .map_err(|error| refused(error, &repository, &reference))?;
    let Found::Yes(manifest) = layout.manifest(&reference).map_err(disk)? else {
        return Err(invalid("The image was deleted while it was put."));
    };
    Ok(OneImage {
        image: ImageShape::new(&repository, input.image_tag, manifest),
    })
}

/// Which tags of it stay where they are.
fn rule(repository: &Repository) -> TagRule {
    TagRule {
        immutable: repository.immutable(),
        except: repository.exclusions.clone(),
    }
}

fn holds(layout: &Layout, reference: &Reference, digest: &Digest) -> std::io::Result<bool> {
    Ok(match reference {
        Reference::Tag(_) => {
            let same = |manifest: &Manifest| manifest.digest == *digest;
            matches!(layout.manifest(reference)?, Found::Yes(m) if same(&m))
        }
        // A blob alone would be found by its digest, too.
        Reference::Digest(_) => layout.images()?.iter().any(|i| i.digest == *digest),
    })
}

fn exists(ctx: &Ctx, repository: &Repository, digest: &Digest, tag: Option<String>) -> ApiError {
    let id = ImageId {
        image_digest: Some(digest.to_string()),
        image_tag: tag,
    };
    let tag = id.image_tag.as_deref().unwrap_or("null");
    ApiError::client(
        "ImageAlreadyExistsException",
        format!(
            "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{}' in registry with id '{}'",
            repository.name, ctx.scope.account
        ),
    )
}

fn refused(error: PutError, repository: &Repository, reference: &Reference) -> ApiError {
    let name = &repository.name;
    let account = &repository.scope.account;
    let place = format!("the repository with name '{name}' in the registry with id '{account}'");
    let list = |digests: &[Digest]| {
        let texts: Vec<&str> = digests.iter().map(Digest::as_str).collect();
        texts.join(", ")
    };
    let (code, message) = match (error, reference) {
        (PutError::Io(error), _) => return disk(error),
        (PutError::Fixed, Reference::Tag(tag)) => (
            "ImageTagAlreadyExistsException",
            format!(
                "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."
            ),
        ),
        (PutError::NoBlobs(digests), _) => (
            "LayersNotFoundException",
            format!(
                "Layers with digests '[{}]' do not exist in {place}",
                list(&digests)
            ),
        ),
        (PutError::NoManifests(digests), _) => (
            "ReferencedImagesNotFoundException",
            format!(
                "Images with digests '[{}]' do not exist in {place}",
                list(&digests)
            ),
        ),
        (error, _) => (
            "InvalidParameterException",
            format!("Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{error}'"),
        ),
    };
    ApiError::client(code, message)
}
