//! EC2: the VPC and compute actions.
//!
//! [`service`] is the one list of actions; each resource has a file with the
//! same name as in the model. [`resource`], [`filter`], [`page`] and [`tag`]
//! hold what all Describe and Create calls share.

mod absent;
pub mod account;
pub mod address;
mod address_association;
pub mod availability_zone;
mod capacity_reservation;
pub mod cidr;
pub mod console;
pub mod customer_gateway;
pub mod default_vpc;
pub mod dhcp_options;
pub mod dns_name;
pub mod ebs_default;
pub mod egress_only_internet_gateway;
pub mod error;
pub mod filter;
pub mod flow_log;
pub mod image;
pub mod instance;
pub mod instance_attribute;
pub mod instance_connect_endpoint;
mod instance_filter;
pub mod instance_option;
pub mod instance_profile_association;
pub(crate) mod instance_requirements;
mod instance_shape;
pub mod instance_state;
pub mod instance_status;
mod instance_template;
pub mod instance_type;
pub mod internet_gateway;
mod ip_permission;
mod ipv6;
pub mod key_pair;
pub mod launch;
pub mod launch_template;
pub mod launch_template_data;
pub mod launch_template_version;
pub mod managed_prefix_list;
pub mod nat_gateway;
pub mod network_acl;
mod network_acl_entry;
pub mod network_interface;
mod network_interface_address;
mod network_interface_attachment;
pub mod network_interface_attribute;
mod network_interface_filter;
pub mod network_interface_ipv6;
pub mod network_interface_shape;
mod own_image;
pub mod page;
pub mod placement_group;
pub mod prefix_list;
pub mod private_address;
pub mod protocol;
mod public_access;
pub mod public_address;
pub(crate) mod public_key;
pub mod quota;
mod reservation;
pub mod resource;
pub mod route;
mod route_shape;
pub mod route_table;
mod route_target;
pub mod run_instances;
mod secret_key;
pub mod security_group;
pub mod security_group_reference;
pub mod security_group_rule;
mod security_group_rule_update;
mod snapshot;
pub mod spot_launch;
pub mod spot_request;
mod spot_request_shape;
pub mod subnet;
mod subnet_cidr_block;
pub mod tag;
pub mod volume;
pub mod volume_lifecycle;
pub mod vpc;
mod vpc_attribute;
mod vpc_cidr_block;
pub mod vpc_endpoint;
mod vpc_endpoint_service;
mod vpc_endpoint_update;
pub mod vpc_peering;
pub mod vpn_gateway;

pub use default_vpc::{ensure_defaults, has_defaults};
pub use instance_state::start_one;

use crate::Ctx;
use error::Result;
use resource::{Resource, owned};
use serde::Serialize;
use std::sync::Arc;
use wire::{Action, QueryKind, Service, action};

const VERSION: &str = "2016-11-15";

/// The answer of actions that only do: `<return>true</return>`.
#[derive(Serialize)]
pub struct Done {
    r#return: bool,
}

