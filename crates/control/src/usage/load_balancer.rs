//! `AWS/ApplicationELB`: what the balancer's nodes counted.

use crate::load_balancer::{Failover, groups_of};
use ::balancer::report::{GroupMetrics, NodeMetrics};
use jiff::Timestamp;
use metrics::{Bucket, MetricKey, Metrics};
use model::Scope;
use model::elbv2::{LoadBalancer, TargetState};
use std::collections::BTreeMap;
use store::State;

const ALB: &str = "AWS/ApplicationELB";

/// A period's counts, in the dimension sets that AWS has: L, LZ, T, TZ.
pub fn measure(metrics: &Metrics, state: &State, counts: &[NodeMetrics], start: Timestamp) {
    for balancer in state.load_balancers.values() {
        let key = balancer.dimension();
        let put = |name: &str, dimensions: &[(&str, &str)], unit: &str, bucket: Bucket| {
            metrics.put_bucket(
                MetricKey::new(&balancer.scope, ALB, name, dimensions),
                unit,
                start,
                bucket,
            );
        };
        for node in counts.iter().filter(|n| n.load_balancer == key) {
            let sums = [
                ("NewConnectionCount", node.new_connection_count, "Count"),
                (
                    "RejectedConnectionCount",
                    node.rejected_connection_count,
                    "Count",
                ),
                (
                    "ClientTLSNegotiationErrorCount",
                    node.client_tls_negotiation_error_count,
                    "Count",
                ),
                ("ProcessedBytes", node.processed_bytes, "Bytes"),
                ("HTTPCode_ELB_3XX_Count", node.elb_3xx, "Count"),
                ("HTTPCode_ELB_4XX_Count", node.elb_4xx, "Count"),
                ("HTTPCode_ELB_5XX_Count", node.elb_5xx, "Count"),
                ("HTTPCode_ELB_500_Count", node.elb_500, "Count"),
                ("HTTPCode_ELB_502_Count", node.elb_502, "Count"),
                ("HTTPCode_ELB_503_Count", node.elb_503, "Count"),
                ("HTTPCode_ELB_504_Count", node.elb_504, "Count"),
                ("HTTP_Redirect_Count", node.http_redirect_count, "Count"),
                (
                    "HTTP_Redirect_Url_Limit_Exceeded_Count",
                    node.http_redirect_url_limit_exceeded_count,
                    "Count",
                ),
                (
                    "HTTP_Fixed_Response_Count",
                    node.http_fixed_response_count,
                    "Count",
                ),
                ("RuleEvaluations", node.rule_evaluations, "Count"),
            ];
            for (name, value, unit) in sums.into_iter().filter(|(_, value, _)| *value > 0) {
                put(
                    name,
                    &[("LoadBalancer", key)],
                    unit,
                    Bucket::of(value as f64, 1.0),
                );
                put(
                    name,
                    &[("LoadBalancer", key), ("AvailabilityZone", &node.zone)],
                    unit,
                    Bucket::of(value as f64, 1.0),
                );
            }
            for group in &node.groups {
                group_counts(metrics, &balancer.scope, key, node, group, start);
            }
        }
        connections(metrics, &balancer.scope, key, counts, start);
        requests_per_target(metrics, state, &balancer.scope, key, counts, start);
        zone_states(metrics, state, balancer, counts, start);
    }
}

