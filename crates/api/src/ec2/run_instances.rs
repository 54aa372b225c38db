//! RunInstances: the request's parameters, over those of its launch template.

use super::error::{Result, dry_run, error, refuse};
use super::instance::Launched;
use super::launch::{self, Launch, Site};
use super::launch_template::{LaunchTemplateSpecification, version};
use super::launch_template_data::{
    BlockDeviceMapping, CapacityReservationSpecification, CpuOptions, CreditSpecification,
    EnclaveOptions, HibernationOptions, IamInstanceProfile, InstanceMarketOptions, Ipv6Address,
    LaunchTagSpecification, LaunchTemplateData, MaintenanceOptions, MetadataOptions, Monitoring,
    NetworkInterfaceSpecification, NetworkPerformanceOptions, Placement, PrivateDnsNameOptions,
    ShutdownBehavior,
};
use super::resource::owned;
use crate::Ctx;
use model::InstanceId;
use model::instance::Instance;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunInstances {
    min_count: u32,
    max_count: u32,
    image_id: Option<String>,
    instance_type: Option<String>,
    key_name: Option<String>,
    subnet_id: Option<String>,
    private_ip_address: Option<String>,
    #[serde(default, deserialize_with = "wire::refused")]
    ipv6_address_count: Option<u32>,
    #[serde(default, deserialize_with = "wire::refused")]
    ipv6_address: Vec<Ipv6Address>,
    #[serde(default, deserialize_with = "wire::refused")]
    enable_primary_ipv6: Option<bool>,
    #[serde(default)]
    security_group_id: Vec<String>,
    #[serde(default)]
    security_group: Vec<String>,
    #[serde(default)]
    network_interface: Vec<NetworkInterfaceSpecification>,
    #[serde(default)]
    block_device_mapping: Vec<BlockDeviceMapping>,
    #[serde(default)]
    tag_specification: Vec<LaunchTagSpecification>,
    launch_template: Option<LaunchTemplateSpecification>,
    user_data: Option<String>,
    iam_instance_profile: Option<IamInstanceProfile>,
    monitoring: Option<Monitoring>,
    placement: Option<Placement>,
    #[serde(default, deserialize_with = "wire::stored")]
    ebs_optimized: Option<bool>,
    disable_api_termination: Option<bool>,
    disable_api_stop: Option<bool>,
    instance_initiated_shutdown_behavior: Option<ShutdownBehavior>,
    instance_market_options: Option<InstanceMarketOptions>,
    #[serde(default, deserialize_with = "wire::stored")]
    credit_specification: Option<CreditSpecification>,
    #[serde(default, deserialize_with = "wire::stored")]
    cpu_options: Option<CpuOptions>,
    #[serde(default, deserialize_with = "wire::stored")]
    capacity_reservation_specification: Option<CapacityReservationSpecification>,
    #[serde(default, deserialize_with = "wire::stored")]
    hibernation_options: Option<HibernationOptions>,
    metadata_options: Option<MetadataOptions>,
    #[serde(default, deserialize_with = "wire::stored")]
    enclave_options: Option<EnclaveOptions>,
    private_dns_name_options: Option<PrivateDnsNameOptions>,
    #[serde(default, deserialize_with = "wire::stored")]
    maintenance_options: Option<MaintenanceOptions>,
    #[serde(default, deserialize_with = "wire::stored")]
    network_performance_options: Option<NetworkPerformanceOptions>,
    #[serde(default, deserialize_with = "wire::refused")]
    kernel_id: Option<String>,
    #[serde(default, deserialize_with = "wire::refused")]
    ramdisk_id: Option<String>,
    client_token: Option<String>,
    dry_run: Option<bool>,
}

