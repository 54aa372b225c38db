//! CopyObject, and the source that UploadPartCopy shares with it.

use super::body::{self, Body, Source};
use super::checksum::{self, Algorithm};
use super::condition::{self, Read};
use super::error::{invalid_argument, invalid_request, precondition_failed};
use super::request::{Request, find_bucket, xml};
use super::{access, metadata, put_object, tagging, version};
use model::s3::Object;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use wire::{ApiError, HttpResponse, Timestamp};

/// AWS copies no more at once; larger objects are copied in parts.
const MAX_SIZE: u64 = 5 << 30;

#[derive(Serialize)]
struct Copied {
    #[serde(rename = "LastModified")]
    last_modified: Timestamp,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(flatten)]
    checksums: BTreeMap<String, String>,
}

pub fn copy(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let mut source = source(request)?;
    if source.object.size > MAX_SIZE {
        let message = "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120";
        return Err(invalid_request(message));
    }
    let mut object = Object {
        size: source.object.size,
        ..put_object::blank(request)
    };
    let replace = metadata::replaces(request, "x-amz-metadata-directive")?;
    object.headers = match replace {
        true => metadata::of_request(request)?,
        false => source.object.headers.clone(),
    };
    object
        .headers
        .retain(|name, _| !name.starts_with("x-amz-object-lock-"));
    metadata::redirect(request, &mut object.headers);
    object.tags = match metadata::replaces(request, "x-amz-tagging-directive")? {
        true => tagging::of_header(request)?,
        false => source.object.tags.clone(),
    };
    object.storage_class = metadata::storage_class(request)?;
    let itself = source.object.bucket == object.bucket && source.object.key == object.key;
    let changes = [
        "x-amz-storage-class",
        "x-amz-server-side-encryption",
        "x-amz-website-redirect-location",
    ];
    if itself
        && !replace
        && request.query("versionId").is_none()
        && !changes.iter().any(|h| request.header(h).is_some())
        && source_version(request).is_none()
    {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(invalid_request(message));
    }
    let algorithm = match request.header("x-amz-checksum-algorithm") {
        Some(name) => Algorithm::named(name)?,
        None => source
            .object
            .checksums
            .keys()
            .next()
            .map_or(Ok(Algorithm::Crc64Nvme), |name| Algorithm::named(name))?,
    };
    let size = source.object.size;
    let (body, digests) = Body::create(request.cloud, &request.bucket, |file| {
        transfer(&mut source.file, file, size, algorithm)
    })?;
    object.body = body.name.clone();
    object.etag = digests.etag;
    object.checksums = BTreeMap::from([(algorithm.name().to_owned(), digests.checksum)]);
    let (bucket, object) = put_object::store(request, object)?;
    body.keep();
    let copied = Copied {
        last_modified: object.modified.into(),
        etag: object.etag.clone(),
        checksums: checksum::members(&object.checksums),
    };
    let mut response = xml("CopyObjectResult", &copied)?;
    response = version::mark(response, &bucket, &object.version);
    if source.bucket.versioning.is_some() {
        response = response.with_header("x-amz-copy-source-version-id", source.object.version);
    }
    response
        .headers
        .extend(metadata::encryption_headers(&object.headers).map(|(n, v)| (n.clone(), v.clone())));
    Ok(response)
}

/// Digests of what was copied.
pub struct Digests {
    pub etag: String,
    pub checksum: String,
}

/// Copies `length` bytes from where `from` stands, and digests them.
pub fn transfer(
    from: &mut File,
    to: &mut File,
    length: u64,
    algorithm: Algorithm,
) -> io::Result<Digests> {
    let (mut md5, mut hasher) = (Algorithm::Md5.hasher(), algorithm.hasher());
    let mut left = length;
    let mut buffer = vec![0; 1 << 18];
    while left > 0 {
        let most = usize::try_from(left)
            .unwrap_or(buffer.len())
            .min(buffer.len());
        let read = from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        md5.update(&buffer[..read]);
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(Digests {
        etag: format!("\"{}\"", hex::encode(md5.finish())),
        checksum: checksum::base64(&hasher.finish()),
    })
}

/// The object that `x-amz-copy-source` names, if the caller may read it and the conditions hold.
pub fn source(request: &Request<'_>) -> Result<Source, ApiError> {
    let invalid = || {
        invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    let header = request.header("x-amz-copy-source").unwrap_or_default();
    let path = header.split("?versionId=").next().unwrap_or_default();
    let path = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| invalid())?;
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .ok_or_else(invalid)?;
    if bucket.is_empty() || key.is_empty() {
        return Err(invalid());
    }
    let about = request.about(bucket, key, source_version(request));
    let state = request.snapshot();
    let found = find_bucket(&state, bucket)?;
    request.check_expected_owner("x-amz-source-expected-bucket-owner", found)?;
    access::check(&state, &about, found, "s3:GetObject")?;
    drop(state);
    let source = body::open(&about)?;
    match condition::read(request, "x-amz-copy-source-", &source.object)? {
        Read::Go => Ok(source),
        Read::NotModified => Err(precondition_failed("x-amz-copy-source-If-None-Match")),
    }
}

fn source_version<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    let header = request.header("x-amz-copy-source")?;
    header.split_once("?versionId=").map(|(_, version)| version)
}
