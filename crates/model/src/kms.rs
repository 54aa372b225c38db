//! Keys of the key management service, and their aliases.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// A UUID.
    pub id: String,
    pub scope: Scope,
    pub description: String,
    pub policy: String,
    /// 256 bits; never answered.
    pub secret: Vec<u8>,
    pub enabled: bool,
    /// By AWS, for one of its services.
    #[serde(default)]
    pub managed: bool,
    /// When it is gone, once its deletion is scheduled; and the days asked for.
    pub deletion: Option<(Timestamp, u32)>,
    /// Days between rotations; none is made.
    pub rotation: Option<u32>,
    pub created: Timestamp,
    pub tags: Tags,
}

impl Key {
    pub fn arn(&self) -> String {
        self.scope.arn("kms", format_args!("key/{}", self.id))
    }
}

impl std::fmt::Debug for Key {
    /// Without the secret, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyAlias {
    pub scope: Scope,
    /// `alias/…`
    pub name: String,
    /// Id of its key.
    pub key: String,
    pub created: Timestamp,
    pub updated: Timestamp,
}
