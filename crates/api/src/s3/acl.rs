//! Access control lists of buckets and objects.
//!
//! Kept as the document AWS gives back. `None` is the owner alone.

use super::document::{self, Document, Element};
use super::error::{access_denied, invalid_argument, invalid_request};
use super::owner::Owner;
use super::request::{Request, find_bucket};
use super::{configuration, schema, version};
use model::Scope;
use model::s3::Bucket;
use wire::{ApiError, HttpResponse};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";

/// Canned lists that give nobody but the owner access.
const PRIVATE: &[&str] = &["private", "bucket-owner-read", "bucket-owner-full-control"];

/// AWS's limit on the grants of one list.
const MAX_GRANTS: usize = 100;

pub fn get_bucket(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    Ok(answer(&bucket.scope, bucket.configuration.get("acl")))
}

pub fn get_object(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let object = version::find_body(&state, request)?;
    Ok(answer(&bucket.scope, object.acl.as_ref()))
}

fn answer(owner: &Scope, acl: Option<&String>) -> HttpResponse {
    let body = match acl {
        Some(document) => document.clone(),
        None => canned(owner, "private").map_or_else(String::new, |acl| acl.document()),
    };
    HttpResponse::new(200).with_body("application/xml", body)
}

pub fn put_bucket(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let body = request.document()?;
    request.modify_bucket(|bucket| {
        let acl = asked(request, bucket, &body)?;
        let acl = acl.ok_or_else(missing)?;
        bucket.configuration.insert("acl".to_owned(), acl);
        Ok(())
    })?;
    Ok(HttpResponse::new(200))
}

pub fn put_object(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let body = request.document()?;
    request.transact(|change| {
        let bucket = find_bucket(change.tx, &request.bucket)?;
        let acl = asked(request, bucket, &body)?;
        let acl = acl.ok_or_else(missing)?;
        let mut object = version::find_body(change.tx, request)?.clone();
        object.acl = Some(acl);
        change.tx.put(object);
        Ok(())
    })?;
    Ok(HttpResponse::new(200))
}

fn missing() -> ApiError {
    let message = "Your request was missing a required header: an ACL must be given by x-amz-acl, by grants or in the body";
    ApiError::client("MissingSecurityHeader", message)
}

/// The list a call asks for: canned, by grant headers or as a document.
/// Refused where the bucket's ownership controls or its public access block say so.
pub fn asked(
    request: &Request<'_>,
    bucket: &Bucket,
    body: &[u8],
) -> Result<Option<String>, ApiError> {
    let owner = &bucket.scope;
    let grants = grants(request)?;
    let name = request.header("x-amz-acl");
    if name.is_some() && grants.is_some() {
        let message = "Specifying both Canned ACLs and Header Grants is not allowed";
        return Err(invalid_request(message));
    }
    let acl = match (name, grants) {
        (Some(name), _) => {
            canned(owner, name).ok_or_else(|| invalid_argument("Invalid canned ACL"))?
        }
        (None, Some(grants)) => list(owner, grants),
        (None, None) if !body.is_empty() => checked(owner, body)?,
        (None, None) => return Ok(None),
    };
    if configuration::ownership(bucket) == Some("BucketOwnerEnforced") {
        if name == Some("bucket-owner-full-control") {
            return Ok(None);
        }
        let message = "The bucket does not allow ACLs";
        return Err(ApiError::client("AccessControlListNotSupported", message));
    }
    let document = acl.document();
    if configuration::blocks(bucket, "BlockPublicAcls") && is_public(&document) {
        return Err(access_denied());
    }
    Ok(Some(document))
}

/// The list a bucket is created with. Where ACLs are off, only one that says nothing passes.
pub fn of_new_bucket(request: &Request<'_>, bucket: &Bucket) -> Result<Option<String>, ApiError> {
    if configuration::ownership(bucket) != Some("BucketOwnerEnforced") {
        return asked(request, bucket, b"");
    }
    let name = request.header("x-amz-acl").unwrap_or("private");
    if canned(&bucket.scope, name).is_none() {
        return Err(invalid_argument("Invalid canned ACL"));
    }
    if !PRIVATE.contains(&name) || grants(request)?.is_some() {
        let message =
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(ApiError::client(
            "InvalidBucketAclWithObjectOwnership",
            message,
        ));
    }
    Ok(None)
}

