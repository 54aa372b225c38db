//! Samples of one moment or period, and how they add up.

use std::cmp::Ordering;

/// Distinct values that a bucket knows exactly: as many as one datum of PutMetricData may hold.
const EXACT: usize = 150;

/// Bins of a doubling, once there are more values: each is 2.2 % wide, so that a value is known
/// to 1.1 %. AWS does not say how exact its own percentiles are.
pub(crate) const BINS: f64 = 32.0;

/// The number of the bin of zero, below that of any positive number.
pub(crate) const ZERO_BIN: i64 = -40_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bucket {
    pub count: f64,
    pub sum: f64,
    pub minimum: f64,
    pub maximum: f64,
    /// Values in rising order and how often each was seen, for percentiles. Empty when `opaque`.
    pub values: Vec<(f64, f64)>,
    /// The values are not known: some samples came as a statistic set, or are many and negative.
    /// CloudWatch has no percentiles of either.
    pub opaque: bool,
    /// The values are middles of bins.
    pub coarse: bool,
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
            coarse: false,
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
            coarse: false,
        }
    }

    pub fn merge(&mut self, other: &Bucket) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = other.clone();
            return;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.opaque |= other.opaque;
        if self.opaque {
            self.values = Vec::new();
            return;
        }
        if self.coarse && self.minimum >= 0.0 {
            for &(value, count) in &other.values {
                self.add(middle(bin(value)), count);
            }
            return;
        }
        for &(value, count) in &other.values {
            self.add(value, count);
        }
        if self.coarse || other.coarse || self.values.len() > EXACT {
            self.coarsen();
        }
    }

    fn add(&mut self, value: f64, count: f64) {
        match self.values.binary_search_by(|(v, _)| v.total_cmp(&value)) {
            Ok(at) => self.values[at].1 += count,
            Err(at) => self.values.insert(at, (value, count)),
        }
    }

    /// Moves every value to the middle of its bin.
    fn coarsen(&mut self) {
        if self.minimum < 0.0 {
            self.opaque = true;
            self.coarse = false;
            self.values = Vec::new();
            return;
        }
        self.coarse = true;
        let mut binned: Vec<(f64, f64)> = Vec::with_capacity(self.values.len());
        for &(value, count) in &self.values {
            let middle = middle(bin(value));
            match binned.last_mut() {
                Some((last, n)) if last.total_cmp(&middle) == Ordering::Equal => *n += count,
                _ => binned.push((middle, count)),
            }
        }
        self.values = binned;
    }
}

pub(crate) fn bin(value: f64) -> i64 {
    if value <= 0.0 {
        return ZERO_BIN;
    }
    ((value.log2() * BINS).floor() as i64).max(ZERO_BIN + 1)
}

pub(crate) fn middle(bin: i64) -> f64 {
    if bin <= ZERO_BIN {
        return 0.0;
    }
    ((bin as f64 + 0.5) / BINS).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_kept_in_bins_that_stay_where_they_are() {
        let mut bucket = Bucket::of(0.0, 1.0);
        for value in 1..=5000 {
            bucket.merge(&Bucket::of(f64::from(value), 1.0));
        }
        assert!(bucket.coarse && bucket.values.len() < 400);
        assert_eq!(bucket.count, 5001.0);
        assert_eq!((bucket.minimum, bucket.maximum), (0.0, 5000.0));
        assert_eq!(bucket.values.iter().map(|(_, n)| n).sum::<f64>(), 5001.0);
        for (value, _) in &bucket.values {
            assert_eq!(middle(bin(*value)), *value);
        }
        assert!((middle(bin(1234.0)) / 1234.0 - 1.0).abs() < 0.011);
    }

    #[test]
    fn many_values_with_negative_ones_are_not_known() {
        let mut bucket = Bucket::default();
        for value in -100..=100 {
            bucket.merge(&Bucket::of(f64::from(value), 1.0));
        }
        assert!(bucket.opaque && bucket.values.is_empty());
        assert_eq!((bucket.minimum, bucket.sum), (-100.0, 0.0));
    }
}
