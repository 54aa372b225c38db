//! Metric math that a target tracking policy holds at its target.
//!
//! Auto Scaling spells queries almost as CloudWatch does; they are checked by what checks an
//! alarm's, and kept as given for answers.

use super::error::{Result, validation};
use crate::cloudwatch::{alarm, query};
use model::autoscaling::TrackedMetric;
use model::cloudwatch as record;
use serde::{Deserialize, Serialize};

/// Seconds, where a metric names no period.
const PERIOD: u32 = 60;

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TargetTrackingMetricDataQuery {
    id: String,
    expression: Option<String>,
    metric_stat: Option<TargetTrackingMetricStat>,
    label: Option<String>,
    period: Option<u32>,
    return_data: Option<bool>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetTrackingMetricStat {
    metric: Metric,
    stat: String,
    unit: Option<String>,
    period: Option<u32>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    metric_name: String,
    namespace: String,
    dimensions: Option<Vec<Dimension>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

pub fn tracked(given: Vec<TargetTrackingMetricDataQuery>) -> Result<TrackedMetric> {
    let text =
        serde_json::to_string(&given).map_err(|e| wire::ApiError::internal(e.to_string()))?;
    let records = given.into_iter().map(record).collect();
    let queries = query::check(records).map_err(said)?;
    let period = alarm::expression(&queries).map_err(said)?;
    check_period(Some(period))?;
    Ok(TrackedMetric::Math {
        given: text,
        queries,
        period,
    })
}

/// As policies are described.
pub fn described(given: &str) -> Option<Vec<TargetTrackingMetricDataQuery>> {
    serde_json::from_str(given).ok()
}

pub fn check_period(seconds: Option<u32>) -> Result<()> {
    match seconds {
        None | Some(10 | 30 | 60) => Ok(()),
        Some(_) => Err(validation("Period must be 10, 30 or 60 seconds.")),
    }
}

fn record(given: TargetTrackingMetricDataQuery) -> record::MetricDataQuery {
    let stat = |stat: TargetTrackingMetricStat| {
        let dimensions = stat.metric.dimensions.unwrap_or_default().into_iter();
        let mut dimensions: Vec<_> = dimensions.map(|d| (d.name, d.value)).collect();
        dimensions.sort();
        record::MetricStat {
            namespace: stat.metric.namespace,
            name: stat.metric.metric_name,
            dimensions,
            period: stat.period.or(given.period).unwrap_or(PERIOD),
            stat: stat.stat,
            unit: stat.unit,
        }
    };
    record::MetricDataQuery {
        id: given.id,
        metric: given.metric_stat.map(stat),
        expression: given.expression,
        label: given.label,
        return_data: given.return_data.unwrap_or(true),
        period: None,
    }
}

/// Auto Scaling has one code for what CloudWatch has several.
fn said(error: wire::ApiError) -> wire::ApiError {
    validation(error.message)
}
