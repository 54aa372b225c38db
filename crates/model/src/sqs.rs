//! Queues, as far as what stands around them needs one.

use crate::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub scope: Scope,
    pub name: String,
    /// By AWS's names, only those that were set.
    pub attributes: BTreeMap<String, String>,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub tags: Tags,
}
