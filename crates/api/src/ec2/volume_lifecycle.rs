//! Volumes beside those that instances bring: made, attached, detached, deleted.
//!
//! They are records: no block device appears in an instance, which an event says when one is
//! attached. Made from a snapshot they are refused, since there are none.

use super::error::{
    Result, dry_run, error, invalid_dependency, invalid_parameter, invalid_value, missing, refuse,
    required,
};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, availability_zone, done, ebs_default};
use crate::{Ctx, kms};
use model::VolumeId;
use model::event::Severity;
use model::instance::{Instance, InstanceState, Volume, VolumeAttachment};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateVolume {
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    size: Option<u32>,
    volume_type: Option<String>,
    iops: Option<u32>,
    throughput: Option<u32>,
    encrypted: Option<bool>,
    kms_key_id: Option<String>,
    snapshot_id: Option<String>,
    outpost_arn: Option<String>,
    multi_attach_enabled: Option<bool>,
    volume_initialization_rate: Option<u32>,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

/// A new volume, in members of the call itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedVolume {
    volume_id: String,
    size: u32,
    snapshot_id: String,
    availability_zone: String,
    status: &'static str,
    create_time: Timestamp,
    volume_type: String,
    iops: Option<u32>,
    throughput: Option<u32>,
    encrypted: bool,
    kms_key_id: Option<String>,
    multi_attach_enabled: bool,
    tag_set: Vec<Tag>,
}

fn created(volume: &Volume) -> CreatedVolume {
    CreatedVolume {
        volume_id: volume.id.to_string(),
        size: volume.size,
        snapshot_id: String::new(),
        availability_zone: volume.zone.clone(),
        status: "creating",
        create_time: volume.created.into(),
        volume_type: volume.volume_type.clone(),
        iops: volume.iops,
        throughput: volume.throughput,
        encrypted: volume.encrypted,
        kms_key_id: volume.kms_key.clone(),
        multi_attach_enabled: false,
        tag_set: tag::list(&volume.tags),
    }
}

/// Least and most size in GiB of a type, and least, most and default IOPS where they are chosen.
struct Limits {
    size: (u32, u32),
    iops: Option<(u32, u32, Option<u32>)>,
}

fn limits(kind: &str) -> Option<Limits> {
    Some(match kind {
        "gp3" => Limits {
            size: (1, 65_536),
            iops: Some((3000, 80_000, Some(3000))),
        },
        "gp2" => Limits {
            size: (1, 16_384),
            iops: None,
        },
        "io1" => Limits {
            size: (4, 16_384),
            iops: Some((100, 64_000, None)),
        },
        "io2" => Limits {
            size: (4, 65_536),
            iops: Some((100, 256_000, None)),
        },
        "st1" | "sc1" => Limits {
            size: (125, 16_384),
            iops: None,
        },
        "standard" => Limits {
            size: (1, 1024),
            iops: None,
        },
        _ => return None,
    })
}

/// What a general purpose volume of that size does without being asked.
fn gp2_iops(size: u32) -> u32 {
    (size * 3).clamp(100, 16_000)
}

