//! Statistics of a bucket.

use crate::Bucket;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    SampleCount,
    Sum,
    Average,
    Minimum,
    Maximum,
    /// `p99`, `p99.9`: 0–100.
    Percentile(f64),
}

impl FromStr for Statistic {
    type Err = ();
    /// Trimmed and winsorized means and their kin are not known here; the API refuses them.
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "SampleCount" => Self::SampleCount,
            "Sum" => Self::Sum,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            _ => {
                let p: f64 = text
                    .strip_prefix('p')
                    .and_then(|p| p.parse().ok())
                    .ok_or(())?;
                if !(0.0..=100.0).contains(&p) {
                    return Err(());
                }
                Self::Percentile(p)
            }
        })
    }
}

impl Statistic {
    /// `None` where there is no sample, or a percentile cannot be known.
    pub fn of(&self, bucket: &Bucket) -> Option<f64> {
        if bucket.count <= 0.0 {
            return None;
        }
        Some(match self {
            Self::SampleCount => bucket.count,
            Self::Sum => bucket.sum,
            Self::Average => bucket.sum / bucket.count,
            Self::Minimum => bucket.minimum,
            Self::Maximum => bucket.maximum,
            Self::Percentile(p) => return percentile(bucket, *p),
        })
    }
}

/// Nearest rank, interpolated between neighbours.
fn percentile(bucket: &Bucket, p: f64) -> Option<f64> {
    if bucket.opaque || bucket.values.iter().any(|(v, _)| *v < 0.0) {
        return None;
    }
    let mut values = bucket.values.clone();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, n)| n).sum();
    let rank = p / 100.0 * (total - 1.0).max(0.0);
    let at = |rank: f64| {
        let mut seen = 0.0;
        values
            .iter()
            .find(|(_, n)| {
                seen += n;
                rank < seen
            })
            .or(values.last())
            .map(|(v, _)| *v)
    };
    let (low, high) = (at(rank.floor())?, at(rank.ceil())?);
    Some(low + (high - low) * rank.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        let mut bucket = Bucket::default();
        for v in [4.0, 1.0, 3.0, 2.0] {
            bucket.merge(&Bucket::of(v, 1.0));
        }
        let check = |text: &str, expected: f64| {
            assert_eq!(
                text.parse::<Statistic>().unwrap().of(&bucket),
                Some(expected),
                "{text}"
            )
        };
        check("SampleCount", 4.0);
        check("Sum", 10.0);
        check("Average", 2.5);
        check("Minimum", 1.0);
        check("Maximum", 4.0);
        check("p0", 1.0);
        check("p50", 2.5);
        check("p100", 4.0);
        for bad in ["", "p", "p101", "average", "pNaN", "tm99"] {
            assert!(bad.parse::<Statistic>().is_err(), "{bad}");
        }
        assert_eq!(Statistic::Average.of(&Bucket::default()), None);
        assert_eq!(
            Statistic::Percentile(50.0).of(&Bucket::statistic_set(3.0, 9.0, 1.0, 5.0)),
            None
        );
        assert_eq!(
            Statistic::Percentile(50.0).of(&Bucket::statistic_set(3.0, 9.0, 3.0, 3.0)),
            Some(3.0)
        );
    }
}
