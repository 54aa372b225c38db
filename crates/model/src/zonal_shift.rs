//! Zonal shifts: a resource is moved away from a zone for a while.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZonalShift {
    /// A UUID.
    pub id: String,
    pub scope: Scope,
    /// ARN of what is shifted.
    pub resource: String,
    /// The zone's id, such as `use1-az1`.
    pub away_from: String,
    pub comment: String,
    pub started: Timestamp,
    pub expires: Timestamp,
    pub canceled: bool,
}

impl ZonalShift {
    pub fn active(&self, now: Timestamp) -> bool {
        !self.canceled && now < self.expires
    }
    pub fn status(&self, now: Timestamp) -> &'static str {
        match (self.canceled, now < self.expires) {
            (true, _) => "CANCELED",
            (false, true) => "ACTIVE",
            (false, false) => "EXPIRED",
        }
    }
}
