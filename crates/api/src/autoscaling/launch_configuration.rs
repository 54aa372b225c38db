//! Launch configurations: made, described, deleted; what they say never changes.
//!
//! The parameters are kept in the form of launch template data, so that both launch
//! through the same code (`ec2::launch`). Accounts that are new since 2023 may not make
//! any on AWS; older ones may, and many public stacks still do.

use super::block_device::BlockDeviceMapping;
use super::error::{Result, error, refuse, unsupported, validation};
use super::page::page;
use super::{check, group};
use crate::Ctx;
use crate::ec2::launch::{self, Site};
use crate::ec2::launch_template_data::{
    HttpTokens, IamInstanceProfile, InstanceMarketOptions, LaunchTemplateData,
    MetadataOptions as Metadata, Monitoring, Placement, SpotOptions, Switch, Tenancy,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::InstanceId;
use model::autoscaling::LaunchConfiguration;
use model::instance::Instance;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::ScopedName;

pub const MAX_CONFIGURATIONS: usize = 200;
const TENANCIES: &[&str] = &["default", "dedicated"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateLaunchConfiguration {
    launch_configuration_name: String,
    image_id: Option<String>,
    key_name: Option<String>,
    #[serde(default)]
    security_groups: Vec<String>,
    #[serde(rename = "ClassicLinkVPCId")]
    classic_link_vpc_id: Option<String>,
    #[serde(rename = "ClassicLinkVPCSecurityGroups")]
    classic_link_vpc_security_groups: Option<Vec<String>>,
    user_data: Option<String>,
    instance_id: Option<String>,
    instance_type: Option<String>,
    kernel_id: Option<String>,
    ramdisk_id: Option<String>,
    #[serde(default)]
    block_device_mappings: Vec<BlockDeviceMapping>,
    instance_monitoring: Option<InstanceMonitoring>,
    spot_price: Option<String>,
    iam_instance_profile: Option<String>,
    ebs_optimized: Option<bool>,
    associate_public_ip_address: Option<bool>,
    placement_tenancy: Option<String>,
    metadata_options: Option<MetadataOptions>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceMonitoring {
    enabled: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetadataOptions {
    http_tokens: Option<HttpTokens>,
    http_put_response_hop_limit: Option<u32>,
    http_endpoint: Option<Switch>,
}

pub fn create(ctx: &mut Ctx, input: CreateLaunchConfiguration) -> Result<()> {
    let name = input.launch_configuration_name.clone();
    check_new(ctx, &name)?;
    let given = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    refuse(&given(&input.kernel_id), "KernelId")?;
    refuse(&given(&input.ramdisk_id), "RamdiskId")?;
    refuse(&given(&input.classic_link_vpc_id), "ClassicLinkVPCId")?;
    let classic = input.classic_link_vpc_security_groups.as_ref();
    refuse(
        &classic.filter(|groups| !groups.is_empty()),
        "ClassicLinkVPCSecurityGroups",
    )?;
    let mut associate_public_ip = input.associate_public_ip_address;
    let base = match &input.instance_id {
        Some(id) => {
            let instance = running(ctx, id)?;
            associate_public_ip = associate_public_ip.or(Some(instance.assign_public_ip));
            of_instance(ctx, &instance)
        }
        None => LaunchTemplateData::default(),
    };
    let data = data_of(input)?.over(base);
    for (member, value) in [
        ("ImageId", &data.image_id),
        ("InstanceType", &data.instance_type),
    ] {
        if value.as_deref().is_none_or(str::is_empty) {
            return Err(validation(format!(
                "Valid requests must contain either the InstanceID parameter or both the ImageId and InstanceType parameters. {member} is missing."
            )));
        }
    }
    put(ctx, &name, &data, associate_public_ip)
}

fn check_new(ctx: &Ctx, name: &str) -> Result<()> {
    check::name(name, "launchConfigurationName")?;
    if ctx
        .tx
        .launch_configurations
        .contains_key(&ScopedName::new(&ctx.scope, name))
    {
        return Err(error(
            "AlreadyExists",
            format!(
                "Launch Configuration by this name already exists - A launch configuration already exists with the name {name}"
            ),
        ));
    }
    if owned(ctx).count() >= MAX_CONFIGURATIONS {
        return Err(error(
            "LimitExceeded",
            format!(
                "You have already reached the limit of {MAX_CONFIGURATIONS} launch configurations."
            ),
        ));
    }
    Ok(())
}

fn put(
    ctx: &mut Ctx,
    name: &str,
    data: &LaunchTemplateData,
    associate_public_ip: Option<bool>,
) -> Result<()> {
    let site = Site::new(&ctx.cloud, &ctx.scope, ctx.now);
    // EC2's texts, under the one code that this service has for them.
    launch::check(&ctx.tx, &site, data).map_err(|e| validation(e.message))?;
    let id = uuid::Uuid::new_v4();
    let rest = format_args!("launchConfiguration:{id}:launchConfigurationName/{name}");
    let made = LaunchConfiguration {
        arn: ctx.scope.arn("autoscaling", rest),
        scope: ctx.scope.clone(),
        name: name.to_owned(),
        data: data.stored()?,
        associate_public_ip,
        created: ctx.now,
    };
    ctx.tx.put(made);
    Ok(())
}

/// `CreateAutoScalingGroup` with an `InstanceId`: a configuration of the group's name.
pub fn create_from_instance(ctx: &mut Ctx, name: &str, id: &str) -> Result<()> {
    check_new(ctx, name)?;
    let instance = running(ctx, id)?;
    let data = of_instance(ctx, &instance);
    put(ctx, name, &data, Some(instance.assign_public_ip))
}

fn running(ctx: &Ctx, id: &str) -> Result<Instance> {
    let parsed = id.parse::<InstanceId>().ok();
    let found = parsed.and_then(|id| ctx.tx.get::<Instance>(&id).cloned());
    found
        .filter(|i| i.scope == ctx.scope)
        .ok_or_else(|| validation(format!("Invalid Instance ID(s): [{id}] specified")))
}

/// What a configuration derives from an instance: all but its block devices.
fn of_instance(ctx: &Ctx, instance: &Instance) -> LaunchTemplateData {
    let mut mine = ctx.tx.network_interfaces.of(&instance.id).filter(|i| {
        let attachment = i.attachment.as_ref();
        attachment.is_some_and(|a| a.device_index == 0)
    });
    let groups = mine.next().map(|i| i.security_groups.clone());
    LaunchTemplateData {
        image_id: Some(instance.image.to_string()),
        instance_type: Some(instance.instance_type.clone()),
        key_name: instance.key_name.clone(),
        security_group_ids: groups.iter().flatten().map(ToString::to_string).collect(),
        user_data: instance
            .user_data
            .as_ref()
            .map(|bytes| STANDARD.encode(bytes)),
        iam_instance_profile: instance
            .profile
            .as_ref()
            .map(|(_, arn)| IamInstanceProfile {
                arn: Some(arn.clone()),
                name: None,
            }),
        monitoring: Some(Monitoring {
            enabled: Some(instance.monitoring),
        }),
        ebs_optimized: Some(instance.ebs_optimized),
        ..LaunchTemplateData::default()
    }
}

fn data_of(input: CreateLaunchConfiguration) -> Result<LaunchTemplateData> {
    let filled = |text: Option<String>| text.filter(|t| !t.is_empty());
    let tenancy = filled(input.placement_tenancy);
    let tenancy = match tenancy.as_deref() {
        None => None,
        Some("default") => Some(Tenancy::Default),
        Some("dedicated") => Some(Tenancy::Dedicated),
        Some(other) => {
            check::one_of(other, "placementTenancy", TENANCIES)?;
            None
        }
    };
    let profile = filled(input.iam_instance_profile).map(|text| {
        let is_arn = text.starts_with("arn:");
        let (arn, name) = if is_arn {
            (Some(text), None)
        } else {
            (None, Some(text))
        };
        IamInstanceProfile { arn, name }
    });
    let (ids, names): (Vec<_>, Vec<_>) = input
        .security_groups
        .into_iter()
        .partition(|g| g.starts_with("sg-"));
    if !names.is_empty() && !ids.is_empty() {
        return Err(validation(
            "Security group IDs and names may not be mixed in one launch configuration.",
        ));
    }
    if !names.is_empty() && input.associate_public_ip_address.is_some() {
        return Err(unsupported(
            "Security groups by name together with AssociatePublicIpAddress are",
        ));
    }
    let devices = input.block_device_mappings.into_iter();
    Ok(LaunchTemplateData {
        image_id: filled(input.image_id),
        instance_type: filled(input.instance_type),
        key_name: filled(input.key_name),
        security_group_ids: ids,
        security_groups: names,
        user_data: filled(input.user_data),
        block_device_mappings: devices
            .map(BlockDeviceMapping::checked)
            .collect::<Result<_>>()?,
        // Detailed, unless the caller says otherwise.
        monitoring: Some(Monitoring {
            enabled: Some(
                input
                    .instance_monitoring
                    .and_then(|m| m.enabled)
                    .unwrap_or(true),
            ),
        })
        .filter(|_| input.instance_id.is_none()),
        instance_market_options: filled(input.spot_price).map(|price| InstanceMarketOptions {
            market_type: Some("spot".into()),
            spot_options: Some(SpotOptions {
                max_price: Some(price),
                ..SpotOptions::default()
            }),
        }),
        iam_instance_profile: profile,
        ebs_optimized: input.ebs_optimized,
        placement: tenancy.map(|tenancy| Placement {
            tenancy: Some(tenancy),
            ..Placement::default()
        }),
        metadata_options: input.metadata_options.map(|m| Metadata {
            http_tokens: m.http_tokens,
            http_put_response_hop_limit: m.http_put_response_hop_limit,
            http_endpoint: m.http_endpoint,
            ..Metadata::default()
        }),
        ..LaunchTemplateData::default()
    })
}

fn owned(ctx: &Ctx) -> impl Iterator<Item = &Arc<LaunchConfiguration>> {
    ctx.tx.launch_configurations.of(&ctx.scope)
}

pub fn count(ctx: &Ctx) -> usize {
    owned(ctx).count()
}

/// Refuses a name that no configuration has, as calls about groups do it.
pub fn check_exists(ctx: &Ctx, name: &str) -> Result<()> {
    let key = ScopedName::new(&ctx.scope, name);
    if ctx.tx.launch_configurations.contains_key(&key) {
        return Ok(());
    }
    Err(validation(format!(
        "Launch configuration name not found - A launch configuration with the name: {name} does not exist"
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteLaunchConfiguration {
    launch_configuration_name: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteLaunchConfiguration) -> Result<()> {
    let name = input.launch_configuration_name;
    let key = ScopedName::new(&ctx.scope, &name);
    if !ctx.tx.launch_configurations.contains_key(&key) {
        return Err(validation(format!(
            "Launch configuration name not found - Launch configuration {name} not found"
        )));
    }
    let user = group::owned(ctx).find(|g| g.template.configuration.as_ref() == Some(&name));
    if let Some(user) = user {
        return Err(error(
            "ResourceInUse",
            format!(
                "Cannot delete launch configuration {name} because it is attached to AutoScalingGroup {}",
                user.name
            ),
        ));
    }
    ctx.tx.remove::<LaunchConfiguration>(&key);
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeLaunchConfigurations {
    #[serde(default)]
    launch_configuration_names: Vec<String>,
    next_token: Option<String>,
    max_records: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LaunchConfigurations {
    launch_configurations: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    launch_configuration_name: String,
    #[serde(rename = "LaunchConfigurationARN")]
    launch_configuration_arn: String,
    image_id: String,
    key_name: String,
    security_groups: Vec<String>,
    #[serde(rename = "ClassicLinkVPCSecurityGroups")]
    classic_link_vpc_security_groups: [String; 0],
    user_data: String,
    instance_type: String,
    kernel_id: &'static str,
    ramdisk_id: &'static str,
    block_device_mappings: Vec<BlockDeviceMapping>,
    instance_monitoring: InstanceMonitoring,
    spot_price: Option<String>,
    iam_instance_profile: Option<String>,
    created_time: wire::Timestamp,
    ebs_optimized: bool,
    associate_public_ip_address: Option<bool>,
    placement_tenancy: Option<&'static str>,
    metadata_options: Option<MetadataOptions>,
}

pub fn describe(
    ctx: &mut Ctx,
    input: DescribeLaunchConfigurations,
) -> Result<LaunchConfigurations> {
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let names = &input.launch_configuration_names;
    let wanted = owned(ctx).filter(|c| names.is_empty() || names.contains(&c.name));
    let (found, next_token) = page.of(wanted, |c| c.name.clone());
    Ok(LaunchConfigurations {
        launch_configurations: found.into_iter().map(|c| shape(c)).collect::<Result<_>>()?,
        next_token,
    })
}

fn shape(configuration: &LaunchConfiguration) -> Result<Shape> {
    let data = LaunchTemplateData::load(&configuration.data)?;
    let spot = data.instance_market_options.and_then(|m| m.spot_options);
    let profile = data.iam_instance_profile;
    Ok(Shape {
        launch_configuration_name: configuration.name.clone(),
        launch_configuration_arn: configuration.arn.clone(),
        image_id: data.image_id.unwrap_or_default(),
        // Empty rather than absent on AWS: these are as old as the API.
        key_name: data.key_name.unwrap_or_default(),
        security_groups: [data.security_group_ids, data.security_groups].concat(),
        classic_link_vpc_security_groups: [],
        user_data: data.user_data.unwrap_or_default(),
        instance_type: data.instance_type.unwrap_or_default(),
        kernel_id: "",
        ramdisk_id: "",
        block_device_mappings: data
            .block_device_mappings
            .into_iter()
            .map(BlockDeviceMapping::described)
            .collect(),
        instance_monitoring: InstanceMonitoring {
            enabled: data.monitoring.and_then(|m| m.enabled),
        },
        spot_price: spot.and_then(|s| s.max_price),
        iam_instance_profile: profile.and_then(|p| p.name.or(p.arn)),
        created_time: configuration.created.into(),
        ebs_optimized: data.ebs_optimized.unwrap_or(false),
        associate_public_ip_address: configuration.associate_public_ip,
        placement_tenancy: data.placement.and_then(|p| p.tenancy).map(Tenancy::name),
        metadata_options: data.metadata_options.map(|m| MetadataOptions {
            http_tokens: m.http_tokens,
            http_put_response_hop_limit: m.http_put_response_hop_limit,
            http_endpoint: m.http_endpoint,
        }),
    })
}
