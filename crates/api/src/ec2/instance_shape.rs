//! An instance as answers show it: DescribeInstances and what RunInstances returns.
//!
//! Shapes borrow from the state, so that nothing is copied but into the answer's text.

use super::dns_name::Name;
use super::ipv6::{self, Ipv6AddressItem};
use super::tag::TagRef;
use super::{capacity_reservation, instance_type};
use model::capacity_reservation::CapacityReservation;
use model::iam::InstanceProfile;
use model::instance::{Instance, InstanceState, MetadataOptions, Volume};
use model::vpc::{Address, NetworkInterface, SecurityGroup, Vpc};
use model::{InstanceId, SecurityGroupId, image, zone};
use serde::{Serialize, Serializer};
use std::fmt::{self, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use store::{State, Table};
use wire::Timestamp;

macro_rules! seen {
    ($($table:ident: $record:ty,)*) => {
        /// The tables that an instance's shape is made of, besides its own record.
        #[derive(Clone, Copy)]
        pub(super) struct Seen<'a> {
            $($table: &'a Table<$record>,)*
        }

        impl<'a> Seen<'a> {
            pub fn of(state: &'a State) -> Self {
                Self { $($table: &state.$table,)* }
            }

            /// While they are the same, so are the shapes.
            pub fn versions(self) -> Versions {
                [$(self.$table.version(),)*]
            }
        }

        pub(super) type Versions = [u64; [$(stringify!($table)),*].len()];
    };
}

seen! {
    network_interfaces: NetworkInterface,
    addresses: Address,
    vpcs: Vpc,
    security_groups: SecurityGroup,
    volumes: Volume,
    instance_profiles: InstanceProfile,
    capacity_reservations: CapacityReservation,
}

#[derive(Serialize)]
struct Group<'a> {
    #[serde(rename = "groupId")]
    id: &'a str,
    #[serde(rename = "groupName")]
    name: &'a str,
}

/// An instance in an answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shape<'a> {
    instance_id: &'a str,
    image_id: &'a str,
    instance_state: StateShape,
    private_dns_name: Name<'a>,
    dns_name: Name<'a>,
    reason: &'a str,
    key_name: Option<&'a str>,
    ami_launch_index: u32,
    product_codes: [(); 0],
    instance_type: &'a str,
    launch_time: Timestamp,
    placement: Placement<'a>,
    monitoring: Monitoring,
    subnet_id: Option<&'a str>,
    vpc_id: Option<&'a str>,
    private_ip_address: Option<Ipv4Addr>,
    ip_address: Option<Ipv4Addr>,
    state_reason: Option<StateReason<'a>>,
    architecture: &'a str,
    /// `spot`; absent is on demand.
    instance_lifecycle: Option<&'static str>,
    spot_instance_request_id: Option<&'a str>,
    root_device_type: &'static str,
    root_device_name: &'a str,
    block_device_mapping: Vec<BlockDevice<&'a str>>,
    virtualization_type: &'static str,
    client_token: &'a str,
    tag_set: Vec<TagRef<'a>>,
    hypervisor: &'static str,
    network_interface_set: Vec<Interface<'a>>,
    group_set: Vec<Group<'a>>,
    source_dest_check: Option<bool>,
    ebs_optimized: bool,
    ena_support: bool,
    iam_instance_profile: Option<Profile<'a>>,
    cpu_options: CpuOptions<'a>,
    capacity_reservation_id: Option<String>,
    capacity_reservation_specification: CapacityReservationWish<'a>,
    hibernation_options: Hibernation,
    metadata_options: MetadataShape<&'a str>,
    enclave_options: Enclave,
    boot_mode: Option<&'static str>,
    current_instance_boot_mode: &'static str,
    platform_details: &'static str,
    usage_operation: &'static str,
    usage_operation_update_time: Timestamp,
    private_dns_name_options: PrivateDns<'a>,
    maintenance_options: Maintenance<'a>,
    network_performance_options: NetworkPerformance,
}

#[derive(Serialize)]
pub struct StateShape {
    code: u16,
    name: &'static str,
}

impl From<InstanceState> for StateShape {
    fn from(state: InstanceState) -> Self {
        Self {
            code: state.code(),
            name: state.name(),
        }
    }
}

#[derive(Serialize)]
struct StateReason<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Placement<'a> {
    availability_zone: &'a str,
    availability_zone_id: Option<&'static str>,
    group_name: &'a str,
    tenancy: &'a str,
}

