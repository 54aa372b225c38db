//! The balancer's configuration, from the records.

use super::groups_of;
use super::log::Kind;
use super::place::{Place, instance_of, node_key, place, target_key};
use super::zone::{cross_zone, is_shifted};
use crate::clock::Speed;
use ::balancer::config as cfg;
use jiff::SignedDuration;
use model::elbv2::{
    Action, Condition, HealthCheck, Listener, ListenerTrust, LoadBalancer, LoadBalancerZone,
    Target, TargetGroup, Transform,
};
use model::ssl_policy::SslPolicy;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::State;

/// The balancer's whole configuration; `revision` is the caller's.
pub fn desired(
    state: &State,
    settings: &crate::Settings,
    applied: &crate::network::Applied,
) -> cfg::Config {
    let mut config = cfg::Config::default();
    for balancer in state
        .load_balancers
        .values()
        .filter(|b| b.deleted.is_none())
    {
        if balancer.is_network() {
            super::network::add(&mut config, state, balancer, settings, applied);
            continue;
        }
        let nodes = balancer
            .zones
            .iter()
            .filter(|z| applied.has_interface(&balancer.vpc, &z.interface));
        config.load_balancers.push(cfg::LoadBalancer {
            key: balancer.dimension().to_owned(),
            dns_name: balancer.dns_name.clone(),
            nodes: nodes.map(|z| node(z, settings)).collect(),
            listeners: listeners_of(state, balancer)
                .filter_map(|l| listener(state, l))
                .collect(),
            attributes: attributes(balancer, &settings.logs_dir),
        });
        for arn in listeners_of(state, balancer).flat_map(|l| &l.certificates) {
            if let Some(certificate) = certificate(state, arn) {
                config.certificates.insert(arn.clone(), certificate);
            }
        }
        for arn in groups_of(state, balancer) {
            if let Some(group) = state.target_groups.get(&arn) {
                config.target_groups.insert(
                    group.dimension().to_owned(),
                    target_group(state, group, balancer, settings.speed),
                );
            }
        }
    }
    config
}

pub fn node(zone: &LoadBalancerZone, settings: &crate::Settings) -> cfg::Node {
    let name = format!("{}-{}", settings.cloud, zone.interface);
    cfg::Node {
        key: zone.interface.to_string(),
        zone: zone.zone.clone(),
        netns: Some(Path::new("/run/netns").join(name)),
        address: IpAddr::V4(zone.private_ip),
    }
}

fn listeners_of<'a>(
    state: &'a State,
    balancer: &'a LoadBalancer,
) -> impl Iterator<Item = &'a Listener> {
    state.listeners.of(balancer.arn.as_str()).map(Arc::as_ref)
}

/// With its key: the configuration's file is readable by its owner only.
pub fn certificate(state: &State, arn: &str) -> Option<cfg::Certificate> {
    let (body, chain, private_key) = match state.certificates.get(arn) {
        Some(found) => {
            let material = found.material.as_ref()?;
            (&material.body, &material.chain, &material.private_key)
        }
        None => {
            let found = state.server_certificates.values().find(|c| c.arn == arn)?;
            (&found.body, &found.chain, &found.private_key)
        }
    };
    let chain = chain.as_deref().unwrap_or_default();
    Some(cfg::Certificate {
        chain: format!("{}\n{chain}", body.trim_end()),
        private_key: private_key.clone(),
    })
}

/// A store that is gone trusts nobody: the balancer says that it cannot serve the listener.
fn trust(state: &State, asked: &ListenerTrust) -> cfg::Trust {
    let store = state.trust_stores.get(&asked.store);
    let revocations = store.into_iter().flat_map(|store| &store.revocations);
    cfg::Trust {
        authorities: store.map_or_else(String::new, |store| store.authorities.clone()),
        revocations: revocations
            .map(|revocation| revocation.list.clone())
            .collect(),
        ignores_expiry: asked.ignores_expiry,
        advertises_authorities: asked.advertises_authorities,
    }
}

pub fn tls(state: &State, l: &Listener) -> Option<cfg::Tls> {
    let policy = SslPolicy::find(l.ssl_policy.as_deref()?)?;
    Some(cfg::Tls {
        protocols: policy.protocols.iter().map(|&p| p.to_owned()).collect(),
        ciphers: policy.ciphers().map(str::to_owned).collect(),
        certificates: l.certificates.clone(),
        takes_client_certificates: l.mutual_tls_passthrough || l.trust.is_some(),
        trust: l.trust.as_ref().map(|asked| trust(state, asked)),
    })
}

fn listener(state: &State, l: &Listener) -> Option<cfg::Listener> {
    let rules = state.rules.of(l.arn.as_str()).filter_map(|r| {
        Some(cfg::Rule {
            priority: r.priority,
            conditions: r.conditions.iter().map(condition).collect(),
            action: action(state, &r.actions)?,
            transforms: r.transforms.iter().map(transform).collect(),
        })
    });
    Some(cfg::Listener {
        key: l.arn.clone(),
        port: l.port,
        protocol: protocol(&l.protocol),
        tls: tls(state, l),
        default_action: action(state, &l.default_actions)?,
        rules: rules.collect(),
        headers: super::header::changes(l),
        relay: None,
    })
}

