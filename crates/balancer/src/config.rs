//! What the balancer serves: one immutable value, replaced as a whole.
//!
//! The control plane works every default, every "use the load balancer's setting" and every time
//! scale out before it writes a `Config`; nothing here has to be looked up elsewhere. Names are
//! opaque keys: the balancer knows no ARNs and no instances. What a worker remembers between two
//! configs (connections, pools, health) is carried over by these keys, so a key must stay the same
//! for as long as the thing does.
//!
//! Every struct has AWS's defaults and ignores unknown fields, so that a balancer that restarts
//! from its last config on disk reads one written by a slightly newer or older control plane.

pub mod header;
pub mod network;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything the balancer serves, for all load balancers of the cloud.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Echoed in `Report::Applied` once this config is in force everywhere.
    pub revision: u64,
    pub load_balancers: Vec<LoadBalancer>,
    /// By the key that forward actions name. A group that no rule names is neither checked nor counted.
    pub target_groups: BTreeMap<String, TargetGroup>,
    pub network_load_balancers: Vec<network::NetworkLoadBalancer>,
    pub network_target_groups: BTreeMap<String, network::TargetGroup>,
    /// By the key that listeners name.
    pub certificates: BTreeMap<String, Certificate>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// `app/name/id`; in reports and access logs.
    pub key: String,
    /// The host name of a redirect or a forwarded request when an HTTP/1.0 client sent none.
    pub dns_name: String,
    /// One per enabled zone. A target in a zone without a node gets no requests and no checks.
    pub nodes: Vec<Node>,
    pub listeners: Vec<Listener>,
    pub attributes: Attributes,
}

/// One address of the load balancer, in one zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique among all nodes of the config.
    pub key: String,
    pub zone: String,
    /// The network namespace that holds `address`; `None` is the balancer's own (tests, benches).
    pub netns: Option<PathBuf>,
    /// The private address: listeners bind to it, targets and probes see it as their client.
    pub address: IpAddr,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Unique in its load balancer.
    pub key: String,
    pub port: u16,
    pub protocol: Protocol,
    /// Of HTTPS listeners.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// What happens when no rule matches.
    pub default_action: Action,
    /// In any order; evaluated from the lowest priority number up.
    pub rules: Vec<Rule>,
    /// What it changes about heads on their way.
    #[serde(default)]
    pub headers: header::Changes,
    /// Of a network load balancer's listener, whose bytes nobody looks into; worked out by `network`.
    #[serde(skip)]
    pub relay: Option<Relay>,
}

/// How a listener relays flows.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    pub idle_timeout: Duration,
    /// As `network::Listener::alpn`.
    pub alpn: Vec<String>,
}

/// How clients are spoken to over TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// `TLSv1.2`, `TLSv1.3`; others are not offered.
    pub protocols: Vec<String>,
    /// In OpenSSL's spelling, most preferred first; those that rustls lacks are not offered.
    pub ciphers: Vec<String>,
    /// Keys of `Config::certificates`, the default first.
    pub certificates: Vec<String>,
    /// Clients are asked for a certificate, which targets get to see (mTLS passthrough).
    pub takes_client_certificates: bool,
    /// Only clients with one that this vouches for get in (mTLS verify).
    pub trust: Option<Trust>,
}

/// A trust store, and how it is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trust {
    /// PEM.
    pub authorities: String,
    /// Lists of revoked certificates, each in PEM.
    pub revocations: Vec<String>,
    pub ignores_expiry: bool,
    /// Clients are told the authorities' names.
    pub advertises_authorities: bool,
}

/// A certificate to serve.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// PEM, the server's own first.
    pub chain: String,
    /// PEM.
    pub private_key: String,
}

impl std::fmt::Debug for Certificate {
    /// Without the key, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    #[default]
    Http,
    Https,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckProtocol {
    #[default]
    Http,
    Https,
    /// An accepted connection is enough.
    Tcp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// 1–50000, unique in its listener.
    pub priority: u32,
    /// All must hold.
    pub conditions: Vec<Condition>,
    pub action: Action,
    /// Before a forward action; at most one of each kind.
    #[serde(default)]
    pub transforms: Vec<Transform>,
}

/// Rewrites a part of a request for its target: the first match of `regex` becomes `replace`, in
/// which `$1` to `$9` stand for groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Transform {
    HostHeader {
        regex: String,
        replace: String,
    },
    /// Path and query.
    Url {
        regex: String,
        replace: String,
    },
}

