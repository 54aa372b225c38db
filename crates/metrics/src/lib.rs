//! Metric series, statistics and alarm evaluation. No HTTP, no timers: `now` is a parameter.
//!
//! A series is a namespace, a name and an exact set of dimensions; each
//! combination is a metric of its own and nothing rolls up by itself
//! (`https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html`).

pub mod alarm;
mod archive;
mod block;
mod bucket;
mod codec;
pub mod composite;
pub mod math;
mod series;
mod statistic;
mod store;

pub use archive::Error;
pub use bucket::Bucket;
pub use statistic::Statistic;
pub use store::{Metrics, Resolution};

use model::Scope;
use serde::{Deserialize, Serialize};

/// Names one metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetricKey {
    pub scope: Scope,
    pub namespace: String,
    pub name: String,
    /// Sorted by name; use [`MetricKey::new`].
    pub dimensions: Vec<(String, String)>,
}

impl MetricKey {
    pub fn new(scope: &Scope, namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Self {
        let mut dimensions: Vec<(String, String)> = dimensions
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        dimensions.sort();
        Self {
            scope: scope.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions,
        }
    }
}
