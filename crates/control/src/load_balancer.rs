//! Load balancers: the balancer's configuration, the health it reports, and who may be in DNS.

mod config;
mod header;
pub mod log;
mod network;

use crate::World;
use crate::clock::earliest;
use crate::index::{Balancers, primary};
use crate::zonal_shift;
use ::balancer::{config as cfg, report};
use jiff::{SignedDuration, Timestamp};
use model::elbv2::{
    Action, Listener, LoadBalancer, LoadBalancerZone, Target, TargetGroup, TargetHealth,
    TargetState,
};
use model::event::Severity;
use model::instance::{Instance, InstanceState};
use model::vpc::NetworkInterface;
use model::zonal_shift::ZonalShift;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
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
    let again = drop_drained(world, now);
    // A control plane that has just started knows of no node yet. Telling the balancer so
    // would close the listeners that serve.
    if world.applied.is_known() {
        push(world, now);
        settle(world, now);
    }
    // Nor does it know what the nodes found, until they have said it again.
    if world.balancer.applied != 0 {
        record_health(world, now);
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

/// Writes what the nodes found, and what follows from the records, into the target health table.
fn record_health(world: &mut World, now: Timestamp) {
    let state = world.store.snapshot();
    let balancers = Balancers::new(&state);
    let mut wanted: BTreeMap<TargetHealthKey, TargetHealth> = BTreeMap::new();
    for group in state.target_groups.values() {
        for target in &group.targets {
            let keys = target_keys(&state, group, target);
            let findings = keys.filter_map(|key| {
                let key = (group.dimension().to_owned(), key);
                world.balancer.health.get(&key)
            });
            let findings: Vec<&report::Health> = findings.flat_map(BTreeMap::values).collect();
            let using = balancers.of(&group.arn);
            let (health, reason) = judge(&state, using, group, target, &findings);
            let oddity = |odd: &BTreeSet<(String, String)>| {
                let mut keys = target_keys(&state, group, target);
                keys.any(|key| odd.contains(&(group.dimension().to_owned(), key)))
            };
            let is_anomalous = oddity(&world.balancer.anomalous);
            let is_mitigated = oddity(&world.balancer.mitigated);
            let zone = zone_of(&state, group, target);
            let mut using = using.iter();
            let is_shifted = using.any(|b| is_shifted(&state, b, group, zone.as_deref()));
            let value = TargetHealth {
                target_group: group.arn.clone(),
                target: target.id.clone(),
                port: target.port,
                state: health,
                reason,
                since: now,
                is_anomalous,
                is_mitigated,
                is_shifted,
            };
            wanted.insert(store::Record::key(&value), value);
        }
    }
    let same = |a: &TargetHealth, b: &TargetHealth| {
        let b = TargetHealth {
            since: a.since,
            ..b.clone()
        };
        *a == b
    };
    let changed: Vec<&TargetHealth> = wanted
        .iter()
        .filter(|(key, new)| {
            state
                .target_health
                .get(*key)
                .is_none_or(|old| !same(old, new))
        })
        .map(|(_, new)| new)
        .collect();
    let gone: Vec<TargetHealthKey> = state
        .target_health
        .keys()
        .filter(|key| !wanted.contains_key(key))
        .cloned()
        .collect();
    if changed.is_empty() && gone.is_empty() {
        return;
    }
    world.store.update(|tx| {
        for new in changed {
            let old = tx
                .get::<TargetHealth>(&store::Record::key(new))
                .map(|h| h.state);
            if old != Some(new.state) {
                let name = state
                    .target_groups
                    .get(&new.target_group)
                    .map_or("", |g| g.name.as_str());
                let why = new
                    .reason
                    .as_ref()
                    .map_or(String::new(), |(code, text)| format!(" ({code}: {text})"));
                let severity = if new.state == TargetState::Unhealthy {
                    Severity::Warning
                } else {
                    Severity::Info
                };
                tx.event(
                    now,
                    severity,
                    &new.target,
                    "target-health",
                    format!("is {} in target group {name}{why}", state_name(new.state)),
                );
            }
            let mut new = new.clone();
            if old == Some(new.state) {
                new.since = tx
                    .get::<TargetHealth>(&store::Record::key(&new))
                    .map_or(now, |h| h.since);
            }
            tx.put(new);
        }
        for key in &gone {
            tx.remove::<TargetHealth>(key);
        }
    });
}

pub fn state_name(state: TargetState) -> &'static str {
    match state {
        TargetState::Initial => "initial",
        TargetState::Healthy => "healthy",
        TargetState::Unhealthy => "unhealthy",
        TargetState::Unused => "unused",
        TargetState::Draining => "draining",
        TargetState::Unavailable => "unavailable",
    }
}

