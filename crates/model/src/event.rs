//! What happened and why, for `nines events` and the page.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Orders events of one store.
    pub sequence: u64,
    pub time: Timestamp,
    pub severity: Severity,
    /// What it is about: an id, name or ARN.
    pub subject: String,
    /// A short kind in kebab case, such as `instance-state`, `target-health`.
    pub kind: String,
    /// One sentence with the reason.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    /// Something was not emulated as asked, or degraded.
    Warning,
    Error,
}

/// A fault in force (`nines break …`), until healed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fault {
    /// The zone's packets are cut and launches fail there.
    Zone(String),
    NatGateway(NatGatewayId),
    /// The instance's interfaces are cut off.
    Network(InstanceId),
}
