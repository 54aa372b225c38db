//! All certificates, page by page.

use super::describe::{key_algorithm, said_by, status};
use super::error::{Result, client, validation};
use super::in_use_by;
use crate::Ctx;
use model::acm::{Certificate, CertificateOrigin};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

const MAX_PAGE: usize = 1000;
const STATUSES: &[&str] = &[
    "PENDING_VALIDATION",
    "ISSUED",
    "INACTIVE",
    "EXPIRED",
    "VALIDATION_TIMED_OUT",
    "REVOKED",
    "FAILED",
];
/// What is listed unless key types are asked for.
const DEFAULT_KEYS: &[&str] = &["RSA_1024", "RSA_2048"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCertificates {
    #[serde(default)]
    certificate_statuses: Vec<String>,
    includes: Option<Filters>,
    next_token: Option<String>,
    max_items: Option<i64>,
    sort_by: Option<String>,
    sort_order: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filters {
    #[serde(default)]
    extended_key_usage: Vec<String>,
    #[serde(default)]
    key_usage: Vec<String>,
    #[serde(default)]
    key_types: Vec<String>,
    export_option: Option<String>,
    managed_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Certificates {
    certificate_summary_list: Vec<Summary>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    certificate_arn: String,
    domain_name: String,
    subject_alternative_name_summaries: Vec<String>,
    has_additional_subject_alternative_names: bool,
    status: &'static str,
    r#type: &'static str,
    key_algorithm: String,
    key_usages: Vec<&'static str>,
    extended_key_usages: Vec<&'static str>,
    export_option: &'static str,
    in_use: bool,
    renewal_eligibility: &'static str,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    created_at: Timestamp,
    issued_at: Option<Timestamp>,
    imported_at: Option<Timestamp>,
}

fn summary(ctx: &Ctx, certificate: &Certificate) -> Summary {
    let facts = said_by(certificate);
    let facts = facts.as_ref();
    let imported = certificate.origin == CertificateOrigin::Imported;
    let issued = certificate.issued.map(Timestamp::from);
    let in_use = !in_use_by(ctx, &certificate.arn).is_empty();
    let extended = facts
        .map(|f| f.extended_key_usages.as_slice())
        .unwrap_or_default();
    Summary {
        certificate_arn: certificate.arn.clone(),
        domain_name: certificate.domain_name.clone(),
        subject_alternative_name_summaries: certificate.names.clone(),
        has_additional_subject_alternative_names: false,
        status: status(facts, ctx.now),
        r#type: if imported {
            "IMPORTED"
        } else {
            "AMAZON_ISSUED"
        },
        key_algorithm: key_algorithm(certificate, facts),
        key_usages: facts.map(|f| f.key_usages.clone()).unwrap_or_default(),
        extended_key_usages: extended.iter().map(|(name, _)| *name).collect(),
        export_option: "DISABLED",
        in_use,
        renewal_eligibility: if in_use && !imported {
            "ELIGIBLE"
        } else {
            "INELIGIBLE"
        },
        not_before: facts.map(|f| f.not_before.into()),
        not_after: facts.map(|f| f.not_after.into()),
        created_at: certificate.created.into(),
        issued_at: issued.filter(|_| !imported),
        imported_at: issued.filter(|_| imported),
    }
}

impl Filters {
    fn lets_through(&self, summary: &Summary) -> bool {
        let any = |wanted: &[String], has: &[&str]| {
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|w| w == "ANY" || has.contains(&w.as_str()))
        };
        let key = summary.key_algorithm.as_str();
        let key_fits = match self.key_types.as_slice() {
            [] => DEFAULT_KEYS.contains(&key),
            wanted => wanted.iter().any(|w| w == key),
        };
        let managed = self.managed_by.is_some();
        let exportable = self.export_option.as_deref() == Some("ENABLED");
        key_fits
            && !managed
            && !exportable
            && any(&self.key_usage, &summary.key_usages)
            && any(&self.extended_key_usage, &summary.extended_key_usages)
    }
}

pub fn list(ctx: &mut Ctx, input: ListCertificates) -> Result<Certificates> {
    if let Some(unknown) = input
        .certificate_statuses
        .iter()
        .find(|s| !STATUSES.contains(&s.as_str()))
    {
        return Err(validation(format!(
            "1 validation error detected: Value '{unknown}' at 'certificateStatuses' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            STATUSES.join(", ")
        )));
    }
    let limit = match input.max_items {
        None => MAX_PAGE,
        Some(n) => usize::try_from(n).ok().filter(|n| (1..=MAX_PAGE).contains(n)).ok_or_else(|| {
            validation(format!("1 validation error detected: Value '{n}' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and {MAX_PAGE}"))
        })?,
    };
    let descending = match (input.sort_by.as_deref(), input.sort_order.as_deref()) {
        (None, None) => None,
        (Some("CREATED_AT"), Some("ASCENDING")) => Some(false),
        (Some("CREATED_AT"), Some("DESCENDING")) => Some(true),
        _ => {
            return Err(client(
                "InvalidArgsException",
                "SortBy CREATED_AT and SortOrder ASCENDING or DESCENDING go together.",
            ));
        }
    };
    let filters = input.includes.unwrap_or_default();
    let mut all: Vec<_> = ctx
        .tx
        .certificates
        .values()
        .filter(|c| c.scope == ctx.scope)
        .collect();
    if let Some(descending) = descending {
        all.sort_by_key(|c| c.created);
        if descending {
            all.reverse();
        }
    }
    let chosen = all.into_iter().map(|c| summary(ctx, c)).filter(|s| {
        let statuses = &input.certificate_statuses;
        (statuses.is_empty() || statuses.iter().any(|wanted| wanted == s.status))
            && filters.lets_through(s)
    });
    let mut chosen: Vec<Summary> = chosen.collect();
    if let Some(token) = &input.next_token {
        // A token is the last ARN of the page before.
        let last = chosen.iter().position(|s| s.certificate_arn == *token);
        let last = last.ok_or_else(|| validation("The NextToken is not valid."))?;
        chosen.drain(..=last);
    }
    let more = limit < chosen.len();
    chosen.truncate(limit);
    let next_token = chosen
        .last()
        .filter(|_| more)
        .map(|last| last.certificate_arn.clone());
    Ok(Certificates {
        certificate_summary_list: chosen,
        next_token,
    })
}
