//! Alarm evaluation: M of N points, with CloudWatch's rules for missing data.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html`
//! and `alarms-and-missing-data.html`; `reference/cloudwatch.md` §4.1 states the algorithm.

mod look;

pub use look::{Point, Points, look};

use model::cloudwatch::{AlarmState, MetricAlarm};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    GreaterThanOrEqual,
    GreaterThan,
    LessThan,
    LessThanOrEqual,
}

impl Comparison {
    pub fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "GreaterThanOrEqualToThreshold" => Self::GreaterThanOrEqual,
            "GreaterThanThreshold" => Self::GreaterThan,
            "LessThanThreshold" => Self::LessThan,
            "LessThanOrEqualToThreshold" => Self::LessThanOrEqual,
            _ => return None,
        })
    }
    pub fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqual => value >= threshold,
            Self::GreaterThan => value > threshold,
            Self::LessThan => value < threshold,
            Self::LessThanOrEqual => value <= threshold,
        }
    }
    /// As AWS's state reasons word it.
    pub fn words(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqual => "greater than or equal to",
            Self::GreaterThan => "greater than",
            Self::LessThan => "less than",
            Self::LessThanOrEqual => "less than or equal to",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// N
    pub evaluation_periods: usize,
    /// M
    pub datapoints_to_alarm: usize,
    pub comparison: Comparison,
    pub threshold: f64,
    pub missing: Missing,
}

impl Rule {
    /// `None` for an operator that is not one of the four.
    pub fn of(alarm: &MetricAlarm) -> Option<Self> {
        let evaluation_periods = alarm.evaluation_periods as usize;
        Some(Self {
            evaluation_periods,
            datapoints_to_alarm: alarm
                .datapoints_to_alarm
                .map_or(evaluation_periods, |m| m as usize),
            comparison: Comparison::of(&alarm.comparison_operator)?,
            threshold: alarm.threshold,
            missing: match alarm.treat_missing_data.as_deref() {
                Some("breaching") => Missing::Breaching,
                Some("notBreaching") => Missing::NotBreaching,
                Some("ignore") => Missing::Ignore,
                _ => Missing::Missing,
            },
        })
    }
    /// Periods that are fetched: AWS looks further back than N, by how far it does not say;
    /// its worked tables use 5 for N = 3, which is N + 2.
    pub fn range(&self) -> usize {
        self.evaluation_periods + 2
    }
}

/// A state, and what decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// `None` keeps the present state.
    pub state: Option<AlarmState>,
    /// Indices into the fetched points of those that decided.
    pub evaluated: Vec<usize>,
    /// How many points stood in for missing ones.
    pub filled: usize,
}

/// `points`: the last [`Rule::range`] periods, oldest first; `None` has no data.
pub fn evaluate(rule: &Rule, points: &[Option<f64>]) -> Verdict {
    use AlarmState::{Alarm, InsufficientData, Ok};
    let n = rule.evaluation_periods.max(1);
    let m = rule.datapoints_to_alarm.clamp(1, n);
    let real: Vec<(usize, bool)> = points
        .iter()
        .enumerate()
        .filter_map(|(i, p)| p.map(|v| (i, rule.comparison.breaches(v, rule.threshold))))
        .collect();
    let newest = &real[real.len().saturating_sub(n)..];
    let evaluated: Vec<usize> = newest.iter().map(|(i, _)| *i).collect();
    let breaching = newest.iter().filter(|(_, b)| *b).count();
    let filled = n - newest.len();
    let verdict = |state| Verdict {
        state,
        evaluated: evaluated.clone(),
        filled,
    };
    if newest.is_empty() {
        return verdict(match rule.missing {
            Missing::Missing => Some(InsufficientData),
            Missing::Ignore => None,
            Missing::Breaching => Some(Alarm),
            Missing::NotBreaching => Some(Ok),
        });
    }
    if filled == 0 {
        return verdict(Some(if breaching >= m { Alarm } else { Ok }));
    }
    match rule.missing {
        Missing::Breaching => verdict(Some(if breaching + filled >= m { Alarm } else { Ok })),
        Missing::NotBreaching => verdict(Some(if breaching >= m { Alarm } else { Ok })),
        Missing::Missing | Missing::Ignore if breaching >= m => verdict(Some(Alarm)),
        Missing::Missing | Missing::Ignore => {
            // Premature alarms: few points, the oldest breaching one at least M
            // periods old, and nothing but breaches and gaps since.
            let all_breach = breaching == newest.len();
            let oldest = newest.first().map_or(0, |(i, _)| points.len() - i);
            if all_breach && oldest >= m {
                // `ignore` keeps the present state in this case.
                verdict((rule.missing == Missing::Missing).then_some(Alarm))
            } else if all_breach {
                verdict(None)
            } else {
                verdict(Some(Ok))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `X` breaches, `0` does not, `-` is missing; oldest first. Expected: A, O, I, or `=` keeps.
    fn check(m: usize, points: &str, expected: [&str; 4]) {
        let points: Vec<Option<f64>> = points
            .split(' ')
            .map(|p| match p {
                "X" => Some(1.0),
                "0" => Some(0.0),
                _ => None,
            })
            .collect();
        for (missing, expected) in [
            Missing::Missing,
            Missing::Ignore,
            Missing::Breaching,
            Missing::NotBreaching,
        ]
        .into_iter()
        .zip(expected)
        {
            let rule = Rule {
                evaluation_periods: 3,
                datapoints_to_alarm: m,
                comparison: Comparison::GreaterThan,
                threshold: 0.5,
                missing,
            };
            let found = match evaluate(&rule, &points).state {
                Some(AlarmState::Alarm) => "A",
                Some(AlarmState::Ok) => "O",
                Some(AlarmState::InsufficientData) => "I",
                None => "=",
            };
            assert_eq!(found, expected, "{m} of 3, {points:?}, {missing:?}");
        }
    }

    /// The tables of AWS's page on missing data.
    #[test]
    fn missing_data() {
        check(3, "0 - X - X", ["O", "O", "O", "O"]);
        check(3, "0 - - - -", ["O", "O", "O", "O"]);
        check(3, "- - - - -", ["I", "=", "A", "O"]);
        check(3, "0 X X - X", ["A", "A", "A", "A"]);
        check(3, "- - X - -", ["A", "=", "A", "O"]);
        // Premature alarms stay put.
        check(3, "- - - - X", ["=", "=", "A", "O"]);
        check(3, "- - - X -", ["=", "=", "A", "O"]);
        check(2, "0 - X - X", ["A", "A", "A", "A"]);
        check(2, "0 0 X 0 X", ["A", "A", "A", "A"]);
        check(2, "0 - X - -", ["O", "O", "A", "O"]);
        check(2, "- - - - 0", ["O", "O", "A", "O"]);
        check(2, "- - - X -", ["A", "=", "A", "O"]);
    }
}
