//! Who else vouches for identities: OpenID Connect and SAML providers of an account.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OidcProvider {
    pub arn: String,
    pub scope: Scope,
    /// Without the scheme, as AWS shows it.
    pub url: String,
    pub client_ids: Vec<String>,
    /// SHA-1 of certificates, in hexadecimal digits.
    pub thumbprints: Vec<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamlProvider {
    pub arn: String,
    pub scope: Scope,
    pub name: String,
    pub id: String,
    pub metadata: String,
    pub created: Timestamp,
    pub valid_until: Timestamp,
    pub tags: Tags,
}
