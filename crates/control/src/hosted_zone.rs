//! Route 53: what the edge is told of zones and health checks, and what it says of endpoints.
//!
//! A record set counts as unhealthy by its health check, and an alias that evaluates its target by
//! that: `https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-complex-configs.html`.

use crate::World;
use edge::config as cfg;
use jiff::{SignedDuration, Timestamp};
use model::Speed;
use model::cloudwatch::AlarmState;
use model::event::Severity;
use model::route53::{
    HealthCheck, HealthCheckConfig, HealthObservation, HostedZone, RecordAnswer, RecordSet,
    Routing, ZoneChange,
};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use store::{ScopedName, State};

/// Aliases that lead to aliases.
const LONGEST_CHAIN: usize = 8;
/// How long a change that is in force can be asked for.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Changes are in sync once the edge has all that it was told; the zones were in that.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
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
    match alarm.map(|a| a.state) {
        Some(AlarmState::Ok) => true,
        Some(AlarmState::Alarm) => false,
        Some(AlarmState::InsufficientData) | None => unknown != Some("Unhealthy"),
    }
}

/// The zones as the edge has them; of several public ones of a name the oldest counts.
pub fn zones(state: &State) -> Vec<cfg::HostedZone> {
    let mut zones: Vec<_> = state.hosted_zones.values().collect();
    zones.sort_by_key(|z| (z.created, z.id.clone()));
    zones.into_iter().map(|zone| told(state, zone)).collect()
}

fn told(state: &State, zone: &HostedZone) -> cfg::HostedZone {
    let records = state.record_sets.of(&*zone.id);
    cfg::HostedZone {
        name: bare(&zone.name),
        vpcs: zone
            .private
            .then(|| zone.vpcs.iter().map(|v| v.vpc.to_string()).collect()),
        records: records.map(|r| record(state, r)).collect(),
    }
}

/// Without the final dot and Route 53's escapes.
fn bare(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name.strip_suffix('.').unwrap_or(name);
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = escape.get(..3);
        let byte = digits.and_then(|d| u8::from_str_radix(d, 8).ok());
        out.push(byte.map_or('\\', char::from));
        rest = escape.get(3..).unwrap_or_default();
    }
    out + rest
}

fn record(state: &State, set: &RecordSet) -> cfg::RecordSet {
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
        healthy: is_usable(state, set, LONGEST_CHAIN),
    }
}

fn is_usable(state: &State, set: &RecordSet, steps: usize) -> bool {
    let check = set.health_check.as_ref();
    let check = check.and_then(|id| state.health_checks.get(id));
    if check.is_some_and(|check| !is_healthy(state, check)) {
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
    if *zone == set.zone {
        let Some(steps) = steps.checked_sub(1) else {
            return true;
        };
        let all = state.record_sets.of(&**zone);
        let mut targets = all.filter(|r| r.name == *name && r.kind == set.kind);
        return targets.any(|r| is_usable(state, r, steps));
    }
    let name = bare(name);
    let name = name.strip_prefix("dualstack.").unwrap_or(&name);
    let mut balancers = state.load_balancers.values();
    let balancer = balancers.find(|b| b.deleted.is_none() && b.dns_name.eq_ignore_ascii_case(name));
    balancer.is_some_and(|b| crate::load_balancer::is_healthy(state, b))
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

/// Names of CNAME records in a zone, with what they say: both without final dots.
pub fn aliases(state: &State, zone: &HostedZone) -> HashSet<(String, String)> {
    let records = state
        .record_sets
        .of(&*zone.id)
        .filter(|r| r.kind == "CNAME");
    let pairs = records.flat_map(|r| {
        let values = match &r.answer {
            RecordAnswer::Values { values, .. } => values.clone(),
            RecordAnswer::Alias { .. } => Vec::new(),
        };
        values
            .into_iter()
            .map(|v| (bare(&r.name), bare(&v.to_ascii_lowercase())))
    });
    pairs.collect()
}