/// How many zones have enough healthy targets of a group, and how many have not: for DNS to name
/// them, and for requests to go to healthy targets only. Of a zone that is one or none.
fn zone_states(
    metrics: &Metrics,
    state: &State,
    balancer: &LoadBalancer,
    counts: &[NodeMetrics],
    start: Timestamp,
) {
    let key = balancer.dimension();
    let reported = |zone: &str| {
        counts
            .iter()
            .any(|n| n.load_balancer == key && n.zone == zone)
    };
    let zones = balancer.zones.iter().map(|z| z.zone.as_str());
    let zones: Vec<&str> = zones.filter(|zone| reported(zone)).collect();
    if zones.is_empty() {
        return;
    }
    let names = [
        (Failover::Dns, "HealthyStateDNS", "UnhealthyStateDNS"),
        (
            Failover::Routing,
            "HealthyStateRouting",
            "UnhealthyStateRouting",
        ),
    ];
    let groups = groups_of(state, balancer);
    for group in groups.iter().filter_map(|arn| state.target_groups.get(arn)) {
        for (failover, healthy, unhealthy) in names {
            let put = |name: &str, zone: Option<&str>, count: usize| {
                let mut dimensions =
                    vec![("LoadBalancer", key), ("TargetGroup", group.dimension())];
                dimensions.extend(zone.map(|zone| ("AvailabilityZone", zone)));
                let key = MetricKey::new(&balancer.scope, ALB, name, &dimensions);
                metrics.put_bucket(key, "Count", start, Bucket::of(count as f64, 1.0));
            };
            let mut good = 0;
            for zone in &zones {
                let is_good = failover.is_held_off(state, group, balancer, zone);
                good += usize::from(is_good);
                put(healthy, Some(zone), usize::from(is_good));
                put(unhealthy, Some(zone), usize::from(!is_good));
            }
            put(healthy, None, good);
            put(unhealthy, None, zones.len() - good);
        }
    }
}

/// What one LCU stands for: new connections and rule evaluations a second, connections at a time,
/// bytes an hour. Source: `aws.amazon.com/elasticloadbalancing/pricing`.
const LCU_NEW: f64 = 25.0;
const LCU_RULES: f64 = 1000.0;
const LCU_ACTIVE: f64 = 3000.0;
const LCU_BYTES: f64 = 1e9;

/// `ActiveConnectionCount`, one sample of each node, so that their sum is the load balancer's; and
/// the LCUs that the dearest of its dimensions consumes.
fn connections(
    metrics: &Metrics,
    scope: &Scope,
    balancer: &str,
    counts: &[NodeMetrics],
    start: Timestamp,
) {
    let mut by_node: BTreeMap<&str, Vec<&NodeMetrics>> = BTreeMap::new();
    for second in counts.iter().filter(|n| n.load_balancer == balancer) {
        by_node.entry(&second.node).or_default().push(second);
    }
    let put = |name: &str, dimensions: &[(&str, &str)], value: f64| {
        let key = MetricKey::new(scope, ALB, name, dimensions);
        metrics.put_bucket(key, "Count", start, Bucket::of(value, 1.0));
    };
    let (mut new, mut rules, mut active, mut bytes) = (0.0, 0.0, 0.0, 0.0);
    for seconds in by_node.values() {
        let average = |of: fn(&NodeMetrics) -> u64| {
            let sum: u64 = seconds.iter().map(|second| of(second)).sum();
            sum as f64 / seconds.len() as f64
        };
        let open = average(|n| n.active_connection_count);
        new += average(|n| n.new_connection_count);
        rules += average(|n| n.rule_evaluations);
        bytes += average(|n| n.processed_bytes) * 3600.0;
        active += open;
        if let Some(node) = seconds.first().filter(|_| open > 0.0) {
            let zone = ("AvailabilityZone", node.zone.as_str());
            put("ActiveConnectionCount", &[("LoadBalancer", balancer)], open);
            put(
                "ActiveConnectionCount",
                &[("LoadBalancer", balancer), zone],
                open,
            );
        }
    }
    let dimensions = [
        new / LCU_NEW,
        rules / LCU_RULES,
        active / LCU_ACTIVE,
        bytes / LCU_BYTES,
    ];
    let consumed = dimensions.into_iter().fold(0.0, f64::max);
    if consumed > 0.0 {
        put("ConsumedLCUs", &[("LoadBalancer", balancer)], consumed);
    }
}

