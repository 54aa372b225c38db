//! PutObject: check, write the body, then the record.

use super::body::Body;
use super::request::{Change, Request, find_bucket};
use super::{acl, checksum, condition, copy, metadata, tagging, version};
use model::s3::{Bucket, Object};
use std::io::Write;
use wire::{ApiError, HttpResponse};

pub fn put(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    if request.header("x-amz-copy-source").is_some() {
        return copy::copy(request);
    }
    let decoded = wire::chunked::decode(request.http)?;
    let checksums = checksum::of_body(request, &decoded)?;
    let mut object = blank(request);
    object.size = decoded.body.len() as u64;
    object.etag = checksum::etag(&decoded.body);
    object.checksums = checksums;
    object.storage_class = metadata::storage_class(request)?;
    object.headers = metadata::of_request(request)?;
    object.tags = tagging::of_header(request)?;
    // Asked again inside the transaction; this saves writing a body in vain.
    let state = request.snapshot();
    condition::write(
        request,
        version::current(&state, &request.bucket, &request.key),
    )?;
    drop(state);
    let (body, ()) = Body::create(request.cloud, &request.bucket, |file| {
        file.write_all(&decoded.body)
    })?;
    object.body = body.name.clone();
    let (bucket, object) = store(request, object)?;
    body.keep();
    let mut response = HttpResponse::new(200).with_header("etag", object.etag.clone());
    response
        .headers
        .extend(checksum::headers(&object.checksums));
    response
        .headers
        .extend(metadata::encryption_headers(&object.headers).map(|(n, v)| (n.clone(), v.clone())));
    Ok(version::mark(response, &bucket, &object.version))
}

/// The record of what the request names, with nothing in it yet.
pub fn blank(request: &Request<'_>) -> Object {
    Object {
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        version: String::new(),
        sequence: 0,
        delete_marker: false,
        size: 0,
        etag: String::new(),
        modified: metadata::seconds(request.now),
        storage_class: String::new(),
        headers: Default::default(),
        checksums: Default::default(),
        body: String::new(),
        tags: Default::default(),
        acl: None,
        parts: Vec::new(),
        upload: None,
    }
}

/// Adds the record if the request's conditions hold.
pub fn store(request: &Request<'_>, object: Object) -> Result<(Bucket, Object), ApiError> {
    request.transact(|change| add(request, change, object))
}

fn add(
    request: &Request<'_>,
    change: &mut Change<'_>,
    mut object: Object,
) -> Result<(Bucket, Object), ApiError> {
    let bucket = find_bucket(change.tx, &request.bucket)?.clone();
    condition::write(
        request,
        version::current(change.tx, &request.bucket, &request.key),
    )?;
    metadata::complete(request, &bucket, &mut object.headers)?;
    object.acl = acl::asked(request, &bucket, b"")?.or(object.acl);
    object.version = version::add(change, &bucket, object.clone());
    Ok((bucket, object))
}
