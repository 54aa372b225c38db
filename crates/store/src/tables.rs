//! The tables: one line each ties a record to its key and its place in the state.

use imbl::OrdMap;
use model::acm::{Certificate, CertificateAuthority};
use model::autoscaling::{
    Activity, AutoScalingGroup, LaunchConfiguration, ScalingPolicy, ScheduledAction,
};
use model::cloudwatch::{AlarmHistoryItem, CompositeAlarm, Dashboard, MetricAlarm};
use model::elbv2::{Listener, LoadBalancer, Rule, TargetGroup, TargetHealth};
use model::event::{Event, Fault};
use model::flow_log::FlowLog;
use model::gateway::{CustomerGateway, EgressOnlyInternetGateway, VpnGateway};
use model::iam::{InstanceProfile, Policy, Role, ServerCertificate, SessionCredentials};
use model::instance::{Instance, KeyPair, LaunchTemplate, Volume};
use model::instance_refresh::InstanceRefresh;
use model::logs::{LogEvent, LogEventKey, LogGroup, LogStream, LogStreamKey};
use model::placement_group::PlacementGroup;
use model::region_settings::RegionSettings;
use model::s3::{Bucket, MultipartUpload, Object, Part};
use model::snapshot::{OwnImage, Snapshot};
use model::ssm::Parameter;
use model::subnet_group::{SubnetGroup, SubnetGroupKey};
use model::vpc::{
    Address, DhcpOptions, InternetGateway, ManagedPrefixList, NatGateway, NetworkAcl,
    NetworkInterface, RouteTable, SecurityGroup, Subnet, Vpc,
};
use model::vpc_endpoint::VpcEndpoint;
use model::vpc_peering::VpcPeeringConnection;
use model::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// Key of what is named uniquely within an account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopedName {
    pub scope: Scope,
    pub name: String,
}

impl ScopedName {
    pub fn new(scope: &Scope, name: &str) -> Self {
        Self {
            scope: scope.clone(),
            name: name.to_owned(),
        }
    }
}

/// Versions of an object lie together, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    pub bucket: String,
    pub key: String,
    pub newest_first: std::cmp::Reverse<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetHealthKey {
    pub target_group: String,
    pub target: String,
    pub port: u16,
}

/// A kind of record that the store keeps.
pub trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    type Key: Ord + Clone + Serialize + Send + Sync + 'static;
    /// Name of the table, in memory and on disk.
    const TABLE: &'static str;
    fn key(&self) -> Self::Key;
    fn table(state: &State) -> &OrdMap<Self::Key, Arc<Self>>;
    fn table_mut(state: &mut State) -> &mut OrdMap<Self::Key, Arc<Self>>;
}

macro_rules! tables {
    ($($field:ident: $record:ty, $key:ty, $of:expr;)*) => {
        /// Every table, each ordered by its key.
        #[derive(Clone, Default)]
        pub struct State {
            $(pub $field: OrdMap<$key, Arc<$record>>,)*
        }
        $(impl Record for $record {
            type Key = $key;
            const TABLE: &'static str = stringify!($field);
            fn key(&self) -> $key {
                let of: fn(&$record) -> $key = $of;
                of(self)
            }
            fn table(state: &State) -> &OrdMap<$key, Arc<Self>> { &state.$field }
            fn table_mut(state: &mut State) -> &mut OrdMap<$key, Arc<Self>> { &mut state.$field }
        })*
        impl State {
            /// Puts a record read from disk into its table.
            pub(crate) fn load(&mut self, table: &str, value: &str) -> Result<(), String> {
                match table {
                    $(stringify!($field) => {
                        let record: $record = serde_json::from_str(value).map_err(|e| e.to_string())?;
                        self.$field.insert(record.key(), Arc::new(record));
                    })*
                    _ => return Err("no such table".into()),
                }
                Ok(())
            }
        }
    };
}

