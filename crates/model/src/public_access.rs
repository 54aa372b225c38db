//! VPC Block Public Access: what of a region may talk to the internet, whatever routes say.

use crate::*;
use serde::{Deserialize, Serialize};

/// What a region's VPCs are kept from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicAccessBlock {
    pub mode: BlockMode,
    pub since: Timestamp,
    /// Observed: the network on the host is as this says.
    pub in_force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockMode {
    Off,
    Bidirectional,
    /// What NAT gateways begin is let through.
    Ingress,
}

/// A VPC or subnet that the region's block leaves alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicAccessExclusion {
    pub id: PublicAccessExclusionId,
    pub scope: Scope,
    pub of: Excluded,
    /// Only what NAT gateways begin.
    pub egress_only: bool,
    pub state: ExclusionState,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub deleted: Option<Timestamp>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Excluded {
    Vpc(VpcId),
    Subnet(SubnetId),
}

/// Actions begin a change, the controller that sees it on the host completes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExclusionState {
    CreateInProgress,
    CreateComplete,
    UpdateInProgress,
    UpdateComplete,
    DeleteInProgress,
    DeleteComplete,
}

impl ExclusionState {
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateInProgress => "create-in-progress",
            Self::CreateComplete => "create-complete",
            Self::UpdateInProgress => "update-in-progress",
            Self::UpdateComplete => "update-complete",
            Self::DeleteInProgress => "delete-in-progress",
            Self::DeleteComplete => "delete-complete",
        }
    }

    /// What it becomes once the change stands; `None` where there is none under way.
    pub fn completed(self) -> Option<Self> {
        match self {
            Self::CreateInProgress => Some(Self::CreateComplete),
            Self::UpdateInProgress => Some(Self::UpdateComplete),
            Self::DeleteInProgress => Some(Self::DeleteComplete),
            Self::CreateComplete | Self::UpdateComplete | Self::DeleteComplete => None,
        }
    }

    pub fn counts(self) -> bool {
        !matches!(self, Self::DeleteInProgress | Self::DeleteComplete)
    }
}
