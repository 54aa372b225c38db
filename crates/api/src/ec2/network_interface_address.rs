//! Secondary private addresses of a network interface.

use super::error::{Result, invalid_combination, invalid_parameter, missing, refuse};
use super::network_interface_attachment::check_addresses;
use super::network_interface_attribute::find_own;
use super::resource::{find, owned};
use super::{Done, address, cidr, done, private_address};
use crate::Ctx;
use model::instance::Instance;
use model::instance_type;
use model::vpc::{NetworkInterface, Subnet};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssignPrivateIpAddresses {
    network_interface_id: String,
    #[serde(default)]
    private_ip_address: Vec<String>,
    secondary_private_ip_address_count: Option<i64>,
    allow_reassignment: Option<bool>,
    ipv4_prefix_count: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedPrivateIpAddresses {
    r#return: bool,
    network_interface_id: String,
    assigned_private_ip_addresses_set: Vec<AssignedPrivateIpAddress>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssignedPrivateIpAddress {
    private_ip_address: String,
}

pub fn assign(
    ctx: &mut Ctx,
    input: AssignPrivateIpAddresses,
) -> Result<AssignedPrivateIpAddresses> {
    refuse(
        &input.ipv4_prefix_count.filter(|n| *n > 0),
        "Ipv4PrefixCount",
    )?;
    let mut interface = find_own(ctx, &input.network_interface_id)?;
    let subnet = find::<Subnet>(ctx, interface.subnet.as_str())?;
    let count = input.secondary_private_ip_address_count;
    let new = match (input.private_ip_address.is_empty(), count) {
        (true, Some(count)) => {
            let count = usize::try_from(count).ok().filter(|n| (1..256).contains(n));
            let why = "Expecting a number greater than 0.";
            let count = count.ok_or_else(|| {
                invalid_parameter(
                    input.secondary_private_ip_address_count.unwrap_or_default(),
                    "secondaryPrivateIpAddressCount",
                    why,
                )
            })?;
            private_address::take(&ctx.tx, &subnet, count)?
        }
        (false, None) => {
            let mut ips = Vec::new();
            for text in &input.private_ip_address {
                let ip = cidr::address(text, "privateIpAddress")?;
                if input.allow_reassignment == Some(true) {
                    take_from_others(ctx, &subnet, &interface, ip)?;
                }
                // Assigned already: nothing to do, as on AWS.
                if interface.private_ips.contains(&ip) || ips.contains(&ip) {
                    continue;
                }
                private_address::check(&ctx.tx, &subnet, ip)?;
                ips.push(ip);
            }
            ips
        }
        (true, None) => return Err(missing("secondaryPrivateIpAddressCount")),
        (false, Some(_)) => {
            return Err(invalid_combination(
                "The parameter secondaryPrivateIpAddressCount may not be combined with privateIpAddress.",
            ));
        }
    };
    // An interface that nobody has takes what it is given; the limit is the instance's.
    let holder = interface.attachment.as_ref().map(|a| &a.instance);
    let holder = holder.and_then(|instance| ctx.tx.get::<Instance>(instance));
    if let Some(kind) = holder.and_then(|i| instance_type::find(&i.instance_type)) {
        check_addresses(kind, interface.private_ips.len() + new.len())?;
    }
    let answer = AssignedPrivateIpAddresses {
        r#return: true,
        network_interface_id: interface.id.to_string(),
        assigned_private_ip_addresses_set: new
            .iter()
            .map(|ip| AssignedPrivateIpAddress {
                private_ip_address: ip.to_string(),
            })
            .collect(),
    };
    interface.private_ips.extend(new);
    ctx.tx.put(interface);
    Ok(answer)
}

/// Takes a secondary address off another interface of the subnet that has it.
fn take_from_others(
    ctx: &mut Ctx,
    subnet: &Subnet,
    interface: &NetworkInterface,
    ip: std::net::Ipv4Addr,
) -> Result<()> {
    let holder = owned::<NetworkInterface>(&ctx.tx, &ctx.scope)
        .find(|i| i.subnet == subnet.id && i.id != interface.id && i.private_ips.contains(&ip))
        .cloned();
    let Some(holder) = holder else {
        return Ok(());
    };
    if holder.primary_ip() == ip || holder.requester.is_some() {
        return Err(invalid_parameter(
            ip,
            "privateIpAddress",
            "A primary address cannot be reassigned.",
        ));
    }
    address::disassociate_all(&mut ctx.tx, &holder, &[ip]);
    ctx.tx
        .modify::<NetworkInterface>(&holder.id, |i| i.private_ips.retain(|p| *p != ip));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UnassignPrivateIpAddresses {
    network_interface_id: String,
    #[serde(default)]
    private_ip_address: Vec<String>,
}

pub fn unassign(ctx: &mut Ctx, input: UnassignPrivateIpAddresses) -> Result<Done> {
    let mut interface = find_own(ctx, &input.network_interface_id)?;
    if input.private_ip_address.is_empty() {
        return Err(missing("privateIpAddress"));
    }
    for text in &input.private_ip_address {
        let ip = cidr::address(text, "privateIpAddress")?;
        let at = interface.private_ips.iter().position(|p| *p == ip);
        match at {
            Some(0) => {
                return Err(invalid_parameter(
                    ip,
                    "privateIpAddress",
                    "The primary address cannot be unassigned.",
                ));
            }
            Some(at) => {
                address::disassociate_all(&mut ctx.tx, &interface, &[ip]);
                interface.private_ips.remove(at);
            }
            None => {
                return Err(invalid_parameter(
                    ip,
                    "privateIpAddress",
                    &format!("It is not an address of interface {}.", interface.id),
                ));
            }
        }
    }
    ctx.tx.put(interface);
    done()
}
