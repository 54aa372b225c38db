//! How answers show a table's routes: the implied ones, those that were made, and those to
//! gateway endpoints.

use super::resource::owned;
use super::{prefix_list, vpc_peering};
use ipnet::IpNet;
use model::instance::InstanceState;
use model::vpc::{NatGatewayState, NetworkInterface, RouteTable, RouteTarget};
use model::vpc_endpoint::{VpcEndpoint, VpcEndpointKind};
use model::{InstanceId, Scope};
use serde::Serialize;
use store::State;

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteShape {
    pub destination_cidr_block: Option<String>,
    pub destination_ipv6_cidr_block: Option<String>,
    pub destination_prefix_list_id: Option<String>,
    pub gateway_id: Option<String>,
    pub nat_gateway_id: Option<String>,
    pub network_interface_id: Option<String>,
    pub egress_only_internet_gateway_id: Option<String>,
    pub vpc_peering_connection_id: Option<String>,
    pub instance_id: Option<String>,
    instance_owner_id: Option<String>,
    pub origin: &'static str,
    pub state: &'static str,
}

impl RouteShape {
    fn to(destination: IpNet) -> Self {
        let text = Some(destination.to_string());
        match destination {
            IpNet::V4(_) => Self {
                destination_cidr_block: text,
                ..Self::default()
            },
            IpNet::V6(_) => Self {
                destination_ipv6_cidr_block: text,
                ..Self::default()
            },
        }
    }
}

/// The table's routes as answers list them, the local ones first.
pub(super) fn shapes(state: &State, table: &RouteTable) -> Vec<RouteShape> {
    let vpc = state.vpcs.get(&table.vpc);
    let v4 = vpc.iter().flat_map(|v| &v.cidrs);
    let v6 = vpc.iter().flat_map(|v| &v.ipv6_cidrs);
    let blocks = v4
        .map(|(_, c)| IpNet::V4(*c))
        .chain(v6.map(|(_, c)| IpNet::V6(*c)));
    let local = blocks.map(|block| RouteShape {
        gateway_id: Some("local".into()),
        origin: "CreateRouteTable",
        state: "active",
        ..RouteShape::to(block)
    });
    let ipv4 = table.routes.iter().map(|route| {
        let shape = RouteShape::to(IpNet::V4(route.destination));
        made(shape, state, table, &route.target)
    });
    let ipv6 = table.ipv6_routes.iter().map(|(destination, target)| {
        let shape = RouteShape::to(IpNet::V6(*destination));
        made(shape, state, table, target)
    });
    let lists = table.prefix_list_routes.iter().map(|(list, target)| {
        let shape = RouteShape {
            destination_prefix_list_id: Some(list.to_string()),
            ..RouteShape::default()
        };
        made(shape, state, table, target)
    });
    local
        .chain(ipv4)
        .chain(ipv6)
        .chain(lists)
        .chain(endpoints(state, table))
        .collect()
}

/// The routes that gateway endpoints put into the tables they name.
fn endpoints<'a>(state: &'a State, table: &'a RouteTable) -> impl Iterator<Item = RouteShape> + 'a {
    owned::<VpcEndpoint>(state, &table.scope).filter_map(|endpoint| {
        let VpcEndpointKind::Gateway { route_tables } = &endpoint.kind else {
            return None;
        };
        if !route_tables.contains(&table.id) {
            return None;
        }
        let list = prefix_list::id_of_service(&endpoint.service_name)?;
        Some(RouteShape {
            destination_prefix_list_id: Some(list.to_string()),
            gateway_id: Some(endpoint.id.to_string()),
            origin: "CreateRoute",
            state: "active",
            ..RouteShape::default()
        })
    })
}

/// A route that was made; `shape` has its destination.
fn made(
    mut shape: RouteShape,
    state: &State,
    table: &RouteTable,
    target: &RouteTarget,
) -> RouteShape {
    shape.origin = "CreateRoute";
    shape.state = match leads_somewhere(state, table, target) {
        true => "active",
        false => "blackhole",
    };
    match target {
        RouteTarget::InternetGateway(id) => shape.gateway_id = Some(id.to_string()),
        RouteTarget::VpnGateway(id) => shape.gateway_id = Some(id.to_string()),
        RouteTarget::NatGateway(id) => shape.nat_gateway_id = Some(id.to_string()),
        RouteTarget::EgressOnlyInternetGateway(id) => {
            shape.egress_only_internet_gateway_id = Some(id.to_string());
        }
        RouteTarget::VpcPeeringConnection(id) => {
            shape.vpc_peering_connection_id = Some(id.to_string());
        }
        RouteTarget::NetworkInterface(id) => {
            shape.network_interface_id = Some(id.to_string());
            let attachment = state.network_interfaces.get(id);
            let attachment = attachment.and_then(|i| i.attachment.as_ref());
            if let Some(attachment) = attachment {
                shape.instance_id = Some(attachment.instance.to_string());
                shape.instance_owner_id = Some(table.scope.account.to_string());
            }
        }
        RouteTarget::Instance(id) => {
            shape.instance_id = Some(id.to_string());
            shape.instance_owner_id = Some(table.scope.account.to_string());
            shape.network_interface_id = primary_interface(state, &table.scope, id)
                .map(|interface| interface.id.to_string());
        }
    }
    shape
}

/// Whether the target is there; a route to one that is gone stays, as a black hole.
pub fn leads_somewhere(state: &State, table: &RouteTable, target: &RouteTarget) -> bool {
    let running = |id: &InstanceId| {
        let instance = state.instances.get(id);
        instance.is_some_and(|i| i.state == InstanceState::Running)
    };
    let here = |vpc: Option<&model::VpcId>| vpc == Some(&table.vpc);
    match target {
        RouteTarget::InternetGateway(id) => {
            here(state.internet_gateways.get(id).and_then(|g| g.vpc.as_ref()))
        }
        RouteTarget::VpnGateway(id) => {
            let gateway = state.vpn_gateways.get(id);
            here(gateway.and_then(|g| g.vpc.as_ref()))
        }
        RouteTarget::EgressOnlyInternetGateway(id) => {
            let gateway = state.egress_only_internet_gateways.get(id);
            here(gateway.map(|g| &g.vpc))
        }
        RouteTarget::VpcPeeringConnection(id) => vpc_peering::is_active(state, id),
        RouteTarget::NatGateway(id) => {
            let gateway = state.nat_gateways.get(id);
            gateway.is_some_and(|g| {
                matches!(
                    g.state,
                    NatGatewayState::Pending | NatGatewayState::Available
                )
            })
        }
        RouteTarget::NetworkInterface(id) => match state.network_interfaces.get(id) {
            Some(interface) => match &interface.attachment {
                Some(attachment) => running(&attachment.instance),
                None => interface.requester.is_some(),
            },
            None => false,
        },
        RouteTarget::Instance(id) => running(id),
    }
}

pub(super) fn primary_interface<'a>(
    state: &'a State,
    scope: &'a Scope,
    instance: &InstanceId,
) -> Option<&'a NetworkInterface> {
    owned::<NetworkInterface>(state, scope)
        .find(|i| {
            let attachment = i.attachment.as_ref();
            attachment.is_some_and(|a| a.instance == *instance && a.device_index == 0)
        })
        .map(|i| i.as_ref())
}
