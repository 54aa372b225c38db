//! The filters of DescribeInstances.

use super::dns_name;
use super::filter::{Field, all, maybe, one};
use super::instance_shape::Mac;
use model::instance::{Instance, Volume};
use model::vpc::{Address, NetworkInterface};
use model::zone;
use std::net::Ipv4Addr;
use store::State;

pub(super) const FILTERS: &[Field<Instance>] = &[
    ("affinity", |_, _| Vec::new()),
    ("architecture", |_, i| one(&i.architecture)),
    ("availability-zone", |_, i| one(&i.zone)),
    ("availability-zone-id", |_, i| maybe(zone::zone_id(&i.zone))),
    ("block-device-mapping.attach-time", |s, i| {
        volumes(s, i, |v| {
            v.attachment.as_ref().map(|a| a.attached.to_string())
        })
    }),
    ("block-device-mapping.delete-on-termination", |s, i| {
        volumes(s, i, |v| {
            v.attachment
                .as_ref()
                .map(|a| a.delete_on_termination.to_string())
        })
    }),
    ("block-device-mapping.device-name", |s, i| {
        volumes(s, i, |v| v.attachment.as_ref().map(|a| a.device.clone()))
    }),
    ("block-device-mapping.status", |s, i| {
        volumes(s, i, |_| Some("attached".to_owned()))
    }),
    ("block-device-mapping.volume-id", |s, i| {
        volumes(s, i, |v| Some(v.id.to_string()))
    }),
    ("client-token", |_, i| maybe(i.client_token.as_ref())),
    ("dns-name", |s, i| public_names(s, i)),
    ("ebs-optimized", |_, i| one(i.ebs_optimized)),
    ("ena-support", |_, _| one(true)),
    ("enclave-options.enabled", |_, i| one(i.enclave)),
    ("hibernation-options.configured", |_, i| one(i.hibernation)),
    ("hypervisor", |_, _| one("xen")),
    ("iam-instance-profile.arn", |_, i| {
        maybe(i.profile.as_ref().map(|(_, arn)| arn))
    }),
    ("iam-instance-profile.name", |_, i| {
        maybe(
            i.profile
                .as_ref()
                .and_then(|(_, arn)| arn.rsplit('/').next()),
        )
    }),
    ("image-id", |_, i| one(&i.image)),
    ("instance-id", |_, i| one(&i.id)),
    ("instance-lifecycle", |_, i| {
        maybe(i.spot.as_ref().map(|_| "spot"))
    }),
    ("instance-state-code", |_, i| one(i.state.code())),
    ("instance-state-name", |_, i| one(i.state.name())),
    ("instance-type", |_, i| one(&i.instance_type)),
    ("instance.group-id", |s, i| groups(s, i, false)),
    ("instance.group-name", |s, i| groups(s, i, true)),
    ("group-id", |s, i| groups(s, i, false)),
    ("group-name", |s, i| groups(s, i, true)),
    ("ip-address", |s, i| all(public_ips(s, i))),
    ("key-name", |_, i| maybe(i.key_name.as_ref())),
    ("launch-index", |_, i| one(i.launch_index)),
    ("launch-time", |_, i| {
        one(i.launched.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    }),
    ("metadata-options.http-endpoint", |_, i| {
        one(&i.metadata.http_endpoint)
    }),
    ("metadata-options.http-put-response-hop-limit", |_, i| {
        one(i.metadata.http_put_response_hop_limit)
    }),
    ("metadata-options.http-tokens", |_, i| {
        one(&i.metadata.http_tokens)
    }),
    ("metadata-options.instance-metadata-tags", |_, i| {
        one(&i.metadata.instance_metadata_tags)
    }),
    ("monitoring-state", |_, i| {
        one(if i.monitoring { "enabled" } else { "disabled" })
    }),
    ("network-interface.addresses.private-ip-address", |s, i| {
        interfaces(s, i, |n| all(&n.private_ips))
    }),
    (
        "network-interface.addresses.association.public-ip",
        |s, i| all(public_ips(s, i)),
    ),
    ("network-interface.association.public-ip", |s, i| {
        all(public_ips(s, i))
    }),
    ("network-interface.attachment.attachment-id", |s, i| {
        interfaces(s, i, |n| maybe(n.attachment.as_ref().map(|a| &a.id)))
    }),
    ("network-interface.attachment.device-index", |s, i| {
        interfaces(s, i, |n| {
            maybe(n.attachment.as_ref().map(|a| a.device_index))
        })
    }),
    ("network-interface.availability-zone", |s, i| {
        interfaces(s, i, |_| one(&i.zone))
    }),
    ("network-interface.description", |s, i| {
        interfaces(s, i, |n| one(&n.description))
    }),
    ("network-interface.group-id", |s, i| {
        interfaces(s, i, |n| all(&n.security_groups))
    }),
    ("network-interface.network-interface-id", |s, i| {
        interfaces(s, i, |n| one(&n.id))
    }),
    ("network-interface.owner-id", |s, i| {
        interfaces(s, i, |n| one(&n.scope.account))
    }),
    ("network-interface.private-dns-name", |s, i| {
        interfaces(s, i, |n| {
            one(dns_name::private(&n.scope.region, n.primary_ip()))
        })
    }),
    ("network-interface.source-dest-check", |s, i| {
        interfaces(s, i, |n| one(n.source_dest_check))
    }),
    ("network-interface.status", |s, i| {
        interfaces(s, i, |_| one("in-use"))
    }),
    ("network-interface.subnet-id", |s, i| {
        interfaces(s, i, |n| one(&n.subnet))
    }),
    ("network-interface.vpc-id", |s, i| {
        interfaces(s, i, |n| one(&n.vpc))
    }),
    ("owner-id", |_, i| one(&i.scope.account)),
    ("placement-group-name", |_, i| {
        maybe(i.placement_group.as_ref())
    }),
    ("platform", |_, _| Vec::new()),
    ("platform-details", |_, _| one("Linux/UNIX")),
    ("private-dns-name", |s, i| {
        interfaces(s, i, |n| {
            one(dns_name::private(&n.scope.region, n.primary_ip()))
        })
    }),
    ("private-dns-name-options.hostname-type", |_, i| {
        one(&i.private_dns.hostname_type)
    }),
    ("private-ip-address", |s, i| {
        interfaces(s, i, |n| all(&n.private_ips))
    }),
    ("product-code", |_, _| Vec::new()),
    ("reason", |_, i| one(&i.state_transition_reason)),
    ("requester-id", |_, _| Vec::new()),
    ("reservation-id", |_, i| one(&i.reservation)),
    ("root-device-name", |_, i| one(&i.root_device)),
    ("root-device-type", |_, _| one("ebs")),
    ("source-dest-check", |s, i| {
        interfaces(s, i, |n| one(n.source_dest_check))
    }),
    ("state-reason-code", |_, i| {
        maybe(i.state_reason.as_ref().map(|(code, _)| code))
    }),
    ("subnet-id", |_, i| one(&i.subnet)),
    ("tenancy", |_, i| one(&i.tenancy)),
    ("usage-operation", |_, _| one("RunInstances")),
    ("virtualization-type", |_, _| one("hvm")),
    ("vpc-id", |_, i| one(&i.vpc)),
    ("boot-mode", |_, i| {
        maybe(model::image::find(&i.image).map(|m| m.boot_mode))
    }),
    ("capacity-reservation-id", nothing),
    (
        "capacity-reservation-specification.capacity-reservation-preference",
        |_, i| one(&i.capacity_reservation_preference),
    ),
    (
        "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",
        nothing,
    ),
    (
        "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn",
        nothing,
    ),
    ("current-instance-boot-mode", |_, i| {
        maybe(model::instance_type::find(&i.instance_type).map(super::instance_type::boot_mode))
    }),
    ("host-id", nothing),
    ("iam-instance-profile.id", |s, i| {
        let arn = i.profile.as_ref().map(|(_, arn)| arn.as_str());
        all(arn
            .into_iter()
            .flat_map(|arn| s.instance_profiles.of(arn))
            .map(|p| &p.id))
    }),
    ("ipv6-address", |s, i| {
        interfaces(s, i, |n| all(&n.ipv6_addresses))
    }),
    ("kernel-id", nothing),
    ("maintenance-options.auto-recovery", |_, i| {
        one(&i.auto_recovery)
    }),
    ("metadata-options.http-protocol-ipv4", |_, _| one("enabled")),
    ("metadata-options.http-protocol-ipv6", |_, i| {
        one(&i.metadata.http_protocol_ipv6)
    }),
    ("metadata-options.state", |_, _| one("applied")),
    (
        "network-interface.addresses.association.allocation-id",
        |s, i| elastic(s, i, |a| a.allocation.to_string()),
    ),
    (
        "network-interface.addresses.association.association-id",
        |s, i| elastic(s, i, association),
    ),
    (
        "network-interface.addresses.association.carrier-ip",
        nothing,
    ),
    (
        "network-interface.addresses.association.customer-owned-ip",
        nothing,
    ),
    (
        "network-interface.addresses.association.ip-owner-id",
        ip_owners,
    ),
    (
        "network-interface.addresses.association.public-dns-name",
        public_names,
    ),
    ("network-interface.addresses.primary", |_, _| one(true)),
    ("network-interface.addresses.private-dns-name", |s, i| {
        interfaces(s, i, |n| {
            all(n
                .private_ips
                .iter()
                .map(|ip| dns_name::private(&n.scope.region, *ip)))
        })
    }),
    ("network-interface.association.allocation-id", |s, i| {
        elastic(s, i, |a| a.allocation.to_string())
    }),
    ("network-interface.association.association-id", |s, i| {
        elastic(s, i, association)
    }),
    ("network-interface.association.carrier-ip", nothing),
    ("network-interface.association.customer-owned-ip", nothing),
    ("network-interface.association.ip-owner-id", ip_owners),
    (
        "network-interface.association.public-dns-name",
        public_names,
    ),
    ("network-interface.attachment.attach-time", |s, i| {
        interfaces(s, i, |n| maybe(n.attachment.as_ref().map(|a| a.attached)))
    }),
    (
        "network-interface.attachment.delete-on-termination",
        |s, i| {
            interfaces(s, i, |n| {
                maybe(n.attachment.as_ref().map(|a| a.delete_on_termination))
            })
        },
    ),
    ("network-interface.attachment.instance-id", |s, i| {
        interfaces(s, i, |_| one(&i.id))
    }),
    ("network-interface.attachment.instance-owner-id", |s, i| {
        interfaces(s, i, |_| one(&i.scope.account))
    }),
    ("network-interface.attachment.network-card-index", |s, i| {
        interfaces(s, i, |_| one(0))
    }),
    ("network-interface.attachment.status", |s, i| {
        interfaces(s, i, |_| one("attached"))
    }),
    ("network-interface.deny-all-igw-traffic", |s, i| {
        interfaces(s, i, |_| one(false))
    }),
    ("network-interface.group-name", |s, i| groups(s, i, true)),
    ("network-interface.ipv4-prefixes.ipv4-prefix", nothing),
    ("network-interface.ipv6-address", |s, i| {
        interfaces(s, i, |n| all(&n.ipv6_addresses))
    }),
    ("network-interface.ipv6-addresses.ipv6-address", |s, i| {
        interfaces(s, i, |n| all(&n.ipv6_addresses))
    }),
    ("network-interface.ipv6-addresses.is-primary-ipv6", nothing),
    ("network-interface.ipv6-native", |s, i| {
        interfaces(s, i, |_| one(false))
    }),
    ("network-interface.ipv6-prefixes.ipv6-prefix", nothing),
    ("network-interface.mac-address", |s, i| {
        interfaces(s, i, |n| one(Mac(n.mac)))
    }),
    ("network-interface.operator.managed", |s, i| {
        interfaces(s, i, |_| one(false))
    }),
    ("network-interface.operator.principal", nothing),
    ("network-interface.outpost-arn", nothing),
    ("network-interface.private-ip-address", |s, i| {
        interfaces(s, i, |n| one(n.primary_ip()))
    }),
    ("network-interface.public-dns-name", public_names),
    ("network-interface.requester-id", nothing),
    ("network-interface.requester-managed", |s, i| {
        interfaces(s, i, |_| one(false))
    }),
    ("network-interface.tag-key", |s, i| {
        interfaces(s, i, |n| all(n.tags.keys()))
    }),
    ("network-interface.tag-value", |s, i| {
        interfaces(s, i, |n| all(n.tags.values()))
    }),
    ("network-performance-options.bandwidth-weighting", |_, _| {
        one("default")
    }),
    ("operator.managed", |_, _| one(false)),
    ("operator.principal", nothing),
    ("outpost-arn", nothing),
    ("placement-partition-number", nothing),
    (
        "private-dns-name-options.enable-resource-name-dns-a-record",
        |_, i| one(i.private_dns.resource_name_a_record),
    ),
    (
        "private-dns-name-options.enable-resource-name-dns-aaaa-record",
        |_, i| one(i.private_dns.resource_name_aaaa_record),
    ),
    ("product-code.type", nothing),
    ("ramdisk-id", nothing),
    ("spot-instance-request-id", |_, i| {
        maybe(i.spot.as_ref().map(|s| &s.request))
    }),
    ("state-reason-message", |_, i| {
        maybe(i.state_reason.as_ref().map(|(_, message)| message))
    }),
    ("tpm-support", nothing),
    ("usage-operation-update-time", |_, i| one(i.launched)),
];

/// What AWS has and no instance here does.
fn nothing(_: &State, _: &Instance) -> Vec<String> {
    Vec::new()
}

/// The Elastic IPs of its interfaces.
fn elastic(state: &State, instance: &Instance, of: impl Fn(&Address) -> String) -> Vec<String> {
    attached(state, instance)
        .flat_map(|n| state.addresses.of(&n.id))
        .map(|a| of(a))
        .collect()
}

fn association(address: &Address) -> String {
    address
        .association
        .as_ref()
        .map(|x| x.id.to_string())
        .unwrap_or_default()
}

/// The account of Elastic IPs, `amazon` for addresses that AWS assigned.
fn ip_owners(state: &State, instance: &Instance) -> Vec<String> {
    let mut owners = elastic(state, instance, |a| a.scope.account.to_string());
    if attached(state, instance).any(|n| n.auto_public_ip.is_some()) {
        owners.push("amazon".to_owned());
    }
    owners
}

fn attached<'a>(
    state: &'a State,
    instance: &'a Instance,
) -> impl Iterator<Item = &'a NetworkInterface> {
    state.network_interfaces.of(&instance.id).map(AsRef::as_ref)
}

