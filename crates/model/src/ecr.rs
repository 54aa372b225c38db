//! Registries and repositories of container images. The images are on disk, see the crate `oci`.

use crate::*;
use serde::{Deserialize, Serialize};

/// An account's registry in a Region, once somebody has asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    pub scope: Scope,
}

impl Registry {
    pub fn host(scope: &Scope) -> String {
        format!("{}.dkr.ecr.{}.amazonaws.com", scope.account, scope.region)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    pub scope: Scope,
    pub name: String,
    /// Name of its directory: another repository of this name later has another.
    pub directory: String,
    /// `MUTABLE`, `IMMUTABLE` or one of them `_WITH_EXCLUSION`.
    pub tag_mutability: String,
    /// Patterns of tags for which the contrary holds.
    pub exclusions: Vec<String>,
    /// Kept; nothing is scanned.
    pub scan_on_push: bool,
    /// Kept; images lie on disk as they came.
    pub encryption: Encryption,
    pub policy: Option<String>,
    pub lifecycle: Option<LifecyclePolicy>,
    pub created: Timestamp,
    pub tags: Tags,
}

impl Repository {
    pub fn arn(&self) -> String {
        self.scope
            .arn("ecr", format_args!("repository/{}", self.name))
    }
    pub fn immutable(&self) -> bool {
        self.tag_mutability.starts_with("IMMUTABLE")
    }
    /// Where its images lie below the directory of all.
    pub fn path(&self) -> std::path::PathBuf {
        let account = std::path::Path::new(&*self.scope.account);
        account.join(&*self.scope.region).join(&self.directory)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encryption {
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub kind: String,
    pub key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifecyclePolicy {
    /// As it was given.
    pub text: String,
    /// By priority, the lowest number first.
    pub rules: Vec<LifecycleRule>,
    /// Observed: when its rules were last followed.
    pub evaluated: Option<Timestamp>,
}

/// Which images expire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifecycleRule {
    pub priority: u32,
    pub selection: Selection,
    pub expiry: Expiry,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Selection {
    Untagged,
    /// With tags that begin with each of these.
    Prefixes(Vec<String>),
    /// With tags that match each of these; `*` stands for any text.
    Patterns(Vec<String>),
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Expiry {
    /// All but the newest so many.
    MoreThan(u32),
    DaysSincePush(u32),
}
