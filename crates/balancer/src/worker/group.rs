//! A target group as one node of one worker sees it: targets, their health, who is eligible.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::anomaly;
use crate::config::{self, Algorithm, TargetState};
use crate::count::{Open, TargetCounters};
use crate::pick::{self, Candidate, Eligible};
use crate::proxy::Multiplexed;
use crate::report::{GroupMetrics, HealthState};
use crate::tls::Stream;

/// As AWS does.
const JUDGED_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug)]
pub struct Group {
    pub config: Arc<config::TargetGroup>,
    /// In the order of the config.
    pub targets: Vec<Rc<Target>>,
    eligible: RefCell<Eligible>,
    cursor: Cell<usize>,
    unhealthy_routing: Cell<u64>,
    judged: Cell<Instant>,
    /// Some target gets less than the whole.
    is_mitigating: Cell<bool>,
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
    /// It came when the group was empty, with others or alone, and has not been healthy yet: nobody
    /// is there to carry the load meanwhile.
    starts_whole: Cell<bool>,
    in_flight: Cell<u32>,
    is_anomalous: Cell<bool>,
    /// Of weighted random choice; 1 is the whole.
    weight: Cell<f64>,
    pub counters: TargetCounters,
    idle: RefCell<Vec<Idle>>,
    /// Of a target that speaks HTTP/2.
    pub multiplexed: RefCell<Vec<Multiplexed>>,
    /// Told when running requests have to end: the deregistration delay is over.
    pub cut: Notify,
    is_cut: Cell<bool>,
    /// When the flows of a target that turned unhealthy end, unless it recovers.
    fades: Cell<Option<Instant>>,
    /// What runs there goes on when its time is over: flows, unless they are to be ended.
    outlives: Cell<bool>,
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
        let is_first = old.is_empty();
        let targets = config
            .targets
            .iter()
            .map(|target| {
                let same = old
                    .get(target.key.as_str())
                    .filter(|old| old.address == target.address && old.zone == target.zone);
                let kept = same.map_or_else(
                    || Rc::new(Target::new(target, is_first)),
                    |target| Rc::clone(target),
                );
                kept.state.set(target.state);
                let relay = config.relay.as_ref();
                kept.outlives
                    .set(relay.is_some_and(|relay| !relay.connection_termination));
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
            judged: Cell::new(before.map_or_else(Instant::now, |group| group.judged.get())),
            is_mitigating: Cell::new(before.is_some_and(|group| group.is_mitigating.get())),
            zones,
        };
        group.refresh();
        group
    }

    pub fn set_health(&self, target: &str, health: HealthState) {
        let same = |known: &Rc<Target>| known.key == target;
        let Some(place) = self.targets.iter().position(same) else {
            return;
        };
        let target = &self.targets[place];
        if health == HealthState::Healthy && target.health.get() != HealthState::Healthy {
            // Ramping needs somebody else to carry the load (A/load-balancer-target-groups.html).
            let others = self.eligible.borrow();
            let carries = |&place: &usize| self.share(&self.targets[place]) >= 1.0;
            let ramps = !target.starts_whole.take()
                && !self.config.slow_start.is_zero()
                && !others.fail_open
                && others.targets.iter().any(carries);
            target.ramping_since.set(ramps.then(Instant::now));
        }
        let failed = target.health.replace(health) == HealthState::Healthy
            && health == HealthState::Unhealthy;
        self.refresh();
        if health == HealthState::Healthy {
            target.fades.set(None);
        }
        let relay = self.config.relay.as_ref();
        if let Some(relay) = relay.filter(|_| failed)
            && !self.eligible.borrow().targets.contains(&place)
        {
            if relay.unhealthy_connection_termination {
                target.cut.notify_waiters();
            } else if !relay.unhealthy_draining.is_zero() {
                target
                    .fades
                    .set(Some(Instant::now() + relay.unhealthy_draining));
            }
        }
    }

