//! Buckets themselves: list, create, head, delete, location.

use super::document::{self, Document};
use super::error::{access_denied, invalid_argument};
use super::owner::Owner;
use super::request::{Request, find_bucket, xml};
use super::{acl, body, bucket_name, configuration, object_lock, schema, tagging};
use model::Scope;
use model::s3::{Bucket, MultipartUpload};
use model::zone;
use serde::Serialize;
use serde_with::skip_serializing_none;
use std::collections::BTreeMap;
use wire::{ApiError, HttpResponse, Timestamp};

/// Buckets of one account; AWS's default quota.
const MAX_BUCKETS: usize = 10_000;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    name: String,
    creation_date: Timestamp,
    bucket_region: String,
    bucket_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Buckets {
    bucket: Vec<Listed>,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListAllMyBucketsResult {
    owner: Owner,
    buckets: Buckets,
    continuation_token: Option<String>,
    prefix: Option<String>,
}

pub fn list(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let max = request.query("max-buckets").map(str::parse::<usize>);
    let max = match max.unwrap_or(Ok(MAX_BUCKETS)) {
        Ok(max) if (1..=MAX_BUCKETS).contains(&max) => max,
        _ => {
            return Err(invalid_argument(
                "Argument max-buckets must be an integer between 1 and 10000",
            ));
        }
    };
    let prefix = request.query("prefix").unwrap_or_default();
    let region = request.query("bucket-region");
    let after = request.query("continuation-token").unwrap_or_default();
    let state = request.snapshot();
    let mut found = state.buckets.values().filter(|bucket| {
        bucket.scope.account == request.scope.account
            && bucket.name.starts_with(prefix)
            && region.is_none_or(|region| *region == *bucket.scope.region)
            && bucket.name.as_str() > after
    });
    let buckets = found.by_ref().take(max).map(|bucket| Listed {
        name: bucket.name.clone(),
        creation_date: bucket.created.into(),
        bucket_region: bucket.scope.region.to_string(),
        bucket_arn: format!("arn:aws:s3:::{}", bucket.name),
    });
    let bucket: Vec<Listed> = buckets.collect();
    let more = found.next().is_some();
    let last = bucket.last().map(|last| last.name.clone());
    let listed = ListAllMyBucketsResult {
        owner: Owner::of(&request.scope),
        buckets: Buckets { bucket },
        continuation_token: last.filter(|_| more),
        prefix: request.query("prefix").map(str::to_owned),
    };
    xml("ListAllMyBucketsResult", &listed)
}

pub fn create(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    bucket_name::check(&request.bucket)?;
    let body = request.document()?;
    let mut tags = BTreeMap::new();
    let mut constraint = None;
    if !body.is_empty() {
        let asked = document::parse(&body, "CreateBucketConfiguration")?;
        let asked = schema::check(&asked, &schema::CREATE_BUCKET)?;
        constraint = asked
            .get("LocationConstraint")
            .map(|region| region.trim().to_owned());
        if let Some(set) = asked.child("Tags") {
            tags = tagging::of_set(set, tagging::MAX_BUCKET_TAGS)?;
        }
    }
    let region = region(
        &request.scope.region,
        constraint.as_deref().unwrap_or_default(),
    )?;
    let ownership = match request.header("x-amz-object-ownership") {
        None => "BucketOwnerEnforced",
        Some(asked) => schema::OWNERSHIP
            .iter()
            .find(|name| **name == asked)
            .ok_or_else(|| invalid_argument("Invalid x-amz-object-ownership header"))?,
    };
    let mut bucket = Bucket {
        name: request.bucket.clone(),
        scope: Scope::new(&request.scope.account, region),
        created: super::metadata::seconds(request.now),
        versioning: None,
        object_lock: false,
        configuration: BTreeMap::new(),
        tags,
    };
    configuration::defaults(&mut bucket, ownership);
    if let Some(acl) = acl::of_new_bucket(request, &bucket)? {
        bucket.configuration.insert("acl".to_owned(), acl);
    }
    if request.is_true("x-amz-bucket-object-lock-enabled") {
        object_lock::enable(&mut bucket);
    }
    request.transact(|change| {
        let Some(there) = change.tx.get::<Bucket>(&bucket.name) else {
            change.tx.put(bucket);
            return Ok(());
        };
        let (code, message) = match there.scope.account == bucket.scope.account {
            // A repeated creation is no error in the oldest region.
            true if *request.scope.region == *"us-east-1" && there.scope == bucket.scope => return Ok(()),
            true => (
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
            ),
            false => (
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
            ),
        };
        Err(ApiError::new(409, code, message).with_detail("BucketName", request.bucket.clone()))
    })?;
    let location = format!("/{}", request.bucket);
    let arn = format!("arn:aws:s3:::{}", request.bucket);
    Ok(HttpResponse::new(200)
        .with_header("location", location)
        .with_header("x-amz-bucket-arn", arn))
}

/// The region of a new bucket: an endpoint makes buckets of its own region only,
/// that of us-east-1 makes them anywhere.
fn region<'a>(endpoint: &'a str, constraint: &'a str) -> Result<&'a str, ApiError> {
    let constraint = if constraint == "EU" {
        "eu-west-1"
    } else {
        constraint
    };
    let refused = |named: &str| {
        let message = format!(
            "The {named} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        Err(ApiError::client(
            "IllegalLocationConstraintException",
            message,
        ))
    };
    match (endpoint, constraint) {
        ("us-east-1", "") => Ok("us-east-1"),
        ("us-east-1", "us-east-1") => invalid_location(),
        ("us-east-1", named) if zone::region(named).is_none() => invalid_location(),
        ("us-east-1", named) => Ok(named),
        (_, "") => refused("unspecified"),
        (endpoint, named) if endpoint == named => Ok(named),
        (_, named) => refused(named),
    }
}

