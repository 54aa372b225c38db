//! UploadPart, UploadPartCopy and ListParts.

use super::body::Body;
use super::checksum::{self, Algorithm};
use super::error::{invalid_argument, invalid_request, no_such_upload};
use super::owner::Owner;
use super::range::{self, Range};
use super::request::{Request, find_bucket, xml};
use super::{copy, metadata};
use model::s3::{MultipartUpload, Part};
use serde::Serialize;
use serde_with::skip_serializing_none;
use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};
use store::State;
use wire::{ApiError, HttpResponse, Timestamp};

/// AWS's limits.
const MAX_PARTS: u16 = 10_000;
const PAGE: usize = 1000;

/// Parts of an upload by number.
pub fn of_upload<'s>(state: &'s State, upload: &'s str) -> impl Iterator<Item = &'s Part> {
    let parts = state
        .parts
        .range((upload.to_owned(), 0)..)
        .map(|(_, part)| part.as_ref());
    parts.take_while(move |part| part.upload == upload)
}

/// The upload a request names.
pub fn find<'s>(state: &'s State, request: &Request<'_>) -> Result<&'s MultipartUpload, ApiError> {
    let id = request.query("uploadId").unwrap_or_default();
    let key = (request.bucket.clone(), request.key.clone(), id.to_owned());
    state
        .multipart_uploads
        .get(&key)
        .map(AsRef::as_ref)
        .ok_or_else(|| no_such_upload(id))
}

#[derive(Serialize)]
struct CopyPartResult {
    #[serde(rename = "LastModified")]
    last_modified: Timestamp,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(flatten)]
    checksums: BTreeMap<String, String>,
}

pub fn put(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let number = request
        .query("partNumber")
        .and_then(|text| text.parse::<u16>().ok());
    let number = number.filter(|number| (1..=MAX_PARTS).contains(number));
    let number = number.ok_or_else(|| {
        invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
    })?;
    let state = request.snapshot();
    let upload = find(&state, request)?.clone();
    drop(state);
    let mut part = Part {
        upload: upload.id.clone(),
        number,
        size: 0,
        etag: String::new(),
        modified: metadata::seconds(request.now),
        checksums: BTreeMap::new(),
        body: String::new(),
    };
    let copied = request.header("x-amz-copy-source").is_some();
    let body = match copied {
        true => copy_body(request, &upload, &mut part)?,
        false => sent_body(request, &upload, &mut part)?,
    };
    part.body = body.name.clone();
    request.transact(|change| {
        find(change.tx, request)?;
        let old = change
            .tx
            .get::<Part>(&(part.upload.clone(), part.number))
            .map(|old| old.body.clone());
        change.discard(&request.bucket, &old.unwrap_or_default());
        change.tx.put(part.clone());
        Ok(())
    })?;
    body.keep();
    let mut response = match copied {
        true => xml(
            "CopyPartResult",
            &CopyPartResult {
                last_modified: part.modified.into(),
                etag: part.etag.clone(),
                checksums: checksum::members(&part.checksums),
            },
        )?,
        false => {
            let mut response = HttpResponse::new(200).with_header("etag", part.etag.clone());
            let headers = checksum::headers(&part.checksums).into_iter();
            response
                .headers
                .extend(headers.filter(|(name, _)| name != "x-amz-checksum-type"));
            response
        }
    };
    response
        .headers
        .extend(metadata::encryption_headers(&upload.headers).map(|(n, v)| (n.clone(), v.clone())));
    Ok(response)
}

fn algorithm(upload: &MultipartUpload) -> Result<Algorithm, ApiError> {
    upload
        .checksum_algorithm
        .as_deref()
        .map_or(Ok(Algorithm::Crc64Nvme), Algorithm::named)
}

