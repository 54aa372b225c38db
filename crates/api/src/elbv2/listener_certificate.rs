//! Certificates of HTTPS and TLS listeners, told apart by the name that a client asks for.

use super::Done;
use super::arn::find;
use super::error::{Result, not_permitted, validation};
use super::listener_tls::{self, Certificate};
use super::page::page;
use crate::Ctx;
use model::elbv2::Listener;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeListenerCertificates {
    listener_arn: String,
    marker: Option<String>,
    page_size: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Certificates {
    certificates: Vec<Certificate>,
    next_marker: Option<String>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeListenerCertificates) -> Result<Certificates> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    let listener = find::<Listener>(ctx, &input.listener_arn)?;
    let mut all: Vec<(&String, bool)> = listener
        .certificates
        .iter()
        .map(|arn| (arn, false))
        .collect();
    if let Some((_, is_default)) = all.first_mut() {
        *is_default = true;
    }
    // Pages go by key.
    all.sort_unstable();
    let (chosen, next_marker) = page.of(all, |(arn, _)| (*arn).clone());
    let certificate = |(arn, is_default): (&String, bool)| Certificate {
        certificate_arn: Some(arn.clone()),
        is_default: Some(is_default),
    };
    Ok(Certificates {
        certificates: chosen.into_iter().map(certificate).collect(),
        next_marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListenerCertificates {
    listener_arn: String,
    certificates: Vec<Certificate>,
}

fn listener(ctx: &Ctx, input: &ListenerCertificates) -> Result<Arc<Listener>> {
    let listener = find::<Listener>(ctx, &input.listener_arn)?;
    if input.certificates.is_empty() {
        return Err(validation("A certificate must be specified"));
    }
    Ok(listener)
}

pub fn add(ctx: &mut Ctx, input: ListenerCertificates) -> Result<Certificates> {
    let listener = listener(ctx, &input)?;
    let all = listener_tls::added(ctx, &listener, &input.certificates)?;
    ctx.tx
        .modify::<Listener>(&listener.arn, |l| l.certificates = all);
    let added = input.certificates.into_iter().map(|c| Certificate {
        is_default: Some(c.certificate_arn.as_ref() == listener.certificates.first()),
        certificate_arn: c.certificate_arn,
    });
    Ok(Certificates {
        certificates: added.collect(),
        next_marker: None,
    })
}

/// Removing what is not there succeeds; the default can only be replaced.
pub fn remove(ctx: &mut Ctx, input: ListenerCertificates) -> Result<Done> {
    let listener = listener(ctx, &input)?;
    let named = |arn: &String| {
        input
            .certificates
            .iter()
            .any(|c| c.certificate_arn.as_ref() == Some(arn))
    };
    if listener.certificates.first().is_some_and(named) {
        return Err(not_permitted(format!(
            "The default certificate of listener '{}' cannot be removed",
            listener.arn
        )));
    }
    let kept: Vec<String> = listener
        .certificates
        .iter()
        .filter(|arn| !named(arn))
        .cloned()
        .collect();
    ctx.tx
        .modify::<Listener>(&listener.arn, |l| l.certificates = kept);
    Ok(Done {})
}
