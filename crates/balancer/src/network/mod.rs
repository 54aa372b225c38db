//! Network load balancers: flows that the kernel passes on.
//!
//! Each node is a namespace between its subnet's router and nothing. This thread writes the rules
//! that translate new flows to targets there, ends flows whose target is gone, and reads counters;
//! no packet comes here. Passing bytes between transparent sockets was the alternative: two copies
//! and two wake-ups for every segment, where the kernel forwards it in a microsecond.
//!
//! The clients' addresses stay in the packets, so the router must lead answers back through the
//! node: it remembers in connection tracking from which node a flow came (`host::linux::network`).
//!
//! What the kernel cannot do, ending TLS and telling targets of clients by PROXY headers, workers do
//! (`relay`, `proxy/relay`): they connect to targets under the client's address where it is to be
//! preserved, and the node's rules lead the answers to them.
//!
//! It takes the same commands as the workers and answers like one: what is in force in all of them
//! and here is in force.

mod kernel;
mod node;
pub mod proxy_header;
mod relay;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use self::node::Node;
pub use self::relay::with_relays;
pub use self::rules::RELAYED;
use crate::config::Config;
use crate::report::Health;
use crate::worker::{Command, Event};

/// Serves until the command channel closes. The rules stay then: a successor finds flows as they
/// were, and until it comes the kernel goes on.
pub fn run(mut commands: UnboundedReceiver<Command>, tell: impl Fn(Event)) {
    let mut nodes = Nodes::default();
    while let Some(command) = commands.blocking_recv() {
        nodes.take(command, &tell);
        // A thousand targets' first checks end within a moment: one change of rules for all of them.
        while let Ok(command) = commands.try_recv() {
            nodes.take(command, &tell);
        }
        nodes.refresh_stale();
    }
}

#[derive(Default)]
struct Nodes {
    config: Arc<Config>,
    nodes: BTreeMap<String, Node>,
}

impl Nodes {
    fn take(&mut self, command: Command, tell: &impl Fn(Event)) {
        match command {
            Command::Apply {
                sequence,
                config,
                inherited,
                ..
            } => {
                let problems = self.apply(config, &inherited.health);
                tell(Event::Applied { sequence, problems });
            }
            Command::Health {
                node,
                target_group,
                target,
                state,
            } => {
                if let Some(node) = self.nodes.get_mut(&node) {
                    node.set_health(target_group, target, state);
                }
            }
            // The rules stay: a successor finds flows as they were.
            Command::StopListening { .. } => self.nodes.clear(),
            Command::Tick => {
                self.refresh_stale();
                let mut metrics = Vec::new();
                for node in self.nodes.values_mut() {
                    match node.tick(&self.config) {
                        Ok(counted) => metrics.push(counted),
                        Err(error) => tracing::warn!(node = node.config.key, %error, "count flows"),
                    }
                }
                if !metrics.is_empty() {
                    tell(Event::Flows(metrics));
                }
            }
        }
    }

    fn apply(&mut self, config: Arc<Config>, known: &[Health]) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut nodes = BTreeMap::new();
        for balancer in &config.network_load_balancers {
            for wanted in &balancer.nodes {
                let kept = self.nodes.remove(&wanted.key);
                let kept = kept.filter(|node| node.is(wanted, &balancer.key));
                let node = kept.map_or_else(|| Node::open(wanted, &balancer.key), Ok);
                let refreshed = node.and_then(|mut node| {
                    for health in known.iter().filter(|health| health.node == wanted.key) {
                        let (group, target) = (&health.target_group, &health.target);
                        node.set_health(group.clone(), target.clone(), health.state);
                    }
                    let refreshed = node.refresh(&config);
                    nodes.insert(wanted.key.clone(), node);
                    refreshed
                });
                if let Err(error) = refreshed {
                    problems.push((
                        balancer.key.clone(),
                        format!("pass flows on at node {}: {error}", wanted.key),
                    ));
                }
            }
        }
        // Dropping a node lets go of its namespace, and the rules go with that.
        self.nodes = nodes;
        self.config = config;
        problems
    }

    fn refresh_stale(&mut self) {
        for node in self.nodes.values_mut().filter(|node| node.is_stale()) {
            if let Err(error) = node.refresh(&self.config) {
                tracing::warn!(node = node.config.key, %error, "pass flows on");
            }
        }
    }
}