fn group_counts(
    metrics: &Metrics,
    scope: &Scope,
    balancer: &str,
    node: &NodeMetrics,
    group: &GroupMetrics,
    start: Timestamp,
) {
    let sum = |of: fn(&::balancer::report::TargetMetrics) -> u64| {
        group.targets.iter().map(of).sum::<u64>()
    };
    let requests = sum(|t| t.request_count);
    let put = |name: &str, unit: &str, bucket: Bucket, whole_balancer: bool| {
        let put = |dimensions: &[(&str, &str)]| {
            metrics.put_bucket(
                MetricKey::new(scope, ALB, name, dimensions),
                unit,
                start,
                bucket.clone(),
            )
        };
        put(&[
            ("LoadBalancer", balancer),
            ("TargetGroup", &group.target_group),
        ]);
        put(&[
            ("LoadBalancer", balancer),
            ("TargetGroup", &group.target_group),
            ("AvailabilityZone", &node.zone),
        ]);
        if whole_balancer {
            put(&[("LoadBalancer", balancer)]);
            put(&[("LoadBalancer", balancer), ("AvailabilityZone", &node.zone)]);
        }
    };
    let counts = [
        ("RequestCount", requests),
        ("HTTPCode_Target_2XX_Count", sum(|t| t.target_2xx)),
        ("HTTPCode_Target_3XX_Count", sum(|t| t.target_3xx)),
        ("HTTPCode_Target_4XX_Count", sum(|t| t.target_4xx)),
        ("HTTPCode_Target_5XX_Count", sum(|t| t.target_5xx)),
        (
            "TargetConnectionErrorCount",
            sum(|t| t.target_connection_error_count),
        ),
        (
            "UnhealthyRoutingRequestCount",
            group.unhealthy_routing_request_count,
        ),
    ];
    for (name, value) in counts.into_iter().filter(|(_, value)| *value > 0) {
        put(
            name,
            "Count",
            Bucket::of(value as f64, 1.0),
            name != "UnhealthyRoutingRequestCount",
        );
    }
    put(
        "HealthyHostCount",
        "Count",
        Bucket::of(group.healthy_host_count as f64, 1.0),
        false,
    );
    put(
        "UnHealthyHostCount",
        "Count",
        Bucket::of(group.unhealthy_host_count as f64, 1.0),
        false,
    );
    let odd = [
        ("AnomalousHostCount", group.anomalous_host_count),
        ("MitigatedHostCount", group.mitigated_host_count),
    ];
    for (name, count) in odd {
        put(name, "Count", Bucket::of(count as f64, 1.0), false);
    }
    if group.zonal_shifted_host_count > 0 {
        let shifted = Bucket::of(group.zonal_shifted_host_count as f64, 1.0);
        put("ZonalShiftedHostCount", "Count", shifted, false);
    }
    let mut times = Bucket::default();
    for target in &group.targets {
        for (micros, count) in target.response_time.values() {
            times.merge(&Bucket::of(micros as f64 / 1e6, count as f64));
        }
    }
    if times.count > 0.0 {
        put("TargetResponseTime", "Seconds", times, true);
    }
}

/// A group's requests in the period and the targets they were for.
#[derive(Default)]
struct Load {
    requests: u64,
    healthy: u64,
    unhealthy: u64,
}

impl Load {
    /// Over the healthy targets, or over all if none is healthy.
    fn per_target(&self) -> f64 {
        match if self.healthy > 0 {
            self.healthy
        } else {
            self.unhealthy
        } {
            0 => 0.0,
            targets => self.requests as f64 / targets as f64,
        }
    }
}