fn invalid_location<T>() -> Result<T, ApiError> {
    let message = "The specified location-constraint is not valid";
    Err(ApiError::client("InvalidLocationConstraint", message))
}

pub fn head(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    Ok(HttpResponse::new(200)
        .with_header("x-amz-bucket-region", &*bucket.scope.region)
        .with_header("x-amz-bucket-arn", format!("arn:aws:s3:::{}", bucket.name))
        .with_header("x-amz-access-point-alias", "false")
        .with_header("content-type", "application/xml"))
}

pub fn delete(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let name = &request.bucket;
    request.transact(|change| {
        let bucket = find_bucket(change.tx, name)?;
        if bucket.scope.account != request.scope.account {
            return Err(access_denied());
        }
        if super::version::first(change.tx, name).is_some() {
            let message = match bucket.versioning {
                None => "The bucket you tried to delete is not empty",
                Some(_) => "The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
            };
            return Err(ApiError::new(409, "BucketNotEmpty", message).with_detail("BucketName", name.clone()));
        }
        let uploads: Vec<MultipartUpload> = super::multipart::of_bucket(change.tx, name).cloned().collect();
        for upload in uploads {
            super::multipart::remove(change, &upload);
        }
        change.tx.remove::<Bucket>(name);
        Ok(())
    })?;
    body::remove_directory(request.cloud, name);
    Ok(HttpResponse::new(204))
}

pub fn location(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    // For the oldest region AWS answers an empty element.
    let region = match &*bucket.scope.region {
        "us-east-1" => "",
        region => region,
    };
    let location = document::Element::text("LocationConstraint", region);
    Ok(HttpResponse::new(200).with_body("application/xml", location.document()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_new_buckets() {
        let check = |endpoint: &str, constraint: &str, expected: Result<&str, &str>| {
            let found = region(endpoint, constraint).map_err(|error| error.code.into_owned());
            assert_eq!(
                found,
                expected.map_err(str::to_owned),
                "{endpoint} {constraint}"
            );
        };
        check("us-east-1", "", Ok("us-east-1"));
        check("us-east-1", "eu-west-1", Ok("eu-west-1"));
        check("us-east-1", "EU", Ok("eu-west-1"));
        check("us-east-1", "us-east-1", Err("InvalidLocationConstraint"));
        check("us-east-1", "moon-1", Err("InvalidLocationConstraint"));
        check("eu-west-1", "eu-west-1", Ok("eu-west-1"));
        check(
            "eu-west-1",
            "us-east-1",
            Err("IllegalLocationConstraintException"),
        );
        check(
            "eu-west-1",
            "moon-1",
            Err("IllegalLocationConstraintException"),
        );
        check("eu-west-1", "", Err("IllegalLocationConstraintException"));
        check(
            "eu-west-1",
            "us-west-2",
            Err("IllegalLocationConstraintException"),
        );
    }
}
