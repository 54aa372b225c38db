//! People and programs of an account: users, groups and access keys.

use crate::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// `AIDA…`
    pub id: String,
    pub path: String,
    pub permissions_boundary: Option<String>,
    /// ARNs.
    pub attached_policies: Vec<String>,
    /// Name to document.
    pub inline_policies: BTreeMap<String, String>,
    pub login: Option<Login>,
    #[serde(default)]
    pub ssh_keys: Vec<SshPublicKey>,
    pub created: Timestamp,
    pub tags: Tags,
}

/// A key that AWS takes for CodeCommit; here it is described.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SshPublicKey {
    /// `APKA…`
    pub id: String,
    /// OpenSSH form.
    pub body: String,
    pub active: bool,
    pub uploaded: Timestamp,
}

/// That a user may log in. There is no console, so its password is not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Login {
    pub created: Timestamp,
    pub reset_required: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// `AGPA…`
    pub id: String,
    pub path: String,
    /// ARNs.
    pub attached_policies: Vec<String>,
    /// Name to document.
    pub inline_policies: BTreeMap<String, String>,
    /// Names, sorted.
    pub users: Vec<String>,
    pub created: Timestamp,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Carries the account's digits, so that a key alone tells its account.
    pub id: String,
    pub scope: Scope,
    /// Name of its user.
    pub user: String,
    pub secret: String,
    pub active: bool,
    pub created: Timestamp,
    /// When, for which service and in which region it was used, to a quarter of an hour.
    pub last_used: Option<(Timestamp, String, String)>,
}

impl std::fmt::Debug for AccessKey {
    /// Without the secret, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What an account says of itself to all its users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub scope: Scope,
    pub alias: Option<String>,
    pub password_policy: Option<PasswordPolicy>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PasswordPolicy {
    pub minimum_length: u32,
    pub symbols: bool,
    pub numbers: bool,
    pub uppercase: bool,
    pub lowercase: bool,
    pub users_may_change: bool,
    /// Days; never where absent.
    pub max_age: Option<u32>,
    pub reuse_prevention: Option<u32>,
    pub hard_expiry: Option<bool>,
}