/// The one state that `DescribeTargetHealth` shows for a target that several nodes probe.
///
/// Assumption (AWS does not say how nodes' findings are merged): healthy if any
/// node finds it so, else unhealthy if any does, else initial. A node that is
/// cut off then does not make the targets of the other zones look ill.
fn judge(
    state: &State,
    balancers: &[&LoadBalancer],
    group: &TargetGroup,
    target: &Target,
    findings: &[&report::Health],
) -> (TargetState, Option<(String, String)>) {
    let reason = |code: &str, text: &str| Some((code.to_owned(), text.to_owned()));
    if target.draining.is_some() {
        return (
            TargetState::Draining,
            reason(
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            ),
        );
    }
    if balancers.is_empty() {
        return (
            TargetState::Unused,
            reason(
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            ),
        );
    }
    let zone = match place(state, group, target) {
        Place::At(_, zone) => zone,
        Place::Nodes(zones) => {
            let mut served = zones.iter().map(|node| &node.zone);
            served
                .find(|zone| {
                    let mut nodes = balancers.iter().flat_map(|b| &b.zones);
                    nodes.any(|node| node.zone == **zone)
                })
                .or(zones.first().map(|node| &node.zone))
                .cloned()
        }
        Place::Unfit(why) => return (TargetState::Unused, reason("Target.InvalidState", &why)),
    };
    let served = zone.is_none_or(|zone| {
        balancers
            .iter()
            .any(|b| b.zones.iter().any(|z| z.zone == zone))
    });
    if !served {
        return (
            TargetState::Unused,
            reason(
                "Target.NotInUse",
                "Target is in an Availability Zone that is not enabled for the load balancer",
            ),
        );
    }
    if !group.health_check.enabled {
        return (
            TargetState::Unavailable,
            reason("Target.HealthCheckDisabled", "Health checks are disabled"),
        );
    }
    if findings.is_empty() {
        return (
            TargetState::Initial,
            reason(
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            ),
        );
    }
    let pick = |wanted| {
        findings
            .iter()
            .filter(|h| h.state == wanted)
            .max_by_key(|h| h.at)
    };
    let said = |h: &report::Health| {
        h.reason
            .clone()
            .map(|code| (code, h.description.clone().unwrap_or_default()))
    };
    if pick(report::HealthState::Healthy).is_some() {
        (TargetState::Healthy, None)
    } else if let Some(h) = pick(report::HealthState::Unhealthy) {
        (TargetState::Unhealthy, said(h))
    } else {
        (
            TargetState::Initial,
            reason(
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            ),
        )
    }
}

/// The zones of a balancer that DNS answers with.
///
/// A zone leaves when every target group it could serve has too few healthy targets
/// for it (`dns_failover.minimum_healthy_targets`), when traffic is shifted away from it, or when its
/// packets are cut; if all would leave, all stay (fail open).
pub fn in_service<'a>(state: &State, balancer: &'a LoadBalancer) -> Vec<&'a LoadBalancerZone> {
    let groups = groups_of(state, balancer);
    let shifted = zonal_shift::away_from(state, balancer);
    let is_cut = |zone: &str| {
        let fault = model::event::Fault::Zone(zone.to_owned());
        state.faults.contains_key(&fault)
    };
    let is_healthy = |zone: &str| {
        let mut groups = groups.iter().filter_map(|arn| state.target_groups.get(arn));
        groups.any(|group| Failover::Dns.is_held_off(state, group, balancer, zone))
    };
    let usable = |zone: &&LoadBalancerZone| {
        shifted != Some(zone.zone.as_str())
            && !is_cut(&zone.zone)
            && (groups.is_empty() || is_healthy(&zone.zone))
    };
    let kept: Vec<&LoadBalancerZone> = balancer.zones.iter().filter(usable).collect();
    if kept.is_empty() {
        balancer.zones.iter().collect()
    } else {
        kept
    }
}

/// What happens where too few targets of a group are healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// The zone leaves DNS.
    Dns,
    /// Requests go to unhealthy targets as well.
    Routing,
}

