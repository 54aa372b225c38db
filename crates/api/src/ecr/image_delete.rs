//! Images and tags taken away.

use super::image::{ABSENT, DIFFERENT, Failure, ImageId, check_ids, reference};
use super::{Result, disk, find, layout};
use crate::Ctx;
use oci::{Digest, Found, Layout, Reference, Removed};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchDeleteImage {
    registry_id: Option<String>,
    repository_name: String,
    image_ids: Vec<ImageId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    image_ids: Vec<ImageId>,
    failures: Vec<Failure>,
}

/// A tag goes alone, and with the last one the image; a digest takes all tags along.
pub fn delete(ctx: &mut Ctx, input: BatchDeleteImage) -> Result<Deleted> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    check_ids(&input.image_ids)?;
    let layout = layout(ctx, &repository);
    let mut answer = Deleted {
        image_ids: Vec::new(),
        failures: Vec::new(),
    };
    // An index goes before the images that it names, however the call orders them.
    let mut left: Vec<&ImageId> = input.image_ids.iter().collect();
    loop {
        let before = left.len();
        let mut held = Vec::new();
        for id in left {
            match remove(&layout, id)? {
                Ok(Removed::Yes { digest, tags }) => answer.image_ids.extend(gone(&digest, tags)),
                Ok(Removed::No) => answer.failures.push(Failure::of(id, ABSENT)),
                Ok(Removed::Referenced(_)) => held.push(id),
                Err(why) => answer.failures.push(Failure::of(id, why)),
            }
        }
        if held.len() == before || held.is_empty() {
            let why = (
                "ImageReferencedByManifestList",
                "Requested image referenced by manifest list",
            );
            let failures = held.into_iter().map(|id| Failure::of(id, why));
            answer.failures.extend(failures);
            return Ok(answer);
        }
        left = held;
    }
}

type Outcome = std::result::Result<Removed, (&'static str, &'static str)>;

fn remove(layout: &Layout, id: &ImageId) -> Result<Outcome> {
    let (reference, digest) = match reference(id) {
        Ok(named) => named,
        Err(why) => return Ok(Err(why)),
    };
    if let (Reference::Tag(_), Some(digest)) = (&reference, digest) {
        match layout.manifest(&reference).map_err(disk)? {
            Found::Yes(manifest) if manifest.digest == digest => {}
            Found::Yes(_) => return Ok(Err(DIFFERENT)),
            Found::No | Found::NoRepository => return Ok(Err(ABSENT)),
        }
    }
    layout.remove(&reference).map(Ok).map_err(disk)
}

fn gone(digest: &Digest, tags: Vec<String>) -> Vec<ImageId> {
    let id = |image_tag| ImageId {
        image_digest: Some(digest.to_string()),
        image_tag,
    };
    match tags.is_empty() {
        true => vec![id(None)],
        false => tags.into_iter().map(Some).map(id).collect(),
    }
}
