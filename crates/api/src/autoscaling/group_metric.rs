//! Group metrics that are collected, such as `GroupInServiceInstances`.

use super::error::{Result, validation};
use super::group::find_alive;
use crate::Ctx;
use serde::{Deserialize, Serialize};

/// The eight that every group has.
pub const METRICS: [&str; 8] = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
];
/// Capacity in units, and those of a group with a warm pool.
const OTHERS: [&str; 13] = [
    "GroupAndWarmPoolDesiredCapacity",
    "GroupAndWarmPoolTotalCapacity",
    "GroupInServiceCapacity",
    "GroupPendingCapacity",
    "GroupStandbyCapacity",
    "GroupTerminatingCapacity",
    "GroupTotalCapacity",
    "WarmPoolDesiredCapacity",
    "WarmPoolMinSize",
    "WarmPoolPendingCapacity",
    "WarmPoolTerminatingCapacity",
    "WarmPoolTotalCapacity",
    "WarmPoolWarmedCapacity",
];

/// The named metrics, or all of them where none is named.
fn chosen(named: &[String]) -> Result<Vec<&str>> {
    let all = METRICS.iter().chain(&OTHERS);
    if named.is_empty() {
        return Ok(all.copied().collect());
    }
    match named.iter().find(|name| !all.clone().any(|m| m == name)) {
        Some(unknown) => Err(validation(format!("Metric type not found: {unknown}"))),
        None => Ok(named.iter().map(String::as_str).collect()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnableMetricsCollection {
    auto_scaling_group_name: String,
    #[serde(default)]
    metrics: Vec<String>,
    granularity: String,
}

pub fn enable(ctx: &mut Ctx, input: EnableMetricsCollection) -> Result<()> {
    if input.granularity != "1Minute" {
        return Err(validation(format!(
            "Granularity not found: {}. The only valid value is 1Minute.",
            input.granularity
        )));
    }
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let wanted = chosen(&input.metrics)?.into_iter().map(str::to_owned);
    group.enabled_metrics.extend(wanted);
    group.enabled_metrics.sort();
    group.enabled_metrics.dedup();
    ctx.tx.put(group);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisableMetricsCollection {
    auto_scaling_group_name: String,
    #[serde(default)]
    metrics: Vec<String>,
}

pub fn disable(ctx: &mut Ctx, input: DisableMetricsCollection) -> Result<()> {
    let mut group = find_alive(ctx, &input.auto_scaling_group_name)?;
    let unwanted = chosen(&input.metrics)?;
    group
        .enabled_metrics
        .retain(|m| !unwanted.contains(&m.as_str()));
    ctx.tx.put(group);
    Ok(())
}

#[derive(Deserialize)]
pub struct DescribeMetricCollectionTypes {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricCollectionTypes {
    metrics: Vec<Metric>,
    granularities: [Granularity; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    metric: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Granularity {
    granularity: &'static str,
}

pub fn describe_types(
    _: &mut Ctx,
    _: DescribeMetricCollectionTypes,
) -> Result<MetricCollectionTypes> {
    let all = METRICS.iter().chain(&OTHERS);
    Ok(MetricCollectionTypes {
        metrics: all.map(|metric| Metric { metric }).collect(),
        granularities: [Granularity {
            granularity: "1Minute",
        }],
    })
}
