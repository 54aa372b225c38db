//! ListObjectVersions: every version and delete marker of a bucket.

use super::error::invalid_argument;
use super::list_objects::{CommonPrefix, Query};
use super::owner::Owner;
use super::request::{Request, find_bucket, xml};
use super::{checksum, version};
use serde::Serialize;
use serde_with::skip_serializing_none;
use wire::{ApiError, HttpResponse, Timestamp};

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    key: String,
    version_id: String,
    is_latest: bool,
    last_modified: Timestamp,
    #[serde(rename = "ETag")]
    etag: String,
    checksum_algorithm: Vec<String>,
    checksum_type: Option<&'static str>,
    size: u64,
    owner: Owner,
    storage_class: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteMarker {
    key: String,
    version_id: String,
    is_latest: bool,
    last_modified: Timestamp,
    owner: Owner,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListVersionsResult {
    name: String,
    prefix: String,
    key_marker: String,
    version_id_marker: String,
    next_key_marker: Option<String>,
    next_version_id_marker: Option<String>,
    max_keys: usize,
    delimiter: Option<String>,
    is_truncated: bool,
    version: Vec<Version>,
    delete_marker: Vec<DeleteMarker>,
    common_prefixes: Vec<CommonPrefix>,
    encoding_type: Option<&'static str>,
}

pub fn list(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let query = Query::of(request, "max-keys")?;
    let key_marker = request.query("key-marker").unwrap_or_default();
    let version_marker = request.query("version-id-marker").unwrap_or_default();
    if key_marker.is_empty() && !version_marker.is_empty() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(invalid_argument(message));
    }
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    // A marker that is gone by now (deleted page by page) leaves older versions of its key to list.
    let marker = version::find(&state, &bucket.name, key_marker, Some(version_marker)).ok();
    let mut listed = ListVersionsResult {
        name: bucket.name.clone(),
        prefix: query.text(query.prefix),
        key_marker: query.text(key_marker),
        version_id_marker: version_marker.to_owned(),
        next_key_marker: None,
        next_version_id_marker: None,
        max_keys: query.max,
        delimiter: query.delimiter(),
        is_truncated: false,
        version: Vec::new(),
        delete_marker: Vec::new(),
        common_prefixes: Vec::new(),
        encoding_type: query.encoding(),
    };
    let mut seen: Option<&str> = None;
    // Key and version of the last entry; a common prefix has no version.
    let mut last: (&str, Option<&str>) = ("", None);
    for object in version::from(&state, &bucket.name, key_marker.max(query.prefix)) {
        let key = object.key.as_str();
        if !key.starts_with(query.prefix) {
            break;
        }
        let is_latest = seen.replace(key) != Some(key);
        let before = match marker {
            _ if key < key_marker => true,
            _ if key > key_marker || key_marker.is_empty() => false,
            Some(marker) => object.sequence >= marker.sequence,
            None => version_marker.is_empty(),
        };
        let common = query.common(key);
        if before || common.is_some_and(|common| common == key_marker || last.0 == common) {
            continue;
        }
        let count =
            listed.version.len() + listed.delete_marker.len() + listed.common_prefixes.len();
        if count == query.max {
            listed.is_truncated = query.max > 0;
            break;
        }
        if let Some(common) = common {
            let prefix = query.text(common);
            listed.common_prefixes.push(CommonPrefix { prefix });
            last = (common, None);
            continue;
        }
        last = (key, Some(&object.version));
        if object.delete_marker {
            listed.delete_marker.push(DeleteMarker {
                key: query.text(key),
                version_id: object.version.clone(),
                is_latest,
                last_modified: object.modified.into(),
                owner: Owner::of(&bucket.scope),
            });
        } else {
            listed.version.push(Version {
                key: query.text(key),
                version_id: object.version.clone(),
                is_latest,
                last_modified: object.modified.into(),
                etag: object.etag.clone(),
                checksum_algorithm: object.checksums.keys().cloned().collect(),
                checksum_type: checksum::kind(&object.checksums),
                size: object.size,
                owner: Owner::of(&bucket.scope),
                storage_class: object.storage_class.clone(),
            });
        }
    }
    if listed.is_truncated {
        listed.next_key_marker = Some(query.text(last.0));
        listed.next_version_id_marker = last.1.map(str::to_owned);
    }
    xml("ListVersionsResult", &listed)
}
