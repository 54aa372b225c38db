//! Which checks run, and what is known from them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::check::{Spec, check};
use super::log;
use super::matcher::Matcher;
use super::track::{Failure, Outcome, Track};
use crate::config::{self, CheckProtocol, Config, HealthCheck, Protocol, ProtocolVersion};
use crate::netns::Namespace;
use crate::report::Health;

/// First checks of a config start within this time, not all at once.
const JITTER: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    node: String,
    target_group: String,
    target: String,
}

/// A change of a target's health, or of the reason for it.
#[derive(Clone, Debug)]
pub struct Finding(pub Health);

/// The checks of all nodes.
pub struct Prober {
    checks: BTreeMap<Key, Check>,
    namespaces: BTreeMap<String, (config::Node, Option<Rc<Namespace>>)>,
    findings: UnboundedSender<Finding>,
    /// What a process before found of targets that are not checked yet.
    inherited: BTreeMap<Key, Health>,
}

struct Check {
    settings: Settings,
    track: Rc<RefCell<Track>>,
    /// When the track last had news.
    at: Rc<RefCell<Timestamp>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    /// `None` if these checks cannot be made; with the reason in `unable`.
    spec: Result<Spec, String>,
    interval: Duration,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
    /// Where lines about these checks go.
    log: Option<PathBuf>,
}

impl Prober {
    pub fn new(findings: UnboundedSender<Finding>) -> Prober {
        Prober {
            checks: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            findings,
            inherited: BTreeMap::new(),
        }
    }

    /// Takes what is known already, for the checks that are about to begin.
    pub fn inherit(&mut self, known: &[Health]) {
        self.inherited = known
            .iter()
            .map(|health| {
                let key = Key {
                    node: health.node.clone(),
                    target_group: health.target_group.clone(),
                    target: health.target.clone(),
                };
                (key, health.clone())
            })
            .collect();
    }

    /// Starts, changes and stops checks. When it returns, nothing here holds on to a removed node.
    pub async fn update(&mut self, config: &Config, problems: &mut Vec<(String, String)>) {
        let removed = self.renew_namespaces(config, problems);
        let wanted = wanted(config);
        // Checks in a namespace that changed start anew, with all they know.
        let is_stale = |key: &Key, check: &Check| {
            removed.contains(&key.node) || wanted.get(key) != Some(&check.settings)
        };
        let mut known = BTreeMap::new();
        for (key, check) in self
            .checks
            .extract_if(.., |key, check| is_stale(key, check))
        {
            check.task.abort();
            let _ = check.task.await;
            known.insert(
                key,
                (
                    check.settings.spec.map(|spec| spec.address),
                    check.track,
                    check.at,
                ),
            );
        }
        for (key, settings) in wanted {
            let Some((_, namespace)) = self.namespaces.get(&key.node) else {
                continue;
            };
            if self.checks.contains_key(&key) {
                continue;
            }
            let same_address = |address: &Result<SocketAddr, String>| {
                settings.spec.as_ref().map(|spec| spec.address) == address.as_ref().copied()
            };
            let kept = known
                .remove(&key)
                .filter(|(address, ..)| same_address(address));
            let is_new = kept.is_none();
            let (track, at) = match kept {
                Some((_, track, at)) => (track, at),
                None => {
                    let known = self.inherited.remove(&key);
                    let at = known
                        .as_ref()
                        .map_or_else(Timestamp::now, |health| health.at);
                    let track = known.map_or_else(Track::default, |health| Track::of(&health));
                    (Rc::new(RefCell::new(track)), Rc::new(RefCell::new(at)))
                }
            };
            if is_new {
                let _ = self
                    .findings
                    .send(Finding(health(&key, &track.borrow(), *at.borrow())));
            }
            let task = tokio::task::spawn_local(run(Running {
                key: key.clone(),
                settings: settings.clone(),
                track: track.clone(),
                at: at.clone(),
                namespace: namespace.clone(),
                findings: self.findings.clone(),
                is_new,
            }));
            self.checks.insert(
                key,
                Check {
                    settings,
                    track,
                    at,
                    task,
                },
            );
        }
    }

