//! Route 53: what the edge is told of zones and health checks, and what it says of endpoints.
//!
//! A record set counts as unhealthy by its health check, and an alias that evaluates its target by
//! that: `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-complex-configs.html`.

use crate::World;
use edge::config as cfg;
use jiff::{SignedDuration, Timestamp};
use model::Speed;
use model::cloudwatch::AlarmState;
use model::elbv2::LoadBalancer;
use model::event::Severity;
use model::route53::{
    HealthCheck, HealthCheckConfig, HealthObservation, HostedZone, RecordAnswer, RecordSet,
    RecordSetKey, Routing, ZoneChange,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use store::{ScopedName, State};

/// How long a change that is in force can be asked for.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Changes are in sync once the edge has all that it was told; the zones were in that.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    note_alarms(world, &state, now);
    let all = state.zone_changes.values();
    let old =
        |change: &ZoneChange| change.in_sync && now.duration_since(change.submitted) > REMEMBERED;
    let (mut done, mut forgotten) = (Vec::new(), Vec::new());
    for change in all {
        match change.in_sync {
            false if world.edge.has_change(&change.id) => done.push(change.id.clone()),
            _ if old(change) => forgotten.push(change.id.clone()),
            _ => {}
        }
    }
    if !done.is_empty() || !forgotten.is_empty() {
        world.store.update(|tx| {
            for id in done {
                tx.modify::<ZoneChange>(&id, |change| change.in_sync = true);
            }
            for id in forgotten {
                tx.remove::<ZoneChange>(&id);
            }
        });
    }
    None
}

/// Takes in what was seen of an endpoint.
pub fn seen(world: &mut World, id: &str, seen: &cfg::Seen, now: Timestamp) {
    let id = id.to_owned();
    world.store.update(|tx| {
        let Some(check) = tx.health_checks.get(&id).cloned() else {
            return;
        };
        let before = check.observed.as_ref();
        let was = before.is_none_or(|o| o.healthy);
        let last_failure = match seen.succeeded {
            true => before.and_then(|o| o.last_failure.clone()),
            false => Some((now, seen.status.clone())),
        };
        let observed = HealthObservation {
            healthy: seen.healthy,
            status: seen.status.clone(),
            checked: now,
            last_failure,
        };
        tx.modify::<HealthCheck>(&id, |check| check.observed = Some(observed));
        if was != seen.healthy {
            let (severity, word) = match seen.healthy {
                true => (Severity::Info, "healthy"),
                false => (Severity::Warning, "unhealthy"),
            };
            let threshold = check.config.failure_threshold.unwrap_or(3);
            let text = format!(
                "the endpoint is {word} after {threshold} looks in a row: {}",
                seen.status
            );
            tx.event(now, severity, &id, "health-check", text);
        }
    });
}

/// Whether a health check is healthy, in whatever way it finds out.
pub fn is_healthy(state: &State, check: &HealthCheck) -> bool {
    let config = &check.config;
    let found = config.disabled || measured(state, check);
    found != config.inverted
}

fn measured(state: &State, check: &HealthCheck) -> bool {
    let config = &check.config;
    match &*config.kind {
        "CALCULATED" => {
            let children = config.child_health_checks.iter();
            let children = children.filter_map(|id| state.health_checks.get(id));
            // A child is of another kind: the API takes no other.
            let of_others = children.filter(|c| c.config.kind != "CALCULATED");
            let healthy = of_others.filter(|c| is_healthy(state, c)).count();
            healthy >= usize::from(config.health_threshold.unwrap_or(0))
        }
        "CLOUDWATCH_METRIC" => by_alarm(state, check),
        // Healthy until there is something to go by, as on AWS.
        _ => check.observed.as_ref().is_none_or(|o| o.healthy),
    }
}

