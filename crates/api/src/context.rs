//! What an action gets to work with.

use ipnet::Ipv4Net;
use model::{InstanceId, Scope, Timestamp};
use std::path::PathBuf;
use std::sync::Arc;
use store::Tx;

/// One call: its transaction, who asks, where and when.
///
/// An action checks, changes records in `tx` and returns; it never waits and
/// never sets an observed state.
pub struct Ctx {
    pub tx: Tx,
    pub scope: Scope,
    pub now: Timestamp,
    /// The access key id of the caller; any key works.
    pub access_key: String,
    /// Whether the call comes from the host itself, not from an instance.
    pub from_host: bool,
    /// As the answer names the call.
    pub request_id: String,
    pub cloud: Arc<Cloud>,
}

/// Looks up what an instance wrote to its console.
pub type Console = Box<dyn Fn(&InstanceId) -> Option<Vec<u8>> + Send + Sync>;

/// What of the running cloud the actions may look at.
pub struct Cloud {
    pub metrics: Arc<metrics::Metrics>,
    /// Elastic and auto-assigned addresses come from here; the first 256 are the cloud's own.
    pub public_pool: Ipv4Net,
    /// Bodies of S3 objects lie below `s3` in it.
    pub state_dir: PathBuf,
    /// The root file systems that are built or imported (`debian-12`, `debian-12-docker`).
    pub images: model::image::AtHand,
    /// An image id that is not known here is refused (`up --strict`).
    pub strict_images: bool,
    /// Instances run without user namespaces (`up --privileged-instances`).
    pub privileged_instances: bool,
    /// How much faster than AWS's the waits of the control plane are.
    pub speed: model::Speed,
    /// Text that instances wrote to their consoles, the last 64 KiB.
    pub console: Console,
}
