//! Headers that are kept with an object and given back.

use super::error::{invalid_argument, invalid_request, not_implemented};
use super::request::Request;
use super::{configuration, object_lock};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::fmt::rfc2822::DateTimePrinter;
use model::Timestamp;
use model::s3::Bucket;
use std::collections::BTreeMap;
use wire::{ApiError, HttpResponse};

/// Headers of the representation, given back as they came.
pub const REPRESENTATION: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// Kept beside them.
const KEPT: &[&str] = &["x-amz-website-redirect-location"];

const SSE: &str = "x-amz-server-side-encryption";
const SSE_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const SSE_BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const SSE_CONTEXT: &str = "x-amz-server-side-encryption-context";

const META: &str = "x-amz-meta-";
/// AWS's limit on names and values together, in bytes.
const MAX_META: usize = 2048;

const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
];

/// Everything a PUT says about the object but its body.
pub fn of_request(request: &Request<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut kept = BTreeMap::new();
    let mut meta = 0;
    for (name, value) in &request.http.headers {
        if let Some(key) = name.strip_prefix(META) {
            meta += key.len() + value.len();
            let joined = match kept.get(name) {
                Some(before) => format!("{before},{value}"),
                None => value.clone(),
            };
            kept.insert(name.clone(), joined);
        } else if REPRESENTATION.contains(&name.as_str()) || KEPT.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
        }
    }
    if meta > MAX_META {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(ApiError::client("MetadataTooLarge", message));
    }
    // The transfer's own encoding is no property of the object.
    if let Some(encoding) = kept.remove("content-encoding") {
        let rest: Vec<&str> = encoding.split(',').map(str::trim).collect();
        let rest: Vec<&str> = rest
            .into_iter()
            .filter(|e| *e != "aws-chunked" && !e.is_empty())
            .collect();
        if !rest.is_empty() {
            kept.insert("content-encoding".to_owned(), rest.join(","));
        }
    }
    kept.entry("content-type".to_owned())
        .or_insert_with(|| "binary/octet-stream".to_owned());
    Ok(kept)
}

/// Where a copy redirects to is said by the copying request, never by the source.
pub fn redirect(request: &Request<'_>, kept: &mut BTreeMap<String, String>) {
    for name in KEPT {
        match request.header(name) {
            Some(value) => drop(kept.insert((*name).to_owned(), value.to_owned())),
            None => drop(kept.remove(*name)),
        }
    }
}

/// Encryption and object lock, which bucket defaults complete.
pub fn complete(
    request: &Request<'_>,
    bucket: &Bucket,
    kept: &mut BTreeMap<String, String>,
) -> Result<(), ApiError> {
    encryption(request, bucket, kept)?;
    object_lock::of_request(request, bucket, kept)
}

/// Files are as safe as the machine; the headers say what was asked for.
fn encryption(
    request: &Request<'_>,
    bucket: &Bucket,
    kept: &mut BTreeMap<String, String>,
) -> Result<(), ApiError> {
    kept.retain(|name, _| !name.starts_with(SSE));
    if request.header(SSE_CONTEXT).is_some() {
        return Err(not_implemented(SSE_CONTEXT));
    }
    let configured = configuration::kept(bucket, "encryption");
    let rule = configured.as_ref().and_then(|e| e.child("Rule"));
    let default = rule.and_then(|rule| rule.child("ApplyServerSideEncryptionByDefault"));
    let asked = request.header(SSE);
    let algorithm = asked
        .or(default.and_then(|default| default.get("SSEAlgorithm")))
        .unwrap_or("AES256");
    if !["AES256", "aws:kms", "aws:kms:dsse"].contains(&algorithm) {
        let message = "The encryption method specified is not supported";
        return Err(ApiError::client("InvalidEncryptionAlgorithmError", message));
    }
    kept.insert(SSE.to_owned(), algorithm.to_owned());
    let key = match asked {
        Some(_) => request.header(SSE_KEY),
        None => default.and_then(|default| default.get("KMSMasterKeyID")),
    };
    if algorithm == "AES256" {
        if request.header(SSE_KEY).is_some() {
            let message = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms";
            return Err(invalid_argument(message));
        }
        return Ok(());
    }
    if let Some(key) = key {
        kept.insert(SSE_KEY.to_owned(), key.to_owned());
    }
    let by_default = rule.and_then(|rule| rule.get("BucketKeyEnabled"));
    if request.header(SSE_BUCKET_KEY).or(by_default) == Some("true") {
        kept.insert(SSE_BUCKET_KEY.to_owned(), "true".to_owned());
    }
    Ok(())
}

/// The encryption headers that go with every answer about an object.
pub fn encryption_headers(
    kept: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&String, &String)> {
    kept.iter().filter(|(name, _)| name.starts_with(SSE))
}

pub fn storage_class(request: &Request<'_>) -> Result<String, ApiError> {
    let class = request.header("x-amz-storage-class").unwrap_or("STANDARD");
    if !STORAGE_CLASSES.contains(&class) {
        let message = "The storage class you specified is not valid";
        return Err(ApiError::client("InvalidStorageClass", message));
    }
    Ok(class.to_owned())
}

/// Adds a header; text that HTTP cannot carry is encoded as AWS does (RFC 2047).
pub fn push(response: &mut HttpResponse, name: &str, value: &str) {
    let plain = value
        .bytes()
        .all(|byte| (0x20..0x7f).contains(&byte) || byte == b'\t');
    let value = match plain {
        true => value.to_owned(),
        false => format!("=?UTF-8?B?{}?=", STANDARD.encode(value)),
    };
    response.headers.push((name.to_owned(), value));
}

/// `Thu, 01 Jan 2026 00:00:00 GMT`
pub fn http_date(at: Timestamp) -> String {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
    date.unwrap_or_default()
}

/// S3's clock has no fractions of a second, in headers as in lists.
pub fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// `COPY` (the default) or `REPLACE`.
pub fn replaces(request: &Request<'_>, directive: &str) -> Result<bool, ApiError> {
    match request.header(directive) {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(invalid_request(format!("Unknown value of {directive}"))),
    }
}
