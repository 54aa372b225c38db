//! DeleteObject and DeleteObjects.

use super::document;
use super::error::{denied, malformed_xml, no_such_key, precondition_failed};
use super::request::{Change, Request, find_bucket, xml};
use super::{object_lock, put_object, schema, version};
use model::s3::{Bucket, Object};
use serde::Serialize;
use serde_with::skip_serializing_none;
use wire::{ApiError, HttpResponse};

/// AWS's limit on the keys of one call.
const MAX_KEYS: usize = 1000;

/// What a deletion came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// A marker was made, or the removed version was one.
    marker: bool,
    version: Option<String>,
}

/// Without a version a versioned key gets a marker in front; with one that version goes.
/// Deleting what is not there is no error.
fn remove(
    request: &Request<'_>,
    change: &mut Change<'_>,
    bucket: &Bucket,
    key: &str,
    named: Option<&str>,
) -> Result<Outcome, ApiError> {
    if let Some(named) = named {
        let found = version::find(change.tx, &bucket.name, key, Some(named))
            .ok()
            .cloned();
        let marker = found.as_ref().is_some_and(|object| object.delete_marker);
        if let Some(object) = found {
            if object_lock::locks(&object, request) {
                return Err(denied(
                    "Access Denied because object protected by object lock.",
                ));
            }
            version::remove(change, &object);
        }
        let version = Some(named.to_owned());
        return Ok(Outcome { marker, version });
    }
    if bucket.versioning.is_none() {
        let found = version::of_key(change.tx, &bucket.name, key)
            .next()
            .cloned();
        if let Some(object) = found {
            version::remove(change, &object);
        }
        return Ok(Outcome {
            marker: false,
            version: None,
        });
    }
    let marker = Object {
        key: key.to_owned(),
        delete_marker: true,
        ..put_object::blank(request)
    };
    let version = version::add(change, bucket, marker);
    Ok(Outcome {
        marker: true,
        version: Some(version),
    })
}

/// `If-Match` of a deletion: the newest version must be that one.
fn check_etag(
    change: &Change<'_>,
    bucket: &str,
    key: &str,
    asked: Option<&str>,
) -> Result<(), ApiError> {
    let Some(asked) = asked else {
        return Ok(());
    };
    let current = version::current(change.tx, bucket, key).ok_or_else(|| no_such_key(key))?;
    match asked == "*" || asked.trim_matches('"') == current.etag.trim_matches('"') {
        true => Ok(()),
        false => Err(precondition_failed("If-Match")),
    }
}

pub fn delete_one(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let outcome = request.transact(|change| {
        let bucket = find_bucket(change.tx, &request.bucket)?.clone();
        check_etag(
            change,
            &request.bucket,
            &request.key,
            request.header("if-match"),
        )?;
        remove(
            request,
            change,
            &bucket,
            &request.key,
            request.query("versionId"),
        )
    })?;
    let mut response = HttpResponse::new(204);
    if let Some(version) = outcome.version {
        response = response.with_header("x-amz-version-id", version);
    }
    if outcome.marker {
        response = response.with_header("x-amz-delete-marker", "true");
    }
    Ok(response)
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deleted {
    key: String,
    version_id: Option<String>,
    delete_marker: Option<bool>,
    delete_marker_version_id: Option<String>,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    key: String,
    version_id: Option<String>,
    code: String,
    message: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct DeleteResult {
    deleted: Vec<Deleted>,
    error: Vec<Failed>,
}

pub fn delete(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let asked = document::parse(&request.document()?, "Delete")?;
    let asked = schema::check(&asked, &schema::DELETE)?;
    if asked.all("Object").count() > MAX_KEYS {
        return Err(malformed_xml());
    }
    let quiet = asked.get("Quiet") == Some("true");
    let result = request.transact(|change| {
        let bucket = find_bucket(change.tx, &request.bucket)?.clone();
        let mut result = DeleteResult::default();
        for object in asked.all("Object") {
            let key = object.get("Key").unwrap_or_default();
            let named = object
                .get("VersionId")
                .filter(|version| !version.is_empty());
            let done = check_etag(change, &bucket.name, key, object.get("ETag"))
                .and_then(|()| remove(request, change, &bucket, key, named));
            match done {
                Ok(_) if quiet => {}
                Ok(outcome) => result.deleted.push(Deleted {
                    key: key.to_owned(),
                    version_id: named.map(str::to_owned),
                    delete_marker: outcome.marker.then_some(true),
                    delete_marker_version_id: outcome.version.filter(|_| outcome.marker),
                }),
                Err(error) => result.error.push(Failed {
                    key: key.to_owned(),
                    version_id: named.map(str::to_owned),
                    code: error.code.into_owned(),
                    message: error.message,
                }),
            }
        }
        Ok(result)
    })?;
    xml("DeleteResult", &result)
}