#[derive(Serialize)]
pub struct Monitoring {
    pub state: &'static str,
}

impl Monitoring {
    pub fn new(enabled: bool) -> Self {
        Self {
            state: if enabled { "enabled" } else { "disabled" },
        }
    }
}

#[derive(Serialize)]
struct Profile<'a> {
    arn: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CpuOptions<'a> {
    core_count: u32,
    threads_per_core: u32,
    amd_sev_snp: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CapacityReservationWish<'a> {
    capacity_reservation_preference: Option<&'a str>,
    capacity_reservation_target: Option<CapacityReservationTarget<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CapacityReservationTarget<'a> {
    capacity_reservation_id: &'a str,
}

#[derive(Serialize)]
struct Hibernation {
    configured: bool,
}

#[derive(Serialize)]
struct Enclave {
    enabled: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Maintenance<'a> {
    auto_recovery: &'a str,
    reboot_migration: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkPerformance {
    bandwidth_weighting: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateDns<'a> {
    hostname_type: &'a str,
    enable_resource_name_dns_a_record: bool,
    #[serde(rename = "enableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataShape<T> {
    state: &'static str,
    http_tokens: T,
    http_put_response_hop_limit: u8,
    http_endpoint: T,
    http_protocol_ipv6: T,
    instance_metadata_tags: T,
}

impl<'a, T: From<&'a str>> From<&'a MetadataOptions> for MetadataShape<T> {
    fn from(options: &'a MetadataOptions) -> Self {
        Self {
            // The metadata service reads the record: nothing is ever pending.
            state: "applied",
            http_tokens: options.http_tokens.as_str().into(),
            http_put_response_hop_limit: options.http_put_response_hop_limit,
            http_endpoint: options.http_endpoint.as_str().into(),
            http_protocol_ipv6: options.http_protocol_ipv6.as_str().into(),
            instance_metadata_tags: options.instance_metadata_tags.as_str().into(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDevice<T> {
    device_name: T,
    ebs: Ebs<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ebs<T> {
    volume_id: T,
    status: &'static str,
    attach_time: Timestamp,
    delete_on_termination: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Interface<'a> {
    network_interface_id: &'a str,
    subnet_id: &'a str,
    vpc_id: &'a str,
    description: &'a str,
    owner_id: &'a str,
    status: &'static str,
    mac_address: Mac,
    private_ip_address: Ipv4Addr,
    private_dns_name: Name<'a>,
    source_dest_check: bool,
    group_set: Vec<Group<'a>>,
    attachment: Attachment<'a>,
    association: Option<Association<'a>>,
    private_ip_addresses_set: Vec<PrivateIp<'a>>,
    ipv6_addresses_set: Vec<Ipv6AddressItem>,
    interface_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment<'a> {
    attachment_id: &'a str,
    device_index: u8,
    status: &'static str,
    attach_time: Timestamp,
    delete_on_termination: bool,
    network_card_index: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateIp<'a> {
    private_ip_address: Ipv4Addr,
    private_dns_name: Name<'a>,
    primary: bool,
    association: Option<Association<'a>>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Association<'a> {
    public_ip: Ipv4Addr,
    public_dns_name: Name<'a>,
    ip_owner_id: &'a str,
}

/// Six octets in hex.
pub(super) struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (at, octet) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char(':')?;
            }
            f.write_char(char::from(DIGITS[usize::from(octet >> 4)]))?;
            f.write_char(char::from(DIGITS[usize::from(octet & 15)]))?;
        }
        Ok(())
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// The interfaces of an instance, the primary first.
pub(super) fn interfaces<'a>(
    interfaces: &'a Table<NetworkInterface>,
    id: &'a InstanceId,
) -> Vec<&'a NetworkInterface> {
    let mut found: Vec<&NetworkInterface> = interfaces.of(id).map(Arc::as_ref).collect();
    found.sort_by_key(|i| i.attachment.as_ref().map(|a| a.device_index));
    found
}

/// The public address of one of an interface's private ones.
fn association<'a>(
    seen: Seen<'a>,
    interface: &'a NetworkInterface,
    elastic: &[&'a Address],
    ip: Ipv4Addr,
) -> Option<Association<'a>> {
    let bound = |a: &&&Address| a.association.as_ref().is_some_and(|x| x.private_ip == ip);
    let (public_ip, ip_owner_id) = match elastic.iter().find(bound) {
        Some(address) => (address.public_ip, &*address.scope.account),
        None if ip == interface.primary_ip() => (interface.auto_public_ip?, "amazon"),
        None => return None,
    };
    let vpc = seen.vpcs.get(&interface.vpc);
    Some(Association {
        public_ip,
        public_dns_name: vpc.map_or(Name::None, |vpc| Name::public_in(vpc, public_ip)),
        ip_owner_id,
    })
}

fn groups<'a>(seen: Seen<'a>, ids: &[SecurityGroupId]) -> Vec<Group<'a>> {
    let groups = ids.iter().filter_map(|id| seen.security_groups.get(id));
    groups
        .map(|g| Group {
            id: g.id.as_str(),
            name: &g.name,
        })
        .collect()
}

