//! Whether a tunnel may be opened, and whereto: asked by the edge, which holds the WebSocket, with
//! the client's own signed request. AWS documents the request nowhere; this is what its CLI sends.

use super::Result;
use crate::Ctx;
use crate::ec2::resource::find_ref;
use model::instance_connect::InstanceConnectEndpoint;
use model::vpc_peering::VpcPeeringState;
use serde::Serialize;
use std::net::Ipv4Addr;
use wire::ApiError;
use wire::form;

/// Where the CLI asks for tunnels.
pub const PATH: &str = "/openTunnel";
/// What endpoints lead to: SSH, and Windows' remote desktop.
const PORTS: [u16; 2] = [22, 3389];
/// Seconds; also what a request that names none gets.
const LONGEST: u32 = 3600;

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tunnel {
    instance_connect_endpoint_id: String,
    private_ip_address: Ipv4Addr,
    remote_port: u16,
    /// Seconds.
    max_tunnel_duration: u32,
}

pub fn open(ctx: &Ctx, query: &str) -> Result<Tunnel> {
    let pairs =
        form::parse(query.as_bytes()).map_err(|_| invalid("The query string cannot be read."))?;
    let (mut id, mut address, mut port, mut seconds) = (None, None, None, None);
    for (name, value) in &pairs {
        let slot = match &**name {
            "instanceConnectEndpointId" => &mut id,
            "privateIpAddress" => &mut address,
            "remotePort" => &mut port,
            "maxTunnelDuration" => &mut seconds,
            name if name.starts_with("X-Amz-") => continue,
            name => return Err(invalid(format!("The parameter {name} is not recognized."))),
        };
        *slot = Some(&**value);
    }
    let id = id.ok_or_else(|| missing("instanceConnectEndpointId"))?;
    let endpoint = find_ref::<InstanceConnectEndpoint>(ctx, id)?;
    if !endpoint.state.is_open() {
        let state = endpoint.state.name();
        let message = format!("The endpoint {id} takes no connections: it is {state}.");
        return Err(ApiError::client("IncorrectState", message));
    }
    let port = port.ok_or_else(|| missing("remotePort"))?;
    let port = port.parse().ok().filter(|port| PORTS.contains(port));
    let remote_port = port.ok_or_else(|| {
        invalid("The remotePort is not valid: an endpoint leads to port 22 or 3389.")
    })?;
    let seconds = seconds.map_or(Some(LONGEST), |text| text.parse().ok());
    let seconds = seconds.filter(|seconds| (1..=LONGEST).contains(seconds));
    let max_tunnel_duration = seconds
        .ok_or_else(|| invalid("The maxTunnelDuration is not valid: it is 1 to 3600 seconds."))?;
    let address = address.ok_or_else(|| missing("privateIpAddress"))?;
    let private_ip_address = address
        .parse()
        .ok()
        .filter(|address| is_reachable(ctx, endpoint, *address));
    let private_ip_address = private_ip_address.ok_or_else(|| {
        let vpc = &endpoint.vpc;
        invalid(format!(
            "The privateIpAddress {address} is no IPv4 address of {vpc} or of a VPC that is peered with it."
        ))
    })?;
    Ok(Tunnel {
        instance_connect_endpoint_id: id.to_owned(),
        private_ip_address,
        remote_port,
        max_tunnel_duration,
    })
}

/// Whether the address is of the endpoint's VPC or of one that is joined to it.
fn is_reachable(ctx: &Ctx, endpoint: &InstanceConnectEndpoint, address: Ipv4Addr) -> bool {
    let peerings = ctx.tx.vpc_peering_connections.values();
    let peered = peerings
        .filter(|p| p.state == VpcPeeringState::Active)
        .filter_map(|p| match (&p.requester.vpc, &p.accepter.vpc) {
            (here, there) | (there, here) if *here == endpoint.vpc => Some(there),
            _ => None,
        });
    let mut vpcs = peered
        .chain([&endpoint.vpc])
        .filter_map(|id| ctx.tx.vpcs.get(id));
    vpcs.any(|vpc| vpc.cidrs.iter().any(|(_, cidr)| cidr.contains(&address)))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameter", message)
}

fn missing(name: &str) -> ApiError {
    ApiError::client(
        "MissingParameter",
        format!("The request must contain the parameter {name}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::instance_connect_endpoint as endpoint;
    use crate::testing::{input, run};
    use model::instance_connect::InstanceConnectEndpointState as State;
    use serde_json::json;

    #[test]
    fn only_what_an_endpoint_leads_to() {
        run(|ctx| {
            let subnet = ctx.tx.subnets.values().next().unwrap().clone();
            let wanted = json!({"SubnetId": subnet.id.to_string()});
            endpoint::create(ctx, input(wanted)).unwrap();
            let made = ctx.tx.instance_connect_endpoints.values().next();
            let id = made.unwrap().id.clone();
            let inside = subnet.cidr.addr();
            let ask = |ctx: &Ctx, rest: &str| {
                open(ctx, &format!("instanceConnectEndpointId={id}&{rest}"))
            };
            let good = format!("remotePort=22&privateIpAddress={inside}");
            let code = |result: Result<Tunnel>| result.err().map(|e| e.code.into_owned());
            assert_eq!(code(ask(ctx, &good)).as_deref(), Some("IncorrectState"));
            ctx.tx
                .modify::<InstanceConnectEndpoint>(&id, |e| e.state = State::CreateComplete);
            let tunnel = ask(ctx, &format!("{good}&X-Amz-Expires=60")).unwrap();
            assert_eq!((tunnel.remote_port, tunnel.max_tunnel_duration), (22, 3600));
            let short = ask(ctx, &format!("{good}&maxTunnelDuration=1")).unwrap();
            assert_eq!(short.max_tunnel_duration, 1);
            for bad in [
                format!("remotePort=80&privateIpAddress={inside}"),
                format!("remotePort=65558&privateIpAddress={inside}"),
                "remotePort=22&privateIpAddress=203.0.113.9".into(),
                "remotePort=22&privateIpAddress=169.254.169.254".into(),
                "remotePort=22&privateIpAddress=::1".into(),
                format!("{good}&maxTunnelDuration=0"),
                format!("{good}&maxTunnelDuration=3601"),
                format!("{good}&more=1"),
            ] {
                let got = code(ask(ctx, &bad));
                assert_eq!(got.as_deref(), Some("InvalidParameter"), "{bad}");
            }
            assert_eq!(
                code(ask(ctx, "remotePort=22")).as_deref(),
                Some("MissingParameter")
            );
            let other = open(
                ctx,
                &format!("instanceConnectEndpointId=eice-00000000&{good}"),
            );
            assert_eq!(
                code(other).as_deref(),
                Some("InvalidInstanceConnectEndpointId.NotFound")
            );
        });
    }
}
