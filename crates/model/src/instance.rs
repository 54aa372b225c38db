//! Instances, launch templates, key pairs and volumes.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub scope: Scope,
    pub reservation: ReservationId,
    pub launch_index: u32,
    pub image: ImageId,
    /// Of an image that an account made.
    #[serde(default)]
    pub contents: Option<crate::snapshot::Contents>,
    /// Device that the image boots from, such as `/dev/xvda`.
    pub root_device: String,
    /// `x86_64` or `arm64`, as the image says.
    pub architecture: String,
    pub instance_type: String,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub zone: String,
    pub key_name: Option<String>,
    /// Decoded bytes, at most 16,384.
    #[serde(default)]
    pub user_data: Option<Vec<u8>>,
    /// A public address was assigned at launch, so one is at every start.
    pub assign_public_ip: bool,
    /// ARN of the instance profile and the association's id.
    pub profile: Option<(ProfileAssociationId, String)>,
    pub monitoring: bool,
    pub metadata: MetadataOptions,
    pub disable_api_termination: bool,
    pub disable_api_stop: bool,
    /// `stop` or `terminate`, on shutdown from within.
    pub shutdown_behavior: String,
    pub ebs_optimized: bool,
    /// `default`, `dedicated` or `host`; described only.
    pub tenancy: String,
    pub placement_group: Option<String>,
    /// `(cores, threads per core)`; described only, the CPU share is the type's.
    pub cpu_options: (u32, u32),
    /// `enabled` or `disabled`, as given; described only.
    #[serde(default)]
    pub amd_sev_snp: Option<String>,
    pub hibernation: bool,
    pub enclave: bool,
    /// `default` or `disabled`.
    pub auto_recovery: String,
    /// `open`, `none` or `capacity-reservations-only`, where no reservation is named.
    pub capacity_reservation_preference: String,
    /// The one it is to run in, and no other.
    #[serde(default)]
    pub capacity_reservation_target: Option<CapacityReservationId>,
    /// The one it took a place in at its last start.
    #[serde(default)]
    pub capacity_reservation: Option<CapacityReservationId>,
    pub private_dns: PrivateDnsOptions,
    /// `standard` or `unlimited`, burstable types only.
    pub cpu_credits: Option<String>,
    pub root_volume: VolumeId,
    pub client_token: Option<String>,
    pub launch_template: Option<(LaunchTemplateId, u64)>,
    /// It is a Spot Instance.
    #[serde(default)]
    pub spot: Option<Spot>,
    pub launched: Timestamp,
    /// How often it was started again: the run that is wanted or under way. What the host saw
    /// of an earlier one says nothing about this one.
    #[serde(default)]
    pub run: u32,
    /// Desired: what an API action last asked for.
    pub desired: DesiredInstance,
    /// Counts `RebootInstances`; the controller reboots until `reboots_done` agrees.
    pub reboots_wanted: u32,
    pub reboots_done: u32,
    /// Observed by the instance controller.
    pub state: InstanceState,
    /// `StateReason` code and message, such as `Client.UserInitiatedShutdown`.
    pub state_reason: Option<(String, String)>,
    /// Such as `User initiated (2024-05-01 10:00:00 GMT)`.
    pub state_transition_reason: String,
    /// When the current state began.
    pub state_since: Timestamp,
    /// Observed: its init reported that it has booted.
    pub ready: Option<Timestamp>,
    /// Observed: since when its interface has not answered the instance status check.
    #[serde(default)]
    pub unreachable: Option<Timestamp>,
    /// Observed: what its user data failed with.
    #[serde(default)]
    pub user_data_failure: Option<String>,
    /// First of the 65,536 host ids that the instance's user namespace maps; 0 when it has no
    /// such namespace (`up --privileged-instances`).
    pub uid_base: u32,
    pub tags: Tags,
}

/// What is particular to a Spot Instance. There is no market: only `nines break spot` takes it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spot {
    /// The Spot Instance request that it stands for.
    pub request: SpotRequestId,
    /// The request is a persistent one: it may be stopped and started.
    #[serde(default)]
    pub persistent: bool,
    /// An interruption stops it, where others are terminated.
    #[serde(default)]
    pub stops: bool,
    /// When it was said to be at a higher risk of being interrupted.
    #[serde(default)]
    pub rebalance: Option<Timestamp>,
    /// When it ends: a notice of two minutes was given.
    pub ends: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DesiredInstance {
    Running,
    /// `force` kills at once.
    Stopped {
        force: bool,
    },
    Terminated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    pub fn code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// Which name the instance goes by inside its VPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrivateDnsOptions {
    /// `ip-name` or `resource-name`.
    pub hostname_type: String,
    pub resource_name_a_record: bool,
    pub resource_name_aaaa_record: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// `required` or `optional`.
    pub http_tokens: String,
    /// `enabled` or `disabled`.
    pub http_endpoint: String,
    /// 1–64.
    pub http_put_response_hop_limit: u8,
    /// `enabled` or `disabled`.
    pub instance_metadata_tags: String,
    /// `enabled` or `disabled`; described only, the metadata service speaks IPv4.
    pub http_protocol_ipv6: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    pub id: VolumeId,
    pub scope: Scope,
    pub zone: String,
    /// GiB.
    pub size: u32,
    pub volume_type: String,
    pub iops: Option<u32>,
    pub throughput: Option<u32>,
    pub encrypted: bool,
    pub kms_key: Option<String>,
    pub snapshot: Option<SnapshotId>,
    pub attachment: Option<VolumeAttachment>,
    /// Idempotency token of the creating call.
    #[serde(default)]
    pub client_token: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeAttachment {
    pub instance: InstanceId,
    pub device: String,
    pub delete_on_termination: bool,
    pub attached: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    pub id: LaunchTemplateId,
    pub scope: Scope,
    pub name: String,
    pub created: Timestamp,
    pub created_by: String,
    pub default_version: u64,
    /// The highest number given so far: versions count upward and none is used again.
    pub latest_version: u64,
    /// In order of their numbers; never empty.
    pub versions: Vec<LaunchTemplateVersion>,
    pub client_token: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchTemplateVersion {
    pub number: u64,
    pub description: Option<String>,
    pub created: Timestamp,
    pub created_by: String,
    pub client_token: Option<String>,
    pub data: LaunchTemplateData,
}

/// Launch template data exactly as stored: unset parameters are absent.
///
/// JSON that only `api::ec2::launch_template_data` reads and writes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaunchTemplateData(pub String);

/// The public half of a key pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyPair {
    pub id: KeyPairId,
    pub scope: Scope,
    pub name: String,
    pub fingerprint: String,
    /// `rsa` or `ed25519`.
    pub key_type: String,
    /// OpenSSH form.
    pub public_key: String,
    pub created: Timestamp,
    pub tags: Tags,
}

/// Launches one or more instances from a template, as an Auto Scaling group does it.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateLaunch {
    pub template: LaunchTemplateId,
    /// A number, `$Latest` or `$Default`.
    pub version: String,
    /// Launch from the launch configuration of this name instead of the template.
    pub configuration: Option<String>,
    /// The group's subnet; it takes the place of any that the template names.
    pub subnet: SubnetId,
    /// In place of the template's.
    pub instance_type: Option<String>,
    /// In place of the template's.
    pub image: Option<String>,
    /// As a Spot Instance, whatever the template says.
    pub spot: bool,
    /// The most to pay for one, as given.
    pub spot_max_price: Option<String>,
    /// Win over tags of the template with the same key.
    pub tags: Tags,
}

/// Why a launch was refused: AWS's code and text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct LaunchError {
    pub code: String,
    pub message: String,
}
