//! One call taken apart: bucket and key, query, headers, and who asks.

use super::error::{access_denied, denied, no_such_bucket};
use super::{Call, Wait, body};
use crate::Cloud;
use model::s3::Bucket;
use model::{Scope, Timestamp};
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use store::{Snapshot, Store, Tx};
use wire::auth::Signed;
use wire::{ApiError, HttpRequest, HttpResponse, form};

pub struct Request<'a> {
    pub store: &'a Store,
    pub cloud: &'a Cloud,
    pub http: &'a HttpRequest,
    /// Account of the caller, region of the endpoint.
    pub scope: Scope,
    pub now: Timestamp,
    /// Nobody signed.
    pub anonymous: bool,
    /// Empty when the call is about all buckets.
    pub bucket: String,
    /// Empty when the call is about the bucket.
    pub key: String,
    query: Vec<(String, String)>,
    call: &'a Call,
    wait: Wait<'a>,
    #[cfg(test)]
    route: std::cell::Cell<Option<&'static super::route::Route>>,
}

/// A change of records, and the bodies that no record names after it.
pub struct Change<'a> {
    pub tx: &'a mut Tx,
    pub garbage: Vec<(String, String)>,
}

impl Change<'_> {
    pub fn discard(&mut self, bucket: &str, body: &str) {
        if !body.is_empty() {
            self.garbage.push((bucket.to_owned(), body.to_owned()));
        }
    }
}

impl<'a> Request<'a> {
    pub fn new(
        store: &'a Store,
        cloud: &'a Cloud,
        call: &'a Call,
        wait: Wait<'a>,
    ) -> Result<Self, ApiError> {
        let http = &call.request;
        let invalid_uri = || ApiError::client("InvalidURI", "Couldn't parse the specified URI.");
        let path = percent_decode_str(&http.path).decode_utf8();
        let path = path.map_err(|_| invalid_uri())?;
        let (bucket, key) = resource(http.header("host").unwrap_or_default(), &path);
        let pairs = form::parse(http.query.as_bytes()).map_err(|_| invalid_uri())?;
        let query = pairs.into_iter().map(|(n, v)| (n.into(), v.into()));
        let mut request = Self {
            store,
            cloud,
            http,
            scope: call.scope.clone(),
            now: call.now,
            anonymous: false,
            bucket,
            key,
            query: query.collect(),
            call,
            wait,
            #[cfg(test)]
            route: std::cell::Cell::new(None),
        };
        request.authenticate(call)?;
        Ok(request)
    }

    /// Any key works; a presigned URL works until it expires.
    fn authenticate(&mut self, call: &Call) -> Result<(), ApiError> {
        // SigV2 is what SDKs still presign with in some regions.
        if let Some(key) = self.query("AWSAccessKeyId") {
            if key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit()) {
                self.scope.account = key.into();
            }
            let expires = self.query("Expires").and_then(|text| text.parse().ok());
            let expires: i64 = expires.ok_or_else(|| denied("Missing Expires"))?;
            return match self.now.as_second() > expires {
                true => Err(denied("Request has expired")),
                false => Ok(()),
            };
        }
        if call.access_key.is_empty() {
            self.anonymous = self.http.header("authorization").is_none();
            return Ok(());
        }
        let Ok(signed) = Signed::parse(self.http) else {
            return Ok(());
        };
        let Some(seconds) = signed.expires else {
            return Ok(());
        };
        let at = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", &signed.date)
            .and_then(|parsed| parsed.to_datetime())
            .and_then(|local| local.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|_| denied("X-Amz-Date must be in the ISO8601 Long Format"))?;
        if self.now.as_second() > at.timestamp().as_second().saturating_add(seconds.into()) {
            return Err(denied("Request has expired"));
        }
        Ok(())
    }

    /// The same caller about another object: the source of a copy.
    pub fn about(&self, bucket: &str, key: &str, version: Option<&str>) -> Self {
        let version = version.map(|version| ("versionId".to_owned(), version.to_owned()));
        Self {
            scope: self.scope.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            query: version.into_iter().collect(),
            #[cfg(test)]
            route: self.route.clone(),
            ..*self
        }
    }

    /// Another call that this one stands for.
    pub fn with<'b>(&self, call: &'b Call) -> Result<Request<'b>, ApiError>
    where
        'a: 'b,
    {
        Request::new(self.store, self.cloud, call, self.wait)
    }

    pub fn id(&self) -> &str {
        &self.call.request_id
    }

    /// The answer that refuses, for those that need more headers than the error has.
    pub fn refusal(&self, error: ApiError) -> HttpResponse {
        super::refusal(error, self.call)
    }

    /// The first query parameter of that name.
    pub fn query(&self, name: &str) -> Option<&str> {
        let mut named = self.query.iter().filter(|(n, _)| n == name);
        named.next().map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        #[cfg(test)]
        if let Some(route) = self.route.get() {
            assert!(
                route.reads(name),
                "{} {:?} {} reads {name}, which takes.rs does not list",
                route.method,
                route.level,
                route.sub
            );
        }
        self.http.header(name)
    }

    /// From here on every header that is read must be one that the route lists.
    pub fn routed(&self, _route: &'static super::route::Route) {
        #[cfg(test)]
        self.route.set(Some(_route));
    }

    pub fn is_true(&self, header: &str) -> bool {
        self.header(header)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The body of a call that carries a document.
    pub fn document(&self) -> Result<Vec<u8>, ApiError> {
        let decoded = wire::chunked::decode(self.http)?;
        super::checksum::verify(self, &decoded)?;
        Ok(decoded.body.into_owned())
    }

    pub fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// Changes records in one transaction, waits until it is on disk, and
    /// removes the bodies it has freed.
    pub fn transact<T>(
        &self,
        f: impl FnOnce(&mut Change<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let ((value, garbage), commit) = self.store.transact(|tx| {
            let mut change = Change {
                tx,
                garbage: Vec::new(),
            };
            let value = f(&mut change)?;
            Ok::<_, ApiError>((value, change.garbage))
        })?;
        (self.wait)(commit).map_err(|why| {
            tracing::error!(why, "failed to make a change durable");
            ApiError::new(500, "InternalError", "The change could not be made durable")
        })?;
        for (bucket, name) in garbage {
            body::remove(self.cloud, &bucket, &name);
        }
        Ok(value)
    }

    /// Changes the record of the bucket.
    pub fn modify_bucket(
        &self,
        f: impl FnOnce(&mut Bucket) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        self.transact(|change| {
            let mut bucket = find_bucket(change.tx, &self.bucket)?.clone();
            f(&mut bucket)?;
            change.tx.put(bucket);
            Ok(())
        })
    }

    /// `x-amz-expected-bucket-owner`
    pub fn check_expected_owner(&self, header: &str, bucket: &Bucket) -> Result<(), ApiError> {
        match self.header(header) {
            Some(expected) if *expected != *bucket.scope.account => Err(access_denied()),
            _ => Ok(()),
        }
    }
}

pub fn find_bucket<'s>(state: &'s store::State, name: &str) -> Result<&'s Bucket, ApiError> {
    let found = state.buckets.get(name);
    found.map(AsRef::as_ref).ok_or_else(|| no_such_bucket(name))
}

