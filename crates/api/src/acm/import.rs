//! Certificates brought along, with their keys.

use super::error::{Result, client, validation};
use super::tag::{self, Tag};
use super::{find, new_arn};
use crate::Ctx;
use crate::certificate::{self, Facts, Unfit};
use model::Tags;
use model::acm::{Certificate, CertificateMaterial, CertificateOrigin};
use serde::{Deserialize, Serialize};
use wire::{ApiError, Blob};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImportCertificate {
    /// Replaces that one.
    certificate_arn: Option<String>,
    certificate: Blob,
    private_key: Blob,
    certificate_chain: Option<Blob>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImportedCertificate {
    certificate_arn: String,
}

pub fn import(ctx: &mut Ctx, input: ImportCertificate) -> Result<ImportedCertificate> {
    let body = text(input.certificate, "certificate")?;
    let private_key = text(input.private_key, "private key")?;
    let chain = input
        .certificate_chain
        .map(|chain| text(chain, "certificate chain"));
    let chain = chain.transpose()?.filter(|chain| !chain.trim().is_empty());
    let facts = certificate::check(&body, chain.as_deref(), &private_key).map_err(unfit)?;
    check_time(ctx, &facts)?;
    let old = input
        .certificate_arn
        .map(|arn| find(ctx, &arn))
        .transpose()?;
    let mut tags = Tags::new();
    if let Some(old) = &old {
        if old.origin != CertificateOrigin::Imported {
            return Err(validation(format!(
                "{} is not an imported certificate.",
                old.arn
            )));
        }
        if !input.tags.is_empty() {
            return Err(client(
                "InvalidParameterException",
                "Tagging is not permitted on re-import.",
            ));
        }
        tags.clone_from(&old.tags);
    }
    tag::extend(&mut tags, &input.tags)?;
    let (arn, created) = match &old {
        Some(old) => (old.arn.clone(), old.created),
        None => (new_arn(ctx)?, ctx.now),
    };
    ctx.tx.put(Certificate {
        arn: arn.clone(),
        scope: ctx.scope.clone(),
        domain_name: facts.names.first().cloned().unwrap_or_default(),
        names: facts.names,
        origin: CertificateOrigin::Imported,
        material: Some(CertificateMaterial {
            body,
            chain,
            private_key,
        }),
        created,
        issued: Some(ctx.now),
        tags,
    });
    Ok(ImportedCertificate {
        certificate_arn: arn,
    })
}

fn text(blob: Blob, what: &str) -> Result<String> {
    let text = String::from_utf8(blob.0)
        .ok()
        .filter(|text| !text.is_empty());
    text.ok_or_else(|| {
        validation(format!(
            "The {what} that you specified is not in PEM format."
        ))
    })
}

fn unfit(why: Unfit) -> ApiError {
    validation(match why {
        Unfit::Certificate => {
            "The certificate field contains more than one certificate, or is not a valid X.509 certificate in PEM format. You must specify only one certificate in this field."
        }
        Unfit::Chain => "The certificate chain is not in a valid PEM format.",
        Unfit::ChainOrder => "Could not validate the certificate with the certificate chain.",
        Unfit::Key => "The private key is not in a valid PEM format, or is encrypted.",
        Unfit::KeyKind => {
            "The private key is not supported: this cloud serves RSA keys of 2048 to 8192 bits and EC keys on the curves P-256 and P-384."
        }
        Unfit::Mismatch => {
            "The certificate's public key does not match the private key that you specified."
        }
    })
}

fn check_time(ctx: &Ctx, facts: &Facts) -> Result<()> {
    if facts.not_after <= ctx.now {
        return Err(validation("The certificate has expired."));
    }
    if ctx.now < facts.not_before {
        return Err(validation("The certificate is not valid yet."));
    }
    Ok(())
}
