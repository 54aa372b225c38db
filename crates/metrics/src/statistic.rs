//! Statistics of a bucket.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html`.
//! Where a bound falls among equal samples AWS does not say which of them it takes; here a bound in
//! percent takes the share of them that lies on its side.

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
    /// `tm99`, `TC(10:200)`, `IQM`…: a statistic of the samples between two bounds.
    Trimmed(Trimmed, Range),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trimmed {
    Mean,
    Count,
    Sum,
    /// The mean, with what is beyond a bound moved to it.
    Winsorized,
    /// Percent of the samples.
    Rank,
}

/// The lower bound is exclusive, the upper inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: Option<Bound>,
    high: Option<Bound>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    Percent(f64),
    Value(f64),
}

impl FromStr for Statistic {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "SampleCount" => Self::SampleCount,
            "Sum" => Self::Sum,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            "IQM" => Self::Trimmed(
                Trimmed::Mean,
                Range {
                    low: Some(Bound::Percent(25.0)),
                    high: Some(Bound::Percent(75.0)),
                },
            ),
            _ => extended(text).ok_or(())?,
        })
    }
}

fn extended(text: &str) -> Option<Statistic> {
    let split = text.find(|c: char| !c.is_ascii_alphabetic())?;
    let (name, rest) = text.split_at(split);
    if name == "p" {
        return Some(Statistic::Percentile(percent(rest)?));
    }
    let kind = match name {
        "tm" | "TM" => Trimmed::Mean,
        "tc" | "TC" => Trimmed::Count,
        "ts" | "TS" => Trimmed::Sum,
        "wm" | "WM" => Trimmed::Winsorized,
        "PR" => Trimmed::Rank,
        _ => return None,
    };
    let range = match name {
        "tm" | "tc" | "ts" | "wm" => Range {
            low: None,
            high: Some(Bound::Percent(percent(rest)?)),
        },
        _ => range(rest)?,
    };
    let values = [range.low, range.high]
        .into_iter()
        .flatten()
        .all(|b| matches!(b, Bound::Value(_)));
    // Percentile ranks are of values.
    (kind != Trimmed::Rank || values).then_some(Statistic::Trimmed(kind, range))
}

/// `(10%:90%)`, `(:200)`, `(5:)`: at least one bound, and both of one kind.
fn range(text: &str) -> Option<Range> {
    let (low, high) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(':')?;
    let (low, high) = (bound(low.trim())?, bound(high.trim())?);
    let fits = match (low, high) {
        (None, None) => false,
        (Some(Bound::Percent(a)), Some(Bound::Percent(b)))
        | (Some(Bound::Value(a)), Some(Bound::Value(b))) => a < b,
        (Some(_), Some(_)) => false,
        _ => true,
    };
    fits.then_some(Range { low, high })
}

fn bound(text: &str) -> Option<Option<Bound>> {
    if text.is_empty() {
        return Some(None);
    }
    Some(Some(match text.strip_suffix('%') {
        Some(text) => Bound::Percent(percent(text)?),
        None => Bound::Value(number(text)?),
    }))
}

fn percent(text: &str) -> Option<f64> {
    number(text).filter(|p| (0.0..=100.0).contains(p))
}

/// Digits and a point; Rust's own numbers may be `inf` and `1e5`.
fn number(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| plain)
}

impl Statistic {
    /// One of the five that need no values.
    pub fn is_plain(&self) -> bool {
        !matches!(self, Self::Percentile(_) | Self::Trimmed(..))
    }

    /// `None` where there is no sample, or a percentile cannot be known.
    pub fn of(&self, bucket: &Bucket) -> Option<f64> {
        if bucket.count <= 0.0 {
            return None;
        }
        if !self.is_plain() && (bucket.opaque || bucket.minimum < 0.0) {
            return None;
        }
        Some(match self {
            Self::SampleCount => bucket.count,
            Self::Sum => bucket.sum,
            Self::Average => bucket.sum / bucket.count,
            Self::Minimum => bucket.minimum,
            Self::Maximum => bucket.maximum,
            Self::Percentile(p) => return percentile(bucket, *p),
            Self::Trimmed(kind, range) => return trimmed(bucket, *kind, *range),
        })
    }

    /// Fewer samples than this say little of a percentile (`EvaluateLowSampleCountPercentile`):
    /// ten divided by the share of samples beyond it.
    pub fn significant_samples(&self) -> Option<f64> {
        let Self::Percentile(p) = self else {
            return None;
        };
        let tail = if *p >= 50.0 { 100.0 - p } else { *p };
        // A hundred for p90, and not a hair's breadth more: the division is not exact.
        let least = 1000.0 / tail;
        Some((least * 1e6).round() / 1e6)
    }
}

/// Nearest rank, interpolated between neighbours.
fn percentile(bucket: &Bucket, p: f64) -> Option<f64> {
    let values = &bucket.values;
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
    // The middle of a bin may lie beyond what was seen.
    Some((low + (high - low) * rank.fract()).clamp(bucket.minimum, bucket.maximum))
}