/// Bucket and key, from the host (`bucket.anything`) or else from the path.
///
/// `s3.` in front or after a bucket marks AWS's own names; an address or a name
/// without a dot is path style.
fn resource(host: &str, path: &str) -> (String, String) {
    let path = path.strip_prefix('/').unwrap_or(path);
    let by_path = || {
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        (bucket.to_owned(), key.to_owned())
    };
    match bucket_of_host(host) {
        Some(bucket) => (bucket.to_owned(), path.to_owned()),
        None => by_path(),
    }
}

fn bucket_of_host(host: &str) -> Option<&str> {
    let name = match host.strip_prefix('[') {
        Some(_) => return None,
        None => host.split(':').next().unwrap_or_default(),
    };
    if name.parse::<IpAddr>().is_ok() || !name.contains('.') {
        return None;
    }
    if name.starts_with("s3.") || name.starts_with("s3-") {
        return None;
    }
    let aws = [".s3.", ".s3-"].iter().filter_map(|mark| name.find(mark));
    let end = aws.min().or_else(|| name.find('.'))?;
    Some(&name[..end])
}

/// An answer that is an XML document.
pub fn xml<T: serde::Serialize>(root: &str, value: &T) -> Result<HttpResponse, ApiError> {
    let body = wire::xml::document(root, super::document::NAMESPACE, value, wire::xml::REST);
    let body = body.map_err(|error| {
        tracing::error!(%error, root, "failed to write an answer");
        ApiError::new(
            500,
            "InternalError",
            "The answer could not be written as XML",
        )
    })?;
    Ok(HttpResponse::new(200).with_body("application/xml", body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_bucket_and_key() {
        let check = |host: &str, path: &str, bucket: &str, key: &str| {
            let expected = (bucket.to_owned(), key.to_owned());
            assert_eq!(resource(host, path), expected, "{host} {path}");
        };
        check("127.0.0.1:4566", "/", "", "");
        check("127.0.0.1:4566", "/b", "b", "");
        check("127.0.0.1:4566", "/b/", "b", "");
        check("127.0.0.1:4566", "/b/k/l//m", "b", "k/l//m");
        check("[::1]:4566", "/b/k", "b", "k");
        check("localhost:4566", "/b/k", "b", "k");
        check("b.localhost:4566", "/k/l", "b", "k/l");
        check("s3.us-east-1.amazonaws.com", "/b/k", "b", "k");
        check("b.s3.us-east-1.amazonaws.com", "/k", "b", "k");
        check("b.c.s3.amazonaws.com", "/k", "b.c", "k");
    }
}
