//! `MetadataNoToken` of `AWS/EC2`: how often an instance read its metadata without a token, which says
//! whether version 1 can be switched off for it. Source: `viewing_metrics_with_cloudwatch.html`.

use jiff::Timestamp;
use metrics::{Bucket, MetricKey, Metrics};
use model::InstanceId;
use std::collections::BTreeMap;
use store::State;

/// The counts of a period, by instance.
pub fn measure(metrics: &Metrics, state: &State, counts: &BTreeMap<String, u64>, start: Timestamp) {
    for (id, count) in counts {
        let found = id.parse::<InstanceId>().ok();
        let found = found.and_then(|id| state.instances.get(&id));
        let Some(instance) = found else { continue };
        let dimensions = [("InstanceId", id.as_str())];
        let key = MetricKey::new(&instance.scope, "AWS/EC2", "MetadataNoToken", &dimensions);
        metrics.put_bucket(key, "Count", start, Bucket::of(*count as f64, 1.0));
    }
}
