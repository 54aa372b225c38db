//! A target group as one node of one worker sees it: targets, their health, who is eligible.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::{self, TargetState};
use crate::count::{Open, TargetCounters};
use crate::pick::{self, Candidate, Eligible};
use crate::proxy::Multiplexed;
use crate::report::{GroupMetrics, HealthState};
use crate::tls::Stream;

#[derive(Debug)]
pub struct Group {
    pub config: Arc<config::TargetGroup>,
    /// In the order of the config.
    pub targets: Vec<Rc<Target>>,
    eligible: RefCell<Eligible>,
    cursor: Cell<usize>,
    unhealthy_routing: Cell<u64>,
    /// Zones whose targets this node may use; `None` is every zone that has a node.
    zones: Vec<String>,
}

/// One target, seen from one node. It outlives the config while requests are running.
#[derive(Debug)]
pub struct Target {
    pub key: String,
    pub address: std::net::SocketAddr,
    pub zone: Option<String>,
    state: Cell<TargetState>,
    health: Cell<HealthState>,
    /// When slow start began.
    ramping_since: Cell<Option<Instant>>,
    in_flight: Cell<u32>,
    pub counters: TargetCounters,
    idle: RefCell<Vec<Idle>>,
    /// Of a target that speaks HTTP/2.
    pub multiplexed: RefCell<Vec<Multiplexed>>,
    /// Told when running requests have to end: the deregistration delay is over.
    pub cut: Notify,
    is_cut: Cell<bool>,
}

/// A connection to the target.
#[derive(Debug)]
pub struct Upstream {
    pub stream: Stream,
    /// Counts it as active.
    pub counted: Open,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: Instant,
}

