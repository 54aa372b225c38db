//! Reading metrics: GetMetricStatistics and GetMetricData.

use super::error::{Result, combination, invalid, missing};
use super::{Dimension, pairs};
use crate::Ctx;
use metrics::{MetricKey, Statistic};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use wire::{ApiError, Timestamp};

/// Points of one GetMetricStatistics call; queries and points of one GetMetricData call.
const MAX_POINTS: i64 = 1440;
const MAX_QUERIES: usize = 500;
const MAX_DATAPOINTS: usize = 100_800;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetMetricStatistics {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: Timestamp,
    end_time: Timestamp,
    period: i64,
    #[serde(default)]
    statistics: Vec<String>,
    #[serde(default)]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statistics {
    label: String,
    datapoints: Vec<Datapoint>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Datapoint {
    timestamp: Timestamp,
    sample_count: Option<f64>,
    average: Option<f64>,
    sum: Option<f64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    unit: String,
    extended_statistics: Option<BTreeMap<String, f64>>,
}

pub fn statistics(ctx: &mut Ctx, input: GetMetricStatistics) -> Result<Statistics> {
    period(input.period)?;
    range(input.start_time, input.end_time)?;
    if input.statistics.is_empty() && input.extended_statistics.is_empty() {
        return Err(missing("Statistics"));
    }
    let seconds = input.end_time.0.as_second() - input.start_time.0.as_second();
    if seconds / input.period > MAX_POINTS {
        return Err(combination(format!(
            "You have requested up to {} datapoints, which exceeds the limit of {MAX_POINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
            seconds / input.period
        )));
    }
    let plain: Vec<Statistic> = input
        .statistics
        .iter()
        .map(|s| statistic(s))
        .collect::<Result<_>>()?;
    let extended: Vec<(String, Statistic)> = input
        .extended_statistics
        .iter()
        .map(|s| Ok((s.clone(), statistic(s)?)))
        .collect::<Result<_>>()?;
    let key = MetricKey {
        scope: ctx.scope.clone(),
        namespace: input.namespace,
        name: input.metric_name,
        dimensions: pairs(&input.dimensions),
    };
    let units = match &input.unit {
        Some(unit) => vec![unit.clone()],
        None => ctx.cloud.metrics.units(&key),
    };
    let mut datapoints = Vec::new();
    for unit in units {
        for (at, bucket) in ctx.cloud.metrics.buckets(
            &key,
            Some(&unit),
            rounded(input.start_time, input.period),
            input.end_time.0,
            input.period * 1000,
        ) {
            let one = |wanted: Statistic| {
                plain
                    .contains(&wanted)
                    .then(|| wanted.of(&bucket))
                    .flatten()
            };
            let percentiles: BTreeMap<String, f64> = extended
                .iter()
                .filter_map(|(name, s)| Some((name.clone(), s.of(&bucket)?)))
                .collect();
            datapoints.push(Datapoint {
                timestamp: at.into(),
                sample_count: one(Statistic::SampleCount),
                average: one(Statistic::Average),
                sum: one(Statistic::Sum),
                minimum: one(Statistic::Minimum),
                maximum: one(Statistic::Maximum),
                unit: unit.clone(),
                extended_statistics: Some(percentiles).filter(|p| !p.is_empty()),
            });
        }
    }
    Ok(Statistics {
        label: key.name,
        datapoints,
    })
}

fn statistic(text: &str) -> Result<Statistic> {
    text.parse().map_err(|()| invalid(format!("The statistic {text} is not supported: Nines knows SampleCount, Sum, Average, Minimum, Maximum and percentiles (p0 to p100).")))
}

fn period(seconds: i64) -> Result<()> {
    if matches!(seconds, 1 | 5 | 10 | 20 | 30)
        || (seconds >= 60 && seconds % 60 == 0 && seconds <= 86_400 * 7)
    {
        return Ok(());
    }
    Err(invalid(
        "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.",
    ))
}

/// AWS rounds the start down to the minute, or to a shorter period.
fn rounded(start: Timestamp, period: i64) -> jiff::Timestamp {
    let step = 1000 * period.clamp(1, 60);
    let rounded = start.0.as_millisecond().div_euclid(step) * step;
    jiff::Timestamp::from_millisecond(rounded).unwrap_or(start.0)
}

fn range(start: Timestamp, end: Timestamp) -> Result<()> {
    if start.0 >= end.0 {
        return Err(ApiError::client(
            "ValidationError",
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetMetricData {
    metric_data_queries: Vec<Query>,
    start_time: Timestamp,
    end_time: Timestamp,
    next_token: Option<String>,
    scan_by: Option<String>,
    max_datapoints: Option<usize>,
    label_options: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    id: String,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<bool>,
    period: Option<i64>,
    account_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Metric,
    period: i64,
    stat: String,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricData {
    metric_data_results: Vec<Series>,
    messages: Vec<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Series {
    id: String,
    label: String,
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
    status_code: &'static str,
}

pub fn get(ctx: &mut Ctx, input: GetMetricData) -> Result<MetricData> {
    range(input.start_time, input.end_time)?;
    if input.label_options.is_some() {
        return Err(invalid(
            "LabelOptions is not supported: labels are plain text here.",
        ));
    }
    // Everything is given in one page.
    if input.next_token.is_some() {
        return Err(super::alarm::bad_token());
    }
    if input.metric_data_queries.len() > MAX_QUERIES {
        return Err(invalid(format!(
            "The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}."
        )));
    }
    let newest_first = match input.scan_by.as_deref() {
        None | Some("TimestampDescending") => true,
        Some("TimestampAscending") => false,
        Some(other) => {
            return Err(invalid(format!(
                "The value {other} for parameter ScanBy is not supported."
            )));
        }
    };
    let most = input
        .max_datapoints
        .unwrap_or(MAX_DATAPOINTS)
        .min(MAX_DATAPOINTS);
    let mut left = most;
    let mut results = Vec::new();
    for query in &input.metric_data_queries {
        let mut letters = query.id.chars();
        let valid = letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Err(ApiError::client(
                "ValidationError",
                format!(
                    "The value {} for parameter MetricDataQueries.member.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.",
                    query.id
                ),
            ));
        }
        if query
            .account_id
            .as_deref()
            .is_some_and(|a| *a != *ctx.scope.account)
        {
            return Err(invalid("Nines has no linked accounts."));
        }
        let Some(stat) = &query.metric_stat else {
            let what = query.expression.as_deref().unwrap_or("nothing");
            return Err(ApiError::client(
                "ValidationError",
                format!(
                    "Error in expression '{}' [{what}]: metric math is not supported by Nines; ask for the metrics.",
                    query.id
                ),
            ));
        };
        if query.expression.is_some() || query.period.is_some_and(|p| p != stat.period) {
            return Err(combination(
                "MetricStat excludes Expression, and brings its own Period.",
            ));
        }
        period(stat.period)?;
        if query.return_data == Some(false) {
            continue;
        }
        let key = MetricKey {
            scope: ctx.scope.clone(),
            namespace: stat.metric.namespace.clone(),
            name: stat.metric.metric_name.clone(),
            dimensions: pairs(&stat.metric.dimensions),
        };
        let mut points = ctx.cloud.metrics.query(
            &key,
            stat.unit.as_deref(),
            rounded(input.start_time, stat.period),
            input.end_time.0,
            stat.period * 1000,
            &statistic(&stat.stat)?,
        );
        if newest_first {
            points.reverse();
        }
        let cut = points.len() > left;
        points.truncate(left);
        left -= points.len();
        results.push(Series {
            id: query.id.clone(),
            label: query.label.clone().unwrap_or_else(|| key.name.clone()),
            timestamps: points.iter().map(|(at, _)| (*at).into()).collect(),
            values: points.iter().map(|(_, v)| *v).collect(),
            status_code: if cut { "PartialData" } else { "Complete" },
        });
    }
    Ok(MetricData {
        metric_data_results: results,
        messages: Vec::new(),
    })
}