fn transform(transform: &Transform) -> cfg::Transform {
    match transform.clone() {
        Transform::HostHeader { regex, replace } => cfg::Transform::HostHeader { regex, replace },
        Transform::Url { regex, replace } => cfg::Transform::Url { regex, replace },
    }
}

fn protocol(text: &str) -> cfg::Protocol {
    if text == "HTTPS" {
        cfg::Protocol::Https
    } else {
        cfg::Protocol::Http
    }
}

/// The terminal action: authenticate actions are refused when they are created.
fn action(state: &State, actions: &[Action]) -> Option<cfg::Action> {
    actions.last().map(|a| match a {
        Action::Forward {
            target_groups,
            stickiness,
            ..
        } => cfg::Action::Forward(cfg::Forward {
            groups: target_groups
                .iter()
                .filter_map(|(arn, weight)| {
                    Some(cfg::WeightedGroup {
                        target_group: state.target_groups.get(arn)?.dimension().to_owned(),
                        weight: *weight,
                    })
                })
                .collect(),
            stickiness: stickiness.map(|s| Duration::from_secs(s.into())),
        }),
        Action::Redirect {
            protocol,
            host,
            port,
            path,
            query,
            status,
            ..
        } => cfg::Action::Redirect(cfg::Redirect {
            status: *status,
            protocol: protocol.clone(),
            host: host.clone(),
            port: port.clone(),
            path: path.clone(),
            query: query.clone(),
        }),
        Action::FixedResponse {
            status,
            content_type,
            body,
            ..
        } => cfg::Action::FixedResponse(cfg::FixedResponse {
            status: *status,
            content_type: content_type.clone(),
            body: body.clone().unwrap_or_default(),
        }),
    })
}

fn condition(c: &Condition) -> cfg::Condition {
    let none = Vec::new;
    match c {
        Condition::HostHeader(values) => cfg::Condition::HostHeader {
            values: values.clone(),
            regex_values: none(),
        },
        Condition::PathPattern(values) => cfg::Condition::PathPattern {
            values: values.clone(),
            regex_values: none(),
        },
        Condition::HttpHeader { name, values } => cfg::Condition::HttpHeader {
            name: name.clone(),
            values: values.clone(),
            regex_values: none(),
        },
        Condition::HttpRequestMethod(values) => cfg::Condition::HttpRequestMethod {
            values: values.clone(),
        },
        Condition::QueryString(values) => cfg::Condition::QueryString {
            values: values
                .iter()
                .map(|(key, value)| cfg::QueryValue {
                    key: key.clone(),
                    value: value.clone(),
                })
                .collect(),
        },
        Condition::SourceIp(values) => cfg::Condition::SourceIp {
            values: values.clone(),
        },
        Condition::HostRegex(values) => cfg::Condition::HostHeader {
            values: none(),
            regex_values: values.clone(),
        },
        Condition::PathRegex(values) => cfg::Condition::PathPattern {
            values: none(),
            regex_values: values.clone(),
        },
        Condition::HttpHeaderRegex { name, values } => cfg::Condition::HttpHeader {
            name: name.clone(),
            values: none(),
            regex_values: values.clone(),
        },
    }
}

fn attributes(balancer: &LoadBalancer, logs: &Path) -> cfg::Attributes {
    let text = |key: &str| balancer.attributes.get(key).map(String::as_str);
    let on = |key: &str| text(key) == Some("true");
    let seconds = |key: &str, default| {
        Duration::from_secs(text(key).and_then(|v| v.parse().ok()).unwrap_or(default))
    };
    cfg::Attributes {
        idle_timeout: seconds("idle_timeout.timeout_seconds", 60),
        client_keep_alive: seconds("client_keep_alive.seconds", 3600),
        xff_mode: match text("routing.http.xff_header_processing.mode") {
            Some("preserve") => cfg::XffMode::Preserve,
            Some("remove") => cfg::XffMode::Remove,
            _ => cfg::XffMode::Append,
        },
        xff_client_port: on("routing.http.xff_client_port.enabled"),
        preserve_host_header: on("routing.http.preserve_host_header.enabled"),
        http2: text("routing.http2.enabled") != Some("false"),
        tls_headers: on("routing.http.x_amzn_tls_version_and_cipher_suite.enabled"),
        drop_invalid_header_fields: on("routing.http.drop_invalid_header_fields.enabled"),
        desync_mitigation_mode: match text("routing.http.desync_mitigation_mode") {
            Some("monitor") => cfg::DesyncMode::Monitor,
            Some("strictest") => cfg::DesyncMode::Strictest,
            _ => cfg::DesyncMode::Defensive,
        },
        access_log: Kind::Access.directory(logs, balancer),
        connection_log: Kind::Connection.directory(logs, balancer),
        health_check_log: Kind::HealthCheck.directory(logs, balancer),
    }
}

