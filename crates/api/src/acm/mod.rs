//! Certificate Manager: certificates that are imported, and those that the cloud issues itself.
//!
//! A requested certificate is issued by `control::certificate`, signed by the cloud's own
//! authority. There are no hosted zones here in which a validation record could appear, so nobody's
//! control over a name is checked; the records are described as on AWS, and an event says what was
//! not checked. Whoever trusts the authority's certificate (`nines ca`) trusts what it issued.

mod describe;
mod error;
mod import;
mod listing;
mod name;
mod request;
mod tag;
#[cfg(test)]
mod tests;

use crate::Ctx;
use error::Result;
use model::acm::Certificate;
use serde::Deserialize;
use std::sync::Arc;
use wire::{Service, action};

/// Certificates of one account and region (`docs.aws.amazon.com/acm/latest/userguide/acm-limits.html`).
const MAX_CERTIFICATES: usize = 2500;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2015-12-08",
        json_target_prefix: Some("CertificateManager"),
        reject: error::reject,
        actions: vec![
            action("RequestCertificate", request::request),
            action("ImportCertificate", import::import),
            action("DescribeCertificate", describe::describe),
            action("GetCertificate", describe::get),
            action("ListCertificates", listing::list),
            action("DeleteCertificate", delete),
            action("UpdateCertificateOptions", request::update_options),
            action("AddTagsToCertificate", tag::add),
            action("RemoveTagsFromCertificate", tag::remove),
            action("ListTagsForCertificate", tag::list),
        ],
        ..Service::new("acm")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CertificateArn {
    certificate_arn: String,
}

/// The answer of actions without output, which JSON writes as an empty object.
#[derive(serde::Serialize)]
pub struct Done {}

fn find(ctx: &Ctx, arn: &str) -> Result<Arc<Certificate>> {
    let prefix = ctx.scope.arn("acm", "certificate/");
    let is_arn = arn.starts_with("arn:aws:acm:") && arn.contains(":certificate/");
    if !is_arn {
        return Err(error::invalid_arn(arn));
    }
    let found = ctx
        .tx
        .certificates
        .get(arn)
        .filter(|_| arn.starts_with(&prefix));
    found
        .cloned()
        .ok_or_else(|| error::not_found(&ctx.scope, arn))
}

fn new_arn(ctx: &Ctx) -> Result<String> {
    let mine = ctx
        .tx
        .certificates
        .values()
        .filter(|c| c.scope == ctx.scope);
    if MAX_CERTIFICATES <= mine.count() {
        return Err(error::limit(format!(
            "Error: you have reached your limit of {MAX_CERTIFICATES} certificates in the last year."
        )));
    }
    let id = uuid::Uuid::new_v4();
    Ok(ctx.scope.arn("acm", format_args!("certificate/{id}")))
}

/// Load balancers whose listeners serve it.
fn in_use_by(ctx: &Ctx, arn: &str) -> Vec<String> {
    let listeners = ctx.tx.listeners.values();
    let users = listeners.filter(|l| l.certificates.iter().any(|c| c == arn));
    let mut users: Vec<String> = users.map(|l| l.load_balancer.clone()).collect();
    users.sort_unstable();
    users.dedup();
    users
}

fn delete(ctx: &mut Ctx, input: CertificateArn) -> Result<Done> {
    let certificate = find(ctx, &input.certificate_arn)?;
    if !in_use_by(ctx, &certificate.arn).is_empty() {
        return Err(error::client(
            "ResourceInUseException",
            format!(
                "Certificate {} in account {} is in use.",
                certificate.arn, ctx.scope.account
            ),
        ));
    }
    ctx.tx.remove::<Certificate>(&certificate.arn);
    Ok(Done {})
}
