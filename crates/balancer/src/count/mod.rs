//! Counting: what a worker notes while it serves, and the histograms it sends.

mod histogram;

pub use histogram::Histogram;
