//! Counting: what a worker notes while it serves, and the histograms it sends.

mod counters;
mod histogram;

pub use counters::{NodeCounters, Open, TargetCounters, bump};
pub use histogram::Histogram;
