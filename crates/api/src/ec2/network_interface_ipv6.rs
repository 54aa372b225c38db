//! IPv6 addresses of a network interface.

use super::error::{Result, missing, refuse};
use super::ipv6;
use super::network_interface_attribute::find_own;
use super::resource::find;
use crate::Ctx;
use model::vpc::Subnet;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssignIpv6Addresses {
    network_interface_id: String,
    ipv6_address_count: Option<i64>,
    #[serde(default)]
    ipv6_addresses: Vec<String>,
    ipv6_prefix_count: Option<i64>,
    #[serde(default)]
    ipv6_prefix: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedIpv6Addresses {
    network_interface_id: String,
    assigned_ipv6_addresses: Vec<String>,
}

pub fn assign(ctx: &mut Ctx, input: AssignIpv6Addresses) -> Result<AssignedIpv6Addresses> {
    refuse_prefixes(input.ipv6_prefix_count, &input.ipv6_prefix)?;
    let mut interface = find_own(ctx, &input.network_interface_id)?;
    let subnet = find::<Subnet>(ctx, interface.subnet.as_str())?;
    if input.ipv6_addresses.is_empty() && input.ipv6_address_count.is_none() {
        return Err(missing("ipv6AddressCount"));
    }
    let count = input.ipv6_address_count;
    let new = ipv6::addresses(&ctx.tx, &subnet, &input.ipv6_addresses, count)?;
    let answer = AssignedIpv6Addresses {
        network_interface_id: interface.id.to_string(),
        assigned_ipv6_addresses: new.iter().map(ToString::to_string).collect(),
    };
    interface.ipv6_addresses.extend(new);
    ctx.tx.put(interface);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UnassignIpv6Addresses {
    network_interface_id: String,
    #[serde(default)]
    ipv6_addresses: Vec<String>,
    #[serde(default)]
    ipv6_prefix: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnassignedIpv6Addresses {
    network_interface_id: String,
    unassigned_ipv6_addresses: Vec<String>,
}

pub fn unassign(ctx: &mut Ctx, input: UnassignIpv6Addresses) -> Result<UnassignedIpv6Addresses> {
    refuse_prefixes(None, &input.ipv6_prefix)?;
    let mut interface = find_own(ctx, &input.network_interface_id)?;
    if input.ipv6_addresses.is_empty() {
        return Err(missing("ipv6Addresses"));
    }
    for text in &input.ipv6_addresses {
        let ip = text.parse::<std::net::Ipv6Addr>().ok();
        let at = ip.and_then(|ip| interface.ipv6_addresses.iter().position(|a| *a == ip));
        let Some(at) = at else {
            return Err(super::error::invalid_parameter(
                text,
                "ipv6Addresses",
                &format!("It is not an address of interface {}.", interface.id),
            ));
        };
        interface.ipv6_addresses.remove(at);
    }
    let answer = UnassignedIpv6Addresses {
        network_interface_id: interface.id.to_string(),
        unassigned_ipv6_addresses: input.ipv6_addresses,
    };
    ctx.tx.put(interface);
    Ok(answer)
}

fn refuse_prefixes(count: Option<i64>, prefixes: &[String]) -> Result<()> {
    refuse(&count.filter(|n| *n > 0), "Ipv6PrefixCount")?;
    refuse(&prefixes.first(), "Ipv6Prefix")
}
