//! Network load balancers in the balancer's configuration.

use super::config::{certificate, health_check, minimum_healthy, node, targets, tls};
use super::groups_of;
use super::log::Kind;
use super::zone::cross_zone;
use crate::clock::Speed;
use ::balancer::config as cfg;
use ::balancer::config::network as flow;
use model::elbv2::{Action, Listener, LoadBalancer, TargetGroup};
use std::time::Duration;
use store::State;

/// Adds the load balancer and its groups.
pub fn add(
    config: &mut cfg::Config,
    state: &State,
    balancer: &LoadBalancer,
    settings: &crate::Settings,
    applied: &crate::network::Applied,
) {
    let nodes = balancer.zones.iter();
    let standing = nodes.filter(|z| applied.has_interface(&balancer.vpc, &z.interface));
    let listeners = || state.listeners.of(balancer.arn.as_str());
    for arn in listeners().flat_map(|l| &l.certificates) {
        if let Some(certificate) = certificate(state, arn) {
            config.certificates.insert(arn.clone(), certificate);
        }
    }
    config
        .network_load_balancers
        .push(flow::NetworkLoadBalancer {
            key: balancer.dimension().to_owned(),
            nodes: standing.map(|z| node(z, settings)).collect(),
            listeners: listeners().filter_map(|l| listener(state, l)).collect(),
            access_log: Kind::Access.directory(&settings.logs_dir, balancer),
        });
    for arn in groups_of(state, balancer) {
        if let Some(group) = state.target_groups.get(&arn) {
            let made = target_group(state, group, balancer, settings.speed);
            config
                .network_target_groups
                .insert(group.dimension().to_owned(), made);
        }
    }
}

fn listener(state: &State, l: &Listener) -> Option<flow::Listener> {
    let Action::Forward { target_groups, .. } = l.default_actions.last()? else {
        return None;
    };
    let groups = target_groups.iter().filter_map(|(arn, weight)| {
        Some(cfg::WeightedGroup {
            target_group: state.target_groups.get(arn)?.dimension().to_owned(),
            weight: *weight,
        })
    });
    let idle = l.attributes.get("tcp.idle_timeout.seconds");
    Some(flow::Listener {
        key: l.arn.clone(),
        port: l.port,
        protocol: match l.protocol.as_str() {
            "TCP" => flow::Protocol::Tcp,
            "UDP" => flow::Protocol::Udp,
            "TCP_UDP" => flow::Protocol::TcpUdp,
            "TLS" => flow::Protocol::Tls,
            // Refused when it is created.
            _ => return None,
        },
        groups: groups.collect(),
        idle_timeout: Duration::from_secs(idle.and_then(|v| v.parse().ok()).unwrap_or(350)),
        tls: tls(state, l),
        alpn: alpn(l.alpn_policy.as_deref())
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
    })
}

/// Source: the Network Load Balancer guide, `load-balancer-listeners.html#alpn-policies`.
fn alpn(policy: Option<&str>) -> &'static [&'static str] {
    match policy {
        Some("HTTP1Only") => &["http/1.1", "http/1.0"],
        Some("HTTP2Only") => &["h2"],
        Some("HTTP2Optional") => &["http/1.1", "http/1.0", "h2"],
        Some("HTTP2Preferred") => &["h2", "http/1.1", "http/1.0"],
        _ => &[],
    }
}

/// Seconds for which flows to a target that turned unhealthy are left.
pub(super) fn unhealthy_draining(group: &TargetGroup) -> u32 {
    let value = group
        .attributes
        .get("target_health_state.unhealthy.draining_interval_seconds");
    value.and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn target_group(
    state: &State,
    group: &TargetGroup,
    balancer: &LoadBalancer,
    speed: Speed,
) -> flow::TargetGroup {
    let on = |key: &str, usual: bool| group.attributes.get(key).map_or(usual, |v| v == "true");
    let is_tcp = ["TCP", "TLS"].contains(&group.protocol.as_str());
    let proxy_protocol = on("proxy_protocol_v2.enabled", false);
    flow::TargetGroup {
        key: group.dimension().to_owned(),
        cross_zone: cross_zone(group, balancer),
        preserve_client_ip: on(
            "preserve_client_ip.enabled",
            !is_tcp || group.target_type != "ip",
        ),
        tls: group.protocol == "TLS",
        proxy_protocol,
        source_ip_stickiness: on("stickiness.enabled", false),
        connection_termination: on(
            "deregistration_delay.connection_termination.enabled",
            !is_tcp,
        ),
        unhealthy_connection_termination: on(
            "target_health_state.unhealthy.connection_termination.enabled",
            true,
        ),
        unhealthy_draining: speed
            .wait(unhealthy_draining(group))
            .try_into()
            .unwrap_or_default(),
        unhealthy_state_routing: minimum_healthy(group),
        health_check: cfg::HealthCheck {
            proxy_protocol,
            ..health_check(&group.health_check, speed)
        },
        targets: targets(state, group, balancer),
    }
}
