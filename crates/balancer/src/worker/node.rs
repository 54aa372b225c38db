//! One node of a load balancer in one worker: its namespace, listeners, groups and connections.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Duration;

use super::Core;
use super::group::{Group, Target};
use super::log::Log;
use crate::access_log::Entry;
use crate::config::{self, Action, Config, LoadBalancer, Protocol, WeightedGroup, header};
use crate::connection_log::{self, Handshake};
use crate::count::{FlowCounters, NodeCounters, bump};
use crate::flow_log;
use crate::handover::{Inherited, Socket};
use crate::netns::{self, Namespace};
use crate::proxy::{self, Arrival};
use crate::report::NodeMetrics;
use crate::routing::Routes;
use crate::tls::{self, ByListener};

#[derive(Debug)]
pub struct Node {
    pub config: config::Node,
    pub load_balancer: String,
    pub namespace: Option<Namespace>,
    pub counters: Rc<NodeCounters>,
    /// Of a network load balancer's node.
    pub flows: FlowCounters,
    front: RefCell<Rc<Front>>,
    /// Another process accepts for it.
    pub is_leaving: Cell<bool>,
    listening: RefCell<BTreeMap<u16, Listening>>,
    /// One task per client connection.
    connections: RefCell<JoinSet<()>>,
    access_log: Log,
    connection_log: Log,
}

/// A socket, and the task that accepts from it.
#[derive(Debug)]
struct Listening {
    socket: Rc<TcpListener>,
    task: JoinHandle<()>,
}

/// What a node does with requests under the current config.
#[derive(Debug, Default)]
pub struct Front {
    pub dns_name: String,
    pub attributes: config::Attributes,
    listeners: BTreeMap<u16, Listener>,
    groups: BTreeMap<String, Rc<Group>>,
}

/// A listener, compiled.
#[derive(Clone, Debug)]
pub struct Listener {
    pub routes: Rc<Routes>,
    pub changes: Rc<header::Changes>,
    /// Of an HTTPS listener.
    pub tls: Option<Arc<tls::Server>>,
    /// Of one that passes flows on as they are.
    pub relay: Option<Rc<Relay>>,
    /// All of it could be compiled.
    is_sound: bool,
}

/// Where flows go.
#[derive(Debug)]
pub struct Relay {
    /// Key of the listener.
    pub listener: String,
    pub groups: Vec<WeightedGroup>,
    pub idle_timeout: Duration,
}

impl Relay {
    fn of(listener: &config::Listener) -> Option<Rc<Relay>> {
        let Action::Forward(forward) = &listener.default_action else {
            return None;
        };
        listener.relay.as_ref().map(|relay| {
            Rc::new(Relay {
                listener: listener.key.clone(),
                groups: forward.groups.clone(),
                idle_timeout: relay.idle_timeout,
            })
        })
    }
}

impl Front {
    /// `None` when the listener was removed.
    pub fn listener(&self, port: u16) -> Option<&Listener> {
        self.listeners.get(&port)
    }

    pub fn group(&self, key: &str) -> Option<&Rc<Group>> {
        self.groups.get(key)
    }

    pub fn groups(&self) -> impl Iterator<Item = &Rc<Group>> {
        self.groups.values()
    }
}

/// A load balancer's rules, compiled once for all its nodes. A listener that is as it was `before`,
/// and had nothing wrong with it, stays as compiled: a thousand listeners of a hundred rules are
/// tenths of a second in which a worker serves nobody.
pub fn compile(
    load_balancer: &LoadBalancer,
    before: Option<(&LoadBalancer, &BTreeMap<u16, Listener>)>,
    secured: &ByListener,
    problems: &mut Vec<String>,
) -> BTreeMap<u16, Listener> {
    let known = |listener: &config::Listener| {
        let (old, compiled) = before?;
        let mut same = old.listeners.iter().filter(|old| old.port == listener.port);
        let kept = compiled.get(&listener.port)?;
        (kept.is_sound && same.next()? == listener).then_some(kept)
    };
    let mut listeners = BTreeMap::new();
    for listener in &load_balancer.listeners {
        let tls = match listener.protocol {
            Protocol::Http => None,
            Protocol::Https => {
                match secured.get(&(load_balancer.key.clone(), listener.port)) {
                    Some(tls) => Some(tls.clone()),
                    // Why is a problem that was noted when the settings were built.
                    None => continue,
                }
            }
        };
        let compiled = match known(listener) {
            Some(kept) => Listener {
                tls,
                ..kept.clone()
            },
            None => {
                let wrong = problems.len();
                let routes = Rc::new(Routes::new(listener, problems));
                Listener {
                    routes,
                    changes: Rc::new(listener.headers.clone()),
                    tls,
                    relay: Relay::of(listener),
                    is_sound: problems.len() == wrong,
                }
            }
        };
        listeners.insert(listener.port, compiled);
    }
    listeners
}

