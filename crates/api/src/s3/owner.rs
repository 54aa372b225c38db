//! Canonical user ids: 64 hex digits that stand for an account.

use model::Scope;
use serde::Serialize;
use sha2::{Digest, Sha256};

#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Owner {
    #[serde(rename = "ID")]
    pub id: String,
}

impl Owner {
    /// AWS's ids are opaque; a digest of the account is stable and looks alike.
    pub fn of(scope: &Scope) -> Self {
        let digest = Sha256::digest(format!("canonical user {}", scope.account));
        Self {
            id: hex::encode(digest),
        }
    }
}
