//! The volumes of a launch. The root volume is the instance's own file system;
//! further ones are records only, and the launch says so.

use super::Site;
use crate::ec2::ebs_default;
use crate::ec2::error::{
    Result, error, invalid_combination, invalid_dependency, invalid_value, missing,
};
use crate::ec2::launch_template_data::{EbsBlockDevice, LaunchTemplateData, VolumeType};
use crate::kms;
use model::image::Image;
use model::instance::{Volume, VolumeAttachment};
use model::vpc::Subnet;
use model::{InstanceId, SnapshotId, Tags, VolumeId};
use store::Tx;

pub struct PlannedVolume {
    pub device: String,
    /// GiB.
    size: u32,
    kind: VolumeType,
    iops: Option<u32>,
    throughput: Option<u32>,
    encrypted: bool,
    kms_key: Option<String>,
    snapshot: Option<SnapshotId>,
    delete_on_termination: bool,
}

/// The volumes, that of the root device first.
pub fn plan(image: Option<&Image>, data: &LaunchTemplateData) -> Result<Vec<PlannedVolume>> {
    let mappings = &data.block_device_mappings;
    for (at, mapping) in mappings.iter().enumerate() {
        let Some(device) = &mapping.device_name else {
            return Err(missing("BlockDeviceMapping.DeviceName"));
        };
        if mappings[..at]
            .iter()
            .any(|m| m.device_name.as_ref() == Some(device))
        {
            return Err(error(
                "InvalidBlockDeviceMapping",
                format!("The device '{device}' is used in more than one block-device mapping"),
            ));
        }
    }
    let named = |device: &str| {
        mappings
            .iter()
            .find(|m| m.device_name.as_deref() == Some(device))
    };
    // An image that is not in the catalogue boots from whichever usual device the launch names.
    let usual = ["/dev/xvda", "/dev/sda1"];
    let root_device = match image {
        Some(image) => image.root_device,
        None => usual
            .into_iter()
            .find(|d| named(d).is_some())
            .unwrap_or("/dev/xvda"),
    };
    let mut root = EbsBlockDevice {
        volume_size: Some(image.map_or(8, |i| i.root_size)),
        delete_on_termination: Some(true),
        ..EbsBlockDevice::default()
    };
    let image_type = match image.map(|i| i.root_volume_type) {
        Some("gp2") => VolumeType::Gp2,
        _ => VolumeType::Gp3,
    };
    let snapshot = image.map(crate::ec2::image::snapshot);
    let least = root.volume_size;
    if let Some(given) = named(root_device).and_then(|m| m.ebs.clone()) {
        root = EbsBlockDevice {
            volume_size: given.volume_size.or(root.volume_size),
            delete_on_termination: given.delete_on_termination.or(root.delete_on_termination),
            ..given
        };
    }
    if let (Some(snapshot), true) = (&snapshot, root.volume_size < least) {
        return Err(error(
            "InvalidBlockDeviceMapping",
            format!(
                "Volume of size {}GB is smaller than snapshot '{snapshot}', expect size>= {}GB",
                root.volume_size.unwrap_or_default(),
                least.unwrap_or_default()
            ),
        ));
    }
    let mut volumes = vec![volume(root_device, &root, image_type, snapshot)?];
    for mapping in mappings {
        let device = mapping.device_name.as_deref().unwrap_or_default();
        // Instance-store names (`ephemeral0`) mean nothing on these types, as on AWS.
        if let (Some(ebs), None, true) = (&mapping.ebs, &mapping.no_device, device != root_device) {
            let snapshot = ebs.snapshot_id.as_deref();
            if let Some(snapshot) = snapshot {
                // Those that are there hold root volumes, which nothing else can be made of.
                return Err(error(
                    "InvalidSnapshot.NotFound",
                    format!("The snapshot '{snapshot}' does not exist."),
                ));
            }
            volumes.push(volume(device, ebs, VolumeType::Gp2, None)?);
        }
    }
    Ok(volumes)
}

