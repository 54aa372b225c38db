//! Metric math: expressions over metrics, as `GetMetricData` and alarms have them.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html`.
//! An expression is parsed into a tree and evaluated on values of four kinds: a number, a text, a
//! line (time series) and an array of lines. Lines are joined on their timestamps; a point that
//! one operand lacks is absent from the result, and so is one that is no number.

mod evaluate;
mod function;
pub mod label;
mod line;
mod parse;
pub mod search;
mod stored;

pub use evaluate::{Answer, Evaluation, Source, Window, check};
pub use line::{Line, Properties};
pub use stored::Stored;

/// Completes "failed to …" for our log, and is AWS's message to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Error in expression '{id}': {why}")]
pub struct Error {
    /// The query's.
    pub id: String,
    pub why: String,
}

#[cfg(test)]
mod tests;