impl Node {
    pub fn open(config: &config::Node, load_balancer: &str) -> std::io::Result<Node> {
        let namespace = config.netns.as_deref().map(Namespace::open).transpose()?;
        Ok(Node {
            config: config.clone(),
            load_balancer: load_balancer.to_owned(),
            namespace,
            counters: Rc::default(),
            flows: FlowCounters::default(),
            front: RefCell::default(),
            is_leaving: Cell::new(false),
            listening: RefCell::default(),
            connections: RefCell::default(),
            access_log: Log::default(),
            connection_log: Log::default(),
        })
    }

    /// Whether this is the node that `config` means, in the same namespace.
    pub fn is(&self, config: &config::Node, load_balancer: &str) -> bool {
        let is_same_namespace = match (&self.namespace, &config.netns) {
            (Some(namespace), Some(path)) => namespace.is_at(path),
            (None, None) => true,
            _ => false,
        };
        self.config == *config && self.load_balancer == load_balancer && is_same_namespace
    }

    /// Runs `task` for as long as the node has connections: closing the node ends it.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut connections = self.connections.borrow_mut();
        while connections.try_join_next().is_some() {}
        connections.spawn_local(task);
    }

    pub fn front(&self) -> Rc<Front> {
        self.front.borrow().clone()
    }

    /// Takes over a new config: groups and targets live on by key, sockets of listeners that stay are
    /// not touched, requests of removed listeners finish.
    pub async fn update(
        self: &Rc<Self>,
        core: &Rc<Core>,
        config: &Config,
        load_balancer: &LoadBalancer,
        listeners: BTreeMap<u16, Listener>,
        inherited: &Inherited,
        problems: &mut Vec<String>,
    ) {
        self.is_leaving.set(false);
        let before = self.front();
        let mut groups = BTreeMap::new();
        for key in load_balancer.target_groups() {
            let Some(group) = config.target_groups.get(key) else {
                problems.push(format!(
                    "forward to {key}: the config has no such target group"
                ));
                continue;
            };
            let zones = if group.cross_zone {
                load_balancer
                    .nodes
                    .iter()
                    .map(|node| node.zone.clone())
                    .collect()
            } else {
                vec![self.config.zone.clone()]
            };
            let old = before.group(key).map(Rc::as_ref);
            groups.insert(
                key.to_owned(),
                Rc::new(Group::new(Arc::new(group.clone()), zones, old)),
            );
        }
        cut_removed(&before, &groups);
        // Lines of until now go where they were meant to.
        self.flush_logs();
        *self.front.borrow_mut() = Rc::new(Front {
            dns_name: load_balancer.dns_name.clone(),
            attributes: load_balancer.attributes.clone(),
            listeners: listeners.clone(),
            groups,
        });
        let ports = listeners.keys().copied();
        self.listen(core, ports, inherited, problems).await;
        self.tend();
    }

    /// Closes the listeners that are not wanted, opens those that are missing.
    async fn listen(
        self: &Rc<Self>,
        core: &Rc<Core>,
        wanted: impl Iterator<Item = u16>,
        inherited: &Inherited,
        problems: &mut Vec<String>,
    ) {
        let mut listening = self.listening.take();
        let mut kept = BTreeMap::new();
        for port in wanted {
            if let Some(task) = listening.remove(&port) {
                kept.insert(port, task);
                continue;
            }
            let address = SocketAddr::new(self.config.address, port);
            let listener = match inherited.take(&self.config.key, port) {
                Some(socket) => TcpListener::from_std(socket),
                None => netns::listen(self.namespace.as_ref(), address),
            };
            match listener {
                Ok(listener) => {
                    let socket = Rc::new(listener);
                    let accepting = accept(core.clone(), self.clone(), socket.clone(), port);
                    let task = tokio::task::spawn_local(accepting);
                    kept.insert(port, Listening { socket, task });
                }
                Err(error) => problems.push(format!("listen on {address}: {error}")),
            }
        }
        close(listening).await;
        *self.listening.borrow_mut() = kept;
    }

    /// Stops accepting and gives the sockets away, open.
    pub async fn stop_listening(&self) -> Vec<Socket> {
        self.is_leaving.set(true);
        let mut sockets = Vec::new();
        for (port, Listening { socket, task }) in self.listening.take() {
            task.abort();
            let _ = task.await;
            let listener = Rc::into_inner(socket).map(TcpListener::into_std);
            match listener {
                Some(Ok(listener)) => sockets.push(Socket {
                    node: self.config.key.clone(),
                    port,
                    listener,
                }),
                Some(Err(error)) => tracing::warn!(%error, port, "give a listening socket away"),
                None => {}
            }
        }
        sockets
    }

    /// Connections that are open, or were a moment ago.
    pub fn connections(&self) -> usize {
        let mut connections = self.connections.borrow_mut();
        while connections.try_join_next().is_some() {}
        connections.len()
    }

    /// Closes everything: afterwards nothing of this worker pins the node's namespace but `self`.
    pub async fn close(&self) {
        close(self.listening.take()).await;
        for group in self.front().groups() {
            for target in &group.targets {
                target.cut();
            }
        }
        // Requests that were cut off, or were still on their way to a target, are answered, as far as that
        // takes no waiting, and logged. Some have their turn each time.
        let mut before = usize::MAX;
        loop {
            tokio::task::yield_now().await;
            let now = self.connections();
            if now == 0 || now >= before {
                break;
            }
            before = now;
        }
        let mut connections = self.connections.take();
        connections.shutdown().await;
        // Also of flows, which ended with their tasks.
        self.flush_logs();
        *self.front.borrow_mut() = Rc::default();
    }

    /// What falls due with time: drained targets are cut, idle connections to targets closed.
    pub fn tend(&self) {
        let front = self.front();
        let now = Timestamp::now();
        for group in front.groups() {
            group.judge();
            group.end_faded();
        }
        for target in front.groups().flat_map(|group| &group.targets) {
            target.cut_if_due(now);
            target.sweep(front.attributes.idle_timeout);
        }
    }

    /// Notes a request that was answered just now, where that is asked for.
    pub fn log_request(&self, entry: &Entry) {
        if let Some(directory) = &self.front.borrow().attributes.access_log {
            let write = |out: &mut _| entry.write(out, &self.load_balancer, Timestamp::now());
            self.access_log.add(self, directory, write);
        }
    }

    /// Notes a flow over TLS that has ended.
    pub fn log_flow(&self, entry: &flow_log::Entry<'_>) {
        if let Some(directory) = &self.front.borrow().attributes.access_log {
            let write = |out: &mut _| entry.write(out, &self.load_balancer, Timestamp::now());
            self.access_log.add(self, directory, write);
        }
    }

    /// The same of a connection.
    pub fn log_connection(&self, arrival: &Arrival, handshake: &Handshake<'_>) {
        if let Some(directory) = &self.front.borrow().attributes.connection_log {
            let write =
                |out: &mut _| connection_log::write(out, arrival, handshake, Timestamp::now());
            self.connection_log.add(self, directory, write);
        }
    }

    pub fn flush_logs(&self) {
        let front = self.front.borrow();
        let attributes = &front.attributes;
        self.access_log.flush(self, &attributes.access_log);
        self.connection_log.flush(self, &attributes.connection_log);
    }

    pub fn take_metrics(&self) -> NodeMetrics {
        let mut metrics = self.counters.take();
        metrics.load_balancer = self.load_balancer.clone();
        metrics.node = self.config.key.clone();
        metrics.zone = self.config.zone.clone();
        let front = self.front();
        metrics.groups = front.groups().map(|group| group.take_metrics()).collect();
        if front.listeners.values().any(|l| l.relay.is_some()) {
            metrics.relayed = Some(Box::new(self.flows.take(&metrics.groups)));
        }
        metrics
    }
}

/// Ends the requests of targets that are gone from the config.
fn cut_removed(before: &Front, groups: &BTreeMap<String, Rc<Group>>) {
    let all = groups.values().flat_map(|group| &group.targets);
    let kept: HashSet<*const Target> = all.map(Rc::as_ptr).collect();
    let known = before.groups().flat_map(|group| &group.targets);
    for removed in known.filter(|target| !kept.contains(&Rc::as_ptr(target))) {
        removed.cut();
    }
}

async fn close(listening: BTreeMap<u16, Listening>) {
    for Listening { task, .. } in listening.into_values() {
        task.abort();
        // Cancelled is what it should be; the socket is closed once the task is gone.
        let _ = task.await;
    }
}

async fn accept(core: Rc<Core>, node: Rc<Node>, listener: Rc<TcpListener>, port: u16) {
    loop {
        match listener.accept().await {
            // Closed as it is.
            Ok((stream, _)) if core.is_one_too_many(&stream) => bump(&node.counters.rejected),
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                proxy::arrive(&core, &node, port, stream, peer);
            }
            Err(error) => {
                // Out of descriptors, most likely: let some connections end before the next try.
                bump(&node.counters.rejected);
                tracing::warn!(node = node.config.key, %error, "accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