/// `RequestCountPerTarget`: one point a period, always. All nodes' requests over all targets of the
/// group, since neither shares of a node's requests nor counts of its targets add up where zones
/// are not crossed; for a zone, its nodes' requests over the targets that they see.
fn requests_per_target(
    metrics: &Metrics,
    state: &State,
    scope: &Scope,
    balancer: &str,
    counts: &[NodeMetrics],
    start: Timestamp,
) {
    let mut loads: BTreeMap<(&str, Option<&str>), Load> = BTreeMap::new();
    for node in counts.iter().filter(|n| n.load_balancer == balancer) {
        for group in &node.groups {
            let requests: u64 = group.targets.iter().map(|t| t.request_count).sum();
            let name = group.target_group.as_str();
            loads.entry((name, None)).or_default().requests += requests;
            let zone = loads.entry((name, Some(&node.zone))).or_default();
            zone.requests += requests;
            // The newest count of the period stands.
            zone.healthy = group.healthy_host_count;
            zone.unhealthy = group.unhealthy_host_count;
        }
    }
    for health in state.target_health.values() {
        let Some((_, name)) = health.target_group.rsplit_once(':') else {
            continue;
        };
        if let Some(whole) = loads.get_mut(&(name, None)) {
            match health.state {
                TargetState::Healthy => whole.healthy += 1,
                TargetState::Unhealthy | TargetState::UnhealthyDraining => whole.unhealthy += 1,
                _ => {}
            }
        }
    }
    for ((group, zone), load) in &loads {
        let zone = zone.map(|z| ("AvailabilityZone", z));
        for balancer in [None, Some(("LoadBalancer", balancer))] {
            let dimensions: Vec<(&str, &str)> = [Some(("TargetGroup", *group)), zone, balancer]
                .into_iter()
                .flatten()
                .collect();
            metrics.put(
                MetricKey::new(scope, ALB, "RequestCountPerTarget", &dimensions),
                "None",
                start,
                load.per_target(),
                1.0,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::balancer::report::TargetMetrics;
    use model::elbv2::TargetHealth;

    fn node(zone: &str, requests: u64, healthy: u64) -> NodeMetrics {
        NodeMetrics {
            load_balancer: "app/lb/1".into(),
            node: zone.into(),
            zone: zone.into(),
            groups: vec![GroupMetrics {
                target_group: "targetgroup/web/1".into(),
                healthy_host_count: healthy,
                targets: vec![TargetMetrics {
                    request_count: requests,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn connections_are_averaged_and_the_dearest_dimension_counts() {
        let metrics = Metrics::default();
        let scope = Scope::new("000000000000", "us-east-1");
        let second = |zone: &str, active: u64, new: u64| NodeMetrics {
            active_connection_count: active,
            new_connection_count: new,
            ..node(zone, 0, 1)
        };
        let counts = [
            second("a", 100, 50),
            second("a", 300, 50),
            second("b", 50, 0),
        ];
        let start = Timestamp::UNIX_EPOCH;
        connections(&metrics, &scope, "app/lb/1", &counts, start);
        let check = |name: &str, dimensions: &[(&str, &str)], expected: f64| {
            let key = MetricKey::new(&scope, ALB, name, dimensions);
            let end = Timestamp::from_second(60).unwrap();
            let sum = metrics.query(&key, None, start, end, 60_000, &metrics::Statistic::Sum);
            assert_eq!(sum, [(start, expected)], "{name} {dimensions:?}");
        };
        let whole = ("LoadBalancer", "app/lb/1");
        check("ActiveConnectionCount", &[whole], 250.0);
        check(
            "ActiveConnectionCount",
            &[whole, ("AvailabilityZone", "a")],
            200.0,
        );
        check("ConsumedLCUs", &[whole], 2.0);
    }

    /// One target in zone a, three in zone b, and zones not crossed.
    #[test]
    fn requests_per_target_are_of_all_nodes_over_all_targets() {
        let metrics = Metrics::default();
        let scope = Scope::new("000000000000", "us-east-1");
        let store = store::Store::in_memory();
        for target in ["i-1", "i-2", "i-3", "i-4"] {
            let health = TargetHealth {
                target_group:
                    "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1".into(),
                target: target.into(),
                port: 80,
                state: TargetState::Healthy,
                reason: None,
                since: Timestamp::UNIX_EPOCH,
                is_anomalous: false,
                is_mitigated: false,
                is_shifted: false,
            };
            store.update(|tx| tx.put(health));
        }
        let state = store.snapshot();
        let start = Timestamp::UNIX_EPOCH;
        let counts = [
            node("a", 60, 1),
            node("b", 50, 3),
            node("a", 0, 1),
            node("b", 10, 3),
        ];
        requests_per_target(&metrics, &state, &scope, "app/lb/1", &counts, start);
        let check = |dimensions: &[(&str, &str)], expected: f64| {
            let key = MetricKey::new(&scope, ALB, "RequestCountPerTarget", dimensions);
            let end = Timestamp::from_second(60).unwrap();
            let sum = metrics.query(&key, None, start, end, 60_000, &metrics::Statistic::Sum);
            assert_eq!(sum, [(start, expected)], "{dimensions:?}");
        };
        let group = ("TargetGroup", "targetgroup/web/1");
        check(&[group], 30.0);
        check(&[group, ("LoadBalancer", "app/lb/1")], 30.0);
        check(&[group, ("AvailabilityZone", "a")], 60.0);
        check(&[group, ("AvailabilityZone", "b")], 20.0);
    }
}
