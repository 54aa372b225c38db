//! Placement groups: how instances are to lie on hardware.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacementGroup {
    pub id: PlacementGroupId,
    pub scope: Scope,
    pub name: String,
    /// `cluster`, `spread` or `partition`.
    pub strategy: String,
    pub partitions: Option<u32>,
    /// `host` or `rack`, of a spread group.
    pub spread_level: Option<String>,
    pub tags: Tags,
}
