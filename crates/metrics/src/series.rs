//! Samples of one metric and unit over time.

use model::Timestamp;
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What is kept at which resolution (CloudWatch: `cloudwatch_concepts.html`, metrics retention):
/// below a minute for 3 hours, minutes for 15 days, 5 minutes for 63 days, hours for 455 days.
const AGES: [(i64, i64); 3] = [(3 * HOUR, MINUTE), (15 * DAY, 5 * MINUTE), (63 * DAY, HOUR)];
const LONGEST: i64 = 455 * DAY;

/// Most distinct values kept in a bucket; beyond that percentiles come from the ones kept.
const VALUES: usize = 4096;

/// Samples of one moment or period.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bucket {
    pub count: f64,
    pub sum: f64,
    pub minimum: f64,
    pub maximum: f64,
    /// Values and how often each was seen, for percentiles. Empty for a statistic
    /// set, whose percentiles CloudWatch does not know either.
    pub values: Vec<(f64, f64)>,
    /// Some samples came as a statistic set.
    pub opaque: bool,
}

impl Bucket {
    pub fn of(value: f64, count: f64) -> Self {
        Self {
            count,
            sum: value * count,
            minimum: value,
            maximum: value,
            values: vec![(value, count)],
            opaque: false,
        }
    }

    /// A statistic set. With one sample, or all alike, the values are known after all.
    pub fn statistic_set(count: f64, sum: f64, minimum: f64, maximum: f64) -> Self {
        if count == 1.0 || minimum == maximum {
            return Self {
                sum,
                ..Self::of(minimum, count)
            };
        }
        Self {
            count,
            sum,
            minimum,
            maximum,
            values: Vec::new(),
            opaque: true,
        }
    }

    pub fn merge(&mut self, other: &Bucket) {
        if self.count == 0.0 {
            *self = other.clone();
            return;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.opaque |= other.opaque;
        for (value, count) in &other.values {
            if let Some((_, n)) = self.values.iter_mut().find(|(v, _)| v == value) {
                *n += count;
            } else if self.values.len() < VALUES {
                self.values.push((*value, *count));
            }
        }
    }
}

/// Buckets by their start in milliseconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct Series(BTreeMap<i64, Bucket>);

impl Series {
    pub fn add(&mut self, at: Timestamp, bucket: Bucket) {
        self.0
            .entry(at.as_millisecond())
            .or_default()
            .merge(&bucket);
    }

    pub fn range(&self, start: Timestamp, end: Timestamp) -> impl Iterator<Item = (i64, &Bucket)> {
        let (start, end) = (start.as_millisecond(), end.as_millisecond());
        self.0
            .range(start..end.max(start))
            .map(|(at, bucket)| (*at, bucket))
    }

    pub fn newest(&self) -> Option<i64> {
        self.0.last_key_value().map(|(at, _)| *at)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn age(&mut self, now: Timestamp) {
        let now = now.as_millisecond();
        self.0 = self.0.split_off(&(now - LONGEST));
        for (age, resolution) in AGES {
            let old: Vec<i64> = self
                .0
                .range(..now - age)
                .map(|(at, _)| *at)
                .filter(|at| at.rem_euclid(resolution) != 0)
                .collect();
            for at in old {
                if let Some(bucket) = self.0.remove(&at) {
                    self.0
                        .entry(at.div_euclid(resolution) * resolution)
                        .or_default()
                        .merge(&bucket);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_samples_fold_into_coarser_periods() {
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let mut series = Series::default();
        for second in 0..120 {
            series.add(at(second * 1000), Bucket::of(second as f64, 1.0));
        }
        series.age(at(2 * HOUR));
        assert_eq!(series.0.len(), 120);
        series.age(at(4 * HOUR));
        assert_eq!(series.0.keys().collect::<Vec<_>>(), [&0, &MINUTE]);
        assert_eq!(series.0[&0].sum, (0..60).sum::<i64>() as f64);
        series.age(at(500 * DAY));
        assert!(series.is_empty());
    }
}
