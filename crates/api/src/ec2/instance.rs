//! Instances as answers show them: DescribeInstances and what RunInstances returns.

use super::error::{Result, dry_run};
use super::filter::Filter;
use super::instance_filter::FILTERS;
use super::ipv6::{self, Ipv6AddressItem};
use super::page::{Page, describe};
use super::tag::{self, Tag};
use super::{dns_name, instance_type};
use crate::Ctx;
use model::instance::{Instance, InstanceState, MetadataOptions, Volume};
use model::vpc::{Address, NetworkInterface};
use model::{InstanceId, NetworkInterfaceId, SecurityGroupId, image, zone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use store::State;
use wire::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    reservation_id: String,
    owner_id: String,
    group_set: Vec<GroupIdentifier>,
    instances_set: Vec<Shape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupIdentifier {
    pub group_id: String,
    pub group_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    instance_id: String,
    image_id: String,
    instance_state: StateShape,
    private_dns_name: String,
    dns_name: String,
    reason: String,
    key_name: Option<String>,
    ami_launch_index: u32,
    product_codes: Vec<()>,
    instance_type: String,
    launch_time: Timestamp,
    placement: Placement,
    monitoring: Monitoring,
    subnet_id: Option<String>,
    vpc_id: Option<String>,
    private_ip_address: Option<Ipv4Addr>,
    ip_address: Option<Ipv4Addr>,
    state_reason: Option<StateReason>,
    architecture: String,
    root_device_type: &'static str,
    root_device_name: String,
    block_device_mapping: Vec<BlockDevice>,
    virtualization_type: &'static str,
    client_token: String,
    tag_set: Vec<Tag>,
    hypervisor: &'static str,
    network_interface_set: Vec<Interface>,
    group_set: Vec<GroupIdentifier>,
    source_dest_check: Option<bool>,
    ebs_optimized: bool,
    ena_support: bool,
    iam_instance_profile: Option<Profile>,
    cpu_options: CpuOptions,
    capacity_reservation_specification: CapacityReservation,
    hibernation_options: Hibernation,
    metadata_options: MetadataShape,
    enclave_options: Enclave,
    boot_mode: Option<&'static str>,
    current_instance_boot_mode: &'static str,
    platform_details: &'static str,
    usage_operation: &'static str,
    usage_operation_update_time: Timestamp,
    private_dns_name_options: PrivateDns,
    maintenance_options: Maintenance,
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
struct StateReason {
    code: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    availability_zone: String,
    availability_zone_id: Option<String>,
    group_name: String,
    tenancy: String,
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
struct Profile {
    arn: String,
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CpuOptions {
    core_count: u32,
    threads_per_core: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CapacityReservation {
    capacity_reservation_preference: String,
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
struct Maintenance {
    auto_recovery: String,
    reboot_migration: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkPerformance {
    bandwidth_weighting: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateDns {
    hostname_type: String,
    enable_resource_name_dns_a_record: bool,
    #[serde(rename = "enableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataShape {
    state: &'static str,
    http_tokens: String,
    http_put_response_hop_limit: u8,
    http_endpoint: String,
    http_protocol_ipv6: String,
    instance_metadata_tags: String,
}

impl From<&MetadataOptions> for MetadataShape {
    fn from(options: &MetadataOptions) -> Self {
        Self {
            // The metadata service reads the record: nothing is ever pending.
            state: "applied",
            http_tokens: options.http_tokens.clone(),
            http_put_response_hop_limit: options.http_put_response_hop_limit,
            http_endpoint: options.http_endpoint.clone(),
            http_protocol_ipv6: options.http_protocol_ipv6.clone(),
            instance_metadata_tags: options.instance_metadata_tags.clone(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDevice {
    device_name: String,
    ebs: Ebs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ebs {
    volume_id: String,
    status: &'static str,
    attach_time: Timestamp,
    delete_on_termination: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Interface {
    network_interface_id: String,
    subnet_id: String,
    vpc_id: String,
    description: String,
    owner_id: String,
    status: &'static str,
    mac_address: String,
    private_ip_address: Ipv4Addr,
    private_dns_name: String,
    source_dest_check: bool,
    group_set: Vec<GroupIdentifier>,
    attachment: Attachment,
    association: Option<Association>,
    private_ip_addresses_set: Vec<PrivateIp>,
    ipv6_addresses_set: Vec<Ipv6AddressItem>,
    interface_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    attachment_id: String,
    device_index: u8,
    status: &'static str,
    attach_time: Timestamp,
    delete_on_termination: bool,
    network_card_index: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateIp {
    private_ip_address: Ipv4Addr,
    private_dns_name: String,
    primary: bool,
    association: Option<Association>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Association {
    public_ip: Ipv4Addr,
    public_dns_name: Option<String>,
    ip_owner_id: String,
}

/// What instances refer to, found once for a whole answer.
pub(super) struct World<'a> {
    state: &'a State,
    interfaces: BTreeMap<&'a InstanceId, Vec<&'a NetworkInterface>>,
    volumes: BTreeMap<&'a InstanceId, Vec<&'a Volume>>,
    elastic: BTreeMap<(&'a NetworkInterfaceId, Ipv4Addr), &'a Address>,
}

impl<'a> World<'a> {
    pub fn new(state: &'a State) -> Self {
        let mut interfaces: BTreeMap<_, Vec<&NetworkInterface>> = BTreeMap::new();
        for interface in state.network_interfaces.values() {
            if let Some(attachment) = &interface.attachment {
                interfaces
                    .entry(&attachment.instance)
                    .or_default()
                    .push(interface);
            }
        }
        for list in interfaces.values_mut() {
            list.sort_by_key(|i| i.attachment.as_ref().map(|a| a.device_index));
        }
        let mut volumes: BTreeMap<_, Vec<&Volume>> = BTreeMap::new();
        for volume in state.volumes.values() {
            if let Some(attachment) = &volume.attachment {
                volumes
                    .entry(&attachment.instance)
                    .or_default()
                    .push(volume);
            }
        }
        let associated = state.addresses.values().filter_map(|address| {
            let association = address.association.as_ref()?;
            Some(((&association.interface, association.private_ip), &**address))
        });
        Self {
            state,
            interfaces,
            volumes,
            elastic: associated.collect(),
        }
    }

    /// The interfaces of an instance, the primary first.
    pub fn interfaces(&self, id: &InstanceId) -> &[&'a NetworkInterface] {
        self.interfaces.get(id).map_or(&[], Vec::as_slice)
    }

    fn association(&self, interface: &NetworkInterface, ip: Ipv4Addr) -> Option<Association> {
        let (public_ip, owner) = match self.elastic.get(&(&interface.id, ip)) {
            Some(address) => (address.public_ip, address.scope.account.to_string()),
            None if ip == interface.primary_ip() => {
                (interface.auto_public_ip?, "amazon".to_owned())
            }
            None => return None,
        };
        let vpc = self.state.vpcs.get(&interface.vpc);
        Some(Association {
            public_ip,
            public_dns_name: Some(
                vpc.and_then(|vpc| dns_name::public_in(vpc, public_ip))
                    .unwrap_or_default(),
            ),
            ip_owner_id: owner,
        })
    }

    pub fn groups(&self, ids: &[SecurityGroupId]) -> Vec<GroupIdentifier> {
        let groups = ids
            .iter()
            .filter_map(|id| self.state.security_groups.get(id));
        groups
            .map(|g| GroupIdentifier {
                group_id: g.id.to_string(),
                group_name: g.name.clone(),
            })
            .collect()
    }

    fn interface(&self, interface: &NetworkInterface) -> Option<Interface> {
        let attachment = interface.attachment.as_ref()?;
        let region = &interface.scope.region;
        let primary = interface.primary_ip();
        let private = |ip: &Ipv4Addr| PrivateIp {
            private_ip_address: *ip,
            private_dns_name: dns_name::private(region, *ip),
            primary: *ip == primary,
            association: self.association(interface, *ip),
        };
        Some(Interface {
            network_interface_id: interface.id.to_string(),
            subnet_id: interface.subnet.to_string(),
            vpc_id: interface.vpc.to_string(),
            description: interface.description.clone(),
            owner_id: interface.scope.account.to_string(),
            status: "in-use",
            mac_address: mac(&interface.mac),
            private_ip_address: primary,
            private_dns_name: dns_name::private(region, primary),
            source_dest_check: interface.source_dest_check,
            group_set: self.groups(&interface.security_groups),
            attachment: Attachment {
                attachment_id: attachment.id.to_string(),
                device_index: attachment.device_index,
                status: "attached",
                attach_time: attachment.attached.into(),
                delete_on_termination: attachment.delete_on_termination,
                network_card_index: 0,
            },
            association: self.association(interface, primary),
            private_ip_addresses_set: interface.private_ips.iter().map(private).collect(),
            ipv6_addresses_set: ipv6::items(&interface.ipv6_addresses),
            interface_type: "interface",
        })
    }

    /// The attached volumes, the root device first.
    pub fn block_devices(&self, instance: &Instance) -> Vec<BlockDevice> {
        let volumes = self
            .volumes
            .get(&instance.id)
            .map_or(&[][..], Vec::as_slice);
        let mut devices: Vec<BlockDevice> = volumes
            .iter()
            .filter_map(|volume| {
                let attachment = volume.attachment.as_ref()?;
                Some(BlockDevice {
                    device_name: attachment.device.clone(),
                    ebs: Ebs {
                        volume_id: volume.id.to_string(),
                        status: "attached",
                        attach_time: attachment.attached.into(),
                        delete_on_termination: attachment.delete_on_termination,
                    },
                })
            })
            .collect();
        devices.sort_by_key(|d| (d.device_name != instance.root_device, d.device_name.clone()));
        devices
    }

    fn shape(&self, instance: &Instance) -> Shape {
        let interfaces = self.interfaces(&instance.id);
        let primary = interfaces.first().copied();
        let address = primary.map(NetworkInterface::primary_ip);
        let association = primary.and_then(|p| self.association(p, p.primary_ip()));
        // A terminated instance is in no network any more.
        let placed = instance.state != InstanceState::Terminated;
        let kind = model::instance_type::find(&instance.instance_type);
        Shape {
            instance_id: instance.id.to_string(),
            image_id: instance.image.to_string(),
            instance_state: instance.state.into(),
            private_dns_name: address
                .map(|ip| private_name(instance, ip))
                .unwrap_or_default(),
            dns_name: association
                .as_ref()
                .and_then(|a| a.public_dns_name.clone())
                .unwrap_or_default(),
            reason: instance.state_transition_reason.clone(),
            key_name: instance.key_name.clone(),
            ami_launch_index: instance.launch_index,
            product_codes: Vec::new(),
            instance_type: instance.instance_type.clone(),
            launch_time: instance.launched.into(),
            placement: Placement {
                availability_zone: instance.zone.clone(),
                availability_zone_id: zone::zone_id(&instance.zone),
                group_name: instance.placement_group.clone().unwrap_or_default(),
                tenancy: instance.tenancy.clone(),
            },
            monitoring: Monitoring::new(instance.monitoring),
            subnet_id: placed.then(|| instance.subnet.to_string()),
            vpc_id: placed.then(|| instance.vpc.to_string()),
            private_ip_address: address,
            ip_address: association.map(|a| a.public_ip),
            state_reason: instance
                .state_reason
                .as_ref()
                .map(|(code, message)| StateReason {
                    code: code.clone(),
                    message: message.clone(),
                }),
            architecture: instance.architecture.clone(),
            root_device_type: "ebs",
            root_device_name: instance.root_device.clone(),
            block_device_mapping: self.block_devices(instance),
            virtualization_type: "hvm",
            client_token: instance.client_token.clone().unwrap_or_default(),
            tag_set: tag::list(&instance.tags),
            // AWS says `xen` of Nitro instances too.
            hypervisor: "xen",
            network_interface_set: interfaces
                .iter()
                .filter_map(|i| self.interface(i))
                .collect(),
            group_set: primary
                .map(|p| self.groups(&p.security_groups))
                .unwrap_or_default(),
            source_dest_check: primary.map(|p| p.source_dest_check),
            ebs_optimized: instance.ebs_optimized,
            ena_support: true,
            iam_instance_profile: instance.profile.as_ref().map(|(_, arn)| Profile {
                arn: arn.clone(),
                id: profile_id(self.state, arn),
            }),
            cpu_options: CpuOptions {
                core_count: instance.cpu_options.0,
                threads_per_core: instance.cpu_options.1,
            },
            capacity_reservation_specification: CapacityReservation {
                capacity_reservation_preference: instance.capacity_reservation_preference.clone(),
            },
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
                hostname_type: instance.private_dns.hostname_type.clone(),
                enable_resource_name_dns_a_record: instance.private_dns.resource_name_a_record,
                enable_resource_name_dns_aaaa_record: instance
                    .private_dns
                    .resource_name_aaaa_record,
            },
            maintenance_options: Maintenance {
                auto_recovery: instance.auto_recovery.clone(),
                reboot_migration: "default",
            },
            network_performance_options: NetworkPerformance {
                bandwidth_weighting: "default",
            },
        }
    }
}

pub(super) fn mac(octets: &[u8; 6]) -> String {
    let hex: Vec<String> = octets.iter().map(|o| format!("{o:02x}")).collect();
    hex.join(":")
}

fn private_name(instance: &Instance, ip: Ipv4Addr) -> String {
    let region = &instance.scope.region;
    match instance.private_dns.hostname_type.as_str() {
        "resource-name" => format!("{}.{}", instance.id, dns_name::private_domain(region)),
        _ => dns_name::private(region, ip),
    }
}

fn profile_id(state: &State, arn: &str) -> String {
    let mut profiles = state.instance_profiles.values();
    let found = profiles.find(|p| p.arn == arn);
    found.map(|p| p.id.clone()).unwrap_or_default()
}

/// The instances of one launch.
pub fn reservation(state: &State, instances: &[&Instance]) -> Reservation {
    let world = World::new(state);
    let mut shapes = instances.iter().map(|i| world.shape(i)).collect::<Vec<_>>();
    shapes.sort_by_key(|s| s.ami_launch_index);
    let first = instances.first();
    Reservation {
        reservation_id: first.map(|i| i.reservation.to_string()).unwrap_or_default(),
        owner_id: first
            .map(|i| i.scope.account.to_string())
            .unwrap_or_default(),
        group_set: Vec::new(),
        instances_set: shapes,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstances {
    #[serde(default)]
    instance_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_managed_resources: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservations {
    reservation_set: Vec<Reservation>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeInstances) -> Result<Reservations> {
    // Instances that AWS services manage do not exist here: in or out is the same.
    let _ = input.include_managed_resources;
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (found, next_token) = describe(ctx, &input.instance_id, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    let world = World::new(&ctx.tx);
    let mut reservations: BTreeMap<&model::ReservationId, Reservation> = BTreeMap::new();
    for instance in &found {
        let reservation = reservations
            .entry(&instance.reservation)
            .or_insert_with(|| Reservation {
                reservation_id: instance.reservation.to_string(),
                owner_id: instance.scope.account.to_string(),
                group_set: Vec::new(),
                instances_set: Vec::new(),
            });
        reservation.instances_set.push(world.shape(instance));
    }
    Ok(Reservations {
        reservation_set: reservations.into_values().collect(),
        next_token,
    })
}