fn target_group(
    state: &State,
    group: &TargetGroup,
    balancer: &LoadBalancer,
    speed: Speed,
) -> cfg::TargetGroup {
    let text = |key: &str| group.attributes.get(key).map(String::as_str);
    let number = |key: &str| text(key).and_then(|v| v.parse::<u32>().ok());
    let scaled = |seconds: u32| Duration::try_from(speed.wait(seconds)).unwrap_or_default();
    let whole = |seconds: u32| Duration::from_secs(seconds.into());
    cfg::TargetGroup {
        key: group.dimension().to_owned(),
        name_in_logs: group.arn.clone(),
        protocol: protocol(&group.protocol),
        protocol_version: match group.protocol_version.as_str() {
            "HTTP2" => cfg::ProtocolVersion::Http2,
            "GRPC" => cfg::ProtocolVersion::Grpc,
            _ => cfg::ProtocolVersion::Http1,
        },
        cross_zone: cross_zone(group, balancer),
        algorithm: match text("load_balancing.algorithm.type") {
            Some("least_outstanding_requests") => cfg::Algorithm::LeastOutstandingRequests,
            Some("weighted_random") => cfg::Algorithm::WeightedRandom,
            _ => cfg::Algorithm::RoundRobin,
        },
        anomaly_mitigation: text("load_balancing.algorithm.anomaly_mitigation") == Some("on"),
        slow_start: scaled(number("slow_start.duration_seconds").unwrap_or(0)),
        stickiness: (text("stickiness.enabled") == Some("true")).then(|| {
            match text("stickiness.type") {
                Some("app_cookie") => cfg::Stickiness::AppCookie {
                    cookie_name: text("stickiness.app_cookie.cookie_name")
                        .unwrap_or_default()
                        .to_owned(),
                    duration: whole(
                        number("stickiness.app_cookie.duration_seconds").unwrap_or(86400),
                    ),
                },
                _ => cfg::Stickiness::LbCookie {
                    duration: whole(
                        number("stickiness.lb_cookie.duration_seconds").unwrap_or(86400),
                    ),
                },
            }
        }),
        unhealthy_state_routing: minimum_healthy(group),
        health_check: health_check(&group.health_check, speed),
        targets: targets(state, group, balancer),
        relay: None,
    }
}

/// Below which new requests or flows go to all targets.
pub fn minimum_healthy(group: &TargetGroup) -> cfg::MinimumHealthy {
    let threshold = |name: &str| {
        let key =
            format!("target_group_health.unhealthy_state_routing.minimum_healthy_targets.{name}");
        group.attributes.get(&key).and_then(|v| v.parse().ok())
    };
    cfg::MinimumHealthy {
        count: threshold("count").unwrap_or(1),
        percentage: threshold("percentage"),
    }
}

pub fn health_check(check: &HealthCheck, speed: Speed) -> cfg::HealthCheck {
    cfg::HealthCheck {
        enabled: check.enabled,
        protocol: match check.protocol.as_str() {
            "HTTPS" => cfg::CheckProtocol::Https,
            "TCP" => cfg::CheckProtocol::Tcp,
            _ => cfg::CheckProtocol::Http,
        },
        port: check.port.parse().ok(),
        path: check.path.clone(),
        interval: Duration::try_from(speed.wait(check.interval)).unwrap_or_default(),
        timeout: Duration::from_secs(check.timeout.into()),
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        matcher: check.matcher.clone(),
        proxy_protocol: false,
    }
}

/// All targets of a group, as far as they have addresses.
pub fn targets(state: &State, group: &TargetGroup, balancer: &LoadBalancer) -> Vec<cfg::Target> {
    let delay = SignedDuration::from_secs(group.deregistration_delay().into());
    let of_one = |target: &Target| {
        let registered = match target.draining {
            Some(since) => cfg::TargetState::Draining {
                until: since + delay,
            },
            None => cfg::TargetState::Active,
        };
        let at = |key: String, address: Ipv4Addr, zone: Option<String>, of_target| {
            let is_left = is_shifted(state, balancer, group, zone.as_deref());
            cfg::Target {
                key,
                address: SocketAddr::from((address, target.port)),
                zone,
                state: match of_target {
                    cfg::TargetState::Active if is_left => cfg::TargetState::Shifted,
                    of_target => of_target,
                },
            }
        };
        match place(state, group, target) {
            Place::At(address, zone) => vec![at(target_key(target), address, zone, registered)],
            Place::Nodes(zones) => {
                let nodes = zones.iter().map(|node| {
                    let (key, zone) = (node_key(target, node), Some(node.zone.clone()));
                    at(key, node.private_ip, zone, registered)
                });
                nodes.collect()
            }
            // Nothing to reach, but a request in flight may still end: keep what address it has.
            Place::Unfit(_) => {
                let interface = instance_of(state, target)
                    .and_then(|instance| crate::index::primary(state, &instance.id));
                let unused = match target.draining {
                    Some(_) => registered,
                    None => cfg::TargetState::Unused,
                };
                let known = interface.map(|i| at(target_key(target), i.primary_ip(), None, unused));
                known.into_iter().collect()
            }
        }
    };
    group.targets.iter().flat_map(of_one).collect()
}
