//! What the control plane tells the edge, and what the edge tells back.
//!
//! Plain values without ids as types: the edge only prints them. The whole
//! state of the cloud's edge is one [`Config`]; the edge finds out by itself
//! which sockets it must open and close.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Comes back in [`Report::Applied`].
    pub revision: u64,
    /// Never ask the host's resolver: names the cloud does not know do not exist.
    pub offline: bool,
    /// Names that mean the same in every VPC: internet-facing load balancers,
    /// public instance names as the world sees them, the registry, checkip.
    pub names: Names,
    /// Domains the cloud alone answers for, such as `elb.amazonaws.com`: an
    /// unknown name in them does not exist and is never asked of the host. The
    /// internal domain of each VPC and private reverse zones are always so.
    pub authoritative: Vec<String>,
    /// By VPC id.
    pub vpcs: BTreeMap<String, Vpc>,
    /// Route 53's.
    #[serde(default)]
    pub hosted_zones: Vec<HostedZone>,
    pub name_server: Option<NameServer>,
    pub health_checks: Option<HealthChecks>,
    pub registry: Option<Registry>,
    pub checkip: Option<Checkip>,
    pub api: Option<Api>,
    pub tunnels: Option<Tunnels>,
    pub identity: Option<Identity>,
}

/// Host names without a final dot, in any case. A first label `*` stands for any one label.
pub type Names = BTreeMap<String, Name>;

/// The addresses of a name. All are answered, in random order; none is an empty answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub addresses: Vec<Ipv4Addr>,
    /// Seconds; AWS has 60 for load balancers and instances.
    #[serde(default = "ttl")]
    pub ttl: u32,
}

impl Name {
    pub fn new(addresses: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            ttl: ttl(),
        }
    }
}

fn ttl() -> u32 {
    60
}

/// A zone of Route 53.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedZone {
    /// Without a final dot.
    pub name: String,
    /// Ids of those in which it resolves; none for a public zone, which resolves everywhere.
    pub vpcs: Option<Vec<String>>,
    pub records: Vec<RecordSet>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Without a final dot; a first label `*` stands for any.
    pub name: String,
    /// `A`, `CNAME`, …
    pub kind: String,
    pub answer: RecordAnswer,
    pub routing: Routing,
    /// By its health check and that of its alias target, as far as it has them.
    pub healthy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordAnswer {
    /// In the form of zone files, with the TTL in seconds.
    Values { ttl: u32, values: Vec<String> },
    /// What another name answers, without saying so.
    Alias { name: String },
}

/// When a record set is the answer, beside others of its name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    Simple,
    Weighted(u8),
    /// By the asker's region.
    Latency(String),
    Failover {
        primary: bool,
    },
    Multivalue,
}

/// Looks at endpoints for Route 53.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthChecks {
    pub netns: Option<PathBuf>,
    /// Where looks come from.
    pub source: Ipv4Addr,
    /// Where none may lead: the host's side of the internet.
    #[serde(default)]
    pub barred: Vec<Ipv4Addr>,
    /// By id.
    #[serde(default)]
    pub endpoints: BTreeMap<String, HealthCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// None is that of the name, looked up each time.
    pub address: Option<Ipv4Addr>,
    pub name: Option<String>,
    pub port: u16,
    /// None is a mere connection.
    pub http: Option<HttpCheck>,
    /// From look to look; not zero.
    pub interval: std::time::Duration,
    /// How many looks in a row change what is thought of it.
    pub threshold: u8,
    /// What was thought of it last; it begins there.
    pub healthy: bool,
}

impl HealthCheck {
    /// Whether one that is under way for `other` may go on.
    pub fn is_same_look(&self, other: &Self) -> bool {
        let of = |check: &Self| Self {
            healthy: true,
            ..check.clone()
        };
        of(self) == of(other)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    pub path: String,
    pub tls: bool,
    /// The name is sent in the handshake.
    pub sni: bool,
    /// Must be in the body.
    pub search: Option<String>,
}

/// What a health check saw last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// By the threshold.
    pub healthy: bool,
    pub succeeded: bool,
    pub status: String,
}

