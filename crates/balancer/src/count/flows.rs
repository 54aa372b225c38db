//! Flows of network load balancers that workers relay: counted by each, added up beside the workers'
//! other counts, and told of with the flows that the kernel passes on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::bump;
use crate::report::{FlowGroupMetrics, FlowMetrics, FlowTargetMetrics, GroupMetrics, Metrics};

/// Of one node, in one worker.
#[derive(Debug, Default)]
pub struct FlowCounters {
    pub tcp: Rc<Flows>,
    pub tls: Rc<Flows>,
    /// Handshakes that came to nothing.
    pub client_tls_errors: Cell<u64>,
    pub target_tls_errors: Cell<u64>,
}

#[derive(Debug, Default)]
pub struct Flows {
    open: Cell<u64>,
    opened: Cell<u64>,
    /// Both ways.
    pub bytes: Cell<u64>,
}

/// A flow that counts as active while this lives.
#[derive(Debug)]
pub struct OpenFlow(Rc<Flows>);

impl Drop for OpenFlow {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

impl Flows {
    pub fn open(self: &Rc<Self>) -> OpenFlow {
        bump(&self.open);
        bump(&self.opened);
        OpenFlow(self.clone())
    }
}

impl FlowCounters {
    /// What happened since the last call; names are left for the caller.
    pub fn take(&self, groups: &[GroupMetrics]) -> FlowMetrics {
        let unhealthy = groups.iter().map(|g| g.unhealthy_routing_request_count);
        FlowMetrics {
            active_flow_count_tcp: self.tcp.open.get(),
            active_flow_count_tls: self.tls.open.get(),
            new_flow_count_tcp: self.tcp.opened.take(),
            new_flow_count_tls: self.tls.opened.take(),
            processed_bytes_tcp: self.tcp.bytes.take(),
            processed_bytes_tls: self.tls.bytes.take(),
            client_tls_negotiation_error_count: self.client_tls_errors.take(),
            target_tls_negotiation_error_count: self.target_tls_errors.take(),
            unhealthy_routing_flow_count: unhealthy.sum(),
            groups: groups.iter().map(group).collect(),
            ..FlowMetrics::default()
        }
    }
}

fn group(group: &GroupMetrics) -> FlowGroupMetrics {
    let targets = group.targets.iter().map(|target| FlowTargetMetrics {
        target: target.target.clone(),
        zone: target.zone.clone(),
        active_flow_count: target.in_flight,
    });
    FlowGroupMetrics {
        target_group: group.target_group.clone(),
        healthy_host_count: group.healthy_host_count,
        unhealthy_host_count: group.unhealthy_host_count,
        targets: targets.collect(),
    }
}

/// What workers relayed and nobody was told of yet.
#[derive(Debug, Default)]
pub struct Relayed {
    nodes: BTreeMap<String, FlowMetrics>,
    /// Counted under the config in force.
    is_current: bool,
}

impl Relayed {
    /// The config changed.
    pub fn renew(&mut self) {
        self.is_current = false;
    }

    /// Takes what is of network load balancers out of the workers' counts.
    pub fn take_from(&mut self, metrics: &mut Metrics, is_current: bool) {
        self.is_current = is_current;
        let mut before = std::mem::take(&mut self.nodes);
        metrics.nodes.retain_mut(|node| {
            let Some(mut now) = node.relayed.take() else {
                return true;
            };
            if let Some(mut untold) = before.remove(&node.node) {
                let sums = counts(&mut now).into_iter().zip(counts(&mut untold));
                sums.for_each(|(sum, untold)| *sum += *untold);
            }
            self.nodes.insert(node.node.clone(), *now);
            false
        });
    }

    /// Adds to what the kernel passed on; false if what is known is of another config.
    pub fn add_to(&mut self, nodes: &mut [FlowMetrics]) -> bool {
        for node in nodes {
            if let Some(relayed) = self.nodes.get_mut(&node.node) {
                add(node, relayed);
                counts(relayed).into_iter().for_each(|count| *count = 0);
            }
        }
        self.is_current
    }
}

/// Adds one worker's, or the kernel's, counts to another's. How many targets are healthy is the same
/// for both.
pub fn add(sum: &mut FlowMetrics, other: &mut FlowMetrics) {
    let sums = counts(sum).into_iter().zip(counts(other));
    sums.for_each(|(sum, other)| *sum += *other);
    sum.active_flow_count_tcp += other.active_flow_count_tcp;
    sum.active_flow_count_tls += other.active_flow_count_tls;
    for group in &other.groups {
        let same = |known: &&mut FlowGroupMetrics| known.target_group == group.target_group;
        let Some(known) = sum.groups.iter_mut().find(same) else {
            sum.groups.push(group.clone());
            continue;
        };
        for target in &group.targets {
            let mut targets = known.targets.iter_mut();
            match targets.find(|known| known.target == target.target) {
                Some(known) => known.active_flow_count += target.active_flow_count,
                None => known.targets.push(target.clone()),
            }
        }
    }
}

/// Those since the last report; the rest is of now.
fn counts(of: &mut FlowMetrics) -> [&mut u64; 7] {
    [
        &mut of.new_flow_count_tcp,
        &mut of.new_flow_count_tls,
        &mut of.processed_bytes_tcp,
        &mut of.processed_bytes_tls,
        &mut of.client_tls_negotiation_error_count,
        &mut of.target_tls_negotiation_error_count,
        &mut of.unhealthy_routing_flow_count,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::NodeMetrics;

    /// Counts go out once, however workers' and kernel's reports take turns; what is of now stays.
    #[test]
    fn counts_are_told_once() {
        let relayed = |new: u64, active: u64| Metrics {
            from: jiff::Timestamp::UNIX_EPOCH,
            to: jiff::Timestamp::UNIX_EPOCH,
            nodes: vec![NodeMetrics {
                node: "n".into(),
                relayed: Some(Box::new(FlowMetrics {
                    new_flow_count_tls: new,
                    active_flow_count_tls: active,
                    ..FlowMetrics::default()
                })),
                ..NodeMetrics::default()
            }],
        };
        let mut known = Relayed::default();
        let told = |known: &mut Relayed| {
            let mut nodes = [FlowMetrics {
                node: "n".into(),
                new_flow_count_tcp: 1,
                ..FlowMetrics::default()
            }];
            let is_current = known.add_to(&mut nodes);
            let [node] = nodes;
            assert_eq!(node.new_flow_count_tcp, 1);
            (
                node.new_flow_count_tls,
                node.active_flow_count_tls,
                is_current,
            )
        };
        known.take_from(&mut relayed(2, 2), true);
        known.take_from(&mut relayed(3, 4), true);
        assert_eq!(told(&mut known), (5, 4, true));
        assert_eq!(told(&mut known), (0, 4, true));
        known.renew();
        assert_eq!(told(&mut known), (0, 4, false));
        known.take_from(&mut relayed(0, 0), true);
        assert_eq!(told(&mut known), (0, 0, true));
    }
}