fn interface<'a>(seen: Seen<'a>, interface: &'a NetworkInterface) -> Option<Interface<'a>> {
    let attachment = interface.attachment.as_ref()?;
    let region = &*interface.scope.region;
    let primary = interface.primary_ip();
    let elastic: Vec<&Address> = seen.addresses.of(&interface.id).map(Arc::as_ref).collect();
    let private = |ip: &Ipv4Addr| PrivateIp {
        private_ip_address: *ip,
        private_dns_name: Name::Private { region, ip: *ip },
        primary: *ip == primary,
        association: association(seen, interface, &elastic, *ip),
    };
    let private_ip_addresses_set: Vec<_> = interface.private_ips.iter().map(private).collect();
    Some(Interface {
        network_interface_id: interface.id.as_str(),
        subnet_id: interface.subnet.as_str(),
        vpc_id: interface.vpc.as_str(),
        description: &interface.description,
        owner_id: &interface.scope.account,
        status: "in-use",
        mac_address: Mac(interface.mac),
        private_ip_address: primary,
        private_dns_name: Name::Private {
            region,
            ip: primary,
        },
        source_dest_check: interface.source_dest_check,
        group_set: groups(seen, &interface.security_groups),
        attachment: Attachment {
            attachment_id: attachment.id.as_str(),
            device_index: attachment.device_index,
            status: "attached",
            attach_time: attachment.attached.into(),
            delete_on_termination: attachment.delete_on_termination,
            network_card_index: 0,
        },
        association: private_ip_addresses_set.first().and_then(|p| p.association),
        private_ip_addresses_set,
        ipv6_addresses_set: ipv6::items(&interface.ipv6_addresses),
        interface_type: "interface",
    })
}

/// The attached volumes, the root device first.
pub(super) fn block_devices<'a, T>(
    volumes: &'a Table<Volume>,
    instance: &'a Instance,
) -> Vec<BlockDevice<T>>
where
    T: From<&'a str>,
{
    let of = |v: &'a Arc<Volume>| Some((v, v.attachment.as_ref()?));
    let mut volumes: Vec<_> = volumes.of(&instance.id).filter_map(of).collect();
    volumes.sort_by_key(|(_, a)| (a.device != instance.root_device, &a.device));
    volumes
        .into_iter()
        .map(|(volume, attachment)| BlockDevice {
            device_name: attachment.device.as_str().into(),
            ebs: Ebs {
                volume_id: volume.id.as_str().into(),
                status: "attached",
                attach_time: attachment.attached.into(),
                delete_on_termination: attachment.delete_on_termination,
            },
        })
        .collect()
}

