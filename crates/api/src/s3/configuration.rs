//! The sub-resources of a bucket: documents that are checked, kept and given back.
//!
//! A table says for each what it is called, what may be in it and what a bucket
//! without it answers. Whether the cloud acts on one is another matter: policy,
//! ACL, versioning, encryption headers, ownership, object lock and the public
//! access block have an effect; lifecycle, CORS, website, logging, acceleration
//! and request payment are kept and described only.

use super::document::{self, Document, Element};
use super::error::{access_denied, invalid_argument, invalid_request, not_implemented};
use super::request::{Request, find_bucket, xml};
use super::schema::{self, Shape};
use super::{acl, lifecycle, object_lock, policy};
use model::s3::Bucket;
use serde::Serialize;
use wire::{ApiError, Effect, HttpResponse};

struct Configuration {
    /// Of the query string.
    name: &'static str,
    root: &'static str,
    shape: &'static Shape,
    unset: Unset,
    /// Completes the document, changes the bucket, or refuses.
    accept: fn(&Request<'_>, &mut Bucket, &mut Element) -> Result<(), ApiError>,
    /// Status of a PUT that went well.
    put: u16,
}

/// The document of a sub-resource, and whether the cloud acts on it.
pub fn document(name: &str) -> Option<(&'static str, &'static Shape, Effect)> {
    const ACTED_ON: &[&str] = &[
        "object-lock",
        "ownershipControls",
        "publicAccessBlock",
        "versioning",
    ];
    let found = CONFIGURATIONS.iter().find(|c| c.name == name)?;
    let effect = match ACTED_ON.contains(&name) {
        true => Effect::Honoured,
        false => Effect::Stored,
    };
    Some((found.root, found.shape, effect))
}

/// The answer where nothing was put.
enum Unset {
    Error(&'static str, &'static str),
    /// The root, empty.
    Empty,
    /// The root with one member.
    Default(&'static str, &'static str),
}

const CONFIGURATIONS: &[Configuration] = &[
    Configuration {
        name: "accelerate",
        root: "AccelerateConfiguration",
        shape: &schema::ACCELERATE,
        unset: Unset::Empty,
        accept: accept_accelerate,
        put: 200,
    },
    Configuration {
        name: "cors",
        root: "CORSConfiguration",
        shape: &schema::CORS,
        unset: Unset::Error(
            "NoSuchCORSConfiguration",
            "The CORS configuration does not exist",
        ),
        accept: accept_cors,
        put: 200,
    },
    Configuration {
        name: "encryption",
        root: "ServerSideEncryptionConfiguration",
        shape: &schema::ENCRYPTION,
        unset: Unset::Error(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
        ),
        accept: accept_encryption,
        put: 200,
    },
    Configuration {
        name: "lifecycle",
        root: "LifecycleConfiguration",
        shape: &schema::LIFECYCLE,
        unset: Unset::Error(
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        ),
        accept: lifecycle::accept,
        put: 200,
    },
    Configuration {
        name: "logging",
        root: "BucketLoggingStatus",
        shape: &schema::LOGGING,
        unset: Unset::Empty,
        accept: accept_logging,
        put: 200,
    },
    Configuration {
        name: "notification",
        root: "NotificationConfiguration",
        shape: &schema::NOTIFICATION,
        unset: Unset::Empty,
        accept: accept_notification,
        put: 200,
    },
    Configuration {
        name: "object-lock",
        root: "ObjectLockConfiguration",
        shape: &schema::OBJECT_LOCK,
        unset: Unset::Error(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        ),
        accept: object_lock::accept,
        put: 200,
    },
    Configuration {
        name: "ownershipControls",
        root: "OwnershipControls",
        shape: &schema::OWNERSHIP_CONTROLS,
        unset: Unset::Error(
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
        ),
        accept: accept_ownership,
        put: 200,
    },
    Configuration {
        name: "publicAccessBlock",
        root: "PublicAccessBlockConfiguration",
        shape: &schema::PUBLIC_ACCESS_BLOCK,
        unset: Unset::Error(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        ),
        accept: accept_public_access_block,
        put: 200,
    },
    Configuration {
        name: "requestPayment",
        root: "RequestPaymentConfiguration",
        shape: &schema::REQUEST_PAYMENT,
        unset: Unset::Default("Payer", "BucketOwner"),
        accept: |_, _, _| Ok(()),
        put: 200,
    },
    Configuration {
        name: "versioning",
        root: "VersioningConfiguration",
        shape: &schema::VERSIONING,
        unset: Unset::Empty,
        accept: accept_versioning,
        put: 200,
    },
    Configuration {
        name: "website",
        root: "WebsiteConfiguration",
        shape: &schema::WEBSITE,
        unset: Unset::Error(
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration",
        ),
        accept: accept_website,
        put: 200,
    },
];

fn of(request: &Request<'_>) -> Result<&'static Configuration, ApiError> {
    let mut asked = CONFIGURATIONS.iter();
    let asked = asked.find(|configuration| request.query(configuration.name).is_some());
    asked.ok_or_else(|| invalid_argument("The request names no sub-resource"))
}

pub fn get(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let configuration = of(request)?;
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let body = match (
        bucket.configuration.get(configuration.name),
        &configuration.unset,
    ) {
        (Some(document), _) => document.clone(),
        (None, Unset::Error(code, message)) => {
            let error = ApiError::not_found(*code, *message);
            return Err(error.with_detail("BucketName", bucket.name.clone()));
        }
        (None, Unset::Empty) => Element::new(configuration.root).document(),
        (None, Unset::Default(name, value)) => {
            let member = Element::text(name, *value);
            Element::new(configuration.root).with(member).document()
        }
    };
    let response = HttpResponse::new(200).with_body("application/xml", body);
    Ok(match configuration.name {
        "lifecycle" => lifecycle::mark(response, bucket),
        _ => response,
    })
}

pub fn put(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let configuration = of(request)?;
    let document = document::parse(&request.document()?, configuration.root)?;
    let document = schema::check(&document, configuration.shape)?;
    let mut response = HttpResponse::new(configuration.put);
    request.modify_bucket(|bucket| {
        let mut document = document;
        (configuration.accept)(request, bucket, &mut document)?;
        let name = configuration.name.to_owned();
        bucket.configuration.insert(name, document.document());
        if configuration.name == "lifecycle" {
            response = lifecycle::mark(HttpResponse::new(configuration.put), bucket);
        }
        Ok(())
    })?;
    Ok(response)
}

pub fn delete(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let configuration = of(request)?;
    request.modify_bucket(|bucket| {
        bucket.configuration.remove(configuration.name);
        if configuration.name == "encryption" {
            // A bucket is never without; deleting goes back to the default.
            let name = "encryption".to_owned();
            bucket.configuration.insert(name, default_encryption());
        }
        Ok(())
    })?;
    Ok(HttpResponse::new(204))
}

/// What AWS puts on every new bucket.
/// Source: `https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html`
pub fn defaults(bucket: &mut Bucket, ownership: &str) {
    let rule = Element::new("Rule").with(Element::text("ObjectOwnership", ownership));
    let ownership = Element::new("OwnershipControls").with(rule);
    let mut block = Element::new("PublicAccessBlockConfiguration");
    for name in [
        "BlockPublicAcls",
        "IgnorePublicAcls",
        "BlockPublicPolicy",
        "RestrictPublicBuckets",
    ] {
        block = block.with(Element::text(name, "true"));
    }
    let defaults = [
        ("encryption", default_encryption()),
        ("ownershipControls", ownership.document()),
        ("publicAccessBlock", block.document()),
    ];
    let defaults = defaults.map(|(name, document)| (name.to_owned(), document));
    bucket.configuration.extend(defaults);
}

fn default_encryption() -> String {
    let algorithm = Element::text("SSEAlgorithm", "AES256");
    let rule = Element::new("Rule")
        .with(Element::new("ApplyServerSideEncryptionByDefault").with(algorithm))
        .with(Element::text("BucketKeyEnabled", "false"));
    Element::new("ServerSideEncryptionConfiguration")
        .with(rule)
        .document()
}

/// A document kept on the bucket, read again.
pub fn kept(bucket: &Bucket, name: &str) -> Option<Element> {
    let configuration = CONFIGURATIONS.iter().find(|c| c.name == name)?;
    let text = bucket.configuration.get(name)?;
    document::parse(text.as_bytes(), configuration.root).ok()
}

/// Whether the public access block has the setting on.
pub fn blocks(bucket: &Bucket, setting: &str) -> bool {
    kept(bucket, "publicAccessBlock").is_some_and(|block| block.get(setting) == Some("true"))
}

/// `BucketOwnerEnforced`, … where there are ownership controls.
pub fn ownership(bucket: &Bucket) -> Option<&'static str> {
    let controls = kept(bucket, "ownershipControls")?;
    let set = controls.child("Rule")?.get("ObjectOwnership")?;
    schema::OWNERSHIP.iter().copied().find(|name| *name == set)
}

fn accept_accelerate(
    _: &Request<'_>,
    bucket: &mut Bucket,
    _: &mut Element,
) -> Result<(), ApiError> {
    if bucket.name.contains('.') {
        let message =
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names";
        return Err(invalid_request(message));
    }
    Ok(())
}

fn accept_cors(_: &Request<'_>, _: &mut Bucket, cors: &mut Element) -> Result<(), ApiError> {
    if cors.children.len() > 100 {
        return Err(invalid_request(
            "The number of CORS rules should not exceed allowed limit of 100 rules.",
        ));
    }
    for rule in &cors.children {
        for wild in rule.all("AllowedOrigin").chain(rule.all("AllowedHeader")) {
            if wild.text.matches('*').count() > 1 {
                let message = format!(
                    "{} \"{}\" can not have more than one wildcard.",
                    wild.name, wild.text
                );
                return Err(invalid_request(message));
            }
        }
    }
    Ok(())
}

fn accept_encryption(
    _: &Request<'_>,
    _: &mut Bucket,
    encryption: &mut Element,
) -> Result<(), ApiError> {
    let [rule] = encryption.children.as_mut_slice() else {
        return Err(super::error::malformed_xml());
    };
    let default = rule.child("ApplyServerSideEncryptionByDefault");
    if let Some(default) = default
        && default.get("SSEAlgorithm") == Some("AES256")
        && default.get("KMSMasterKeyID").is_some()
    {
        let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
        return Err(invalid_argument(message));
    }
    if rule.child("BucketKeyEnabled").is_none() {
        let at = usize::from(default.is_some());
        let off = Element::text("BucketKeyEnabled", "false");
        rule.children.insert(at, off);
    }
    Ok(())
}

fn accept_logging(
    request: &Request<'_>,
    bucket: &mut Bucket,
    logging: &mut Element,
) -> Result<(), ApiError> {
    let Some(enabled) = logging.child("LoggingEnabled") else {
        return Ok(());
    };
    let target = enabled.get("TargetBucket").unwrap_or_default();
    let state = request.snapshot();
    let good = state
        .buckets
        .get(target)
        .is_some_and(|target| target.scope == bucket.scope);
    if good {
        return Ok(());
    }
    let message =
        "The target bucket for logging does not exist, is not owned by you or is in another region";
    Err(ApiError::client("InvalidTargetBucketForLogging", message))
}

/// There are no topics, queues or functions a notification could go to.
fn accept_notification(
    _: &Request<'_>,
    _: &mut Bucket,
    notification: &mut Element,
) -> Result<(), ApiError> {
    if notification.child("EventBridgeConfiguration").is_some() {
        return Err(not_implemented("EventBridgeConfiguration"));
    }
    match notification.children.is_empty() {
        true => Ok(()),
        false => Err(invalid_argument(
            "Unable to validate the following destination configurations",
        )),
    }
}

fn accept_ownership(
    _: &Request<'_>,
    bucket: &mut Bucket,
    controls: &mut Element,
) -> Result<(), ApiError> {
    let set = controls
        .child("Rule")
        .and_then(|rule| rule.get("ObjectOwnership"));
    let shares = bucket.configuration.get("acl").is_some_and(|list| {
        let grants = document::parse(list.as_bytes(), "AccessControlPolicy");
        let grants = grants.map(|acl| {
            acl.child("AccessControlList")
                .map_or(0, |l| l.children.len())
        });
        grants.is_ok_and(|grants| grants > 1)
    });
    if set == Some("BucketOwnerEnforced") && shares {
        let message =
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(ApiError::client(
            "InvalidBucketAclWithObjectOwnership",
            message,
        ));
    }
    Ok(())
}

fn accept_public_access_block(
    _: &Request<'_>,
    _: &mut Bucket,
    block: &mut Element,
) -> Result<(), ApiError> {
    let names = [
        "BlockPublicAcls",
        "IgnorePublicAcls",
        "BlockPublicPolicy",
        "RestrictPublicBuckets",
    ];
    let setting = |name| Element::text(name, block.get(name).unwrap_or("false"));
    block.children = names.map(setting).into();
    Ok(())
}

fn accept_versioning(
    _: &Request<'_>,
    bucket: &mut Bucket,
    versioning: &mut Element,
) -> Result<(), ApiError> {
    if versioning.get("MfaDelete") == Some("Enabled") {
        // Needs an MFA device of the root user, which no account here has.
        return Err(access_denied());
    }
    let Some(status) = versioning.get("Status") else {
        let message = "The Versioning element must be specified";
        return Err(ApiError::client(
            "IllegalVersioningConfigurationException",
            message,
        ));
    };
    if bucket.object_lock && status != "Enabled" {
        let message = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.";
        return Err(ApiError::new(409, "InvalidBucketState", message));
    }
    bucket.versioning = Some(status.to_owned());
    Ok(())
}

fn accept_website(_: &Request<'_>, _: &mut Bucket, website: &mut Element) -> Result<(), ApiError> {
    let redirects = website.child("RedirectAllRequestsTo").is_some();
    let index = website
        .child("IndexDocument")
        .and_then(|index| index.get("Suffix"));
    match (redirects, index) {
        (true, _) if website.children.len() > 1 => Err(invalid_request(
            "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
        )),
        (true, _) => Ok(()),
        (false, None) => Err(invalid_argument(
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
        )),
        (false, Some(suffix)) if suffix.is_empty() || suffix.contains('/') => Err(
            invalid_argument("The IndexDocument Suffix is not well formed"),
        ),
        (false, Some(_)) => Ok(()),
    }
}

pub fn get_policy(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let policy = bucket
        .configuration
        .get("policy")
        .ok_or_else(|| no_policy(bucket))?;
    Ok(HttpResponse::new(200).with_body("application/json", policy.clone()))
}

fn no_policy(bucket: &Bucket) -> ApiError {
    let error = ApiError::not_found("NoSuchBucketPolicy", "The bucket policy does not exist");
    error.with_detail("BucketName", bucket.name.clone())
}

pub fn put_policy(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let body = request.document()?;
    request.modify_bucket(|bucket| {
        let policy = policy::check(&bucket.name, &body)?;
        if blocks(bucket, "BlockPublicPolicy") && policy::is_public(&policy) {
            return Err(access_denied());
        }
        bucket.configuration.insert("policy".to_owned(), policy);
        Ok(())
    })?;
    Ok(HttpResponse::new(204))
}

pub fn delete_policy(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    request.modify_bucket(|bucket| {
        bucket.configuration.remove("policy");
        Ok(())
    })?;
    Ok(HttpResponse::new(204))
}

#[derive(Serialize)]
struct PolicyStatus {
    #[serde(rename = "IsPublic")]
    is_public: bool,
}

pub fn get_policy_status(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let policy = bucket
        .configuration
        .get("policy")
        .ok_or_else(|| no_policy(bucket))?;
    let acl = bucket.configuration.get("acl");
    let is_public = policy::is_public(policy) || acl.is_some_and(|acl| acl::is_public(acl));
    xml("PolicyStatus", &PolicyStatus { is_public })
}

pub fn get_replication(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let message = "The replication configuration was not found";
    let error = ApiError::not_found("ReplicationConfigurationNotFoundError", message);
    Err(error.with_detail("BucketName", bucket.name.clone()))
}

pub fn put_replication(_: &Request<'_>) -> Result<HttpResponse, ApiError> {
    Err(not_implemented("replication"))
}

pub fn delete_replication(_: &Request<'_>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::new(204))
}
