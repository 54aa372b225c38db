//! What network load balancers serve: flows, not requests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{HealthCheck, MinimumHealthy, Node, Target, Tls, WeightedGroup};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkLoadBalancer {
    /// `net/name/id`; in reports.
    pub key: String,
    /// One per enabled zone, each with a namespace of its own.
    pub nodes: Vec<Node>,
    pub listeners: Vec<Listener>,
    /// Where lines about flows of TLS listeners go.
    pub access_log: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Unique in its load balancer.
    pub key: String,
    pub port: u16,
    pub protocol: Protocol,
    /// A group's share of new flows is its weight over the sum.
    pub groups: Vec<WeightedGroup>,
    /// `tcp.idle_timeout.seconds`. Never scaled.
    pub idle_timeout: Duration,
    /// Of TLS listeners.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Protocols a TLS listener agrees upon with clients, most preferred first; none: it leaves them be.
    #[serde(default)]
    pub alpn: Vec<String>,
}

impl Listener {
    /// Whether flows go through this process: the kernel ends no TLS and writes no PROXY headers.
    pub fn is_relayed(&self, groups: &BTreeMap<String, TargetGroup>) -> bool {
        let mut own = self.groups.iter();
        match self.protocol {
            Protocol::Tls => true,
            Protocol::Tcp => own.any(|own| {
                let group = groups.get(&own.target_group);
                group.is_some_and(|group| group.proxy_protocol)
            }),
            Protocol::Udp | Protocol::TcpUdp => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
    TcpUdp,
    Tls,
}

impl Protocol {
    /// As packets and nftables know them.
    pub fn transports(self) -> &'static [&'static str] {
        match self {
            Protocol::Tcp | Protocol::Tls => &["tcp"],
            Protocol::Udp => &["udp"],
            Protocol::TcpUdp => &["tcp", "udp"],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetGroup {
    /// Like its key in the map: `targetgroup/name/id`.
    pub key: String,
    /// Resolved: the group's own setting or the load balancer's.
    pub cross_zone: bool,
    /// `preserve_client_ip.enabled`: targets see the client's address instead of the node's.
    pub preserve_client_ip: bool,
    /// Targets are spoken to over TLS.
    pub tls: bool,
    /// `proxy_protocol_v2.enabled`: each connection begins with a header that names the client.
    pub proxy_protocol: bool,
    /// `stickiness.type` `source_ip`: a client's flows go to one target.
    pub source_ip_stickiness: bool,
    /// `deregistration_delay.connection_termination.enabled`
    pub connection_termination: bool,
    /// `target_health_state.unhealthy.connection_termination.enabled`
    pub unhealthy_connection_termination: bool,
    /// `target_health_state.unhealthy.draining_interval_seconds`: where flows do not end when their
    /// target turns unhealthy, they do after so long. Zero: they run on.
    pub unhealthy_draining: Duration,
    /// Below this many healthy targets new flows go to all of them.
    pub unhealthy_state_routing: MinimumHealthy,
    pub health_check: HealthCheck,
    pub targets: Vec<Target>,
}

impl Default for TargetGroup {
    fn default() -> Self {
        TargetGroup {
            key: String::new(),
            cross_zone: false,
            preserve_client_ip: true,
            tls: false,
            proxy_protocol: false,
            source_ip_stickiness: false,
            connection_termination: false,
            unhealthy_connection_termination: true,
            unhealthy_draining: Duration::ZERO,
            unhealthy_state_routing: MinimumHealthy {
                count: 1,
                percentage: None,
            },
            health_check: HealthCheck {
                protocol: super::CheckProtocol::Tcp,
                timeout: Duration::from_secs(10),
                ..HealthCheck::default()
            },
            targets: Vec::new(),
        }
    }
}

impl NetworkLoadBalancer {
    /// The target groups that a listener may choose, each once.
    pub fn target_groups(&self) -> Vec<&str> {
        let groups = self.listeners.iter().flat_map(|listener| &listener.groups);
        let mut keys: Vec<&str> = groups.map(|group| group.target_group.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Whether a target there can be served: its zone is enabled.
    pub fn serves_zone(&self, zone: Option<&str>) -> bool {
        super::has_node_in(&self.nodes, zone)
    }
}
