//! One certificate, in full and in PEM.

use super::error::{Result, client};
use super::request::Options;
use super::{CertificateArn, find, in_use_by};
use crate::Ctx;
use crate::certificate::{Facts, facts};
use model::acm::{Certificate, CertificateOrigin};
use serde::Serialize;
use wire::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneCertificate {
    certificate: Detail,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Detail {
    certificate_arn: String,
    domain_name: String,
    subject_alternative_names: Vec<String>,
    domain_validation_options: Option<Vec<DomainValidation>>,
    serial: Option<String>,
    subject: Option<String>,
    issuer: Option<String>,
    created_at: Timestamp,
    issued_at: Option<Timestamp>,
    imported_at: Option<Timestamp>,
    status: &'static str,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    key_algorithm: String,
    signature_algorithm: Option<String>,
    in_use_by: Vec<String>,
    r#type: &'static str,
    key_usages: Vec<KeyUsage>,
    extended_key_usages: Vec<ExtendedKeyUsage>,
    renewal_eligibility: &'static str,
    options: Options,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DomainValidation {
    domain_name: String,
    validation_domain: String,
    validation_status: &'static str,
    resource_record: ResourceRecord,
    validation_method: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceRecord {
    name: String,
    r#type: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyUsage {
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExtendedKeyUsage {
    name: &'static str,
    #[serde(rename = "OID")]
    oid: String,
}

pub fn said_by(certificate: &Certificate) -> Option<Facts> {
    facts(&certificate.material.as_ref()?.body)
}

pub fn status(facts: Option<&Facts>, now: jiff::Timestamp) -> &'static str {
    match facts {
        None => "PENDING_VALIDATION",
        Some(facts) if facts.not_after <= now => "EXPIRED",
        Some(_) => "ISSUED",
    }
}

pub fn key_algorithm(certificate: &Certificate, facts: Option<&Facts>) -> String {
    match (&certificate.origin, facts) {
        (CertificateOrigin::Requested { key_algorithm, .. }, _) => key_algorithm.clone(),
        (_, facts) => facts.map_or_else(String::new, |f| f.key_algorithm.to_owned()),
    }
}

pub fn describe(ctx: &mut Ctx, input: CertificateArn) -> Result<OneCertificate> {
    let certificate = find(ctx, &input.certificate_arn)?;
    let facts = said_by(&certificate);
    let status = status(facts.as_ref(), ctx.now);
    let issued = certificate.issued.map(Timestamp::from);
    let (kind, validations, options, issued_at, imported_at) = match &certificate.origin {
        CertificateOrigin::Imported => ("IMPORTED", None, Options::of(false), None, issued),
        CertificateOrigin::Requested {
            transparency_logging,
            ..
        } => (
            "AMAZON_ISSUED",
            Some(validations(&certificate)),
            Options::of(*transparency_logging),
            issued,
            None,
        ),
    };
    let in_use_by = in_use_by(ctx, &certificate.arn);
    let renewed = kind == "AMAZON_ISSUED" && !in_use_by.is_empty();
    let key_algorithm = key_algorithm(&certificate, facts.as_ref());
    let facts = facts.as_ref();
    let usages = facts.map(|f| f.key_usages.as_slice()).unwrap_or_default();
    let extended = facts
        .map(|f| f.extended_key_usages.as_slice())
        .unwrap_or_default();
    Ok(OneCertificate {
        certificate: Detail {
            certificate_arn: certificate.arn.clone(),
            domain_name: certificate.domain_name.clone(),
            subject_alternative_names: certificate.names.clone(),
            domain_validation_options: validations,
            serial: facts.map(|f| f.serial.clone()),
            subject: facts.map(|f| f.subject.clone()),
            issuer: facts.map(|f| f.issuer.clone()),
            created_at: certificate.created.into(),
            issued_at,
            imported_at,
            status,
            not_before: facts.map(|f| f.not_before.into()),
            not_after: facts.map(|f| f.not_after.into()),
            key_algorithm,
            signature_algorithm: facts.map(|f| f.signature_algorithm.clone()),
            in_use_by,
            r#type: kind,
            key_usages: usages.iter().map(|name| KeyUsage { name }).collect(),
            extended_key_usages: extended
                .iter()
                .map(|(name, oid)| ExtendedKeyUsage {
                    name,
                    oid: oid.clone(),
                })
                .collect(),
            renewal_eligibility: if renewed { "ELIGIBLE" } else { "INELIGIBLE" },
            options,
        },
    })
}

/// As AWS describes them. The record is never looked up: see the module's header.
fn validations(certificate: &Certificate) -> Vec<DomainValidation> {
    let validation_status = match certificate.issued {
        Some(_) => "SUCCESS",
        None => "PENDING_VALIDATION",
    };
    let validation = |domain: &String| {
        let (name, value) = model::acm::validation_record(&certificate.scope.account, domain);
        DomainValidation {
            domain_name: domain.clone(),
            validation_domain: domain.clone(),
            validation_status,
            resource_record: ResourceRecord {
                name,
                r#type: "CNAME",
                value,
            },
            validation_method: "DNS",
        }
    };
    certificate.names.iter().map(validation).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pem {
    certificate: String,
    certificate_chain: Option<String>,
}

pub fn get(ctx: &mut Ctx, input: CertificateArn) -> Result<Pem> {
    let certificate = find(ctx, &input.certificate_arn)?;
    match &certificate.material {
        Some(material) => Ok(Pem {
            certificate: material.body.clone(),
            certificate_chain: material.chain.clone(),
        }),
        None => Err(client(
            "RequestInProgressException",
            format!(
                "The certificate {} has not been issued yet.",
                certificate.arn
            ),
        )),
    }
}
