//! Capacity reservations: room for instances of one type in one zone.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapacityReservation {
    pub id: CapacityReservationId,
    pub scope: Scope,
    pub instance_type: String,
    /// `Linux/UNIX` and the like.
    pub platform: String,
    pub zone: String,
    /// `default` or `dedicated`.
    pub tenancy: String,
    pub count: u32,
    pub ebs_optimized: bool,
    pub ephemeral_storage: bool,
    /// Only launches that name it run in it; otherwise every launch that fits.
    pub targeted: bool,
    /// When it expires; never where absent.
    pub end: Option<Timestamp>,
    pub cancelled: bool,
    pub created: Timestamp,
    pub client_token: Option<String>,
    pub tags: Tags,
}

impl CapacityReservation {
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.end {
            _ if self.cancelled => "cancelled",
            Some(end) if end <= now => "expired",
            _ => "active",
        }
    }
}
