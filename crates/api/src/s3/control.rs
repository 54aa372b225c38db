//! S3 Control: the tags of buckets, by ARN. Newer Terraform providers ask for them here.
//!
//! Access points, jobs, the account's block of public access and the rest are refused.

use super::Call;
use super::document::{self, Element};
use super::tagging;
use model::s3::Bucket;
use percent_encoding::percent_decode_str;
use store::{Commit, Store};
use wire::{ApiError, HttpResponse, form};

const PREFIX: &str = "/v20180820/";
const NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

/// Whether a call of the service `s3` is one of S3 Control: no bucket is named so.
pub fn is_for(call: &Call) -> bool {
    call.request.path.starts_with(PREFIX)
}

pub fn answer(
    store: &Store,
    call: &Call,
    wait: &dyn Fn(Commit) -> Result<(), String>,
) -> Result<HttpResponse, ApiError> {
    let path = call.request.path.get(PREFIX.len()..).unwrap_or_default();
    let Some(arn) = path.strip_prefix("tags/") else {
        return Err(ApiError::client(
            "UnsupportedOperation",
            "Of S3 Control this cloud has the tags of buckets only.",
        ));
    };
    let arn = percent_decode_str(arn).decode_utf8_lossy().into_owned();
    let name = arn
        .strip_prefix("arn:aws:s3:::")
        .filter(|name| !name.contains('/'))
        .ok_or_else(|| {
            ApiError::client(
                "InvalidRequest",
                format!("{arn} is not the ARN of a bucket."),
            )
        })?;
    let find = |bucket: Option<&Bucket>| match bucket {
        Some(bucket) if bucket.scope.account == call.scope.account => Ok(bucket.clone()),
        _ => Err(ApiError::not_found(
            "NoSuchBucket",
            "The specified bucket does not exist",
        )),
    };
    if call.request.method == "GET" {
        let state = store.snapshot();
        let bucket = find(state.buckets.get(name).map(AsRef::as_ref))?;
        return Ok(listed(&bucket));
    }
    let ((), commit) = store.transact(|tx| {
        let mut bucket = find(tx.buckets.get(name).map(AsRef::as_ref))?;
        match call.request.method.as_str() {
            "POST" => {
                let given = document::parse(&call.request.body, "TagResourceRequest")?;
                let set = given.child("Tags").cloned().unwrap_or_default();
                let mut tags = bucket.tags.clone();
                tags.extend(tagging::of_set(&set, tagging::MAX_BUCKET_TAGS)?);
                if tags.len() > tagging::MAX_BUCKET_TAGS {
                    return Err(ApiError::client(
                        "BadRequest",
                        "Bucket tag count cannot be greater than 50",
                    ));
                }
                bucket.tags = tags;
            }
            "DELETE" => {
                let query = form::parse(call.request.query.as_bytes())
                    .map_err(|_| ApiError::client("InvalidRequest", "The query is malformed."))?;
                let keys: Vec<&str> = query
                    .iter()
                    .filter(|(name, _)| &**name == "tagKeys")
                    .map(|(_, key)| &**key)
                    .collect();
                bucket.tags.retain(|key, _| !keys.contains(&key.as_str()));
            }
            other => {
                return Err(ApiError::new(
                    405,
                    "MethodNotAllowed",
                    format!("The method {other} is not allowed against this resource."),
                ));
            }
        }
        tx.put(bucket);
        Ok(())
    })?;
    wait(commit).map_err(ApiError::internal)?;
    Ok(HttpResponse::new(204))
}

fn listed(bucket: &Bucket) -> HttpResponse {
    let mut tags = Element::new("Tags");
    for (key, value) in &bucket.tags {
        let tag = Element::new("Tag")
            .with(Element::text("Key", key))
            .with(Element::text("Value", value));
        tags.children.push(tag);
    }
    let body = Element::new("ListTagsForResourceResult").with(tags);
    let body = body.document_in(NAMESPACE);
    HttpResponse::new(200).with_body("application/xml", body)
}