/// One condition of a rule: any of its values suffices.
///
/// `values` are wildcard patterns (`*`, `?`), `regex_values` are regular expressions that may match
/// anywhere in the subject. AWS allows one of the two in a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    HostHeader {
        values: Vec<String>,
        regex_values: Vec<String>,
    },
    PathPattern {
        values: Vec<String>,
        regex_values: Vec<String>,
    },
    HttpHeader {
        name: String,
        values: Vec<String>,
        regex_values: Vec<String>,
    },
    HttpRequestMethod {
        values: Vec<String>,
    },
    QueryString {
        values: Vec<QueryValue>,
    },
    SourceIp {
        values: Vec<IpNet>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryValue {
    /// `None` matches the value under any key.
    pub key: Option<String>,
    pub value: String,
}

/// What ends a rule: exactly one of AWS's terminal actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    Forward(Forward),
    Redirect(Redirect),
    FixedResponse(FixedResponse),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Forward {
    /// A group's share is its weight over the sum. An empty or unhealthy group keeps its share.
    pub groups: Vec<WeightedGroup>,
    /// How long a client stays with the group it got (cookie `AWSALBTG`); `None` is off.
    pub stickiness: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightedGroup {
    pub target_group: String,
    /// 0–999.
    pub weight: u32,
}

/// Parts may hold AWS's placeholders `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redirect {
    /// 301 or 302.
    pub status: u16,
    pub protocol: String,
    pub host: String,
    pub port: String,
    pub path: String,
    pub query: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FixedResponse {
    pub status: u16,
    /// `None` sends no `Content-Type` when there is no body, `text/plain` when there is one.
    pub content_type: Option<String>,
    pub body: String,
}

/// Load balancer attributes, by the names AWS gives them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// `idle_timeout.timeout_seconds`, both sides. Never scaled.
    pub idle_timeout: Duration,
    /// `client_keep_alive.seconds`, from the connect on. Never scaled.
    pub client_keep_alive: Duration,
    /// `routing.http.xff_header_processing.mode`
    pub xff_mode: XffMode,
    /// `routing.http.xff_client_port.enabled`
    pub xff_client_port: bool,
    /// `routing.http.preserve_host_header.enabled`
    pub preserve_host_header: bool,
    /// `routing.http2.enabled`: offered to clients over TLS.
    pub http2: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`
    pub tls_headers: bool,
    /// `routing.http.drop_invalid_header_fields.enabled`
    pub drop_invalid_header_fields: bool,
    /// `routing.http.desync_mitigation_mode`
    pub desync_mitigation_mode: DesyncMode,
    /// A directory in which each node appends access log lines to a file named after its key;
    /// `None` is off.
    pub access_log: Option<PathBuf>,
    /// The same of connections.
    pub connection_log: Option<PathBuf>,
    /// The same for health checks.
    #[serde(default)]
    pub health_check_log: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum XffMode {
    #[default]
    Append,
    Preserve,
    Remove,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DesyncMode {
    Monitor,
    #[default]
    Defensive,
    Strictest,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetGroup {
    /// Like its key in the map: `targetgroup/name/id`; in reports and access logs.
    pub key: String,
    /// What access logs call it; the key where this is empty.
    pub name_in_logs: String,
    pub protocol: Protocol,
    pub protocol_version: ProtocolVersion,
    /// Resolved: the group's own setting or the load balancer's.
    pub cross_zone: bool,
    pub algorithm: Algorithm,
    /// Of `WeightedRandom`: targets that fail more often than their peers get less.
    pub anomaly_mitigation: bool,
    /// Zero is off. Already scaled.
    pub slow_start: Duration,
    pub stickiness: Option<Stickiness>,
    /// Below this many healthy targets requests go to all of them.
    pub unhealthy_state_routing: MinimumHealthy,
    pub health_check: HealthCheck,
    pub targets: Vec<Target>,
    /// The network load balancer's group that this stands for; worked out by `network`.
    #[serde(skip)]
    pub relay: Option<Arc<network::TargetGroup>>,
}

/// Of the requests to targets. `Http2` and `Grpc` groups answer 464 to HTTP/1.1, as AWS does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProtocolVersion {
    #[default]
    Http1,
    Http2,
    Grpc,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    #[default]
    RoundRobin,
    LeastOutstandingRequests,
    WeightedRandom,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stickiness {
    /// Cookies `AWSALB` and `AWSALBCORS`.
    LbCookie { duration: Duration },
    /// Cookie `AWSALBAPP-0`, set when the target sets `cookie_name`.
    AppCookie {
        cookie_name: String,
        duration: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinimumHealthy {
    pub count: u32,
    pub percentage: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// Off: every target counts as healthy and nothing is probed.
    pub enabled: bool,
    pub protocol: CheckProtocol,
    /// `None` is AWS's `traffic-port`.
    pub port: Option<u16>,
    pub path: String,
    /// Already scaled by the cloud's speed.
    pub interval: Duration,
    /// Never scaled.
    pub timeout: Duration,
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
    /// `200`, `200,202` or `200-299`.
    pub matcher: String,
    /// Targets expect a PROXY header before anything else.
    pub proxy_protocol: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// `id:port`, unique in its group.
    pub key: String,
    pub address: SocketAddr,
    /// `None` is AWS's `all`: reachable from every zone.
    pub zone: Option<String>,
    pub state: TargetState,
}

/// What the control plane decided about a target; health is the balancer's own finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetState {
    /// Registered: checked, and given requests.
    #[default]
    Active,
    /// Registered in a zone that traffic is shifted away from: checked, and given requests only when
    /// too few others are healthy.
    Shifted,
    /// Deregistered: no new requests, no checks. Requests still running at `until` get 502.
    /// Taking a target out of the config cuts its requests at once.
    Draining { until: Timestamp },
    /// Registered but unable to serve (stopped instance, …): no requests, no checks.
    Unused,
}

impl Default for Redirect {
    fn default() -> Self {
        Redirect {
            status: 302,
            protocol: "#{protocol}".into(),
            host: "#{host}".into(),
            port: "#{port}".into(),
            path: "/#{path}".into(),
            query: "#{query}".into(),
        }
    }
}

impl Default for FixedResponse {
    fn default() -> Self {
        FixedResponse {
            status: 200,
            content_type: None,
            body: String::new(),
        }
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Attributes {
            idle_timeout: Duration::from_secs(60),
            client_keep_alive: Duration::from_secs(3600),
            xff_mode: XffMode::Append,
            xff_client_port: false,
            preserve_host_header: false,
            http2: true,
            tls_headers: false,
            drop_invalid_header_fields: false,
            desync_mitigation_mode: DesyncMode::Defensive,
            access_log: None,
            connection_log: None,
            health_check_log: None,
        }
    }
}

impl Default for TargetGroup {
    fn default() -> Self {
        TargetGroup {
            key: String::new(),
            name_in_logs: String::new(),
            protocol: Protocol::Http,
            protocol_version: ProtocolVersion::Http1,
            cross_zone: true,
            algorithm: Algorithm::RoundRobin,
            anomaly_mitigation: false,
            slow_start: Duration::ZERO,
            stickiness: None,
            unhealthy_state_routing: MinimumHealthy {
                count: 1,
                percentage: None,
            },
            health_check: HealthCheck::default(),
            targets: Vec::new(),
            relay: None,
        }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        HealthCheck {
            enabled: true,
            protocol: CheckProtocol::Http,
            port: None,
            path: "/".into(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: "200".into(),
            proxy_protocol: false,
        }
    }
}

impl Action {
    /// Plain forwarding to one group.
    pub fn forward_to(target_group: impl Into<String>) -> Action {
        Action::Forward(Forward {
            groups: vec![WeightedGroup {
                target_group: target_group.into(),
                weight: 1,
            }],
            stickiness: None,
        })
    }

    /// The target groups this action may choose.
    pub fn target_groups(&self) -> impl Iterator<Item = &str> {
        let groups = match self {
            Action::Forward(forward) => forward.groups.as_slice(),
            _ => &[],
        };
        groups.iter().map(|group| group.target_group.as_str())
    }
}

impl TargetState {
    /// Neither on its way out nor out of service.
    pub fn is_registered(self) -> bool {
        matches!(self, TargetState::Active | TargetState::Shifted)
    }
}

impl TargetGroup {
    pub fn name_in_logs(&self) -> &str {
        match self.name_in_logs.as_str() {
            "" => &self.key,
            name => name,
        }
    }
}

impl LoadBalancer {
    /// The target groups that a listener of this load balancer may choose, each once.
    pub fn target_groups(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self
            .listeners
            .iter()
            .flat_map(|listener| {
                let rules = listener
                    .rules
                    .iter()
                    .flat_map(|rule| rule.action.target_groups());
                listener.default_action.target_groups().chain(rules)
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Whether a target there can be served: its zone is enabled.
    pub fn serves_zone(&self, zone: Option<&str>) -> bool {
        has_node_in(&self.nodes, zone)
    }
}

fn has_node_in(nodes: &[Node], zone: Option<&str>) -> bool {
    zone.is_none_or(|zone| nodes.iter().any(|node| node.zone == zone))
}