pub fn create(ctx: &mut Ctx, input: CreateVolume) -> Result<CreatedVolume> {
    refuse(&input.snapshot_id.filter(|s| !s.is_empty()), "SnapshotId")?;
    refuse(&input.outpost_arn, "OutpostArn")?;
    refuse(
        &input.volume_initialization_rate,
        "VolumeInitializationRate",
    )?;
    refuse(
        &input.multi_attach_enabled.filter(|on| *on),
        "MultiAttachEnabled",
    )?;
    let zone = availability_zone::choose(ctx, input.availability_zone, input.availability_zone_id)?;
    let zone = required(zone, "availabilityZone")?;
    let size = required(input.size, "size")?;
    let kind = input.volume_type.unwrap_or_else(|| "gp2".into());
    let Some(limits) = limits(&kind) else {
        return Err(invalid_parameter(
            kind,
            "volumeType",
            "Unknown volume type.",
        ));
    };
    let (least, most) = limits.size;
    if !(least..=most).contains(&size) {
        return Err(invalid_parameter(
            size,
            "size",
            &format!("A volume of type {kind} has from {least} to {most} GiB."),
        ));
    }
    let iops = iops(&kind, size, input.iops, &limits)?;
    let throughput = match (kind.as_str(), input.throughput) {
        ("gp3", given) => Some(given.unwrap_or(125)),
        (_, Some(_)) => {
            return Err(invalid_dependency(format!(
                "The parameter Throughput is not supported for {kind} volumes."
            )));
        }
        (_, None) => None,
    };
    if throughput.is_some_and(|t| !(125..=2000).contains(&t)) {
        return Err(invalid_value(
            "The throughput of a gp3 volume is from 125 to 2000 MiB/s.",
        ));
    }
    let defaults = ebs_default::of(&ctx.tx, &ctx.scope);
    let encrypted = input.encrypted.unwrap_or(false) || defaults.ebs_encryption;
    if input.kms_key_id.is_some() && !encrypted {
        return Err(invalid_dependency(
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        ));
    }
    let tags = tag::of(&input.tag_specification, Volume::TYPE)?;
    let same = super::idempotent::<Volume>(
        ctx,
        input.client_token.as_deref(),
        |v| v.client_token.as_deref(),
        |v| v.zone == zone && v.size == size && v.volume_type == kind,
    )?;
    dry_run(input.dry_run)?;
    if let Some(made) = same {
        return Ok(created(&made));
    }
    let kms_key = input.kms_key_id.or(defaults.ebs_kms_key);
    let kms_key = encrypted
        .then(|| kms::of_volume(&mut ctx.tx, &ctx.scope, ctx.now, kms_key.as_deref()))
        .transpose()?;
    let volume = Volume {
        id: VolumeId::random(),
        scope: ctx.scope.clone(),
        zone,
        size,
        volume_type: kind,
        iops,
        throughput,
        encrypted,
        kms_key,
        snapshot: None,
        attachment: None,
        client_token: input.client_token,
        created: ctx.now,
        tags,
    };
    let answer = created(&volume);
    ctx.tx.put(volume);
    Ok(answer)
}

