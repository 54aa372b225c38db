//! `nines why`: walks the path a packet takes, on the same value that the host applies,
//! and names the first thing that says no.
//!
//! Explains configuration and the last observation (states, probes); it sends no packets.

mod balancer;
mod path;
mod walk;

use host::network::{Interface, Network};
use model::elbv2::LoadBalancer;
use model::instance::InstanceState;
use model::{NetworkInterfaceId, VpcId};
use path::{Flow, Path, Place, Protocol};
use serde_json::Value;
use std::net::Ipv4Addr;
use store::State;
use walk::Walk;

/// Stands for everybody on the internet: only rules for all of it cover such an address.
const ANYBODY: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);

/// One end of a path.
enum End<'a> {
    Inside { vpc: &'a VpcId, place: Place<'a> },
    Outside { address: Ipv4Addr },
}

/// Why (not) FROM reaches `TO[:PORT[/udp]]`; by TCP to port 80 unless it says otherwise.
pub fn reach(state: &State, from: &str, to: &str) -> Result<Value, String> {
    let network = control::network::desired(state);
    let (name, flow) = destination(to)?;
    let sources = ends(state, &network, from)?;
    let targets = ends(state, &network, name)?;
    let mut all = Walk::default();
    for source in &sources {
        for target in &targets {
            all.append(walked(&network, source, target, flow)?);
        }
    }
    if let Some(balancer) = balancer::find(state, name) {
        balancer::listener(&mut all, state, balancer, flow.port);
    }
    for target in &targets {
        if let End::Inside { place, .. } = target {
            runs(&mut all, state, place);
        }
    }
    Ok(all.end(&format!("yes: {from} may reach {name} by {flow}")))
}

/// What the balancer last found about each target of a group, and why it is not used.
pub fn target_group(state: &State, name: &str) -> Result<Value, String> {
    let mut walk = Walk::default();
    balancer::target_group(&mut walk, state, name)?;
    Ok(walk.end("every target is healthy"))
}

fn destination(text: &str) -> Result<(&str, Flow), String> {
    let Some((name, port)) = text.rsplit_once(':') else {
        let flow = Flow {
            protocol: Protocol::Tcp,
            port: 80,
        };
        return Ok((text, flow));
    };
    let (port, protocol) = match port.split_once('/') {
        None => (port, Protocol::Tcp),
        Some((port, "tcp")) => (port, Protocol::Tcp),
        Some((port, "udp")) => (port, Protocol::Udp),
        Some((_, other)) => return Err(format!("{other} is neither tcp nor udp")),
    };
    let port = port.parse().map_err(|_| format!("{port} is not a port"))?;
    Ok((name, Flow { protocol, port }))
}

fn walked(network: &Network, from: &End<'_>, to: &End<'_>, flow: Flow) -> Result<Walk, String> {
    let mut path = Path {
        network,
        flow,
        walk: Walk::default(),
    };
    match (from, to) {
        (
            End::Inside { vpc, place },
            End::Inside {
                vpc: other,
                place: target,
            },
        ) => {
            if vpc == other {
                path.within(place, target);
            } else {
                path.across(place, target);
            }
        }
        (End::Inside { place, .. }, End::Outside { address }) => {
            let left = path.leave(place, *address);
            // A public address of this cloud: the packet turns round outside and comes back in.
            if let Some((_, target)) = public(network, *address) {
                path.enter(left.unwrap_or(ANYBODY), &target);
            }
        }
        (End::Outside { address }, End::Inside { place, .. }) => path.enter(*address, place),
        (End::Outside { address: from }, End::Outside { address }) => {
            let (_, target) = public(network, *address).ok_or("neither end is in this cloud")?;
            path.enter(*from, &target);
        }
    }
    Ok(path.walk)
}

/// What a name stands for: one end, or each node of a load balancer that is in service.
fn ends<'a>(state: &'a State, network: &'a Network, text: &str) -> Result<Vec<End<'a>>, String> {
    if text == "internet" {
        return Ok(vec![End::Outside { address: ANYBODY }]);
    }
    if let Some(balancer) = balancer::find(state, text) {
        return nodes(state, network, balancer);
    }
    let one = if text.starts_with("i-") {
        let attached = |id: &NetworkInterfaceId| {
            let interface = state.network_interfaces.get(id);
            let attachment = interface.and_then(|n| n.attachment.as_ref());
            attachment.is_some_and(|a| a.instance.as_str() == text && a.device_index == 0)
        };
        inside(network, text, |id, i| primary(i).filter(|_| attached(id)))
            .ok_or_else(|| format!("there is no instance {text} with an interface"))?
    } else if text.starts_with("eni-") {
        inside(network, text, |id, i| {
            primary(i).filter(|_| id.as_str() == text)
        })
        .ok_or_else(|| format!("there is no interface {text}"))?
    } else {
        let address: Ipv4Addr = text.parse().map_err(|_| {
            format!("{text} is no instance, interface, load balancer, address or `internet`")
        })?;
        inside(network, text, |_, i| {
            i.addresses.contains(&address).then_some(address)
        })
        .unwrap_or(End::Outside { address })
    };
    Ok(vec![one])
}

fn nodes<'a>(
    state: &'a State,
    network: &'a Network,
    balancer: &LoadBalancer,
) -> Result<Vec<End<'a>>, String> {
    let found: Vec<End<'a>> = control::load_balancer::in_service(state, balancer)
        .into_iter()
        .filter_map(|zone| {
            let name = format!("{} in {}", balancer.name, zone.zone);
            inside(network, &name, |id, i| {
                primary(i).filter(|_| *id == zone.interface)
            })
        })
        .collect();
    if found.is_empty() {
        return Err(format!(
            "no node of {} is in the network yet",
            balancer.name
        ));
    }
    Ok(found)
}

fn primary(interface: &Interface) -> Option<Ipv4Addr> {
    interface.addresses.first().copied()
}

fn inside<'a>(
    network: &'a Network,
    name: &str,
    wanted: impl Fn(&NetworkInterfaceId, &Interface) -> Option<Ipv4Addr>,
) -> Option<End<'a>> {
    let (vpc, place) = find(network, name, wanted)?;
    Some(End::Inside { vpc, place })
}

fn find<'a>(
    network: &'a Network,
    name: &str,
    wanted: impl Fn(&NetworkInterfaceId, &Interface) -> Option<Ipv4Addr>,
) -> Option<(&'a VpcId, Place<'a>)> {
    network.vpcs.iter().find_map(|(vpc_id, vpc)| {
        vpc.interfaces.iter().find_map(|(id, interface)| {
            let place = Place {
                vpc,
                id,
                interface,
                address: wanted(id, interface)?,
                name: name.to_owned(),
            };
            Some((vpc_id, place))
        })
    })
}

/// The interface that a public address of this cloud stands for.
fn public(network: &Network, address: Ipv4Addr) -> Option<(&VpcId, Place<'_>)> {
    find(network, &address.to_string(), |_, i| {
        let mapped = i.public.iter().find(|(_, public)| **public == address)?;
        Some(*mapped.0)
    })
}

fn runs(walk: &mut Walk, state: &State, place: &Place<'_>) {
    let interface = state.network_interfaces.get(place.id);
    let attached = interface.and_then(|i| i.attachment.as_ref());
    if let Some(instance) = attached.and_then(|a| state.instances.get(&a.instance)) {
        walk.step(
            "instance",
            instance.state == InstanceState::Running,
            format!("{} is {}", place.name, instance.state.name()),
        );
    }
}

#[cfg(test)]
mod tests;
