//! Time series as values of expressions.

use crate::MetricKey;
use std::sync::Arc;

/// Points in order of time. What names it is shared: alarms evaluate thousands of expressions a
/// minute, each of which copies its lines a few times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    pub label: Arc<str>,
    pub period_ms: i64,
    pub points: Vec<(i64, f64)>,
    /// Of a metric; expressions have none.
    pub properties: Option<Arc<Properties>>,
}

/// What a dynamic label may name of a metric.
#[derive(Debug, PartialEq)]
pub struct Properties {
    pub metric: Arc<MetricKey>,
    pub stat: String,
    pub period: u32,
}

impl Line {
    /// The same line with other points.
    pub fn with(&self, points: Vec<(i64, f64)>) -> Self {
        Self {
            label: Arc::clone(&self.label),
            period_ms: self.period_ms,
            points,
            properties: self.properties.clone(),
        }
    }
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        self.with(self.points.iter().map(|(t, v)| (*t, f(*v))).collect())
    }
    /// Where both have a point.
    pub fn join(&self, other: &Line, f: impl Fn(f64, f64) -> f64) -> Self {
        let mut rest = other.points.iter().peekable();
        let mut points = Vec::with_capacity(self.points.len().min(other.points.len()));
        for (t, a) in &self.points {
            while rest.next_if(|(u, _)| u < t).is_some() {}
            if let Some((_, b)) = rest.next_if(|(u, _)| u == t) {
                points.push((*t, f(*a, *b)));
            }
        }
        Self {
            period_ms: self.period_ms.max(other.period_ms),
            ..self.with(points)
        }
    }
    pub fn at(&self, time: i64) -> Option<f64> {
        let at = self.points.binary_search_by_key(&time, |(t, _)| *t).ok()?;
        Some(self.points[at].1)
    }
    pub fn values(&self) -> Vec<f64> {
        self.points.iter().map(|(_, v)| *v).collect()
    }
}

/// Statistics of values, not-a-number where there are none.
pub fn sum(values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.iter().sum()
}
pub fn average(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}
pub fn minimum(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}
pub fn maximum(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}
/// Of the whole population.
pub fn deviation(values: &[f64]) -> f64 {
    let mean = average(values);
    let squares: Vec<f64> = values.iter().map(|v| (v - mean).powi(2)).collect();
    average(&squares).sqrt()
}
pub fn count(values: &[f64]) -> f64 {
    values.len() as f64
}
