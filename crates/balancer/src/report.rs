//! What the balancer tells the control plane. Reports are facts it observed, never requests.
//!
//! Health and `Applied` are sent on every change; all of them again when the control plane
//! connects anew, so that it may start from nothing. Metrics are what happened since the report
//! before: a lost one is lost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::count::Histogram;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// What one node's checks say of one target.
    Health(Health),
    /// Once a second.
    Metrics(Metrics),
    /// Once a second, of each network load balancer's node.
    Flows(Vec<FlowMetrics>),
    /// This config is in force in every worker: removed listeners are closed, and of removed nodes
    /// no socket and no descriptor is left, so that their namespaces can go.
    Applied { revision: u64 },
    /// No request of this draining target is running any more. Only groups that a rule names are
    /// watched.
    Drained {
        target_group: String,
        target: String,
    },
    /// Something in the config cannot be served. It is tried again every second.
    Problem {
        load_balancer: String,
        message: String,
    },
    /// It can now, or is no longer asked for.
    Solved {
        load_balancer: String,
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub target_group: String,
    pub target: String,
    pub node: String,
    pub state: HealthState,
    /// AWS's `Reason` and `Description`; none when healthy.
    pub reason: Option<String>,
    pub description: Option<String>,
    /// What the last failed check met, more exactly than AWS says it: `connect: connection refused`.
    #[serde(default)]
    pub detail: Option<String>,
    /// When the check behind this ended.
    pub at: Timestamp,
}

/// The states that checks decide. `unused`, `draining` and `unavailable` are the control plane's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HealthState {
    Initial,
    Healthy,
    Unhealthy,
}

/// Counts between two moments, per node; whoever wants a load balancer's adds up its nodes.
/// Names are CloudWatch's (`AWS/ApplicationELB`), in snake case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub from: Timestamp,
    pub to: Timestamp,
    pub nodes: Vec<NodeMetrics>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeMetrics {
    pub load_balancer: String,
    pub node: String,
    pub zone: String,
    /// Client and target connections open now. The only value here that is not a count since `from`.
    pub active_connection_count: u64,
    /// Client and target connections opened.
    pub new_connection_count: u64,
    pub rejected_connection_count: u64,
    pub client_tls_negotiation_error_count: u64,
    /// Bytes of requests and responses, heads included, towards clients.
    pub processed_bytes: u64,
    pub elb_3xx: u64,
    pub elb_4xx: u64,
    pub elb_5xx: u64,
    pub elb_500: u64,
    pub elb_502: u64,
    pub elb_503: u64,
    pub elb_504: u64,
    pub http_redirect_count: u64,
    pub http_redirect_url_limit_exceeded_count: u64,
    pub http_fixed_response_count: u64,
    pub rule_evaluations: u64,
    /// Of `DesyncMitigationMode_NonCompliant_Request_Count`.
    pub non_compliant_request_count: u64,
    pub dropped_invalid_header_request_count: u64,
    pub forwarded_invalid_header_request_count: u64,
    pub non_sticky_request_count: u64,
    pub groups: Vec<GroupMetrics>,
    /// Of a network load balancer's node, within this process: reported with its other flows.
    #[serde(skip)]
    pub relayed: Option<Box<FlowMetrics>>,
}

/// Requests that chose this group at this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupMetrics {
    pub target_group: String,
    pub healthy_host_count: u64,
    pub unhealthy_host_count: u64,
    /// Requests sent while too few targets were healthy to choose among them.
    pub unhealthy_routing_request_count: u64,
    /// Targets that fail more often than their peers, and those that get less for it.
    pub anomalous_host_count: u64,
    pub mitigated_host_count: u64,
    /// Targets in a zone that traffic is shifted away from.
    pub zonal_shifted_host_count: u64,
    /// Only those with something to tell.
    pub targets: Vec<TargetMetrics>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetMetrics {
    pub target: String,
    pub zone: Option<String>,
    /// Requests for which this target was chosen.
    pub request_count: u64,
    /// Requests running now.
    pub in_flight: u64,
    /// Now: it fails more often than its peers, and gets less for it.
    pub is_anomalous: bool,
    pub is_mitigated: bool,
    pub target_2xx: u64,
    pub target_3xx: u64,
    pub target_4xx: u64,
    pub target_5xx: u64,
    pub target_connection_error_count: u64,
    pub target_tls_negotiation_error_count: u64,
    /// Request sent to first response header, in microseconds.
    pub response_time: Histogram,
}

/// What a network load balancer's node passed on since the report before, and its flows of now.
/// Names are CloudWatch's (`AWS/NetworkELB`), in snake case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowMetrics {
    pub load_balancer: String,
    pub node: String,
    pub zone: String,
    /// Now.
    pub active_flow_count_tcp: u64,
    pub active_flow_count_udp: u64,
    pub active_flow_count_tls: u64,
    pub new_flow_count_tcp: u64,
    pub new_flow_count_udp: u64,
    pub new_flow_count_tls: u64,
    /// IP headers included, both ways.
    pub processed_bytes_tcp: u64,
    pub processed_bytes_udp: u64,
    /// As clients and targets sent them, without headers and encryption; so are those of TCP where
    /// targets get PROXY headers.
    pub processed_bytes_tls: u64,
    pub client_tls_negotiation_error_count: u64,
    pub target_tls_negotiation_error_count: u64,
    pub processed_packets: u64,
    pub tcp_client_reset_count: u64,
    pub tcp_target_reset_count: u64,
    pub tcp_elb_reset_count: u64,
    pub unhealthy_routing_flow_count: u64,
    pub groups: Vec<FlowGroupMetrics>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowGroupMetrics {
    pub target_group: String,
    pub healthy_host_count: u64,
    pub unhealthy_host_count: u64,
    pub targets: Vec<FlowTargetMetrics>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowTargetMetrics {
    pub target: String,
    pub zone: Option<String>,
    /// Now.
    pub active_flow_count: u64,
}

impl Metrics {
    /// A group may have a thousand targets; a second in which nothing happened to one is no news.
    pub(crate) fn leave_out_quiet_targets(&mut self) {
        for group in self.nodes.iter_mut().flat_map(|node| &mut node.groups) {
            group.targets.retain(|target| {
                target.request_count > 0
                    || target.in_flight > 0
                    || target.is_anomalous
                    || target.is_mitigated
                    || target.response_time.count > 0
                    || target.target_connection_error_count > 0
                    || target.target_tls_negotiation_error_count > 0
            });
        }
    }
}