fn volume(
    device: &str,
    given: &EbsBlockDevice,
    default_type: VolumeType,
    snapshot: Option<SnapshotId>,
) -> Result<PlannedVolume> {
    let Some(size) = given.volume_size else {
        return Err(missing("BlockDeviceMapping.Ebs.VolumeSize"));
    };
    let kind = given.volume_type.unwrap_or(default_type);
    // https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
    let sizes = match kind {
        VolumeType::Gp2 => 1..=16_384,
        VolumeType::Gp3 | VolumeType::Io2 => 1..=65_536,
        VolumeType::Io1 => 4..=16_384,
        VolumeType::St1 | VolumeType::Sc1 => 125..=16_384,
        VolumeType::Standard => 1..=1024,
    };
    if !sizes.contains(&size) {
        return Err(invalid_value(format!(
            "Volume of size {size}GiB is invalid; {} volumes are {} to {} GiB.",
            kind.name(),
            sizes.start(),
            sizes.end()
        )));
    }
    let provisioned = matches!(kind, VolumeType::Gp3 | VolumeType::Io1 | VolumeType::Io2);
    let not_supported = |what: &str| {
        invalid_combination(format!(
            "The parameter {what} is not supported for {} volumes.",
            kind.name()
        ))
    };
    if given.iops.is_some() && !provisioned {
        return Err(not_supported("iops"));
    }
    if given.throughput.is_some() && kind != VolumeType::Gp3 {
        return Err(not_supported("throughput"));
    }
    let iops = match (kind, given.iops) {
        (VolumeType::Gp2, _) => Some((3 * size).clamp(100, 16_000)),
        (VolumeType::Gp3, given) => Some(given.unwrap_or(3000)),
        (VolumeType::Io1 | VolumeType::Io2, None) => {
            return Err(missing("BlockDeviceMapping.Ebs.Iops"));
        }
        (_, given) => given,
    };
    let throughput = (kind == VolumeType::Gp3).then(|| given.throughput.unwrap_or(125));
    let range = |value: Option<u32>, least: u32, most: u32, what: &str| match value {
        Some(v) if !(least..=most).contains(&v) => Err(invalid_value(format!(
            "Volume {what} of {v} is invalid; it must be {least} to {most}."
        ))),
        _ => Ok(()),
    };
    if provisioned {
        let least = if kind == VolumeType::Gp3 { 3000 } else { 100 };
        range(iops, least, 256_000, "iops")?;
    }
    range(throughput, 125, 2000, "throughput")?;
    Ok(PlannedVolume {
        device: device.to_owned(),
        size,
        kind,
        iops,
        throughput,
        encrypted: given.encrypted.unwrap_or(false),
        kms_key: given.kms_key_id.clone(),
        snapshot,
        delete_on_termination: given.delete_on_termination.unwrap_or(true),
    })
}

pub fn not_emulated(volumes: &[PlannedVolume]) -> Option<String> {
    let further: Vec<&str> = volumes.iter().skip(1).map(|v| v.device.as_str()).collect();
    if further.is_empty() {
        return None;
    }
    Some(format!(
        "volumes besides the root volume are recorded but no disk appears: {}",
        further.join(", ")
    ))
}

/// Which of them are encrypted and with which key, as the region's defaults have it.
pub fn encrypt(tx: &mut Tx, site: &Site<'_>, volumes: &mut [PlannedVolume]) -> Result<()> {
    let defaults = ebs_default::of(tx, site.scope);
    for volume in volumes {
        volume.encrypted |= defaults.ebs_encryption;
        if volume.kms_key.is_some() && !volume.encrypted {
            return Err(invalid_dependency(
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        if volume.encrypted {
            let given = volume.kms_key.as_ref().or(defaults.ebs_kms_key.as_ref());
            let key = kms::of_volume(tx, site.scope, site.now, given.map(String::as_str))?;
            volume.kms_key = Some(key);
        }
    }
    Ok(())
}

/// Makes the records, and returns the root volume's id.
pub fn attach(
    tx: &mut Tx,
    site: &Site<'_>,
    volumes: &[PlannedVolume],
    tags: &Tags,
    subnet: &Subnet,
    instance: &InstanceId,
) -> VolumeId {
    let mut ids = Vec::with_capacity(volumes.len());
    for planned in volumes {
        let id = VolumeId::random();
        ids.push(id.clone());
        tx.put(Volume {
            client_token: None,
            id,
            scope: site.scope.clone(),
            zone: subnet.zone.clone(),
            size: planned.size,
            volume_type: planned.kind.name().to_owned(),
            iops: planned.iops,
            throughput: planned.throughput,
            encrypted: planned.encrypted,
            kms_key: planned.kms_key.clone(),
            snapshot: planned.snapshot.clone(),
            attachment: Some(VolumeAttachment {
                instance: instance.clone(),
                device: planned.device.clone(),
                delete_on_termination: planned.delete_on_termination,
                attached: site.now,
            }),
            created: site.now,
            tags: tags.clone(),
        });
    }
    // A plan always starts with the root volume.
    ids.into_iter().next().unwrap_or_else(VolumeId::random)
}
