//! What the documents of sub-resources may contain.
//!
//! A check gives the canonical form: members in the schema's order, nothing but
//! text in leaves. What is not in a schema is refused, as AWS does.

use super::document::Element;
use super::error::malformed_xml;
use wire::ApiError;

pub enum Shape {
    Text,
    Bool,
    Number,
    /// ISO 8601
    Date,
    OneOf(&'static [&'static str]),
    Fields(&'static [Field]),
    /// A grantee, which says by `xsi:type` what it is.
    Grantee,
}

pub struct Field {
    pub name: &'static str,
    pub shape: &'static Shape,
    occurs: Occurs,
}

#[derive(PartialEq)]
enum Occurs {
    Optional,
    Once,
    Any,
    AtLeastOnce,
}

const fn optional(name: &'static str, shape: &'static Shape) -> Field {
    let occurs = Occurs::Optional;
    Field {
        name,
        shape,
        occurs,
    }
}

const fn once(name: &'static str, shape: &'static Shape) -> Field {
    let occurs = Occurs::Once;
    Field {
        name,
        shape,
        occurs,
    }
}

const fn any(name: &'static str, shape: &'static Shape) -> Field {
    let occurs = Occurs::Any;
    Field {
        name,
        shape,
        occurs,
    }
}

const fn some(name: &'static str, shape: &'static Shape) -> Field {
    let occurs = Occurs::AtLeastOnce;
    Field {
        name,
        shape,
        occurs,
    }
}

use Shape::{Bool, Date, Fields, Grantee, Number, OneOf, Text};

const STATUS: Shape = OneOf(&["Enabled", "Suspended"]);
const ON_OFF: Shape = OneOf(&["Enabled", "Disabled"]);
const HTTP: Shape = OneOf(&["http", "https"]);

const TAG: Shape = Fields(&[once("Key", &Text), once("Value", &Text)]);
const TAG_SET: Shape = Fields(&[any("Tag", &TAG)]);
pub const TAGGING: Shape = Fields(&[once("TagSet", &TAG_SET)]);

pub const CREATE_BUCKET: Shape = Fields(&[
    optional("LocationConstraint", &Text),
    optional("Tags", &TAG_SET),
]);

pub const VERSIONING: Shape =
    Fields(&[optional("Status", &STATUS), optional("MfaDelete", &ON_OFF)]);

pub const ACCELERATE: Shape = Fields(&[once("Status", &STATUS)]);

pub const REQUEST_PAYMENT: Shape = Fields(&[once("Payer", &OneOf(&["Requester", "BucketOwner"]))]);

pub const OWNERSHIP_CONTROLS: Shape = Fields(&[once(
    "Rule",
    &Fields(&[once("ObjectOwnership", &OneOf(OWNERSHIP))]),
)]);

pub const OWNERSHIP: &[&str] = &[
    "BucketOwnerPreferred",
    "ObjectWriter",
    "BucketOwnerEnforced",
];

pub const PUBLIC_ACCESS_BLOCK: Shape = Fields(&[
    optional("BlockPublicAcls", &Bool),
    optional("IgnorePublicAcls", &Bool),
    optional("BlockPublicPolicy", &Bool),
    optional("RestrictPublicBuckets", &Bool),
]);

const ENCRYPTION_DEFAULT: Shape = Fields(&[
    once(
        "SSEAlgorithm",
        &OneOf(&["AES256", "aws:kms", "aws:kms:dsse"]),
    ),
    optional("KMSMasterKeyID", &Text),
]);

pub const ENCRYPTION: Shape = Fields(&[some(
    "Rule",
    &Fields(&[
        optional("ApplyServerSideEncryptionByDefault", &ENCRYPTION_DEFAULT),
        optional("BucketKeyEnabled", &Bool),
        optional(
            "BlockedEncryptionTypes",
            &Fields(&[any("EncryptionType", &OneOf(&["NONE", "SSE-C"]))]),
        ),
    ]),
)]);

const METHOD: Shape = OneOf(&["GET", "PUT", "HEAD", "POST", "DELETE"]);

pub const CORS: Shape = Fields(&[some(
    "CORSRule",
    &Fields(&[
        optional("ID", &Text),
        any("AllowedHeader", &Text),
        some("AllowedMethod", &METHOD),
        some("AllowedOrigin", &Text),
        any("ExposeHeader", &Text),
        optional("MaxAgeSeconds", &Number),
    ]),
)]);

const STORAGE_CLASS: Shape = OneOf(&[
    "GLACIER",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
]);

const FILTER_AND: Shape = Fields(&[
    optional("Prefix", &Text),
    any("Tag", &TAG),
    optional("ObjectSizeGreaterThan", &Number),
    optional("ObjectSizeLessThan", &Number),
]);

