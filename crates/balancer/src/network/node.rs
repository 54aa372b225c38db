//! One node: which targets its flows go to, and whose flows end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use jiff::Timestamp;
use netfilter::conntrack::Flow;
use netfilter::counter::{Count, counters};

use super::kernel;
use super::rules::{Rules, Share, TABLE, Way};
use crate::config::network::{NetworkLoadBalancer, TargetGroup};
use crate::config::{self, Config, TargetState};
use crate::netns::{Namespace, within};
use crate::pick::{self, Candidate, Eligible};
use crate::report::{FlowGroupMetrics, FlowMetrics, FlowTargetMetrics, HealthState};

const UDP: u8 = 17;

pub struct Node {
    pub config: config::Node,
    load_balancer: String,
    namespace: Namespace,
    health: HashMap<(String, String), HealthState>,
    in_force: Option<Rules>,
    is_stale: bool,
    /// Targets (group, key) that turned unhealthy since the rules were last made.
    failed: BTreeSet<(String, String)>,
    /// Unhealthy targets whose flows are left until then.
    fading: BTreeMap<(String, String), Timestamp>,
    /// Draining targets whose time is over, and whose flows were ended.
    over: BTreeSet<(String, String)>,
    /// Targets that were there last time: address, and whether flows outlive them.
    targets: BTreeMap<(String, String), (SocketAddrV4, bool)>,
    counted: BTreeMap<String, Count>,
}

/// Flows to end: of a target, and whether only UDP's.
type Endings = Vec<(SocketAddrV4, bool)>;

impl Node {
    pub fn open(config: &config::Node, load_balancer: &str) -> io::Result<Node> {
        let path = config.netns.as_deref().ok_or_else(|| {
            io::Error::other("a network load balancer's node needs a network namespace")
        })?;
        let namespace = Namespace::open(path)?;
        // What a predecessor counted was told by it.
        let counted = within(Some(&namespace), || counters(TABLE))?;
        Ok(Node {
            config: config.clone(),
            load_balancer: load_balancer.to_owned(),
            namespace,
            health: HashMap::new(),
            in_force: None,
            is_stale: false,
            failed: BTreeSet::new(),
            fading: BTreeMap::new(),
            over: BTreeSet::new(),
            targets: BTreeMap::new(),
            counted,
        })
    }

    /// Whether this is the node that `config` means, in the same namespace.
    pub fn is(&self, config: &config::Node, load_balancer: &str) -> bool {
        let path = config.netns.as_deref();
        self.config == *config
            && self.load_balancer == load_balancer
            && path.is_some_and(|path| self.namespace.is_at(path))
    }

    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    pub fn set_health(&mut self, group: String, target: String, state: HealthState) {
        let key = (group, target);
        let before = self.health.insert(key.clone(), state);
        if before == Some(state) {
            return;
        }
        self.is_stale = true;
        if state == HealthState::Healthy {
            self.fading.remove(&key);
        }
        if state == HealthState::Unhealthy && before == Some(HealthState::Healthy) {
            self.failed.insert(key);
        }
    }

    /// Makes the kernel's rules those of now, then ends the flows of targets that are gone: their
    /// clients come back under the new rules.
    pub fn refresh(&mut self, config: &Config) -> io::Result<()> {
        let Some(balancer) = self.balancer(config) else {
            return Ok(());
        };
        let rules = self.rules(config, balancer);
        if let Some(rules) = rules
            && self.in_force.as_ref() != Some(&rules)
        {
            within(Some(&self.namespace), || {
                if rules.leads_back {
                    kernel::lead_back()?;
                }
                kernel::load(&rules.render())
            })?;
            self.in_force = Some(rules);
        }
        self.is_stale = false;
        let endings = self.endings(config, balancer, Timestamp::now());
        if endings.is_empty() {
            return Ok(());
        }
        within(Some(&self.namespace), || {
            let mut doomed = kernel::flows()?;
            doomed.retain(|flow| {
                let target = kernel::target(flow);
                let mut ends = endings.iter();
                ends.any(|(end, only_udp)| {
                    *end == target && (!only_udp || flow.original.protocol == UDP)
                })
            });
            kernel::end(&doomed)
        })
    }

