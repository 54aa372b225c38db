//! Names of namespaces and devices. All follow from ids, so that a restarted control plane,
//! the edge and the balancer find them without asking.

use crate::linux::namespace;
use model::{InstanceId, InternetGatewayId, NetworkInterfaceId, VpcId, VpcPeeringConnectionId};

/// The namespace that holds public addresses, test servers and the uplink.
pub fn internet(cloud: &str) -> String {
    namespace::name(cloud, "internet")
}

/// The VPC's router, in which the edge answers for DNS and metadata.
pub fn router(cloud: &str, vpc: &VpcId) -> String {
    namespace::name(cloud, vpc.as_str())
}

pub fn internet_gateway(cloud: &str, gateway: &InternetGatewayId) -> String {
    namespace::name(cloud, gateway.as_str())
}

/// The namespace of a NAT gateway's or a load balancer node's interface.
pub fn interface(cloud: &str, interface: &NetworkInterfaceId) -> String {
    namespace::name(cloud, interface.as_str())
}

pub fn instance(cloud: &str, instance: &InstanceId) -> String {
    namespace::name(cloud, instance.as_str())
}

/// The router's end of an interface's veth. The kernel allows 15 characters; the tail of
/// an id is random, and stays readable beside `nines ps`.
pub fn device(interface: &NetworkInterfaceId) -> String {
    tail('e', interface.as_str())
}

/// Either router's end of the veth that joins two VPCs.
pub fn peering(connection: &VpcPeeringConnectionId) -> String {
    tail('p', connection.as_str())
}

/// The internet namespace's end of a gateway's veth.
pub fn gateway_device(gateway: &InternetGatewayId) -> String {
    tail('g', gateway.as_str())
}

/// The host's end of the veth to the internet namespace.
pub fn host_device(cloud: &str) -> String {
    let short: String = cloud.chars().take(11).collect();
    format!("{short}-net")
}

/// What an instance calls its interface of this device index.
pub fn in_instance(index: u8) -> String {
    format!("eth{index}")
}

/// The device index behind such a name.
pub fn device_index(device: &str) -> Option<u8> {
    device.strip_prefix("eth").and_then(|n| n.parse().ok())
}

/// The router's end of the link to the internet gateway.
pub const ROUTER_TO_GATEWAY: &str = "igw";
/// The gateway's two ends.
pub const GATEWAY_TO_ROUTER: &str = "vpc";
pub const GATEWAY_TO_INTERNET: &str = "internet";
/// The internet namespace's end of the link to the host, and its way out.
pub const INTERNET_TO_HOST: &str = "host";
pub const UPLINK: &str = "uplink";

/// Whose a namespace is, from its name. Exact: cloud `a` must not take `a-b`'s for its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    Internet,
    Router,
    InternetGateway,
    Interface,
    Instance(InstanceId),
}

pub fn holder(cloud: &str, name: &str) -> Option<Holder> {
    let id = name.strip_prefix(cloud)?.strip_prefix('-')?;
    if id == "internet" {
        return Some(Holder::Internet);
    }
    id.parse::<VpcId>()
        .map(|_| Holder::Router)
        .or_else(|_| {
            id.parse::<InternetGatewayId>()
                .map(|_| Holder::InternetGateway)
        })
        .or_else(|_| id.parse::<NetworkInterfaceId>().map(|_| Holder::Interface))
        .or_else(|_| id.parse::<InstanceId>().map(Holder::Instance))
        .ok()
}

fn tail(kind: char, id: &str) -> String {
    let digits = id.rsplit('-').next().unwrap_or(id);
    // Ids are ASCII, so bytes and characters agree.
    format!("{kind}{}", &digits[digits.len().saturating_sub(14)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_tells_whose_it_is() {
        let check = |cloud: &str, name: &str, expected: Option<Holder>| {
            assert_eq!(holder(cloud, name), expected, "{name} of {cloud}");
        };
        check("nines", "nines-internet", Some(Holder::Internet));
        check("nines", "nines-vpc-0123456789abcdef0", Some(Holder::Router));
        check(
            "nines",
            "nines-eni-0123456789abcdef0",
            Some(Holder::Interface),
        );
        let instance: InstanceId = "i-0123456789abcdef0".parse().expect("id");
        check(
            "nines",
            "nines-i-0123456789abcdef0",
            Some(Holder::Instance(instance)),
        );
        check("nines", "nines-two-vpc-0123456789abcdef0", None);
        check(
            "nines-two",
            "nines-two-igw-0123456789abcdef0",
            Some(Holder::InternetGateway),
        );
        check("nines", "ninesvpc-0123456789abcdef0", None);
        check("nines", "docker", None);
    }

    #[test]
    fn device_names_fit_the_kernel() {
        let id: NetworkInterfaceId = "eni-0123456789abcdef0".parse().expect("id");
        assert_eq!(device(&id), "e3456789abcdef0");
        let id: NetworkInterfaceId = "eni-01234567".parse().expect("id");
        assert_eq!(device(&id), "e01234567");
        assert_eq!(host_device("a-very-long-cloud-name").len(), 15);
    }
}
