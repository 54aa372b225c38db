//! Multipart uploads: create, list, complete, abort.

use super::body::{self, Body};
use super::checksum::{self, Algorithm, Hasher};
use super::document::{self, Element};
use super::error::{invalid_argument, invalid_request, malformed_xml};
use super::list_objects::{CommonPrefix, Query};
use super::owner::Owner;
use super::request::{Change, Request, find_bucket, xml};
use super::upload_part::{find, of_upload};
use super::{acl, condition, metadata, put_object, schema, tagging, version};
use model::s3::{Bucket, MultipartUpload, Object, Part};
use serde::Serialize;
use serde_with::skip_serializing_none;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use store::State;
use wire::{ApiError, HttpResponse, Timestamp};

/// Every part but the last has at least 5 MiB.
const MIN_PART: u64 = 5 << 20;

pub fn of_bucket<'s>(
    state: &'s State,
    bucket: &'s str,
) -> impl Iterator<Item = &'s MultipartUpload> {
    let start = (bucket.to_owned(), String::new(), String::new());
    let uploads = state
        .multipart_uploads
        .range(start..)
        .map(|(_, upload)| upload.as_ref());
    uploads.take_while(move |upload| upload.bucket == bucket)
}

/// Removes an upload with its parts and their bodies.
pub fn remove(change: &mut Change<'_>, upload: &MultipartUpload) {
    let parts: Vec<Part> = of_upload(change.tx, &upload.id).cloned().collect();
    for part in parts {
        change.tx.remove::<Part>(&(part.upload, part.number));
        change.discard(&upload.bucket, &part.body);
    }
    let key = (upload.bucket.clone(), upload.key.clone(), upload.id.clone());
    change.tx.remove::<MultipartUpload>(&key);
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Initiated {
    bucket: String,
    key: String,
    upload_id: String,
}

pub fn create(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let algorithm = request
        .header("x-amz-checksum-algorithm")
        .map(Algorithm::named)
        .transpose()?;
    let full_object = match (request.header("x-amz-checksum-type"), algorithm) {
        (Some(_), None) => {
            let message = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.";
            return Err(invalid_request(message));
        }
        (Some("FULL_OBJECT"), Some(algorithm)) if !algorithm.is_linear() => {
            let message = format!(
                "The FULL_OBJECT checksum type cannot be used with the {} checksum algorithm.",
                algorithm.name().to_lowercase()
            );
            return Err(invalid_request(message));
        }
        (Some("COMPOSITE"), Some(Algorithm::Crc64Nvme)) => {
            let message =
                "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.";
            return Err(invalid_request(message));
        }
        (Some("FULL_OBJECT"), _) | (None, None | Some(Algorithm::Crc64Nvme)) => true,
        (Some("COMPOSITE") | None, _) => false,
        (Some(_), _) => {
            return Err(invalid_request(
                "Value for x-amz-checksum-type header is invalid.",
            ));
        }
    };
    let mut upload = MultipartUpload {
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        id: format!(
            "{}{}",
            uuid::Uuid::new_v4().simple(),
            uuid::Uuid::new_v4().simple()
        ),
        initiated: metadata::seconds(request.now),
        storage_class: metadata::storage_class(request)?,
        headers: metadata::of_request(request)?,
        tags: tagging::of_header(request)?,
        acl: None,
        checksum_algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
        full_object,
    };
    let upload = request.transact(|change| {
        let bucket = find_bucket(change.tx, &request.bucket)?;
        upload.acl = acl::asked(request, bucket, b"")?;
        metadata::complete(request, bucket, &mut upload.headers)?;
        change.tx.put(upload.clone());
        Ok(upload)
    })?;
    let mut response = xml(
        "InitiateMultipartUploadResult",
        &Initiated {
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            upload_id: upload.id.clone(),
        },
    )?;
    if let Some(name) = &upload.checksum_algorithm {
        response = response.with_header("x-amz-checksum-algorithm", name.clone());
        response = response.with_header(
            "x-amz-checksum-type",
            if full_object {
                "FULL_OBJECT"
            } else {
                "COMPOSITE"
            },
        );
    }
    response
        .headers
        .extend(metadata::encryption_headers(&upload.headers).map(|(n, v)| (n.clone(), v.clone())));
    Ok(response)
}

pub fn abort(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    request.transact(|change| {
        let upload = find(change.tx, request)?.clone();
        remove(change, &upload);
        Ok(HttpResponse::new(204))
    })
}

#[derive(Serialize)]
struct Completed {
    #[serde(rename = "Location")]
    location: String,
    #[serde(rename = "Bucket")]
    bucket: String,
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(flatten)]
    checksums: BTreeMap<String, String>,
    #[serde(rename = "ChecksumType")]
    checksum_type: Option<&'static str>,
}

