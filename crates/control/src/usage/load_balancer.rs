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
        for node in counts.iter().filter(|n| n.load_balancer == key) {
            node_counts(metrics, &balancer.scope, node, start);
            for group in &node.groups {
                group_counts(metrics, &balancer.scope, key, node, group, start);
            }
        }
        let spoken = grpc_groups(state, balancer);
        grpc_requests(metrics, &balancer.scope, key, &spoken, counts, start);
        connections(metrics, &balancer.scope, key, counts, start);
        requests_per_target(metrics, state, &balancer.scope, key, counts, start);
        zone_states(metrics, state, balancer, counts, start);
    }
}

/// What a node counted, of its load balancer and of its zone in that.
fn node_counts(metrics: &Metrics, scope: &Scope, node: &NodeMetrics, start: Timestamp) {
    let sums = [
        ("NewConnectionCount", node.new_connection_count),
        ("RejectedConnectionCount", node.rejected_connection_count),
        (
            "ClientTLSNegotiationErrorCount",
            node.client_tls_negotiation_error_count,
        ),
        ("ProcessedBytes", node.processed_bytes),
        ("HTTPCode_ELB_3XX_Count", node.elb_3xx),
        ("HTTPCode_ELB_4XX_Count", node.elb_4xx),
        ("HTTPCode_ELB_5XX_Count", node.elb_5xx),
        ("HTTPCode_ELB_500_Count", node.elb_500),
        ("HTTPCode_ELB_502_Count", node.elb_502),
        ("HTTPCode_ELB_503_Count", node.elb_503),
        ("HTTPCode_ELB_504_Count", node.elb_504),
        ("HTTP_Redirect_Count", node.http_redirect_count),
        (
            "HTTP_Redirect_Url_Limit_Exceeded_Count",
            node.http_redirect_url_limit_exceeded_count,
        ),
        ("HTTP_Fixed_Response_Count", node.http_fixed_response_count),
        ("RuleEvaluations", node.rule_evaluations),
        (
            "DesyncMitigationMode_NonCompliant_Request_Count",
            node.non_compliant_request_count,
        ),
        ("NonStickyRequestCount", node.non_sticky_request_count),
        (
            "DroppedInvalidHeaderRequestCount",
            node.dropped_invalid_header_request_count,
        ),
        (
            "ForwardedInvalidHeaderRequestCount",
            node.forwarded_invalid_header_request_count,
        ),
    ];
    let balancer = ("LoadBalancer", node.load_balancer.as_str());
    let zone = ("AvailabilityZone", node.zone.as_str());
    let (whole, of_zone) = ([balancer], [balancer, zone]);
    for (name, value) in sums.into_iter().filter(|(_, value)| *value > 0) {
        let unit = match name {
            "ProcessedBytes" => "Bytes",
            _ => "Count",
        };
        // Those of invalid fields are of zones alone.
        let whole = (!name.ends_with("InvalidHeaderRequestCount")).then_some(&whole[..]);
        for dimensions in whole.into_iter().chain([&of_zone[..]]) {
            let key = MetricKey::new(scope, ALB, name, dimensions);
            metrics.put_bucket(key, unit, start, Bucket::of(value as f64, 1.0));
        }
    }
}

/// Dimensions of the groups that speak gRPC.
fn grpc_groups(state: &State, balancer: &LoadBalancer) -> Vec<String> {
    let groups = groups_of(state, balancer);
    let groups = groups.iter().filter_map(|arn| state.target_groups.get(arn));
    let spoken = groups.filter(|group| group.protocol_version == "GRPC");
    spoken.map(|group| group.dimension().to_owned()).collect()
}

/// `GrpcRequestCount`: the requests of the groups that speak it.
fn grpc_requests(
    metrics: &Metrics,
    scope: &Scope,
    balancer: &str,
    spoken: &[String],
    counts: &[NodeMetrics],
    start: Timestamp,
) {
    let own = counts.iter().filter(|n| n.load_balancer == balancer);
    for (node, group) in own.flat_map(|node| node.groups.iter().map(move |group| (node, group))) {
        let requests: u64 = group.targets.iter().map(|t| t.request_count).sum();
        if requests > 0 && spoken.contains(&group.target_group) {
            let bucket = Bucket::of(requests as f64, 1.0);
            let put = |dimensions: &[(&str, &str)]| {
                let key = MetricKey::new(scope, ALB, "GrpcRequestCount", dimensions);
                metrics.put_bucket(key, "Count", start, bucket.clone());
            };
            all_dimensions(balancer, node, group, true, put);
        }
    }
}

/// L, LZ, T and TZ; without what is of the whole load balancer, T and TZ.
fn all_dimensions(
    balancer: &str,
    node: &NodeMetrics,
    group: &GroupMetrics,
    whole_balancer: bool,
    put: impl Fn(&[(&str, &str)]),
) {
    let balancer = ("LoadBalancer", balancer);
    let group = ("TargetGroup", group.target_group.as_str());
    let zone = ("AvailabilityZone", node.zone.as_str());
    put(&[balancer, group]);
    put(&[balancer, group, zone]);
    if whole_balancer {
        put(&[balancer]);
        put(&[balancer, zone]);
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
        all_dimensions(balancer, node, group, whole_balancer, put);
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
            "TargetTLSNegotiationErrorCount",
            sum(|t| t.target_tls_negotiation_error_count),
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
#[path = "load_balancer_tests.rs"]
mod tests;
