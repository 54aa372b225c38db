//! Snapshots of instances' root volumes, and the images (AMIs) made of them.

use crate::*;
use serde::{Deserialize, Serialize};

/// What a root file system is made of: an image of the catalogue, and what was changed on top
/// of it, the newest layer first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contents {
    pub base: ImageId,
    pub layers: Vec<Layer>,
}

/// The changes that a snapshot kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    pub snapshot: SnapshotId,
    /// First host id of the instance that they were taken from.
    pub uid_base: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub scope: Scope,
    pub volume: VolumeId,
    /// GiB, of the volume.
    pub size: u32,
    pub description: String,
    pub started: Timestamp,
    /// The instance whose changes are to be kept.
    pub source: InstanceId,
    /// The instance restarts once they are.
    pub reboot: bool,
    pub architecture: String,
    pub contents: Contents,
    /// Observed.
    pub state: SnapshotState,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SnapshotState {
    Pending,
    Completed(Timestamp),
    /// With the reason.
    Error(String),
}

impl SnapshotState {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed(_) => "completed",
            Self::Error(_) => "error",
        }
    }
}

/// An image that an account made of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnImage {
    pub id: ImageId,
    pub scope: Scope,
    pub name: String,
    pub description: String,
    pub snapshot: SnapshotId,
    /// By `CreateImage`.
    pub source: Option<InstanceId>,
    pub architecture: String,
    pub root_device: String,
    /// GiB.
    pub root_size: u32,
    pub root_volume_type: String,
    pub imds_v2: bool,
    pub created: Timestamp,
    /// It is no more; the id is kept, since unknown ones are taken for images of AWS.
    pub deregistered: bool,
    pub tags: Tags,
}
