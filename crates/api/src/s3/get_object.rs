//! GetObject, HeadObject and GetObjectAttributes.

use super::condition::{self, Read};
use super::error::{self, invalid_argument, no_such_key};
use super::range::{self, Range, Span};
use super::request::{Request, find_bucket, xml};
use super::{body, checksum, metadata, version};
use model::s3::{Bucket, Object};
use serde::Serialize;
use serde_with::skip_serializing_none;
use std::collections::BTreeMap;
use wire::{ApiError, HttpResponse};

pub fn get(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    if let Some(refusal) = delete_marker(request)? {
        return Ok(refusal);
    }
    if request.http.method == "HEAD" {
        let state = request.snapshot();
        let object = version::find_body(&state, request)?;
        let (response, span) = head(request, find_bucket(&state, &request.bucket)?, object)?;
        return Ok(match response.status {
            304 => response,
            _ => response.with_header("content-length", span.1.to_string()),
        });
    }
    let mut source = body::open(request)?;
    let (mut response, span) = head(request, &source.bucket, &source.object)?;
    if response.status != 304 {
        response.body = body::read(&mut source.file, span)?.into();
    }
    Ok(response)
}

/// The refusal where the newest or the named version is a delete marker.
fn delete_marker(request: &Request<'_>) -> Result<Option<HttpResponse>, ApiError> {
    let state = request.snapshot();
    let named = request.query("versionId");
    let object = version::find(&state, &request.bucket, &request.key, named)?;
    if !object.delete_marker {
        return Ok(None);
    }
    let mut response = match named {
        None => request.refusal(no_such_key(&request.key)),
        // All that can be done to a delete marker.
        Some(_) => request
            .refusal(error::delete_marker(&request.http.method))
            .with_header("allow", "DELETE"),
    };
    response = response.with_header("x-amz-delete-marker", "true");
    Ok(Some(
        response.with_header("x-amz-version-id", object.version.clone()),
    ))
}

/// Status and headers, and which bytes of the body go with them.
fn head(
    request: &Request<'_>,
    bucket: &Bucket,
    object: &Object,
) -> Result<(HttpResponse, Span), ApiError> {
    let whole = (0, object.size);
    if condition::read(request, "", object)? == Read::NotModified {
        let response = HttpResponse::new(304)
            .with_header("etag", object.etag.clone())
            .with_header("last-modified", metadata::http_date(object.modified));
        return Ok((version::mark(response, bucket, &object.version), whole));
    }
    let part = part(request, object)?;
    let (status, span) = match part.map_or_else(
        || range::parse(request.header("range"), object.size),
        Range::Part,
    ) {
        Range::Whole => (200, whole),
        Range::Part(span) => (206, span),
        Range::Unsatisfiable => {
            let message = "The requested range is not satisfiable";
            let asked = request.header("range").unwrap_or_default();
            return Err(ApiError::new(416, "InvalidRange", message)
                .with_detail("RangeRequested", asked)
                .with_detail("ActualObjectSize", object.size.to_string()));
        }
    };
    let mut response = HttpResponse::new(status)
        .with_header("etag", object.etag.clone())
        .with_header("last-modified", metadata::http_date(object.modified))
        .with_header("accept-ranges", "bytes");
    for (name, value) in &object.headers {
        let given = overridden(request, name).unwrap_or(value);
        metadata::push(&mut response, name, given);
    }
    for name in metadata::REPRESENTATION {
        if let Some(value) =
            overridden(request, name).filter(|_| !object.headers.contains_key(*name))
        {
            metadata::push(&mut response, name, value);
        }
    }
    if status == 206 && object.size > 0 {
        let (first, last) = (span.0, span.0 + span.1 - 1);
        let range = format!("bytes {first}-{last}/{}", object.size);
        response = response.with_header("content-range", range);
    }
    if part.is_some() && !object.parts.is_empty() {
        response = response.with_header("x-amz-mp-parts-count", object.parts.len().to_string());
    }
    if object.storage_class != "STANDARD" {
        response = response.with_header("x-amz-storage-class", object.storage_class.clone());
    }
    if !object.tags.is_empty() {
        response = response.with_header("x-amz-tagging-count", object.tags.len().to_string());
    }
    // A checksum of the whole says nothing about a part of it.
    let mode = request.header("x-amz-checksum-mode").unwrap_or_default();
    if mode.eq_ignore_ascii_case("enabled") && span == whole {
        response
            .headers
            .extend(checksum::headers(&object.checksums));
    }
    Ok((version::mark(response, bucket, &object.version), span))
}