const FILTER: Shape = Fields(&[
    optional("Prefix", &Text),
    optional("Tag", &TAG),
    optional("ObjectSizeGreaterThan", &Number),
    optional("ObjectSizeLessThan", &Number),
    optional("And", &FILTER_AND),
]);

const TRANSITION: Shape = Fields(&[
    optional("Date", &Date),
    optional("Days", &Number),
    once("StorageClass", &STORAGE_CLASS),
]);

const NONCURRENT_TRANSITION: Shape = Fields(&[
    once("NoncurrentDays", &Number),
    optional("NewerNoncurrentVersions", &Number),
    once("StorageClass", &STORAGE_CLASS),
]);

const EXPIRATION: Shape = Fields(&[
    optional("Date", &Date),
    optional("Days", &Number),
    optional("ExpiredObjectDeleteMarker", &Bool),
]);

pub const LIFECYCLE: Shape = Fields(&[some(
    "Rule",
    &Fields(&[
        optional("ID", &Text),
        optional("Prefix", &Text),
        optional("Filter", &FILTER),
        once("Status", &ON_OFF),
        any("Transition", &TRANSITION),
        optional("Expiration", &EXPIRATION),
        any("NoncurrentVersionTransition", &NONCURRENT_TRANSITION),
        optional(
            "NoncurrentVersionExpiration",
            &Fields(&[
                once("NoncurrentDays", &Number),
                optional("NewerNoncurrentVersions", &Number),
            ]),
        ),
        optional(
            "AbortIncompleteMultipartUpload",
            &Fields(&[once("DaysAfterInitiation", &Number)]),
        ),
    ]),
)]);

const LOGGING_PERMISSION: Shape = OneOf(&["FULL_CONTROL", "READ", "WRITE"]);

const KEY_FORMAT: Shape = Fields(&[
    optional("SimplePrefix", &Fields(&[])),
    optional(
        "PartitionedPrefix",
        &Fields(&[optional(
            "PartitionDateSource",
            &OneOf(&["EventTime", "DeliveryTime"]),
        )]),
    ),
]);

pub const LOGGING: Shape = Fields(&[optional(
    "LoggingEnabled",
    &Fields(&[
        once("TargetBucket", &Text),
        optional(
            "TargetGrants",
            &Fields(&[any(
                "Grant",
                &Fields(&[
                    once("Grantee", &Grantee),
                    once("Permission", &LOGGING_PERMISSION),
                ]),
            )]),
        ),
        once("TargetPrefix", &Text),
        optional("TargetObjectKeyFormat", &KEY_FORMAT),
    ]),
)]);

const RETENTION_MODE: Shape = OneOf(&["GOVERNANCE", "COMPLIANCE"]);

pub const OBJECT_LOCK: Shape = Fields(&[
    optional("ObjectLockEnabled", &OneOf(&["Enabled"])),
    optional(
        "Rule",
        &Fields(&[once(
            "DefaultRetention",
            &Fields(&[
                once("Mode", &RETENTION_MODE),
                optional("Days", &Number),
                optional("Years", &Number),
            ]),
        )]),
    ),
]);

pub const RETENTION: Shape = Fields(&[
    optional("Mode", &RETENTION_MODE),
    optional("RetainUntilDate", &Date),
]);

pub const LEGAL_HOLD: Shape = Fields(&[once("Status", &OneOf(&["ON", "OFF"]))]);

const ROUTING_RULE: Shape = Fields(&[
    optional(
        "Condition",
        &Fields(&[
            optional("HttpErrorCodeReturnedEquals", &Text),
            optional("KeyPrefixEquals", &Text),
        ]),
    ),
    once(
        "Redirect",
        &Fields(&[
            optional("HostName", &Text),
            optional("HttpRedirectCode", &Text),
            optional("Protocol", &HTTP),
            optional("ReplaceKeyPrefixWith", &Text),
            optional("ReplaceKeyWith", &Text),
        ]),
    ),
]);

pub const WEBSITE: Shape = Fields(&[
    optional("IndexDocument", &Fields(&[once("Suffix", &Text)])),
    optional("ErrorDocument", &Fields(&[once("Key", &Text)])),
    optional(
        "RedirectAllRequestsTo",
        &Fields(&[once("HostName", &Text), optional("Protocol", &HTTP)]),
    ),
    optional(
        "RoutingRules",
        &Fields(&[any("RoutingRule", &ROUTING_RULE)]),
    ),
]);

const NOTIFICATION_FILTER: Shape = Fields(&[optional(
    "S3Key",
    &Fields(&[any(
        "FilterRule",
        &Fields(&[once("Name", &Text), once("Value", &Text)]),
    )]),
)]);
const EVENT: Field = some("Event", &Text);
const EVENT_FILTER: Field = optional("Filter", &NOTIFICATION_FILTER);

