//! EC2 Instance Connect: endpoints that lead into a VPC, and keys that open an instance for a minute.

use crate::*;
use serde::{Deserialize, Serialize};

/// A way from the internet to port 22 or 3389 of private addresses, by WebSockets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceConnectEndpoint {
    pub id: InstanceConnectEndpointId,
    pub scope: Scope,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    /// Tunnels begin at its primary address.
    pub interface: NetworkInterfaceId,
    pub security_groups: Vec<SecurityGroupId>,
    /// Kept and described; connections begin at the interface's own address all the same.
    pub preserve_client_ip: bool,
    /// Observed, but for the wishes that `…-in-progress` are.
    pub state: InstanceConnectEndpointState,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceConnectEndpointState {
    CreateInProgress,
    CreateComplete,
    UpdateInProgress,
    UpdateComplete,
    DeleteInProgress,
}

impl InstanceConnectEndpointState {
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateInProgress => "create-in-progress",
            Self::CreateComplete => "create-complete",
            Self::UpdateInProgress => "update-in-progress",
            Self::UpdateComplete => "update-complete",
            Self::DeleteInProgress => "delete-in-progress",
        }
    }
    /// Whether tunnels may be opened; one that is being changed goes on as it was.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::CreateInProgress | Self::DeleteInProgress)
    }
}

impl InstanceConnectEndpoint {
    pub fn dns_name(&self) -> String {
        format!("{}.{}", self.id, domain(&self.scope.region))
    }
}

/// What the names of a region's endpoints end in. AWS has more than one such label, telling parts
/// of its own; this cloud has one part.
pub fn domain(region: &str) -> String {
    format!("0e1ce000.ec2-instance-connect-endpoint.{region}.amazonaws.com")
}

/// A public key that somebody may log in with for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceConnectKey {
    /// Of the request that sent it.
    pub request: String,
    pub scope: Scope,
    pub instance: InstanceId,
    pub os_user: String,
    /// As OpenSSH writes it.
    pub public_key: String,
    /// The ARN of who sent it.
    pub caller: String,
    pub expires: Timestamp,
}
