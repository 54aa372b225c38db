//! GetMetricStatistics: one metric, several statistics.

use super::error::{Result, combination, invalid};
use super::query::{period, statistic};
use super::{Dimension, check_dimensions, pairs, unit};
use crate::Ctx;
use metrics::{MetricKey, Statistic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wire::Timestamp;

/// Points of one call, and statistics.
const MAX_POINTS: i64 = 1440;
const MAX_STATISTICS: usize = 5;
const MAX_EXTENDED: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetMetricStatistics {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: Timestamp,
    end_time: Timestamp,
    period: u32,
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
    if seconds(input.start_time, input.end_time) <= 0 {
        return Err(invalid(
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    if input.statistics.is_empty() && input.extended_statistics.is_empty() {
        return Err(combination(
            "Must specify either Statistics or ExtendedStatistics",
        ));
    }
    if input.statistics.len() > MAX_STATISTICS || input.extended_statistics.len() > MAX_EXTENDED {
        return Err(invalid(format!(
            "A call takes {MAX_STATISTICS} Statistics and {MAX_EXTENDED} ExtendedStatistics at most."
        )));
    }
    check_dimensions(&input.dimensions)?;
    unit::check(input.unit.as_deref())?;
    let points = seconds(input.start_time, input.end_time) / i64::from(input.period);
    if points > MAX_POINTS {
        return Err(combination(format!(
            "You have requested up to {points} datapoints, which exceeds the limit of {MAX_POINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    let mut plain: Vec<Statistic> = Vec::new();
    for name in &input.statistics {
        match statistic(name)? {
            one if one.is_plain() => plain.push(one),
            _ => {
                return Err(invalid(format!(
                    "The value {name} for parameter Statistics is one of ExtendedStatistics."
                )));
            }
        }
    }
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
    // Periods begin at the start asked for, as AWS's own examples show, not at whole hours.
    let start = rounded(ctx.now, input.start_time, input.period);
    let mut datapoints = Vec::new();
    for unit in units {
        for (at, bucket) in ctx.cloud.metrics.buckets_from(
            &key,
            Some(&unit),
            start,
            input.end_time.0,
            i64::from(input.period) * 1000,
            start,
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

/// AWS rounds the start down: to the minute, or a shorter period; what is older than 15 and 63
/// days, to five minutes and the hour.
pub fn rounded(now: jiff::Timestamp, start: Timestamp, period: u32) -> jiff::Timestamp {
    let days = now.duration_since(start.0).as_hours() / 24;
    let step = 1000
        * match days {
            63.. => 3600,
            15.. => 300,
            _ => i64::from(period.clamp(1, 60)),
        };
    let rounded = start.0.as_millisecond().div_euclid(step) * step;
    jiff::Timestamp::from_millisecond(rounded).unwrap_or(start.0)
}

/// Between two times, of which CloudWatch looks at whole seconds.
pub fn seconds(start: Timestamp, end: Timestamp) -> i64 {
    end.0.as_second() - start.0.as_second()
}