pub fn complete(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    // The checksum headers of this call are about the object, not about its document.
    let asked = document::parse(
        &wire::chunked::decode(request.http)?.body,
        "CompleteMultipartUpload",
    )?;
    let asked = schema::check(&asked, &schema::COMPLETE)?;
    let state = request.snapshot();
    let id = request.query("uploadId").unwrap_or_default();
    let made = |object: &&Object| object.upload.as_deref() == Some(id);
    if let Some(object) = version::of_key(&state, &request.bucket, &request.key).find(made) {
        // A client whose first answer was lost asks again.
        let bucket = find_bucket(&state, &request.bucket)?;
        return completed(request, bucket, object, &object.version);
    }
    let upload = find(&state, request)?.clone();
    let parts = chosen(&state, &upload, &asked)?;
    condition::write(
        request,
        version::current(&state, &request.bucket, &request.key),
    )?;
    drop(state);

    let size = parts.iter().map(|part| part.size).sum();
    if request
        .header("x-amz-mp-object-size")
        .is_some_and(|asked| asked.parse() != Ok::<u64, _>(size))
    {
        let message = format!(
            "The provided 'x-amz-mp-object-size' header value does not match what was computed: {size}"
        );
        return Err(invalid_request(message));
    }
    let algorithm = upload
        .checksum_algorithm
        .as_deref()
        .map_or(Ok(Algorithm::Crc64Nvme), Algorithm::named)?;
    let mut hasher = upload.full_object.then(|| algorithm.hasher());
    let (body, ()) = Body::create(request.cloud, &request.bucket, |file| {
        for part in &parts {
            let mut from = body::open_part(request.cloud, &upload.bucket, &part.body)?;
            append(&mut from, file, hasher.as_mut())?;
        }
        Ok(())
    })?;
    let checksum = match hasher {
        Some(hasher) => checksum::base64(&hasher.finish()),
        None => {
            let sums = parts.iter().flat_map(|part| part.checksums.values());
            checksum::composite(algorithm, sums.map(String::as_str))
        }
    };
    if request
        .header(&algorithm.header())
        .is_some_and(|sent| sent != checksum)
    {
        let message = format!(
            "The {} you specified did not match the calculated checksum.",
            algorithm.name()
        );
        return Err(ApiError::client("BadDigest", message));
    }
    let object = Object {
        size,
        etag: checksum::multipart_etag(parts.iter().map(|part| part.etag.as_str())),
        storage_class: upload.storage_class.clone(),
        headers: upload.headers.clone(),
        checksums: BTreeMap::from([(algorithm.name().to_owned(), checksum)]),
        body: body.name.clone(),
        tags: upload.tags.clone(),
        acl: upload.acl.clone(),
        parts: parts.iter().map(|part| part.size).collect(),
        upload: Some(upload.id.clone()),
        ..put_object::blank(request)
    };
    let (bucket, version) = request.transact(|change| {
        let bucket = find_bucket(change.tx, &request.bucket)?.clone();
        find(change.tx, request)?;
        condition::write(
            request,
            version::current(change.tx, &request.bucket, &request.key),
        )?;
        remove(change, &upload);
        let version = version::add(change, &bucket, object.clone());
        Ok((bucket, version))
    })?;
    body.keep();
    completed(request, &bucket, &object, &version)
}

fn completed(
    request: &Request<'_>,
    bucket: &Bucket,
    object: &Object,
    version: &str,
) -> Result<HttpResponse, ApiError> {
    let host = request.header("host").unwrap_or_default();
    let completed = Completed {
        location: format!("http://{host}{}", request.http.path),
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        etag: object.etag.clone(),
        checksum_type: checksum::kind(&object.checksums),
        checksums: checksum::members(&object.checksums),
    };
    let mut response = xml("CompleteMultipartUploadResult", &completed)?;
    response
        .headers
        .extend(metadata::encryption_headers(&object.headers).map(|(n, v)| (n.clone(), v.clone())));
    Ok(version::mark(response, bucket, version))
}

