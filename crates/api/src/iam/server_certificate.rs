//! Server certificates: what HTTPS listeners serve where ACM is not used.

use super::error::{Result, already_exists, check_name, no_such_entity, path};
use super::tag::{self, Tag, TagList};
use super::{global, page, unique_id};
use crate::Ctx;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::iam::ServerCertificate;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Timestamp};

const MAX_NAME: usize = 128;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    path: String,
    server_certificate_name: String,
    server_certificate_id: String,
    arn: String,
    upload_date: Timestamp,
    expiration: Timestamp,
}

fn metadata(certificate: &ServerCertificate) -> Metadata {
    Metadata {
        path: certificate.path.clone(),
        server_certificate_name: certificate.name.clone(),
        server_certificate_id: certificate.id.clone(),
        arn: certificate.arn.clone(),
        upload_date: certificate.uploaded.into(),
        expiration: certificate.expiration.into(),
    }
}

fn tags_of(certificate: &ServerCertificate) -> Option<Vec<Tag>> {
    Some(tag::list(&certificate.tags)).filter(|tags| !tags.is_empty())
}

fn find(ctx: &Ctx, name: &str) -> Result<Arc<ServerCertificate>> {
    let key = ScopedName::new(&global(ctx), name);
    let found = ctx.tx.server_certificates.get(&key);
    found.cloned().ok_or_else(|| {
        no_such_entity(format!(
            "The Server Certificate with name {name} cannot be found."
        ))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadServerCertificate {
    server_certificate_name: String,
    certificate_body: String,
    private_key: String,
    certificate_chain: Option<String>,
    path: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadedServerCertificate {
    server_certificate_metadata: Metadata,
    tags: Option<Vec<Tag>>,
}

pub fn upload(ctx: &mut Ctx, input: UploadServerCertificate) -> Result<UploadedServerCertificate> {
    let name = input.server_certificate_name;
    check_name(&name, "serverCertificateName", MAX_NAME)?;
    let path = path(input.path)?;
    let tags = tag::of(&input.tags)?;
    let malformed = |what: &str| {
        ApiError::client(
            "MalformedCertificate",
            format!("Unable to parse {what}. Please ensure the {what} is in PEM format."),
        )
    };
    let body = input.certificate_body.trim().to_owned();
    let expiration = pem(&body, "CERTIFICATE")
        .and_then(|der| not_after(&der))
        .ok_or_else(|| malformed("certificate"))?;
    if let Some(chain) = &input.certificate_chain {
        pem(chain, "CERTIFICATE").ok_or_else(|| malformed("certificate chain"))?;
    }
    pem(&input.private_key, "PRIVATE KEY").ok_or_else(|| malformed("key"))?;
    let scope = global(ctx);
    let mut certificates = ctx
        .tx
        .server_certificates
        .values()
        .filter(|c| c.scope == scope);
    if certificates.any(|c| c.name.eq_ignore_ascii_case(&name)) {
        return Err(already_exists(format!(
            "The Server Certificate with name {name} already exists."
        )));
    }
    let certificate = ServerCertificate {
        arn: format!(
            "arn:aws:iam::{}:server-certificate{path}{name}",
            scope.account
        ),
        scope,
        name,
        id: unique_id("ASCA"),
        path,
        body,
        chain: input.certificate_chain.map(|chain| chain.trim().to_owned()),
        private_key: input.private_key,
        uploaded: ctx.now,
        expiration,
        tags,
    };
    let answer = UploadedServerCertificate {
        server_certificate_metadata: metadata(&certificate),
        tags: tags_of(&certificate),
    };
    ctx.tx.put(certificate);
    Ok(answer)
}

/// The first block of PEM whose label ends in `label`, decoded.
fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (found, rest) = rest.split_once("-----")?;
    let (encoded, _) = rest.split_once(&format!("-----END {found}-----"))?;
    if !found.ends_with(label) {
        return None;
    }
    let compact: String = encoded.split_ascii_whitespace().collect();
    STANDARD.decode(compact).ok().filter(|der| !der.is_empty())
}

/// When a certificate (RFC 5280 §4.1) ends: the second time of its `validity`.
fn not_after(certificate: &[u8]) -> Option<jiff::Timestamp> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const UTC_TIME: u8 = 0x17;
    let mut outer = element(&mut { certificate }, SEQUENCE)?;
    let mut fields = element(&mut outer, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        any_element(&mut fields)?;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        any_element(&mut fields)?;
    }
    let mut validity = element(&mut fields, SEQUENCE)?;
    any_element(&mut validity)?;
    let (tag, time) = any_element(&mut validity)?;
    let digits = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    // Two digits of a year mean 1950 to 2049.
    let full = match (tag, digits.get(..2)?.parse::<u32>().ok()?) {
        (UTC_TIME, 50..) => format!("19{digits}"),
        (UTC_TIME, _) => format!("20{digits}"),
        _ => digits.to_owned(),
    };
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", &full).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// The content of the next DER element, which must have that tag.
fn element<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    any_element(rest)
        .filter(|(found, _)| *found == tag)
        .map(|(_, content)| content)
}

/// Tag and content of the next DER element; `rest` goes behind it.
fn any_element<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, tail) = rest.split_first()?;
    let (first, mut tail) = tail.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(*first),
        0x81..=0x84 => {
            let (digits, after) = tail.split_at_checked(usize::from(first & 0x7f))?;
            tail = after;
            digits
                .iter()
                .fold(0, |n, digit| n << 8 | usize::from(*digit))
        }
        _ => return None,
    };
    let (content, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some((*tag, content))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerCertificateName {
    server_certificate_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneServerCertificate {
    server_certificate: Shape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    server_certificate_metadata: Metadata,
    certificate_body: String,
    certificate_chain: Option<String>,
    tags: Option<Vec<Tag>>,
}

pub fn get(ctx: &mut Ctx, input: ServerCertificateName) -> Result<OneServerCertificate> {
    let certificate = find(ctx, &input.server_certificate_name)?;
    Ok(OneServerCertificate {
        server_certificate: Shape {
            server_certificate_metadata: metadata(&certificate),
            certificate_body: certificate.body.clone(),
            certificate_chain: certificate.chain.clone(),
            tags: tags_of(&certificate),
        },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListServerCertificates {
    path_prefix: Option<String>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerCertificates {
    server_certificate_metadata_list: Vec<Metadata>,
    is_truncated: bool,
    marker: Option<String>,
}

pub fn list(ctx: &mut Ctx, input: ListServerCertificates) -> Result<ServerCertificates> {
    let scope = global(ctx);
    let prefix = input.path_prefix.unwrap_or_default();
    let all = ctx.tx.server_certificates.values();
    let mine = all.filter(|c| c.scope == scope && c.path.starts_with(&prefix));
    let (found, marker) = page::of(
        mine,
        |c| c.name.clone(),
        input.max_items,
        input.marker.as_deref(),
    )?;
    Ok(ServerCertificates {
        server_certificate_metadata_list: found.into_iter().map(|c| metadata(c)).collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

/// Listeners hold the ARN; one that still names it keeps it from going.
pub fn delete(ctx: &mut Ctx, input: ServerCertificateName) -> Result<()> {
    let certificate = find(ctx, &input.server_certificate_name)?;
    let mut listeners = ctx.tx.listeners.values();
    if let Some(listener) = listeners.find(|l| l.certificates.contains(&certificate.arn)) {
        return Err(super::error::delete_conflict(format!(
            "Certificate: {} is currently in use by {}. Please remove it first before deleting it from IAM.",
            certificate.id, listener.arn
        )));
    }
    let key = ScopedName::new(&certificate.scope, &certificate.name);
    ctx.tx.remove::<ServerCertificate>(&key);
    Ok(())
}

fn modify(
    ctx: &mut Ctx,
    name: &str,
    change: impl FnOnce(&mut ServerCertificate) -> Result<()>,
) -> Result<()> {
    let mut certificate = ServerCertificate::clone(&*find(ctx, name)?);
    change(&mut certificate)?;
    ctx.tx.put(certificate);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagServerCertificate {
    server_certificate_name: String,
    tags: Vec<Tag>,
}

pub fn tag(ctx: &mut Ctx, input: TagServerCertificate) -> Result<()> {
    modify(ctx, &input.server_certificate_name, |c| {
        tag::add(&mut c.tags, &input.tags)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagServerCertificate {
    server_certificate_name: String,
    tag_keys: Vec<String>,
}

pub fn untag(ctx: &mut Ctx, input: UntagServerCertificate) -> Result<()> {
    modify(ctx, &input.server_certificate_name, |certificate| {
        certificate
            .tags
            .retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListServerCertificateTags {
    server_certificate_name: String,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

/// At most 50 tags: one page.
pub fn list_tags(ctx: &mut Ctx, input: ListServerCertificateTags) -> Result<TagList> {
    Ok(TagList {
        tags: tag::list(&find(ctx, &input.server_certificate_name)?.tags),
        is_truncated: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that has the places of a certificate.
    fn certificate(time: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| {
            [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
        };
        let validity = [wrap(0x17, b"250101000000Z"), time.to_vec()].concat();
        let fields = [
            wrap(0xa0, &[2, 1, 2]),
            wrap(0x02, &[1]),
            wrap(0x30, &[]),
            wrap(0x30, &[]),
            wrap(0x30, &validity),
        ];
        wrap(0x30, &wrap(0x30, &fields.concat()))
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        let check = |time: &[u8], expected: Option<&str>| {
            let got = not_after(&certificate(time)).map(|t| t.to_string());
            assert_eq!(got.as_deref(), expected);
        };
        check(b"\x17\x0d260102030405Z", Some("2026-01-02T03:04:05Z"));
        check(b"\x17\x0d600102030405Z", Some("1960-01-02T03:04:05Z"));
        check(b"\x18\x0f20600102030405Z", Some("2060-01-02T03:04:05Z"));
        check(b"\x17\x0d26010203040", None);
        assert_eq!(not_after(b"\x30\x84\xff\xff\xff\xff"), None);
        assert_eq!(not_after(b""), None);
    }

    #[test]
    fn pem_is_read() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nAAEC\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(pem(text, "PRIVATE KEY"), Some(vec![0, 1, 2]));
        assert_eq!(pem(text, "CERTIFICATE"), None);
        assert_eq!(pem("-----BEGIN X-----\nAAEC", "X"), None);
    }
}
