//! What can change about a network interface: attributes, attachment, secondary addresses.

use super::address::{self, not_yours};
use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, invalid_value, missing, refuse,
    required,
};
use super::network_interface::{groups, of_instance};
use super::network_interface_shape::{self as shape, AttachmentShape, GroupIdentifier};
use super::resource::{find, owned};
use super::vpc::AttributeBooleanValue;
use super::{Done, cidr, done, private_address};
use crate::Ctx;
use model::AttachmentId;
use model::instance::{Instance, InstanceState};
use model::vpc::{Attachment, NetworkInterface, Subnet, Vpc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachNetworkInterface {
    network_interface_id: String,
    instance_id: String,
    device_index: i64,
    network_card_index: Option<i64>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachedNetworkInterface {
    attachment_id: String,
    network_card_index: u8,
}

pub fn attach(ctx: &mut Ctx, input: AttachNetworkInterface) -> Result<AttachedNetworkInterface> {
    let interface = find::<NetworkInterface>(ctx, &input.network_interface_id)?;
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    refuse(
        &input.network_card_index.filter(|n| *n != 0),
        "NetworkCardIndex",
    )?;
    let index = input.device_index;
    let Some(device_index) = u8::try_from(index).ok().filter(|n| *n < 16) else {
        return Err(invalid_parameter(
            index,
            "deviceIndex",
            "The instance has no such device.",
        ));
    };
    if interface.attachment.is_some() || interface.requester.is_some() {
        return Err(invalid_value(format!(
            "Network interface '{}' is currently in use.",
            interface.id
        )));
    }
    if !matches!(
        instance.state,
        InstanceState::Running | InstanceState::Stopped
    ) {
        return Err(error(
            "IncorrectState",
            format!("Instance '{}' is not 'running' or 'stopped'.", instance.id),
        ));
    }
    let subnet = find::<Subnet>(ctx, interface.subnet.as_str())?;
    if subnet.zone != instance.zone {
        return Err(invalid_combination(
            "You may not attach a network interface to an instance if they are not in the same availability zone",
        ));
    }
    let attached = of_instance(&ctx.tx, &instance.id);
    let has = |i: &Arc<NetworkInterface>| {
        let attachment = i.attachment.as_ref();
        attachment.is_some_and(|a| a.device_index == device_index)
    };
    if attached.iter().any(has) {
        return Err(invalid_value(format!(
            "Instance '{}' already has an interface attached at device index '{index}'.",
            instance.id
        )));
    }
    dry_run(input.dry_run)?;
    let attachment = Attachment {
        id: AttachmentId::random(),
        instance: instance.id.clone(),
        device_index,
        delete_on_termination: false,
        attached: ctx.now,
    };
    let attachment_id = attachment.id.to_string();
    ctx.tx
        .modify::<NetworkInterface>(&interface.id, |i| i.attachment = Some(attachment));
    Ok(AttachedNetworkInterface {
        attachment_id,
        network_card_index: 0,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DetachNetworkInterface {
    attachment_id: String,
    /// Detaching here never waits for the guest, so force changes nothing.
    #[serde(rename = "Force")]
    _force: Option<bool>,
    dry_run: Option<bool>,
}

pub fn detach(ctx: &mut Ctx, input: DetachNetworkInterface) -> Result<Done> {
    let id = &input.attachment_id;
    if id.starts_with("ela-attach-") {
        return Err(error(
            "OperationNotPermitted",
            "You are not allowed to manage 'ela-attach' attachments.",
        ));
    }
    let holder = owned::<NetworkInterface>(&ctx.tx, &ctx.scope)
        .find(|i| i.attachment.as_ref().is_some_and(|a| a.id.as_str() == id));
    let Some(interface) = holder.cloned() else {
        return Err(error(
            "InvalidAttachmentID.NotFound",
            format!("The attachment '{id}' does not exist"),
        ));
    };
    if interface
        .attachment
        .as_ref()
        .is_some_and(|a| a.device_index == 0)
    {
        return Err(error(
            "OperationNotPermitted",
            "The network interface at device index 0 cannot be detached.",
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx
        .modify::<NetworkInterface>(&interface.id, |i| i.attachment = None);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyNetworkInterfaceAttribute {
    network_interface_id: String,
    description: Option<AttributeValue>,
    source_dest_check: Option<AttributeBooleanValue>,
    #[serde(default)]
    security_group_id: Vec<String>,
    attachment: Option<AttachmentChanges>,
    enable_primary_ipv6: Option<bool>,
    associate_public_ip_address: Option<bool>,
    dry_run: Option<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
pub struct AttributeValue {
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttachmentChanges {
    attachment_id: Option<String>,
    delete_on_termination: Option<bool>,
}

/// An interface of the caller's own making.
fn find_own(ctx: &Ctx, id: &str) -> Result<NetworkInterface> {
    let interface = find::<NetworkInterface>(ctx, id)?;
    match interface.requester {
        Some(_) => Err(not_yours()),
        None => Ok(NetworkInterface::clone(&interface)),
    }
}

/// One attribute a call, as on AWS.
pub fn modify(ctx: &mut Ctx, input: ModifyNetworkInterfaceAttribute) -> Result<Done> {
    super::error::refuse_ipv6(input.enable_primary_ipv6)?;
    refuse(
        &input.associate_public_ip_address,
        "AssociatePublicIpAddress",
    )?;
    let mut interface = find_own(ctx, &input.network_interface_id)?;
    let mut given = 0;
    if let Some(description) = input.description {
        interface.description = description.value.unwrap_or_default();
        given += 1;
    }
    if let Some(check) = input.source_dest_check {
        interface.source_dest_check = required(check.value, "Value")?;
        given += 1;
    }
    if !input.security_group_id.is_empty() {
        let vpc = find::<Vpc>(ctx, interface.vpc.as_str())?;
        interface.security_groups = groups(ctx, &vpc, &input.security_group_id)?;
        given += 1;
    }
    if let Some(changes) = input.attachment {
        let id = required(changes.attachment_id, "attachment.attachmentId")?;
        match &mut interface.attachment {
            Some(attachment) if attachment.id.as_str() == id => {
                attachment.delete_on_termination = required(
                    changes.delete_on_termination,
                    "attachment.deleteOnTermination",
                )?;
            }
            _ => {
                return Err(error(
                    "InvalidAttachmentID.NotFound",
                    format!("The attachment '{id}' does not exist"),
                ));
            }
        }
        given += 1;
    }
    match given {
        0 => return Err(missing("attribute")),
        1 => {}
        _ => {
            return Err(invalid_combination(
                "Only one attribute can be modified in one request.",
            ));
        }
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(interface);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeNetworkInterfaceAttribute {
    network_interface_id: String,
    attribute: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterfaceAttribute {
    network_interface_id: String,
    description: Option<AttributeValue>,
    source_dest_check: Option<AttributeBooleanValue>,
    group_set: Option<Vec<GroupIdentifier>>,
    attachment: Option<AttachmentShape>,
}

pub fn describe(
    ctx: &mut Ctx,
    input: DescribeNetworkInterfaceAttribute,
) -> Result<NetworkInterfaceAttribute> {
    let interface = find::<NetworkInterface>(ctx, &input.network_interface_id)?;
    let mut answer = NetworkInterfaceAttribute {
        network_interface_id: interface.id.to_string(),
        ..NetworkInterfaceAttribute::default()
    };
    match required(input.attribute.as_deref(), "attribute")? {
        "description" => {
            answer.description = Some(AttributeValue {
                value: Some(interface.description.clone()),
            });
        }
        "sourceDestCheck" => {
            answer.source_dest_check = AttributeBooleanValue::new(interface.source_dest_check);
        }
        "groupSet" => {
            answer.group_set = Some(shape::groups(&ctx.tx, &interface.security_groups));
        }
        "attachment" => answer.attachment = shape::attachment(&interface),
        other => {
            return Err(invalid_parameter(
                other,
                "attribute",
                "Unknown network interface attribute.",
            ));
        }
    }
    dry_run(input.dry_run)?;
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResetNetworkInterfaceAttribute {
    network_interface_id: String,
    source_dest_check: Option<String>,
    dry_run: Option<bool>,
}

pub fn reset(ctx: &mut Ctx, input: ResetNetworkInterfaceAttribute) -> Result<Done> {
    let interface = find_own(ctx, &input.network_interface_id)?;
    required(input.source_dest_check, "sourceDestCheck")?;
    dry_run(input.dry_run)?;
    ctx.tx
        .modify::<NetworkInterface>(&interface.id, |i| i.source_dest_check = true);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssignPrivateIpAddresses {
    network_interface_id: String,
    #[serde(default)]
    private_ip_address: Vec<String>,
    secondary_private_ip_address_count: Option<i64>,
    allow_reassignment: Option<bool>,
    ipv4_prefix_count: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPrivateIpAddresses {
    r#return: bool,
    network_interface_id: String,
    assigned_private_ip_addresses_set: Vec<AssignedPrivateIpAddress>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssignedPrivateIpAddress {
    private_ip_address: String,
}

pub fn assign_private_ips(
    ctx: &mut Ctx,
    input: AssignPrivateIpAddresses,
) -> Result<AssignedPrivateIpAddresses> {
    refuse(
        &input.ipv4_prefix_count.filter(|n| *n > 0),
        "Ipv4PrefixCount",
    )?;
    let mut interface = find_own(ctx, &input.network_interface_id)?;
    let subnet = find::<Subnet>(ctx, interface.subnet.as_str())?;
    let count = input.secondary_private_ip_address_count;
    let new = match (input.private_ip_address.is_empty(), count) {
        (true, Some(count)) => {
            let count = usize::try_from(count).ok().filter(|n| (1..256).contains(n));
            let why = "Expecting a number greater than 0.";
            let count = count.ok_or_else(|| {
                invalid_parameter(
                    input.secondary_private_ip_address_count.unwrap_or_default(),
                    "secondaryPrivateIpAddressCount",
                    why,
                )
            })?;
            private_address::take(&ctx.tx, &subnet, count)?
        }
        (false, None) => {
            let mut ips = Vec::new();
            for text in &input.private_ip_address {
                let ip = cidr::address(text, "privateIpAddress")?;
                if input.allow_reassignment == Some(true) {
                    take_from_others(ctx, &subnet, &interface, ip)?;
                }
                // Assigned already: nothing to do, as on AWS.
                if interface.private_ips.contains(&ip) || ips.contains(&ip) {
                    continue;
                }
                private_address::check(&ctx.tx, &subnet, ip)?;
                ips.push(ip);
            }
            ips
        }
        (true, None) => return Err(missing("secondaryPrivateIpAddressCount")),
        (false, Some(_)) => {
            return Err(invalid_combination(
                "The parameter secondaryPrivateIpAddressCount may not be combined with privateIpAddress.",
            ));
        }
    };
    let answer = AssignedPrivateIpAddresses {
        r#return: true,
        network_interface_id: interface.id.to_string(),
        assigned_private_ip_addresses_set: new
            .iter()
            .map(|ip| AssignedPrivateIpAddress {
                private_ip_address: ip.to_string(),
            })
            .collect(),
    };
    interface.private_ips.extend(new);
    ctx.tx.put(interface);
    Ok(answer)
}

/// Takes a secondary address off another interface of the subnet that has it.
fn take_from_others(
    ctx: &mut Ctx,
    subnet: &Subnet,
    interface: &NetworkInterface,
    ip: std::net::Ipv4Addr,
) -> Result<()> {
    let holder = owned::<NetworkInterface>(&ctx.tx, &ctx.scope)
        .find(|i| i.subnet == subnet.id && i.id != interface.id && i.private_ips.contains(&ip))
        .cloned();
    let Some(holder) = holder else {
        return Ok(());
    };
    if holder.primary_ip() == ip || holder.requester.is_some() {
        return Err(invalid_parameter(
            ip,
            "privateIpAddress",
            "A primary address cannot be reassigned.",
        ));
    }
    address::disassociate_all(&mut ctx.tx, &holder, &[ip]);
    ctx.tx
        .modify::<NetworkInterface>(&holder.id, |i| i.private_ips.retain(|p| *p != ip));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UnassignPrivateIpAddresses {
    network_interface_id: String,
    #[serde(default)]
    private_ip_address: Vec<String>,
}

pub fn unassign_private_ips(ctx: &mut Ctx, input: UnassignPrivateIpAddresses) -> Result<Done> {
    let mut interface = find_own(ctx, &input.network_interface_id)?;
    if input.private_ip_address.is_empty() {
        return Err(missing("privateIpAddress"));
    }
    for text in &input.private_ip_address {
        let ip = cidr::address(text, "privateIpAddress")?;
        let at = interface.private_ips.iter().position(|p| *p == ip);
        match at {
            Some(0) => {
                return Err(invalid_parameter(
                    ip,
                    "privateIpAddress",
                    "The primary address cannot be unassigned.",
                ));
            }
            Some(at) => {
                address::disassociate_all(&mut ctx.tx, &interface, &[ip]);
                interface.private_ips.remove(at);
            }
            None => {
                return Err(invalid_parameter(
                    ip,
                    "privateIpAddress",
                    &format!("It is not an address of interface {}.", interface.id),
                ));
            }
        }
    }
    ctx.tx.put(interface);
    done()
}