impl Failover {
    /// Whether a group's healthy targets are enough in a zone: those of the zone without cross-zone
    /// load balancing, else all.
    pub fn is_held_off(
        self,
        state: &State,
        group: &TargetGroup,
        balancer: &LoadBalancer,
        zone: &str,
    ) -> bool {
        let cross = cross_zone(group, balancer);
        let counted = group.targets.iter().filter(|t| {
            let in_zone = || zone_of(state, group, t).is_none_or(|z| z == zone);
            t.draining.is_none() && (cross || in_zone())
        });
        let (mut all, mut healthy) = (0, 0);
        for target in counted {
            let key = TargetHealthKey {
                target_group: group.arn.clone(),
                target: target.id.clone(),
                port: target.port,
            };
            let known = state.target_health.get(&key);
            all += 1;
            healthy += u32::from(known.is_some_and(|h| h.state == TargetState::Healthy));
        }
        let kind = match self {
            Failover::Dns => "dns_failover",
            Failover::Routing => "unhealthy_state_routing",
        };
        let least = |name: &str, usual: u32| {
            let key = format!("target_group_health.{kind}.minimum_healthy_targets.{name}");
            // `off` asks for none.
            let given = group.attributes.get(&key);
            given.map_or(usual, |value| value.parse().unwrap_or(0))
        };
        least("count", 1) <= healthy && least("percentage", 0) * all <= healthy * 100
    }
}

/// Whether the group's targets in a zone are to be left alone, as a zonal shift asks. Without
/// cross-zone load balancing they still serve whoever reaches their zone's node.
pub(crate) fn is_shifted(
    state: &State,
    balancer: &LoadBalancer,
    group: &TargetGroup,
    zone: Option<&str>,
) -> bool {
    let shifted = zonal_shift::away_from(state, balancer);
    shifted.is_some() && shifted == zone && cross_zone(group, balancer)
}

fn cross_zone(group: &TargetGroup, balancer: &LoadBalancer) -> bool {
    let own = group
        .attributes
        .get("load_balancing.cross_zone.enabled")
        .map(String::as_str);
    match own {
        Some("true") => true,
        Some("false") => false,
        _ => balancer
            .attributes
            .get("load_balancing.cross_zone.enabled")
            .map_or(!balancer.is_network(), |v| v == "true"),
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

/// The key of a target in the balancer's configuration.
pub fn target_key(target: &Target) -> String {
    format!("{}:{}", target.id, target.port)
}

/// The same of one node of a target that is a load balancer.
fn node_key(target: &Target, node: &LoadBalancerZone) -> String {
    format!("{}@{}", target_key(target), node.zone)
}

/// All keys under which the balancer knows a target.
fn target_keys(
    state: &State,
    group: &TargetGroup,
    target: &Target,
) -> impl Iterator<Item = String> + use<> {
    let keys = match place(state, group, target) {
        Place::Nodes(zones) => zones.iter().map(|node| node_key(target, node)).collect(),
        Place::At(..) | Place::Unfit(_) => vec![target_key(target)],
    };
    keys.into_iter()
}

/// Where a target is reached.
enum Place<'a> {
    At(Ipv4Addr, Option<String>),
    /// An application load balancer, in each of its zones.
    Nodes(&'a [LoadBalancerZone]),
    /// It cannot serve now, and why (`Target.InvalidState`).
    Unfit(String),
}

fn place<'a>(state: &'a State, group: &TargetGroup, target: &Target) -> Place<'a> {
    if group.target_type == "alb" {
        let balancer = state.load_balancers.get(&target.id);
        let standing = balancer.filter(|balancer| balancer.deleted.is_none());
        return match standing {
            Some(balancer) => Place::Nodes(&balancer.zones),
            None => Place::Unfit("Target is a load balancer that does not exist".into()),
        };
    }
    let zone = zone_of(state, group, target);
    if group.target_type == "ip" {
        return match target.id.parse::<Ipv4Addr>() {
            Ok(address) => Place::At(address, zone),
            Err(_) => Place::Unfit("Target is not an IPv4 address".into()),
        };
    }
    let Some(instance) = instance_of(state, target) else {
        return Place::Unfit("Target is in the terminated state".into());
    };
    if instance.state != InstanceState::Running {
        return Place::Unfit(format!("Target is in the {} state", instance.state.name()));
    }
    match primary(state, &instance.id) {
        Some(interface) => Place::At(interface.primary_ip(), zone),
        None => Place::Unfit("Target has no network interface".into()),
    }
}

fn instance_of<'a>(state: &'a State, target: &Target) -> Option<&'a Instance> {
    state.instances.get(target.id.as_str()).map(|i| &**i)
}

/// The zone that a target is in; `None` is in all of them.
fn zone_of(state: &State, group: &TargetGroup, target: &Target) -> Option<String> {
    if group.target_type == "alb" {
        return None;
    }
    if group.target_type != "ip" {
        return instance_of(state, target).map(|i| i.zone.clone());
    }
    let address = target.id.parse::<Ipv4Addr>().ok()?;
    let subnet = state
        .subnets
        .of(&group.vpc)
        .find(|s| s.cidr.contains(&address));
    subnet
        .map(|s| s.zone.clone())
        .or_else(|| target.zone.clone().filter(|z| z != "all"))
}
