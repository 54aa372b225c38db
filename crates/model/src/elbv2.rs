//! Load balancers, listeners, rules and target groups.

use crate::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Attributes by key, such as `idle_timeout.timeout_seconds`.
pub type Attributes = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// `application` or `network`; others are refused.
    pub kind: String,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    pub ip_address_type: String,
    pub dns_name: String,
    pub vpc: VpcId,
    pub security_groups: Vec<SecurityGroupId>,
    /// The groups' rules are not to count for PrivateLink traffic, of which there is none here.
    #[serde(default)]
    pub private_link_unchecked: bool,
    /// Capacity units that are to be reserved, and since when; described only.
    #[serde(default)]
    pub capacity: Option<(u32, Timestamp)>,
    pub zones: Vec<LoadBalancerZone>,
    pub attributes: Attributes,
    pub created: Timestamp,
    /// Observed: the balancer has the configuration in force in every zone.
    pub active: bool,
    /// A deleted balancer is no longer described; its interfaces linger until the data plane let go.
    pub deleted: Option<Timestamp>,
    pub tags: Tags,
}

/// Whether an ARN is a network load balancer's.
pub fn is_network_load_balancer(arn: &str) -> bool {
    arn.contains(":loadbalancer/net/")
}

impl LoadBalancer {
    pub fn is_network(&self) -> bool {
        self.kind == "network"
    }
    /// Zonal shifts may move it.
    pub fn allows_zonal_shift(&self) -> bool {
        let given = self.attributes.get("zonal_shift.config.enabled");
        given.is_some_and(|value| value == "true")
    }
    /// `app/<name>/<id>`, the value of the `LoadBalancer` metric dimension.
    pub fn dimension(&self) -> &str {
        self.arn
            .split_once(":loadbalancer/")
            .map_or("", |(_, tail)| tail)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerZone {
    pub zone: String,
    pub subnet: SubnetId,
    /// The node's interface.
    pub interface: NetworkInterfaceId,
    pub private_ip: Ipv4Addr,
    pub public_ip: Option<Ipv4Addr>,
    /// The Elastic IP that was asked for.
    #[serde(default)]
    pub allocation: Option<AllocationId>,
    /// The private address was asked for, not taken.
    #[serde(default)]
    pub is_private_ip_given: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    pub arn: String,
    pub scope: Scope,
    pub load_balancer: String,
    /// 1–65535.
    pub port: u16,
    pub protocol: String,
    pub ssl_policy: Option<String>,
    /// ARNs, the default first.
    pub certificates: Vec<String>,
    /// Clients are asked for a certificate, which targets get to see.
    #[serde(default)]
    pub mutual_tls_passthrough: bool,
    /// Only clients that this vouches for get in (mutual TLS in mode `verify`).
    #[serde(default)]
    pub trust: Option<ListenerTrust>,
    /// Of TLS listeners.
    #[serde(default)]
    pub alpn_policy: Option<String>,
    pub default_actions: Vec<Action>,
    pub attributes: Attributes,
    pub tags: Tags,
}

/// How a listener asks a trust store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListenerTrust {
    /// ARN.
    pub store: String,
    pub ignores_expiry: bool,
    /// Clients are told the authorities' names.
    pub advertises_authorities: bool,
}

/// Authorities that listeners trust, and what these have revoked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustStore {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// PEM.
    pub authorities: String,
    pub revocations: Vec<Revocation>,
    /// Ids count up and are not given twice.
    pub last_revocation: u64,
    pub tags: Tags,
}

/// A list of revoked certificates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revocation {
    pub id: u64,
    /// PEM.
    pub list: String,
    pub entries: u64,
}

/// A rule other than the default one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub arn: String,
    pub scope: Scope,
    pub listener: String,
    /// 1–50000, unique per listener, lowest first.
    pub priority: u32,
    pub conditions: Vec<Condition>,
    pub actions: Vec<Action>,
    #[serde(default)]
    pub transforms: Vec<Transform>,
    pub tags: Tags,
}

