//! What each call reads beside bucket and key: headers, query parameters, a document.
//!
//! The other services say it by their input types; here it stands beside the
//! route. A header of S3's own (`x-amz-…`) that the route does not list is
//! refused, so that none is silently dropped, and the coverage table is made of
//! the same lists. Unit tests fail when a handler reads a header that its route
//! does not list.

use super::configuration;
use super::request::Request;
use super::route::{Level, ROUTES, Route};
use super::schema::{self, Shape};
use wire::{Effect, Member, Members};

/// Headers, and query parameters with their `?`; a name that ends with a dash stands for all that begin so.
pub struct Group {
    effect: Effect,
    names: &'static [&'static str],
}

const fn honoured(names: &'static [&'static str]) -> Group {
    let effect = Effect::Honoured;
    Group { effect, names }
}

const fn stored(names: &'static [&'static str]) -> Group {
    let effect = Effect::Stored;
    Group { effect, names }
}

const fn validated(names: &'static [&'static str]) -> Group {
    let effect = Effect::Validated;
    Group { effect, names }
}

pub const BUCKETS: Group = honoured(&[
    "?max-buckets",
    "?continuation-token",
    "?prefix",
    "?bucket-region",
]);
pub const LISTING: Group = honoured(&["?prefix", "?delimiter", "?encoding-type"]);
pub const KEYS: Group = honoured(&[
    "?max-keys",
    "?list-type",
    "?marker",
    "?continuation-token",
    "?start-after",
    "?fetch-owner",
]);
pub const VERSIONS: Group = honoured(&["?max-keys", "?key-marker", "?version-id-marker"]);
pub const UPLOADS: Group = honoured(&["?max-uploads", "?key-marker", "?upload-id-marker"]);
pub const PARTS: Group = honoured(&["?uploadId", "?max-parts", "?part-number-marker"]);
pub const UPLOAD: Group = honoured(&["?uploadId"]);
pub const PART: Group = honoured(&["?uploadId", "?partNumber"]);
pub const VERSION: Group = honoured(&["?versionId"]);
pub const READ: Group = honoured(&[
    "?partNumber",
    "?response-cache-control",
    "?response-content-disposition",
    "?response-content-encoding",
    "?response-content-language",
    "?response-content-type",
    "?response-expires",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "x-amz-checksum-mode",
]);
pub const ATTRIBUTES: Group = honoured(&["x-amz-object-attributes"]);
pub const IF_MATCH: Group = honoured(&["if-match"]);
pub const IF_NONE_MATCH: Group = honoured(&["if-none-match"]);

/// Of what the body holds.
pub const CHECKSUMS: Group = honoured(&[
    "content-md5",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-sha512",
    "x-amz-checksum-md5",
]);
pub const DIGEST: Group = honoured(&["content-md5", "x-amz-sdk-checksum-algorithm"]);
pub const CHECKSUM_ALGORITHM: Group = honoured(&["x-amz-checksum-algorithm"]);
pub const CHECKSUM_TYPE: Group = honoured(&["x-amz-checksum-type"]);
pub const WHOLE_SIZE: Group = honoured(&["x-amz-mp-object-size"]);

/// Given back as they came.
pub const REPRESENTATION: Group = honoured(&[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "x-amz-meta-",
    "x-amz-tagging",
]);
/// There is one kind of storage, and it is not encrypted; no website is served.
pub const PROPERTIES: Group = stored(&[
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-bucket-key-enabled",
]);
pub const LOCK: Group = honoured(&[
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
]);
pub const BYPASS: Group = honoured(&["x-amz-bypass-governance-retention"]);
pub const ACL: Group = honoured(&["x-amz-acl", "x-amz-grant-"]);
pub const COPY: Group = honoured(&[
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-source-expected-bucket-owner",
]);
pub const COPY_WHOLE: Group = honoured(&["x-amz-metadata-directive", "x-amz-tagging-directive"]);
/// Fields of a form, beside those that become headers of the PUT.
pub const FORM: Group = honoured(&[
    "content-type",
    "key",
    "file",
    "policy",
    "acl",
    "tagging",
    "x-amz-credential",
    "x-amz-signature",
    "success_action_redirect",
    "success_action_status",
]);
pub const COPY_RANGE: Group = honoured(&["x-amz-copy-source-range"]);
pub const BUCKET: Group = honoured(&["x-amz-object-ownership", "x-amz-bucket-object-lock-enabled"]);
pub const TRANSITION: Group = stored(&["x-amz-transition-default-minimum-object-size"]);

