//! `nines top`: what load balancers do, second by second.
//!
//! Read off the balancer process itself, with whose counters CloudWatch is fed a minute later: it needs
//! no control plane, and shows what is when that is gone.

use super::table;
use crate::layout::State;
use anyhow::{Context, Result};
use balancer::Report;
use balancer::count::Histogram;
use balancer::report::{FlowMetrics, HealthState, Metrics, NodeMetrics, TargetMetrics};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;

pub fn run(state: &Path, name: Option<&str>, once: bool) -> Result<()> {
    let dir = State(state.to_owned()).balancer();
    let reports = sidecar::reports::<Report>(&dir);
    let reports = reports.context("failed to read the load balancers: is the cloud up?")?;
    let mut view = View::default();
    let clears = std::io::stdout().is_terminal() && !once;
    for report in reports {
        if !view.take(report) {
            continue;
        }
        let text = view.text(name.unwrap_or_default());
        let start = if clears { "\x1b[H\x1b[2J" } else { "" };
        let mut out = std::io::stdout().lock();
        // Whoever reads may have had enough.
        if write!(out, "{start}{text}")
            .and_then(|()| out.flush())
            .is_err()
            || once
        {
            return Ok(());
        }
    }
    anyhow::bail!("the balancer has ended")
}

/// Of a target of a group, over all nodes.
#[derive(Default)]
struct Row {
    zone: String,
    counts: TargetMetrics,
    flows: u64,
    /// By node.
    health: BTreeMap<String, HealthState>,
}

/// What is known: health for good, counts of the last second.
#[derive(Default)]
struct View {
    seconds: f64,
    /// With the requests that its targets got.
    balancers: BTreeMap<String, (NodeMetrics, u64)>,
    networks: BTreeMap<String, FlowMetrics>,
    /// By group and target.
    targets: BTreeMap<(String, String), Row>,
}

impl View {
    /// Takes a report in; true if it completes a second.
    fn take(&mut self, report: Report) -> bool {
        match report {
            Report::Health(health) => {
                let key = (health.target_group, health.target);
                let row = self.targets.entry(key).or_default();
                row.health.insert(health.node, health.state);
                false
            }
            Report::Metrics(metrics) => {
                self.count(&metrics);
                true
            }
            Report::Flows(nodes) => {
                self.count_flows(&nodes);
                false
            }
            _ => false,
        }
    }

    fn count(&mut self, metrics: &Metrics) {
        let seconds = metrics.to.duration_since(metrics.from).as_secs_f64();
        self.seconds = seconds.max(0.001);
        self.balancers.clear();
        for row in self.targets.values_mut() {
            row.counts = TargetMetrics::default();
        }
        for node in &metrics.nodes {
            let entry = self.balancers.entry(node.load_balancer.clone());
            let (sum, requests) = entry.or_default();
            sum.active_connection_count += node.active_connection_count;
            sum.new_connection_count += node.new_connection_count;
            sum.processed_bytes += node.processed_bytes;
            sum.elb_3xx += node.elb_3xx;
            sum.elb_4xx += node.elb_4xx;
            sum.elb_5xx += node.elb_5xx;
            sum.http_fixed_response_count += node.http_fixed_response_count;
            for group in &node.groups {
                for target in &group.targets {
                    let key = (group.target_group.clone(), target.target.clone());
                    let row = self.targets.entry(key).or_default();
                    row.zone = target.zone.clone().unwrap_or_default();
                    add(&mut row.counts, target);
                    *requests += target.request_count;
                }
            }
        }
    }

    fn count_flows(&mut self, nodes: &[FlowMetrics]) {
        self.networks.clear();
        for row in self.targets.values_mut() {
            row.flows = 0;
        }
        for node in nodes {
            let sum = self.networks.entry(node.load_balancer.clone()).or_default();
            sum.active_flow_count_tcp += node.active_flow_count_tcp;
            sum.active_flow_count_udp += node.active_flow_count_udp;
            sum.new_flow_count_tcp += node.new_flow_count_tcp;
            sum.new_flow_count_udp += node.new_flow_count_udp;
            sum.processed_bytes_tcp += node.processed_bytes_tcp;
            sum.processed_bytes_udp += node.processed_bytes_udp;
            for group in &node.groups {
                for target in &group.targets {
                    let key = (group.target_group.clone(), target.target.clone());
                    let row = self.targets.entry(key).or_default();
                    row.zone = target.zone.clone().unwrap_or_default();
                    row.flows += target.active_flow_count;
                }
            }
        }
    }