/// AWS looks at the metric itself and not at the alarm's state; what follows is the same but for a
/// state that was set by hand.
fn by_alarm(state: &State, check: &HealthCheck) -> bool {
    let Some((region, name)) = &check.config.alarm else {
        return true;
    };
    let scope = model::Scope::new(&check.scope.account, region);
    let alarm = state.alarms.get(&ScopedName::new(&scope, name));
    let unknown = check.config.insufficient_data_health_status.as_deref();
    match (alarm.map(|a| a.state), unknown) {
        (Some(AlarmState::Ok), _) => true,
        (Some(AlarmState::Alarm), _) => false,
        (_, Some("Healthy")) => true,
        (_, Some("Unhealthy")) => false,
        // The last that was known.
        _ => check.observed.as_ref().is_none_or(|o| o.healthy),
    }
}

/// Keeps what alarms say, for when they have too little data.
fn note_alarms(world: &World, state: &State, now: Timestamp) {
    for check in state.health_checks.values() {
        if check.config.kind != "CLOUDWATCH_METRIC" {
            continue;
        }
        let healthy = by_alarm(state, check);
        if check
            .observed
            .as_ref()
            .is_some_and(|o| o.healthy == healthy)
        {
            continue;
        }
        let observed = HealthObservation {
            healthy,
            status: String::new(),
            checked: now,
            last_failure: None,
        };
        world.store.update(|tx| {
            tx.modify::<HealthCheck>(&check.id, |check| check.observed = Some(observed));
        });
    }
}

/// The zones as the edge has them; of several public ones of a name the oldest counts.
pub fn zones(state: &State) -> Vec<cfg::HostedZone> {
    let mut zones: Vec<_> = state.hosted_zones.values().collect();
    zones.sort_by_key(|z| (z.created, z.id.clone()));
    let mut health = Health::new(state);
    let told = |zone: &Arc<HostedZone>| cfg::HostedZone {
        name: bare(&zone.name),
        vpcs: zone
            .private
            .then(|| zone.vpcs.iter().map(|v| v.vpc.to_string()).collect()),
        records: state
            .record_sets
            .of(&*zone.id)
            .map(|set| record(set, health.is_usable(set)))
            .collect(),
    };
    zones.into_iter().map(told).collect()
}

/// Without the final dot, and `*` as itself. Other escapes stay: such names are never asked for so.
fn bare(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).replace("\\052", "*")
}

fn record(set: &RecordSet, healthy: bool) -> cfg::RecordSet {
    cfg::RecordSet {
        name: bare(&set.name),
        kind: set.kind.clone(),
        answer: match &set.answer {
            RecordAnswer::Values { ttl, values } => cfg::RecordAnswer::Values {
                ttl: *ttl,
                values: values.clone(),
            },
            RecordAnswer::Alias { name, .. } => cfg::RecordAnswer::Alias { name: bare(name) },
        },
        routing: match &set.routing {
            Routing::Simple => cfg::Routing::Simple,
            Routing::Weighted(weight) => cfg::Routing::Weighted(*weight),
            Routing::Latency(region) => cfg::Routing::Latency(region.to_string()),
            Routing::Failover { primary } => cfg::Routing::Failover { primary: *primary },
            Routing::Multivalue => cfg::Routing::Multivalue,
        },
        healthy,
    }
}

/// Which record sets may be the answer, each worked out once.
struct Health<'s> {
    state: &'s State,
    /// By zone, name and type.
    sets: HashMap<(&'s str, &'s str, &'s str), Vec<&'s RecordSet>>,
    known: BTreeMap<RecordSetKey, bool>,
    balancers: HashMap<String, &'s LoadBalancer>,
}

impl<'s> Health<'s> {
    fn new(state: &'s State) -> Self {
        let mut sets: HashMap<_, Vec<&RecordSet>> = HashMap::new();
        for set in state.record_sets.values() {
            let key = (&*set.zone, &*set.name, &*set.kind);
            sets.entry(key).or_default().push(set);
        }
        let balancers = state.load_balancers.values();
        let balancers = balancers.filter(|b| b.deleted.is_none());
        Self {
            state,
            sets,
            known: BTreeMap::new(),
            balancers: balancers
                .map(|b| (b.dns_name.to_ascii_lowercase(), &**b))
                .collect(),
        }
    }

