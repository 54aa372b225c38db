//! POST Object: what a browser's form uploads, under a policy that whoever signed it wrote.
//!
//! The form is turned into the PUT it stands for, so that everything about objects is
//! decided in one place. What a policy says is checked here; who signed it is checked
//! where the key's secret is known, as with all calls.
//!
//! Source: `https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html`

use super::error::invalid_argument;
use super::form::{Form, Policy};
use super::request::Request;
use super::{Call, route, tagging};
use model::Scope;
use serde::Serialize;
use wire::auth::Credential;
use wire::{ApiError, HttpRequest, HttpResponse};

/// Fields that become headers of the PUT as they are, beside S3's own.
const HEADERS: &[&str] = &[
    "cache-control",
    "content-type",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];

/// Fields of S3's own that say who signed the policy.
const SIGNATURE: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PostResponse {
    location: String,
    bucket: String,
    key: String,
    #[serde(rename = "ETag")]
    etag: String,
}

pub fn post(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let form = Form::parse(request.http)?;
    let mut scope = request.scope.clone();
    let mut signed = false;
    if let Some(policy) = form.field("policy") {
        scope = signer(request, &form, policy)?;
        signed = true;
        Policy::decode(policy)?.check(&form, &request.bucket, request.now)?;
    }
    let key = key(&form)?;
    let put = Call {
        request: HttpRequest {
            method: "PUT".to_owned(),
            path: format!("/{}/{}", request.bucket, percent(&key)),
            query: String::new(),
            headers: headers(&form, signed)?,
            body: form.file.clone(),
        },
        scope,
        access_key: String::new(),
        now: request.now,
        request_id: request.id().to_owned(),
    };
    let stored = route::run(&request.with(&put)?)?;
    answer(request, &form, key, &stored)
}

/// The account that signed the policy.
fn signer(request: &Request<'_>, form: &Form, policy: &str) -> Result<Scope, ApiError> {
    let missing = |name: &str| {
        invalid_argument(format!(
            "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
        ))
    };
    // SigV2 has a key and a signature, and nothing of them can be checked without the secret.
    if let Some(key) = form.field("awsaccesskeyid") {
        form.field("signature")
            .ok_or_else(|| missing("signature"))?;
        return Ok(Scope::new(
            crate::sts::account_of(key),
            &request.scope.region,
        ));
    }
    let credential = form.field("x-amz-credential");
    let credential = credential.ok_or_else(|| missing("X-Amz-Credential"))?;
    let signature = form.field("x-amz-signature");
    let signature = signature.ok_or_else(|| missing("X-Amz-Signature"))?;
    let credential = Credential::parse(credential).ok_or_else(|| {
        ApiError::client(
            "AuthorizationQueryParametersError",
            "X-Amz-Credential is not of the form ID/DATE/REGION/s3/aws4_request",
        )
    })?;
    let state = request.snapshot();
    let of_user = state.access_keys.get(&credential.access_key);
    let of_role = state.session_credentials.get(&credential.access_key);
    let secret = of_user
        .map(|key| &key.secret)
        .or(of_role.map(|session| &session.secret_access_key));
    if let Some(secret) = secret {
        wire::signature::verify_text(policy, signature, &credential, secret)?;
    }
    let account = crate::sts::account_of(&credential.access_key);
    Ok(Scope::new(account, &request.scope.region))
}

/// `${filename}` in the key stands for the name of the uploaded file.
fn key(form: &Form) -> Result<String, ApiError> {
    let key = form.field("key").ok_or_else(|| {
        invalid_argument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
        )
    })?;
    let key = key.replace("${filename}", &form.file_name);
    match key.as_str() {
        "" => Err(invalid_argument(
            "User key must have a length greater than 0.",
        )),
        _ => Ok(key),
    }
}

fn headers(form: &Form, signed: bool) -> Result<Vec<(String, String)>, ApiError> {
    let mut headers = Vec::new();
    if signed {
        // Not anonymous; who it is stands in the call's scope.
        headers.push(("authorization".to_owned(), "policy".to_owned()));
    }
    for (name, value) in &form.fields {
        let own = name.starts_with("x-amz-") && !SIGNATURE.contains(&name.as_str());
        match name.as_str() {
            "acl" => headers.push(("x-amz-acl".to_owned(), value.clone())),
            "tagging" => {
                let tags = tagging::of_object_document(value.as_bytes())?;
                let pairs = tags
                    .iter()
                    .map(|(k, v)| format!("{}={}", percent(k), percent(v)));
                let pairs: Vec<String> = pairs.collect();
                headers.push(("x-amz-tagging".to_owned(), pairs.join("&")));
            }
            name if own || HEADERS.contains(&name) => {
                headers.push((name.to_owned(), value.clone()));
            }
            _ => {}
        }
    }
    Ok(headers)
}

fn percent(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// As the form asked: a redirection, or a status.
fn answer(
    request: &Request<'_>,
    form: &Form,
    key: String,
    stored: &HttpResponse,
) -> Result<HttpResponse, ApiError> {
    let etag = stored.header("etag").unwrap_or_default().to_owned();
    let location = format!("/{}/{}", request.bucket, percent(&key));
    let redirect = form
        .field("success_action_redirect")
        .or_else(|| form.field("redirect"));
    if let Some(to) = redirect.filter(|to| to.starts_with("http://") || to.starts_with("https://"))
    {
        let mark = if to.contains('?') { '&' } else { '?' };
        let (bucket, quoted) = (percent(&request.bucket), percent(&etag));
        let to = format!(
            "{to}{mark}bucket={bucket}&key={}&etag={quoted}",
            percent(&key)
        );
        return Ok(HttpResponse::new(303)
            .with_header("location", to)
            .with_header("etag", etag));
    }
    let response = match form.field("success_action_status") {
        Some("200") => HttpResponse::new(200),
        Some("201") => {
            let body = PostResponse {
                location: location.clone(),
                bucket: request.bucket.clone(),
                key,
                etag: etag.clone(),
            };
            let mut response = super::request::xml("PostResponse", &body)?;
            response.status = 201;
            response
        }
        _ => HttpResponse::new(204),
    };
    let mut response = response
        .with_header("etag", etag)
        .with_header("location", location);
    if let Some(version) = stored.header("x-amz-version-id") {
        response = response.with_header("x-amz-version-id", version.to_owned());
    }
    Ok(response)
}
