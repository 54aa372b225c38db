//! Quotas: those that the other files enforce.

use super::error::Result;
use super::{association, condition, listener, load_balancer, rule, target, target_group};
use crate::Ctx;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAccountLimits {
    marker: Option<String>,
    page_size: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Limits {
    limits: Vec<Limit>,
    next_marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limit {
    name: &'static str,
    max: String,
}

const LIMITS: &[(&str, usize)] = &[
    (
        "application-load-balancers",
        load_balancer::MAX_LOAD_BALANCERS,
    ),
    ("condition-values-per-alb-rule", condition::MAX_VALUES),
    ("condition-wildcards-per-alb-rule", condition::MAX_WILDCARDS),
    (
        "listeners-per-application-load-balancer",
        listener::MAX_LISTENERS,
    ),
    ("rules-per-application-load-balancer", rule::MAX_RULES),
    ("target-groups", target_group::MAX_TARGET_GROUPS),
    (
        "target-groups-per-action-on-application-load-balancer",
        super::action::MAX_TARGET_GROUPS,
    ),
    (
        "target-groups-per-application-load-balancer",
        association::MAX_TARGET_GROUPS,
    ),
    ("targets-per-application-load-balancer", target::MAX_TARGETS),
];

pub fn describe(_: &mut Ctx, input: DescribeAccountLimits) -> Result<Limits> {
    let page = super::page::page(input.marker.as_deref(), input.page_size)?;
    let (limits, next_marker) = page.of(LIMITS, |(name, _)| (*name).to_owned());
    let limits = limits.into_iter().map(|(name, max)| Limit {
        name,
        max: max.to_string(),
    });
    Ok(Limits {
        limits: limits.collect(),
        next_marker,
    })
}
