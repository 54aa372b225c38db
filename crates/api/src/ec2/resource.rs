//! What every EC2 record has in common: an id with its error codes, an owner, tags.

use super::error::{Result, error};
use crate::Ctx;
use model::capacity_reservation::CapacityReservation;
use model::flow_log::FlowLog;
use model::gateway::{CustomerGateway, EgressOnlyInternetGateway, VpnGateway};
use model::instance::{Instance, KeyPair, LaunchTemplate, Volume};
use model::instance_connect::InstanceConnectEndpoint;
use model::placement_group::PlacementGroup;
use model::public_access::PublicAccessExclusion;
use model::snapshot::{OwnImage, Snapshot};
use model::spot_request::SpotRequest;
use model::vpc::{
    Address, DhcpOptions, InternetGateway, ManagedPrefixList, NatGateway, NetworkAcl,
    NetworkInterface, RouteTable, SecurityGroup, Subnet, Vpc,
};
use model::vpc_endpoint::VpcEndpoint;
use model::vpc_peering::VpcPeeringConnection;
use model::{MalformedId, Scope, Tags};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use store::{Of, Record, State};
use wire::ApiError;

/// A record with an id of its own: looked up, tagged and described alike.
pub trait Resource: Record<Key: FromStr<Err = MalformedId> + Display> + Of<Scope> {
    /// As in TagSpecifications and DescribeTags.
    const TYPE: &'static str;
    /// The filter whose values are ids, where Describe calls have one.
    const ID_FILTER: &'static str;
    const MALFORMED: &'static str;
    const NOT_FOUND: &'static str;
    /// The text of `NOT_FOUND`; `{}` stands for the id.
    const DOES_NOT_EXIST: &'static str;
    fn scope(&self) -> &Scope;
    fn tags(&self) -> &Tags;
    fn tags_mut(&mut self) -> &mut Tags;

    fn not_found(id: impl Display) -> ApiError {
        let text = Self::DOES_NOT_EXIST.replace("{}", &id.to_string());
        error(Self::NOT_FOUND, text)
    }
}

macro_rules! resources {
    ($($record:ty: $kind:literal, $id_filter:literal, $malformed:literal, $not_found:literal, $text:literal;)*) => {$(
        impl Resource for $record {
            const TYPE: &'static str = $kind;
            const ID_FILTER: &'static str = $id_filter;
            const MALFORMED: &'static str = $malformed;
            const NOT_FOUND: &'static str = $not_found;
            const DOES_NOT_EXIST: &'static str = $text;
            fn scope(&self) -> &Scope { &self.scope }
            fn tags(&self) -> &Tags { &self.tags }
            fn tags_mut(&mut self) -> &mut Tags { &mut self.tags }
        }
    )*};
}