/// A request that is running at a target, for as long as this lives.
#[derive(Debug)]
pub struct InFlight(pub Rc<Target>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

impl Group {
    /// `before` is the same group under the config before: its targets' health, pools, counters and
    /// running requests go on. `zones` are those whose targets this node may use.
    pub fn new(
        config: Arc<config::TargetGroup>,
        zones: Vec<String>,
        before: Option<&Group>,
    ) -> Group {
        let old: HashMap<&str, &Rc<Target>> = before
            .iter()
            .flat_map(|group| &group.targets)
            .map(|target| (target.key.as_str(), target))
            .collect();
        let targets = config
            .targets
            .iter()
            .map(|target| {
                let same = old
                    .get(target.key.as_str())
                    .filter(|old| old.address == target.address && old.zone == target.zone);
                let kept =
                    same.map_or_else(|| Rc::new(Target::new(target)), |target| Rc::clone(target));
                kept.state.set(target.state);
                if !config.health_check.enabled {
                    kept.health.set(HealthState::Healthy);
                }
                kept
            })
            .collect();
        let group = Group {
            config,
            targets,
            eligible: RefCell::default(),
            cursor: Cell::new(
                before
                    .map_or_else(rand::random::<u16>, |group| group.cursor.get() as u16)
                    .into(),
            ),
            unhealthy_routing: Cell::new(before.map_or(0, |group| group.unhealthy_routing.take())),
            zones,
        };
        group.refresh();
        group
    }

    pub fn set_health(&self, target: &str, health: HealthState) {
        let Some(target) = self.targets.iter().find(|known| known.key == target) else {
            return;
        };
        if health == HealthState::Healthy && target.health.get() != HealthState::Healthy {
            // Ramping needs somebody else to carry the load (A/load-balancer-target-groups.html).
            let others = self.eligible.borrow();
            let is_needed = !self.config.slow_start.is_zero()
                && !others.fail_open
                && !others.targets.is_empty();
            target.ramping_since.set(is_needed.then(Instant::now));
        }
        target.health.set(health);
        self.refresh();
    }

    fn refresh(&self) {
        let candidates = self.targets.iter().map(|target| Candidate {
            zone: target.zone.as_deref(),
            state: target.state.get(),
            health: target.health.get(),
        });
        let serves = |zone: Option<&str>| {
            zone.is_none_or(|zone| self.zones.iter().any(|known| known == zone))
        };
        *self.eligible.borrow_mut() =
            pick::eligible(candidates, self.config.unhealthy_state_routing, serves);
    }

    /// The target for a new request; `None` if there is none to try.
    pub fn pick(&self) -> Option<Rc<Target>> {
        let eligible = self.eligible.borrow();
        let count = eligible.targets.len();
        if count == 0 {
            return None;
        }
        if eligible.fail_open {
            self.unhealthy_routing.set(self.unhealthy_routing.get() + 1);
        }
        let target = |place: usize| &self.targets[eligible.targets[place]];
        let share = |place: usize| match target(place).ramping_since.get() {
            Some(since) => pick::ramp(since.elapsed(), self.config.slow_start),
            None => 1.0,
        };
        let outstanding = |place: usize| target(place).in_flight.get();
        let place = pick::choose(
            self.config.algorithm,
            self.cursor.get(),
            count,
            rand::random,
            outstanding,
            share,
        );
        self.cursor.set((self.cursor.get() % count) + 1);
        Some(target(place).clone())
    }

    /// The target of a sticky session, if it may still get requests.
    pub fn pick_sticky(&self, key: &str) -> Option<Rc<Target>> {
        let eligible = self.eligible.borrow();
        eligible
            .targets
            .iter()
            .map(|&place| &self.targets[place])
            .find(|target| target.key == key)
            .cloned()
    }

    pub fn take_metrics(&self) -> GroupMetrics {
        let eligible = self.eligible.borrow();
        GroupMetrics {
            target_group: self.config.key.clone(),
            healthy_host_count: eligible.healthy as u64,
            unhealthy_host_count: eligible.unhealthy as u64,
            unhealthy_routing_request_count: self.unhealthy_routing.take(),
            targets: self
                .targets
                .iter()
                .map(|target| {
                    let mut metrics = target.counters.take();
                    metrics.target = target.key.clone();
                    metrics.zone = target.zone.clone();
                    metrics.in_flight = target.in_flight.get().into();
                    metrics
                })
                .collect(),
        }
    }
}

impl Target {
    fn new(target: &config::Target) -> Target {
        Target {
            key: target.key.clone(),
            address: target.address,
            zone: target.zone.clone(),
            state: Cell::new(target.state),
            health: Cell::new(HealthState::Initial),
            ramping_since: Cell::new(None),
            in_flight: Cell::new(0),
            counters: TargetCounters::default(),
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            cut: Notify::new(),
            is_cut: Cell::new(false),
        }
    }

    pub fn begin(self: Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        InFlight(self)
    }

    /// The most recently used idle connection that the target has not closed.
    pub fn take_idle(&self) -> Option<Upstream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { upstream, .. }) = idle.pop() {
            if upstream.stream.is_quiet() {
                return Some(upstream);
            }
        }
        None
    }

    pub fn keep_idle(&self, upstream: Upstream) {
        if self.state.get() == TargetState::Active && !self.is_cut.get() {
            self.idle.borrow_mut().push(Idle {
                upstream,
                since: Instant::now(),
            });
        }
    }

    /// Closes connections that idled too long, that the target closed, and all of a target that gets
    /// no more requests.
    pub fn sweep(&self, idle_timeout: std::time::Duration) {
        let is_active = self.state.get() == TargetState::Active;
        self.idle.borrow_mut().retain(|idle| {
            is_active && idle.since.elapsed() < idle_timeout && idle.upstream.stream.is_quiet()
        });
        let mut multiplexed = self.multiplexed.borrow_mut();
        multiplexed.retain(|known| is_active && known.is_of_use(idle_timeout));
    }

    /// Ends running requests if the deregistration delay is over.
    pub fn cut_if_due(&self, now: jiff::Timestamp) {
        if matches!(self.state.get(), TargetState::Draining { until } if until <= now) {
            self.cut();
        } else {
            self.is_cut.set(false);
        }
    }

    pub fn cut(&self) {
        self.is_cut.set(true);
        self.idle.borrow_mut().clear();
        self.multiplexed.borrow_mut().clear();
        self.cut.notify_waiters();
    }

    pub fn is_cut(&self) -> bool {
        self.is_cut.get()
    }
}
