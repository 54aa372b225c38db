//! Certificates of Certificate Manager, and the authority that issues them here.

use crate::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    pub arn: String,
    pub scope: Scope,
    pub domain_name: String,
    /// All names, `domain_name` first.
    pub names: Vec<String>,
    pub origin: CertificateOrigin,
    /// Absent until it is issued: observed, for requested ones.
    pub material: Option<CertificateMaterial>,
    pub created: Timestamp,
    /// When it was issued or, for imported ones, imported.
    pub issued: Option<Timestamp>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CertificateOrigin {
    Imported,
    /// By the cloud's own authority.
    Requested {
        /// `EC_prime256v1` or `EC_secp384r1`.
        key_algorithm: String,
        transparency_logging: bool,
        idempotency_token: Option<String>,
    },
}

/// Name and value of the CNAME record that shows control over the domain: the same for a name and
/// its wildcard, and always the same for an account, as on AWS.
pub fn validation_record(account: &str, name: &str) -> (String, String) {
    let domain = name.strip_prefix("*.").unwrap_or(name);
    let digest = |kind: &str, length: usize| {
        let digest = Sha256::digest(format!("{kind}/{account}/{domain}"));
        let mut text = hex::encode(digest);
        text.truncate(length);
        text
    };
    let name = format!("_{}.{domain}.", digest("name", 32));
    let value = format!(
        "_{}.{}.acm-validations.aws.",
        digest("value", 32),
        digest("zone", 10)
    );
    (name, value)
}

/// A certificate with its key, in PEM.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CertificateMaterial {
    pub body: String,
    /// The intermediates.
    pub chain: Option<String>,
    /// Never answered.
    pub private_key: String,
}

/// Issues the certificates that are requested. One per cloud.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CertificateAuthority {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub private_key: String,
    pub created: Timestamp,
}

impl std::fmt::Debug for CertificateMaterial {
    /// Without the key, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateMaterial")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CertificateAuthority {
    /// Without the key, which logs must not hold.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}
