//! Buckets and objects. Bodies lie in files beside the store.

use crate::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Names are global.
    pub name: String,
    pub scope: Scope,
    pub created: Timestamp,
    /// `None` never enabled, else `Enabled` or `Suspended`.
    pub versioning: Option<String>,
    pub object_lock: bool,
    /// Sub-resources by query name (`acl`, `policy`, `cors`…): the validated document as given.
    pub configuration: BTreeMap<String, String>,
    pub tags: Tags,
}

/// One version of an object, or a delete marker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    pub bucket: String,
    pub key: String,
    /// `null` in an unversioned bucket.
    pub version: String,
    /// Orders versions of a key: higher is newer.
    pub sequence: u64,
    pub delete_marker: bool,
    pub size: u64,
    /// Quoted, as sent.
    pub etag: String,
    pub modified: Timestamp,
    pub storage_class: String,
    /// Headers that are given back: content-type, cache-control, x-amz-meta-…
    pub headers: BTreeMap<String, String>,
    /// Algorithm (`CRC32`) to base64 value.
    pub checksums: BTreeMap<String, String>,
    /// File of the body, below the bucket's directory; empty for a delete marker.
    pub body: String,
    pub tags: Tags,
    /// `None` where the bucket owner alone has access.
    #[serde(default)]
    pub acl: Option<String>,
    /// Sizes in bytes of the parts it was uploaded in; empty when it came whole.
    #[serde(default)]
    pub parts: Vec<u64>,
    /// The multipart upload it was completed from.
    #[serde(default)]
    pub upload: Option<String>,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultipartUpload {
    pub bucket: String,
    pub key: String,
    pub id: String,
    pub initiated: Timestamp,
    pub storage_class: String,
    /// As of [`Object`].
    pub headers: BTreeMap<String, String>,
    pub tags: Tags,
    pub acl: Option<String>,
    /// `CRC32`, …; `None` leaves it to the parts.
    pub checksum_algorithm: Option<String>,
    /// The checksum is that of the whole body, not one of the parts' checksums.
    pub full_object: bool,
}

/// A part of a multipart upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The id of the upload.
    pub upload: String,
    pub number: u16,
    pub size: u64,
    /// Quoted.
    pub etag: String,
    pub modified: Timestamp,
    pub checksums: BTreeMap<String, String>,
    /// File, below the bucket's directory.
    pub body: String,
}
