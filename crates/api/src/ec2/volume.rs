//! Volumes, as instances bring them.

use super::error::{Result, dry_run};
use super::filter::{Field, Filter, maybe, one};
use super::page::{Page, describe};
use super::tag::{self, Tag};
use crate::Ctx;
use model::instance::{Volume, VolumeAttachment};
use model::zone;
use serde::{Deserialize, Serialize};
use store::State;
use wire::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeVolumes {
    #[serde(default)]
    volume_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_managed_resources: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volumes {
    volume_set: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    volume_id: String,
    size: u32,
    snapshot_id: String,
    availability_zone: String,
    availability_zone_id: Option<&'static str>,
    status: &'static str,
    create_time: Timestamp,
    attachment_set: Vec<Attachment>,
    volume_type: String,
    iops: Option<u32>,
    throughput: Option<u32>,
    encrypted: bool,
    kms_key_id: Option<String>,
    multi_attach_enabled: bool,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    volume_id: String,
    instance_id: String,
    device: String,
    status: &'static str,
    attach_time: Timestamp,
    delete_on_termination: bool,
}

fn status(volume: &Volume) -> &'static str {
    match volume.attachment {
        Some(_) => "in-use",
        None => "available",
    }
}

fn shape(volume: &Volume) -> Shape {
    let attachment = |a: &VolumeAttachment| Attachment {
        volume_id: volume.id.to_string(),
        instance_id: a.instance.to_string(),
        device: a.device.clone(),
        status: "attached",
        attach_time: a.attached.into(),
        delete_on_termination: a.delete_on_termination,
    };
    Shape {
        volume_id: volume.id.to_string(),
        size: volume.size,
        snapshot_id: volume
            .snapshot
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        availability_zone: volume.zone.clone(),
        availability_zone_id: zone::zone_id(&volume.zone),
        status: status(volume),
        create_time: volume.created.into(),
        attachment_set: volume.attachment.iter().map(attachment).collect(),
        volume_type: volume.volume_type.clone(),
        iops: volume.iops,
        throughput: volume.throughput,
        encrypted: volume.encrypted,
        kms_key_id: volume.kms_key.clone(),
        multi_attach_enabled: false,
        tag_set: tag::list(&volume.tags),
    }
}

fn attached(volume: &Volume, of: impl Fn(&VolumeAttachment) -> String) -> Vec<String> {
    volume.attachment.iter().map(of).collect()
}

const FILTERS: &[Field<Volume>] = &[
    ("attachment.attach-time", |_, v| {
        attached(v, |a| a.attached.to_string())
    }),
    ("attachment.delete-on-termination", |_, v| {
        attached(v, |a| a.delete_on_termination.to_string())
    }),
    ("attachment.device", |_, v| {
        attached(v, |a| a.device.clone())
    }),
    ("attachment.instance-id", |_, v| {
        attached(v, |a| a.instance.to_string())
    }),
    ("attachment.status", |_, v| {
        attached(v, |_| "attached".to_owned())
    }),
    ("availability-zone", |_: &State, v| one(&v.zone)),
    ("availability-zone-id", |_, v| maybe(zone::zone_id(&v.zone))),
    ("create-time", |_, v| one(v.created)),
    ("encrypted", |_, v| one(v.encrypted)),
    ("fast-restored", |_, _| one(false)),
    ("multi-attach-enabled", |_, _| one(false)),
    ("size", |_, v| one(v.size)),
    ("snapshot-id", |_, v| maybe(v.snapshot.as_ref())),
    ("status", |_, v| one(status(v))),
    ("volume-id", |_, v| one(&v.id)),
    ("volume-type", |_, v| one(&v.volume_type)),
];

pub fn describe_all(ctx: &mut Ctx, input: DescribeVolumes) -> Result<Volumes> {
    // Volumes that AWS services manage do not exist here: in or out is the same.
    let _ = input.include_managed_resources;
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (volumes, next_token) = describe(ctx, &input.volume_id, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(Volumes {
        volume_set: volumes.iter().map(|v| shape(v)).collect(),
        next_token,
    })
}
