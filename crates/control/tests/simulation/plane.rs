//! A data plane in memory: takes configurations, checks targets' health on the virtual clock,
//! drains, counts requests, and reports all of it.

use balancer::config::{Config, HealthCheck, Target, TargetState};
use balancer::report::{
    self, GroupMetrics, Health, HealthState, Metrics, NodeMetrics, TargetMetrics,
};
use control::{DataPlane, Inbox, Report};
use host::network::Network;
use host::sim::{Clock, SimHost};
use jiff::{SignedDuration, Timestamp};
use model::InstanceId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub struct SimPlane {
    clock: Clock,
    host: Arc<SimHost>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inbox: Option<Inbox>,
    config: Arc<Config>,
    /// The checks are not those of the configuration yet.
    is_new: bool,
    edge: Option<edge::config::Config>,
    /// Configurations stay unacknowledged while this is set.
    silent: bool,
    checks: BTreeMap<Key, Check>,
    drained: BTreeSet<(String, String)>,
    /// From an instance's readiness until its application answers.
    app_boot: Duration,
    /// Instances whose application answers 500.
    broken: BTreeSet<InstanceId>,
    /// Every application answers 500.
    all_broken: bool,
    requests_per_second: f64,
    counted: Option<Timestamp>,
    count_every_ms: i64,
    names: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Counts what control planes have told.
    told: u64,
    /// Counts what they have been told, measures aside.
    said: u64,
}

/// Node, group, target.
type Key = (String, String, String);

/// What one node knows of one target.
struct Check {
    node_zone: String,
    target: Target,
    health: HealthCheck,
    due: Timestamp,
    state: HealthState,
    passes: u32,
    failures: u32,
    reason: Option<(&'static str, &'static str)>,
    at: Timestamp,
}

