//! The filters of DescribeInstances.

use super::dns_name;
use super::filter::{Field, all, maybe, one};
use model::instance::{Instance, Volume};
use model::vpc::NetworkInterface;
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
    ("instance-lifecycle", |_, _| Vec::new()),
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
];

fn attached<'a>(
    state: &'a State,
    instance: &'a Instance,
) -> impl Iterator<Item = &'a NetworkInterface> {
    let interfaces = state.network_interfaces.values().map(AsRef::as_ref);
    interfaces.filter(|n: &&NetworkInterface| {
        n.attachment
            .as_ref()
            .is_some_and(|a| a.instance == instance.id)
    })
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
    let volumes = state.volumes.values().map(AsRef::as_ref);
    let mine = volumes.filter(|v: &&Volume| {
        v.attachment
            .as_ref()
            .is_some_and(|a| a.instance == instance.id)
    });
    mine.filter_map(of).collect()
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
        let elastic = state.addresses.values().filter(|a| {
            a.association
                .as_ref()
                .is_some_and(|x| x.interface == interface.id)
        });
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
