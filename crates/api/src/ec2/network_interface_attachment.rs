//! Attaching a network interface to an instance, and detaching it.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, invalid_value, refuse,
};
use super::network_interface::of_instance;
use super::resource::{find, owned};
use super::{Done, done};
use crate::Ctx;
use model::AttachmentId;
use model::instance::{Instance, InstanceState};
use model::instance_type::{self, InstanceType};
use model::vpc::{Attachment, NetworkInterface, Subnet};
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
    if let Some(kind) = instance_type::find(&instance.instance_type) {
        check_interfaces(kind, attached.len() + 1)?;
        check_addresses(kind, interface.private_ips.len())?;
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

/// Whether instances of a type have so many interfaces.
pub(super) fn check_interfaces(kind: &InstanceType, count: usize) -> Result<()> {
    if count > kind.maximum_interfaces as usize {
        return Err(error(
            "AttachmentLimitExceeded",
            format!(
                "Interface count {count} exceeds the limit for {}",
                kind.name
            ),
        ));
    }
    Ok(())
}

/// Whether an interface of such an instance has so many IPv4 addresses, the primary one among them.
pub(super) fn check_addresses(kind: &InstanceType, count: usize) -> Result<()> {
    let most = kind.addresses_per_interface as usize;
    if count > most {
        return Err(error(
            "PrivateIpAddressLimitExceeded",
            format!("Number of private addresses will exceed limit of {most} per interface."),
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DetachNetworkInterface {
    attachment_id: String,
    /// Detaching here never waits for the guest, so force changes nothing.
    #[serde(rename = "Force")]
    #[serde(default, deserialize_with = "wire::validated")]
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