    fn is_usable(&mut self, set: &RecordSet) -> bool {
        let check = set.health_check.as_ref();
        let check = check.and_then(|id| self.state.health_checks.get(id));
        if check.is_some_and(|check| !is_healthy(self.state, check)) {
            return false;
        }
        let RecordAnswer::Alias {
            zone,
            name,
            evaluate_target_health: true,
        } = &set.answer
        else {
            return true;
        };
        if *zone != set.zone {
            let name = bare(name);
            let name = name.strip_prefix("dualstack.").unwrap_or(&name);
            let balancer = self.balancers.get(name);
            return balancer.is_some_and(|b| crate::load_balancer::is_healthy(self.state, b));
        }
        let key = set.key();
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        // Of a circle, until something in it says otherwise.
        self.known.insert(key.clone(), true);
        let targets = self.sets.get(&(&**zone, &**name, &*set.kind));
        let targets = targets.cloned().unwrap_or_default();
        let usable = targets.into_iter().any(|target| self.is_usable(target));
        self.known.insert(key, usable);
        usable
    }
}

/// What the edge is to look at. Several answers wait for it at most.
pub fn endpoints(state: &State, speed: Speed) -> BTreeMap<String, cfg::HealthCheck> {
    let all = state.health_checks.values();
    let endpoints = all.filter_map(|c| Some((c.id.clone(), endpoint(c, speed)?)));
    endpoints.collect()
}

fn endpoint(check: &HealthCheck, speed: Speed) -> Option<cfg::HealthCheck> {
    let config = &check.config;
    let http = config.kind.starts_with("HTTP");
    if config.disabled || !(http || config.kind == "TCP") {
        return None;
    }
    let interval = speed.wait(u32::from(config.request_interval.unwrap_or(30)));
    Some(cfg::HealthCheck {
        address: config.ip_address.as_ref().and_then(|a| a.parse().ok()),
        name: config.fully_qualified_domain_name.clone(),
        port: config.port?,
        http: http.then(|| http_check(config)),
        interval: Duration::try_from(interval)
            .unwrap_or(Duration::from_secs(1))
            .max(Duration::from_millis(100)),
        threshold: config.failure_threshold.unwrap_or(3),
        healthy: check.observed.as_ref().is_none_or(|o| o.healthy),
    })
}

fn http_check(config: &HealthCheckConfig) -> cfg::HttpCheck {
    let path = config.resource_path.as_deref().unwrap_or("/");
    cfg::HttpCheck {
        path: match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        },
        tls: config.kind.starts_with("HTTPS"),
        sni: config.enable_sni.unwrap_or(true),
        search: config.search_string.clone(),
    }
}

/// Ids of accounts' public zones that have a name in them, the closest first: who may show control
/// over it.
pub fn zone_of<'s>(state: &'s State, account: &str, name: &str) -> Option<&'s HostedZone> {
    let dotted = format!("{}.", name.trim_end_matches('.').to_ascii_lowercase());
    let own = state
        .hosted_zones
        .values()
        .filter(|z| !z.private && *z.scope.account == *account);
    let holds = |zone: &&std::sync::Arc<HostedZone>| {
        let rest = dotted.strip_suffix(&*zone.name);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    own.filter(holds).max_by_key(|z| z.name.len()).map(|z| &**z)
}

/// Whether a CNAME record in a zone leads from one name to the other.
pub fn leads(state: &State, zone: &HostedZone, name: &str, target: &str) -> bool {
    let dotless = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    let set = state
        .record_sets
        .get(&RecordSetKey::new(&zone.id, &dotless(name), "CNAME", ""));
    let Some(RecordAnswer::Values { values, .. }) = set.map(|set| &set.answer) else {
        return false;
    };
    values.iter().any(|value| dotless(value) == dotless(target))
}
