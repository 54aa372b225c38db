//! VPC endpoints: a way to a service without the internet.

use crate::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VpcEndpoint {
    pub id: VpcEndpointId,
    pub scope: Scope,
    pub vpc: VpcId,
    /// Such as `com.amazonaws.us-east-1.s3`.
    pub service_name: String,
    pub kind: VpcEndpointKind,
    /// JSON; stored and described.
    pub policy: String,
    pub ip_address_type: String,
    pub dns_record_ip_type: String,
    /// Only of an interface endpoint of S3.
    pub private_dns_only_for_inbound_resolver: Option<bool>,
    pub private_dns_enabled: bool,
    /// Observed: `available` once the data plane has it.
    pub state: VpcEndpointState,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum VpcEndpointKind {
    /// A route to the service's prefix list in each of these tables.
    Gateway { route_tables: Vec<RouteTableId> },
    /// An interface in each of these subnets.
    Interface {
        interfaces: Vec<(SubnetId, NetworkInterfaceId)>,
        security_groups: Vec<SecurityGroupId>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VpcEndpointState {
    Pending,
    Available,
    Deleting,
}
