//! Peering of two VPCs.

use crate::*;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VpcPeeringConnection {
    pub id: VpcPeeringConnectionId,
    /// The requester's.
    pub scope: Scope,
    pub requester: PeeredVpc,
    pub accepter: PeeredVpc,
    pub state: VpcPeeringState,
    pub created: Timestamp,
    /// When it was deleted or rejected; it stays describable for a while.
    pub ended: Option<Timestamp>,
    pub tags: Tags,
}

/// One side, as it was when the connection was made: it outlives the VPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeeredVpc {
    pub vpc: VpcId,
    pub scope: Scope,
    pub cidrs: Vec<Ipv4Net>,
    /// The other side's public names resolve to private addresses.
    pub dns_resolution: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VpcPeeringState {
    PendingAcceptance,
    /// Accepted; the data plane does not yet have it.
    Provisioning,
    /// Observed.
    Active,
    Deleted,
    Rejected,
    Expired,
}
