//! Security policies of listeners over TLS; the table is the model's.

use super::check::one_of;
use super::error::{Result, error};
use super::page::page;
use crate::Ctx;
use model::ssl_policy::{POLICIES, SslPolicy};
use serde::{Deserialize, Serialize};

pub fn not_found(name: &str) -> wire::ApiError {
    error(
        "SSLPolicyNotFound",
        format!("SSL policy '{name}' not found"),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSslPolicies {
    #[serde(default)]
    names: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
    load_balancer_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SslPolicies {
    ssl_policies: Vec<Shape>,
    next_marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    ssl_protocols: &'static [&'static str],
    ciphers: Vec<Cipher>,
    name: &'static str,
    supported_load_balancer_types: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Cipher {
    name: &'static str,
    /// From 1, most preferred first.
    priority: usize,
}

fn shape(policy: &SslPolicy) -> Shape {
    let ciphers = policy.ciphers().zip(1..);
    Shape {
        ssl_protocols: policy.protocols,
        ciphers: ciphers
            .map(|(name, priority)| Cipher { name, priority })
            .collect(),
        name: policy.name,
        supported_load_balancer_types: &["application", "network"],
    }
}

pub fn describe(_: &mut Ctx, input: DescribeSslPolicies) -> Result<SslPolicies> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    if let Some(kind) = input.load_balancer_type.as_deref() {
        one_of(
            kind,
            "loadBalancerType",
            &["application", "network", "gateway"],
        )?;
    }
    let names = &input.names;
    if let Some(unknown) = names
        .iter()
        .find(|n| POLICIES.iter().all(|p| p.name != **n))
    {
        return Err(not_found(unknown));
    }
    let gateway = input.load_balancer_type.as_deref() == Some("gateway");
    let chosen = POLICIES
        .iter()
        .filter(|p| !gateway && (names.is_empty() || names.iter().any(|n| n == p.name)));
    let (chosen, next_marker) = page.of(chosen, |p| p.name.to_owned());
    Ok(SslPolicies {
        ssl_policies: chosen.into_iter().map(shape).collect(),
        next_marker,
    })
}