/// Serves public zones on the internet side, to whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    pub netns: Option<PathBuf>,
    pub address: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// The router's network namespace; none is the namespace of the edge itself.
    pub netns: Option<PathBuf>,
    /// Such as `us-east-1`; names the internal domain.
    pub region: String,
    /// `a.b.c.d/n`. Each address in them has an `ip-a-b-c-d` name, both ways.
    pub cidrs: Vec<String>,
    /// Where the metadata service listens; normally [`METADATA`].
    pub metadata: Option<SocketAddr>,
    /// Where the resolver listens: the VPC's base + 2 and [`RESOLVER`];
    /// empty when `enableDnsSupport` is false.
    pub resolvers: Vec<SocketAddr>,
    /// Over and above [`Config::names`], and before them: internal load
    /// balancers; public instance names, which mean private addresses here.
    #[serde(default)]
    pub names: Names,
    #[serde(default)]
    pub instances: Vec<Instance>,
}

/// The link-local address of the metadata service.
pub const METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
/// The link-local address of the VPC resolver.
pub const RESOLVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)), 53);

/// What an instance can learn about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub image_id: String,
    pub instance_type: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    pub account: String,
    pub region: String,
    pub zone: String,
    pub zone_id: String,
    pub reservation_id: String,
    pub launch_index: u32,
    /// RFC 3339, when the launch was asked for.
    pub pending_time: String,
    /// The private DNS name.
    pub hostname: String,
    pub public_hostname: Option<String>,
    /// By device number; the first is the primary one. Its first address is the instance's.
    pub interfaces: Vec<Interface>,
    pub key: Option<Key>,
    /// Base64, as the API has it.
    pub user_data: Option<String>,
    /// Keys that EC2 Instance Connect was given.
    #[serde(default)]
    pub sent_keys: Vec<SentKey>,
    pub profile: Option<Profile>,
    pub tags: BTreeMap<String, String>,
    pub options: MetadataOptions,
    /// `on-demand` or `spot`.
    pub life_cycle: String,
    /// Of the placement group it is in.
    #[serde(default)]
    pub placement_group: Option<String>,
    /// Detailed monitoring is on.
    #[serde(default)]
    pub monitoring: bool,
    /// `nitro` or `xen`.
    #[serde(default)]
    pub hypervisor: String,
    /// What a Spot Instance has been told.
    #[serde(default)]
    pub spot: SpotNotices,
    /// Only in an Auto Scaling group: the state it is moving to, such as `InService`.
    pub target_lifecycle_state: Option<String>,
    /// Virtual name to device: `ami` → `/dev/xvda`, `root` → `/dev/xvda`.
    pub block_devices: BTreeMap<String, String>,
}

/// What a Spot Instance is told before it is taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotNotices {
    /// RFC 3339, when it was recommended to rebalance.
    pub rebalance: Option<String>,
    /// `terminate` or `stop`, and when, as RFC 3339.
    pub action: Option<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub id: String,
    /// Lower case, with colons.
    pub mac: String,
    pub device_number: u32,
    pub subnet_id: String,
    pub subnet_cidr: String,
    pub vpc_id: String,
    /// The primary one first.
    pub vpc_cidrs: Vec<String>,
    /// Private addresses, the primary one first.
    pub addresses: Vec<Ipv4Addr>,
    #[serde(default)]
    pub ipv6: Ipv6,
    /// Public address → the private one it stands for.
    pub public: BTreeMap<Ipv4Addr, Ipv4Addr>,
    pub groups: Vec<Group>,
}

/// Of an interface; all empty without IPv6.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6 {
    pub addresses: Vec<Ipv6Addr>,
    pub subnet_cidrs: Vec<String>,
    pub vpc_cidrs: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: String,
    pub name: String,
}