tables! {
    vpcs: Vpc, VpcId, |r| r.id.clone();
    subnets: Subnet, SubnetId, |r| r.id.clone();
    internet_gateways: InternetGateway, InternetGatewayId, |r| r.id.clone();
    route_tables: RouteTable, RouteTableId, |r| r.id.clone();
    network_acls: NetworkAcl, NetworkAclId, |r| r.id.clone();
    security_groups: SecurityGroup, SecurityGroupId, |r| r.id.clone();
    prefix_lists: ManagedPrefixList, PrefixListId, |r| r.id.clone();
    dhcp_options: DhcpOptions, DhcpOptionsId, |r| r.id.clone();
    addresses: Address, AllocationId, |r| r.allocation.clone();
    nat_gateways: NatGateway, NatGatewayId, |r| r.id.clone();
    network_interfaces: NetworkInterface, NetworkInterfaceId, |r| r.id.clone();
    egress_only_internet_gateways: EgressOnlyInternetGateway, EgressOnlyInternetGatewayId, |r| r.id.clone();
    vpn_gateways: VpnGateway, VpnGatewayId, |r| r.id.clone();
    customer_gateways: CustomerGateway, CustomerGatewayId, |r| r.id.clone();
    vpc_endpoints: VpcEndpoint, VpcEndpointId, |r| r.id.clone();
    vpc_peering_connections: VpcPeeringConnection, VpcPeeringConnectionId, |r| r.id.clone();
    flow_logs: FlowLog, FlowLogId, |r| r.id.clone();
    instances: Instance, InstanceId, |r| r.id.clone();
    volumes: Volume, VolumeId, |r| r.id.clone();
    snapshots: Snapshot, SnapshotId, |r| r.id.clone();
    images: OwnImage, ImageId, |r| r.id.clone();
    launch_templates: LaunchTemplate, LaunchTemplateId, |r| r.id.clone();
    key_pairs: KeyPair, KeyPairId, |r| r.id.clone();
    load_balancers: LoadBalancer, String, |r| r.arn.clone();
    listeners: Listener, String, |r| r.arn.clone();
    rules: Rule, String, |r| r.arn.clone();
    target_groups: TargetGroup, String, |r| r.arn.clone();
    target_health: TargetHealth, TargetHealthKey, |r| TargetHealthKey { target_group: r.target_group.clone(), target: r.target.clone(), port: r.port };
    auto_scaling_groups: AutoScalingGroup, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    launch_configurations: LaunchConfiguration, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    scaling_policies: ScalingPolicy, String, |r| r.arn.clone();
    scheduled_actions: ScheduledAction, (ScopedName, String), |r| (ScopedName::new(&r.scope, &r.group), r.name.clone());
    activities: Activity, String, |r| r.id.clone();
    instance_refreshes: InstanceRefresh, String, |r| r.id.clone();
    alarms: MetricAlarm, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    composite_alarms: CompositeAlarm, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    alarm_history: AlarmHistoryItem, u64, |r| r.sequence;
    dashboards: Dashboard, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    roles: Role, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    instance_profiles: InstanceProfile, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    policies: Policy, String, |r| r.arn.clone();
    session_credentials: SessionCredentials, String, |r| r.access_key_id.clone();
    server_certificates: ServerCertificate, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    certificates: Certificate, String, |r| r.arn.clone();
    certificate_authorities: CertificateAuthority, (), |_| ();
    log_groups: LogGroup, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    log_streams: LogStream, LogStreamKey, |r| r.key.clone();
    log_events: LogEvent, LogEventKey, |r| r.key.clone();
    parameters: Parameter, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    placement_groups: PlacementGroup, PlacementGroupId, |r| r.id.clone();
    region_settings: RegionSettings, Scope, |r| r.scope.clone();
    subnet_groups: SubnetGroup, SubnetGroupKey, |r| r.key.clone();
    buckets: Bucket, String, |r| r.name.clone();
    objects: Object, ObjectKey, |r| ObjectKey { bucket: r.bucket.clone(), key: r.key.clone(), newest_first: std::cmp::Reverse(r.sequence) };
    multipart_uploads: MultipartUpload, (String, String, String), |r| (r.bucket.clone(), r.key.clone(), r.id.clone());
    parts: Part, (String, u16), |r| (r.upload.clone(), r.number);
    events: Event, u64, |r| r.sequence;
    faults: Fault, Fault, |r| r.clone();
}
