//! How answers show a network interface.

use super::ipv6::{self, Ipv6AddressItem};
use super::tag::{self, Tag};
use super::{address, dns_name};
use model::vpc::{NetworkInterface, Requester};
use model::{SecurityGroupId, zone};
use serde::Serialize;
use std::net::Ipv4Addr;
use store::State;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    network_interface_id: String,
    subnet_id: String,
    vpc_id: String,
    availability_zone: Option<String>,
    availability_zone_id: Option<&'static str>,
    description: String,
    owner_id: String,
    pub(super) requester_id: Option<String>,
    requester_managed: bool,
    status: &'static str,
    pub(super) mac_address: String,
    private_ip_address: String,
    pub(super) private_dns_name: Option<String>,
    source_dest_check: bool,
    interface_type: &'static str,
    group_set: Vec<GroupIdentifier>,
    pub(super) attachment: Option<AttachmentShape>,
    pub(super) association: Option<AssociationShape>,
    private_ip_addresses_set: Vec<PrivateIpShape>,
    ipv6_addresses_set: Vec<Ipv6AddressItem>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupIdentifier {
    group_id: String,
    group_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentShape {
    pub(super) attachment_id: String,
    instance_id: Option<String>,
    pub(super) instance_owner_id: String,
    pub(super) device_index: u8,
    network_card_index: Option<u8>,
    pub(super) status: &'static str,
    attach_time: wire::Timestamp,
    pub(super) delete_on_termination: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociationShape {
    pub(super) ip_owner_id: String,
    public_ip: String,
    public_dns_name: Option<String>,
    allocation_id: Option<String>,
    association_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateIpShape {
    private_ip_address: String,
    private_dns_name: Option<String>,
    primary: bool,
    association: Option<AssociationShape>,
}

pub fn shape(state: &State, interface: &NetworkInterface) -> Shape {
    let subnet = state.subnets.get(&interface.subnet);
    let named = state
        .vpcs
        .get(&interface.vpc)
        .is_some_and(|v| v.enable_dns_hostnames);
    let private_name = |ip| named.then(|| dns_name::private(&interface.scope.region, ip));
    let addresses = interface.private_ips.iter().enumerate();
    Shape {
        network_interface_id: interface.id.to_string(),
        subnet_id: interface.subnet.to_string(),
        vpc_id: interface.vpc.to_string(),
        availability_zone: subnet.map(|s| s.zone.clone()),
        availability_zone_id: subnet.and_then(|s| zone::zone_id(&s.zone)),
        description: interface.description.clone(),
        owner_id: interface.scope.account.to_string(),
        requester_id: interface.requester.as_ref().map(|r| owner(r).to_owned()),
        requester_managed: interface.requester.is_some(),
        status: status(interface),
        mac_address: mac(interface),
        private_ip_address: interface.primary_ip().to_string(),
        private_dns_name: private_name(interface.primary_ip()),
        source_dest_check: interface.source_dest_check,
        interface_type: interface_type(interface),
        group_set: groups(state, &interface.security_groups),
        attachment: attachment(interface),
        association: association(state, interface, interface.primary_ip()),
        private_ip_addresses_set: addresses
            .map(|(n, ip)| PrivateIpShape {
                private_ip_address: ip.to_string(),
                private_dns_name: private_name(*ip),
                primary: n == 0,
                association: association(state, interface, *ip),
            })
            .collect(),
        ipv6_addresses_set: ipv6::items(&interface.ipv6_addresses),
        tag_set: tag::list(&interface.tags),
    }
}

pub fn groups(state: &State, ids: &[SecurityGroupId]) -> Vec<GroupIdentifier> {
    let name = |id| {
        let group = state.security_groups.get(id);
        group.map(|g| g.name.clone()).unwrap_or_default()
    };
    ids.iter()
        .map(|id| GroupIdentifier {
            group_id: id.to_string(),
            group_name: name(id),
        })
        .collect()
}

pub fn mac(interface: &NetworkInterface) -> String {
    let octets = interface.mac.map(|octet| format!("{octet:02x}"));
    octets.join(":")
}

pub fn status(interface: &NetworkInterface) -> &'static str {
    match (&interface.attachment, &interface.requester) {
        (None, None) => "available",
        _ => "in-use",
    }
}

pub fn interface_type(interface: &NetworkInterface) -> &'static str {
    match interface.requester {
        Some(Requester::NatGateway(_)) => "nat_gateway",
        Some(Requester::LoadBalancer(ref arn)) if model::elbv2::is_network_load_balancer(arn) => {
            "network_load_balancer"
        }
        Some(Requester::VpcEndpoint(_)) => "vpc_endpoint",
        Some(Requester::InstanceConnectEndpoint(_)) => "ec2_instance_connect_endpoint",
        _ => "interface",
    }
}

/// The name under which a service owns its interfaces.
fn owner(requester: &Requester) -> &'static str {
    match requester {
        Requester::LoadBalancer(_) => "amazon-elb",
        Requester::NatGateway(_)
        | Requester::VpcEndpoint(_)
        | Requester::InstanceConnectEndpoint(_) => "amazon-aws",
    }
}

pub fn attachment(interface: &NetworkInterface) -> Option<AttachmentShape> {
    if let Some(attachment) = &interface.attachment {
        return Some(AttachmentShape {
            attachment_id: attachment.id.to_string(),
            instance_id: Some(attachment.instance.to_string()),
            instance_owner_id: interface.scope.account.to_string(),
            device_index: attachment.device_index,
            network_card_index: Some(0),
            status: "attached",
            attach_time: attachment.attached.into(),
            delete_on_termination: attachment.delete_on_termination,
        });
    }
    // A service's attachment has no record of its own: its id follows from the interface's.
    let requester = interface.requester.as_ref()?;
    let (_, tail) = interface.id.as_str().split_once('-')?;
    Some(AttachmentShape {
        attachment_id: format!("ela-attach-{tail}"),
        instance_id: None,
        instance_owner_id: owner(requester).to_owned(),
        device_index: 1,
        network_card_index: None,
        status: "attached",
        attach_time: interface.created.into(),
        delete_on_termination: false,
    })
}

/// The public address of one of the interface's private ones.
pub fn association(
    state: &State,
    interface: &NetworkInterface,
    private_ip: Ipv4Addr,
) -> Option<AssociationShape> {
    let vpc = state.vpcs.get(&interface.vpc);
    let public_name = |ip| vpc.and_then(|v| dns_name::public_in(v, ip));
    if let Some(address) = address::of_interface(state, interface, private_ip) {
        let association = address.association.as_ref();
        return Some(AssociationShape {
            ip_owner_id: interface.scope.account.to_string(),
            public_ip: address.public_ip.to_string(),
            public_dns_name: public_name(address.public_ip),
            allocation_id: Some(address.allocation.to_string()),
            association_id: association.map(|a| a.id.to_string()),
        });
    }
    let ip = interface
        .auto_public_ip
        .filter(|_| private_ip == interface.primary_ip())?;
    let ip_owner_id = match &interface.requester {
        Some(requester) => owner(requester),
        None => "amazon",
    };
    Some(AssociationShape {
        ip_owner_id: ip_owner_id.to_owned(),
        public_ip: ip.to_string(),
        public_dns_name: public_name(ip),
        allocation_id: None,
        association_id: None,
    })
}