pub const NOTIFICATION: Shape = Fields(&[
    any(
        "TopicConfiguration",
        &Fields(&[
            optional("Id", &Text),
            once("Topic", &Text),
            EVENT,
            EVENT_FILTER,
        ]),
    ),
    any(
        "QueueConfiguration",
        &Fields(&[
            optional("Id", &Text),
            once("Queue", &Text),
            EVENT,
            EVENT_FILTER,
        ]),
    ),
    any(
        "CloudFunctionConfiguration",
        &Fields(&[
            optional("Id", &Text),
            once("CloudFunction", &Text),
            EVENT,
            EVENT_FILTER,
        ]),
    ),
    optional("EventBridgeConfiguration", &Fields(&[])),
]);

const PERMISSION: Shape = OneOf(&["FULL_CONTROL", "WRITE", "WRITE_ACP", "READ", "READ_ACP"]);

pub const ACL: Shape = Fields(&[
    once(
        "Owner",
        &Fields(&[once("ID", &Text), optional("DisplayName", &Text)]),
    ),
    once(
        "AccessControlList",
        &Fields(&[any(
            "Grant",
            &Fields(&[once("Grantee", &Grantee), once("Permission", &PERMISSION)]),
        )]),
    ),
]);

pub const DELETE: Shape = Fields(&[
    some(
        "Object",
        &Fields(&[
            once("Key", &Text),
            optional("VersionId", &Text),
            optional("ETag", &Text),
        ]),
    ),
    optional("Quiet", &Bool),
]);

pub const COMPLETE: Shape = Fields(&[some(
    "Part",
    &Fields(&[
        once("PartNumber", &Number),
        once("ETag", &Text),
        optional("ChecksumCRC32", &Text),
        optional("ChecksumCRC32C", &Text),
        optional("ChecksumCRC64NVME", &Text),
        optional("ChecksumSHA1", &Text),
        optional("ChecksumSHA256", &Text),
        optional("ChecksumSHA512", &Text),
        optional("ChecksumMD5", &Text),
    ]),
)]);

pub const GRANTEE: &[Field] = &[
    optional("ID", &Text),
    optional("DisplayName", &Text),
    optional("EmailAddress", &Text),
    optional("URI", &Text),
];

/// The canonical form of `element`, or the refusal of what does not fit.
pub fn check(element: &Element, shape: &Shape) -> Result<Element, ApiError> {
    let fits = |good: bool| if good { Ok(()) } else { Err(malformed_xml()) };
    let text = element.text.trim();
    let leaf = |text: &str| Element::text(&element.name, text);
    match shape {
        Fields(fields) => {
            fits(text.is_empty())?;
            Ok(check_fields(element, fields)?)
        }
        Grantee => {
            let kinds = ["CanonicalUser", "AmazonCustomerByEmail", "Group"];
            let kind = element.kind.as_deref();
            fits(kind.is_some_and(|kind| kinds.contains(&kind)))?;
            let mut checked = check_fields(element, GRANTEE)?;
            checked.kind = element.kind.clone();
            Ok(checked)
        }
        _ if !element.children.is_empty() => Err(malformed_xml()),
        // Keys and prefixes may begin or end with a space.
        Text => Ok(leaf(&element.text)),
        Bool => {
            let lower = text.to_ascii_lowercase();
            fits(["true", "false"].contains(&lower.as_str()))?;
            Ok(leaf(&lower))
        }
        Number => {
            fits(text.parse::<i64>().is_ok())?;
            Ok(leaf(text))
        }
        Date => {
            let date: Result<wire::Timestamp, _> =
                serde_json::from_value(serde_json::Value::from(text));
            let date = date.map_err(|_| malformed_xml())?.0;
            let date = date.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
            Ok(leaf(&date))
        }
        OneOf(values) => {
            fits(values.contains(&text))?;
            Ok(leaf(text))
        }
    }
}

fn check_fields(element: &Element, fields: &[Field]) -> Result<Element, ApiError> {
    let known = |child: &Element| fields.iter().any(|field| field.name == child.name);
    if !element.children.iter().all(known) {
        return Err(malformed_xml());
    }
    let mut checked = Element::new(&element.name);
    for field in fields {
        let before = checked.children.len();
        for child in element.all(field.name) {
            checked.children.push(check(child, field.shape)?);
        }
        let fits = match (&field.occurs, checked.children.len() - before) {
            (Occurs::Optional, n) => n <= 1,
            (Occurs::Once, n) => n == 1,
            (Occurs::Any, _) => true,
            (Occurs::AtLeastOnce, n) => n >= 1,
        };
        if !fits {
            return Err(malformed_xml());
        }
    }
    Ok(checked)
}
