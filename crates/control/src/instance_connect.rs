//! EC2 Instance Connect: endpoints are complete once they stand in the network and the edge takes
//! connections for them, and gone once it has let go of them; keys go when they have expired.

use crate::World;
use crate::clock::earliest;
use edge::config as cfg;
use jiff::Timestamp;
use model::event::Severity;
use model::instance_connect::{
    InstanceConnectEndpoint, InstanceConnectEndpointState as S, InstanceConnectKey,
};
use model::vpc::NetworkInterface;
use model::{InstanceConnectEndpointId, InstanceId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use store::State;

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    for endpoint in state.instance_connect_endpoints.values() {
        match endpoint.state {
            S::CreateInProgress if stands(world, endpoint) => {
                become_state(world, &endpoint.id, S::CreateComplete, now);
            }
            S::UpdateInProgress if stands(world, endpoint) => {
                become_state(world, &endpoint.id, S::UpdateComplete, now);
            }
            S::DeleteInProgress => remove(world, &state, endpoint, now),
            S::CreateInProgress | S::CreateComplete | S::UpdateInProgress | S::UpdateComplete => {}
        }
    }
    forget_keys(world, &state, now)
}

/// Whether the endpoint is in force as its record has it.
fn stands(world: &World, endpoint: &InstanceConnectEndpoint) -> bool {
    let applied = world.applied.interface(&endpoint.vpc, &endpoint.interface);
    applied.is_some_and(|i| i.security_groups == endpoint.security_groups)
        && world.edge.has_all()
        && world.edge.has_endpoint(&endpoint.id)
}

/// The interface goes when no connection can begin at it any more, the record after it.
fn remove(world: &World, state: &State, endpoint: &InstanceConnectEndpoint, now: Timestamp) {
    if world.edge.has_endpoint(&endpoint.id) || !world.edge.has_all() {
        return;
    }
    if state.network_interfaces.contains_key(&endpoint.interface) {
        world
            .store
            .update(|tx| tx.remove::<NetworkInterface>(&endpoint.interface));
    } else if !world.applied.may_have(&endpoint.interface) {
        world.store.update(|tx| {
            let id = &endpoint.id;
            tx.event(now, Severity::Info, id, KIND, "is deleted");
            tx.remove::<InstanceConnectEndpoint>(id);
        });
    }
}

const KIND: &str = "instance-connect-endpoint";

fn become_state(world: &World, id: &InstanceConnectEndpointId, to: S, now: Timestamp) {
    world.store.update(|tx| {
        let message = format!("is {}", to.name());
        tx.event(now, Severity::Info, id, KIND, message);
        tx.modify::<InstanceConnectEndpoint>(id, |e| e.state = to);
    });
}

/// Keys whose time is up, or whose instance is gone; the edge shows them no longer anyway.
fn forget_keys(world: &World, state: &State, now: Timestamp) -> Option<Timestamp> {
    let mut again = None;
    let mut old = Vec::new();
    for key in state.instance_connect_keys.values() {
        if key.expires <= now || !state.instances.contains_key(&key.instance) {
            old.push(key.request.clone());
        } else {
            again = earliest(again, Some(key.expires));
        }
    }
    if !old.is_empty() {
        world.store.update(|tx| {
            for request in old {
                tx.remove::<InstanceConnectKey>(&request);
            }
        });
    }
    again
}

/// The keys that an instance takes.
pub fn keys(state: &State, instance: &InstanceId) -> Vec<cfg::SentKey> {
    let keys = state.instance_connect_keys.of(instance);
    keys.map(|key| cfg::SentKey {
        os_user: key.os_user.clone(),
        public: key.public_key.clone(),
        caller: key.caller.clone(),
        request: key.request.clone(),
        expires: key.expires.as_second().unsigned_abs(),
    })
    .collect()
}

/// Where tunnels begin.
pub fn endpoints(state: &State, cloud: &str) -> BTreeMap<String, cfg::Endpoint> {
    let wanted = state.instance_connect_endpoints.values();
    wanted
        .filter(|e| e.state != S::DeleteInProgress)
        .filter_map(|endpoint| {
            let interface = state.network_interfaces.get(&endpoint.interface)?;
            let netns = Path::new("/run/netns").join(format!("{cloud}-{}", interface.id));
            let value = cfg::Endpoint {
                netns: Some(netns),
                address: interface.primary_ip(),
            };
            Some((endpoint.id.to_string(), value))
        })
        .collect()
}

/// Names of endpoints as the host resolves them.
pub(crate) fn host_names(
    state: &State,
    settings: &crate::Settings,
) -> Vec<(String, Vec<Ipv4Addr>)> {
    let tunnels = settings.tunnels.as_ref();
    let Some(IpAddr::V4(address)) = tunnels.map(|t| t.tls.address.ip()) else {
        return Vec::new();
    };
    let endpoints = state.instance_connect_endpoints.values();
    endpoints
        .filter(|e| e.state != S::DeleteInProgress)
        .map(|e| (e.dns_name(), vec![address]))
        .collect()
}
