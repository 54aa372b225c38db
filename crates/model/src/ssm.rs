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
