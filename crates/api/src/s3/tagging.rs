//! Tags of buckets and objects.

use super::document::{self, Document, Element};
use super::error::{invalid_argument, malformed_xml};
use super::request::{Request, find_bucket};
use super::{schema, version};
use model::Tags;
use wire::{ApiError, HttpResponse, form};

pub const MAX_BUCKET_TAGS: usize = 50;
const MAX_OBJECT_TAGS: usize = 10;

pub fn get_bucket(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let bucket = find_bucket(&state, &request.bucket)?;
    if bucket.tags.is_empty() {
        let error = ApiError::not_found("NoSuchTagSet", "The TagSet does not exist");
        return Err(error.with_detail("BucketName", bucket.name.clone()));
    }
    Ok(answer(&bucket.tags))
}

pub fn put_bucket(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let tags = of_document(&request.document()?, MAX_BUCKET_TAGS)?;
    request.modify_bucket(|bucket| {
        bucket.tags = tags;
        Ok(())
    })?;
    Ok(HttpResponse::new(204))
}

pub fn delete_bucket(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    request.modify_bucket(|bucket| {
        bucket.tags.clear();
        Ok(())
    })?;
    Ok(HttpResponse::new(204))
}

pub fn get_object(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let state = request.snapshot();
    let object = version::find_body(&state, request)?;
    let response = answer(&object.tags);
    Ok(version::mark(
        response,
        find_bucket(&state, &request.bucket)?,
        &object.version,
    ))
}

pub fn put_object(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    let tags = of_document(&request.document()?, MAX_OBJECT_TAGS)?;
    change_object(request, tags, 200)
}

pub fn delete_object(request: &Request<'_>) -> Result<HttpResponse, ApiError> {
    change_object(request, Tags::new(), 204)
}

fn change_object(request: &Request<'_>, tags: Tags, status: u16) -> Result<HttpResponse, ApiError> {
    request.transact(|change| {
        let mut object = version::find_body(change.tx, request)?.clone();
        object.tags = tags;
        let bucket = find_bucket(change.tx, &request.bucket)?;
        let response = version::mark(HttpResponse::new(status), bucket, &object.version);
        change.tx.put(object);
        Ok(response)
    })
}

fn answer(tags: &Tags) -> HttpResponse {
    let mut set = Element::new("TagSet");
    for (key, value) in tags {
        let tag = Element::new("Tag")
            .with(Element::text("Key", key))
            .with(Element::text("Value", value));
        set.children.push(tag);
    }
    let body = Element::new("Tagging").with(set).document();
    HttpResponse::new(200).with_body("application/xml", body)
}

/// Tags of an object's document.
pub fn of_object_document(body: &[u8]) -> Result<Tags, ApiError> {
    of_document(body, MAX_OBJECT_TAGS)
}

fn of_document(body: &[u8], most: usize) -> Result<Tags, ApiError> {
    let document = document::parse(body, "Tagging")?;
    let document = schema::check(&document, &schema::TAGGING)?;
    of_set(document.child("TagSet").ok_or_else(malformed_xml)?, most)
}

/// Tags of a `TagSet`.
pub fn of_set(set: &Element, most: usize) -> Result<Tags, ApiError> {
    let tags = set.children.iter().map(|tag| {
        let text = |name| tag.get(name).unwrap_or_default().to_owned();
        (text("Key"), text("Value"))
    });
    checked(
        tags,
        most,
        "System tags cannot be added/updated by requester",
    )
}

/// Tags of the header `x-amz-tagging`, written like a query string.
pub fn of_header(request: &Request<'_>) -> Result<Tags, ApiError> {
    let header = request.header("x-amz-tagging").unwrap_or_default();
    let pairs = form::parse(header.as_bytes());
    let pairs = pairs.map_err(|_| invalid_argument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."))?;
    checked(
        pairs.into_iter().map(|(k, v)| (k.into(), v.into())),
        MAX_OBJECT_TAGS,
        "Your TagKey cannot be prefixed with aws:",
    )
}

/// `system` is what is said of names that AWS keeps to itself.
fn checked(
    tags: impl Iterator<Item = (String, String)>,
    most: usize,
    system: &str,
) -> Result<Tags, ApiError> {
    let invalid = |message: &str| ApiError::client("InvalidTag", message);
    let mut checked = Tags::new();
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(invalid("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(invalid("The TagValue you have provided is invalid"));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(system));
        }
        if checked.insert(key, value).is_some() {
            return Err(invalid("Cannot provide multiple Tags with the same key"));
        }
    }
    if checked.len() > most {
        let message = format!("Object tags cannot be greater than {most}");
        return Err(ApiError::client("BadRequest", message));
    }
    Ok(checked)
}
