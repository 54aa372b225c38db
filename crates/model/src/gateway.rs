//! Gateways besides the internet's and NAT: what leads out over IPv6, and to a VPN.

use crate::*;
use serde::{Deserialize, Serialize};

/// Lets IPv6 out and nothing in. The data plane is IPv4, so no packet ever meets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EgressOnlyInternetGateway {
    pub id: EgressOnlyInternetGatewayId,
    pub scope: Scope,
    pub vpc: VpcId,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub tags: Tags,
}

/// AWS's end of a VPN. No connection can be made here, so a route to it drops packets, as
/// on AWS without a connection that is up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VpnGateway {
    pub id: VpnGatewayId,
    pub scope: Scope,
    pub vpc: Option<VpcId>,
    pub amazon_side_asn: i64,
    pub zone: Option<String>,
    pub tags: Tags,
}

/// The customer's end of a VPN: what was said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomerGateway {
    pub id: CustomerGatewayId,
    pub scope: Scope,
    pub bgp_asn: i64,
    pub ip_address: Option<String>,
    pub certificate_arn: Option<String>,
    pub device_name: Option<String>,
    pub tags: Tags,
}
