//! The part of IAM that instance profiles need. IAM is global: `scope.region` is `aws-global`.

use crate::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// `AROA…`
    pub id: String,
    pub path: String,
    pub assume_role_policy: String,
    pub description: Option<String>,
    /// Seconds.
    pub max_session_duration: u32,
    pub permissions_boundary: Option<String>,
    /// ARNs.
    pub attached_policies: Vec<String>,
    /// Name to document.
    pub inline_policies: BTreeMap<String, String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceProfile {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// `AIPA…`
    pub id: String,
    pub path: String,
    /// Name of its one role.
    pub role: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

/// A customer-managed policy; AWS's own are computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// `ANPA…`
    pub id: String,
    pub path: String,
    pub description: Option<String>,
    /// Version id (`v1`), document, created; the default by `default_version`.
    pub versions: Vec<(String, String, Timestamp)>,
    pub default_version: String,
    pub created: Timestamp,
    pub tags: Tags,
}

/// A certificate for listeners, uploaded with its key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerCertificate {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    /// `ASCA…`
    pub id: String,
    pub path: String,
    /// PEM.
    pub body: String,
    /// PEM; the intermediates.
    pub chain: Option<String>,
    /// PEM; never answered.
    pub private_key: String,
    pub uploaded: Timestamp,
    pub expiration: Timestamp,
    pub tags: Tags,
}

impl std::fmt::Debug for ServerCertificate {
    /// Without the key, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

/// Temporary credentials of an assumed role; an instance's own are renewed before they end.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionCredentials {
    /// Carries the account's digits, so that a key alone tells its account.
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    /// Name of the role.
    pub role: String,
    /// `arn:aws:sts::…:assumed-role/ROLE/SESSION`
    pub arn: String,
    /// `AROA…:SESSION`
    pub user_id: String,
    /// The instance that finds them in its metadata.
    pub instance: Option<InstanceId>,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

impl SessionCredentials {
    pub fn new(role: &Role, session: &str, issued: Timestamp, expires: Timestamp) -> Self {
        let (account, name) = (&role.scope.account, &role.name);
        Self {
            access_key_id: format!("ASIA{account}{}", crate::random_hex(8).to_uppercase()),
            secret_access_key: crate::random_hex(40),
            session_token: crate::random_hex(128),
            role: name.clone(),
            arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            user_id: format!("{}:{session}", role.id),
            instance: None,
            issued,
            expires,
        }
    }
}

impl std::fmt::Debug for SessionCredentials {
    /// Without secrets, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}
