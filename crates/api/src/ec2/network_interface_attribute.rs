//! Attributes of a network interface, changed and described one by one.

use super::address::not_yours;
use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, missing, refuse, required,
};
use super::network_interface::groups;
use super::network_interface_shape::{self as shape, AttachmentShape, GroupIdentifier};
use super::resource::find;
use super::vpc_attribute::AttributeBooleanValue;
use super::{Done, done};
use crate::Ctx;
use model::vpc::{NetworkInterface, Vpc};
use serde::{Deserialize, Serialize};

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
pub(super) fn find_own(ctx: &Ctx, id: &str) -> Result<NetworkInterface> {
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
