//! Load balancers: the balancer's configuration, the health it reports, and who may be in DNS.

mod config;
mod header;
mod health;
pub mod log;
mod network;
mod place;
mod zone;

pub use self::zone::{Failover, in_service, is_healthy};

use self::place::target_keys;
use crate::World;
use crate::clock::earliest;
use crate::index::Balancers;
use ::balancer::{config as cfg, report};
use jiff::{SignedDuration, Timestamp};
use model::elbv2::{Action, Listener, LoadBalancer, TargetGroup, TargetHealth};
use model::event::Severity;
use model::vpc::NetworkInterface;
use model::zonal_shift::ZonalShift;
use std::collections::{BTreeMap, BTreeSet};
use store::{State, TargetHealthKey, Tx};

/// What the balancer was told, and what it reported.
#[derive(Default)]
pub struct Balancer {
    pushed: Option<cfg::Config>,
    applied: u64,
    /// Last finding of each node about each target (group key, target key).
    health: BTreeMap<(String, String), BTreeMap<String, report::Health>>,
    /// Draining targets without a request left.
    drained: BTreeSet<(String, String)>,
    /// Targets that fail more often than their peers by the last report of any node, and those that
    /// get less for it.
    anomalous: BTreeSet<(String, String)>,
    mitigated: BTreeSet<(String, String)>,
    problems: BTreeSet<(String, String)>,
}

/// What of a load balancer cannot be served, or can again.
pub struct Problem {
    load_balancer: String,
    message: String,
    is_solved: bool,
}

impl Problem {
    pub fn tell(&self, tx: &mut Tx, now: Timestamp) {
        let (severity, message) = match self.is_solved {
            true => (
                Severity::Info,
                format!("no longer fails to {}", self.message),
            ),
            false => (Severity::Error, format!("failed to {}", self.message)),
        };
        tx.event(now, severity, &self.load_balancer, "load-balancer", message);
    }
}

impl Balancer {
    /// Takes in a report; a problem that is new or gone comes back to become an event.
    pub fn report(&mut self, report: report::Report) -> Option<Problem> {
        match report {
            report::Report::Health(h) => {
                self.health
                    .entry((h.target_group.clone(), h.target.clone()))
                    .or_default()
                    .insert(h.node.clone(), h);
            }
            report::Report::Applied { revision } => self.applied = revision,
            report::Report::Drained {
                target_group,
                target,
            } => {
                self.drained.insert((target_group, target));
            }
            report::Report::Problem {
                load_balancer,
                message,
            } => {
                let is_new = self
                    .problems
                    .insert((load_balancer.clone(), message.clone()));
                return is_new.then_some(Problem {
                    load_balancer,
                    message,
                    is_solved: false,
                });
            }
            report::Report::Solved {
                load_balancer,
                message,
            } => {
                let key = (load_balancer, message);
                let was_known = self.problems.remove(&key);
                let (load_balancer, message) = key;
                return was_known.then_some(Problem {
                    load_balancer,
                    message,
                    is_solved: true,
                });
            }
            report::Report::Metrics(metrics) => self.note_anomalies(&metrics),
            report::Report::Flows(_) => {}
        }
        None
    }

    fn note_anomalies(&mut self, metrics: &report::Metrics) {
        let of = |is_odd: fn(&report::TargetMetrics) -> bool| {
            let groups = metrics.nodes.iter().flat_map(|node| &node.groups);
            let odd = groups.flat_map(|group| {
                let odd = group.targets.iter().filter(move |target| is_odd(target));
                odd.map(|target| (group.target_group.clone(), target.target.clone()))
            });
            odd.collect()
        };
        self.anomalous = of(|target| target.is_anomalous);
        self.mitigated = of(|target| target.is_mitigated);
    }

    /// Everything pushed so far is in force.
    fn settled(&self) -> bool {
        self.pushed
            .as_ref()
            .is_none_or(|c| self.applied >= c.revision)
    }

