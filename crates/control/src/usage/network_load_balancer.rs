//! `AWS/NetworkELB`: what the nodes of network load balancers passed on.
//! Source: the Network Load Balancer guide, `load-balancer-cloudwatch-metrics.html`.

use ::balancer::report::{FlowGroupMetrics, FlowMetrics};
use jiff::Timestamp;
use metrics::{Bucket, MetricKey, Metrics};
use model::Scope;
use std::collections::BTreeMap;
use store::State;

const NLB: &str = "AWS/NetworkELB";

/// What one LCU stands for, by transport: new flows a second, flows at a time, bytes an hour.
/// Source: `aws.amazon.com/elasticloadbalancing/pricing`.
const TCP_UNIT: Unit = Unit {
    new: 800.0,
    active: 100_000.0,
    bytes: 1e9,
};
const UDP_UNIT: Unit = Unit {
    new: 400.0,
    active: 50_000.0,
    bytes: 1e9,
};

const TLS_UNIT: Unit = Unit {
    new: 50.0,
    active: 3_000.0,
    bytes: 1e9,
};

struct Unit {
    new: f64,
    active: f64,
    bytes: f64,
}

impl Unit {
    /// The dearest of the dimensions, of a period that took that many seconds.
    fn consumed(&self, seconds: usize, new: u64, active: f64, bytes: u64) -> f64 {
        let per_second = new as f64 / seconds as f64;
        let per_hour = bytes as f64 / seconds as f64 * 3600.0;
        (per_second / self.new)
            .max(active / self.active)
            .max(per_hour / self.bytes)
    }
}

/// A period's counts: `counts` are the seconds of all nodes.
pub fn measure(metrics: &Metrics, state: &State, counts: &[FlowMetrics], start: Timestamp) {
    let mut by_node: BTreeMap<&str, Vec<&FlowMetrics>> = BTreeMap::new();
    for second in counts {
        by_node.entry(&second.node).or_default().push(second);
    }
    for seconds in by_node.values() {
        let Some(last) = seconds.last() else { continue };
        let mut balancers = state.load_balancers.values();
        if let Some(balancer) = balancers.find(|b| b.dimension() == last.load_balancer) {
            node(metrics, &balancer.scope, seconds, last, start);
        }
    }
}

