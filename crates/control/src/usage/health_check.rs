//! `AWS/Route53`: what health checks come to, each minute.
//! Source: `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/monitoring-cloudwatch.html`

use crate::hosted_zone::is_healthy;
use jiff::Timestamp;
use metrics::{Bucket, MetricKey, Metrics};
use store::State;

pub fn measure(metrics: &Metrics, state: &State, start: Timestamp) {
    for check in state.health_checks.values() {
        let status = f64::from(u8::from(is_healthy(state, check)));
        let dimensions = [("HealthCheckId", check.id.as_str())];
        let put = |name: &str, unit: &str, value: f64| {
            let key = MetricKey::new(&check.scope, "AWS/Route53", name, &dimensions);
            metrics.put_bucket(key, unit, start, Bucket::of(value, 1.0));
        };
        put("HealthCheckStatus", "None", status);
        // Of the one checker that there is here.
        if let Some(seen) = &check.observed {
            let share = if seen.healthy { 100.0 } else { 0.0 };
            put("HealthCheckPercentageHealthy", "Percent", share);
        }
    }
}