fn interfaces(
    state: &State,
    instance: &Instance,
    of: impl Fn(&NetworkInterface) -> Vec<String>,
) -> Vec<String> {
    attached(state, instance).flat_map(of).collect()
}

fn volumes(
    state: &State,
    instance: &Instance,
    of: impl Fn(&Volume) -> Option<String>,
) -> Vec<String> {
    let mine = state.volumes.of(&instance.id);
    mine.filter_map(|v| of(v)).collect()
}

fn groups(state: &State, instance: &Instance, names: bool) -> Vec<String> {
    let ids = attached(state, instance).flat_map(|n| &n.security_groups);
    if !names {
        return all(ids);
    }
    let groups = ids.filter_map(|id| state.security_groups.get(id));
    groups.map(|g| g.name.clone()).collect()
}

fn public_ips(state: &State, instance: &Instance) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for interface in attached(state, instance) {
        let elastic = state.addresses.of(&interface.id);
        let before = found.len();
        found.extend(elastic.map(|a| a.public_ip));
        if found.len() == before {
            found.extend(interface.auto_public_ip);
        }
    }
    found
}

fn public_names(state: &State, instance: &Instance) -> Vec<String> {
    let vpc = state.vpcs.get(&instance.vpc);
    let ips = public_ips(state, instance).into_iter();
    ips.filter_map(|ip| dns_name::public_in(vpc?, ip)).collect()
}