    /// What is known of every target.
    pub fn all(&self) -> Vec<Health> {
        let checks = self.checks.iter();
        checks
            .map(|(key, check)| health(key, &check.track.borrow(), *check.at.borrow()))
            .collect()
    }

    /// Opens the namespaces of new nodes, lets go of removed and changed ones, and names the latter.
    fn renew_namespaces(
        &mut self,
        config: &Config,
        problems: &mut Vec<(String, String)>,
    ) -> BTreeSet<String> {
        let mut nodes = BTreeMap::new();
        let http = config.load_balancers.iter().map(|b| (&b.nodes, &b.key));
        let network = config.network_load_balancers.iter();
        let network = network.map(|b| (&b.nodes, &b.key));
        for (of_balancer, balancer) in http.chain(network) {
            let of_balancer = of_balancer.iter();
            nodes.extend(of_balancer.map(|node| (node.key.clone(), (node, balancer))));
        }
        let is_same = |known: &config::Node, namespace: &Option<Rc<Namespace>>| {
            let at_path = |path| namespace.as_ref().is_some_and(|open| open.is_at(path));
            nodes.get(&known.key).is_some_and(|(node, _)| {
                *node == known && node.netns.as_deref().is_none_or(at_path)
            })
        };
        let gone = self
            .namespaces
            .extract_if(.., |_, (known, namespace)| !is_same(known, namespace));
        let removed = gone.map(|(key, _)| key).collect();
        for (key, (node, balancer)) in nodes {
            if self.namespaces.contains_key(&key) {
                continue;
            }
            match node.netns.as_deref().map(Namespace::open).transpose() {
                Ok(namespace) => {
                    self.namespaces
                        .insert(key, (node.clone(), namespace.map(Rc::new)));
                }
                Err(error) => {
                    problems.push((
                        balancer.clone(),
                        format!("open the namespace of node {key}: {error}"),
                    ));
                }
            }
        }
        removed
    }
}

/// A group's checks, of whichever kind its load balancer is.
struct Checked<'a> {
    nodes: &'a [config::Node],
    log: Option<&'a PathBuf>,
    group: &'a str,
    health_check: &'a HealthCheck,
    version: ProtocolVersion,
    cross_zone: bool,
    targets: &'a [config::Target],
}

/// All checks that `config` asks for.
fn wanted(config: &Config) -> BTreeMap<Key, Settings> {
    let http = config.load_balancers.iter().flat_map(|balancer| {
        let keys = balancer.target_groups().into_iter();
        let groups = keys.filter_map(|key| config.target_groups.get(key));
        groups.map(|group| Checked {
            nodes: &balancer.nodes,
            log: balancer.attributes.health_check_log.as_ref(),
            group: &group.key,
            health_check: &group.health_check,
            version: group.protocol_version,
            cross_zone: group.cross_zone,
            targets: &group.targets,
        })
    });
    let network = config.network_load_balancers.iter().flat_map(|balancer| {
        let keys = balancer.target_groups().into_iter();
        let groups = keys.filter_map(|key| config.network_target_groups.get(key));
        groups.map(|group| Checked {
            nodes: &balancer.nodes,
            // Network load balancers have none.
            log: None,
            group: &group.key,
            health_check: &group.health_check,
            version: ProtocolVersion::Http1,
            cross_zone: group.cross_zone,
            targets: &group.targets,
        })
    });
    let checked = http
        .chain(network)
        .filter(|checked| checked.health_check.enabled);
    checked.flat_map(|checked| checked.wanted()).collect()
}

impl Checked<'_> {
    fn wanted(&self) -> Vec<(Key, Settings)> {
        let mut wanted = Vec::new();
        for node in self.nodes {
            let targets = self.targets.iter().filter(|target| {
                let zone = target.zone.as_deref();
                let is_enabled =
                    zone.is_none_or(|zone| self.nodes.iter().any(|node| node.zone == zone));
                let is_in_reach = self.cross_zone || zone.is_none_or(|zone| zone == node.zone);
                target.state.is_registered() && is_in_reach && is_enabled
            });
            for target in targets {
                let key = Key {
                    node: node.key.clone(),
                    target_group: self.group.to_owned(),
                    target: target.key.clone(),
                };
                let of_check = settings(self.health_check, self.version, node, target);
                let log = self.log.cloned();
                wanted.push((key, Settings { log, ..of_check }));
            }
        }
        wanted
    }
}