fn checked(owner: &Scope, body: &[u8]) -> Result<Element, ApiError> {
    let acl = document::parse(body, "AccessControlPolicy")?;
    let acl = schema::check(&acl, &schema::ACL)?;
    let id = acl.child("Owner").and_then(|owner| owner.get("ID"));
    if id != Some(&Owner::of(owner).id) {
        return Err(access_denied());
    }
    let grants = acl
        .child("AccessControlList")
        .map_or(0, |l| l.children.len());
    if grants > MAX_GRANTS {
        let message = "Your request had more than 100 grants";
        return Err(invalid_request(message));
    }
    Ok(acl)
}

fn canned(owner: &Scope, name: &str) -> Option<Element> {
    let mut grants = vec![user(&Owner::of(owner).id, "FULL_CONTROL")];
    match name {
        name if PRIVATE.contains(&name) => {}
        "public-read" => grants.push(group(ALL_USERS, "READ")),
        "public-read-write" => {
            grants.push(group(ALL_USERS, "READ"));
            grants.push(group(ALL_USERS, "WRITE"));
        }
        "authenticated-read" => grants.push(group(AUTHENTICATED, "READ")),
        "log-delivery-write" => {
            grants.push(group(LOG_DELIVERY, "WRITE"));
            grants.push(group(LOG_DELIVERY, "READ_ACP"));
        }
        _ => return None,
    }
    Some(list(owner, grants))
}

fn list(owner: &Scope, grants: Vec<Element>) -> Element {
    let mut list = Element::new("AccessControlList");
    list.children = grants;
    let owner = Element::new("Owner").with(Element::text("ID", Owner::of(owner).id));
    Element::new("AccessControlPolicy").with(owner).with(list)
}

fn grant(kind: &str, member: Element, permission: &str) -> Element {
    let mut grantee = Element::new("Grantee").with(member);
    grantee.kind = Some(kind.to_owned());
    let permission = Element::text("Permission", permission);
    Element::new("Grant").with(grantee).with(permission)
}

fn user(id: &str, permission: &str) -> Element {
    grant("CanonicalUser", Element::text("ID", id), permission)
}

fn group(uri: &str, permission: &str) -> Element {
    grant("Group", Element::text("URI", uri), permission)
}

/// `x-amz-grant-read: id="…", uri="…"` and its like.
fn grants(request: &Request<'_>) -> Result<Option<Vec<Element>>, ApiError> {
    let headers = [
        ("x-amz-grant-full-control", "FULL_CONTROL"),
        ("x-amz-grant-read", "READ"),
        ("x-amz-grant-write", "WRITE"),
        ("x-amz-grant-read-acp", "READ_ACP"),
        ("x-amz-grant-write-acp", "WRITE_ACP"),
    ];
    let mut grants = Vec::new();
    for (header, permission) in headers {
        let listed = request.header(header).unwrap_or_default();
        for grantee in listed.split(',').map(str::trim).filter(|g| !g.is_empty()) {
            let (kind, value) = grantee.split_once('=').unwrap_or((grantee, ""));
            let value = value.trim().trim_matches('"');
            grants.push(match kind.trim() {
                "id" => user(value, permission),
                "uri" if [ALL_USERS, AUTHENTICATED, LOG_DELIVERY].contains(&value) => {
                    group(value, permission)
                }
                "uri" => return Err(invalid_argument("Invalid group uri")),
                // There are no mail addresses of accounts.
                "emailAddress" => {
                    let message =
                        "The email address you provided does not match any account on record.";
                    return Err(ApiError::client("UnresolvableGrantByEmailAddress", message));
                }
                _ => return Err(invalid_argument("Argument format not recognized")),
            });
        }
    }
    Ok((!grants.is_empty()).then_some(grants))
}

pub fn is_public(acl: &str) -> bool {
    [ALL_USERS, AUTHENTICATED]
        .iter()
        .any(|group| acl.contains(&format!("<URI>{group}</URI>")))
}

/// Whether the list lets `caller` (nobody: unsigned) read.
pub fn allows_read(acl: &str, caller: Option<&Scope>) -> bool {
    let Ok(acl) = document::parse(acl.as_bytes(), "AccessControlPolicy") else {
        return false;
    };
    let grants = acl.child("AccessControlList").into_iter();
    grants.flat_map(|list| &list.children).any(|grant| {
        let reads = matches!(grant.get("Permission"), Some("READ" | "FULL_CONTROL"));
        reads
            && grant
                .child("Grantee")
                .is_some_and(|grantee| match (grantee.get("URI"), caller) {
                    (Some(uri), None) => uri == ALL_USERS,
                    (Some(uri), Some(_)) => uri == ALL_USERS || uri == AUTHENTICATED,
                    (None, Some(caller)) => grantee.get("ID") == Some(&Owner::of(caller).id),
                    (None, None) => false,
                })
    })
}
