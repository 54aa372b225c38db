//! The network a cloud should have, as one value.
//!
//! Controllers compute a whole [`Network`] from the store; the host makes the
//! kernel agree with it and removes what it does not name. Because the value is
//! whole, the first run, every change and recovery after a crash are one path.

use ipnet::Ipv4Net;
use model::{
    InternetGatewayId, NetworkAclId, NetworkInterfaceId, RouteTableId, SecurityGroupId, SubnetId,
    VpcId, VpcPeeringConnectionId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub vpcs: BTreeMap<VpcId, Vpc>,
    /// Availability Zones whose packets are cut off (`nines break az`).
    pub cut_zones: BTreeSet<String>,
    /// Interfaces whose packets are dropped (`nines break nat`, `break network`).
    pub cut_interfaces: BTreeSet<NetworkInterfaceId>,
    /// Addresses of the internet namespace on which the edge process listens
    /// (a container registry, say). Taken from [`reserved`], or from outside the pool.
    #[serde(default)]
    pub internet_services: Vec<Ipv4Addr>,
}

/// What went through a NAT gateway since its rules were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatUsage {
    /// From its VPC, and on towards where it goes.
    pub in_from_source: Passed,
    pub out_to_destination: Passed,
    /// Answers, and on into the VPC.
    pub in_from_destination: Passed,
    pub out_to_source: Passed,
    /// First packets of TCP connections, and answers that take them.
    pub attempts: u64,
    pub established: u64,
    /// Packets.
    pub dropped: u64,
    /// Connections at the moment.
    pub open: u64,
    /// Connections for which there was no port; unknown where the kernel does not tell.
    pub no_port: Option<u64>,
    /// Connections that nobody has closed, with the seconds after which they are forgotten unless
    /// another packet comes.
    pub standing: BTreeMap<Connection, u32>,
}

/// Number of the protocol, whence and whither.
pub type Connection = (u8, SocketAddrV4, SocketAddrV4);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    pub packets: u64,
    pub bytes: u64,
}

/// Where public addresses come from unless told otherwise: the benchmarking range of
/// RFC 2544, which no real network routes.
pub const PUBLIC_POOL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15);

/// The part of a public pool that is never allocated to a user, its first /24 (of a small
/// pool the first sixteenth): `.1` is the host, `.2` the internet namespace, the rest is
/// for `internet_services`.
pub fn reserved(pool: Ipv4Net) -> Ipv4Net {
    Ipv4Net::new_assert(pool.network(), (pool.prefix_len() + 4).clamp(24, 32))
}

/// The host's own address in a public pool; balancers see it as the client of a local `curl`.
pub fn host_address(pool: Ipv4Net) -> Ipv4Addr {
    nth(pool, 1)
}

/// The internet namespace's address in a public pool.
pub fn internet_address(pool: Ipv4Net) -> Ipv4Addr {
    nth(pool, 2)
}

/// The VPC resolver beside base+2, the same in every VPC.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
/// The instance metadata service.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The address `n` places after the first of a range.
pub fn nth(range: Ipv4Net, n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(range.network().to_bits().wrapping_add(n))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    pub cidrs: Vec<Ipv4Net>,
    /// The attached internet gateway, if any.
    pub internet_gateway: Option<InternetGatewayId>,
    /// False answers nothing at base+2.
    pub dns_support: bool,
    pub subnets: BTreeMap<SubnetId, Subnet>,
    pub route_tables: BTreeMap<RouteTableId, Vec<Route>>,
    pub network_acls: BTreeMap<NetworkAclId, NetworkAcl>,
    pub security_groups: BTreeMap<SecurityGroupId, SecurityGroup>,
    pub interfaces: BTreeMap<NetworkInterfaceId, Interface>,
    /// Other VPCs that are joined to this one; both sides name the connection.
    #[serde(default)]
    pub peerings: BTreeMap<VpcPeeringConnectionId, Peering>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peering {
    /// The VPC at the other end.
    pub vpc: VpcId,
    /// Its blocks: what may come from there and go there.
    pub cidrs: Vec<Ipv4Net>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub cidr: Ipv4Net,
    pub zone: String,
    /// The explicit association, or the VPC's main table.
    pub route_table: RouteTableId,
    pub network_acl: NetworkAclId,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub destination: Ipv4Net,
    pub target: RouteTarget,
}

/// Where a route leads. The local routes of the VPC's CIDRs are implied, not listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RouteTarget {
    InternetGateway,
    /// A NAT gateway's or a forwarding instance's interface.
    Interface(NetworkInterfaceId),
    Peering(VpcPeeringConnectionId),
    /// The target is gone: packets are dropped.
    Blackhole,
}

/// Ordered rules, lowest number first, first match decides; no match denies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkAcl {
    pub ingress: Vec<AclRule>,
    pub egress: Vec<AclRule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AclRule {
    pub number: u16,
    pub allow: bool,
    pub cidr: Ipv4Net,
    pub traffic: Traffic,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub ingress: Vec<SecurityGroupRule>,
    pub egress: Vec<SecurityGroupRule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    pub traffic: Traffic,
    pub peer: Peer,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Peer {
    Cidr(Ipv4Net),
    /// The private addresses of the interfaces that carry this group now.
    Group(SecurityGroupId),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Traffic {
    All,
    /// Inclusive destination ports.
    Tcp {
        from: u16,
        to: u16,
    },
    Udp {
        from: u16,
        to: u16,
    },
    /// `None` is any type or code.
    Icmp {
        kind: Option<u8>,
        code: Option<u8>,
    },
    /// Another IP protocol by number, all of it.
    Protocol(u8),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    pub subnet: SubnetId,
    pub mac: [u8; 6],
    /// Private addresses, the primary first.
    pub addresses: Vec<Ipv4Addr>,
    /// Private address to the public address the internet gateway maps it to.
    pub public: BTreeMap<Ipv4Addr, Ipv4Addr>,
    pub security_groups: Vec<SecurityGroupId>,
    /// True drops packets neither from nor to the interface's own addresses.
    pub source_dest_check: bool,
    pub owner: Owner,
}

/// What stands at the guest end of an interface's veth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Owner {
    /// An instance: a network namespace `i-…` owned by the user namespace that maps
    /// 65,536 ids from `uid_base`; the veth is `eth<device>` in it.
    Instance {
        instance: model::InstanceId,
        device: u8,
        uid_base: u32,
    },
    /// A NAT gateway: no security group; SNATs to its primary address and re-enters the router.
    NatGateway,
    /// A node of a load balancer, or an EC2 Instance Connect Endpoint: a namespace in which the
    /// balancer or the edge makes its sockets.
    LoadBalancerNode,
    /// A node of a network load balancer: passes clients' packets on to targets under the clients'
    /// own addresses, and gets the answers. Without a security group nothing of it is filtered.
    NetworkLoadBalancerNode,
    /// Addresses are reserved, nothing stands behind it (an unattached interface).
    Detached,
}