    /// Ends flows that were left long enough at a target that turned unhealthy, unless it is in use
    /// again because no target is healthy.
    pub fn end_faded(&self) {
        let eligible = self.eligible.borrow();
        for (place, target) in self.targets.iter().enumerate() {
            if target.fades.get().is_some_and(|at| at <= Instant::now()) {
                target.fades.set(None);
                if !eligible.targets.contains(&place) {
                    target.cut.notify_waiters();
                }
            }
        }
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

    /// The part of its turns that a target takes.
    fn share(&self, target: &Target) -> f64 {
        match target.ramping_since.get() {
            Some(since) => pick::ramp(since.elapsed(), self.config.slow_start),
            None => 1.0,
        }
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
        if self.is_mitigating.get() {
            let weights = (0..count).map(|place| target(place).weight.get());
            let place = pick::by_weight(weights, rand::random())?;
            return Some(target(place).clone());
        }
        let outstanding = |place: usize| target(place).in_flight.get();
        let place = pick::choose(
            self.config.algorithm,
            self.cursor.get(),
            count,
            rand::random,
            outstanding,
            |place| self.share(target(place)),
        );
        self.cursor.set((self.cursor.get() % count) + 1);
        Some(target(place).clone())
    }

    /// The target for a flow: as long as nobody comes or goes, the same for the same `hash`.
    pub fn pick_by(&self, hash: u64) -> Option<Rc<Target>> {
        let eligible = self.eligible.borrow();
        let count = eligible.targets.len() as u64;
        let place = eligible.targets[hash.checked_rem(count)? as usize];
        if eligible.fail_open {
            self.unhealthy_routing.set(self.unhealthy_routing.get() + 1);
        }
        Some(self.targets[place].clone())
    }

    /// Every few seconds: sets targets that fail beside their peers.
    pub fn judge(&self) {
        if self.judged.get().elapsed() < JUDGED_EVERY {
            return;
        }
        self.judged.set(Instant::now());
        let eligible = self.eligible.borrow();
        let places = eligible.targets.iter();
        let targets: Vec<&Rc<Target>> = places.map(|&place| &self.targets[place]).collect();
        let seen: Vec<_> = targets.iter().map(|t| t.counters.take_seen()).collect();
        let before: Vec<_> = targets.iter().map(|t| t.is_anomalous.get()).collect();
        let mitigates = self.config.anomaly_mitigation
            && self.config.algorithm == Algorithm::WeightedRandom
            && !eligible.fail_open;
        for (target, is_anomalous) in targets.iter().zip(anomaly::judge(&seen, &before)) {
            target.is_anomalous.set(is_anomalous);
            target.weight.set(match mitigates {
                true => anomaly::weight(target.weight.get(), is_anomalous),
                false => 1.0,
            });
        }
        let is_less = |target: &&Rc<Target>| target.weight.get() < 1.0;
        self.is_mitigating.set(targets.iter().any(is_less));
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
        let count = |is_it: fn(&Target) -> bool| {
            let places = eligible.targets.iter();
            places.filter(|&&place| is_it(&self.targets[place])).count() as u64
        };
        GroupMetrics {
            target_group: self.config.key.clone(),
            healthy_host_count: eligible.healthy as u64,
            unhealthy_host_count: eligible.unhealthy as u64,
            unhealthy_routing_request_count: self.unhealthy_routing.take(),
            anomalous_host_count: count(|target| target.is_anomalous.get()),
            mitigated_host_count: count(|target| target.weight.get() < 1.0),
            zonal_shifted_host_count: eligible.shifted as u64,
            targets: self
                .targets
                .iter()
                .map(|target| {
                    let mut metrics = target.counters.take();
                    metrics.target = target.key.clone();
                    metrics.zone = target.zone.clone();
                    metrics.in_flight = target.in_flight.get().into();
                    metrics.is_anomalous = target.is_anomalous.get();
                    metrics.is_mitigated = target.weight.get() < 1.0;
                    metrics
                })
                .collect(),
        }
    }
}

impl Target {
    fn new(target: &config::Target, is_first: bool) -> Target {
        Target {
            key: target.key.clone(),
            address: target.address,
            zone: target.zone.clone(),
            state: Cell::new(target.state),
            health: Cell::new(HealthState::Initial),
            ramping_since: Cell::new(None),
            starts_whole: Cell::new(is_first),
            in_flight: Cell::new(0),
            is_anomalous: Cell::new(false),
            weight: Cell::new(1.0),
            counters: TargetCounters::default(),
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            cut: Notify::new(),
            is_cut: Cell::new(false),
            fades: Cell::new(None),
            outlives: Cell::new(false),
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
        if self.state.get().is_registered() && !self.is_cut.get() {
            self.idle.borrow_mut().push(Idle {
                upstream,
                since: Instant::now(),
            });
        }
    }

    /// Closes connections that idled too long, that the target closed, and all of a target that gets
    /// no more requests.
    pub fn sweep(&self, idle_timeout: std::time::Duration) {
        let is_active = self.state.get().is_registered();
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
        if self.outlives.get() {
            return;
        }
        self.is_cut.set(true);
        self.idle.borrow_mut().clear();
        self.multiplexed.borrow_mut().clear();
        self.cut.notify_waiters();
    }

    pub fn is_cut(&self) -> bool {
        self.is_cut.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Of so many requests, how many a target gets.
    fn share_of(group: &Group, key: &str, requests: usize) -> usize {
        let picked = (0..requests).map(|_| group.pick().unwrap());
        picked.filter(|target| target.key == key).count()
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_later_starts_slowly() {
        let with = |keys: &[&str], before: Option<&Group>| {
            let target = |key: &&str| config::Target {
                key: (*key).into(),
                address: ([10, 0, 0, 1], 80).into(),
                zone: None,
                state: TargetState::Active,
            };
            let settings = config::TargetGroup {
                slow_start: Duration::from_secs(100),
                targets: keys.iter().map(target).collect(),
                ..config::TargetGroup::default()
            };
            Group::new(Arc::new(settings), vec![], before)
        };
        let group = with(&["a", "b"], None);
        for key in ["a", "b"] {
            group.set_health(key, HealthState::Healthy);
        }
        assert_eq!(share_of(&group, "b", 100), 50, "they came together");
        let group = with(&["a", "b", "c"], Some(&group));
        let comes = || {
            group.set_health("c", HealthState::Unhealthy);
            group.set_health("c", HealthState::Healthy);
        };
        comes();
        // A tenth of its third, and six standard deviations around it.
        let is_slow = |share| (40..160).contains(&share);
        assert!(is_slow(share_of(&group, "c", 3000)));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(share_of(&group, "c", 300), 100);
        comes();
        assert!(is_slow(share_of(&group, "c", 3000)), "as often as it comes");
        // Nobody else could carry the load.
        for key in ["a", "b"] {
            group.set_health(key, HealthState::Unhealthy);
        }
        group.set_health("a", HealthState::Healthy);
        assert_eq!(group.targets[0].ramping_since.get(), None);
    }

    /// Rounds of requests of which one target answers each with 500; how many of the last it got.
    async fn failing_one_gets(mitigation: bool) -> usize {
        let target = |key: &str| config::Target {
            key: key.into(),
            address: ([10, 0, 0, 1], 80).into(),
            zone: None,
            state: TargetState::Active,
        };
        let mut settings = config::TargetGroup {
            algorithm: Algorithm::WeightedRandom,
            anomaly_mitigation: mitigation,
            targets: ["a", "b", "bad"].map(target).to_vec(),
            ..config::TargetGroup::default()
        };
        settings.health_check.enabled = false;
        let group = Group::new(Arc::new(settings), vec![], None);
        let mut bad = 0;
        for _ in 0..8 {
            bad = 0;
            for _ in 0..600 {
                let target = group.pick().unwrap();
                let is_bad = target.key == "bad";
                bad += usize::from(is_bad);
                target.counters.requested();
                let status = if is_bad { 500 } else { 200 };
                target.counters.responded(status, Duration::ZERO);
            }
            tokio::time::advance(JUDGED_EVERY).await;
            group.judge();
        }
        let metrics = group.take_metrics();
        assert_eq!(metrics.anomalous_host_count, 1);
        assert_eq!(metrics.mitigated_host_count, u64::from(mitigation));
        bad
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_fails_gets_less() {
        assert!((100..300).contains(&failing_one_gets(false).await));
        // A twentieth against two wholes: 15 of 600.
        assert!(failing_one_gets(true).await < 50);
    }

    #[tokio::test(start_paused = true)]
    async fn flows_are_left_for_the_unhealthy_draining_interval() {
        let target = |key: &str| config::Target {
            key: key.into(),
            address: ([10, 0, 0, 1], 80).into(),
            zone: None,
            state: TargetState::Active,
        };
        let relay = config::network::TargetGroup {
            unhealthy_connection_termination: false,
            unhealthy_draining: Duration::from_secs(600),
            ..Default::default()
        };
        let settings = config::TargetGroup {
            targets: vec![target("a"), target("b")],
            relay: Some(Arc::new(relay)),
            ..config::TargetGroup::default()
        };
        let group = Group::new(Arc::new(settings), vec![], None);
        let a = Rc::clone(&group.targets[0]);
        group.set_health("b", HealthState::Healthy);
        let mut cut = std::pin::pin!(a.cut.notified());
        cut.as_mut().enable();
        let steps = [
            (HealthState::Healthy, 0, false),
            (HealthState::Unhealthy, 599, false),
            // It recovers in time.
            (HealthState::Healthy, 600, false),
            (HealthState::Unhealthy, 599, false),
            (HealthState::Unhealthy, 1, true),
        ];
        for (health, seconds, ends) in steps {
            group.set_health("a", health);
            tokio::time::advance(Duration::from_secs(seconds)).await;
            group.end_faded();
            let ended = tokio::time::timeout(Duration::ZERO, cut.as_mut()).await;
            assert_eq!(ended.is_ok(), ends, "{health:?} for {seconds} s");
        }
    }
}