pub fn run(ctx: &mut Ctx, input: RunInstances) -> Result<Launched> {
    refuse(&input.kernel_id, "KernelId")?;
    refuse(&input.ramdisk_id, "RamdiskId")?;
    super::error::refuse_ipv6(input.enable_primary_ipv6)?;
    let template = match &input.launch_template {
        None => None,
        Some(given) => {
            let template = given.find(ctx)?;
            let version = version(&template, given.version.as_deref().unwrap_or("$Default"))?;
            let data = LaunchTemplateData::load(&version.data)?;
            Some(((template.id.clone(), version.number), data))
        }
    };
    let (template, base) = template.unzip();
    let dry = input.dry_run;
    let mut launch = Launch {
        subnet: input.subnet_id.clone(),
        private_ip: input.private_ip_address.clone(),
        ipv6: (
            input
                .ipv6_address
                .iter()
                .filter_map(|a| a.ipv6_address.clone())
                .collect(),
            input.ipv6_address_count.map(i64::from),
        ),
        count: (input.min_count, input.max_count),
        client_token: input.client_token.clone().filter(|t| !t.is_empty()),
        template,
        ..Launch::default()
    };
    launch.data = data_of(input).over(base.unwrap_or_default());
    if launch.data.instance_requirements.is_some() {
        return Err(super::error::invalid_combination(
            "RunInstances takes an instance type, not the launch template's instance requirements.",
        ));
    }
    if let Some(earlier) = with_token(ctx, &launch)? {
        return Ok(earlier);
    }
    let site = Site::new(&ctx.cloud, &ctx.scope, ctx.now);
    let ids = launch::run(&mut ctx.tx, &site, launch)?;
    dry_run(dry)?;
    Ok(reservation(ctx, &ids))
}

fn data_of(input: RunInstances) -> LaunchTemplateData {
    LaunchTemplateData {
        ebs_optimized: input.ebs_optimized,
        iam_instance_profile: input.iam_instance_profile,
        block_device_mappings: input.block_device_mapping,
        network_interfaces: input.network_interface,
        image_id: input.image_id,
        instance_type: input.instance_type,
        instance_requirements: None,
        key_name: input.key_name,
        monitoring: input.monitoring,
        placement: input.placement,
        disable_api_termination: input.disable_api_termination,
        disable_api_stop: input.disable_api_stop,
        instance_initiated_shutdown_behavior: input.instance_initiated_shutdown_behavior,
        user_data: input.user_data,
        tag_specifications: input.tag_specification,
        security_group_ids: input.security_group_id,
        security_groups: input.security_group,
        instance_market_options: input.instance_market_options,
        credit_specification: input.credit_specification,
        cpu_options: input.cpu_options,
        capacity_reservation_specification: input.capacity_reservation_specification,
        hibernation_options: input.hibernation_options,
        metadata_options: input.metadata_options,
        enclave_options: input.enclave_options,
        private_dns_name_options: input.private_dns_name_options,
        maintenance_options: input.maintenance_options,
        network_performance_options: input.network_performance_options,
    }
}

/// What an earlier call with the same token launched.
fn with_token(ctx: &Ctx, launch: &Launch) -> Result<Option<Launched>> {
    let Some(token) = &launch.client_token else {
        return Ok(None);
    };
    let earlier: Vec<&Instance> = owned::<Instance>(&ctx.tx, &ctx.scope)
        .filter(|i| i.client_token.as_ref() == Some(token))
        .map(AsRef::as_ref)
        .collect();
    let Some(first) = earlier.first() else {
        return Ok(None);
    };
    let count = u32::try_from(earlier.len()).unwrap_or(u32::MAX);
    let same = (launch.count.0..=launch.count.1).contains(&count)
        && launch
            .data
            .instance_type
            .as_ref()
            .is_none_or(|t| *t == first.instance_type)
        && launch
            .subnet
            .as_ref()
            .is_none_or(|s| *s == first.subnet.as_str())
        && launch.template == first.launch_template;
    if !same {
        return Err(error(
            "IdempotentParameterMismatch",
            "The client token was used before with other parameters.",
        ));
    }
    let ids: Vec<InstanceId> = earlier.iter().map(|i| i.id.clone()).collect();
    Ok(Some(reservation(ctx, &ids)))
}

fn reservation(ctx: &Ctx, ids: &[InstanceId]) -> Launched {
    let instances = ids.iter().filter_map(|id| ctx.tx.instances.get(id));
    Launched::new(ctx.tx.state(), instances.cloned().collect())
}