    /// Tables of what has `name` in its name.
    fn text(&self, name: &str) -> String {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut balancers = vec![words(
            "LOAD-BALANCER REQ/S OWN-3XX/S OWN-4XX/S OWN-5XX/S FIXED/S CONNECTIONS NEW/S MB/S",
        )];
        let rate = |count: u64| format!("{:.0}", count as f64 / self.seconds);
        let megabytes = |bytes: u64| format!("{:.2}", bytes as f64 / self.seconds / 1e6);
        for (key, (sum, requests)) in self.balancers.iter().filter(|(key, _)| key.contains(name)) {
            let own = sum.elb_3xx + sum.elb_4xx + sum.elb_5xx + sum.http_fixed_response_count;
            balancers.push(vec![
                key.clone(),
                rate(own + requests),
                rate(sum.elb_3xx),
                rate(sum.elb_4xx),
                rate(sum.elb_5xx),
                rate(sum.http_fixed_response_count),
                sum.active_connection_count.to_string(),
                rate(sum.new_connection_count),
                megabytes(sum.processed_bytes),
            ]);
        }
        let mut networks = vec![words(
            "NETWORK-LOAD-BALANCER TCP-FLOWS UDP-FLOWS NEW/S MB/S",
        )];
        for (key, sum) in self.networks.iter().filter(|(key, _)| key.contains(name)) {
            networks.push(vec![
                key.clone(),
                sum.active_flow_count_tcp.to_string(),
                sum.active_flow_count_udp.to_string(),
                rate(sum.new_flow_count_tcp + sum.new_flow_count_udp),
                megabytes(sum.processed_bytes_tcp + sum.processed_bytes_udp),
            ]);
        }
        let mut targets = vec![words(
            "GROUP TARGET ZONE HEALTH REQ/S RUNNING P50 P99 2XX 3XX 4XX 5XX NO-CONNECTION FLOWS",
        )];
        for ((group, target), row) in self
            .targets
            .iter()
            .filter(|((key, _), _)| key.contains(name))
        {
            let counts = &row.counts;
            targets.push(vec![
                group.trim_start_matches("targetgroup/").to_owned(),
                target.clone(),
                row.zone.clone(),
                health(&row.health),
                rate(counts.request_count),
                counts.in_flight.to_string(),
                quantile(&counts.response_time, 0.5),
                quantile(&counts.response_time, 0.99),
                counts.target_2xx.to_string(),
                counts.target_3xx.to_string(),
                counts.target_4xx.to_string(),
                counts.target_5xx.to_string(),
                counts.target_connection_error_count.to_string(),
                row.flows.to_string(),
            ]);
        }
        let filled = [balancers, networks, targets]
            .into_iter()
            .filter(|rows| rows.len() > 1);
        filled.map(|rows| table(&rows) + "\n").collect()
    }
}

fn add(sum: &mut TargetMetrics, other: &TargetMetrics) {
    sum.request_count += other.request_count;
    sum.in_flight += other.in_flight;
    sum.target_2xx += other.target_2xx;
    sum.target_3xx += other.target_3xx;
    sum.target_4xx += other.target_4xx;
    sum.target_5xx += other.target_5xx;
    sum.target_connection_error_count += other.target_connection_error_count;
    sum.response_time.merge(&other.response_time);
}

/// What the nodes find, where they agree; else how many of them find it healthy.
fn health(by_node: &BTreeMap<String, HealthState>) -> String {
    let mut states = by_node.values();
    let Some(first) = states.next() else {
        return "-".into();
    };
    if states.all(|state| state == first) {
        return format!("{first:?}").to_lowercase();
    }
    let healthy = by_node
        .values()
        .filter(|s| **s == HealthState::Healthy)
        .count();
    format!("healthy at {healthy} of {}", by_node.len())
}

fn quantile(times: &Histogram, quantile: f64) -> String {
    match times.quantile(quantile) {
        None => "-".into(),
        Some(micros) => format!("{:.1}ms", micros as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balancer::report::{GroupMetrics, Health};
    use jiff::Timestamp;

    fn healthy(node: &str, state: HealthState) -> Report {
        Report::Health(Health {
            target_group: "targetgroup/web/1".into(),
            target: "i-1:80".into(),
            node: node.into(),
            state,
            reason: None,
            description: None,
            detail: None,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    fn second(requests: u64) -> Report {
        let mut response_time = Histogram::default();
        (0..requests).for_each(|_| response_time.record(2000));
        let target = TargetMetrics {
            target: "i-1:80".into(),
            zone: Some("z".into()),
            request_count: requests,
            target_2xx: requests,
            response_time,
            ..TargetMetrics::default()
        };
        let node = |name: &str| NodeMetrics {
            load_balancer: "app/lb/1".into(),
            node: name.into(),
            active_connection_count: 3,
            elb_4xx: 1,
            groups: vec![GroupMetrics {
                target_group: "targetgroup/web/1".into(),
                targets: vec![target.clone()],
                ..GroupMetrics::default()
            }],
            ..NodeMetrics::default()
        };
        Report::Metrics(Metrics {
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::from_second(2).unwrap(),
            nodes: vec![node("a"), node("b")],
        })
    }

    #[test]
    fn seconds_become_tables() {
        let mut view = View::default();
        assert!(!view.take(healthy("a", HealthState::Healthy)));
        assert!(!view.take(healthy("b", HealthState::Unhealthy)));
        assert!(view.take(second(10)));
        let text = view.text("");
        let cells = |text: &str, line: usize| -> Vec<String> {
            let line = text.lines().nth(line).unwrap_or_default();
            line.split("  ")
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(
            cells(&text, 1),
            ["app/lb/1", "11", "0", "1", "0", "0", "6", "0", "0.00"]
        );
        let expected = [
            "web/1",
            "i-1:80",
            "z",
            "healthy at 1 of 2",
            "10",
            "0",
            "2.0ms",
            "2.0ms",
            "20",
            "0",
            "0",
            "0",
            "0",
            "0",
        ];
        assert_eq!(cells(&text, 4), expected, "{text}");
        // Only the last second counts, and health stays.
        view.take(healthy("b", HealthState::Healthy));
        view.take(second(0));
        let text = view.text("web");
        assert_eq!(cells(&text, 1)[3..7], ["healthy", "0", "0", "-"]);
        assert_eq!(view.text("other"), "");
    }
}