/// The key pair given at launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub name: String,
    /// In OpenSSH form.
    pub public: String,
}

/// A public key that a user of the instance may be logged in with for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentKey {
    pub os_user: String,
    /// In OpenSSH form.
    pub public: String,
    /// Who sent it, and by which request.
    pub caller: String,
    pub request: String,
    /// Seconds since the epoch.
    pub expires: u64,
}

/// The instance profile and the credentials of its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub arn: String,
    pub id: String,
    /// None while the profile holds no role.
    pub role: Option<Role>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub token: String,
    /// RFC 3339, as the next one.
    pub last_updated: String,
    pub expiration: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// HttpEndpoint is `enabled`.
    pub endpoint: bool,
    /// HttpTokens is `required`: version 2 only.
    pub tokens_required: bool,
    /// HttpPutResponseHopLimit, 1–64.
    pub hop_limit: u8,
    /// InstanceMetadataTags is `enabled`.
    pub tags: bool,
}

impl Default for MetadataOptions {
    /// As AWS has it for an AMI without `ImdsSupport`.
    fn default() -> Self {
        Self {
            endpoint: true,
            tokens_required: false,
            hop_limit: 1,
            tags: false,
        }
    }
}

/// Image registries on the internet side: one that anybody may pull from, and, by HTTPS and name,
/// those of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    pub netns: Option<PathBuf>,
    pub address: SocketAddr,
    /// Holds one OCI image layout a repository: `<root>/<name>/index.json`.
    pub root: PathBuf,
    #[serde(default)]
    pub tls: Option<Tls>,
    #[serde(default)]
    pub private: Option<PrivateRegistries>,
}

/// Where HTTPS is spoken, and with what: PEM files, read when the socket is opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tls {
    pub address: SocketAddr,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The registries of accounts, one for each Region: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateRegistries {
    /// Their tokens are signed with the key in this file.
    pub token_key: PathBuf,
    /// By account, Region and name.
    pub repositories: BTreeMap<String, BTreeMap<String, BTreeMap<String, Repository>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its OCI image layout; made by the first push.
    pub layout: PathBuf,
    pub tags: oci::TagRule,
}

/// Tells a caller the address it comes from, as checkip.amazonaws.com does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkip {
    pub netns: Option<PathBuf>,
    pub address: SocketAddr,
}

/// The cloud's APIs on the internet side, by HTTP and by HTTPS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Api {
    pub netns: Option<PathBuf>,
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    /// The control plane's socket, which takes what comes decrypted.
    pub upstream: PathBuf,
    /// PEM files, read when the socket is opened.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// EC2 Instance Connect Endpoints, all at one address of the internet side: WebSockets by TLS,
/// joined to connections that begin in the endpoints' namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnels {
    pub netns: Option<PathBuf>,
    pub tls: Tls,
    /// The control plane's socket, which says of each request whether it is signed right, and
    /// whereto it may lead.
    pub upstream: PathBuf,
    /// By id.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub netns: Option<PathBuf>,
    /// Where its connections begin.
    pub address: Ipv4Addr,
}

/// What instance identity documents are signed with: PEM files, the key an RSA one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What the edge tells every control plane that listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The configuration of this revision is in force, and every socket that it
    /// does not want is closed: namespaces of removed VPCs may go. Sent again
    /// when the failures change (they are tried again each second), and to each
    /// new control plane.
    Applied {
        revision: u64,
        failures: Vec<Failure>,
    },
    /// Calls without a token since the last such report, by instance id
    /// (CloudWatch's MetadataNoToken).
    MetadataNoToken(BTreeMap<String, u64>),
    /// What the look at an endpoint of this health check found; not each one that found the same.
    HealthCheck { id: String, seen: Seen },
}

/// A socket that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Such as `resolver 10.0.0.2:53 of vpc-…`.
    pub listener: String,
    pub error: String,
}
