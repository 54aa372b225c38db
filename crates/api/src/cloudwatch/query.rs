//! `MetricDataQuery`: a metric or an expression, as requests and alarms carry it.

use super::error::{Result, combination, invalid, length, missing};
use super::{Dimension, check_dimensions, dimensions, pairs, unit};
use crate::Ctx;
use model::cloudwatch as record;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use wire::ApiError;

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricDataQuery {
    pub id: String,
    metric_stat: Option<MetricStat>,
    expression: Option<String>,
    label: Option<String>,
    return_data: Option<bool>,
    period: Option<u32>,
    account_id: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricStat {
    metric: Metric,
    period: u32,
    stat: String,
    unit: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

/// Checks queries of one request and gives their records.
pub fn records(ctx: &Ctx, queries: Vec<MetricDataQuery>) -> Result<Vec<record::MetricDataQuery>> {
    let records = queries.into_iter().map(|q| read(ctx, q));
    check(records.collect::<Result<_>>()?)
}

/// The queries, known to be ones that can be evaluated together.
pub fn check(queries: Vec<record::MetricDataQuery>) -> Result<Vec<record::MetricDataQuery>> {
    let mut ids = BTreeSet::new();
    for query in &queries {
        let mut letters = query.id.chars();
        let valid = letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Err(validation(format!(
                "The value {} for parameter MetricDataQueries.member.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.",
                query.id
            )));
        }
        length(&query.id, "MetricDataQueries.member.Id", 1, 255)?;
        if !ids.insert(&query.id) {
            return Err(validation(format!(
                "The values for parameter Id in MetricDataQueries are not unique: {}.",
                query.id
            )));
        }
        check_one(query)?;
    }
    metrics::math::check(&queries).map_err(|error| validation(error.to_string()))?;
    Ok(queries)
}

fn check_one(query: &record::MetricDataQuery) -> Result<()> {
    if let Some(seconds) = query.period {
        period(seconds)?;
    }
    match (&query.metric, &query.expression) {
        (Some(_), Some(_)) => Err(combination(format!(
            "The query {} has both MetricStat and Expression.",
            query.id
        ))),
        (None, None) => Err(missing("MetricDataQueries.member.MetricStat or Expression")),
        (None, Some(text)) if text.trim_start().starts_with("SELECT ") => Err(invalid(
            "Metrics Insights queries (SELECT …) are not supported by this cloud; use a metric, metric math or SEARCH.",
        )),
        (None, Some(_)) => Ok(()),
        (Some(stat), None) => {
            if query.period.is_some_and(|p| p != stat.period) {
                return Err(combination(
                    "A query with MetricStat takes its Period from there.",
                ));
            }
            check_stat(stat)
        }
    }
}

fn check_stat(stat: &record::MetricStat) -> Result<()> {
    length(&stat.namespace, "Namespace", 1, 255)?;
    length(&stat.name, "MetricName", 1, 255)?;
    check_dimensions(&dimensions(&stat.dimensions))?;
    unit::check(stat.unit.as_deref())?;
    period(stat.period)?;
    statistic(&stat.stat)?;
    Ok(())
}

fn read(ctx: &Ctx, query: MetricDataQuery) -> Result<record::MetricDataQuery> {
    if query
        .account_id
        .as_deref()
        .is_some_and(|a| *a != *ctx.scope.account)
    {
        return Err(invalid("Nines has no linked accounts."));
    }
    Ok(record::MetricDataQuery {
        id: query.id,
        metric: query.metric_stat.map(read_stat).transpose()?,
        expression: query.expression,
        label: query.label,
        return_data: query.return_data.unwrap_or(true),
        period: query.period,
    })
}

fn read_stat(stat: MetricStat) -> Result<record::MetricStat> {
    let metric = stat.metric;
    Ok(record::MetricStat {
        namespace: metric.namespace.ok_or_else(|| missing("Namespace"))?,
        name: metric.metric_name.ok_or_else(|| missing("MetricName"))?,
        dimensions: pairs(&metric.dimensions),
        period: stat.period,
        stat: stat.stat,
        unit: stat.unit,
    })
}

pub fn statistic(text: &str) -> Result<metrics::Statistic> {
    text.parse().map_err(|()| {
        invalid(format!(
            "The value {text} for parameter Stat is not supported."
        ))
    })
}

pub fn period(seconds: u32) -> Result<()> {
    let fits = matches!(seconds, 1 | 5 | 10 | 20 | 30)
        || (seconds >= 60 && seconds.is_multiple_of(60) && seconds <= 7 * 86_400);
    if fits {
        return Ok(());
    }
    Err(invalid(
        "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.",
    ))
}

/// As alarms are described.
pub fn shape(query: &record::MetricDataQuery) -> MetricDataQuery {
    MetricDataQuery {
        id: query.id.clone(),
        metric_stat: query.metric.as_ref().map(|m| MetricStat {
            metric: Metric {
                namespace: Some(m.namespace.clone()),
                metric_name: Some(m.name.clone()),
                dimensions: dimensions(&m.dimensions),
            },
            period: m.period,
            stat: m.stat.clone(),
            unit: m.unit.clone(),
        }),
        expression: query.expression.clone(),
        label: query.label.clone(),
        return_data: Some(query.return_data),
        period: query.period,
        account_id: None,
    }
}

pub fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationError", message)
}
