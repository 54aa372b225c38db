//! What a load balancer answers for: its listeners, and what it last found of its targets.

use super::walk::Walk;
use model::elbv2::{LoadBalancer, TargetState};
use model::ssl_policy::SslPolicy;
use store::{State, TargetHealthKey};

/// By name, `load-balancer/NAME` or DNS name.
pub fn find<'a>(state: &'a State, text: &str) -> Option<&'a LoadBalancer> {
    let name = text.strip_prefix("load-balancer/").unwrap_or(text);
    state
        .load_balancers
        .values()
        .map(|b| &**b)
        .find(|b| b.deleted.is_none() && (b.name == name || b.dns_name.eq_ignore_ascii_case(name)))
}

pub fn listener(walk: &mut Walk, state: &State, balancer: &LoadBalancer, port: u16) {
    let name = &balancer.name;
    let mut listeners = state.listeners.values();
    let Some(listener) = listeners.find(|l| l.load_balancer == balancer.arn && l.port == port)
    else {
        walk.no(
            "listener",
            format!("{name} has no listener on port {port}: connections are refused"),
        );
        return;
    };
    let policy = listener.ssl_policy.as_deref().and_then(SslPolicy::find);
    walk.yes(
        "listener",
        match policy {
            None => format!("{name} listens on port {port}"),
            Some(policy) => format!(
                "{name} listens on port {port}; of {} it offers {}",
                policy.name,
                policy.offered().0.join(", ")
            ),
        },
    );
    for arn in control::load_balancer::groups_of(state, balancer) {
        let Some(group) = state.target_groups.get(&arn) else {
            continue;
        };
        let healthy = state
            .target_health
            .values()
            .filter(|h| h.target_group == arn && h.state == TargetState::Healthy)
            .count();
        let (all, group) = (group.targets.len(), &group.name);
        let why = format!(
            "{healthy} of {all} targets of {group} are healthy (`nines why target-group/{group}`)"
        );
        walk.step("targets", healthy > 0, why);
    }
}

/// Each target of a group, and why it is not used. Fails if there is no such group.
pub fn target_group(walk: &mut Walk, state: &State, name: &str) -> Result<(), String> {
    let group = state
        .target_groups
        .values()
        .find(|g| g.name == name || g.arn == name)
        .ok_or_else(|| format!("there is no target group {name}"))?;
    match control::load_balancer::balancers_of(state, &group.arn).first() {
        Some(balancer) => walk.yes(
            "listener",
            format!("load balancer {} forwards to it", balancer.name),
        ),
        None => walk.no(
            "listener",
            "no listener or rule forwards to it, so nothing is probed",
        ),
    }
    if group.targets.is_empty() {
        walk.no("targets", "none is registered: requests get 503");
    }
    let check = &group.health_check;
    for target in &group.targets {
        let (id, port) = (&target.id, target.port);
        let key = TargetHealthKey {
            target_group: group.arn.clone(),
            target: id.clone(),
            port,
        };
        let Some(health) = state.target_health.get(&key) else {
            walk.no("target", format!("{id}:{port} has not been looked at yet"));
            continue;
        };
        let why = match &health.reason {
            None => format!("GET {} answers {}", check.path, check.matcher),
            Some((code, text)) => format!(
                "{code}: {text} (GET {} on {}, every {} s, within {} s, wants {})",
                check.path, check.port, check.interval, check.timeout, check.matcher
            ),
        };
        let is = health.state.name();
        let since = health.since.strftime("%H:%M:%S");
        walk.step(
            "target",
            health.state == TargetState::Healthy,
            format!("{id}:{port} is {is} since {since}: {why}"),
        );
    }
    Ok(())
}
