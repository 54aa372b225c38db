//! Block devices as launch configurations spell them, and as launches take them.

use super::error::{Result, validation};
use crate::ec2::launch_template_data::{BlockDeviceMapping as Mapping, EbsBlockDevice, VolumeType};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BlockDeviceMapping {
    device_name: String,
    virtual_name: Option<String>,
    ebs: Option<Ebs>,
    /// True leaves out a device of the image.
    no_device: Option<bool>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ebs {
    snapshot_id: Option<String>,
    volume_size: Option<u32>,
    volume_type: Option<VolumeType>,
    delete_on_termination: Option<bool>,
    iops: Option<u32>,
    encrypted: Option<bool>,
    throughput: Option<u32>,
}

impl BlockDeviceMapping {
    pub fn checked(self) -> Result<Mapping> {
        let kinds = [
            self.virtual_name.is_some(),
            self.ebs.is_some(),
            self.no_device == Some(true),
        ];
        if kinds.iter().filter(|given| **given).count() != 1 {
            return Err(validation(format!(
                "The block device {} must have exactly one of VirtualName, Ebs and NoDevice.",
                self.device_name
            )));
        }
        Ok(Mapping {
            device_name: Some(self.device_name),
            virtual_name: self.virtual_name,
            ebs: self.ebs.map(|e| EbsBlockDevice {
                snapshot_id: e.snapshot_id.filter(|id| !id.is_empty()),
                volume_size: e.volume_size,
                volume_type: e.volume_type,
                delete_on_termination: e.delete_on_termination,
                iops: e.iops,
                encrypted: e.encrypted,
                throughput: e.throughput,
                kms_key_id: None,
            }),
            no_device: (self.no_device == Some(true)).then(String::new),
        })
    }

    pub fn described(mapping: Mapping) -> Self {
        Self {
            device_name: mapping.device_name.unwrap_or_default(),
            virtual_name: mapping.virtual_name,
            ebs: mapping.ebs.map(|e| Ebs {
                snapshot_id: e.snapshot_id,
                volume_size: e.volume_size,
                volume_type: e.volume_type,
                delete_on_termination: e.delete_on_termination,
                iops: e.iops,
                encrypted: e.encrypted,
                throughput: e.throughput,
            }),
            no_device: mapping.no_device.map(|_| true),
        }
    }
}