impl SimPlane {
    pub fn new(clock: Clock, host: Arc<SimHost>) -> Self {
        Self {
            clock,
            host,
            state: Mutex::new(State {
                count_every_ms: 1000,
                ..State::default()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A control plane connects, and is told everything.
    pub fn connect(&self, inbox: Inbox) {
        let mut state = self.state();
        for (key, check) in &state.checks {
            inbox.put(Report::Balancer(check.tell(key)));
        }
        for (target_group, target) in &state.drained {
            inbox.put(Report::Balancer(report::Report::Drained {
                target_group: target_group.clone(),
                target: target.clone(),
            }));
        }
        state.inbox = Some(inbox);
        state.applied();
    }

    pub fn set_app_boot(&self, boot: Duration) {
        self.state().app_boot = boot;
    }
    pub fn break_app(&self, id: &InstanceId) {
        self.state().broken.insert(id.clone());
    }
    pub fn mend_apps(&self) {
        let mut state = self.state();
        state.broken.clear();
        state.all_broken = false;
    }
    pub fn break_all_apps(&self) {
        self.state().all_broken = true;
    }
    pub fn count_seldom(&self) {
        self.state().count_every_ms = 20_000;
    }
    pub fn set_requests_per_second(&self, rate: f64) {
        self.state().requests_per_second = rate;
    }
    pub fn set_silent(&self, silent: bool) {
        let mut state = self.state();
        state.silent = silent;
        state.applied();
    }
    /// Changes whenever a control plane tells something.
    pub fn told(&self) -> u64 {
        self.state().told
    }
    /// The load balancers' names as the host resolves them.
    pub fn names(&self) -> BTreeMap<String, Vec<Ipv4Addr>> {
        self.state().names.clone()
    }
    pub fn config(&self) -> Arc<Config> {
        self.state().config.clone()
    }

    /// What the metadata service tells an instance of itself.
    pub fn tells(&self, id: &InstanceId) -> Option<edge::config::Instance> {
        let state = self.state();
        let mut told = state.edge.iter().flat_map(|config| config.vpcs.values());
        told.find_map(|vpc| vpc.instances.iter().find(|i| i.id == id.as_str()).cloned())
    }

    pub fn serves(&self, id: &InstanceId) -> bool {
        let state = self.state();
        state.app_answers(&self.host, id, self.clock.now())
    }

    /// Changes whenever a target is found otherwise than before.
    pub fn said(&self) -> u64 {
        self.state().said
    }
    pub fn next_check(&self) -> Option<Timestamp> {
        self.state().checks.values().map(|c| c.due).min()
    }

    /// Makes the checks that are due; says when the next one is.
    pub fn tick(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let network = self.host.network();
        let mut state = self.state();
        if std::mem::take(&mut state.is_new) {
            state.follow_config(now);
            state.drain();
        }
        let due = state.checks.iter().filter(|(_, check)| check.due <= now);
        let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            let outcome = state.outcome(&self.host, &network, &state.checks[&key]);
            let check = state.checks.get_mut(&key).unwrap();
            let health = &check.health;
            let wait = match outcome {
                // A check that times out ends later, and the next one waits for it.
                Some((_, text)) if text == TIMEOUT.1 => health.interval.max(health.timeout),
                _ => health.interval,
            };
            check.due += SignedDuration::try_from(wait.max(Duration::from_millis(1))).unwrap();
            if check.observe(outcome, now) {
                let told = check.tell(&key);
                state.said += 1;
                state.send(told);
            }
        }
        state.count(now);
        state.checks.values().map(|c| c.due).min()
    }
}

const TIMEOUT: (&str, &str) = ("Target.Timeout", "Request timed out");
const REFUSED: (&str, &str) = ("Target.FailedHealthChecks", "Health checks failed");
const ERROR: (&str, &str) = (
    "Target.ResponseCodeMismatch",
    "Health checks failed with these codes: [500]",
);

impl State {
    fn send(&self, report: report::Report) {
        if let Some(inbox) = &self.inbox {
            inbox.put(Report::Balancer(report));
        }
    }

    fn applied(&self) {
        if self.silent {
            return;
        }
        self.send(report::Report::Applied {
            revision: self.config.revision,
        });
        let edge = self.edge.as_ref().map(|config| config.revision);
        if let (Some(inbox), Some(revision)) = (&self.inbox, edge) {
            inbox.put(Report::Edge(edge::config::Report::Applied {
                revision,
                failures: Vec::new(),
            }));
        }
    }

    /// Checks of what is gone end, those of what is new begin soon, the others go on.
    fn follow_config(&mut self, now: Timestamp) {
        let config = Arc::clone(&self.config);
        let mut before = std::mem::take(&mut self.checks);
        for (key, node_zone, target, health) in wanted(&config) {
            let known = before.remove(&key);
            let is_new = known.is_none();
            let begun = Check {
                node_zone: node_zone.to_owned(),
                target: target.clone(),
                health: health.clone(),
                due: now + SignedDuration::from_millis(100),
                state: HealthState::Initial,
                passes: 0,
                failures: 0,
                reason: None,
                at: now,
            };
            let check = match known {
                Some(known) => Check {
                    due: known.due,
                    state: known.state,
                    passes: known.passes,
                    failures: known.failures,
                    reason: known.reason,
                    at: known.at,
                    ..begun
                },
                None => begun,
            };
            let told = is_new.then(|| check.tell(&key));
            told.into_iter().for_each(|told| self.send(told));
            self.checks.insert(key, check);
        }
    }

    fn app_answers(&self, host: &SimHost, id: &InstanceId, now: Timestamp) -> bool {
        let up = host
            .ready_at(id)
            .is_some_and(|at| now >= at + SignedDuration::try_from(self.app_boot).unwrap());
        up && !self.all_broken && !self.broken.contains(id)
    }

    /// `None` passes.
    fn outcome(
        &self,
        host: &SimHost,
        network: &Network,
        check: &Check,
    ) -> Option<(&'static str, &'static str)> {
        let (target, now) = (&check.target, check.due);
        let id: InstanceId = target.key.split(':').next().unwrap().parse().unwrap();
        let cut_zone = |zone: &str| network.cut_zones.contains(zone);
        let IpAddr::V4(address) = target.address.ip() else {
            return Some(TIMEOUT);
        };
        let interface = network
            .vpcs
            .values()
            .flat_map(|v| &v.interfaces)
            .find(|(_, i)| i.addresses.contains(&address));
        let cut = interface.is_none_or(|(id, _)| network.cut_interfaces.contains(id));
        if cut
            || cut_zone(&check.node_zone)
            || target.zone.as_deref().is_some_and(cut_zone)
            || !host.is_running(&id)
        {
            Some(TIMEOUT)
        } else if self.app_answers(host, &id, now) {
            None
        } else if self.all_broken || self.broken.contains(&id) {
            Some(ERROR)
        } else {
            Some(REFUSED)
        }
    }

    /// Requests here take no time: what drains is drained.
    fn drain(&mut self) {
        let draining: BTreeSet<(String, String)> = self
            .config
            .target_groups
            .values()
            .flat_map(|g| {
                g.targets
                    .iter()
                    .filter(|t| matches!(t.state, TargetState::Draining { .. }))
                    .map(|t| (g.key.clone(), t.key.clone()))
            })
            .collect();
        for (target_group, target) in draining.difference(&self.drained) {
            self.send(report::Report::Drained {
                target_group: target_group.clone(),
                target: target.clone(),
            });
        }
        self.drained = draining;
    }

    fn count(&mut self, now: Timestamp) {
        let from = *self.counted.get_or_insert(now);
        if now.as_millisecond() - from.as_millisecond() < self.count_every_ms {
            return;
        }
        self.counted = Some(now);
        let seconds = now.duration_since(from).as_secs_f64();
        let mut nodes = Vec::new();
        let config = Arc::clone(&self.config);
        for balancer in &config.load_balancers {
            for node in &balancer.nodes {
                let mut counts = NodeMetrics {
                    load_balancer: balancer.key.clone(),
                    node: node.key.clone(),
                    zone: node.zone.clone(),
                    ..NodeMetrics::default()
                };
                for group in balancer.target_groups() {
                    let states: Vec<(&Key, HealthState)> = self
                        .checks
                        .iter()
                        .filter(|(k, _)| k.0 == node.key && k.1 == group)
                        .map(|(k, c)| (k, c.state))
                        .collect();
                    let healthy: Vec<&Key> = states
                        .iter()
                        .filter(|(_, s)| *s == HealthState::Healthy)
                        .map(|(k, _)| *k)
                        .collect();
                    let share = self.requests_per_second * seconds
                        / balancer.nodes.len() as f64
                        / healthy.len().max(1) as f64;
                    let target = |key: &&Key| TargetMetrics {
                        target: key.2.clone(),
                        request_count: share as u64,
                        target_2xx: share as u64,
                        ..TargetMetrics::default()
                    };
                    counts.groups.push(GroupMetrics {
                        target_group: group.to_owned(),
                        healthy_host_count: healthy.len() as u64,
                        unhealthy_host_count: states
                            .iter()
                            .filter(|(_, s)| *s == HealthState::Unhealthy)
                            .count() as u64,
                        targets: healthy.iter().map(target).collect(),
                        ..GroupMetrics::default()
                    });
                }
                nodes.push(counts);
            }
        }
        if !nodes.is_empty() {
            self.send(report::Report::Metrics(Metrics {
                from,
                to: now,
                nodes,
            }));
        }
    }
}

/// Which node checks which target, and how.
fn wanted(config: &Config) -> Vec<(Key, &str, &Target, &HealthCheck)> {
    let mut wanted = Vec::new();
    for balancer in &config.load_balancers {
        for key in balancer.target_groups() {
            let Some(group) = config.target_groups.get(key) else {
                continue;
            };
            for target in group.targets.iter().filter(|t| {
                t.state.is_registered()
                    && group.health_check.enabled
                    && balancer.serves_zone(t.zone.as_deref())
            }) {
                for node in balancer.nodes.iter().filter(|n| {
                    group.cross_zone || target.zone.as_ref().is_none_or(|z| *z == n.zone)
                }) {
                    wanted.push((
                        (node.key.clone(), group.key.clone(), target.key.clone()),
                        node.zone.as_str(),
                        target,
                        &group.health_check,
                    ));
                }
            }
        }
    }
    wanted
}

impl Check {
    /// True if there is news. As the balancer: one pass suffices for an initial target.
    fn observe(&mut self, outcome: Option<(&'static str, &'static str)>, now: Timestamp) -> bool {
        let health = &self.health;
        let before = (self.state, self.reason);
        match outcome {
            None => {
                self.failures = 0;
                self.passes += 1;
                if self.state == HealthState::Initial || self.passes >= health.healthy_threshold {
                    (self.state, self.reason) = (HealthState::Healthy, None);
                }
            }
            Some(reason) => {
                self.passes = 0;
                self.failures += 1;
                if self.state == HealthState::Unhealthy
                    || self.failures >= health.unhealthy_threshold
                {
                    (self.state, self.reason) = (HealthState::Unhealthy, Some(reason));
                }
            }
        }
        self.at = now;
        before != (self.state, self.reason)
    }

    fn tell(&self, (node, target_group, target): &Key) -> report::Report {
        report::Report::Health(Health {
            target_group: target_group.clone(),
            target: target.clone(),
            node: node.clone(),
            state: self.state,
            reason: self.reason.map(|(code, _)| code.to_owned()),
            description: self.reason.map(|(_, text)| text.to_owned()),
            detail: None,
            at: self.at,
        })
    }
}

impl DataPlane for SimPlane {
    fn push_balancer(&self, config: &Config) {
        let mut state = self.state();
        state.config = Arc::new(config.clone());
        state.is_new = true;
        state.told += 1;
        state.applied();
    }
    fn push_edge(&self, config: &edge::config::Config) {
        let mut state = self.state();
        state.edge = Some(config.clone());
        state.told += 1;
        state.applied();
    }
    fn publish_names(&self, names: &BTreeMap<String, Vec<Ipv4Addr>>) {
        self.state().names = names.clone();
    }
    fn keep_alive(&self) {}
}
