//! From method and sub-resource to the function that answers: the list of S3's calls.

use super::error::{access_denied, method_not_allowed, not_implemented};
use super::request::{Request, find_bucket};
use super::{
    access, acl, bucket, bucket_name, configuration, delete_objects, get_object, list_objects,
    list_versions, multipart, object_lock, put_object, tagging, upload_part,
};
use wire::{ApiError, HttpResponse};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Level {
    Service,
    Bucket,
    Object,
}

struct Route {
    method: &'static str,
    level: Level,
    /// The query parameter that names the sub-resource; empty for the thing itself.
    sub: &'static str,
    /// What policies call it.
    action: &'static str,
    handler: Handler,
}

type Handler = fn(&Request<'_>) -> Result<HttpResponse, ApiError>;

const fn route(
    method: &'static str,
    level: Level,
    sub: &'static str,
    action: &'static str,
    handler: Handler,
) -> Route {
    Route {
        method,
        level,
        sub,
        action,
        handler,
    }
}

use Level::{Bucket, Object, Service};

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    route("GET", Service, "", "s3:ListAllMyBuckets", bucket::list),

    route("PUT", Bucket, "", "s3:CreateBucket", bucket::create),
    route("HEAD", Bucket, "", "s3:ListBucket", bucket::head),
    route("DELETE", Bucket, "", "s3:DeleteBucket", bucket::delete),
    route("GET", Bucket, "", "s3:ListBucket", list_objects::list),
    route("GET", Bucket, "versions", "s3:ListBucketVersions", list_versions::list),
    route("GET", Bucket, "uploads", "s3:ListBucketMultipartUploads", multipart::list),
    route("POST", Bucket, "delete", "s3:DeleteObject", delete_objects::delete),
    route("GET", Bucket, "location", "s3:GetBucketLocation", bucket::location),

    route("GET", Bucket, "accelerate", "s3:GetAccelerateConfiguration", configuration::get),
    route("PUT", Bucket, "accelerate", "s3:PutAccelerateConfiguration", configuration::put),
    route("GET", Bucket, "acl", "s3:GetBucketAcl", acl::get_bucket),
    route("PUT", Bucket, "acl", "s3:PutBucketAcl", acl::put_bucket),
    route("GET", Bucket, "cors", "s3:GetBucketCORS", configuration::get),
    route("PUT", Bucket, "cors", "s3:PutBucketCORS", configuration::put),
    route("DELETE", Bucket, "cors", "s3:PutBucketCORS", configuration::delete),
    route("GET", Bucket, "encryption", "s3:GetEncryptionConfiguration", configuration::get),
    route("PUT", Bucket, "encryption", "s3:PutEncryptionConfiguration", configuration::put),
    route("DELETE", Bucket, "encryption", "s3:PutEncryptionConfiguration", configuration::delete),
    route("GET", Bucket, "lifecycle", "s3:GetLifecycleConfiguration", configuration::get),
    route("PUT", Bucket, "lifecycle", "s3:PutLifecycleConfiguration", configuration::put),
    route("DELETE", Bucket, "lifecycle", "s3:PutLifecycleConfiguration", configuration::delete),
    route("GET", Bucket, "logging", "s3:GetBucketLogging", configuration::get),
    route("PUT", Bucket, "logging", "s3:PutBucketLogging", configuration::put),
    route("GET", Bucket, "notification", "s3:GetBucketNotification", configuration::get),
    route("PUT", Bucket, "notification", "s3:PutBucketNotification", configuration::put),
    route("GET", Bucket, "object-lock", "s3:GetBucketObjectLockConfiguration", configuration::get),
    route("PUT", Bucket, "object-lock", "s3:PutBucketObjectLockConfiguration", configuration::put),
    route("GET", Bucket, "ownershipControls", "s3:GetBucketOwnershipControls", configuration::get),
    route("PUT", Bucket, "ownershipControls", "s3:PutBucketOwnershipControls", configuration::put),
    route("DELETE", Bucket, "ownershipControls", "s3:PutBucketOwnershipControls", configuration::delete),
    route("GET", Bucket, "policy", "s3:GetBucketPolicy", configuration::get_policy),
    route("PUT", Bucket, "policy", "s3:PutBucketPolicy", configuration::put_policy),
    route("DELETE", Bucket, "policy", "s3:DeleteBucketPolicy", configuration::delete_policy),
    route("GET", Bucket, "policyStatus", "s3:GetBucketPolicyStatus", configuration::get_policy_status),
    route("GET", Bucket, "publicAccessBlock", "s3:GetBucketPublicAccessBlock", configuration::get),
    route("PUT", Bucket, "publicAccessBlock", "s3:PutBucketPublicAccessBlock", configuration::put),
    route("DELETE", Bucket, "publicAccessBlock", "s3:PutBucketPublicAccessBlock", configuration::delete),
    route("GET", Bucket, "replication", "s3:GetReplicationConfiguration", configuration::get_replication),
    route("PUT", Bucket, "replication", "s3:PutReplicationConfiguration", configuration::put_replication),
    route("DELETE", Bucket, "replication", "s3:PutReplicationConfiguration", configuration::delete_replication),
    route("GET", Bucket, "requestPayment", "s3:GetBucketRequestPayment", configuration::get),
    route("PUT", Bucket, "requestPayment", "s3:PutBucketRequestPayment", configuration::put),
    route("GET", Bucket, "tagging", "s3:GetBucketTagging", tagging::get_bucket),
    route("PUT", Bucket, "tagging", "s3:PutBucketTagging", tagging::put_bucket),
    route("DELETE", Bucket, "tagging", "s3:PutBucketTagging", tagging::delete_bucket),
    route("GET", Bucket, "versioning", "s3:GetBucketVersioning", configuration::get),
    route("PUT", Bucket, "versioning", "s3:PutBucketVersioning", configuration::put),
    route("GET", Bucket, "website", "s3:GetBucketWebsite", configuration::get),
    route("PUT", Bucket, "website", "s3:PutBucketWebsite", configuration::put),
    route("DELETE", Bucket, "website", "s3:DeleteBucketWebsite", configuration::delete),

    route("GET", Object, "", "s3:GetObject", get_object::get),
    route("HEAD", Object, "", "s3:GetObject", get_object::get),
    route("PUT", Object, "", "s3:PutObject", put_object::put),
    route("DELETE", Object, "", "s3:DeleteObject", delete_objects::delete_one),
    route("GET", Object, "attributes", "s3:GetObject", get_object::attributes),
    route("GET", Object, "acl", "s3:GetObjectAcl", acl::get_object),
    route("PUT", Object, "acl", "s3:PutObjectAcl", acl::put_object),
    route("GET", Object, "tagging", "s3:GetObjectTagging", tagging::get_object),
    route("PUT", Object, "tagging", "s3:PutObjectTagging", tagging::put_object),
    route("DELETE", Object, "tagging", "s3:DeleteObjectTagging", tagging::delete_object),
    route("GET", Object, "retention", "s3:GetObjectRetention", object_lock::get_retention),
    route("PUT", Object, "retention", "s3:PutObjectRetention", object_lock::put_retention),
    route("GET", Object, "legal-hold", "s3:GetObjectLegalHold", object_lock::get_legal_hold),
    route("PUT", Object, "legal-hold", "s3:PutObjectLegalHold", object_lock::put_legal_hold),
    route("POST", Object, "uploads", "s3:PutObject", multipart::create),
    route("PUT", Object, "uploadId", "s3:PutObject", upload_part::put),
    route("GET", Object, "uploadId", "s3:ListMultipartUploadParts", upload_part::list),
    route("POST", Object, "uploadId", "s3:PutObject", multipart::complete),
    route("DELETE", Object, "uploadId", "s3:AbortMultipartUpload", multipart::abort),
];

