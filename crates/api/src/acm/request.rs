//! Certificates that the cloud is asked to issue.

use super::error::{Result, invalid, validation};
use super::tag::{self, Tag};
use super::{Done, find, name, new_arn};
use crate::Ctx;
use jiff::SignedDuration;
use model::Tags;
use model::acm::{Certificate, CertificateOrigin};
use model::event::Severity;
use serde::{Deserialize, Serialize};

/// Additional names of one certificate, by default.
const MAX_NAMES: usize = 10;
/// For so long a repeated request with the same token is the same request.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(1);
const DEFAULT_KEY: &str = "EC_prime256v1";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestCertificate {
    domain_name: String,
    validation_method: Option<String>,
    #[serde(default)]
    subject_alternative_names: Vec<String>,
    idempotency_token: Option<String>,
    #[serde(default)]
    domain_validation_options: Vec<DomainValidationOption>,
    options: Option<Options>,
    certificate_authority_arn: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    key_algorithm: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DomainValidationOption {
    domain_name: String,
    validation_domain: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Options {
    certificate_transparency_logging_preference: Option<String>,
    export: Option<String>,
}

impl Options {
    pub fn of(transparency_logging: bool) -> Self {
        let preference = if transparency_logging {
            "ENABLED"
        } else {
            "DISABLED"
        };
        Self {
            certificate_transparency_logging_preference: Some(preference.into()),
            export: Some("DISABLED".into()),
        }
    }

    /// Whether certificates shall be logged publicly, as far as one can here.
    fn transparency_logging(&self) -> Result<Option<bool>> {
        if self
            .export
            .as_deref()
            .is_some_and(|export| export != "DISABLED")
        {
            return Err(invalid(
                "Exportable certificates are not supported by this cloud.",
            ));
        }
        match self.certificate_transparency_logging_preference.as_deref() {
            None => Ok(None),
            Some("ENABLED") => Ok(Some(true)),
            Some("DISABLED") => Ok(Some(false)),
            Some(other) => Err(validation(format!(
                "1 validation error detected: Value '{other}' at 'options.certificateTransparencyLoggingPreference' failed to satisfy constraint: Member must satisfy enum value set: [ENABLED, DISABLED]"
            ))),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestedCertificate {
    certificate_arn: String,
}

pub fn request(ctx: &mut Ctx, input: RequestCertificate) -> Result<RequestedCertificate> {
    check_validation(&input)?;
    if input.certificate_authority_arn.is_some() {
        return Err(invalid(
            "There are no private certificate authorities in this cloud: leave out CertificateAuthorityArn, and the cloud's own authority issues the certificate.",
        ));
    }
    let key_algorithm = key_algorithm(input.key_algorithm.as_deref())?;
    let names = names(&input)?;
    for option in &input.domain_validation_options {
        let known = names.contains(&option.domain_name);
        if !known
            || !option
                .domain_name
                .ends_with(option.validation_domain.as_str())
        {
            return Err(super::error::client(
                "InvalidDomainValidationOptionsException",
                format!(
                    "The validation domain {} does not fit {}.",
                    option.validation_domain, option.domain_name
                ),
            ));
        }
    }
    let logging = input.options.as_ref().map(Options::transparency_logging);
    let origin = CertificateOrigin::Requested {
        key_algorithm: key_algorithm.to_owned(),
        transparency_logging: logging.transpose()?.flatten().unwrap_or(true),
        idempotency_token: input.idempotency_token,
    };
    if let Some(existing) = same_request(ctx, &origin, &names) {
        return Ok(RequestedCertificate {
            certificate_arn: existing,
        });
    }
    let mut tags = Tags::new();
    tag::extend(&mut tags, &input.tags)?;
    let arn = new_arn(ctx)?;
    if input.key_algorithm.is_none() {
        ctx.tx.event(
            ctx.now,
            Severity::Info,
            &arn,
            "certificate",
            format!("gets a key of kind {DEFAULT_KEY}: where none is asked for, AWS makes RSA_2048, which this cloud cannot"),
        );
    }
    ctx.tx.put(Certificate {
        arn: arn.clone(),
        scope: ctx.scope.clone(),
        domain_name: input.domain_name.to_ascii_lowercase(),
        names,
        origin,
        material: None,
        created: ctx.now,
        issued: None,
        tags,
    });
    Ok(RequestedCertificate {
        certificate_arn: arn,
    })
}

fn check_validation(input: &RequestCertificate) -> Result<()> {
    match input.validation_method.as_deref() {
        Some("DNS") => Ok(()),
        Some("EMAIL") | None => Err(invalid(
            "This cloud sends no mail: certificates cannot be validated by EMAIL (the default). Use ValidationMethod DNS.",
        )),
        Some(other) => Err(validation(format!(
            "1 validation error detected: Value '{other}' at 'validationMethod' failed to satisfy constraint: Member must satisfy enum value set: [EMAIL, DNS, HTTP]"
        ))),
    }
}

/// No library that this cloud trusts makes RSA keys, and another kind than was asked for would be a
/// surprise.
fn key_algorithm(asked: Option<&str>) -> Result<&'static str> {
    match asked {
        None | Some("EC_prime256v1") => Ok(DEFAULT_KEY),
        Some("EC_secp384r1") => Ok("EC_secp384r1"),
        Some(other) => Err(invalid(format!(
            "This cloud issues certificates with keys of kind EC_prime256v1 and EC_secp384r1 only, not '{other}'; import one with an RSA key."
        ))),
    }
}

/// Domain name first, each once, in lower case.
fn names(input: &RequestCertificate) -> Result<Vec<String>> {
    name::check(&input.domain_name, "domainName")?;
    let mut names = vec![input.domain_name.to_ascii_lowercase()];
    for (additional, at) in input.subject_alternative_names.iter().zip(1..) {
        name::check(additional, &format!("subjectAlternativeNames.{at}.member"))?;
        let additional = additional.to_ascii_lowercase();
        if !names.contains(&additional) {
            names.push(additional);
        }
    }
    if MAX_NAMES < names.len() {
        return Err(super::error::limit(format!(
            "Subject Alternative Name limit exceeded: {MAX_NAMES}"
        )));
    }
    Ok(names)
}

fn same_request(ctx: &Ctx, origin: &CertificateOrigin, names: &[String]) -> Option<String> {
    let CertificateOrigin::Requested {
        idempotency_token: Some(_),
        ..
    } = origin
    else {
        return None;
    };
    let mut certificates = ctx.tx.certificates.values();
    let same = certificates.find(|c| {
        c.scope == ctx.scope
            && c.origin == *origin
            && c.names == names
            && ctx.now.duration_since(c.created) < TOKEN_LIFE
    });
    same.map(|c| c.arn.clone())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateCertificateOptions {
    certificate_arn: String,
    options: Options,
}

pub fn update_options(ctx: &mut Ctx, input: UpdateCertificateOptions) -> Result<Done> {
    let mut certificate = Certificate::clone(&*find(ctx, &input.certificate_arn)?);
    let CertificateOrigin::Requested {
        transparency_logging,
        ..
    } = &mut certificate.origin
    else {
        return Err(super::error::client(
            "InvalidStateException",
            "Options of an imported certificate cannot be changed.",
        ));
    };
    if let Some(preference) = input.options.transparency_logging()? {
        *transparency_logging = preference;
    }
    ctx.tx.put(certificate);
    Ok(Done {})
}
