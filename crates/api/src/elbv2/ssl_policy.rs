//! Security policies of HTTPS listeners, as AWS lists them: their protocols and ciphers.
//!
//! Only names can be used so far, since no listener speaks TLS.
//! Source: `A/describe-ssl-policies.html`.

use super::check::one_of;
use super::error::{Result, error};
use super::page::page;
use crate::Ctx;
use serde::{Deserialize, Serialize};

struct Policy {
    name: &'static str,
    protocols: &'static [&'static str],
    /// Each a set of ciphers in order of preference.
    ciphers: &'static [&'static [&'static str]],
}

const TLS_1_3: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];
const ECDHE_GCM: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
const ECDHE_SHA2: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
];
const ECDHE_ALL: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
];
const RSA_SHA2: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
];
const RSA_ALL: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
    "AES256-SHA",
];

const POLICIES: &[Policy] = &[
    Policy {
        name: "ELBSecurityPolicy-2016-08",
        protocols: &["TLSv1", "TLSv1.1", "TLSv1.2"],
        ciphers: &[ECDHE_ALL, RSA_ALL],
    },
    Policy {
        name: "ELBSecurityPolicy-FS-1-2-2019-08",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_ALL],
    },
    Policy {
        name: "ELBSecurityPolicy-FS-1-2-Res-2020-10",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_GCM],
    },
    Policy {
        name: "ELBSecurityPolicy-FS-2018-06",
        protocols: &["TLSv1", "TLSv1.1", "TLSv1.2"],
        ciphers: &[ECDHE_ALL],
    },
    Policy {
        name: "ELBSecurityPolicy-TLS-1-1-2017-01",
        protocols: &["TLSv1.1", "TLSv1.2"],
        ciphers: &[ECDHE_ALL, RSA_ALL],
    },
    Policy {
        name: "ELBSecurityPolicy-TLS-1-2-2017-01",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_SHA2, RSA_SHA2],
    },
    Policy {
        name: "ELBSecurityPolicy-TLS-1-2-Ext-2018-06",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_ALL, RSA_ALL],
    },
    Policy {
        name: "ELBSecurityPolicy-TLS13-1-2-2021-06",
        protocols: &["TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_SHA2],
    },
    Policy {
        name: "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        protocols: &["TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_GCM],
    },
    Policy {
        name: "ELBSecurityPolicy-TLS13-1-3-2021-06",
        protocols: &["TLSv1.3"],
        ciphers: &[TLS_1_3],
    },
];

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

fn shape(policy: &Policy) -> Shape {
    let ciphers = policy.ciphers.iter().copied().flatten().zip(1..);
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
        return Err(error(
            "SSLPolicyNotFound",
            format!("SSL policy '{unknown}' not found"),
        ));
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
