//! Points into metrics, and which metrics there are.

use super::error::{Result, combination, invalid, length, missing};
use super::{Dimension, check_dimensions, dimensions, pairs, unit};
use crate::Ctx;
use crate::ec2::page::Page;
use jiff::SignedDuration;
use metrics::{Bucket, MetricKey, Resolution};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use wire::Timestamp;

/// Datums of one call; values of one datum.
const MAX_DATUMS: usize = 1000;
const MAX_VALUES: usize = 150;
/// ±2^360
const LARGEST: f64 = 2.348_542_582_773_833e108;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutMetricData {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
    entity_metric_data: Option<Value>,
    strict_entity_validation: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<Timestamp>,
    value: Option<f64>,
    statistic_values: Option<StatisticSet>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    counts: Vec<f64>,
    unit: Option<String>,
    storage_resolution: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticSet {
    sample_count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

/// One invalid datum rejects the whole call, so all are checked before any is stored.
pub fn put(ctx: &mut Ctx, input: PutMetricData) -> Result<()> {
    if input.entity_metric_data.is_some() || input.strict_entity_validation == Some(true) {
        return Err(invalid(
            "EntityMetricData and StrictEntityValidation are not supported: Nines has no entities.",
        ));
    }
    length(&input.namespace, "Namespace", 1, 255)?;
    // AWS's own namespaces are its services' to fill.
    if let Some(bad) = ["AWS/", ":"]
        .iter()
        .find(|p| input.namespace.starts_with(**p))
    {
        return Err(invalid(format!(
            "The value {bad} for parameter Namespace is invalid."
        )));
    }
    if input.metric_data.is_empty() {
        return Err(missing("MetricData"));
    }
    if input.metric_data.len() > MAX_DATUMS {
        return Err(invalid(format!(
            "The collection MetricData must not have a size greater than {MAX_DATUMS}."
        )));
    }
    let (mut standard, mut high) = (Vec::new(), Vec::new());
    for (i, datum) in input.metric_data.iter().enumerate() {
        let at = datum.timestamp.map_or(ctx.now, |t| t.0);
        if at < ctx.now - SignedDuration::from_hours(14 * 24)
            || at > ctx.now + SignedDuration::from_hours(2)
        {
            return Err(invalid(format!(
                "The parameter MetricData.member.{}.Timestamp must be within two weeks past and two hours ahead.",
                i + 1
            )));
        }
        length(&datum.metric_name, "MetricName", 1, 255)?;
        check_dimensions(&datum.dimensions)?;
        unit::check(datum.unit.as_deref())?;
        if datum.storage_resolution.is_some_and(|r| r != 1 && r != 60) {
            return Err(invalid(format!(
                "The parameter MetricData.member.{}.StorageResolution must be a value in the set [ 1, 60 ].",
                i + 1
            )));
        }
        let unit = datum.unit.as_deref().unwrap_or("None");
        let key = MetricKey {
            scope: ctx.scope.clone(),
            namespace: input.namespace.clone(),
            name: datum.metric_name.clone(),
            dimensions: pairs(&datum.dimensions),
        };
        for bucket in buckets(datum, &format!("MetricData.member.{}", i + 1))? {
            let of_the_second = datum.storage_resolution == Some(1);
            let points = if of_the_second {
                &mut high
            } else {
                &mut standard
            };
            points.push((key.clone(), unit, at, bucket));
        }
    }
    ctx.cloud.metrics.put_all(standard, Resolution::Standard);
    ctx.cloud.metrics.put_all(high, Resolution::High);
    Ok(())
}

/// `name` is the datum's, for errors.
fn buckets(datum: &Datum, name: &str) -> Result<Vec<Bucket>> {
    let finite = |v: f64, member: &str| {
        if v.is_finite() && v.abs() <= LARGEST {
            return Ok(v);
        }
        Err(invalid(format!(
            "The value {v} for parameter {name}.{member} is invalid."
        )))
    };
    let exclusive = |a: &str, b: &str| {
        format!(
            "The parameters {name}.{a} and {name}.{b} are mutually exclusive and you have specified both."
        )
    };
    let given = [
        datum.value.is_some(),
        datum.statistic_values.is_some(),
        !datum.values.is_empty(),
    ];
    match given {
        [true, false, false] => Ok(vec![Bucket::of(
            finite(datum.value.unwrap_or_default(), "Value")?,
            1.0,
        )]),
        [false, true, false] => match &datum.statistic_values {
            Some(s) if s.sample_count <= 0.0 || s.minimum > s.maximum => {
                Err(invalid("The statistic set is not one of any values."))
            }
            Some(s) => Ok(vec![Bucket::statistic_set(
                finite(s.sample_count, "StatisticValues.SampleCount")?,
                finite(s.sum, "StatisticValues.Sum")?,
                finite(s.minimum, "StatisticValues.Minimum")?,
                finite(s.maximum, "StatisticValues.Maximum")?,
            )]),
            None => Ok(Vec::new()),
        },
        [false, false, true] => {
            if datum.values.len() > MAX_VALUES {
                return Err(invalid(format!(
                    "The collection {name}.Values must not have a size greater than {MAX_VALUES}."
                )));
            }
            if !datum.counts.is_empty() && datum.counts.len() != datum.values.len() {
                return Err(invalid(format!(
                    "The parameters {name}.Values and {name}.Counts must be of the same size."
                )));
            }
            let counts = datum.counts.iter().copied().chain(std::iter::repeat(1.0));
            datum
                .values
                .iter()
                .zip(counts)
                .enumerate()
                .map(|(i, (v, n))| {
                    if n <= 0.0 {
                        return Err(invalid("A member of Counts is not greater than 0."));
                    }
                    Ok(Bucket::of(
                        finite(*v, &format!("Values.member.{}", i + 1))?,
                        finite(n, &format!("Counts.member.{}", i + 1))?,
                    ))
                })
                .collect()
        }
        [false, false, false] => Err(missing(&format!("{name}.Value"))),
        // The two codes are AWS's.
        [true, false, true] => Err(invalid(exclusive("Value", "Values"))),
        [true, true, _] => Err(combination(exclusive("Value", "StatisticValues"))),
        [false, true, true] => Err(combination(exclusive("Values", "StatisticValues"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMetrics {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<DimensionFilter>,
    next_token: Option<String>,
    recently_active: Option<String>,
    include_linked_accounts: Option<bool>,
    owning_account: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    metrics: Vec<Metric>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: String,
    metric_name: String,
    dimensions: Vec<Dimension>,
}

pub fn list(ctx: &mut Ctx, input: ListMetrics) -> Result<Listed> {
    if input.include_linked_accounts == Some(true)
        || input
            .owning_account
            .as_deref()
            .is_some_and(|a| *a != *ctx.scope.account)
    {
        return Err(invalid("Nines has no linked accounts."));
    }
    let hours = match input.recently_active.as_deref() {
        None => 14 * 24,
        Some("PT3H") => 3,
        Some(other) => {
            return Err(invalid(format!(
                "The value {other} for parameter RecentlyActive is not supported: it is PT3H."
            )));
        }
    };
    let has = |key: &MetricKey, f: &DimensionFilter| {
        key.dimensions
            .iter()
            .any(|(n, v)| *n == f.name && f.value.as_ref().is_none_or(|w| w == v))
    };
    let since = ctx.now - SignedDuration::from_hours(hours);
    let metrics = ctx.cloud.metrics.list(&ctx.scope, since, |key| {
        input.namespace.as_ref().is_none_or(|n| key.namespace == *n)
            && input.metric_name.as_ref().is_none_or(|n| key.name == *n)
            && input.dimensions.iter().all(|f| has(key, f))
    });
    // Pages are cut by a text, so that is what they are ordered by.
    let named = metrics.into_iter().map(|key| {
        let name = format!(
            "{}\u{1}{}\u{1}{:?}",
            key.namespace, key.name, key.dimensions
        );
        (name, key)
    });
    let mut named: Vec<(String, Arc<MetricKey>)> = named.collect();
    named.sort();
    let page = Page::within(1, 500, Some(500), input.next_token.as_deref())
        .map_err(|_| super::alarm_describe::bad_token())?;
    let (metrics, next_token) = page.of(named, |(name, _)| name.clone());
    let metric = |key: &MetricKey| Metric {
        namespace: key.namespace.clone(),
        metric_name: key.name.clone(),
        dimensions: dimensions(&key.dimensions),
    };
    Ok(Listed {
        metrics: metrics.iter().map(|(_, key)| metric(key)).collect(),
        next_token,
    })
}
