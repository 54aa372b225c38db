//! Images that accounts make: of a running instance, or of a snapshot of one.

use super::error::{Result, dry_run, error, invalid_value, missing, unsupported};
use super::image::{self, Named};
use super::launch_template_data::BlockDeviceMapping;
use super::resource::{find, owned};
use super::snapshot::of_instance;
use super::tag::{self, TagSpecification};
use super::{Done, done};
use crate::Ctx;
use model::ImageId;
use model::instance::{Instance, InstanceState};
use model::snapshot::{OwnImage, Snapshot};
use serde::{Deserialize, Serialize};
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateImage {
    instance_id: String,
    name: String,
    description: Option<String>,
    no_reboot: Option<bool>,
    #[serde(default)]
    block_device_mapping: Vec<BlockDeviceMapping>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    image_id: String,
}

pub fn create(ctx: &mut Ctx, input: CreateImage) -> Result<Created> {
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    if !matches!(
        instance.state,
        InstanceState::Running | InstanceState::Stopped
    ) {
        return Err(error(
            "IncorrectInstanceState",
            format!(
                "The instance '{}' is not in a state from which an image can be made; it is {}.",
                instance.id,
                instance.state.name()
            ),
        ));
    }
    if !input.block_device_mapping.is_empty() {
        return Err(unsupported(
            "An image has the root device of its instance and no other; BlockDeviceMapping is not supported.",
        ));
    }
    check_name(ctx, &input.name)?;
    let known =
        |s: &&TagSpecification| matches!(s.resource_type.as_deref(), Some("image" | "snapshot"));
    if let Some(other) = input.tag_specification.iter().find(|s| !known(s)) {
        tag::of(std::slice::from_ref(other), "image")?;
    }
    let (image_tags, snapshot_tags) = (
        tag::of(&of_kind(&input.tag_specification, "image"), "image")?,
        tag::of(&of_kind(&input.tag_specification, "snapshot"), "snapshot")?,
    );
    dry_run(input.dry_run)?;
    let id = ImageId::random();
    let description = format!("Created by CreateImage({}) for {id}", instance.id);
    let runs = instance.state == InstanceState::Running;
    let reboot = runs && !input.no_reboot.unwrap_or(false);
    let snapshot = of_instance(ctx, &instance, description, snapshot_tags, reboot)?;
    let volume_type = ctx
        .tx
        .volumes
        .get(&instance.root_volume)
        .map(|v| v.volume_type.clone())
        .unwrap_or_default();
    ctx.tx.put(OwnImage {
        id: id.clone(),
        scope: ctx.scope.clone(),
        name: input.name,
        description: input.description.unwrap_or_default(),
        snapshot: snapshot.id,
        source: Some(instance.id.clone()),
        architecture: instance.architecture.clone(),
        root_device: instance.root_device.clone(),
        root_size: snapshot.size,
        root_volume_type: volume_type,
        imds_v2: false,
        created: ctx.now,
        deregistered: false,
        tags: image_tags,
    });
    Ok(Created {
        image_id: id.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegisterImage {
    name: String,
    description: Option<String>,
    architecture: Option<String>,
    root_device_name: Option<String>,
    #[serde(default)]
    block_device_mapping: Vec<BlockDeviceMapping>,
    virtualization_type: Option<String>,
    imds_support: Option<String>,
    #[serde(rename = "EnaSupport")]
    _ena_support: Option<bool>,
    #[serde(rename = "SriovNetSupport")]
    _sriov_net_support: Option<String>,
    #[serde(rename = "BootMode")]
    _boot_mode: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

pub fn register(ctx: &mut Ctx, input: RegisterImage) -> Result<Created> {
    check_name(ctx, &input.name)?;
    if input
        .virtualization_type
        .as_deref()
        .is_some_and(|v| v != "hvm")
    {
        return Err(unsupported(
            "Only images of virtualization type hvm are supported.",
        ));
    }
    let device = input
        .root_device_name
        .unwrap_or_else(|| "/dev/sda1".to_owned());
    let root = match input.block_device_mapping.as_slice() {
        [root] if root.device_name.as_deref() == Some(device.as_str()) => root,
        [] => return Err(missing("BlockDeviceMapping")),
        _ => {
            return Err(unsupported(format!(
                "An image has one device, which is its root device {device}.",
            )));
        }
    };
    let ebs = root
        .ebs
        .clone()
        .ok_or_else(|| missing("BlockDeviceMapping.Ebs"))?;
    let given = ebs
        .snapshot_id
        .as_deref()
        .ok_or_else(|| missing("BlockDeviceMapping.Ebs.SnapshotId"))?;
    let snapshot = find::<Snapshot>(ctx, given)?;
    let architecture = input
        .architecture
        .unwrap_or_else(|| snapshot.architecture.clone());
    if architecture != snapshot.architecture {
        return Err(invalid_value(format!(
            "The snapshot {} is of architecture {}, not {architecture}.",
            snapshot.id, snapshot.architecture
        )));
    }
    let size = ebs.volume_size.unwrap_or(snapshot.size);
    if size < snapshot.size {
        return Err(error(
            "InvalidBlockDeviceMapping",
            format!(
                "Volume of size {size}GB is smaller than snapshot '{}', expect size>= {}GB",
                snapshot.id, snapshot.size
            ),
        ));
    }
    let tags = tag::of(&input.tag_specification, "image")?;
    dry_run(input.dry_run)?;
    let image = OwnImage {
        id: ImageId::random(),
        scope: ctx.scope.clone(),
        name: input.name,
        description: input.description.unwrap_or_default(),
        snapshot: snapshot.id.clone(),
        source: None,
        architecture,
        root_device: device,
        root_size: size,
        root_volume_type: ebs.volume_type.map_or("gp2", |t| t.name()).to_owned(),
        imds_v2: input.imds_support.as_deref() == Some("v2.0"),
        created: ctx.now,
        deregistered: false,
        tags,
    };
    let image_id = image.id.to_string();
    ctx.tx.put(image);
    Ok(Created { image_id })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeregisterImage {
    image_id: String,
    dry_run: Option<bool>,
}

/// Its snapshot stays, and so do instances that were launched from it.
pub fn deregister(ctx: &mut Ctx, input: DeregisterImage) -> Result<Done> {
    let id = image::parse(&input.image_id)?;
    let mut own = match find::<OwnImage>(ctx, &input.image_id) {
        Ok(own) if !own.deregistered => OwnImage::clone(&own),
        // Of the catalogue, or of a root file system at hand, which `nines image rm` removes.
        _ => {
            let built = ctx.cloud.images.get();
            return Err(match image::named(&ctx.tx, &ctx.scope, &built, &id) {
                Named::Known(of) if of.own.is_none() => {
                    ApiError::new(403, "AuthFailure", format!("Not authorized for image:{id}"))
                }
                _ => image::not_found(&input.image_id),
            });
        }
    };
    dry_run(input.dry_run)?;
    own.deregistered = true;
    ctx.tx.put(own);
    done()
}

/// 3 to 128 of certain characters, and unique among the account's.
fn check_name(ctx: &Ctx, name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(error(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
        ));
    }
    let mut own = owned::<OwnImage>(&ctx.tx, &ctx.scope);
    match own.find(|i| i.name == name && !i.deregistered) {
        Some(image) => Err(error(
            "InvalidAMIName.Duplicate",
            format!("AMI name {name} is already in use by AMI {}", image.id),
        )),
        None => Ok(()),
    }
}

/// Those of one kind, of the two that a call makes.
fn of_kind(specifications: &[TagSpecification], kind: &str) -> Vec<TagSpecification> {
    let wanted = |s: &&TagSpecification| s.resource_type.as_deref() == Some(kind);
    specifications.iter().filter(wanted).cloned().collect()
}