/// The first match of a regular expression in a part of the request, replaced for its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Transform {
    HostHeader { regex: String, replace: String },
    Url { regex: String, replace: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    HostHeader(Vec<String>),
    PathPattern(Vec<String>),
    HttpHeader {
        name: String,
        values: Vec<String>,
    },
    HttpRequestMethod(Vec<String>),
    /// Key (any when absent) and value.
    QueryString(Vec<(Option<String>, String)>),
    SourceIp(Vec<ipnet::IpNet>),
    /// Regular expressions instead of wildcards.
    HostRegex(Vec<String>),
    PathRegex(Vec<String>),
    HttpHeaderRegex {
        name: String,
        values: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    Forward {
        order: Option<u32>,
        /// Target group ARN and weight 0–999.
        target_groups: Vec<(String, u32)>,
        /// Seconds, when on.
        stickiness: Option<u32>,
        /// Seconds given while off; answers repeat them.
        stickiness_off: Option<u32>,
    },
    Redirect {
        order: Option<u32>,
        protocol: String,
        host: String,
        port: String,
        path: String,
        query: String,
        /// 301 or 302.
        status: u16,
    },
    FixedResponse {
        order: Option<u32>,
        status: u16,
        content_type: Option<String>,
        body: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    pub protocol: String,
    /// Empty for network load balancers' groups.
    pub protocol_version: String,
    pub port: u16,
    pub vpc: VpcId,
    /// `instance` or `ip`.
    pub target_type: String,
    pub ip_address_type: String,
    pub health_check: HealthCheck,
    pub attributes: Attributes,
    pub targets: Vec<Target>,
    pub tags: Tags,
}

impl TargetGroup {
    /// `targetgroup/<name>/<id>`, the value of the `TargetGroup` metric dimension.
    pub fn dimension(&self) -> &str {
        self.arn.rsplit_once(':').map_or("", |(_, tail)| tail)
    }
    /// Seconds; an attribute with a default of 300.
    pub fn deregistration_delay(&self) -> u32 {
        self.attributes
            .get("deregistration_delay.timeout_seconds")
            .and_then(|v| v.parse().ok())
            .unwrap_or(300)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    pub enabled: bool,
    pub protocol: String,
    /// A number, or `traffic-port`.
    pub port: String,
    /// Empty, like the matcher, where a connection is all that is checked.
    pub path: String,
    /// Seconds, 5–300.
    pub interval: u32,
    /// Seconds, 2–120.
    pub timeout: u32,
    /// 2–10.
    pub healthy_threshold: u32,
    /// 2–10.
    pub unhealthy_threshold: u32,
    /// Codes and ranges, such as `200` or `200-299,301`.
    pub matcher: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Instance id or address.
    pub id: String,
    pub port: u16,
    /// As registered; `all` or a zone name.
    pub zone: Option<String>,
    pub registered: Timestamp,
    /// Deregistered and draining since.
    pub draining: Option<Timestamp>,
}

/// Health of one target of one group, merged over the nodes that probe it. Observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetHealth {
    pub target_group: String,
    pub target: String,
    pub port: u16,
    pub state: TargetState,
    /// Reason code and description, absent when healthy.
    pub reason: Option<(String, String)>,
    pub since: Timestamp,
    /// It fails more often than its peers, and gets less for it.
    #[serde(default)]
    pub is_anomalous: bool,
    #[serde(default)]
    pub is_mitigated: bool,
    /// It is in a zone that traffic is shifted away from.
    #[serde(default)]
    pub is_shifted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    Initial,
    Healthy,
    Unhealthy,
    /// Unhealthy for a moment yet: flows that run there are left for so long.
    UnhealthyDraining,
    Unused,
    Draining,
    Unavailable,
}

impl TargetState {
    /// As AWS spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::UnhealthyDraining => "unhealthy.draining",
            Self::Unused => "unused",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }
}