fn trimmed(bucket: &Bucket, kind: Trimmed, range: Range) -> Option<f64> {
    let total: f64 = bucket.values.iter().map(|(_, n)| n).sum();
    let (mut seen, mut count, mut sum) = (0.0, 0.0, 0.0);
    for &(value, n) in &bucket.values {
        // How many of these samples lie beyond each bound.
        let below = match range.low {
            None => 0.0,
            Some(Bound::Percent(p)) => (p / 100.0 * total - seen).clamp(0.0, n),
            Some(Bound::Value(low)) => f64::from(u8::from(value <= low)) * n,
        };
        let above = match range.high {
            None => 0.0,
            Some(Bound::Percent(p)) => (seen + n - p / 100.0 * total).clamp(0.0, n),
            Some(Bound::Value(high)) => f64::from(u8::from(value > high)) * n,
        };
        seen += n;
        let inside = (n - below - above).max(0.0);
        count += inside;
        sum += inside * value;
    }
    Some(match kind {
        Trimmed::Count => count,
        Trimmed::Sum => sum,
        Trimmed::Rank => count / total * 100.0,
        Trimmed::Mean => return (count > 0.0).then_some(sum / count),
        Trimmed::Winsorized => {
            let edge = |bound: Option<Bound>, none: f64| match bound {
                None => Some(none),
                Some(Bound::Percent(p)) => percentile(bucket, p),
                Some(Bound::Value(v)) => Some(v),
            };
            let low = edge(range.low, bucket.minimum)?;
            let high = edge(range.high, bucket.maximum)?;
            let moved = |v: f64| v.max(low).min(high);
            let sum: f64 = bucket.values.iter().map(|(v, n)| moved(*v) * n).sum();
            sum / total
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(values: impl IntoIterator<Item = f64>) -> Bucket {
        let mut bucket = Bucket::default();
        for v in values {
            bucket.merge(&Bucket::of(v, 1.0));
        }
        bucket
    }

    #[track_caller]
    fn check(bucket: &Bucket, text: &str, expected: Option<f64>) {
        let found = text.parse::<Statistic>().unwrap().of(bucket);
        let close = match (found, expected) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a == b,
        };
        assert!(close, "{text}: {found:?}, not {expected:?}");
    }

    #[test]
    fn statistics() {
        let four = bucket([4.0, 1.0, 3.0, 2.0]);
        check(&four, "SampleCount", Some(4.0));
        check(&four, "Sum", Some(10.0));
        check(&four, "Average", Some(2.5));
        check(&four, "Minimum", Some(1.0));
        check(&four, "Maximum", Some(4.0));
        check(&four, "p0", Some(1.0));
        check(&four, "p50", Some(2.5));
        check(&four, "p100", Some(4.0));
        check(&Bucket::default(), "Average", None);
        check(&Bucket::statistic_set(3.0, 9.0, 1.0, 5.0), "p50", None);
        check(&Bucket::statistic_set(3.0, 9.0, 3.0, 3.0), "p50", Some(3.0));
        check(&bucket([-1.0, 1.0]), "p50", None);
        check(&bucket([-1.0, 1.0]), "TM(:90%)", None);
    }

    #[test]
    fn statistics_between_bounds() {
        let ten = bucket((1..=10).map(f64::from));
        check(&ten, "TM(10%:90%)", Some(5.5));
        check(&ten, "tm90", Some(5.0));
        check(&ten, "TM(:90%)", Some(5.0));
        check(&ten, "TM(2:5)", Some(4.0));
        check(&ten, "TC(2:5)", Some(3.0));
        check(&ten, "tc80", Some(8.0));
        check(&ten, "TS(80%:)", Some(19.0));
        check(&ten, "ts20", Some(3.0));
        check(&ten, "PR(:3)", Some(30.0));
        check(&ten, "PR(3:)", Some(70.0));
        check(&ten, "PR(20:30)", Some(0.0));
        check(&ten, "IQM", Some(5.5));
        check(&ten, "WM(2:9)", Some(5.5));
        check(&ten, "TM(20:30)", None);
        check(&bucket([1.0, 1.0, 1.0, 100.0]), "tm75", Some(1.0));
        check(&bucket([1.0, 1.0, 1.0, 101.0]), "wm0", Some(1.0));
    }

    #[test]
    fn samples_that_a_percentile_takes() {
        let check = |text: &str, expected: Option<f64>| {
            let statistic: Statistic = text.parse().unwrap();
            assert_eq!(statistic.significant_samples(), expected, "{text}");
        };
        check("p50", Some(20.0));
        check("p90", Some(100.0));
        check("p95", Some(200.0));
        check("p99", Some(1000.0));
        check("p99.9", Some(10_000.0));
        check("p10", Some(100.0));
        check("Average", None);
    }

    #[test]
    fn what_is_no_statistic() {
        for bad in [
            "",
            "p",
            "p101",
            "average",
            "pNaN",
            "tm",
            "TM",
            "TM()",
            "TM(:)",
            "TM(9%:1%)",
            "TM(1:90%)",
            "PR(1%:)",
            "p-1",
            "p1e1",
            "pinf",
            "x99",
            "TM(1:2",
            "é",
        ] {
            assert!(bad.parse::<Statistic>().is_err(), "{bad}");
        }
    }
}
