//! Adding up what the workers counted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::flows::add;
use crate::report::{GroupMetrics, Metrics, NodeMetrics, TargetMetrics};

/// The workers' counts of one tick.
#[derive(Debug)]
pub struct Gathering {
    from: Timestamp,
    heard: BTreeSet<usize>,
    nodes: BTreeMap<String, NodeMetrics>,
}

impl Gathering {
    pub fn starting_now() -> Gathering {
        Gathering {
            from: Timestamp::now(),
            heard: BTreeSet::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Counts of a worker that missed the last tick stay, and go out with the next report.
    pub fn begin(&mut self) {
        self.heard.clear();
    }

    /// The sum, once all workers were heard.
    pub fn add(
        &mut self,
        worker: usize,
        workers: usize,
        nodes: Vec<NodeMetrics>,
    ) -> Option<Metrics> {
        self.heard.insert(worker);
        for node in nodes {
            match self.nodes.get_mut(&node.node) {
                Some(sum) => add_node(sum, node),
                None => _ = self.nodes.insert(node.node.clone(), node),
            }
        }
        if self.heard.len() < workers {
            return None;
        }
        let to = Timestamp::now();
        let from = std::mem::replace(&mut self.from, to);
        Some(Metrics {
            from,
            to,
            nodes: std::mem::take(&mut self.nodes).into_values().collect(),
        })
    }
}

fn add_node(sum: &mut NodeMetrics, other: NodeMetrics) {
    sum.active_connection_count += other.active_connection_count;
    sum.new_connection_count += other.new_connection_count;
    sum.rejected_connection_count += other.rejected_connection_count;
    sum.client_tls_negotiation_error_count += other.client_tls_negotiation_error_count;
    sum.processed_bytes += other.processed_bytes;
    sum.elb_3xx += other.elb_3xx;
    sum.elb_4xx += other.elb_4xx;
    sum.elb_5xx += other.elb_5xx;
    sum.elb_500 += other.elb_500;
    sum.elb_502 += other.elb_502;
    sum.elb_503 += other.elb_503;
    sum.elb_504 += other.elb_504;
    sum.http_redirect_count += other.http_redirect_count;
    sum.http_redirect_url_limit_exceeded_count += other.http_redirect_url_limit_exceeded_count;
    sum.http_fixed_response_count += other.http_fixed_response_count;
    sum.rule_evaluations += other.rule_evaluations;
    sum.non_compliant_request_count += other.non_compliant_request_count;
    sum.dropped_invalid_header_request_count += other.dropped_invalid_header_request_count;
    sum.forwarded_invalid_header_request_count += other.forwarded_invalid_header_request_count;
    sum.non_sticky_request_count += other.non_sticky_request_count;
    match (&mut sum.relayed, other.relayed) {
        (Some(sum), Some(mut other)) => add(sum, &mut other),
        (sum, other) => *sum = sum.take().or(other),
    }
    for group in other.groups {
        match sum
            .groups
            .iter_mut()
            .find(|known| known.target_group == group.target_group)
        {
            Some(known) => add_group(known, group),
            None => sum.groups.push(group),
        }
    }
}

/// Host counts are the same in every worker, up to a moment; the later one counts.
fn add_group(sum: &mut GroupMetrics, other: GroupMetrics) {
    sum.healthy_host_count = other.healthy_host_count;
    sum.unhealthy_host_count = other.unhealthy_host_count;
    sum.unhealthy_routing_request_count += other.unhealthy_routing_request_count;
    // Each worker judges by what it saw; one that saw it is enough.
    sum.anomalous_host_count = sum.anomalous_host_count.max(other.anomalous_host_count);
    sum.mitigated_host_count = sum.mitigated_host_count.max(other.mitigated_host_count);
    sum.zonal_shifted_host_count = other.zonal_shifted_host_count;
    for target in other.targets {
        match sum
            .targets
            .iter_mut()
            .find(|known| known.target == target.target)
        {
            Some(known) => add_target(known, &target),
            None => sum.targets.push(target),
        }
    }
}

fn add_target(sum: &mut TargetMetrics, other: &TargetMetrics) {
    sum.request_count += other.request_count;
    sum.in_flight += other.in_flight;
    sum.target_2xx += other.target_2xx;
    sum.target_3xx += other.target_3xx;
    sum.target_4xx += other.target_4xx;
    sum.target_5xx += other.target_5xx;
    sum.target_connection_error_count += other.target_connection_error_count;
    sum.target_tls_negotiation_error_count += other.target_tls_negotiation_error_count;
    sum.response_time.merge(&other.response_time);
    sum.is_anomalous |= other.is_anomalous;
    sum.is_mitigated |= other.is_mitigated;
}
