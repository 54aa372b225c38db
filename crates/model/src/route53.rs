//! Route 53: hosted zones, what stands in them, and health checks.

use crate::*;
use serde::{Deserialize, Serialize};

/// Of an account; its region is always that of the global endpoint, us-east-1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostedZone {
    pub scope: Scope,
    /// `Z` and upper-case letters and digits.
    pub id: String,
    /// Lower case, with its final dot.
    pub name: String,
    pub caller_reference: String,
    pub comment: Option<String>,
    /// Resolves in these VPCs only; a public zone has none.
    pub private: bool,
    pub vpcs: Vec<ZoneVpc>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneVpc {
    pub region: Box<str>,
    pub vpc: VpcId,
}

impl HostedZone {
    /// Names of the servers that have it. A public zone's are the cloud's own, one set for all.
    pub fn name_servers(&self) -> [&'static str; 4] {
        match self.private {
            false => NAME_SERVERS,
            true => PRIVATE_NAME_SERVERS,
        }
    }
}

/// Where the public zones of the cloud are served, on its internet side.
pub const NAME_SERVERS: [&str; 4] = [
    "ns-512.awsdns-00.net",
    "ns-0.awsdns-00.com",
    "ns-1024.awsdns-00.org",
    "ns-1536.awsdns-00.co.uk",
];

/// What AWS writes into every private zone; nobody serves it by these names.
const PRIVATE_NAME_SERVERS: [&str; 4] = [
    "ns-1536.awsdns-00.co.uk",
    "ns-0.awsdns-00.com",
    "ns-1024.awsdns-00.org",
    "ns-512.awsdns-00.net",
];

/// One resource record set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordSet {
    pub zone: String,
    /// Lower case, with its final dot, and as Route 53 escapes it (`\052` for `*`).
    pub name: String,
    /// `A`, `CNAME`, …
    pub kind: String,
    /// Tells those of one name and type apart that are not simple; else empty.
    pub set_identifier: String,
    pub routing: Routing,
    pub answer: RecordAnswer,
    pub health_check: Option<String>,
}

/// When a record set is the answer, beside others of its name and type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Routing {
    Simple,
    /// 0 to 255.
    Weighted(u8),
    /// By the region of who asks.
    Latency(Box<str>),
    /// The first choice, or the other.
    Failover {
        primary: bool,
    },
    Multivalue,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RecordAnswer {
    /// In the form of zone files, with the TTL in seconds.
    Values { ttl: u32, values: Vec<String> },
    /// What another name answers.
    Alias {
        /// Of the target: another record of this zone, or a load balancer's.
        zone: String,
        name: String,
        evaluate_target_health: bool,
    },
}

/// By zone, then as Route 53 lists them: by labels from the right, then by type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordSetKey {
    pub zone: String,
    pub labels: Vec<String>,
    pub kind: String,
    pub set_identifier: String,
}

impl RecordSetKey {
    pub fn new(zone: &str, name: &str, kind: &str, set_identifier: &str) -> Self {
        let name = name.strip_suffix('.').unwrap_or(name);
        Self {
            zone: zone.to_owned(),
            labels: name.rsplit('.').map(str::to_owned).collect(),
            kind: kind.to_owned(),
            set_identifier: set_identifier.to_owned(),
        }
    }
}

impl RecordSet {
    pub fn key(&self) -> RecordSetKey {
        RecordSetKey::new(&self.zone, &self.name, &self.kind, &self.set_identifier)
    }
}

/// A change of a zone or its records, on its way to those who answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneChange {
    pub scope: Scope,
    /// `C` and upper-case letters and digits.
    pub id: String,
    pub submitted: Timestamp,
    pub comment: Option<String>,
    /// Every resolver answers by it: observed.
    pub in_sync: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    pub scope: Scope,
    /// A UUID.
    pub id: String,
    pub caller_reference: String,
    pub config: HealthCheckConfig,
    /// Counts up with each change, from 1.
    pub version: u64,
    pub created: Timestamp,
    pub tags: Tags,
    /// Absent before the first look: observed.
    pub observed: Option<HealthObservation>,
}

/// By AWS's names; what was not given is absent, not its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthCheckConfig {
    /// `HTTP`, `TCP`, `CALCULATED`, …
    pub kind: String,
    pub ip_address: Option<String>,
    pub port: Option<u16>,
    pub resource_path: Option<String>,
    pub fully_qualified_domain_name: Option<String>,
    pub search_string: Option<String>,
    /// Seconds: 10 or 30.
    pub request_interval: Option<u8>,
    pub failure_threshold: Option<u8>,
    pub measure_latency: Option<bool>,
    pub inverted: bool,
    pub disabled: bool,
    pub health_threshold: Option<u16>,
    pub child_health_checks: Vec<String>,
    pub enable_sni: Option<bool>,
    pub regions: Vec<String>,
    /// Region and name.
    pub alarm: Option<(String, String)>,
    pub insufficient_data_health_status: Option<String>,
}

/// What was seen of the endpoint itself, before `inverted` and `disabled` have their say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthObservation {
    pub healthy: bool,
    /// Of the last look, such as `HTTP Status Code 200, OK`.
    pub status: String,
    pub checked: Timestamp,
    /// The last look that failed.
    pub last_failure: Option<(Timestamp, String)>,
}

/// Where checks of endpoints come from, and where public zones are served: one of the cloud's own
/// addresses on its internet side.
pub fn checker(public_pool: ipnet::Ipv4Net) -> std::net::Ipv4Addr {
    (u32::from(public_pool.network()) + 14).into()
}

/// The host and the router of the internet side, which no health check may look at.
pub fn barred(public_pool: ipnet::Ipv4Net) -> [std::net::Ipv4Addr; 2] {
    [1, 2].map(|n| (u32::from(public_pool.network()) + n).into())
}