/// The uploaded parts that the document names, in its order.
fn chosen(state: &State, upload: &MultipartUpload, asked: &Element) -> Result<Vec<Part>, ApiError> {
    let invalid = || {
        let message = "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
        ApiError::client("InvalidPart", message)
    };
    let mut parts: Vec<Part> = Vec::new();
    for named in &asked.children {
        let number = named
            .get("PartNumber")
            .and_then(|text| text.parse::<u16>().ok());
        let number = number.ok_or_else(malformed_xml)?;
        if parts.last().is_some_and(|last| last.number >= number) {
            let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(ApiError::client("InvalidPartOrder", message));
        }
        let part = state
            .parts
            .get(&(upload.id.clone(), number))
            .ok_or_else(invalid)?;
        let etag = named.get("ETag").unwrap_or_default().trim();
        if etag.trim_matches('"') != part.etag.trim_matches('"') {
            return Err(invalid());
        }
        let differs = |(name, sum): (&String, &String)| {
            named
                .get(&format!("Checksum{name}"))
                .is_some_and(|sent| sent != sum)
        };
        if part.checksums.iter().any(differs) {
            return Err(invalid());
        }
        parts.push((**part).clone());
    }
    let (_, before) = parts.split_last().ok_or_else(malformed_xml)?;
    if before.iter().any(|part| part.size < MIN_PART) {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(ApiError::client("EntityTooSmall", message));
    }
    Ok(parts)
}

fn append(from: &mut File, to: &mut File, hasher: Option<&mut Hasher>) -> io::Result<()> {
    let Some(hasher) = hasher else {
        io::copy(from, to)?;
        return Ok(());
    };
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
    }
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiator: Owner,
    owner: Owner,
    storage_class: String,
    initiated: Timestamp,
    checksum_algorithm: Option<String>,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListMultipartUploadsResult {
    bucket: String,
    key_marker: String,
    upload_id_marker: String,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    delimiter: Option<String>,
    prefix: String,
    max_uploads: usize,
    is_truncated: bool,
    upload: Vec<Upload>,
    common_prefixes: Vec<CommonPrefix>,
    encoding_type: Option<&'static str>,
}

pub fn list(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let query = Query::of(request, "max-uploads")?;
    if query.max == 0 {
        return Err(invalid_argument(
            "Argument max-uploads must be an integer between 1 and 1000",
        ));
    }
    let key_marker = request.query("key-marker").unwrap_or_default();
    let id_marker = request.query("upload-id-marker").unwrap_or_default();
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let owner = Owner::of(&bucket.scope);
    let mut listed = ListMultipartUploadsResult {
        bucket: bucket.name.clone(),
        key_marker: query.text(key_marker),
        upload_id_marker: id_marker.to_owned(),
        next_key_marker: None,
        next_upload_id_marker: None,
        delimiter: query.delimiter(),
        prefix: query.text(query.prefix),
        max_uploads: query.max,
        is_truncated: false,
        upload: Vec::new(),
        common_prefixes: Vec::new(),
        encoding_type: query.encoding(),
    };
    let mut last = ("", "");
    for upload in of_bucket(&state, &bucket.name) {
        let (key, id) = (upload.key.as_str(), upload.id.as_str());
        let behind =
            key > key_marker || (key == key_marker && !id_marker.is_empty() && id > id_marker);
        let common = query.common(key).filter(|_| key.starts_with(query.prefix));
        if !key.starts_with(query.prefix) || !(behind || key_marker.is_empty()) {
            continue;
        }
        if common.is_some_and(|common| common == key_marker || common == last.0) {
            continue;
        }
        if listed.upload.len() + listed.common_prefixes.len() == query.max {
            listed.is_truncated = true;
            break;
        }
        if let Some(common) = common {
            let prefix = query.text(common);
            listed.common_prefixes.push(CommonPrefix { prefix });
            last = (common, "");
            continue;
        }
        last = (key, id);
        listed.upload.push(Upload {
            key: query.text(key),
            upload_id: id.to_owned(),
            initiator: owner.clone(),
            owner: owner.clone(),
            storage_class: upload.storage_class.clone(),
            initiated: upload.initiated.into(),
            checksum_algorithm: upload.checksum_algorithm.clone(),
        });
    }
    if listed.is_truncated {
        listed.next_key_marker = Some(query.text(last.0));
        listed.next_upload_id_marker = Some(last.1.to_owned());
    }
    xml("ListMultipartUploadsResult", &listed)
}
