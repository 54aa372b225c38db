//! Versions of a key, newest first: which one a call means, and how a new one takes its place.

use super::error::{delete_marker, invalid_argument, no_such_key, no_such_version};
use super::request::{Change, Request};
use model::s3::{Bucket, Object};
use std::cmp::Reverse;
use store::{ObjectKey, State};
use wire::{ApiError, HttpResponse};

/// The version of a bucket without versioning, and of one where it is suspended.
pub const NULL: &str = "null";

/// All versions of all keys of a bucket, from `key` on.
pub fn from<'s>(state: &'s State, bucket: &'s str, key: &str) -> impl Iterator<Item = &'s Object> {
    let start = ObjectKey {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        newest_first: Reverse(u64::MAX),
    };
    let objects = state
        .objects
        .range(start..)
        .map(|(_, object)| object.as_ref());
    objects.take_while(move |object| object.bucket == bucket)
}

pub fn of_key<'s>(
    state: &'s State,
    bucket: &'s str,
    key: &'s str,
) -> impl Iterator<Item = &'s Object> {
    from(state, bucket, key).take_while(move |object| object.key == key)
}

/// Anything in the bucket, delete markers too.
pub fn first<'s>(state: &'s State, bucket: &'s str) -> Option<&'s Object> {
    from(state, bucket, "").next()
}

/// The newest version, unless the key is deleted.
pub fn current<'s>(state: &'s State, bucket: &'s str, key: &'s str) -> Option<&'s Object> {
    of_key(state, bucket, key)
        .next()
        .filter(|object| !object.delete_marker)
}

/// The version named, or the newest; it may be a delete marker.
pub fn find<'s>(
    state: &'s State,
    bucket: &'s str,
    key: &'s str,
    version: Option<&str>,
) -> Result<&'s Object, ApiError> {
    let mut versions = of_key(state, bucket, key);
    match version {
        None => versions.next().ok_or_else(|| no_such_key(key)),
        Some("") => Err(invalid_argument("Version id cannot be the empty string")),
        Some(id) => versions
            .find(|object| object.version == id)
            .ok_or_else(|| no_such_version(key, id)),
    }
}

/// The version a request names, or the newest; it has a body.
pub fn find_body<'s>(state: &'s State, request: &'s Request<'_>) -> Result<&'s Object, ApiError> {
    let version = request.query("versionId");
    let object = find(state, &request.bucket, &request.key, version)?;
    match (object.delete_marker, version) {
        (false, _) => Ok(object),
        (true, None) => Err(no_such_key(&request.key)),
        (true, Some(_)) => Err(delete_marker(&request.http.method)),
    }
}

/// Puts `object` in front of the versions of its key, and gives the version it became.
pub fn add(change: &mut Change<'_>, bucket: &Bucket, mut object: Object) -> String {
    let newest = of_key(change.tx, &object.bucket, &object.key).next();
    object.sequence = newest.map_or(1, |newest| newest.sequence + 1);
    if bucket.versioning.as_deref() == Some("Enabled") {
        object.version = uuid::Uuid::new_v4().simple().to_string();
    } else {
        object.version = NULL.to_owned();
        let old = find(change.tx, &object.bucket, &object.key, Some(NULL))
            .ok()
            .cloned();
        if let Some(old) = old {
            remove(change, &old);
        }
    }
    let version = object.version.clone();
    change.tx.put(object);
    version
}

/// Removes a version and its body.
pub fn remove(change: &mut Change<'_>, object: &Object) {
    let key = ObjectKey {
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        newest_first: Reverse(object.sequence),
    };
    change.tx.remove::<Object>(&key);
    change.discard(&object.bucket, &object.body);
}

/// Says which version it is, where the bucket has versions.
pub fn mark(response: HttpResponse, bucket: &Bucket, version: &str) -> HttpResponse {
    match bucket.versioning {
        Some(_) => response.with_header("x-amz-version-id", version),
        None => response,
    }
}