    fn names(&self, balancer: &LoadBalancer) -> bool {
        self.pushed.as_ref().is_none_or(|c| {
            let http = c.load_balancers.iter().map(|b| &b.key);
            let network = c.network_load_balancers.iter().map(|b| &b.key);
            http.chain(network).any(|key| key == balancer.dimension())
        })
    }
}

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let mut again = drop_drained(world, now);
    // A control plane that has just started knows of no node yet. Telling the balancer so
    // would close the listeners that serve.
    if world.applied.is_known() {
        push(world, now);
        settle(world, now);
    }
    // Nor does it know what the nodes found, until they have said it again.
    if world.balancer.applied != 0 {
        again = crate::clock::earliest(again, health::record(world, now));
    }
    again
}

/// Removes targets whose deregistration delay has passed; says when the next one does.
///
/// The delay shrinks with `--speed` once no request is left; while one runs it has its full length.
fn drop_drained(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let balancers = Balancers::new(&state);
    let mut again = None;
    for group in state.target_groups.values() {
        for target in &group.targets {
            let Some(since) = target.draining else {
                continue;
            };
            let keys = target_keys(&state, group, target);
            let keys = keys.map(|key| (group.dimension().to_owned(), key));
            let keys: Vec<(String, String)> = keys.collect();
            let delay = group.deregistration_delay();
            let idle = keys.iter().all(|key| world.balancer.drained.contains(key))
                || balancers.of(&group.arn).is_empty();
            let end = since
                + if idle {
                    world.settings.speed.wait(delay)
                } else {
                    SignedDuration::from_secs(delay.into())
                };
            if now < end {
                again = earliest(again, Some(end));
                continue;
            }
            for key in &keys {
                world.balancer.drained.remove(key);
                world.balancer.health.remove(key);
            }
            world.store.update(|tx| {
                tx.modify::<TargetGroup>(&group.arn, |g| g.targets.retain(|t| t != target));
                tx.remove::<TargetHealth>(&TargetHealthKey {
                    target_group: group.arn.clone(),
                    target: target.id.clone(),
                    port: target.port,
                });
                tx.event(
                    now,
                    Severity::Info,
                    &target.id,
                    "target-deregistered",
                    format!("has left target group {}", group.name),
                );
            });
        }
    }
    again
}

fn push(world: &mut World, now: Timestamp) {
    let state = world.store.snapshot();
    let moment = world.moment(&state);
    if world.rested.balancer == Some(moment) {
        return;
    }
    world.rested.balancer = Some(moment);
    let mut config = config::desired(&state, &world.settings, &world.applied);
    config.revision = world.balancer.pushed.as_ref().map_or(0, |c| c.revision);
    if world.balancer.pushed.as_ref() != Some(&config) {
        config.revision = (config.revision + 1).max(now.as_microsecond() as u64);
        // What nodes said of targets that are gone must not be read into new ones of the same name.
        let known: BTreeSet<(String, String)> = config
            .target_groups
            .values()
            .map(|g| (&g.key, &g.targets))
            .chain(
                config
                    .network_target_groups
                    .values()
                    .map(|g| (&g.key, &g.targets)),
            )
            .flat_map(|(key, targets)| targets.iter().map(|t| (key.clone(), t.key.clone())))
            .collect();
        world.balancer.health.retain(|key, _| known.contains(key));
        let nodes: BTreeSet<&str> = config
            .load_balancers
            .iter()
            .map(|b| &b.nodes)
            .chain(config.network_load_balancers.iter().map(|b| &b.nodes))
            .flat_map(|nodes| nodes.iter().map(|n| n.key.as_str()))
            .collect();
        for findings in world.balancer.health.values_mut() {
            findings.retain(|node, _| nodes.contains(node.as_str()));
        }
        world.plane.push_balancer(&config);
        world.balancer.pushed = Some(config);
    }
    let mut names = BTreeMap::new();
    for balancer in state
        .load_balancers
        .values()
        .filter(|b| b.deleted.is_none() && b.scheme != "internal")
    {
        names.extend(crate::edge::balancer_names(&state, balancer, false));
    }
    names.extend(crate::repository::host_names(&state, &world.settings));
    names.extend(crate::instance_connect::host_names(&state, &world.settings));
    if names != world.host_names {
        world.plane.publish_names(&names);
        world.host_names = names;
    }
}

