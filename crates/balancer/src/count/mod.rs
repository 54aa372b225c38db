//! Counting: what a worker notes while it serves, and the histograms it sends.

mod counters;
mod flows;
mod gathering;
mod histogram;

pub use counters::{NodeCounters, Open, TargetCounters, bump};
pub use flows::{FlowCounters, Flows, Relayed};
pub use gathering::Gathering;
pub use histogram::Histogram;
