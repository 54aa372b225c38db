//! Parameters of the Systems Manager's store.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    pub scope: Scope,
    pub name: String,
    /// `String`, `StringList` or `SecureString`.
    pub kind: String,
    pub description: Option<String>,
    /// Of a secure string; `alias/aws/ssm` if none was given.
    pub key_id: Option<String>,
    pub allowed_pattern: Option<String>,
    pub tier: String,
    pub data_type: String,
    /// The last hundred, the newest last.
    pub versions: Vec<ParameterVersion>,
    pub tags: Tags,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ParameterVersion {
    pub number: u64,
    pub value: String,
    pub modified: Timestamp,
    pub labels: Vec<String>,
}

impl Parameter {
    pub fn newest(&self) -> Option<&ParameterVersion> {
        self.versions.last()
    }
}

impl std::fmt::Debug for Parameter {
    /// Without values, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What Run Command was asked to run, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// A UUID.
    pub id: String,
    pub scope: Scope,
    pub document: String,
    pub document_version: String,
    pub comment: String,
    /// As they were given.
    pub parameters: std::collections::BTreeMap<String, Vec<String>>,
    pub instance_ids: Vec<String>,
    /// Keys and values by which instances were chosen.
    pub targets: Vec<(String, Vec<String>)>,
    pub max_concurrency: String,
    pub max_errors: String,
    /// The same in instances.
    pub at_once: usize,
    pub tolerated: usize,
    /// Whoever has not begun by then does not begin.
    pub deliver_secs: u32,
    pub script: String,
    pub working_directory: Option<String>,
    pub execution_secs: u32,
    /// Desired: it was cancelled as a whole or for some instance.
    pub cancelled: bool,
    pub requested: Timestamp,
}

/// A command in one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    pub command: String,
    pub instance: InstanceId,
    pub scope: Scope,
    /// Desired: it is not to begin, or to end.
    pub cancelled: bool,
    /// Observed, as all that follows.
    pub status: InvocationStatus,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub exit_code: Option<i32>,
    /// The first 24,000 characters.
    pub stdout: String,
    /// The first 8,000.
    pub stderr: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum InvocationStatus {
    Pending,
    InProgress,
    Success,
    Failed,
    Cancelled,
    DeliveryTimedOut,
    ExecutionTimedOut,
    /// Too many others had failed.
    Terminated,
    /// The instance is gone.
    Undeliverable,
}

impl InvocationStatus {
    pub fn ended(self) -> bool {
        self > Self::InProgress
    }
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Success => "Success",
            Self::Cancelled => "Cancelled",
            Self::DeliveryTimedOut | Self::ExecutionTimedOut => "TimedOut",
            Self::Failed | Self::Terminated | Self::Undeliverable => "Failed",
        }
    }
    pub fn details(self) -> &'static str {
        match self {
            Self::DeliveryTimedOut => "Delivery Timed Out",
            Self::ExecutionTimedOut => "Execution Timed Out",
            Self::Terminated => "Terminated",
            Self::Undeliverable => "Undeliverable",
            other => other.name(),
        }
    }
}
