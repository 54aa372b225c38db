//! The tables: one line each ties a record to its key and its place in the state.

use crate::table::{Of, Owner, OwnerRef, Table};
use model::acm::{Certificate, CertificateAuthority};
use model::autoscaling::{
    Activity, AutoScalingGroup, LaunchConfiguration, ScalingPolicy, ScheduledAction,
};
use model::capacity_reservation::CapacityReservation;
use model::cloudwatch::{AlarmHistoryItem, CompositeAlarm, Dashboard, MetricAlarm};
use model::ecr::{Registry, Repository};
use model::elbv2::{Listener, LoadBalancer, Rule, TargetGroup, TargetHealth, TrustStore};
use model::event::{Event, Fault};
use model::flow_log::FlowLog;
use model::gateway::{CustomerGateway, EgressOnlyInternetGateway, VpnGateway};
use model::iam::{InstanceProfile, Policy, Role, ServerCertificate, SessionCredentials};
use model::iam_user::{AccessKey, Account, Group, User};
use model::identity_provider::{OidcProvider, SamlProvider};
use model::instance::{Instance, KeyPair, LaunchTemplate, Volume};
use model::instance_connect::{InstanceConnectEndpoint, InstanceConnectKey};
use model::instance_refresh::InstanceRefresh;
use model::kms::{Key, KeyAlias};
use model::logs::{LogEvent, LogEventKey, LogGroup, LogStream, LogStreamKey};
use model::placement_group::PlacementGroup;
use model::public_access::PublicAccessExclusion;
use model::region_settings::RegionSettings;
use model::route53::{HealthCheck, HostedZone, RecordSet, RecordSetKey, ZoneChange};
use model::s3::{Bucket, MultipartUpload, Object, Part};
use model::snapshot::{OwnImage, Snapshot};
use model::sns::{Subscription, Topic};
use model::spot_request::SpotRequest;
use model::sqs::Queue;
use model::ssm::{Command, Invocation, Parameter};
use model::subnet_group::{SubnetGroup, SubnetGroupKey};
use model::vpc::{
    Address, DhcpOptions, InternetGateway, ManagedPrefixList, NatGateway, NetworkAcl,
    NetworkInterface, Requester, RouteTable, SecurityGroup, Subnet, Vpc,
};
use model::vpc_endpoint::VpcEndpoint;
use model::vpc_peering::VpcPeeringConnection;
use model::zonal_shift::ZonalShift;
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
    /// What it is found by besides its key.
    fn owners(&self) -> Vec<OwnerRef<'_>>;
    fn table(state: &State) -> &Table<Self>;
    fn table_mut(state: &mut State) -> &mut Table<Self>;
}

macro_rules! tables {
    ($($field:ident: $record:ty, $key:ty, $of:expr $(, by $owner:ty, $named:expr)*;)*) => {
        /// Every table, each ordered by its key.
        #[derive(Clone, Default)]
        pub struct State {
            $(pub $field: Table<$record>,)*
        }
        $(impl Record for $record {
            type Key = $key;
            const TABLE: &'static str = stringify!($field);
            fn key(&self) -> $key {
                let of: fn(&$record) -> $key = $of;
                of(self)
            }
            fn owners(&self) -> Vec<OwnerRef<'_>> {
                let lists: &[Vec<OwnerRef<'_>>] = &[$({
                    let named: for<'a> fn(&'a $record) -> Vec<&'a $owner> = $named;
                    named(self).into_iter().map(<$owner as Owner>::owner).collect()
                },)*];
                lists.concat()
            }
            fn table(state: &State) -> &Table<Self> { &state.$field }
            fn table_mut(state: &mut State) -> &mut Table<Self> { &mut state.$field }
        }
        $(impl Of<$owner> for $record {})*
        )*
        impl State {
            /// Puts a record read from disk into its table.
            pub(crate) fn load(&mut self, table: &str, value: &str) -> Result<(), String> {
                match table {
                    $(stringify!($field) => {
                        let record: $record = serde_json::from_str(value).map_err(|e| e.to_string())?;
                        self.$field.put(record.key(), Arc::new(record));
                    })*
                    _ => return Err("no such table".into()),
                }
                Ok(())
            }
        }
    };
}