/// A new balancer is active, and a deleted one's interfaces go, once the data plane agrees.
fn settle(world: &mut World, now: Timestamp) {
    if !world.balancer.settled() {
        return;
    }
    let state = world.store.snapshot();
    for balancer in state.load_balancers.values() {
        let nodes_stand = balancer
            .zones
            .iter()
            .all(|z| world.applied.has_interface(&balancer.vpc, &z.interface));
        match balancer.deleted {
            None if !balancer.active && nodes_stand && world.balancer.names(balancer) => {
                world.store.update(|tx| {
                    tx.modify::<LoadBalancer>(&balancer.arn, |b| b.active = true);
                    tx.event(
                        now,
                        Severity::Info,
                        &balancer.name,
                        "load-balancer",
                        "is active: its nodes listen in every zone",
                    );
                })
            }
            Some(_) if !world.balancer.names(balancer) || world.balancer.pushed.is_none() => {
                world.store.update(|tx| {
                    // Also those of zones that were taken out just before.
                    let nodes = tx.network_interfaces.of(balancer.arn.as_str());
                    let nodes: Vec<_> = nodes.map(|i| i.id.clone()).collect();
                    for id in &nodes {
                        crate::instance::disassociate(tx, id);
                        tx.remove::<NetworkInterface>(id);
                    }
                    let shifts = tx.zonal_shifts.of(balancer.arn.as_str());
                    for id in shifts.map(|s| s.id.clone()).collect::<Vec<_>>() {
                        tx.remove::<ZonalShift>(&id);
                    }
                    tx.remove::<LoadBalancer>(&balancer.arn);
                })
            }
            _ => {}
        }
        // Zones that were taken out of a living balancer leave their interface behind.
        let kept: BTreeSet<_> = balancer.zones.iter().map(|z| &z.interface).collect();
        let orphans: Vec<_> = state
            .network_interfaces
            .of(balancer.arn.as_str())
            .filter(|i| !kept.contains(&i.id))
            .map(|i| i.id.clone())
            .collect();
        if balancer.deleted.is_none() && !orphans.is_empty() {
            world.store.update(|tx| {
                for id in &orphans {
                    crate::instance::disassociate(tx, id);
                    tx.remove::<NetworkInterface>(id);
                }
            });
        }
    }
}

fn actions_of<'a>(state: &'a State, listener: &'a Listener) -> impl Iterator<Item = &'a Action> {
    let rules = state
        .rules
        .of(listener.arn.as_str())
        .flat_map(|r| &r.actions);
    listener.default_actions.iter().chain(rules)
}

/// Target group ARNs that the balancer's listeners may choose.
pub fn groups_of(state: &State, balancer: &LoadBalancer) -> BTreeSet<String> {
    state
        .listeners
        .of(balancer.arn.as_str())
        .flat_map(|l| actions_of(state, l))
        .filter_map(|a| match a {
            Action::Forward { target_groups, .. } => {
                Some(target_groups.iter().map(|(arn, _)| arn.clone()))
            }
            _ => None,
        })
        .flatten()
        .collect()
}

/// Balancers whose listeners may choose the group.
pub fn balancers_of<'a>(state: &'a State, group: &str) -> Vec<&'a LoadBalancer> {
    state
        .load_balancers
        .values()
        .map(|b| &**b)
        .filter(|b| b.deleted.is_none() && groups_of(state, b).contains(group))
        .collect()
}