const OWNER: Group = honoured(&["x-amz-expected-bucket-owner"]);
/// Nobody pays for requests here.
const PAYER: Group = validated(&["x-amz-request-payer"]);

/// Headers of the protocol, which no call lists.
const PROTOCOL: &[&str] = &[
    "host",
    "content-md5",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-user-agent",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-te",
    "x-amz-sdk-request",
    // SDKs send it with every body, whatever the call.
    "x-amz-sdk-checksum-algorithm",
];

impl Route {
    fn groups(&self) -> impl Iterator<Item = &'static Group> {
        const COMMON: &[&Group] = &[&OWNER, &PAYER];
        let common = COMMON.iter().filter(|_| self.level != Level::Service);
        common.chain(self.takes).copied()
    }

    /// Whether a handler of this route may read the header.
    pub fn reads(&self, header: &str) -> bool {
        let listed =
            |name: &str| name == header || (name.ends_with('-') && header.starts_with(name));
        // Any checksum may come with any body; one that is not known is refused there.
        let checksum = header.starts_with("x-amz-checksum-") && self.method != "GET";
        let mut groups = self.groups();
        checksum
            || PROTOCOL.contains(&header)
            || groups.any(|group| group.names.iter().any(|name| listed(name)))
    }

    /// A header of S3's own that this route does not know.
    pub fn unread<'r>(&self, request: &'r Request<'_>) -> Option<&'r str> {
        let names = request.http.headers.iter().map(|(name, _)| name.as_str());
        let mut own = names.filter(|name| name.starts_with("x-amz-"));
        own.find(|name| !self.reads(name))
    }

    fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for group in self.groups() {
            members.extend(group.names.iter().map(|name| Member {
                name,
                effect: group.effect,
                inner: Members::None,
            }));
        }
        if let Some((root, shape, effect)) = self.document() {
            members.push(Member {
                name: root,
                effect,
                inner: inner(shape, effect),
            });
        }
        members
    }

    /// The document in the body, and what becomes of it.
    fn document(&self) -> Option<(&'static str, &'static Shape, Effect)> {
        let honoured = |root, shape| Some((root, shape, Effect::Honoured));
        match (self.method, self.sub) {
            ("PUT", "") if self.level == Level::Bucket => {
                honoured("CreateBucketConfiguration", &schema::CREATE_BUCKET)
            }
            ("PUT", "acl") => honoured("AccessControlPolicy", &schema::ACL),
            ("PUT", "tagging") => honoured("Tagging", &schema::TAGGING),
            ("PUT", "legal-hold") => honoured("LegalHold", &schema::LEGAL_HOLD),
            ("PUT", "retention") => honoured("Retention", &schema::RETENTION),
            ("POST", "delete") => honoured("Delete", &schema::DELETE),
            ("POST", "uploadId") => honoured("CompleteMultipartUpload", &schema::COMPLETE),
            ("PUT", "policy") => honoured("Policy", &Shape::Text),
            ("PUT", name) if self.level == Level::Bucket => configuration::document(name),
            _ => None,
        }
    }
}

fn inner(shape: &'static Shape, effect: Effect) -> Members {
    let fields = match shape {
        Shape::Fields(fields) => fields,
        Shape::Grantee => schema::GRANTEE,
        _ => return Members::None,
    };
    let members = fields.iter().map(|field| Member {
        name: field.name,
        effect,
        inner: inner(field.shape, effect),
    });
    Members::Named(members.collect())
}

/// Every call as `PUT /{Bucket}?acl`, and what it takes.
pub fn coverage() -> Vec<(String, Members)> {
    let call = |route: &Route| {
        let path = match route.level {
            Level::Service => "/",
            Level::Bucket => "/{Bucket}",
            Level::Object => "/{Bucket}/{Key}",
        };
        let mark = if route.sub.is_empty() { "" } else { "?" };
        let name = format!("{} {path}{mark}{}", route.method, route.sub);
        (name, Members::Named(route.members()))
    };
    ROUTES.iter().map(call).collect()
}
