//! ListObjectsV2 and its older form.

use super::error::invalid_argument;
use super::owner::Owner;
use super::request::{Request, find_bucket, xml};
use super::{checksum, version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::s3::Object;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_with::skip_serializing_none;
use store::State;
use wire::{ApiError, HttpResponse, Timestamp};

/// AWS's limit on one page, and its default.
const MAX_KEYS: usize = 1000;

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Prefix, delimiter and page size, which all listings share.
pub struct Query<'r> {
    pub prefix: &'r str,
    pub delimiter: &'r str,
    pub max: usize,
    encode: bool,
}

impl<'r> Query<'r> {
    pub fn of(request: &'r Request<'_>, max: &str) -> Result<Self, ApiError> {
        let encode = match request.query("encoding-type") {
            None => false,
            Some("url") => true,
            Some(_) => {
                return Err(invalid_argument(
                    "Invalid Encoding Method specified in Request",
                ));
            }
        };
        let asked = request.query(max).filter(|text| !text.is_empty());
        let asked = asked.map_or(Ok(MAX_KEYS), str::parse::<usize>);
        let invalid = |_| {
            invalid_argument(format!(
                "Argument {max} must be an integer between 0 and 2147483647"
            ))
        };
        Ok(Self {
            prefix: request.query("prefix").unwrap_or_default(),
            delimiter: request.query("delimiter").unwrap_or_default(),
            max: asked.map_err(invalid)?.min(MAX_KEYS),
            encode,
        })
    }

    /// Keys may have characters that XML has not.
    pub fn text(&self, text: &str) -> String {
        match self.encode {
            true => utf8_percent_encode(text, PLAIN).to_string(),
            false => text.to_owned(),
        }
    }

    pub fn encoding(&self) -> Option<&'static str> {
        self.encode.then_some("url")
    }

    pub fn delimiter(&self) -> Option<String> {
        (!self.delimiter.is_empty()).then(|| self.text(self.delimiter))
    }

    /// Up to and with the first delimiter after the prefix.
    pub fn common<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let rest = key.get(self.prefix.len()..)?;
        let at = rest.find(self.delimiter)?;
        key.get(..self.prefix.len() + at + self.delimiter.len())
    }
}

/// Keys and common prefixes of one page.
#[derive(Default)]
struct Page<'s> {
    objects: Vec<&'s Object>,
    prefixes: Vec<String>,
    truncated: bool,
    /// The last key or common prefix.
    last: String,
}

/// Walks the newest versions of keys after `after`.
fn page<'s>(state: &'s State, bucket: &'s str, query: &Query<'_>, after: &str) -> Page<'s> {
    let mut page = Page::default();
    let mut seen: Option<&str> = None;
    for object in version::from(state, bucket, after.max(query.prefix)) {
        let key = object.key.as_str();
        if !key.starts_with(query.prefix) {
            break;
        }
        if seen.replace(key) == Some(key) || object.delete_marker || key <= after {
            continue;
        }
        let common = query.common(key);
        // A page that ended with a common prefix goes on behind it.
        if common.is_some_and(|common| {
            common == after || page.prefixes.last().is_some_and(|p| p == common)
        }) {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == query.max {
            page.truncated = query.max > 0;
            break;
        }
        match common {
            Some(common) => {
                page.prefixes.push(common.to_owned());
                page.last = common.to_owned();
            }
            None => {
                page.objects.push(object);
                page.last = key.to_owned();
            }
        }
    }
    page
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    last_modified: Timestamp,
    #[serde(rename = "ETag")]
    etag: String,
    checksum_algorithm: Vec<String>,
    checksum_type: Option<&'static str>,
    size: u64,
    owner: Option<Owner>,
    storage_class: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommonPrefix {
    pub prefix: String,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListBucketResult {
    name: String,
    prefix: String,
    marker: Option<String>,
    next_marker: Option<String>,
    start_after: Option<String>,
    continuation_token: Option<String>,
    next_continuation_token: Option<String>,
    key_count: Option<usize>,
    max_keys: usize,
    delimiter: Option<String>,
    is_truncated: bool,
    contents: Vec<Contents>,
    common_prefixes: Vec<CommonPrefix>,
    encoding_type: Option<&'static str>,
}

pub fn list(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let second = match request.query("list-type") {
        None => false,
        Some("2") => true,
        Some(_) => return Err(invalid_argument("Invalid List Type specified in Request")),
    };
    let query = Query::of(request, "max-keys")?;
    let token = request.query("continuation-token").filter(|_| second);
    let marker = request.query("marker").unwrap_or_default();
    let start = request.query("start-after");
    let after = match token {
        Some(token) => read_token(token)?,
        None if second => start.unwrap_or_default().to_owned(),
        None => marker.to_owned(),
    };
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    let page = page(&state, &bucket.name, &query, &after);
    let with_owner = !second || request.query("fetch-owner") == Some("true");
    let contents = page.objects.iter().map(|object| Contents {
        key: query.text(&object.key),
        last_modified: object.modified.into(),
        etag: object.etag.clone(),
        checksum_algorithm: object.checksums.keys().cloned().collect(),
        checksum_type: checksum::kind(&object.checksums),
        size: object.size,
        owner: with_owner.then(|| Owner::of(&bucket.scope)),
        storage_class: object.storage_class.clone(),
    });
    let prefixes = page.prefixes.iter().map(|prefix| CommonPrefix {
        prefix: query.text(prefix),
    });
    let next = page.truncated.then_some(page.last.as_str());
    let listed = ListBucketResult {
        name: bucket.name.clone(),
        prefix: query.text(query.prefix),
        marker: (!second).then(|| query.text(marker)),
        // The older form leaves it to the caller to take the last key.
        next_marker: next
            .filter(|_| !second && !query.delimiter.is_empty())
            .map(|next| query.text(next)),
        start_after: start.filter(|_| second).map(|start| query.text(start)),
        continuation_token: token.map(str::to_owned),
        next_continuation_token: next
            .filter(|_| second)
            .map(|next| URL_SAFE_NO_PAD.encode(next)),
        key_count: second.then_some(page.objects.len() + page.prefixes.len()),
        max_keys: query.max,
        delimiter: query.delimiter(),
        is_truncated: page.truncated,
        contents: contents.collect(),
        common_prefixes: prefixes.collect(),
        encoding_type: query.encoding(),
    };
    xml("ListBucketResult", &listed)
}

fn read_token(token: &str) -> Result<String, ApiError> {
    let decoded = URL_SAFE_NO_PAD.decode(token).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| invalid_argument("The continuation token provided is incorrect"))
}