pub(super) fn shape<'a>(seen: Seen<'a>, instance: &'a Instance) -> Shape<'a> {
    let interfaces = interfaces(seen.network_interfaces, &instance.id);
    let primary = interfaces.first().copied();
    let address = primary.map(NetworkInterface::primary_ip);
    let shapes: Vec<Interface<'_>> = interfaces
        .iter()
        .filter_map(|i| interface(seen, i))
        .collect();
    let association = shapes.first().and_then(|i| i.association);
    // A terminated instance is in no network any more.
    let placed = instance.state != InstanceState::Terminated;
    let kind = model::instance_type::find(&instance.instance_type);
    Shape {
        instance_id: instance.id.as_str(),
        image_id: instance.image.as_str(),
        instance_state: instance.state.into(),
        private_dns_name: address.map_or(Name::None, |ip| private_name(instance, ip)),
        dns_name: association.map_or(Name::None, |a| a.public_dns_name),
        reason: &instance.state_transition_reason,
        key_name: instance.key_name.as_deref(),
        ami_launch_index: instance.launch_index,
        product_codes: [],
        instance_type: &instance.instance_type,
        launch_time: instance.launched.into(),
        placement: Placement {
            availability_zone: &instance.zone,
            availability_zone_id: zone::zone_id(&instance.zone),
            group_name: instance.placement_group.as_deref().unwrap_or_default(),
            tenancy: &instance.tenancy,
        },
        monitoring: Monitoring::new(instance.monitoring),
        subnet_id: placed.then(|| instance.subnet.as_str()),
        vpc_id: placed.then(|| instance.vpc.as_str()),
        private_ip_address: address,
        ip_address: association.map(|a| a.public_ip),
        state_reason: instance
            .state_reason
            .as_ref()
            .map(|(code, message)| StateReason { code, message }),
        architecture: &instance.architecture,
        instance_lifecycle: instance.spot.as_ref().map(|_| "spot"),
        spot_instance_request_id: instance.spot.as_ref().map(|s| s.request.as_str()),
        root_device_type: "ebs",
        root_device_name: &instance.root_device,
        block_device_mapping: block_devices(seen.volumes, instance),
        virtualization_type: "hvm",
        client_token: instance.client_token.as_deref().unwrap_or_default(),
        tag_set: TagRef::list(&instance.tags),
        // AWS says `xen` of Nitro instances too.
        hypervisor: "xen",
        network_interface_set: shapes,
        group_set: primary
            .map(|p| groups(seen, &p.security_groups))
            .unwrap_or_default(),
        source_dest_check: primary.map(|p| p.source_dest_check),
        ebs_optimized: instance.ebs_optimized,
        ena_support: true,
        iam_instance_profile: instance.profile.as_ref().map(|(_, arn)| Profile {
            arn,
            id: profile_id(seen, arn),
        }),
        cpu_options: CpuOptions {
            core_count: instance.cpu_options.0,
            threads_per_core: instance.cpu_options.1,
            amd_sev_snp: instance.amd_sev_snp.as_deref(),
        },
        capacity_reservation_id: capacity_reservation::occupied(
            seen.capacity_reservations,
            instance,
        )
        .map(|id| id.to_string()),
        capacity_reservation_specification: reservation_wish(instance),
        hibernation_options: Hibernation {
            configured: instance.hibernation,
        },
        metadata_options: (&instance.metadata).into(),
        enclave_options: Enclave {
            enabled: instance.enclave,
        },
        boot_mode: image::find(&instance.image).map(|i| i.boot_mode),
        current_instance_boot_mode: kind.map_or("legacy-bios", instance_type::boot_mode),
        platform_details: "Linux/UNIX",
        usage_operation: "RunInstances",
        usage_operation_update_time: instance.launched.into(),
        private_dns_name_options: PrivateDns {
            hostname_type: &instance.private_dns.hostname_type,
            enable_resource_name_dns_a_record: instance.private_dns.resource_name_a_record,
            enable_resource_name_dns_aaaa_record: instance.private_dns.resource_name_aaaa_record,
        },
        maintenance_options: Maintenance {
            auto_recovery: &instance.auto_recovery,
            reboot_migration: "default",
        },
        network_performance_options: NetworkPerformance {
            bandwidth_weighting: "default",
        },
    }
}

fn private_name(instance: &Instance, ip: Ipv4Addr) -> Name<'_> {
    let region = &*instance.scope.region;
    match instance.private_dns.hostname_type.as_str() {
        "resource-name" => Name::Resource {
            region,
            id: instance.id.as_str(),
        },
        _ => Name::Private { region, ip },
    }
}

/// A preference, or the reservation that the launch named.
fn reservation_wish(instance: &Instance) -> CapacityReservationWish<'_> {
    let target = instance.capacity_reservation_target.as_ref();
    let preference = instance.capacity_reservation_preference.as_str();
    CapacityReservationWish {
        capacity_reservation_preference: target.is_none().then_some(preference),
        capacity_reservation_target: target.map(|id| CapacityReservationTarget {
            capacity_reservation_id: id.as_str(),
        }),
    }
}

fn profile_id<'a>(seen: Seen<'a>, arn: &'a str) -> &'a str {
    let profile = seen.instance_profiles.of(arn).next();
    profile.map_or("", |p| &p.id)
}
