//! What of network load balancers is served by workers, in their terms: a load balancer whose
//! listeners look into nothing.

use std::sync::Arc;

use crate::config::network::{self, NetworkLoadBalancer, Protocol};
use crate::config::{
    self, Action, Attributes, Config, Forward, Listener, LoadBalancer, Relay, TargetGroup,
};

/// The config with the relayed listeners of its network load balancers, and their groups, among
/// those of application load balancers.
pub fn with_relays(config: Arc<Config>) -> Arc<Config> {
    let groups = &config.network_target_groups;
    let balancers = config.network_load_balancers.iter().filter_map(|balancer| {
        let listeners = balancer.listeners.iter();
        let relayed = listeners.filter(|listener| listener.is_relayed(groups));
        let listeners: Vec<Listener> = relayed.map(listener).collect();
        (!listeners.is_empty()).then(|| load_balancer(balancer, listeners))
    });
    let balancers: Vec<LoadBalancer> = balancers.collect();
    if balancers.is_empty() {
        return config;
    }
    let mut all = Config::clone(&config);
    for key in balancers.iter().flat_map(LoadBalancer::target_groups) {
        if let Some(group) = groups.get(key) {
            all.target_groups
                .insert(key.to_owned(), target_group(group));
        }
    }
    all.load_balancers.extend(balancers);
    Arc::new(all)
}

fn load_balancer(balancer: &NetworkLoadBalancer, listeners: Vec<Listener>) -> LoadBalancer {
    LoadBalancer {
        key: balancer.key.clone(),
        dns_name: String::new(),
        nodes: balancer.nodes.clone(),
        listeners,
        attributes: Attributes {
            access_log: balancer.access_log.clone(),
            ..Attributes::default()
        },
    }
}

fn listener(listener: &network::Listener) -> Listener {
    Listener {
        key: listener.key.clone(),
        port: listener.port,
        protocol: protocol(listener.protocol == Protocol::Tls),
        tls: listener.tls.clone(),
        default_action: Action::Forward(Forward {
            groups: listener.groups.clone(),
            stickiness: None,
        }),
        rules: Vec::new(),
        headers: Default::default(),
        relay: Some(Relay {
            idle_timeout: listener.idle_timeout,
            alpn: listener.alpn.clone(),
        }),
    }
}

/// Only whether it is TLS matters: nobody speaks HTTP.
fn protocol(is_tls: bool) -> config::Protocol {
    match is_tls {
        true => config::Protocol::Https,
        false => config::Protocol::Http,
    }
}

fn target_group(group: &network::TargetGroup) -> TargetGroup {
    TargetGroup {
        key: group.key.clone(),
        protocol: protocol(group.tls),
        cross_zone: group.cross_zone,
        unhealthy_state_routing: group.unhealthy_state_routing,
        health_check: group.health_check.clone(),
        targets: group.targets.clone(),
        relay: Some(Arc::new(group.clone())),
        ..TargetGroup::default()
    }
}
