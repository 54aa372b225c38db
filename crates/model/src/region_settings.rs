//! What an account has chosen for a whole region.

use crate::public_access::PublicAccessBlock;
use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionSettings {
    pub scope: Scope,
    /// New volumes are encrypted unless said otherwise.
    pub ebs_encryption: bool,
    /// ARN; `None` is the key that AWS manages.
    pub ebs_kms_key: Option<String>,
    /// Never set is off.
    #[serde(default)]
    pub public_access: Option<PublicAccessBlock>,
}

impl RegionSettings {
    pub fn new(scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
            ebs_encryption: false,
            ebs_kms_key: None,
            public_access: None,
        }
    }
}
