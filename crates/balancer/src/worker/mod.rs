//! A worker: one thread, one single-threaded runtime, its own listeners, pools and counters.
//!
//! Workers share nothing but the port (`SO_REUSEPORT`): the kernel spreads connections, and no
//! request ever waits for another core. The price is that pools and round robin are per worker.

mod core;
pub mod group;
mod log;
pub mod node;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

pub use self::core::Core;
use self::node::{Listener, Node};
use crate::config::{Config, LoadBalancer};
use crate::handover::{Inherited, Socket};
use crate::report::{FlowMetrics, HealthState, NodeMetrics};
use crate::tls::ByListener;

/// What the coordinator tells a worker. A closed channel ends it.
#[derive(Clone, Debug)]
pub enum Command {
    Apply {
        sequence: u64,
        config: Arc<Config>,
        /// Of its listeners, those that can speak TLS.
        secured: Arc<ByListener>,
        inherited: Arc<Inherited>,
    },
    /// Gives the listening sockets away: another process accepts from now on.
    StopListening {
        sockets: UnboundedSender<Vec<Socket>>,
    },
    Health {
        node: String,
        target_group: String,
        target: String,
        state: HealthState,
    },
    /// Once a second: do what is due, send the counts.
    Tick,
}

#[derive(Debug)]
pub enum Event {
    /// Problems are pairs of load balancer and message.
    Applied {
        sequence: u64,
        problems: Vec<(String, String)>,
    },
    Metrics {
        sequence: u64,
        nodes: Vec<NodeMetrics>,
        /// Open to clients, and to targets that speak HTTP/2.
        connections: usize,
    },
    Flows(Vec<FlowMetrics>),
}

/// Serves until the command channel closes, then closes everything.
pub async fn run(mut commands: UnboundedReceiver<Command>, events: UnboundedSender<Event>) {
    let mut worker = Worker {
        core: Rc::new(Core::new()),
        nodes: BTreeMap::new(),
        config: Arc::default(),
        compiled: BTreeMap::new(),
        sequence: 0,
    };
    while let Some(command) = commands.recv().await {
        let event = match command {
            Command::Apply {
                sequence,
                config,
                secured,
                inherited,
            } => {
                worker.core.is_leaving.set(false);
                let problems = worker.apply(config, &secured, &inherited).await;
                // Before anybody is accepted: nobody has waited since the listeners were opened.
                for health in &inherited.health {
                    worker.set_health(
                        &health.node,
                        &health.target_group,
                        &health.target,
                        health.state,
                    );
                }
                worker.sequence = sequence;
                Event::Applied { sequence, problems }
            }
            Command::Health {
                node,
                target_group,
                target,
                state,
            } => {
                worker.set_health(&node, &target_group, &target, state);
                continue;
            }
            Command::StopListening { sockets } => {
                worker.core.is_leaving.set(true);
                // Whoever does not wait any more gets nothing, and what was listened on is closed.
                let _ = sockets.send(worker.stop_listening().await);
                continue;
            }
            Command::Tick => Event::Metrics {
                sequence: worker.sequence,
                nodes: worker.tick(),
                connections: worker.nodes.values().map(|node| node.connections()).sum(),
            },
        };
        if events.send(event).is_err() {
            break;
        }
    }
    for node in worker.nodes.into_values() {
        node.close().await;
    }
}

struct Worker {
    core: Rc<Core>,
    nodes: BTreeMap<String, Rc<Node>>,
    /// In force, and its load balancers' listeners as compiled.
    config: Arc<Config>,
    compiled: BTreeMap<String, BTreeMap<u16, Listener>>,
    sequence: u64,
}

impl Worker {
    async fn apply(
        &mut self,
        config: Arc<Config>,
        secured: &ByListener,
        inherited: &Inherited,
    ) -> Vec<(String, String)> {
        let wanted = || {
            let balancers = config.load_balancers.iter();
            balancers.flat_map(|balancer| balancer.nodes.iter().map(move |node| (node, balancer)))
        };
        let is_wanted =
            |known: &Node| wanted().any(|(node, balancer)| known.is(node, &balancer.key));
        // First, so that a moved address or namespace is free for its next owner.
        for (_, gone) in self.nodes.extract_if(.., |_, node| !is_wanted(node)) {
            gone.close().await;
        }
        let mut problems = Vec::new();
        let before = std::mem::replace(&mut self.config, config.clone());
        let before = before.load_balancers.iter().map(|b| (b.key.as_str(), b));
        let before: BTreeMap<&str, &LoadBalancer> = before.collect();
        let mut compiled = std::mem::take(&mut self.compiled);
        for balancer in &config.load_balancers {
            let mut found = Vec::new();
            let old = compiled.remove(&balancer.key);
            let known = before.get(balancer.key.as_str()).copied();
            let listeners = node::compile(balancer, known.zip(old.as_ref()), secured, &mut found);
            for wanted in &balancer.nodes {
                let known = match self.nodes.get(&wanted.key) {
                    Some(known) => known.clone(),
                    None => match Node::open(wanted, &balancer.key) {
                        Ok(node) => Rc::new(node),
                        Err(error) => {
                            found.push(format!(
                                "open the namespace of node {}: {error}",
                                wanted.key
                            ));
                            continue;
                        }
                    },
                };
                known
                    .update(
                        &self.core,
                        &config,
                        balancer,
                        listeners.clone(),
                        inherited,
                        &mut found,
                    )
                    .await;
                self.nodes.insert(wanted.key.clone(), known);
            }
            self.compiled.insert(balancer.key.clone(), listeners);
            found.sort_unstable();
            found.dedup();
            problems.extend(
                found
                    .into_iter()
                    .map(|message| (balancer.key.clone(), message)),
            );
        }
        problems
    }

    fn set_health(&self, node: &str, group: &str, target: &str, state: HealthState) {
        let node = self.nodes.get(node);
        if let Some(group) = node.and_then(|node| node.front().group(group).cloned()) {
            group.set_health(target, state);
        }
    }

    async fn stop_listening(&self) -> Vec<Socket> {
        let mut all = Vec::new();
        for node in self.nodes.values() {
            all.extend(node.stop_listening().await);
        }
        all
    }

    fn tick(&mut self) -> Vec<NodeMetrics> {
        let nodes = self.nodes.values();
        nodes
            .map(|node| {
                node.tend();
                node.flush_logs();
                node.take_metrics()
            })
            .collect()
    }
}