/// `response-content-type` and its like, which only signed calls may ask for.
fn overridden<'r>(request: &'r Request<'_>, header: &str) -> Option<&'r str> {
    if request.anonymous || !metadata::REPRESENTATION.contains(&header) {
        return None;
    }
    request.query(&format!("response-{header}"))
}

/// The bytes of the part that `partNumber` asks for.
fn part(request: &Request<'_>, object: &Object) -> Result<Option<Span>, ApiError> {
    let Some(number) = request.query("partNumber") else {
        return Ok(None);
    };
    let number = number
        .parse::<usize>()
        .ok()
        .filter(|number| (1..=10_000).contains(number));
    let number = number.ok_or_else(|| {
        invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
    })?;
    let (before, from) = object
        .parts
        .split_at_checked(number - 1)
        .unwrap_or((&object.parts, &[]));
    match from.first() {
        Some(size) => Ok(Some((before.iter().sum(), *size))),
        None if number == 1 => Ok(Some((0, object.size))),
        None => {
            let message = "The requested partnumber is not satisfiable";
            Err(ApiError::new(416, "InvalidPartNumber", message))
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    parts_count: usize,
}

/// A map that is written as members of their own.
#[derive(Serialize)]
struct Checksums {
    #[serde(flatten)]
    members: BTreeMap<String, String>,
}

#[skip_serializing_none]
#[derive(Serialize)]
struct Attributes {
    #[serde(rename = "ETag")]
    etag: Option<String>,
    #[serde(rename = "Checksum")]
    checksum: Option<Checksums>,
    #[serde(rename = "ObjectParts")]
    object_parts: Option<Parts>,
    #[serde(rename = "StorageClass")]
    storage_class: Option<String>,
    #[serde(rename = "ObjectSize")]
    object_size: Option<u64>,
}

pub fn attributes(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    if let Some(refusal) = delete_marker(request)? {
        return Ok(refusal);
    }
    let state = request.snapshot();
    let object = version::find_body(&state, request)?;
    let asked: Vec<&str> = request
        .header("x-amz-object-attributes")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    let known = [
        "ETag",
        "Checksum",
        "ObjectParts",
        "StorageClass",
        "ObjectSize",
    ];
    if !asked.iter().all(|name| known.contains(name)) {
        return Err(invalid_argument("Invalid attribute name specified."));
    }
    let asked = |name: &str| asked.contains(&name);
    let mut checksums = checksum::members(&object.checksums);
    // Here, and only here, that of parts' checksums comes without their count.
    for sum in checksums.values_mut() {
        sum.truncate(sum.find('-').unwrap_or(sum.len()));
    }
    if let Some(kind) = checksum::kind(&object.checksums) {
        checksums.insert("ChecksumType".to_owned(), kind.to_owned());
    }
    let attributes = Attributes {
        etag: asked("ETag").then(|| object.etag.trim_matches('"').to_owned()),
        checksum: (asked("Checksum") && !checksums.is_empty())
            .then_some(Checksums { members: checksums }),
        object_parts: (asked("ObjectParts") && !object.parts.is_empty()).then_some(Parts {
            parts_count: object.parts.len(),
        }),
        storage_class: asked("StorageClass").then(|| object.storage_class.clone()),
        object_size: asked("ObjectSize").then_some(object.size),
    };
    let response = xml("GetObjectAttributesResponse", &attributes)?;
    let response = response.with_header("last-modified", metadata::http_date(object.modified));
    Ok(version::mark(
        response,
        find_bucket(&state, &request.bucket)?,
        &object.version,
    ))
}
