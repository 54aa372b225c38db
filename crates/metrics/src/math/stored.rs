//! Lines from the metric store.

use super::evaluate::{Source, Window};
use super::line::{Line, Properties};
use super::search::Search;
use crate::{MetricKey, Metrics, Statistic};
use model::cloudwatch::MetricStat;
use model::{Scope, Timestamp};
use std::sync::Arc;

/// Searches find metrics that had points in the last two weeks.
const SEARCHED_MS: i64 = 14 * 86_400_000;

/// The metrics of a scope, looked at through a window.
pub struct Stored<'a> {
    pub metrics: &'a Metrics,
    pub scope: &'a Scope,
    pub window: Window,
}

impl Source for Stored<'_> {
    fn metric(&self, stat: &MetricStat) -> Line {
        let key = Arc::new(MetricKey {
            scope: self.scope.clone(),
            namespace: stat.namespace.clone(),
            name: stat.name.clone(),
            dimensions: stat.dimensions.clone(),
        });
        let label = stat.name.as_str().into();
        self.line(key, &stat.stat, stat.period, stat.unit.as_deref(), label)
    }

    fn search(&self, search: &Search, stat: &str, period: u32) -> Result<Vec<Line>, String> {
        let since = time(self.window.end - SEARCHED_MS);
        let keys = self
            .metrics
            .list(self.scope, since, |key| search.finds(key));
        let one_name = keys.windows(2).all(|k| k[0].name == k[1].name);
        let mut lines: Vec<Line> = keys
            .into_iter()
            .map(|key| {
                let values: Vec<&str> = key.dimensions.iter().map(|(_, v)| v.as_str()).collect();
                let label = match (one_name, values.is_empty()) {
                    (_, true) => key.name.clone(),
                    (true, false) => values.join(" "),
                    (false, false) => format!("{} {}", values.join(" "), key.name),
                };
                self.line(key, stat, period, None, label.into())
            })
            .collect();
        lines.sort_by(|a, b| a.label.cmp(&b.label));
        Ok(lines)
    }
}

impl Stored<'_> {
    fn line(
        &self,
        key: Arc<MetricKey>,
        stat: &str,
        period: u32,
        unit: Option<&str>,
        label: Arc<str>,
    ) -> Line {
        let window = self.window;
        let period_ms = window.period_ms(period);
        let statistic = stat.parse().unwrap_or(Statistic::Average);
        let (start, end, origin) = (time(window.start), time(window.end), time(window.origin));
        let buckets = self
            .metrics
            .buckets_from(&key, unit, start, end, period_ms, origin);
        let points = buckets
            .into_iter()
            .filter_map(|(at, b)| Some((at.as_millisecond(), statistic.of(&b)?)));
        Line {
            label,
            period_ms,
            points: points.collect(),
            properties: Some(Arc::new(Properties {
                metric: key,
                stat: stat.to_owned(),
                period,
            })),
        }
    }
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}
