//! One repository: an OCI image layout directory, read and changed.

use crate::manifest::{MANIFEST_SIZE, Manifest, Summary};
use crate::name::{Digest, Reference};
use crate::tag_rule::TagRule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const TAG: &str = "org.opencontainers.image.ref.name";
/// When the image came, as RFC 3339. The layout has no place of its own for it.
const PUSHED: &str = "nines.pushed";

#[derive(Debug, Clone)]
pub struct Layout(PathBuf);

#[derive(Debug)]
pub enum Found<T> {
    Yes(T),
    No,
    NoRepository,
}

/// What is kept under one digest, with all its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub digest: Digest,
    pub media_type: String,
    pub tags: Vec<String>,
    pub pushed: Option<Timestamp>,
}

/// Why a manifest was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("the manifest's digest is {found}")]
    Mismatch { found: Digest },
    #[error("the repository has not all blobs that it names")]
    NoBlobs(Vec<Digest>),
    #[error("the repository has not all manifests that it names")]
    NoManifests(Vec<Digest>),
    /// The tag is another image's and stays so.
    #[error("the tag is immutable")]
    Fixed,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What became of an image or tag that was to go.
#[derive(Debug, PartialEq, Eq)]
pub enum Removed {
    /// The tags it had; none if it was untagged.
    Yes {
        digest: Digest,
        tags: Vec<String>,
    },
    No,
    /// These indexes name it.
    Referenced(Vec<Digest>),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    #[serde(default = "two")]
    schema_version: u8,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

fn two() -> u8 {
    2
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    fn tag(&self) -> Option<&str> {
        self.annotations.get(TAG).map(String::as_str)
    }
}

impl Layout {
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.0.join("blobs/sha256").join(digest.hex())
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }

    /// Makes what is not there yet of an empty one.
    pub fn create(&self) -> io::Result<()> {
        fs::create_dir_all(self.0.join("blobs/sha256"))?;
        fs::create_dir_all(self.uploads())?;
        let marker = self.0.join("oci-layout");
        if !marker.exists() {
            fs::write(marker, r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(())
    }

    pub fn tags(&self) -> io::Result<Option<Vec<String>>> {
        let Some(index) = self.index()? else {
            return Ok(None);
        };
        let tags = index.manifests.iter().filter_map(Descriptor::tag);
        let mut tags: Vec<String> = tags.map(str::to_owned).collect();
        tags.sort();
        Ok(Some(tags))
    }

    /// Every image, by digest.
    pub fn images(&self) -> io::Result<Vec<Image>> {
        let mut images: BTreeMap<Digest, Image> = BTreeMap::new();
        for listed in self.index()?.unwrap_or_default().manifests {
            let Some(digest) = Digest::parse(&listed.digest) else {
                continue;
            };
            let tag = listed.tag().map(str::to_owned);
            let pushed = listed
                .annotations
                .get(PUSHED)
                .and_then(|at| at.parse().ok());
            let image = images.entry(digest.clone()).or_insert_with(|| Image {
                digest,
                media_type: listed.media_type,
                tags: Vec::new(),
                pushed,
            });
            image.tags.extend(tag);
            image.tags.sort();
        }
        Ok(images.into_values().collect())
    }

    pub fn manifest(&self, reference: &Reference) -> io::Result<Found<Manifest>> {
        let Some(index) = self.index()? else {
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
        let Some(content) = self.small_blob(&digest)? else {
            return Ok(Found::No);
        };
        let media_type = match listed {
            Some(listed) => Some(listed.media_type.clone()),
            // The manifest of one platform, which only a manifest list names.
            None => implied_type(&content),
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

    pub fn blob_size(&self, digest: &Digest) -> io::Result<Option<u64>> {
        match fs::metadata(self.blob_path(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a blob over from another repository; false if it has none such.
    pub fn mount(&self, from: &Self, digest: &Digest) -> io::Result<bool> {
        self.create()?;
        match fs::hard_link(from.blob_path(digest), self.blob_path(digest)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        // Its manifest is still to come: no sweep may think it old.
        File::options()
            .write(true)
            .open(self.blob_path(digest))?
            .set_modified(SystemTime::now())?;
        Ok(true)
    }

    /// Keeps a manifest whose parts are all there, under its digest or a tag.
    pub fn put_manifest(
        &self,
        reference: &Reference,
        media_type: Option<&str>,
        content: &[u8],
        rule: &TagRule,
        now: Timestamp,
    ) -> Result<Digest, PutError> {
        let digest = Digest::of(content);
        if let Reference::Digest(wanted) = reference
            && *wanted != digest
        {
            return Err(PutError::Mismatch { found: digest });
        }
        let summary = Summary::of(content, media_type).map_err(PutError::Invalid)?;
        self.create()?;
        let _lock = self.lock()?;
        let missing = |digests: Vec<Digest>| -> io::Result<Vec<Digest>> {
            let mut missing = Vec::new();
            for digest in digests {
                if self.blob_size(&digest)?.is_none() {
                    missing.push(digest);
                }
            }
            Ok(missing)
        };
        let blobs = missing(summary.blobs)?;
        if !blobs.is_empty() {
            return Err(PutError::NoBlobs(blobs));
        }
        let manifests = missing(summary.manifests)?;
        if !manifests.is_empty() {
            return Err(PutError::NoManifests(manifests));
        }
        let mut index = self.index()?.unwrap_or_default();
        let same = |d: &Descriptor| d.digest == digest.as_str();
        if let Reference::Tag(tag) = reference {
            let holder = index.manifests.iter().find(|d| d.tag() == Some(tag));
            match holder {
                Some(holder) if same(holder) => return Ok(digest),
                Some(_) if rule.fixes(tag) => return Err(PutError::Fixed),
                _ => {}
            }
            untag(&mut index, tag);
        }
        self.write(&self.blob_path(&digest), content)?;
        let known = index.manifests.iter().find(|d| same(d));
        let pushed = known.and_then(|d| d.annotations.get(PUSHED).cloned());
        let mut entry = Descriptor {
            media_type: summary.media_type,
            digest: digest.to_string(),
            size: content.len() as u64,
            annotations: BTreeMap::from([(PUSHED.into(), pushed.unwrap_or(now.to_string()))]),
        };
        match reference {
            Reference::Digest(_) if known.is_some() => return Ok(digest),
            Reference::Digest(_) => {}
            Reference::Tag(tag) => {
                entry.annotations.insert(TAG.into(), tag.clone());
                index.manifests.retain(|d| !same(d) || d.tag().is_some());
            }
        }
        index.manifests.push(entry);
        self.write_index(&index)?;
        Ok(digest)
    }

    /// Takes a tag off, and the image away whose last tag it was; or the image with all its tags.
    pub fn remove(&self, reference: &Reference) -> io::Result<Removed> {
        if self.index()?.is_none() {
            return Ok(Removed::No);
        }
        let _lock = self.lock()?;
        let mut index = self.index()?.unwrap_or_default();
        let of = |d: &Descriptor| match reference {
            Reference::Tag(tag) => d.tag() == Some(tag),
            Reference::Digest(digest) => d.digest == digest.as_str(),
        };
        let found = index.manifests.iter().find(|d| of(d));
        let Some(digest) = found.and_then(|d| Digest::parse(&d.digest)) else {
            return Ok(Removed::No);
        };
        let rest = |d: &Descriptor| d.digest == digest.as_str() && !of(d);
        if !index.manifests.iter().any(rest) {
            let indexes = self.naming(&index, &digest)?;
            if !indexes.is_empty() {
                return Ok(Removed::Referenced(indexes));
            }
        }
        let (gone, kept) = index
            .manifests
            .into_iter()
            .partition::<Vec<_>, _>(|d| of(d));
        index.manifests = kept;
        self.write_index(&index)?;
        let tags = gone.iter().filter_map(Descriptor::tag).map(str::to_owned);
        Ok(Removed::Yes {
            digest,
            tags: tags.collect(),
        })
    }

    /// Drops blobs that no image names and uploads that nobody goes on with, all older than that.
    pub fn sweep(&self, before: SystemTime) -> io::Result<()> {
        if !self.0.join("oci-layout").exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let mut named: BTreeSet<String> = BTreeSet::new();
        let listed = self.index()?.unwrap_or_default().manifests;
        let mut left: Vec<Digest> = listed
            .iter()
            .filter_map(|d| Digest::parse(&d.digest))
            .collect();
        while let Some(digest) = left.pop() {
            if !named.insert(digest.hex().to_owned()) {
                continue;
            }
            if let Some(content) = self.small_blob(&digest)?
                && let Ok(summary) = Summary::of(&content, None)
            {
                named.extend(summary.blobs.iter().map(|b| b.hex().to_owned()));
                left.extend(summary.manifests);
            }
        }
        for directory in [self.0.join("blobs/sha256"), self.uploads()] {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                // One that a client completes or ends meanwhile is nobody's leftover.
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                let old = metadata.modified()? < before;
                let unnamed = entry
                    .file_name()
                    .to_str()
                    .is_none_or(|n| !named.contains(n));
                if old && unnamed {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// The indexes that name a manifest.
    fn naming(&self, index: &Index, digest: &Digest) -> io::Result<Vec<Digest>> {
        let mut found = BTreeSet::new();
        for other in index
            .manifests
            .iter()
            .filter_map(|d| Digest::parse(&d.digest))
        {
            if let Some(content) = self.small_blob(&other)?
                && let Ok(summary) = Summary::of(&content, None)
                && summary.manifests.contains(digest)
            {
                found.insert(other);
            }
        }
        Ok(found.into_iter().collect())
    }

    /// What is small enough for a manifest.
    fn small_blob(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        match self.blob_size(digest)? {
            Some(size) if size <= MANIFEST_SIZE => fs::read(self.blob_path(digest)).map(Some),
            _ => Ok(None),
        }
    }

    fn index(&self) -> io::Result<Option<Index>> {
        match fs::read(self.0.join("index.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_index(&self, index: &Index) -> io::Result<()> {
        let index = Index {
            schema_version: two(),
            manifests: index.manifests.clone(),
        };
        self.write(&self.0.join("index.json"), &serde_json::to_vec(&index)?)
    }

    /// Whole or not at all.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let new = self.uploads().join("new");
        let mut file = File::create(&new)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(new, path)
    }

    /// For as long as the file is open nobody else changes the index.
    fn lock(&self) -> io::Result<File> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.0.join(".lock"))?;
        file.lock()?;
        Ok(file)
    }
}

/// Takes a tag off; what has no other stays, untagged.
fn untag(index: &mut Index, tag: &str) {
    let Some(at) = index.manifests.iter().position(|d| d.tag() == Some(tag)) else {
        return;
    };
    let mut former = index.manifests.remove(at);
    if !index.manifests.iter().any(|d| d.digest == former.digest) {
        former.annotations.remove(TAG);
        index.manifests.push(former);
    }
}

/// What a manifest says it is; none if it is no manifest.
fn implied_type(content: &[u8]) -> Option<String> {
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

#[cfg(test)]
pub(crate) mod tests;
