//! Metric series, statistics and alarm evaluation. No HTTP, no timers: `now` is a parameter.
//!
//! A series is a namespace, a name and an exact set of dimensions; each
//! combination is a metric of its own and nothing rolls up by itself
//! (`https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html`).

pub mod alarm;
mod series;
mod statistic;

pub use series::{Bucket, Series};
pub use statistic::Statistic;

use model::{Scope, Timestamp};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Names one metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricKey {
    pub scope: Scope,
    pub namespace: String,
    pub name: String,
    /// Sorted by name; use [`MetricKey::new`].
    pub dimensions: Vec<(String, String)>,
}

impl MetricKey {
    pub fn new(scope: &Scope, namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Self {
        let mut dimensions: Vec<(String, String)> = dimensions
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        dimensions.sort();
        Self {
            scope: scope.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions,
        }
    }
}

/// Every series of the cloud, by metric and unit.
#[derive(Default)]
pub struct Metrics {
    series: RwLock<BTreeMap<MetricKey, BTreeMap<String, Series>>>,
}

impl Metrics {
    /// Adds a sample: `value` seen `count` times. `unit` is CloudWatch's, `None` when not given.
    pub fn put(&self, key: MetricKey, unit: &str, at: Timestamp, value: f64, count: f64) {
        self.put_bucket(key, unit, at, Bucket::of(value, count));
    }

    /// Adds a statistic set or several values of one moment.
    pub fn put_bucket(&self, key: MetricKey, unit: &str, at: Timestamp, bucket: Bucket) {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        series
            .entry(key)
            .or_default()
            .entry(unit.to_owned())
            .or_default()
            .add(at, bucket);
    }

    /// One value for each period from `start` (inclusive) to `end` (exclusive) that has samples;
    /// the timestamp is the period's start. Periods are aligned to the epoch.
    ///
    /// Without a unit, samples of every unit are taken together.
    pub fn query(
        &self,
        key: &MetricKey,
        unit: Option<&str>,
        start: Timestamp,
        end: Timestamp,
        period_ms: i64,
        statistic: &Statistic,
    ) -> Vec<(Timestamp, f64)> {
        self.buckets(key, unit, start, end, period_ms)
            .into_iter()
            .filter_map(|(at, bucket)| Some((at, statistic.of(&bucket)?)))
            .collect()
    }

    /// As [`Metrics::query`], before a statistic is taken of them.
    pub fn buckets(
        &self,
        key: &MetricKey,
        unit: Option<&str>,
        start: Timestamp,
        end: Timestamp,
        period_ms: i64,
    ) -> Vec<(Timestamp, Bucket)> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut periods: BTreeMap<i64, Bucket> = BTreeMap::new();
        let period = period_ms.max(1);
        for (_, one) in series
            .get(key)
            .into_iter()
            .flatten()
            .filter(|(u, _)| unit.is_none_or(|wanted| wanted == *u))
        {
            for (at, bucket) in one.range(start, end) {
                periods
                    .entry(at.div_euclid(period) * period)
                    .or_default()
                    .merge(bucket);
            }
        }
        periods
            .into_iter()
            .filter_map(|(at, bucket)| Some((Timestamp::from_millisecond(at).ok()?, bucket)))
            .collect()
    }

    /// Metrics of a scope that had a sample since `since`, sorted.
    pub fn list(&self, scope: &Scope, since: Timestamp) -> Vec<MetricKey> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series
            .iter()
            .filter(|(key, units)| {
                key.scope == *scope
                    && units
                        .values()
                        .any(|s| s.newest().is_some_and(|t| t >= since.as_millisecond()))
            })
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Units under which the metric has samples.
    pub fn units(&self, key: &MetricKey) -> Vec<String> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series
            .get(key)
            .map(|units| units.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Folds old samples into minutes and drops what is past its retention.
    pub fn retain(&self, now: Timestamp) {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        for units in series.values_mut() {
            for one in units.values_mut() {
                one.age(now);
            }
            units.retain(|_, s| !s.is_empty());
        }
        series.retain(|_, units| !units.is_empty());
    }
}
