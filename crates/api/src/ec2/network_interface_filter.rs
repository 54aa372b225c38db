//! What DescribeNetworkInterfaces can filter by.

use super::filter::{Field, all, maybe, one};
use super::network_interface_shape::{interface_type, shape, status};
use super::{address, dns_name};
use model::vpc::NetworkInterface;
use model::zone;
use store::State;

pub(super) const FILTERS: &[Field<NetworkInterface>] = &[
    ("addresses.association.owner-id", |s, i| {
        association_owner(s, i)
    }),
    ("addresses.association.public-ip", |s, i| {
        let addresses = i.private_ips.iter();
        let elastic = addresses.filter_map(|ip| address::of_interface(s, i, *ip));
        all(elastic.map(|a| a.public_ip).chain(i.auto_public_ip))
    }),
    ("addresses.primary", |_, i| {
        all((0..i.private_ips.len()).map(|n| n == 0))
    }),
    ("addresses.private-ip-address", |_, i| all(&i.private_ips)),
    ("association.allocation-id", |s, i| {
        maybe(elastic(s, i).map(|a| &a.allocation))
    }),
    ("association.association-id", |s, i| {
        maybe(
            elastic(s, i)
                .and_then(|a| a.association.as_ref())
                .map(|a| &a.id),
        )
    }),
    ("association.ip-owner-id", |s, i| association_owner(s, i)),
    ("association.public-ip", |s, i| {
        maybe(elastic(s, i).map(|a| a.public_ip).or(i.auto_public_ip))
    }),
    ("association.public-dns-name", |s, i| {
        let ip = elastic(s, i).map(|a| a.public_ip).or(i.auto_public_ip);
        maybe(ip.map(|ip| dns_name::public(&i.scope.region, ip)))
    }),
    ("attachment.attach-time", |_, i| {
        maybe(i.attachment.as_ref().map(|a| a.attached))
    }),
    ("attachment.attachment-id", |s, i| {
        maybe(shape(s, i).attachment.map(|a| a.attachment_id))
    }),
    ("attachment.delete-on-termination", |s, i| {
        maybe(shape(s, i).attachment.map(|a| a.delete_on_termination))
    }),
    ("attachment.device-index", |s, i| {
        maybe(shape(s, i).attachment.map(|a| a.device_index))
    }),
    ("attachment.instance-id", |_, i| {
        maybe(i.attachment.as_ref().map(|a| &a.instance))
    }),
    ("attachment.instance-owner-id", |s, i| {
        maybe(shape(s, i).attachment.map(|a| a.instance_owner_id))
    }),
    ("attachment.status", |s, i| {
        maybe(shape(s, i).attachment.map(|a| a.status))
    }),
    ("availability-zone", |s, i| {
        maybe(s.subnets.get(&i.subnet).map(|n| &n.zone))
    }),
    ("availability-zone-id", |s, i| {
        maybe(
            s.subnets
                .get(&i.subnet)
                .and_then(|n| zone::zone_id(&n.zone)),
        )
    }),
    ("description", |_, i| one(&i.description)),
    ("group-id", |_, i| all(&i.security_groups)),
    ("group-name", |s, i| {
        let groups = i.security_groups.iter();
        all(groups.filter_map(|id| Some(&s.security_groups.get(id)?.name)))
    }),
    ("interface-type", |_, i| one(interface_type(i))),
    ("ipv6-addresses.ipv6-address", |_, i| all(&i.ipv6_addresses)),
    ("mac-address", |s, i| one(shape(s, i).mac_address)),
    ("network-interface-id", |_, i| one(&i.id)),
    ("operator.managed", |_, _| one(false)),
    ("operator.principal", |_, _| vec![]),
    ("owner-id", |_, i| one(&i.scope.account)),
    ("private-dns-name", |s, i| {
        maybe(shape(s, i).private_dns_name)
    }),
    ("private-ip-address", |_, i| one(i.primary_ip())),
    ("requester-id", |s, i| maybe(shape(s, i).requester_id)),
    ("requester-managed", |_, i| one(i.requester.is_some())),
    ("source-dest-check", |_, i| one(i.source_dest_check)),
    ("status", |_, i| one(status(i))),
    ("subnet-id", |_, i| one(&i.subnet)),
    ("vpc-id", |_, i| one(&i.vpc)),
];

fn elastic<'a>(
    state: &'a State,
    interface: &'a NetworkInterface,
) -> Option<&'a model::vpc::Address> {
    address::of_interface(state, interface, interface.primary_ip())
}

fn association_owner(state: &State, interface: &NetworkInterface) -> Vec<String> {
    maybe(shape(state, interface).association.map(|a| a.ip_owner_id))
}