fn node(
    metrics: &Metrics,
    scope: &Scope,
    seconds: &[&FlowMetrics],
    last: &FlowMetrics,
    start: Timestamp,
) {
    let key = last.load_balancer.as_str();
    let put = |name: &str, unit: &str, bucket: Bucket| {
        let zone = ("AvailabilityZone", last.zone.as_str());
        for dimensions in [&[("LoadBalancer", key)][..], &[("LoadBalancer", key), zone]] {
            let key = MetricKey::new(scope, NLB, name, dimensions);
            metrics.put_bucket(key, unit, start, bucket.clone());
        }
    };
    let sum = |of: fn(&FlowMetrics) -> u64| seconds.iter().map(|s| of(s)).sum::<u64>();
    let (new_tcp, new_udp) = (sum(|s| s.new_flow_count_tcp), sum(|s| s.new_flow_count_udp));
    let new_tls = sum(|s| s.new_flow_count_tls);
    let (bytes_tcp, bytes_udp, bytes_tls) = (
        sum(|s| s.processed_bytes_tcp),
        sum(|s| s.processed_bytes_udp),
        sum(|s| s.processed_bytes_tls),
    );
    let sums = [
        ("NewFlowCount", new_tcp + new_udp + new_tls, "Count"),
        ("NewFlowCount_TLS", new_tls, "Count"),
        ("NewFlowCount_TCP", new_tcp, "Count"),
        ("NewFlowCount_UDP", new_udp, "Count"),
        ("ProcessedBytes", bytes_tcp + bytes_udp + bytes_tls, "Bytes"),
        ("ProcessedBytes_TLS", bytes_tls, "Bytes"),
        (
            "ClientTLSNegotiationErrorCount",
            sum(|s| s.client_tls_negotiation_error_count),
            "Count",
        ),
        (
            "TargetTLSNegotiationErrorCount",
            sum(|s| s.target_tls_negotiation_error_count),
            "Count",
        ),
        ("ProcessedBytes_TCP", bytes_tcp, "Bytes"),
        ("ProcessedBytes_UDP", bytes_udp, "Bytes"),
        ("ProcessedPackets", sum(|s| s.processed_packets), "Count"),
        (
            "TCP_Client_Reset_Count",
            sum(|s| s.tcp_client_reset_count),
            "Count",
        ),
        (
            "TCP_Target_Reset_Count",
            sum(|s| s.tcp_target_reset_count),
            "Count",
        ),
        (
            "TCP_ELB_Reset_Count",
            sum(|s| s.tcp_elb_reset_count),
            "Count",
        ),
        (
            "UnhealthyRoutingFlowCount",
            sum(|s| s.unhealthy_routing_flow_count),
            "Count",
        ),
    ];
    for (name, value, unit) in sums {
        if value > 0 {
            put(name, unit, Bucket::of(value as f64, 1.0));
        }
    }
    let gauge = |of: &dyn Fn(&FlowMetrics) -> u64| {
        let mut bucket = Bucket::default();
        for second in seconds {
            bucket.merge(&Bucket::of(of(second) as f64, 1.0));
        }
        bucket
    };
    let tcp = gauge(&|s| s.active_flow_count_tcp);
    let udp = gauge(&|s| s.active_flow_count_udp);
    let tls = gauge(&|s| s.active_flow_count_tls);
    let all =
        gauge(&|s| s.active_flow_count_tcp + s.active_flow_count_udp + s.active_flow_count_tls);
    let average = |bucket: &Bucket| bucket.sum / bucket.count.max(1.0);
    let consumed_tcp = TCP_UNIT.consumed(seconds.len(), new_tcp, average(&tcp), bytes_tcp);
    let consumed_udp = UDP_UNIT.consumed(seconds.len(), new_udp, average(&udp), bytes_udp);
    let consumed_tls = TLS_UNIT.consumed(seconds.len(), new_tls, average(&tls), bytes_tls);
    for (name, value) in [
        ("ConsumedLCUs", consumed_tcp + consumed_udp + consumed_tls),
        ("ConsumedLCUs_TLS", consumed_tls),
        ("ConsumedLCUs_TCP", consumed_tcp),
        ("ConsumedLCUs_UDP", consumed_udp),
    ] {
        if value > 0.0 {
            put(name, "Count", Bucket::of(value, 1.0));
        }
    }
    put("ActiveFlowCount", "Count", all);
    put("ActiveFlowCount_TCP", "Count", tcp);
    put("ActiveFlowCount_UDP", "Count", udp);
    put("ActiveFlowCount_TLS", "Count", tls);
    let peak = seconds.iter().map(|s| s.processed_packets).max();
    put(
        "PeakPacketsPerSecond",
        "Count/Second",
        Bucket::of(peak.unwrap_or(0) as f64, 1.0),
    );
    for group in &last.groups {
        hosts(metrics, scope, last, group, start);
    }
}

fn hosts(
    metrics: &Metrics,
    scope: &Scope,
    node: &FlowMetrics,
    group: &FlowGroupMetrics,
    start: Timestamp,
) {
    let (balancer, group_key) = (node.load_balancer.as_str(), group.target_group.as_str());
    for (name, value) in [
        ("HealthyHostCount", group.healthy_host_count),
        ("UnHealthyHostCount", group.unhealthy_host_count),
    ] {
        let whole = [("LoadBalancer", balancer), ("TargetGroup", group_key)];
        let zonal = [
            ("LoadBalancer", balancer),
            ("TargetGroup", group_key),
            ("AvailabilityZone", node.zone.as_str()),
        ];
        for dimensions in [&whole[..], &zonal] {
            let key = MetricKey::new(scope, NLB, name, dimensions);
            metrics.put_bucket(key, "Count", start, Bucket::of(value as f64, 1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_dearest_dimension() {
        assert_eq!(TCP_UNIT.consumed(60, 48_000, 0.0, 0), 1.0);
        assert_eq!(TCP_UNIT.consumed(60, 48_000, 250_000.0, 0), 2.5);
        assert_eq!(UDP_UNIT.consumed(60, 0, 0.0, 50_000_000), 3.0);
    }
}