resources! {
    Vpc: "vpc", "vpc-id", "InvalidVpcID.Malformed", "InvalidVpcID.NotFound", "The vpc ID '{}' does not exist";
    Subnet: "subnet", "subnet-id", "InvalidSubnetID.Malformed", "InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist";
    InternetGateway: "internet-gateway", "internet-gateway-id", "InvalidInternetGatewayId.Malformed", "InvalidInternetGatewayID.NotFound", "The internetGateway ID '{}' does not exist";
    RouteTable: "route-table", "route-table-id", "InvalidRouteTableId.Malformed", "InvalidRouteTableID.NotFound", "The routeTable ID '{}' does not exist";
    NetworkAcl: "network-acl", "network-acl-id", "InvalidNetworkAclId.Malformed", "InvalidNetworkAclID.NotFound", "The networkAcl ID '{}' does not exist";
    SecurityGroup: "security-group", "group-id", "InvalidGroupId.Malformed", "InvalidGroup.NotFound", "The security group '{}' does not exist";
    ManagedPrefixList: "prefix-list", "prefix-list-id", "InvalidPrefixListId.Malformed", "InvalidPrefixListID.NotFound", "The prefix list ID '{}' does not exist";
    DhcpOptions: "dhcp-options", "dhcp-options-id", "InvalidDhcpOptionsId.Malformed", "InvalidDhcpOptionID.NotFound", "The dhcpOption ID '{}' does not exist";
    Address: "elastic-ip", "allocation-id", "InvalidAllocationID.Malformed", "InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist";
    NatGateway: "natgateway", "nat-gateway-id", "NatGatewayMalformed", "NatGatewayNotFound", "The Nat Gateway {} was not found";
    NetworkInterface: "network-interface", "network-interface-id", "InvalidNetworkInterfaceId.Malformed", "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist";
    EgressOnlyInternetGateway: "egress-only-internet-gateway", "", "InvalidEgressOnlyInternetGatewayId.Malformed", "InvalidEgressOnlyInternetGatewayId.NotFound", "The egress only internet gateway ID '{}' does not exist";
    VpnGateway: "vpn-gateway", "vpn-gateway-id", "InvalidVpnGatewayID.Malformed", "InvalidVpnGatewayID.NotFound", "The vpnGateway ID '{}' does not exist";
    CustomerGateway: "customer-gateway", "customer-gateway-id", "InvalidCustomerGatewayId.Malformed", "InvalidCustomerGatewayID.NotFound", "The customerGateway ID '{}' does not exist";
    VpcEndpoint: "vpc-endpoint", "vpc-endpoint-id", "InvalidVpcEndpointId.Malformed", "InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{}' does not exist";
    InstanceConnectEndpoint: "instance-connect-endpoint", "instance-connect-endpoint-id", "InvalidInstanceConnectEndpointId.Malformed", "InvalidInstanceConnectEndpointId.NotFound", "The instanceConnectEndpointId '{}' does not exist";
    VpcPeeringConnection: "vpc-peering-connection", "vpc-peering-connection-id", "InvalidVpcPeeringConnectionId.Malformed", "InvalidVpcPeeringConnectionID.NotFound", "The vpcPeeringConnection ID '{}' does not exist";
    FlowLog: "vpc-flow-log", "flow-log-id", "InvalidFlowLogId.Malformed", "InvalidFlowLogId.NotFound", "The Flow Log Id '{}' does not exist";
    PlacementGroup: "placement-group", "", "InvalidPlacementGroupId.Malformed", "InvalidPlacementGroup.Unknown", "The placement group '{}' is unknown.";
    PublicAccessExclusion: "vpc-block-public-access-exclusion", "", "InvalidVpcBlockPublicAccessExclusionId.Malformed", "InvalidVpcBlockPublicAccessExclusionId.NotFound", "The exclusion '{}' does not exist";
    CapacityReservation: "capacity-reservation", "", "InvalidCapacityReservationId.Malformed", "InvalidCapacityReservationId.NotFound", "The capacity reservation '{}' does not exist";
    SpotRequest: "spot-instances-request", "spot-instance-request-id", "InvalidSpotInstanceRequestID.Malformed", "InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '{}' does not exist";
    Instance: "instance", "instance-id", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound", "The instance ID '{}' does not exist";
    Volume: "volume", "volume-id", "InvalidVolumeID.Malformed", "InvalidVolume.NotFound", "The volume '{}' does not exist.";
    Snapshot: "snapshot", "snapshot-id", "InvalidSnapshotID.Malformed", "InvalidSnapshot.NotFound", "The snapshot '{}' does not exist.";
    OwnImage: "image", "image-id", "InvalidAMIID.Malformed", "InvalidAMIID.NotFound", "The image id '[{}]' does not exist";
    LaunchTemplate: "launch-template", "", "InvalidLaunchTemplateId.Malformed", "InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID {}, does not exist.";
    KeyPair: "key-pair", "key-pair-id", "InvalidKeyPair.NotFound", "InvalidKeyPair.NotFound", "The key pair ID '{}' does not exist";
}

/// The id that a text spells, of the kind that `R` has.
pub fn parse_id<R: Resource>(text: &str) -> Result<R::Key> {
    text.parse().map_err(|MalformedId { text, prefix }| {
        error(
            R::MALFORMED,
            format!("Invalid id: \"{text}\" (expecting \"{prefix}-...\")"),
        )
    })
}

/// The caller's record of that id.
pub fn find<R: Resource>(ctx: &Ctx, id: &str) -> Result<Arc<R>> {
    find_ref(ctx, id).cloned()
}

pub fn find_ref<'a, R: Resource>(ctx: &'a Ctx, id: &str) -> Result<&'a Arc<R>> {
    let key = parse_id::<R>(id)?;
    let record = R::table(&ctx.tx).get(&key);
    match record {
        Some(record) if *record.scope() == ctx.scope => Ok(record),
        _ => Err(R::not_found(id)),
    }
}

/// Every record of the caller, ordered by id.
pub fn owned<'a, R: Resource>(
    state: &'a State,
    scope: &'a Scope,
) -> impl Iterator<Item = &'a Arc<R>> {
    R::table(state).of(scope)
}
