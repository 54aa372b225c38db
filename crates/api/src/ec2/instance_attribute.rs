//! Single attributes of an instance: described, modified, reset.

use super::error::{Result, dry_run, error, invalid_combination, invalid_parameter, refuse};
use super::instance_shape::{self, BlockDevice};
use super::launch_template_data::{ShutdownBehavior, decode_user_data};
use super::network_interface::of_instance;
use super::network_interface_attachment::{check_addresses, check_interfaces};
use super::network_interface_shape::{GroupIdentifier, groups};
use super::resource::find;
use super::vpc_attribute::AttributeBooleanValue;
use super::{Done, done};
use crate::Ctx;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::instance::{Instance, InstanceState, Volume};
use model::instance_type::{self, InstanceType};
use model::vpc::{NetworkInterface, SecurityGroup};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceAttribute {
    instance_id: String,
    attribute: String,
    dry_run: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
pub struct AttributeValue {
    value: Option<String>,
}

impl AttributeValue {
    fn new(value: impl ToString) -> Option<Self> {
        Some(Self {
            value: Some(value.to_string()),
        })
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceAttribute {
    instance_id: String,
    instance_type: Option<AttributeValue>,
    kernel: Option<AttributeValue>,
    ramdisk: Option<AttributeValue>,
    user_data: Option<AttributeValue>,
    disable_api_termination: Option<AttributeBooleanValue>,
    disable_api_stop: Option<AttributeBooleanValue>,
    instance_initiated_shutdown_behavior: Option<AttributeValue>,
    root_device_name: Option<AttributeValue>,
    block_device_mapping: Option<Vec<BlockDevice<String>>>,
    product_codes: Option<Vec<()>>,
    source_dest_check: Option<AttributeBooleanValue>,
    group_set: Option<Vec<GroupIdentifier>>,
    ebs_optimized: Option<AttributeBooleanValue>,
    sriov_net_support: Option<AttributeValue>,
    ena_support: Option<AttributeBooleanValue>,
    enclave_options: Option<EnclaveOptions>,
}

#[derive(Serialize)]
struct EnclaveOptions {
    enabled: bool,
}

pub fn describe(ctx: &mut Ctx, input: DescribeInstanceAttribute) -> Result<InstanceAttribute> {
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    dry_run(input.dry_run)?;
    let primary = instance_shape::interfaces(&ctx.tx.network_interfaces, &instance.id);
    let primary = primary.first().copied();
    let boolean = AttributeBooleanValue::new;
    let text = |value: &str| AttributeValue::new(value);
    // What is not set is an attribute without a value.
    let unset = || Some(AttributeValue::default());
    let mut answer = InstanceAttribute {
        instance_id: instance.id.to_string(),
        ..InstanceAttribute::default()
    };
    match input.attribute.as_str() {
        "instanceType" => answer.instance_type = text(&instance.instance_type),
        "kernel" => answer.kernel = unset(),
        "ramdisk" => answer.ramdisk = unset(),
        "userData" => {
            answer.user_data = Some(AttributeValue {
                value: instance
                    .user_data
                    .as_ref()
                    .map(|bytes| STANDARD.encode(bytes)),
            });
        }
        "disableApiTermination" => {
            answer.disable_api_termination = boolean(instance.disable_api_termination);
        }
        "disableApiStop" => answer.disable_api_stop = boolean(instance.disable_api_stop),
        "instanceInitiatedShutdownBehavior" => {
            answer.instance_initiated_shutdown_behavior = text(&instance.shutdown_behavior);
        }
        "rootDeviceName" => answer.root_device_name = text(&instance.root_device),
        "blockDeviceMapping" => {
            answer.block_device_mapping =
                Some(instance_shape::block_devices(&ctx.tx.volumes, &instance));
        }
        "productCodes" => answer.product_codes = Some(Vec::new()),
        "sourceDestCheck" => {
            answer.source_dest_check = boolean(primary.is_none_or(|p| p.source_dest_check));
        }
        "groupSet" => {
            let groups = primary.map(|p| groups(&ctx.tx, &p.security_groups));
            answer.group_set = Some(groups.unwrap_or_default());
        }
        "ebsOptimized" => answer.ebs_optimized = boolean(instance.ebs_optimized),
        "sriovNetSupport" => answer.sriov_net_support = text("simple"),
        "enaSupport" => answer.ena_support = boolean(true),
        "enclaveOptions" => {
            answer.enclave_options = Some(EnclaveOptions {
                enabled: instance.enclave,
            });
        }
        other => return Err(unknown(other)),
    }
    Ok(answer)
}

fn unknown(attribute: &str) -> wire::ApiError {
    invalid_parameter(attribute, "attribute", "Unknown instance attribute.")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyInstanceAttribute {
    instance_id: String,
    /// The older form: a name and a value.
    attribute: Option<String>,
    value: Option<String>,
    instance_type: Option<AttributeValue>,
    user_data: Option<AttributeValue>,
    disable_api_termination: Option<AttributeBooleanValue>,
    disable_api_stop: Option<AttributeBooleanValue>,
    instance_initiated_shutdown_behavior: Option<AttributeValue>,
    source_dest_check: Option<AttributeBooleanValue>,
    #[serde(default)]
    group_id: Vec<String>,
    #[serde(default)]
    block_device_mapping: Vec<BlockDeviceChange>,
    ebs_optimized: Option<AttributeBooleanValue>,
    ena_support: Option<AttributeBooleanValue>,
    sriov_net_support: Option<AttributeValue>,
    kernel: Option<AttributeValue>,
    ramdisk: Option<AttributeValue>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BlockDeviceChange {
    device_name: Option<String>,
    ebs: Option<EbsChange>,
    no_device: Option<String>,
    virtual_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EbsChange {
    delete_on_termination: Option<bool>,
    volume_id: Option<String>,
}

impl ModifyInstanceAttribute {
    /// Turns the older form into the newer one.
    fn named(mut self) -> Result<Self> {
        let Some(attribute) = self.attribute.take() else {
            return Ok(self);
        };
        let value = self.value.take();
        let text = AttributeValue {
            value: value.clone(),
        };
        let flag = || match value.as_deref() {
            Some("true") => Ok(AttributeBooleanValue::new(true)),
            Some("false") => Ok(AttributeBooleanValue::new(false)),
            _ => Err(invalid_parameter(
                value.as_deref().unwrap_or_default(),
                "value",
                "It must be true or false.",
            )),
        };
        match attribute.as_str() {
            "instanceType" => self.instance_type = Some(text),
            "userData" => self.user_data = Some(text),
            "kernel" => self.kernel = Some(text),
            "ramdisk" => self.ramdisk = Some(text),
            "sriovNetSupport" => self.sriov_net_support = Some(text),
            "instanceInitiatedShutdownBehavior" => {
                self.instance_initiated_shutdown_behavior = Some(text);
            }
            "disableApiTermination" => self.disable_api_termination = flag()?,
            "disableApiStop" => self.disable_api_stop = flag()?,
            "sourceDestCheck" => self.source_dest_check = flag()?,
            "ebsOptimized" => self.ebs_optimized = flag()?,
            "enaSupport" => self.ena_support = flag()?,
            // Their values come in members of their own.
            "groupSet" | "blockDeviceMapping" => {}
            other => return Err(unknown(other)),
        }
        Ok(self)
    }
}

/// Whether another type holds the interfaces and addresses that a stopped instance has.
///
/// Assumption: refused here, as attaching one too many is. Sources name the limits, and not where
/// a change of the type meets them.
fn check_network(ctx: &Ctx, instance: &Instance, kind: &InstanceType) -> Result<()> {
    let interfaces = of_instance(&ctx.tx, &instance.id);
    check_interfaces(kind, interfaces.len())?;
    let mut addresses = interfaces.iter().map(|i| i.private_ips.len());
    addresses.try_for_each(|count| check_addresses(kind, count))
}

pub fn modify(ctx: &mut Ctx, input: ModifyInstanceAttribute) -> Result<Done> {
    let input = input.named()?;
    let mut instance = Instance::clone(&*find::<Instance>(ctx, &input.instance_id)?);
    refuse(&input.kernel, "Kernel")?;
    refuse(&input.ramdisk, "Ramdisk")?;
    if let Some(flag) = input.disable_api_termination.and_then(|a| a.value) {
        instance.disable_api_termination = flag;
    }
    if let Some(flag) = input.disable_api_stop.and_then(|a| a.value) {
        instance.disable_api_stop = flag;
    }
    if let Some(behavior) = &input.instance_initiated_shutdown_behavior {
        let value = behavior.value.as_deref().unwrap_or_default();
        let known = [ShutdownBehavior::Stop, ShutdownBehavior::Terminate];
        if !known.iter().any(|b| b.name() == value) {
            return Err(invalid_parameter(
                value,
                "instanceInitiatedShutdownBehavior",
                "It must be stop or terminate.",
            ));
        }
        instance.shutdown_behavior = value.to_owned();
    }
    if let Some(kind) = &input.instance_type {
        let name = kind.value.as_deref().unwrap_or_default();
        let Some(found) = instance_type::find(name) else {
            return Err(super::error::invalid_value(format!(
                "Invalid value '{name}' for InstanceType."
            )));
        };
        if found.architecture.name() != instance.architecture {
            return Err(super::error::invalid_value(format!(
                "The architecture '{}' of the specified instance type does not match the architecture '{}' of the instance.",
                found.architecture.name(),
                instance.architecture
            )));
        }
        require_stopped(&instance)?;
        check_network(ctx, &instance, found)?;
        instance.instance_type = name.to_owned();
        instance.cpu_options = (
            found.vcpus / found.threads_per_core.max(1),
            found.threads_per_core,
        );
        let credits = found.burst.map(|burst| burst.default_option.to_owned());
        instance.cpu_credits =
            credits.map(|default| instance.cpu_credits.take().unwrap_or(default));
    }
    if let Some(user_data) = &input.user_data {
        require_stopped(&instance)?;
        let text = user_data.value.as_deref().unwrap_or_default();
        let bytes = decode_user_data(text)?;
        instance.user_data = Some(bytes).filter(|b| !b.is_empty());
    }
    if let Some(flag) = input.ebs_optimized.and_then(|a| a.value) {
        require_stopped(&instance)?;
        instance.ebs_optimized = flag;
    }
    let turned_off = input.ena_support.and_then(|a| a.value) == Some(false);
    let other_sriov = input
        .sriov_net_support
        .and_then(|a| a.value)
        .is_some_and(|v| v != "simple");
    if turned_off || other_sriov {
        return Err(invalid_combination(
            "Enhanced networking cannot be turned off for an instance.",
        ));
    }
    let volumes = volume_changes(ctx, &instance, &input.block_device_mapping)?;
    let interface = interface_change(
        ctx,
        &instance,
        input.source_dest_check.and_then(|a| a.value),
        &input.group_id,
    )?;
    dry_run(input.dry_run)?;
    ctx.tx.put(instance);
    for volume in volumes {
        ctx.tx.put(volume);
    }
    if let Some(interface) = interface {
        ctx.tx.put(interface);
    }
    done()
}

fn require_stopped(instance: &Instance) -> Result<()> {
    if instance.state == InstanceState::Stopped {
        return Ok(());
    }
    Err(error(
        "IncorrectInstanceState",
        format!(
            "The instance '{}' is not in the 'stopped' state.",
            instance.id
        ),
    ))
}

/// The volumes whose fate at termination changes.
fn volume_changes(
    ctx: &Ctx,
    instance: &Instance,
    changes: &[BlockDeviceChange],
) -> Result<Vec<Volume>> {
    let mut changed = Vec::with_capacity(changes.len());
    for change in changes {
        refuse(&change.no_device, "BlockDeviceMapping.NoDevice")?;
        refuse(&change.virtual_name, "BlockDeviceMapping.VirtualName")?;
        let Some(device) = &change.device_name else {
            return Err(super::error::missing("BlockDeviceMapping.DeviceName"));
        };
        let mut volumes = ctx.tx.volumes.of(&instance.id);
        let found = volumes.find(|v| v.attachment.as_ref().is_some_and(|a| a.device == *device));
        let given = change.ebs.as_ref();
        let named = given.and_then(|e| e.volume_id.as_deref());
        let Some(volume) = found.filter(|v| named.is_none_or(|id| id == v.id.as_str())) else {
            return Err(error(
                "InvalidInstanceAttributeValue",
                format!("No device is currently mapped at {device}"),
            ));
        };
        let mut volume = Volume::clone(volume);
        if let (Some(attachment), Some(delete)) = (
            &mut volume.attachment,
            given.and_then(|e| e.delete_on_termination),
        ) {
            attachment.delete_on_termination = delete;
        }
        changed.push(volume);
    }
    Ok(changed)
}

/// The primary interface, where its check or its groups change.
fn interface_change(
    ctx: &Ctx,
    instance: &Instance,
    source_dest_check: Option<bool>,
    groups: &[String],
) -> Result<Option<NetworkInterface>> {
    if source_dest_check.is_none() && groups.is_empty() {
        return Ok(None);
    }
    let mut interfaces = super::network_interface::of_instance(&ctx.tx, &instance.id);
    if interfaces.len() > 1 {
        return Err(error(
            "InvalidInstanceID",
            format!(
                "There are multiple interfaces attached to instance '{}'. Please specify an interface ID for the operation instead.",
                instance.id
            ),
        ));
    }
    let Some(interface) = interfaces.pop() else {
        return Ok(None);
    };
    let mut interface = NetworkInterface::clone(&interface);
    if let Some(check) = source_dest_check {
        interface.source_dest_check = check;
    }
    if !groups.is_empty() {
        interface.security_groups.clear();
    }
    for id in groups {
        let group = find::<SecurityGroup>(ctx, id)?;
        if group.vpc != interface.vpc {
            return Err(error(
                "InvalidGroup.NotFound",
                format!(
                    "The security group '{id}' does not exist in VPC '{}'",
                    interface.vpc
                ),
            ));
        }
        if !interface.security_groups.contains(&group.id) {
            interface.security_groups.push(group.id.clone());
        }
    }
    Ok(Some(interface))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResetInstanceAttribute {
    instance_id: String,
    attribute: String,
    dry_run: Option<bool>,
}

/// `kernel` and `ramdisk` are as they were anyway.
pub fn reset(ctx: &mut Ctx, input: ResetInstanceAttribute) -> Result<Done> {
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    let interface = match input.attribute.as_str() {
        "kernel" | "ramdisk" => None,
        "sourceDestCheck" => interface_change(ctx, &instance, Some(true), &[])?,
        other => return Err(unknown(other)),
    };
    dry_run(input.dry_run)?;
    if let Some(interface) = interface {
        ctx.tx.put(interface);
    }
    done()
}
