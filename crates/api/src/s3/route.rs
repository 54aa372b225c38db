//! From method and sub-resource to the function that answers: the list of S3's calls.

use super::error::{access_denied, method_not_allowed, not_implemented};
use super::request::{Request, find_bucket};
use super::takes::{
    ACL, ATTRIBUTES, BUCKET, BUCKETS, BYPASS, CHECKSUM_ALGORITHM, CHECKSUM_TYPE, CHECKSUMS, COPY,
    COPY_RANGE, COPY_WHOLE, DIGEST, FORM, Group, IF_MATCH, IF_NONE_MATCH, KEYS, LISTING, LOCK,
    PART, PARTS, PROPERTIES, READ, REPRESENTATION, TRANSITION, UPLOAD, UPLOADS, VERSION, VERSIONS,
    WHOLE_SIZE,
};
use super::{
    access, acl, bucket, bucket_name, configuration, delete_objects, get_object, list_objects,
    list_versions, multipart, object_lock, post_object, put_object, tagging, upload_part,
};
use wire::{ApiError, HttpResponse};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    Service,
    Bucket,
    Object,
}

pub struct Route {
    pub method: &'static str,
    pub level: Level,
    /// The query parameter that names the sub-resource; empty for the thing itself.
    pub sub: &'static str,
    /// What policies call it.
    action: &'static str,
    handler: Handler,
    pub takes: &'static [&'static Group],
}

type Handler = fn(&Request<'_>) -> Result<HttpResponse, ApiError>;

const fn route(
    method: &'static str,
    level: Level,
    sub: &'static str,
    action: &'static str,
    handler: Handler,
    takes: &'static [&'static Group],
) -> Route {
    Route {
        method,
        level,
        sub,
        action,
        handler,
        takes,
    }
}

use Level::{Bucket, Object, Service};