fn iops(kind: &str, size: u32, given: Option<u32>, limits: &Limits) -> Result<Option<u32>> {
    let Some((least, most, default)) = limits.iops else {
        return match given {
            Some(_) => Err(error(
                "InvalidParameterCombination",
                format!("The parameter iops is not supported for {kind} volumes."),
            )),
            None if kind == "gp2" => Ok(Some(gp2_iops(size))),
            None => Ok(None),
        };
    };
    let Some(iops) = given.or(default) else {
        return Err(missing("iops"));
    };
    if !(least..=most).contains(&iops) {
        return Err(invalid_parameter(
            iops,
            "iops",
            &format!("A volume of type {kind} has from {least} to {most} IOPS."),
        ));
    }
    Ok(Some(iops))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteVolume {
    volume_id: String,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteVolume) -> Result<Done> {
    let volume = find::<Volume>(ctx, &input.volume_id)?;
    if let Some(attachment) = &volume.attachment {
        return Err(error(
            "VolumeInUse",
            format!(
                "Volume {} is currently attached to {}",
                volume.id, attachment.instance
            ),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<Volume>(&volume.id);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachVolume {
    volume_id: String,
    instance_id: String,
    device: String,
    ebs_card_index: Option<u32>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    volume_id: String,
    instance_id: String,
    device: String,
    status: &'static str,
    attach_time: Timestamp,
    delete_on_termination: bool,
}

fn attachment(volume: &VolumeId, of: &VolumeAttachment, status: &'static str) -> Attachment {
    Attachment {
        volume_id: volume.to_string(),
        instance_id: of.instance.to_string(),
        device: of.device.clone(),
        status,
        attach_time: of.attached.into(),
        delete_on_termination: of.delete_on_termination,
    }
}

pub fn attach(ctx: &mut Ctx, input: AttachVolume) -> Result<Attachment> {
    refuse(&input.ebs_card_index.filter(|n| *n > 0), "EbsCardIndex")?;
    let volume = find::<Volume>(ctx, &input.volume_id)?;
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    if let Some(there) = &volume.attachment {
        return Err(error(
            "VolumeInUse",
            format!("{} is already attached to {}", volume.id, there.instance),
        ));
    }
    if !matches!(
        instance.state,
        InstanceState::Running | InstanceState::Stopped
    ) {
        return Err(error(
            "IncorrectState",
            format!("Instance '{}' is not 'running'.", instance.id),
        ));
    }
    if instance.zone != volume.zone {
        return Err(error(
            "InvalidVolume.ZoneMismatch",
            format!(
                "The volume '{}' is not in the same availability zone as instance '{}'",
                volume.id, instance.id
            ),
        ));
    }
    let taken = |v: &Volume| {
        let there = v.attachment.as_ref();
        there.is_some_and(|a| a.instance == instance.id && a.device == input.device)
    };
    if owned::<Volume>(&ctx.tx, &ctx.scope).any(|v| taken(v)) {
        return Err(invalid_value(format!(
            "Invalid value '{}' for unixDevice. Attachment point {} is already in use",
            input.device, input.device
        )));
    }
    if !input.device.starts_with("/dev/") && !input.device.starts_with("xvd") {
        return Err(invalid_value(format!(
            "Value ({}) for parameter device is invalid. {} is not a valid EBS device name.",
            input.device, input.device
        )));
    }
    dry_run(input.dry_run)?;
    let new = VolumeAttachment {
        instance: instance.id.clone(),
        device: input.device,
        delete_on_termination: false,
        attached: ctx.now,
    };
    let message = format!(
        "{} is attached as {} in the records only: no block device appears",
        volume.id, new.device
    );
    let now = ctx.now;
    ctx.tx.event(
        now,
        Severity::Warning,
        &instance.id,
        "not-emulated",
        message,
    );
    let answer = attachment(&volume.id, &new, "attaching");
    ctx.tx
        .modify::<Volume>(&volume.id, |v| v.attachment = Some(new));
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DetachVolume {
    volume_id: String,
    instance_id: Option<String>,
    device: Option<String>,
    /// Nothing is written that could be lost.
    #[serde(rename = "Force")]
    #[serde(default, deserialize_with = "wire::validated")]
    _force: Option<bool>,
    dry_run: Option<bool>,
}

pub fn detach(ctx: &mut Ctx, input: DetachVolume) -> Result<Attachment> {
    let volume = find::<Volume>(ctx, &input.volume_id)?;
    let Some(there) = &volume.attachment else {
        return Err(error(
            "IncorrectState",
            format!("Volume '{}' is in the 'available' state.", volume.id),
        ));
    };
    let other = input
        .instance_id
        .as_ref()
        .filter(|i| **i != *there.instance.as_str());
    let device = input.device.as_ref().filter(|d| **d != there.device);
    if other.is_some() || device.is_some() {
        return Err(error(
            "InvalidAttachment.NotFound",
            format!(
                "The volume '{}' is attached to {} as {}.",
                volume.id, there.instance, there.device
            ),
        ));
    }
    let instance = ctx.tx.get::<Instance>(&there.instance);
    let root = instance.is_some_and(|i| {
        i.root_volume == volume.id
            && i.state != InstanceState::Stopped
            && i.state != InstanceState::Terminated
    });
    if root {
        return Err(error(
            "OperationNotPermitted",
            format!(
                "Unable to detach root volume '{}' from instance '{}'",
                volume.id, there.instance
            ),
        ));
    }
    dry_run(input.dry_run)?;
    let answer = attachment(&volume.id, there, "detaching");
    ctx.tx.modify::<Volume>(&volume.id, |v| v.attachment = None);
    Ok(answer)
}
