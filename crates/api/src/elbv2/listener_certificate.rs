//! Certificates of listeners. HTTP listeners, the only ones, have none.

use super::Done;
use super::arn::find;
use super::error::{Result, validation};
use super::listener::Certificate;
use super::page::page;
use crate::Ctx;
use model::elbv2::Listener;
use serde::{Deserialize, Serialize};

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
}

pub fn describe(ctx: &mut Ctx, input: DescribeListenerCertificates) -> Result<Certificates> {
    page(input.marker.as_deref(), input.page_size)?;
    find::<Listener>(ctx, &input.listener_arn)?;
    Ok(Certificates {
        certificates: Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListenerCertificates {
    listener_arn: String,
    certificates: Vec<Certificate>,
}

fn check(ctx: &Ctx, input: &ListenerCertificates) -> Result<()> {
    find::<Listener>(ctx, &input.listener_arn)?;
    if input.certificates.is_empty() {
        return Err(validation("A certificate must be specified"));
    }
    Ok(())
}

pub fn add(ctx: &mut Ctx, input: ListenerCertificates) -> Result<Certificates> {
    check(ctx, &input)?;
    Err(validation(
        "A certificate cannot be specified for HTTP listeners",
    ))
}

/// Removing what is not there succeeds.
pub fn remove(ctx: &mut Ctx, input: ListenerCertificates) -> Result<Done> {
    check(ctx, &input)?;
    Ok(Done {})
}