fn settings(
    check: &HealthCheck,
    version: ProtocolVersion,
    node: &config::Node,
    target: &config::Target,
) -> Settings {
    let HealthCheck {
        protocol,
        port,
        path,
        interval,
        timeout,
        matcher,
        ..
    } = check;
    let is_tcp = *protocol == CheckProtocol::Tcp;
    // Checks that look at no code need no list of codes.
    let parsed = if is_tcp {
        Some(Matcher::default())
    } else {
        Matcher::parse(matcher)
    };
    let spec = match parsed {
        None => Err(format!("{matcher:?} is no list of status codes")),
        Some(matcher) => Ok(Spec {
            protocol: match protocol {
                CheckProtocol::Https => Protocol::Https,
                CheckProtocol::Http | CheckProtocol::Tcp => Protocol::Http,
            },
            version,
            source: node.address,
            address: SocketAddr::new(target.address.ip(), port.unwrap_or(target.address.port())),
            path: path.clone(),
            timeout: *timeout,
            matcher,
            is_tcp,
            proxy_protocol: check.proxy_protocol,
        }),
    };
    Settings {
        spec,
        // An interval of zero would be a loop without a pause.
        interval: (*interval).max(Duration::from_millis(10)),
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        log: None,
    }
}

struct Running {
    key: Key,
    settings: Settings,
    track: Rc<RefCell<Track>>,
    at: Rc<RefCell<Timestamp>>,
    namespace: Option<Rc<Namespace>>,
    findings: UnboundedSender<Finding>,
    is_new: bool,
}

async fn run(check_of: Running) {
    let Running {
        key,
        settings,
        track,
        at,
        namespace,
        findings,
        is_new,
    } = check_of;
    let spread = if is_new {
        JITTER.min(settings.interval)
    } else {
        settings.interval
    };
    let first = Instant::now() + spread.mul_f64(rand::random());
    let mut ticks = interval_at(first, settings.interval);
    // The next check is due an interval after the last one began, however long that took.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let (outcome, code) = match &settings.spec {
            Ok(spec) => check(namespace.as_deref(), spec).await,
            Err(unable) => (Outcome::Fail(Failure::Internal(unable.clone())), None),
        };
        if let (Ok(spec), Some(log)) = (&settings.spec, &settings.log) {
            let line = log::Line {
                at: Timestamp::now(),
                took: began.elapsed(),
                target_group: &key.target_group,
                spec,
                outcome: &outcome,
                code,
            };
            line.append(log, &key.node);
        }
        let has_news = track.borrow_mut().observe(
            outcome,
            settings.healthy_threshold,
            settings.unhealthy_threshold,
        );
        if has_news {
            let now = Timestamp::now();
            at.replace(now);
            if findings
                .send(Finding(health(&key, &track.borrow(), now)))
                .is_err()
            {
                return;
            }
        }
    }
}

fn health(key: &Key, track: &Track, at: Timestamp) -> Health {
    use crate::report::HealthState::{Healthy, Initial, Unhealthy};
    let (reason, description) = match (track.state, &track.failure) {
        (Healthy, _) => (None, None),
        (Unhealthy, Some(failure)) => {
            let (reason, description) = failure.reason();
            (Some(reason), Some(description))
        }
        (Initial | Unhealthy, _) => (
            Some("Elb.InitialHealthChecking"),
            Some("Initial health checks in progress".to_owned()),
        ),
    };
    Health {
        target_group: key.target_group.clone(),
        target: key.target.clone(),
        node: key.node.clone(),
        state: track.state,
        reason: reason.map(str::to_owned),
        description,
        detail: track.failure.as_ref().map(Failure::detail),
        at,
    }
}