    fn balancer<'a>(&self, config: &'a Config) -> Option<&'a NetworkLoadBalancer> {
        let mut balancers = config.network_load_balancers.iter();
        balancers.find(|balancer| balancer.key == self.load_balancer)
    }

    fn rules(&self, config: &Config, balancer: &NetworkLoadBalancer) -> Option<Rules> {
        let IpAddr::V4(address) = self.config.address else {
            return None;
        };
        let groups = &config.network_target_groups;
        let (relayed, passed_on): (Vec<_>, Vec<_>) = balancer
            .listeners
            .iter()
            .partition(|listener| listener.is_relayed(groups));
        let mut relayed_to = relayed.iter().flat_map(|listener| &listener.groups);
        let leads_back = relayed_to.any(|own| {
            let group = groups.get(&own.target_group);
            group.is_some_and(|group| group.preserve_client_ip)
        });
        let ways = passed_on.into_iter().flat_map(|listener| {
            let shares: Vec<Share> = listener
                .groups
                .iter()
                .map(|weighted| {
                    let group = config.network_target_groups.get(&weighted.target_group);
                    let eligible = group.map(|group| self.eligible(balancer, group));
                    share(weighted.weight, group, eligible)
                })
                .collect();
            let transports = listener.protocol.transports().iter();
            transports.map(move |&transport| Way {
                transport,
                port: listener.port,
                idle_timeout: listener.idle_timeout,
                shares: shares.clone(),
            })
        });
        let ways = ways.collect();
        Some(Rules {
            address,
            ways,
            leads_back,
        })
    }

    fn eligible(&self, balancer: &NetworkLoadBalancer, group: &TargetGroup) -> Eligible {
        let candidates = group.targets.iter().map(|target| Candidate {
            zone: target.zone.as_deref(),
            state: target.state,
            health: self.health_of(group, &target.key),
        });
        let serves = |zone: Option<&str>| match group.cross_zone {
            true => balancer.serves_zone(zone),
            false => zone.is_none_or(|zone| zone == self.config.zone),
        };
        pick::eligible(candidates, group.unhealthy_state_routing, serves)
    }

    fn health_of(&self, group: &TargetGroup, target: &str) -> HealthState {
        if !group.health_check.enabled {
            return HealthState::Healthy;
        }
        let key = (group.key.clone(), target.to_owned());
        let known = self.health.get(&key);
        known.copied().unwrap_or(HealthState::Initial)
    }

    /// Whose flows end now; UDP's always do, since nothing but their end leads them elsewhere.
    fn endings(
        &mut self,
        config: &Config,
        balancer: &NetworkLoadBalancer,
        now: Timestamp,
    ) -> Endings {
        let mut endings = Vec::new();
        let mut present = BTreeMap::new();
        let failed = std::mem::take(&mut self.failed);
        let groups = balancer.target_groups().into_iter();
        for group in groups.filter_map(|key| config.network_target_groups.get(key)) {
            let eligible = self.eligible(balancer, group);
            for (place, target) in group.targets.iter().enumerate() {
                let SocketAddr::V4(address) = target.address else {
                    continue;
                };
                let key = (group.key.clone(), target.key.clone());
                match target.state {
                    TargetState::Draining { until } if until <= now => {
                        if self.over.insert(key.clone()) {
                            endings.push((address, !group.connection_termination));
                        }
                    }
                    TargetState::Draining { .. } => {}
                    TargetState::Active | TargetState::Shifted | TargetState::Unused => {
                        self.over.remove(&key);
                        let fails = failed.contains(&key) && !eligible.targets.contains(&place);
                        let left = group.unhealthy_draining;
                        if fails && !group.unhealthy_connection_termination && !left.is_zero() {
                            self.fading.insert(key.clone(), now + left);
                            endings.push((address, true));
                        } else if fails {
                            endings.push((address, !group.unhealthy_connection_termination));
                        } else if self.fading.get(&key).is_some_and(|at| *at <= now) {
                            self.fading.remove(&key);
                            // It may be in use again, where no target is healthy.
                            if !eligible.targets.contains(&place) {
                                endings.push((address, false));
                            }
                        }
                    }
                }
                present.insert(key, (address, !group.connection_termination));
            }
        }
        for (key, ending) in std::mem::take(&mut self.targets) {
            if !present.contains_key(&key) {
                self.health.remove(&key);
                self.over.remove(&key);
                self.fading.remove(&key);
                endings.push(ending);
            }
        }
        self.targets = present;
        endings
    }

    /// What happened since the last tick; ends what is due.
    pub fn tick(&mut self, config: &Config) -> io::Result<FlowMetrics> {
        let Some(balancer) = self.balancer(config) else {
            return Ok(FlowMetrics::default());
        };
        let now = Timestamp::now();
        let due = |target: &config::Target| matches!(target.state, TargetState::Draining { until } if until <= now);
        let groups = || {
            let keys = balancer.target_groups().into_iter();
            keys.filter_map(|key| config.network_target_groups.get(key))
        };
        let is_due = groups().any(|group| {
            let mut due = group.targets.iter().filter(|target| due(target));
            due.any(|target| !self.over.contains(&(group.key.clone(), target.key.clone())))
        });
        if is_due || self.fading.values().any(|at| *at <= now) {
            self.refresh(config)?;
        }
        let (counters, flows) = within(Some(&self.namespace), || {
            Ok((counters(TABLE)?, kernel::flows()?))
        })?;
        let mut metrics = self.count(counters);
        let live = || flows.iter().filter(|flow| !flow.is_closed);
        let udp = live().filter(|flow| flow.original.protocol == UDP).count() as u64;
        metrics.active_flow_count_udp = udp;
        metrics.active_flow_count_tcp = live().count() as u64 - udp;
        metrics.groups = groups()
            .map(|group| self.count_group(balancer, group, live()))
            .collect();
        Ok(metrics)
    }

    fn count(&mut self, counters: BTreeMap<String, Count>) -> FlowMetrics {
        let before = std::mem::replace(&mut self.counted, counters);
        let since = |name: &str| {
            let now = self.counted.get(name).copied().unwrap_or_default();
            let before = before.get(name).copied().unwrap_or_default();
            // A table that was made anew counts from zero.
            let difference = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
            Count {
                packets: difference(now.packets, before.packets),
                bytes: difference(now.bytes, before.bytes),
            }
        };
        FlowMetrics {
            load_balancer: self.load_balancer.clone(),
            node: self.config.key.clone(),
            zone: self.config.zone.clone(),
            new_flow_count_tcp: since("new_tcp").packets,
            new_flow_count_udp: since("new_udp").packets,
            processed_bytes_tcp: since("processed_tcp").bytes,
            processed_bytes_udp: since("processed_udp").bytes,
            processed_packets: since("processed_tcp").packets + since("processed_udp").packets,
            tcp_client_reset_count: since("client_reset").packets,
            tcp_target_reset_count: since("target_reset").packets,
            tcp_elb_reset_count: since("elb_reset").packets,
            unhealthy_routing_flow_count: since("unhealthy_routing").packets,
            ..FlowMetrics::default()
        }
    }

    fn count_group<'a>(
        &self,
        balancer: &NetworkLoadBalancer,
        group: &TargetGroup,
        flows: impl Iterator<Item = &'a Flow>,
    ) -> FlowGroupMetrics {
        let mut by_target: HashMap<SocketAddr, u64> = HashMap::new();
        for flow in flows {
            *by_target.entry(kernel::target(flow).into()).or_default() += 1;
        }
        let eligible = self.eligible(balancer, group);
        let targets = group.targets.iter().map(|target| FlowTargetMetrics {
            target: target.key.clone(),
            zone: target.zone.clone(),
            active_flow_count: by_target.get(&target.address).copied().unwrap_or(0),
        });
        FlowGroupMetrics {
            target_group: group.key.clone(),
            healthy_host_count: eligible.healthy as u64,
            unhealthy_host_count: eligible.unhealthy as u64,
            targets: targets.collect(),
        }
    }
}

fn share(weight: u32, group: Option<&TargetGroup>, eligible: Option<Eligible>) -> Share {
    let (Some(group), Some(eligible)) = (group, eligible) else {
        // A group that the config lacks keeps its share, and nobody takes it.
        return Share {
            weight,
            targets: Vec::new(),
            preserve_client_ip: true,
            by_source: false,
            fail_open: false,
        };
    };
    let places = eligible.targets.iter();
    let addresses = places.filter_map(|&place| match group.targets.get(place)?.address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    });
    Share {
        weight,
        targets: addresses.collect(),
        preserve_client_ip: group.preserve_client_ip,
        by_source: group.source_ip_stickiness,
        fail_open: eligible.fail_open,
    }
}
