//! VPCs, subnets, gateways and routes.

use crate::*;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    pub id: VpcId,
    pub scope: Scope,
    /// The primary CIDR first; each with its association id (`vpc-cidr-assoc-…`).
    pub cidrs: Vec<(String, Ipv4Net)>,
    /// Allocated and described; the data plane is IPv4.
    #[serde(default)]
    pub ipv6_cidrs: Vec<(String, Ipv6Net)>,
    pub is_default: bool,
    pub instance_tenancy: String,
    pub dhcp_options: DhcpOptionsId,
    pub enable_dns_support: bool,
    pub enable_dns_hostnames: bool,
    pub enable_network_address_usage_metrics: bool,
    pub tags: Tags,
}

impl Vpc {
    pub fn primary_cidr(&self) -> Ipv4Net {
        self.cidrs
            .first()
            .map(|(_, cidr)| *cidr)
            .unwrap_or_default()
    }
    /// The VPC resolver: base of the primary CIDR plus two.
    pub fn resolver(&self) -> Ipv4Addr {
        (u32::from(self.primary_cidr().network()) + 2).into()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: SubnetId,
    pub scope: Scope,
    pub vpc: VpcId,
    pub cidr: Ipv4Net,
    /// Its block of the VPC's, with the association's id (`subnet-cidr-assoc-…`).
    #[serde(default)]
    pub ipv6_cidr: Option<(String, Ipv6Net)>,
    /// Zone name, such as `us-east-1a`.
    pub zone: String,
    pub default_for_az: bool,
    pub map_public_ip_on_launch: bool,
    pub assign_ipv6_address_on_creation: bool,
    pub enable_dns64: bool,
    /// `ip-name` or `resource-name`.
    pub private_dns_hostname_type: String,
    pub enable_resource_name_dns_a_record: bool,
    pub enable_resource_name_dns_aaaa_record: bool,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InternetGateway {
    pub id: InternetGatewayId,
    pub scope: Scope,
    pub vpc: Option<VpcId>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    pub id: RouteTableId,
    pub scope: Scope,
    pub vpc: VpcId,
    /// Without the implied local routes.
    pub routes: Vec<Route>,
    /// Stored and described; the data plane is IPv4.
    pub ipv6_routes: Vec<(Ipv6Net, RouteTarget)>,
    /// A route to each of a list's entries.
    #[serde(default)]
    pub prefix_list_routes: Vec<(PrefixListId, RouteTarget)>,
    /// Virtual private gateways whose routes are to be taken over.
    #[serde(default)]
    pub propagating_gateways: Vec<VpnGatewayId>,
    pub associations: Vec<RouteTableAssociation>,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub tags: Tags,
}

impl RouteTable {
    pub fn is_main(&self) -> bool {
        self.associations.iter().any(|a| a.subnet.is_none())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub destination: Ipv4Net,
    pub target: RouteTarget,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RouteTarget {
    InternetGateway(InternetGatewayId),
    NatGateway(NatGatewayId),
    NetworkInterface(NetworkInterfaceId),
    Instance(InstanceId),
    /// For IPv6 only.
    EgressOnlyInternetGateway(EgressOnlyInternetGatewayId),
    VpnGateway(VpnGatewayId),
    VpcPeeringConnection(VpcPeeringConnectionId),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteTableAssociation {
    pub id: RouteTableAssociationId,
    /// `None` is the VPC's main association.
    pub subnet: Option<SubnetId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkAcl {
    pub id: NetworkAclId,
    pub scope: Scope,
    pub vpc: VpcId,
    pub is_default: bool,
    pub entries: Vec<NetworkAclEntry>,
    /// Subnets with their association ids; a subnet stands in exactly one ACL.
    pub associations: Vec<(NetworkAclAssociationId, SubnetId)>,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkAclEntry {
    /// 1–32766; the implied 32767 denies.
    pub number: u16,
    pub egress: bool,
    pub allow: bool,
    /// IPv4, or IPv6 (stored and described; the data plane is IPv4).
    pub cidr: ipnet::IpNet,
    /// IP protocol number, −1 for all.
    pub protocol: i16,
    /// TCP and UDP.
    pub ports: Option<(u16, u16)>,
    /// ICMP type and code, −1 for any.
    pub icmp: Option<(i16, i16)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub id: SecurityGroupId,
    pub scope: Scope,
    pub vpc: VpcId,
    pub name: String,
    pub description: String,
    pub rules: Vec<SecurityGroupRule>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    pub id: SecurityGroupRuleId,
    pub egress: bool,
    /// IP protocol number, −1 for all.
    pub protocol: i16,
    /// Ports, or ICMP type and code; −1 for any. `None` for protocols without ports.
    pub ports: Option<(i32, i32)>,
    pub peer: SecurityGroupPeer,
    pub description: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SecurityGroupPeer {
    /// IPv4 or IPv6; the data plane enforces IPv4.
    Cidr(ipnet::IpNet),
    Group(SecurityGroupId),
    PrefixList(PrefixListId),
}

/// A list of blocks under one id, which rules name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagedPrefixList {
    pub id: PrefixListId,
    pub scope: Scope,
    pub name: String,
    /// `IPv4` or `IPv6`.
    pub address_family: String,
    pub max_entries: u32,
    /// Version 1 first; the last one is in force.
    pub versions: Vec<Vec<PrefixListEntry>>,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub tags: Tags,
}

impl ManagedPrefixList {
    /// The entries in force.
    pub fn entries(&self) -> &[PrefixListEntry] {
        self.versions.last().map_or(&[], Vec::as_slice)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefixListEntry {
    pub cidr: ipnet::IpNet,
    pub description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptions {
    pub id: DhcpOptionsId,
    pub scope: Scope,
    /// The set that new VPCs of the account and region get, and that `default` names.
    pub is_default: bool,
    /// Key to values, such as `domain-name-servers` to `AmazonProvidedDNS`.
    pub configuration: std::collections::BTreeMap<String, Vec<String>>,
    pub tags: Tags,
}

/// An Elastic IP address, or one that AWS assigned (`allocation` then is not describable).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    pub allocation: AllocationId,
    pub scope: Scope,
    pub public_ip: Ipv4Addr,
    pub association: Option<AddressAssociation>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddressAssociation {
    pub id: AddressAssociationId,
    pub interface: NetworkInterfaceId,
    pub private_ip: Ipv4Addr,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NatGateway {
    pub id: NatGatewayId,
    pub scope: Scope,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    /// `None` for private connectivity.
    pub allocation: Option<AllocationId>,
    pub association: Option<AddressAssociationId>,
    pub interface: NetworkInterfaceId,
    pub private_ip: Ipv4Addr,
    pub public_ip: Option<Ipv4Addr>,
    /// Observed: `available` once the data plane has it.
    pub state: NatGatewayState,
    pub failure: Option<(String, String)>,
    pub client_token: Option<String>,
    pub created: Timestamp,
    pub deleted: Option<Timestamp>,
    pub tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatGatewayState {
    Pending,
    Available,
    Failed,
    Deleting,
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterface {
    pub id: NetworkInterfaceId,
    pub scope: Scope,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub description: String,
    /// `02:…`, as six octets.
    pub mac: [u8; 6],
    /// Private addresses, the primary first.
    pub private_ips: Vec<Ipv4Addr>,
    /// Assigned and described; the data plane is IPv4.
    #[serde(default)]
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// A public address that AWS assigned at launch (not an Elastic IP) to the primary address.
    pub auto_public_ip: Option<Ipv4Addr>,
    pub security_groups: Vec<SecurityGroupId>,
    pub source_dest_check: bool,
    /// What AWS made it for, if a service did; such an interface cannot be detached by the user.
    pub requester: Option<Requester>,
    pub attachment: Option<Attachment>,
    /// Idempotency token of the creating call.
    pub client_token: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

impl NetworkInterface {
    pub fn primary_ip(&self) -> Ipv4Addr {
        self.private_ips
            .first()
            .copied()
            .unwrap_or(Ipv4Addr::UNSPECIFIED)
    }
}

/// The service that owns a requester-managed interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Requester {
    /// The load balancer's ARN.
    LoadBalancer(String),
    NatGateway(NatGatewayId),
    VpcEndpoint(VpcEndpointId),
    InstanceConnectEndpoint(InstanceConnectEndpointId),
}

impl Requester {
    /// The ARN of the load balancer that it is a node of.
    pub fn load_balancer(&self) -> Option<&str> {
        match self {
            Self::LoadBalancer(arn) => Some(arn),
            _ => None,
        }
    }
}

/// An interface's attachment to an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub id: AttachmentId,
    pub instance: InstanceId,
    pub device_index: u8,
    pub delete_on_termination: bool,
    pub attached: Timestamp,
}
