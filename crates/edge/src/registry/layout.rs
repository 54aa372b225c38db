//! One repository: an OCI image layout directory.

use super::route::{Digest, Reference};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use tokio::fs::File;

/// Manifests are small; a blob of this size is none (4 MiB, as registries accept).
const MANIFEST_SIZE: u64 = 4 << 20;

pub struct Layout(PathBuf);

pub enum Found<T> {
    Yes(T),
    No,
    NoRepository,
}

pub struct Manifest {
    pub media_type: String,
    pub digest: Digest,
    pub content: Vec<u8>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    fn tag(&self) -> Option<&str> {
        let tag = self.annotations.get("org.opencontainers.image.ref.name");
        tag.map(String::as_str)
    }
}

impl Layout {
    /// The layout of a repository, whose name must have passed the router.
    pub fn of(root: &Path, name: &str) -> Self {
        Self(root.join(name))
    }

    pub async fn tags(&self) -> io::Result<Option<Vec<String>>> {
        let Some(index) = self.index().await? else {
            return Ok(None);
        };
        let tags = index.manifests.iter().filter_map(Descriptor::tag);
        let mut tags: Vec<String> = tags.map(str::to_owned).collect();
        tags.sort();
        Ok(Some(tags))
    }

    pub async fn manifest(&self, reference: &Reference) -> io::Result<Found<Manifest>> {
        let Some(index) = self.index().await? else {
            return Ok(Found::NoRepository);
        };
        let listed = index.manifests.iter().find(|listed| match reference {
            Reference::Tag(tag) => listed.tag() == Some(tag),
            Reference::Digest(digest) => listed.digest == digest.as_str(),
        });
        let digest = match (reference, listed) {
            (Reference::Digest(digest), _) => Some(digest.clone()),
            (Reference::Tag(_), Some(listed)) => Digest::parse(&listed.digest),
            (Reference::Tag(_), None) => None,
        };
        let Some(digest) = digest else {
            return Ok(Found::No);
        };
        let path = self.blob_path(&digest);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) if metadata.len() <= MANIFEST_SIZE => {}
            Ok(_) => return Ok(Found::No),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::No),
            Err(error) => return Err(error),
        }
        let content = tokio::fs::read(&path).await?;
        let media_type = match listed {
            Some(listed) => Some(listed.media_type.clone()),
            // The manifest of one platform, which only a manifest list names.
            None => media_type(&content),
        };
        Ok(match media_type {
            Some(media_type) => Found::Yes(Manifest {
                media_type,
                digest,
                content,
            }),
            None => Found::No,
        })
    }

    /// A blob and its size.
    pub async fn blob(&self, digest: &Digest) -> io::Result<Option<(File, u64)>> {
        match File::open(self.blob_path(digest)).await {
            Ok(file) => {
                let size = file.metadata().await?.len();
                Ok(Some((file, size)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn index(&self) -> io::Result<Option<Index>> {
        match tokio::fs::read(self.0.join("index.json")).await {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.0.join("blobs/sha256").join(digest.hex())
    }
}

/// What a manifest says it is; none if it is no manifest.
fn media_type(content: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let head: Head = serde_json::from_slice(content).ok()?;
    // The field is optional in OCI manifests.
    let implied = match (head.manifests, head.layers) {
        (Some(_), _) => "application/vnd.oci.image.index.v1+json",
        (None, Some(_)) => "application/vnd.oci.image.manifest.v1+json",
        (None, None) => return None,
    };
    Some(head.media_type.unwrap_or_else(|| implied.to_owned()))
}