pub fn done() -> Result<Done> {
    Ok(Done { r#return: true })
}

/// What an earlier call with the same token made, if there was one and it asked for the same.
pub fn idempotent<R: Resource>(
    ctx: &Ctx,
    token: Option<&str>,
    token_of: fn(&R) -> Option<&str>,
    same: impl Fn(&R) -> bool,
) -> Result<Option<Arc<R>>> {
    let Some(token) = token.filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    let made = owned::<R>(&ctx.tx, &ctx.scope).find(|r| token_of(r) == Some(token));
    match made {
        Some(made) if !same(made) => Err(error::error(
            "IdempotentParameterMismatch",
            "The client token has been used with different parameters.",
        )),
        made => Ok(made.cloned()),
    }
}

pub fn service() -> Service<Ctx> {
    Service {
        version: VERSION,
        xml_namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
        query_kind: Some(QueryKind::Ec2),
        actions: network_actions()
            .into_iter()
            .chain(compute_actions())
            .chain(connection_actions())
            .collect(),
        ..Service::new("ec2")
    }
}

fn compute_actions() -> Vec<Action<Ctx>> {
    vec![
        action("RunInstances", run_instances::run),
        action("DescribeInstances", instance::describe_all),
        action("StartInstances", instance_state::start),
        action("StopInstances", instance_state::stop),
        action("RebootInstances", instance_state::reboot),
        action("TerminateInstances", instance_state::terminate),
        action("CreateLaunchTemplate", launch_template::create),
        action("DescribeLaunchTemplates", launch_template::describe_all),
        action("ModifyLaunchTemplate", launch_template::modify),
        action("DeleteLaunchTemplate", launch_template::delete),
        action(
            "CreateLaunchTemplateVersion",
            launch_template_version::create,
        ),
        action(
            "DescribeLaunchTemplateVersions",
            launch_template_version::describe_all,
        ),
        action(
            "DeleteLaunchTemplateVersions",
            launch_template_version::delete,
        ),
        action("DescribeInstanceStatus", instance_status::describe_all),
        action("DescribeInstanceAttribute", instance_attribute::describe),
        action("ModifyInstanceAttribute", instance_attribute::modify),
        action("ResetInstanceAttribute", instance_attribute::reset),
        action(
            "ModifyInstanceMetadataOptions",
            instance_option::modify_metadata,
        ),
        action("MonitorInstances", instance_option::monitor),
        action("UnmonitorInstances", instance_option::unmonitor),
        action(
            "DescribeInstanceCreditSpecifications",
            instance_option::describe_credits,
        ),
        action(
            "ModifyInstanceCreditSpecification",
            instance_option::modify_credits,
        ),
        action(
            "ModifyInstanceMaintenanceOptions",
            instance_option::modify_maintenance,
        ),
        action(
            "ModifyPrivateDnsNameOptions",
            instance_option::modify_private_dns,
        ),
        action("GetConsoleOutput", console::output),
        action("GetInstanceUefiData", console::uefi_data),
        action(
            "AssociateIamInstanceProfile",
            instance_profile_association::associate,
        ),
        action(
            "ReplaceIamInstanceProfileAssociation",
            instance_profile_association::replace,
        ),
        action(
            "DisassociateIamInstanceProfile",
            instance_profile_association::disassociate,
        ),
        action(
            "DescribeIamInstanceProfileAssociations",
            instance_profile_association::describe_all,
        ),
        action("DescribeVolumes", volume::describe_all),
        action("CreateVolume", volume_lifecycle::create),
        action("DeleteVolume", volume_lifecycle::delete),
        action("AttachVolume", volume_lifecycle::attach),
        action("DetachVolume", volume_lifecycle::detach),
        action("GetEbsEncryptionByDefault", ebs_default::get),
        action("EnableEbsEncryptionByDefault", ebs_default::enable),
        action("DisableEbsEncryptionByDefault", ebs_default::disable),
        action("GetEbsDefaultKmsKeyId", ebs_default::get_key),
        action("ModifyEbsDefaultKmsKeyId", ebs_default::modify_key),
        action("ResetEbsDefaultKmsKeyId", ebs_default::reset_key),
        action("CreatePlacementGroup", placement_group::create),
        action("DescribePlacementGroups", placement_group::describe_all),
        action("DeletePlacementGroup", placement_group::delete),
        action("CreateCapacityReservation", capacity_reservation::create),
        action(
            "DescribeCapacityReservations",
            capacity_reservation::describe_all,
        ),
        action("ModifyCapacityReservation", capacity_reservation::modify),
        action("CancelCapacityReservation", capacity_reservation::cancel),
        action("GetCapacityReservationUsage", capacity_reservation::usage),
        action(
            "ModifyInstanceCapacityReservationAttributes",
            capacity_reservation::modify_instance,
        ),
        action("RequestSpotInstances", spot_request::create),
        action("DescribeSpotInstanceRequests", spot_request::describe_all),
        action("CancelSpotInstanceRequests", spot_request::cancel),
        action("DescribeSpotPriceHistory", absent::spot_price_history),
        action("GetLaunchTemplateData", instance_template::get),
        action("CreateKeyPair", key_pair::create),
        action("ImportKeyPair", key_pair::import),
        action("DescribeKeyPairs", key_pair::describe_all),
        action("DeleteKeyPair", key_pair::delete),
        action("DescribeImages", image::describe_all),
        action("CreateImage", own_image::create),
        action("RegisterImage", own_image::register),
        action("DeregisterImage", own_image::deregister),
        action("CreateSnapshot", snapshot::create),
        action("DescribeSnapshots", snapshot::describe_all),
        action("DeleteSnapshot", snapshot::delete),
        action("DescribeInstanceTypes", instance_type::describe_all),
        action(
            "DescribeInstanceTypeOfferings",
            instance_type::describe_offerings,
        ),
        action(
            "GetInstanceTypesFromInstanceRequirements",
            instance_requirements::types_of,
        ),
    ]
}

/// What leads out of a VPC besides the internet, and IPv6.
fn connection_actions() -> Vec<Action<Ctx>> {
    use egress_only_internet_gateway as egress;
    vec![
        action("AssociateSubnetCidrBlock", subnet_cidr_block::associate),
        action(
            "DisassociateSubnetCidrBlock",
            subnet_cidr_block::disassociate,
        ),
        action("AssignIpv6Addresses", network_interface_ipv6::assign),
        action("UnassignIpv6Addresses", network_interface_ipv6::unassign),
        action("CreateEgressOnlyInternetGateway", egress::create),
        action("DescribeEgressOnlyInternetGateways", egress::describe_all),
        action("DeleteEgressOnlyInternetGateway", egress::delete),
        action("CreateCustomerGateway", customer_gateway::create),
        action("DescribeCustomerGateways", customer_gateway::describe_all),
        action("DeleteCustomerGateway", customer_gateway::delete),
        action("CreateVpnGateway", vpn_gateway::create),
        action("DescribeVpnGateways", vpn_gateway::describe_all),
        action("DeleteVpnGateway", vpn_gateway::delete),
        action("AttachVpnGateway", vpn_gateway::attach),
        action("DetachVpnGateway", vpn_gateway::detach),
        action("EnableVgwRoutePropagation", vpn_gateway::enable_propagation),
        action(
            "DisableVgwRoutePropagation",
            vpn_gateway::disable_propagation,
        ),
        action(
            "DescribeVpcEndpointServices",
            vpc_endpoint_service::describe_all,
        ),
        action("CreateVpcEndpoint", vpc_endpoint::create),
        action("DescribeVpcEndpoints", vpc_endpoint::describe_all),
        action("ModifyVpcEndpoint", vpc_endpoint_update::modify),
        action("DeleteVpcEndpoints", vpc_endpoint::delete),
        action(
            "CreateInstanceConnectEndpoint",
            instance_connect_endpoint::create,
        ),
        action(
            "DescribeInstanceConnectEndpoints",
            instance_connect_endpoint::describe_all,
        ),
        action(
            "ModifyInstanceConnectEndpoint",
            instance_connect_endpoint::modify,
        ),
        action(
            "DeleteInstanceConnectEndpoint",
            instance_connect_endpoint::delete,
        ),
        action(
            "DescribeSecurityGroupReferences",
            security_group_reference::describe_all,
        ),
        action(
            "DescribeStaleSecurityGroups",
            security_group_reference::describe_stale,
        ),
        action(
            "DescribeVpcBlockPublicAccessOptions",
            public_access::describe_options,
        ),
        action(
            "ModifyVpcBlockPublicAccessOptions",
            public_access::modify_options,
        ),
        action("CreateVpcBlockPublicAccessExclusion", public_access::create),
        action("ModifyVpcBlockPublicAccessExclusion", public_access::modify),
        action("DeleteVpcBlockPublicAccessExclusion", public_access::delete),
        action(
            "DescribeVpcBlockPublicAccessExclusions",
            public_access::describe_all,
        ),
        action("CreateFlowLogs", flow_log::create),
        action("DescribeFlowLogs", flow_log::describe_all),
        action("DeleteFlowLogs", flow_log::delete),
        action("CreateVpcPeeringConnection", vpc_peering::create),
        action("AcceptVpcPeeringConnection", vpc_peering::accept),
        action("RejectVpcPeeringConnection", vpc_peering::reject),
        action("DeleteVpcPeeringConnection", vpc_peering::delete),
        action("DescribeVpcPeeringConnections", vpc_peering::describe_all),
        action(
            "ModifyVpcPeeringConnectionOptions",
            vpc_peering::modify_options,
        ),
    ]
}

fn network_actions() -> Vec<Action<Ctx>> {
    vec![
        action("CreateVpc", vpc::create),
        action("DescribeVpcs", vpc::describe_all),
        action("DeleteVpc", vpc::delete),
        action("DescribeVpcAttribute", vpc_attribute::describe),
        action("ModifyVpcAttribute", vpc_attribute::modify),
        action("ModifyVpcTenancy", vpc_attribute::modify_tenancy),
        action("AssociateVpcCidrBlock", vpc_cidr_block::associate),
        action("DisassociateVpcCidrBlock", vpc_cidr_block::disassociate),
        action("CreateDefaultVpc", default_vpc::create),
        action("CreateDefaultSubnet", default_vpc::create_subnet),
        action("CreateSubnet", subnet::create),
        action("DescribeSubnets", subnet::describe_all),
        action("DeleteSubnet", subnet::delete),
        action("ModifySubnetAttribute", subnet::modify_attribute),
        action("CreateInternetGateway", internet_gateway::create),
        action("DescribeInternetGateways", internet_gateway::describe_all),
        action("DeleteInternetGateway", internet_gateway::delete),
        action("AttachInternetGateway", internet_gateway::attach),
        action("DetachInternetGateway", internet_gateway::detach),
        action("AllocateAddress", address::allocate),
        action("ReleaseAddress", address::release),
        action("AssociateAddress", address_association::associate),
        action("DisassociateAddress", address_association::disassociate),
        action("DescribeAddresses", address::describe_all),
        action("DescribeAddressesAttribute", address::describe_attribute),
        action("CreateNatGateway", nat_gateway::create),
        action("DescribeNatGateways", nat_gateway::describe_all),
        action("DeleteNatGateway", nat_gateway::delete),
        action("CreateRouteTable", route_table::create),
        action("DescribeRouteTables", route_table::describe_all),
        action("DeleteRouteTable", route_table::delete),
        action("AssociateRouteTable", route_table::associate),
        action("DisassociateRouteTable", route_table::disassociate),
        action(
            "ReplaceRouteTableAssociation",
            route_table::replace_association,
        ),
        action("CreateRoute", route::create),
        action("ReplaceRoute", route::replace),
        action("DeleteRoute", route::delete),
        action("CreateSecurityGroup", security_group::create),
        action("DescribeSecurityGroups", security_group::describe_all),
        action("GetSecurityGroupsForVpc", security_group::for_vpc),
        action("DeleteSecurityGroup", security_group::delete),
        action(
            "AuthorizeSecurityGroupIngress",
            security_group_rule::authorize_ingress,
        ),
        action(
            "AuthorizeSecurityGroupEgress",
            security_group_rule::authorize_egress,
        ),
        action(
            "RevokeSecurityGroupIngress",
            security_group_rule::revoke_ingress,
        ),
        action(
            "RevokeSecurityGroupEgress",
            security_group_rule::revoke_egress,
        ),
        action(
            "DescribeSecurityGroupRules",
            security_group_rule::describe_all,
        ),
        action(
            "ModifySecurityGroupRules",
            security_group_rule_update::modify,
        ),
        action(
            "UpdateSecurityGroupRuleDescriptionsIngress",
            security_group_rule_update::update_descriptions_ingress,
        ),
        action(
            "UpdateSecurityGroupRuleDescriptionsEgress",
            security_group_rule_update::update_descriptions_egress,
        ),
        action("CreateNetworkAcl", network_acl::create),
        action("DescribeNetworkAcls", network_acl::describe_all),
        action("DeleteNetworkAcl", network_acl::delete),
        action(
            "ReplaceNetworkAclAssociation",
            network_acl::replace_association,
        ),
        action("CreateNetworkAclEntry", network_acl_entry::create),
        action("ReplaceNetworkAclEntry", network_acl_entry::replace),
        action("DeleteNetworkAclEntry", network_acl_entry::delete),
        action("CreateNetworkInterface", network_interface::create),
        action("DescribeNetworkInterfaces", network_interface::describe_all),
        action("DeleteNetworkInterface", network_interface::delete),
        action(
            "AttachNetworkInterface",
            network_interface_attachment::attach,
        ),
        action(
            "DetachNetworkInterface",
            network_interface_attachment::detach,
        ),
        action(
            "ModifyNetworkInterfaceAttribute",
            network_interface_attribute::modify,
        ),
        action(
            "DescribeNetworkInterfaceAttribute",
            network_interface_attribute::describe,
        ),
        action(
            "ResetNetworkInterfaceAttribute",
            network_interface_attribute::reset,
        ),
        action(
            "AssignPrivateIpAddresses",
            network_interface_address::assign,
        ),
        action(
            "UnassignPrivateIpAddresses",
            network_interface_address::unassign,
        ),
        action("CreateDhcpOptions", dhcp_options::create),
        action("DescribeDhcpOptions", dhcp_options::describe_all),
        action("AssociateDhcpOptions", dhcp_options::associate),
        action("DeleteDhcpOptions", dhcp_options::delete),
        action("CreateTags", tag::create_tags),
        action("DeleteTags", tag::delete_tags),
        action("DescribeTags", tag::describe_tags),
        action("DescribeAvailabilityZones", availability_zone::describe_all),
        action("DescribeRegions", availability_zone::describe_regions),
        action("DescribeAccountAttributes", account::describe_attributes),
        action("DescribePrefixLists", prefix_list::describe_all),
        action("DescribeManagedPrefixLists", prefix_list::describe_managed),
        action("GetManagedPrefixListEntries", prefix_list::get_entries),
        action(
            "GetManagedPrefixListAssociations",
            prefix_list::get_associations,
        ),
        action("CreateManagedPrefixList", managed_prefix_list::create),
        action("ModifyManagedPrefixList", managed_prefix_list::modify),
        action(
            "RestoreManagedPrefixListVersion",
            managed_prefix_list::restore,
        ),
        action("DeleteManagedPrefixList", managed_prefix_list::delete),
    ]
}