/// Sub-resources AWS has and Nines has not.
const UNSUPPORTED: &[&str] = &[
    "abac",
    "analytics",
    "encryption-context",
    "intelligent-tiering",
    "inventory",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "renameObject",
    "restore",
    "select",
    "session",
    "torrent",
];

pub fn run(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let method = request.http.method.as_str();
    if request.http.path.starts_with("/v20180820/") {
        // S3 Control signs as S3, too.
        return Err(not_implemented("S3 Control"));
    }
    if let Some(name) = UNSUPPORTED
        .iter()
        .find(|name| request.query(name).is_some())
    {
        return Err(not_implemented(name));
    }
    let level = match (request.bucket.as_str(), request.key.as_str()) {
        ("", "") => Service,
        (_, "") => Bucket,
        _ => Object,
    };
    let route = find(level, method, request).ok_or_else(method_not_allowed)?;
    if let Level::Service = level {
        if request.anonymous {
            return Err(access_denied());
        }
        return (route.handler)(request);
    }
    if route.action == "s3:CreateBucket" {
        if request.anonymous {
            return Err(access_denied());
        }
        return (route.handler)(request);
    }
    bucket_name::check_key(&request.key)?;
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    request.check_expected_owner("x-amz-expected-bucket-owner", bucket)?;
    access::check(&state, request, bucket, route.action)?;
    drop(state);
    (route.handler)(request)
}

/// A sub-resource goes before the thing itself, whatever else is in the query.
fn find(level: Level, method: &str, request: &Request<'_>) -> Option<&'static Route> {
    let mut routes = ROUTES.iter().filter(|route| route.level == level);
    let sub = routes
        .clone()
        .find(|route| !route.sub.is_empty() && request.query(route.sub).is_some())
        .map_or("", |route| route.sub);
    routes.find(|route| route.method == method && route.sub == sub)
}