#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route("GET", Service, "", "s3:ListAllMyBuckets", bucket::list, &[&BUCKETS]),

    route("PUT", Bucket, "", "s3:CreateBucket", bucket::create, &[&BUCKET, &ACL, &DIGEST]),
    route("HEAD", Bucket, "", "s3:ListBucket", bucket::head, &[]),
    route("DELETE", Bucket, "", "s3:DeleteBucket", bucket::delete, &[]),
    route("GET", Bucket, "", "s3:ListBucket", list_objects::list, &[&LISTING, &KEYS]),
    route("GET", Bucket, "versions", "s3:ListBucketVersions", list_versions::list, &[&LISTING, &VERSIONS]),
    route("GET", Bucket, "uploads", "s3:ListBucketMultipartUploads", multipart::list, &[&LISTING, &UPLOADS]),
    route("POST", Bucket, "delete", "s3:DeleteObject", delete_objects::delete, &[&DIGEST, &BYPASS]),
    route("POST", Bucket, "", "s3:PostObject", post_object::post, &[&FORM]),
    route("GET", Bucket, "location", "s3:GetBucketLocation", bucket::location, &[]),

    route("GET", Bucket, "accelerate", "s3:GetAccelerateConfiguration", configuration::get, &[]),
    route("PUT", Bucket, "accelerate", "s3:PutAccelerateConfiguration", configuration::put, &[&DIGEST]),
    route("GET", Bucket, "acl", "s3:GetBucketAcl", acl::get_bucket, &[]),
    route("PUT", Bucket, "acl", "s3:PutBucketAcl", acl::put_bucket, &[&ACL, &DIGEST]),
    route("GET", Bucket, "cors", "s3:GetBucketCORS", configuration::get, &[]),
    route("PUT", Bucket, "cors", "s3:PutBucketCORS", configuration::put, &[&DIGEST]),
    route("DELETE", Bucket, "cors", "s3:PutBucketCORS", configuration::delete, &[]),
    route("GET", Bucket, "encryption", "s3:GetEncryptionConfiguration", configuration::get, &[]),
    route("PUT", Bucket, "encryption", "s3:PutEncryptionConfiguration", configuration::put, &[&DIGEST]),
    route("DELETE", Bucket, "encryption", "s3:PutEncryptionConfiguration", configuration::delete, &[]),
    route("GET", Bucket, "lifecycle", "s3:GetLifecycleConfiguration", configuration::get, &[]),
    route("PUT", Bucket, "lifecycle", "s3:PutLifecycleConfiguration", configuration::put, &[&DIGEST, &TRANSITION]),
    route("DELETE", Bucket, "lifecycle", "s3:PutLifecycleConfiguration", configuration::delete, &[]),
    route("GET", Bucket, "logging", "s3:GetBucketLogging", configuration::get, &[]),
    route("PUT", Bucket, "logging", "s3:PutBucketLogging", configuration::put, &[&DIGEST]),
    route("GET", Bucket, "notification", "s3:GetBucketNotification", configuration::get, &[]),
    route("PUT", Bucket, "notification", "s3:PutBucketNotification", configuration::put, &[&DIGEST]),
    route("GET", Bucket, "object-lock", "s3:GetBucketObjectLockConfiguration", configuration::get, &[]),
    route("PUT", Bucket, "object-lock", "s3:PutBucketObjectLockConfiguration", configuration::put, &[&DIGEST]),
    route("GET", Bucket, "ownershipControls", "s3:GetBucketOwnershipControls", configuration::get, &[]),
    route("PUT", Bucket, "ownershipControls", "s3:PutBucketOwnershipControls", configuration::put, &[&DIGEST]),
    route("DELETE", Bucket, "ownershipControls", "s3:PutBucketOwnershipControls", configuration::delete, &[]),
    route("GET", Bucket, "policy", "s3:GetBucketPolicy", configuration::get_policy, &[]),
    route("PUT", Bucket, "policy", "s3:PutBucketPolicy", configuration::put_policy, &[&DIGEST]),
    route("DELETE", Bucket, "policy", "s3:DeleteBucketPolicy", configuration::delete_policy, &[]),
    route("GET", Bucket, "policyStatus", "s3:GetBucketPolicyStatus", configuration::get_policy_status, &[]),
    route("GET", Bucket, "publicAccessBlock", "s3:GetBucketPublicAccessBlock", configuration::get, &[]),
    route("PUT", Bucket, "publicAccessBlock", "s3:PutBucketPublicAccessBlock", configuration::put, &[&DIGEST]),
    route("DELETE", Bucket, "publicAccessBlock", "s3:PutBucketPublicAccessBlock", configuration::delete, &[]),
    route("GET", Bucket, "replication", "s3:GetReplicationConfiguration", configuration::get_replication, &[]),
    route("PUT", Bucket, "replication", "s3:PutReplicationConfiguration", configuration::put_replication, &[&DIGEST]),
    route("DELETE", Bucket, "replication", "s3:PutReplicationConfiguration", configuration::delete_replication, &[]),
    route("GET", Bucket, "requestPayment", "s3:GetBucketRequestPayment", configuration::get, &[]),
    route("PUT", Bucket, "requestPayment", "s3:PutBucketRequestPayment", configuration::put, &[&DIGEST]),
    route("GET", Bucket, "tagging", "s3:GetBucketTagging", tagging::get_bucket, &[]),
    route("PUT", Bucket, "tagging", "s3:PutBucketTagging", tagging::put_bucket, &[&DIGEST]),
    route("DELETE", Bucket, "tagging", "s3:PutBucketTagging", tagging::delete_bucket, &[]),
    route("GET", Bucket, "versioning", "s3:GetBucketVersioning", configuration::get, &[]),
    route("PUT", Bucket, "versioning", "s3:PutBucketVersioning", configuration::put, &[&DIGEST]),
    route("GET", Bucket, "website", "s3:GetBucketWebsite", configuration::get, &[]),
    route("PUT", Bucket, "website", "s3:PutBucketWebsite", configuration::put, &[&DIGEST]),
    route("DELETE", Bucket, "website", "s3:DeleteBucketWebsite", configuration::delete, &[]),

    route("GET", Object, "", "s3:GetObject", get_object::get, &[&VERSION, &READ]),
    route("HEAD", Object, "", "s3:GetObject", get_object::get, &[&VERSION, &READ]),
    route("PUT", Object, "", "s3:PutObject", put_object::put, &[&CHECKSUMS, &CHECKSUM_ALGORITHM, &REPRESENTATION, &PROPERTIES, &LOCK, &ACL, &IF_MATCH, &IF_NONE_MATCH, &COPY, &COPY_WHOLE]),
    route("DELETE", Object, "", "s3:DeleteObject", delete_objects::delete_one, &[&VERSION, &IF_MATCH, &BYPASS]),
    route("GET", Object, "attributes", "s3:GetObject", get_object::attributes, &[&VERSION, &ATTRIBUTES]),
    route("GET", Object, "acl", "s3:GetObjectAcl", acl::get_object, &[&VERSION]),
    route("PUT", Object, "acl", "s3:PutObjectAcl", acl::put_object, &[&VERSION, &ACL, &DIGEST]),
    route("GET", Object, "tagging", "s3:GetObjectTagging", tagging::get_object, &[&VERSION]),
    route("PUT", Object, "tagging", "s3:PutObjectTagging", tagging::put_object, &[&VERSION, &DIGEST]),
    route("DELETE", Object, "tagging", "s3:DeleteObjectTagging", tagging::delete_object, &[&VERSION]),
    route("GET", Object, "retention", "s3:GetObjectRetention", object_lock::get_retention, &[&VERSION]),
    route("PUT", Object, "retention", "s3:PutObjectRetention", object_lock::put_retention, &[&VERSION, &DIGEST, &BYPASS]),
    route("GET", Object, "legal-hold", "s3:GetObjectLegalHold", object_lock::get_legal_hold, &[&VERSION]),
    route("PUT", Object, "legal-hold", "s3:PutObjectLegalHold", object_lock::put_legal_hold, &[&VERSION, &DIGEST]),
    route("POST", Object, "uploads", "s3:PutObject", multipart::create, &[&REPRESENTATION, &PROPERTIES, &LOCK, &ACL, &CHECKSUM_ALGORITHM, &CHECKSUM_TYPE]),
    route("PUT", Object, "uploadId", "s3:PutObject", upload_part::put, &[&PART, &CHECKSUMS, &CHECKSUM_ALGORITHM, &COPY, &COPY_RANGE]),
    route("GET", Object, "uploadId", "s3:ListMultipartUploadParts", upload_part::list, &[&PARTS]),
    route("POST", Object, "uploadId", "s3:PutObject", multipart::complete, &[&UPLOAD, &CHECKSUMS, &CHECKSUM_TYPE, &WHOLE_SIZE, &IF_MATCH, &IF_NONE_MATCH]),
    route("DELETE", Object, "uploadId", "s3:AbortMultipartUpload", multipart::abort, &[&UPLOAD]),
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
    if let Some(name) = route.unread(request) {
        return Err(not_implemented(name));
    }
    request.routed(route);
    if let Level::Service = level {
        if request.anonymous {
            return Err(access_denied());
        }
        return (route.handler)(request);
    }
    match route.action {
        "s3:CreateBucket" if request.anonymous => return Err(access_denied()),
        // A form says itself who sent it; its PUT comes this way again.
        "s3:CreateBucket" | "s3:PostObject" => return (route.handler)(request),
        _ => {}
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
