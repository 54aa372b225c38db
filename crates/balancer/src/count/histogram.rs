//! A histogram with a bounded relative error, small on the wire and exact to merge.
//!
//! Buckets are log-linear like HDR's: values below 64 have a bucket each, above that every power of
//! two is cut into 32, so a bucket is at most 1/32 of its value wide. Buckets are kept sparse and
//! sorted, since one second of one target touches few of them.

use serde::{Deserialize, Serialize};

const LINEAR: u64 = 64;
const SUB_BITS: u32 = 5;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    pub count: u64,
    pub sum: u64,
    pub min: u64,
    pub max: u64,
    /// Bucket index and count, sorted by index, none empty.
    pub buckets: Vec<(u16, u64)>,
}

impl Histogram {
    pub fn record(&mut self, value: u64) {
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.add(bucket_of(value), 1);
    }

    pub fn merge(&mut self, other: &Histogram) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
    }

    /// The middle of each bucket that holds records, and how many.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets
            .iter()
            .map(|&(bucket, count)| (middle_of(bucket).clamp(self.min, self.max), count))
    }

    /// The value below which `quantile` (0–1) of the records lie: the middle of its bucket, within
    /// 2 % of the truth. `None` without records.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((quantile.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for &(bucket, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return Some(middle_of(bucket).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self
            .buckets
            .binary_search_by_key(&bucket, |&(index, _)| index)
        {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }
}

fn bucket_of(value: u64) -> u16 {
    if value < LINEAR {
        return value as u16;
    }
    let shift = value.ilog2() - SUB_BITS;
    let sub = (value >> shift) - (1 << SUB_BITS);
    (LINEAR + u64::from(shift - 1) * (1 << SUB_BITS) + sub) as u16
}

fn middle_of(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < LINEAR {
        return bucket;
    }
    let shift = ((bucket - LINEAR) >> SUB_BITS) + 1;
    let sub = (bucket - LINEAR) & ((1 << SUB_BITS) - 1);
    // A bucket number from a report may be anything; real ones keep the shift below 59.
    let low = ((1 << SUB_BITS) + sub)
        .checked_shl(shift as u32)
        .unwrap_or(u64::MAX);
    let width = 1u64.checked_shl(shift as u32).unwrap_or(0);
    low.saturating_add(width / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_within_two_percent_and_ordered() {
        let mut value = 1u64;
        let mut last = 0;
        while value < u64::MAX / 3 {
            let bucket = bucket_of(value);
            assert!(bucket >= last, "{value}");
            last = bucket;
            let middle = middle_of(bucket);
            let error = middle.abs_diff(value) as f64 / value as f64;
            assert!(error <= 0.017, "{value} reads back as {middle}");
            value = value + value / 7 + 1;
        }
    }

    #[test]
    fn quantiles_of_a_merge_are_those_of_the_whole() {
        let (mut even, mut odd, mut all) = (
            Histogram::default(),
            Histogram::default(),
            Histogram::default(),
        );
        for value in 1..=10_000 {
            if value % 2 == 0 {
                even.record(value)
            } else {
                odd.record(value)
            }
            all.record(value);
        }
        even.merge(&odd);
        assert_eq!(even, all);
        for (quantile, expected) in [(0.0, 1.0), (0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let got = all.quantile(quantile).unwrap() as f64;
            assert!(
                (got - expected).abs() <= expected * 0.02 + 0.5,
                "{quantile}: {got}"
            );
        }
        assert_eq!(all.mean(), Some(5000.5));
        assert_eq!(Histogram::default().quantile(0.5), None);
        let odd_one = Histogram {
            count: 1,
            buckets: vec![(u16::MAX, 1)],
            max: u64::MAX,
            ..Default::default()
        };
        assert!(odd_one.quantile(0.5).is_some());
    }
}