fn sent_body<'a>(
    request: &Request<'a>,
    upload: &MultipartUpload,
    part: &mut Part,
) -> Result<Body<'a>, ApiError> {
    let decoded = wire::chunked::decode(request.http)?;
    let sent = checksum::verify(request, &decoded)?;
    let algorithm = algorithm(upload)?;
    if let Some(other) = sent.keys().find(|name| *name != algorithm.name())
        && upload.checksum_algorithm.is_some()
    {
        let message = format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            algorithm.name().to_lowercase(),
            other.to_lowercase()
        );
        return Err(invalid_request(message));
    }
    part.checksums = match sent.is_empty() {
        true => BTreeMap::from([algorithm.of(&decoded.body)]),
        false => sent,
    };
    part.size = decoded.body.len() as u64;
    part.etag = checksum::etag(&decoded.body);
    let (body, ()) = Body::create(request.cloud, &request.bucket, |file| {
        file.write_all(&decoded.body)
    })?;
    Ok(body)
}

fn copy_body<'a>(
    request: &Request<'a>,
    upload: &MultipartUpload,
    part: &mut Part,
) -> Result<Body<'a>, ApiError> {
    let mut source = copy::source(request)?;
    let asked = request.header("x-amz-copy-source-range");
    let size = source.object.size;
    let (start, length) = match (asked, range::parse(asked, size)) {
        (None, _) => (0, size),
        (Some(_), Range::Part(span)) => span,
        _ => {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy";
            return Err(invalid_argument(message));
        }
    };
    let algorithm = algorithm(upload)?;
    let (body, digests) = Body::create(request.cloud, &request.bucket, |file| {
        source.file.seek(SeekFrom::Start(start))?;
        copy::transfer(&mut source.file, file, length, algorithm)
    })?;
    part.size = length;
    part.etag = digests.etag;
    part.checksums = BTreeMap::from([(algorithm.name().to_owned(), digests.checksum)]);
    Ok(body)
}

#[derive(Serialize)]
struct Listed {
    #[serde(rename = "PartNumber")]
    part_number: u16,
    #[serde(rename = "LastModified")]
    last_modified: Timestamp,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(flatten)]
    checksums: BTreeMap<String, String>,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListPartsResult {
    bucket: String,
    key: String,
    upload_id: String,
    initiator: Owner,
    owner: Owner,
    storage_class: String,
    part_number_marker: u16,
    next_part_number_marker: Option<u16>,
    max_parts: usize,
    is_truncated: bool,
    checksum_algorithm: Option<String>,
    checksum_type: Option<&'static str>,
    part: Vec<Listed>,
}

pub fn list(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let number = |name: &str, absent: usize| {
        let text = request.query(name).filter(|text| !text.is_empty());
        text.map_or(Ok(absent), |text| {
            text.parse::<usize>().map_err(|_| {
                invalid_argument(format!(
                    "Argument {name} must be an integer between 0 and 2147483647"
                ))
            })
        })
    };
    let max_parts = number("max-parts", PAGE)?.min(PAGE);
    let marker = u16::try_from(number("part-number-marker", 0)?).unwrap_or(u16::MAX);
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let upload = find(&state, request)?;
    let mut parts = of_upload(&state, &upload.id).filter(|part| part.number > marker);
    let part = parts.by_ref().take(max_parts).map(|part| Listed {
        part_number: part.number,
        last_modified: part.modified.into(),
        etag: part.etag.clone(),
        size: part.size,
        checksums: checksum::members(&part.checksums),
    });
    let part: Vec<Listed> = part.collect();
    let owner = Owner::of(&bucket.scope);
    let listed = ListPartsResult {
        bucket: bucket.name.clone(),
        key: upload.key.clone(),
        upload_id: upload.id.clone(),
        initiator: owner.clone(),
        owner,
        storage_class: upload.storage_class.clone(),
        part_number_marker: marker,
        next_part_number_marker: part.last().map(|part| part.part_number),
        max_parts,
        is_truncated: parts.next().is_some(),
        checksum_algorithm: upload.checksum_algorithm.clone(),
        checksum_type: upload
            .checksum_algorithm
            .as_ref()
            .map(|_| match upload.full_object {
                true => "FULL_OBJECT",
                false => "COMPOSITE",
            }),
        part,
    };
    xml("ListPartsResult", &listed)
}
