//! GetLaunchTemplateData: an instance, said as the template that would launch its like.

use super::error::{Result, dry_run};
use super::launch_template_data::{
    BlockDeviceMapping, CapacityReservationSpecification, CapacityReservationTarget, CpuOptions,
    CreditSpecification, EbsBlockDevice, EnclaveOptions, GroupIds, HibernationOptions,
    IamInstanceProfile, LaunchTagSpecification, LaunchTemplateData, MaintenanceOptions,
    MetadataOptions, Monitoring, NetworkInterfaceSpecification, Placement, PrivateDnsNameOptions,
    PrivateIpAddress,
};
use super::resource::find;
use super::tag;
use crate::Ctx;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Tags;
use model::instance::{Instance, Volume};
use model::vpc::NetworkInterface;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::State;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetLaunchTemplateData {
    instance_id: String,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    launch_template_data: LaunchTemplateData,
}

pub fn get(ctx: &mut Ctx, input: GetLaunchTemplateData) -> Result<Answer> {
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    dry_run(input.dry_run)?;
    Ok(Answer {
        launch_template_data: data(&ctx.tx, &instance),
    })
}

/// The value of that name; the records hold only names that AWS has.
fn named<T: DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_value(name.into()).ok()
}

fn data(state: &State, instance: &Instance) -> LaunchTemplateData {
    let volumes = state.volumes.values().filter(|v| is_on(v, instance));
    let attached = |i: &&NetworkInterface| {
        let attachment = i.attachment.as_ref();
        attachment.is_some_and(|a| a.instance == instance.id)
    };
    let mut interfaces: Vec<NetworkInterfaceSpecification> = state
        .network_interfaces
        .values()
        .map(AsRef::as_ref)
        .filter(attached)
        .map(|i| interface(i, instance))
        .collect();
    interfaces.sort_by_key(|i| i.device_index);
    let target = instance.capacity_reservation_target.as_ref();
    LaunchTemplateData {
        ebs_optimized: Some(instance.ebs_optimized),
        iam_instance_profile: instance
            .profile
            .as_ref()
            .map(|(_, arn)| IamInstanceProfile {
                arn: Some(arn.clone()),
                name: None,
            }),
        block_device_mappings: volumes.map(|v| block_device(v)).collect(),
        network_interfaces: interfaces,
        image_id: Some(instance.image.to_string()),
        instance_type: Some(instance.instance_type.clone()),
        key_name: instance.key_name.clone(),
        monitoring: Some(Monitoring {
            enabled: Some(instance.monitoring),
        }),
        placement: Some(Placement {
            availability_zone: Some(instance.zone.clone()),
            group_name: Some(instance.placement_group.clone().unwrap_or_default()),
            tenancy: named(&instance.tenancy),
            ..Placement::default()
        }),
        disable_api_termination: Some(instance.disable_api_termination),
        disable_api_stop: Some(instance.disable_api_stop),
        instance_initiated_shutdown_behavior: named(&instance.shutdown_behavior),
        user_data: instance.user_data.as_ref().map(|d| STANDARD.encode(d)),
        tag_specifications: tags(&instance.tags),
        credit_specification: instance.cpu_credits.as_ref().map(|c| CreditSpecification {
            cpu_credits: Some(c.clone()),
        }),
        cpu_options: Some(CpuOptions {
            core_count: Some(instance.cpu_options.0),
            threads_per_core: Some(instance.cpu_options.1),
            amd_sev_snp: instance.amd_sev_snp.clone(),
        }),
        capacity_reservation_specification: Some(CapacityReservationSpecification {
            capacity_reservation_preference: target
                .is_none()
                .then(|| instance.capacity_reservation_preference.clone()),
            capacity_reservation_target: target.map(|id| CapacityReservationTarget {
                capacity_reservation_id: Some(id.to_string()),
                capacity_reservation_resource_group_arn: None,
            }),
        }),
        hibernation_options: Some(HibernationOptions {
            configured: Some(instance.hibernation),
        }),
        metadata_options: Some(MetadataOptions {
            http_tokens: named(&instance.metadata.http_tokens),
            http_put_response_hop_limit: Some(instance.metadata.http_put_response_hop_limit.into()),
            http_endpoint: named(&instance.metadata.http_endpoint),
            http_protocol_ipv6: named(&instance.metadata.http_protocol_ipv6),
            instance_metadata_tags: named(&instance.metadata.instance_metadata_tags),
        }),
        enclave_options: Some(EnclaveOptions {
            enabled: Some(instance.enclave),
        }),
        private_dns_name_options: Some(PrivateDnsNameOptions {
            hostname_type: named(&instance.private_dns.hostname_type),
            enable_resource_name_dns_a_record: Some(instance.private_dns.resource_name_a_record),
            enable_resource_name_dns_aaaa_record: Some(
                instance.private_dns.resource_name_aaaa_record,
            ),
        }),
        maintenance_options: Some(MaintenanceOptions {
            auto_recovery: named(&instance.auto_recovery),
        }),
        ..LaunchTemplateData::default()
    }
}

fn is_on(volume: &Volume, instance: &Instance) -> bool {
    let attachment = volume.attachment.as_ref();
    attachment.is_some_and(|a| a.instance == instance.id)
}

fn block_device(volume: &Volume) -> BlockDeviceMapping {
    let attachment = volume.attachment.as_ref();
    BlockDeviceMapping {
        device_name: attachment.map(|a| a.device.clone()),
        ebs: Some(EbsBlockDevice {
            encrypted: Some(volume.encrypted),
            delete_on_termination: attachment.map(|a| a.delete_on_termination),
            iops: volume.iops,
            kms_key_id: volume.kms_key.clone(),
            snapshot_id: volume.snapshot.as_ref().map(ToString::to_string),
            volume_size: Some(volume.size),
            volume_type: named(&volume.volume_type),
            throughput: volume.throughput,
        }),
        ..BlockDeviceMapping::default()
    }
}

fn interface(interface: &NetworkInterface, instance: &Instance) -> NetworkInterfaceSpecification {
    let attachment = interface.attachment.as_ref();
    let index = attachment.map(|a| u32::from(a.device_index));
    let groups = interface.security_groups.iter().map(ToString::to_string);
    NetworkInterfaceSpecification {
        associate_public_ip_address: (index == Some(0)).then_some(instance.assign_public_ip),
        delete_on_termination: attachment.map(|a| a.delete_on_termination),
        description: Some(interface.description.clone()),
        device_index: index,
        groups: GroupIds(groups.collect()),
        private_ip_addresses: interface
            .private_ips
            .iter()
            .enumerate()
            .map(|(n, ip)| PrivateIpAddress {
                primary: Some(n == 0),
                private_ip_address: Some(ip.to_string()),
            })
            .collect(),
        subnet_id: Some(interface.subnet.to_string()),
        ..NetworkInterfaceSpecification::default()
    }
}

fn tags(tags: &Tags) -> Vec<LaunchTagSpecification> {
    let own: Tags = tags
        .iter()
        .filter(|(key, _)| !key.starts_with("aws:"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if own.is_empty() {
        return Vec::new();
    }
    vec![LaunchTagSpecification {
        resource_type: Some("instance".to_owned()),
        tags: tag::list(&own),
    }]
}
