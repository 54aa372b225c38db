//! Metric series, statistics and alarm evaluation; pure but for one lock.

/// Every series of the cloud.
#[derive(Default)]
pub struct Metrics {}