// A table's name, its record and its key; then what records are found by besides.
tables! {
    vpcs: Vpc, VpcId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    subnets: Subnet, SubnetId, |r| r.id.clone(),
        by Scope, |r| vec![&r.scope],
        by VpcId, |r| vec![&r.vpc];
    internet_gateways: InternetGateway, InternetGatewayId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    route_tables: RouteTable, RouteTableId, |r| r.id.clone(),
        by Scope, |r| vec![&r.scope],
        by VpcId, |r| vec![&r.vpc];
    network_acls: NetworkAcl, NetworkAclId, |r| r.id.clone(),
        by Scope, |r| vec![&r.scope],
        by VpcId, |r| vec![&r.vpc];
    security_groups: SecurityGroup, SecurityGroupId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    prefix_lists: ManagedPrefixList, PrefixListId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    dhcp_options: DhcpOptions, DhcpOptionsId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    addresses: Address, AllocationId, |r| r.allocation.clone(),
        by Scope, |r| vec![&r.scope],
        by NetworkInterfaceId, |r| r.association.iter().map(|a| &a.interface).collect();
    nat_gateways: NatGateway, NatGatewayId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    network_interfaces: NetworkInterface, NetworkInterfaceId, |r| r.id.clone(),
        by Scope, |r| vec![&r.scope],
        by InstanceId, |r| r.attachment.iter().map(|a| &a.instance).collect(),
        by SubnetId, |r| vec![&r.subnet],
        by SecurityGroupId, |r| r.security_groups.iter().collect(),
        by str, |r| r.requester.iter().filter_map(Requester::load_balancer).collect();
    egress_only_internet_gateways: EgressOnlyInternetGateway, EgressOnlyInternetGatewayId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    vpn_gateways: VpnGateway, VpnGatewayId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    customer_gateways: CustomerGateway, CustomerGatewayId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    vpc_endpoints: VpcEndpoint, VpcEndpointId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    instance_connect_endpoints: InstanceConnectEndpoint, InstanceConnectEndpointId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    instance_connect_keys: InstanceConnectKey, String, |r| r.request.clone(), by InstanceId, |r| vec![&r.instance];
    vpc_peering_connections: VpcPeeringConnection, VpcPeeringConnectionId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    flow_logs: FlowLog, FlowLogId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    instances: Instance, InstanceId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    volumes: Volume, VolumeId, |r| r.id.clone(),
        by Scope, |r| vec![&r.scope],
        by InstanceId, |r| r.attachment.iter().map(|a| &a.instance).collect();
    snapshots: Snapshot, SnapshotId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    images: OwnImage, ImageId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    launch_templates: LaunchTemplate, LaunchTemplateId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    key_pairs: KeyPair, KeyPairId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    load_balancers: LoadBalancer, String, |r| r.arn.clone(), by Scope, |r| vec![&r.scope];
    listeners: Listener, String, |r| r.arn.clone(),
        by Scope, |r| vec![&r.scope],
        by str, |r| vec![r.load_balancer.as_str()];
    rules: Rule, String, |r| r.arn.clone(),
        by Scope, |r| vec![&r.scope],
        by str, |r| vec![r.listener.as_str()];
    trust_stores: TrustStore, String, |r| r.arn.clone(), by Scope, |r| vec![&r.scope];
    target_groups: TargetGroup, String, |r| r.arn.clone(), by Scope, |r| vec![&r.scope];
    target_health: TargetHealth, TargetHealthKey, |r| TargetHealthKey { target_group: r.target_group.clone(), target: r.target.clone(), port: r.port }, by str, |r| vec![r.target_group.as_str()];
    auto_scaling_groups: AutoScalingGroup, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    launch_configurations: LaunchConfiguration, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    scaling_policies: ScalingPolicy, String, |r| r.arn.clone(), by Scope, |r| vec![&r.scope];
    scheduled_actions: ScheduledAction, (ScopedName, String), |r| (ScopedName::new(&r.scope, &r.group), r.name.clone()), by Scope, |r| vec![&r.scope];
    activities: Activity, String, |r| r.id.clone(),
        by Scope, |r| vec![&r.scope],
        by str, |r| vec![r.group_arn.as_str()];
    instance_refreshes: InstanceRefresh, String, |r| r.id.clone();
    zonal_shifts: ZonalShift, String, |r| r.id.clone(), by str, |r| vec![r.resource.as_str()];
    alarms: MetricAlarm, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    composite_alarms: CompositeAlarm, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    alarm_history: AlarmHistoryItem, u64, |r| r.sequence;
    dashboards: Dashboard, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    roles: Role, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    instance_profiles: InstanceProfile, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by str, |r| vec![r.arn.as_str()];
    policies: Policy, String, |r| r.arn.clone();
    session_credentials: SessionCredentials, String, |r| r.access_key_id.clone();
    users: User, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    groups: Group, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    registries: Registry, Scope, |r| r.scope.clone();
    repositories: Repository, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    kms_keys: Key, String, |r| r.id.clone();
    kms_aliases: KeyAlias, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    queues: Queue, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    hosted_zones: HostedZone, String, |r| r.id.clone();
    record_sets: RecordSet, RecordSetKey, |r| r.key(), by str, |r| vec![&*r.zone];
    zone_changes: ZoneChange, String, |r| r.id.clone();
    health_checks: HealthCheck, String, |r| r.id.clone();
    topics: Topic, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    subscriptions: Subscription, ScopedName, |r| ScopedName::new(&r.scope, &r.name());
    access_keys: AccessKey, String, |r| r.id.clone();
    accounts: Account, Scope, |r| r.scope.clone();
    oidc_providers: OidcProvider, String, |r| r.arn.clone();
    saml_providers: SamlProvider, String, |r| r.arn.clone();
    server_certificates: ServerCertificate, ScopedName, |r| ScopedName::new(&r.scope, &r.name);
    certificates: Certificate, String, |r| r.arn.clone();
    certificate_authorities: CertificateAuthority, (), |_| ();
    log_groups: LogGroup, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    log_streams: LogStream, LogStreamKey, |r| r.key.clone();
    log_events: LogEvent, LogEventKey, |r| r.key.clone();
    parameters: Parameter, ScopedName, |r| ScopedName::new(&r.scope, &r.name), by Scope, |r| vec![&r.scope];
    commands: Command, String, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    invocations: Invocation, (String, InstanceId), |r| (r.command.clone(), r.instance.clone()), by str, |r| vec![r.command.as_str()];
    capacity_reservations: CapacityReservation, CapacityReservationId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    spot_requests: SpotRequest, SpotRequestId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    placement_groups: PlacementGroup, PlacementGroupId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    public_access_exclusions: PublicAccessExclusion, PublicAccessExclusionId, |r| r.id.clone(), by Scope, |r| vec![&r.scope];
    region_settings: RegionSettings, Scope, |r| r.scope.clone();
    subnet_groups: SubnetGroup, SubnetGroupKey, |r| r.key.clone();
    buckets: Bucket, String, |r| r.name.clone();
    objects: Object, ObjectKey, |r| ObjectKey { bucket: r.bucket.clone(), key: r.key.clone(), newest_first: std::cmp::Reverse(r.sequence) };
    multipart_uploads: MultipartUpload, (String, String, String), |r| (r.bucket.clone(), r.key.clone(), r.id.clone());
    parts: Part, (String, u16), |r| (r.upload.clone(), r.number);
    events: Event, u64, |r| r.sequence;
    faults: Fault, Fault, |r| r.clone();
}
