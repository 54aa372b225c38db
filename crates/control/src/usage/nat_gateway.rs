//! `AWS/NATGateway`: what went through each gateway, counted in its namespace.
//!
//! Source: `https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html`.
//! Peaks per second and idle timeouts are not measured.

use host::Host;
use host::network::{NatUsage, Passed};
use jiff::Timestamp;
use metrics::{MetricKey, Metrics};
use model::NatGatewayId;
use model::vpc::NatGatewayState;
use std::collections::BTreeMap;
use store::State;

/// Where each gateway's counters stood.
#[derive(Default)]
pub struct Readings(BTreeMap<NatGatewayId, NatUsage>);

pub fn measure(
    metrics: &Metrics,
    readings: &mut Readings,
    state: &State,
    host: &dyn Host,
    start: Timestamp,
) {
    let serving = |id: &NatGatewayId| {
        let gateway = state.nat_gateways.get(id);
        gateway.is_some_and(|g| g.state == NatGatewayState::Available)
    };
    readings.0.retain(|id, _| serving(id));
    for gateway in state.nat_gateways.values().filter(|g| serving(&g.id)) {
        let Some(now) = host.nat_usage(&gateway.interface) else {
            continue;
        };
        let Some(before) = readings.0.insert(gateway.id.clone(), now) else {
            continue;
        };
        for (name, unit, value) in values(&before, &now) {
            let dimensions = [("NatGatewayId", gateway.id.as_str())];
            let key = MetricKey::new(&gateway.scope, "AWS/NATGateway", name, &dimensions);
            metrics.put(key, unit, start, value, 1.0);
        }
    }
}

fn values(before: &NatUsage, now: &NatUsage) -> Vec<(&'static str, &'static str, f64)> {
    // New rules begin to count anew.
    let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now) as f64;
    let mut values = Vec::with_capacity(13);
    let mut traffic = |names: [&'static str; 2], now: Passed, before: Passed| {
        values.push((names[0], "Bytes", since(now.bytes, before.bytes)));
        values.push((names[1], "Count", since(now.packets, before.packets)));
    };
    traffic(
        ["BytesInFromSource", "PacketsInFromSource"],
        now.in_from_source,
        before.in_from_source,
    );
    traffic(
        ["BytesOutToDestination", "PacketsOutToDestination"],
        now.out_to_destination,
        before.out_to_destination,
    );
    traffic(
        ["BytesInFromDestination", "PacketsInFromDestination"],
        now.in_from_destination,
        before.in_from_destination,
    );
    traffic(
        ["BytesOutToSource", "PacketsOutToSource"],
        now.out_to_source,
        before.out_to_source,
    );
    let mut count = |name, value| values.push((name, "Count", value));
    count("ActiveConnectionCount", now.open as f64);
    count(
        "ConnectionAttemptCount",
        since(now.attempts, before.attempts),
    );
    count(
        "ConnectionEstablishedCount",
        since(now.established, before.established),
    );
    count("PacketsDropCount", since(now.dropped, before.dropped));
    if let (Some(now), Some(before)) = (now.no_port, before.no_port) {
        count("ErrorPortAllocation", since(now, before));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_what_was_since_the_last_period() {
        let traffic = |packets, bytes| Passed { packets, bytes };
        let before = NatUsage {
            in_from_source: traffic(10, 1000),
            attempts: 7,
            no_port: Some(1),
            ..NatUsage::default()
        };
        let now = NatUsage {
            in_from_source: traffic(12, 1300),
            // Its rules are new.
            attempts: 2,
            open: 3,
            no_port: Some(1),
            ..NatUsage::default()
        };
        let found = values(&before, &now);
        let value = |name: &str| found.iter().find(|(n, ..)| *n == name).map(|(.., v)| *v);
        assert_eq!(value("BytesInFromSource"), Some(300.0));
        assert_eq!(value("PacketsInFromSource"), Some(2.0));
        assert_eq!(value("ConnectionAttemptCount"), Some(2.0));
        assert_eq!(value("ActiveConnectionCount"), Some(3.0));
        assert_eq!(value("ErrorPortAllocation"), Some(0.0));
        let unknown = NatUsage::default();
        let found = values(&unknown, &unknown);
        assert!(found.iter().all(|(n, ..)| *n != "ErrorPortAllocation"));
    }
}
