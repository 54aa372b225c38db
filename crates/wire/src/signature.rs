//! Checks a SigV4 signature: builds the canonical request again and compares.
//!
//! docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

use crate::auth::{Credential, Signed};
use crate::error::ApiError;
use crate::request::HttpRequest;
use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

/// What SigV4 leaves as it is: RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const ENCODED_IN_PATH: &AsciiSet = &ENCODED.remove(b'/');

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Longest life of a presigned URL: seven days.
const MAX_EXPIRES: u32 = 604_800;

/// Refuses a request that `secret` did not sign, that was changed since, or that is too old.
pub fn verify(
    request: &HttpRequest,
    signed: &Signed,
    secret: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    check_time(signed, now)?;
    if !signed.signed_headers.iter().any(|name| name == "host") {
        return Err(denied("AccessDenied", "The host header must be signed"));
    }
    let hash = payload_hash(request, signed)?;
    let canonical = canonical_request(request, signed, &hash);
    let scope = &signed.credential;
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{}/{}/{}/aws4_request\n{}",
        signed.date,
        scope.date,
        scope.region,
        scope.service,
        hex::encode(Sha256::digest(canonical))
    );
    let key = signing_key(secret, scope)?;
    let given = hex::decode(&signed.signature).unwrap_or_default();
    // Compares in constant time.
    hmac(&key, &text)?
        .verify_slice(&given)
        .map_err(|_| does_not_match())
}

/// Refuses a text, such as the policy of a form, that `secret` did not sign.
pub fn verify_text(
    text: &str,
    signature: &str,
    scope: &Credential,
    secret: &str,
) -> Result<(), ApiError> {
    let key = signing_key(secret, scope)?;
    let given = hex::decode(signature).unwrap_or_default();
    hmac(&key, text)?
        .verify_slice(&given)
        .map_err(|_| does_not_match())
}

fn does_not_match() -> ApiError {
    denied(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. \
         Check your AWS Secret Access Key and signing method. \
         Consult the service documentation for details.",
    )
}

/// For a key that does not exist, in the words of the service asked.
pub fn unknown_key(service: &str) -> ApiError {
    match service {
        "s3" => denied(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        "ec2" => {
            let message = "AWS was not able to validate the provided access credentials";
            ApiError::new(401, "AuthFailure", message)
        }
        _ => denied(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
    }
}

fn denied(code: &'static str, message: &str) -> ApiError {
    ApiError::new(403, code, message)
}

fn is_s3(signed: &Signed) -> bool {
    signed.credential.service == "s3"
}

fn check_time(signed: &Signed, now: Timestamp) -> Result<(), ApiError> {
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", &signed.date).ok();
    let at = date.and_then(|date| jiff::tz::Offset::UTC.to_timestamp(date).ok());
    let Some(at) = at else {
        let message = "Date must be in ISO-8601 'basic format'";
        return Err(ApiError::client("IncompleteSignature", message));
    };
    if !signed.date.starts_with(&signed.credential.date) {
        return Err(denied(
            "SignatureDoesNotMatch",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
        ));
    }
    let age = now.duration_since(at);
    // S3 bears a clock that is 15 minutes off, the others 5.
    let skew = SignedDuration::from_mins(if is_s3(signed) { 15 } else { 5 });
    let life = match signed.expires {
        None => skew,
        Some(expires) if expires > MAX_EXPIRES => {
            let message = "X-Amz-Expires must be less than a week (in seconds)";
            return Err(ApiError::client(
                "AuthorizationQueryParametersError",
                message,
            ));
        }
        Some(expires) => SignedDuration::from_secs(expires.into()),
    };
    if -skew <= age && age <= life {
        return Ok(());
    }
    Err(match (is_s3(signed), signed.expires) {
        (true, Some(_)) => denied("AccessDenied", "Request has expired"),
        (true, None) => denied(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        (false, _) => {
            let message = format!(
                "Signature expired: {} is not within reach of {now}",
                signed.date
            );
            denied("SignatureDoesNotMatch", &message)
        }
    })
}

fn payload_hash(request: &HttpRequest, signed: &Signed) -> Result<String, ApiError> {
    let of_body = || hex::encode(Sha256::digest(&request.body));
    match request.header("x-amz-content-sha256") {
        // `UNSIGNED-PAYLOAD` and `STREAMING-…` stand for themselves.
        Some(hash) if hash.len() != 64 => Ok(hash.to_owned()),
        Some(hash) if hash.eq_ignore_ascii_case(&of_body()) => Ok(hash.to_owned()),
        Some(_) => Err(ApiError::client(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )),
        None if is_s3(signed) && signed.expires.is_some() => Ok(UNSIGNED.to_owned()),
        None => Ok(of_body()),
    }
}

fn canonical_request(request: &HttpRequest, signed: &Signed, hash: &str) -> String {
    let path = match request.path.as_str() {
        "" => "/".to_owned(),
        // S3 signs the path as it is sent: keys may hold `//` and `..`.
        path if is_s3(signed) => path.to_owned(),
        // The others sign it normalised, and encoded once more.
        path => percent_encode(normalized(path).as_bytes(), ENCODED_IN_PATH).to_string(),
    };
    let mut headers = String::new();
    for name in &signed.signed_headers {
        headers.push_str(name);
        headers.push(':');
        let values = request.headers.iter().filter(|(n, _)| n == name);
        let values: Vec<String> = values.map(|(_, value)| folded(value)).collect();
        headers.push_str(&values.join(","));
        headers.push('\n');
    }
    format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{hash}",
        request.method,
        canonical_query(&request.query),
        signed.signed_headers.join(";"),
    )
}

/// Encoded anew and sorted; the signature itself is not signed.
fn canonical_query(query: &str) -> String {
    let encode = |text: &str| {
        let bytes: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&bytes, ENCODED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    pairs.join("&")
}

/// Without empty and dot segments; a slash at the end stays.
fn normalized(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

/// Trimmed, and every run of white space as one space.
fn folded(value: &str) -> String {
    let words: Vec<&str> = value.split_whitespace().collect();
    words.join(" ")
}

fn signing_key(secret: &str, scope: &Credential) -> Result<Vec<u8>, ApiError> {
    let steps = [&scope.date, &scope.region, &scope.service, "aws4_request"];
    let mut key = format!("AWS4{secret}").into_bytes();
    for step in steps {
        key = hmac(&key, step)?.finalize().into_bytes().to_vec();
    }
    Ok(key)
}

fn hmac(key: &[u8], text: &str) -> Result<Hmac<Sha256>, ApiError> {
    // HMAC takes keys of any length; the type allows for MACs that are choosier.
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.map_err(|_| ApiError::internal("The signature cannot be checked"))?;
    mac.update(text.as_bytes());
    Ok(mac)
}
