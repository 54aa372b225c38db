//! Private addresses of a subnet: which are taken, which is next.
//!
//! Next is the one after the highest in use, so that an address just given up
//! is not at once another's; where there is none, the lowest free.

use super::error::{Result, error, invalid_parameter};
use model::vpc::Subnet;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use store::State;

/// AWS keeps the network address, the next three and the broadcast address.
const RESERVED_LOW: u32 = 4;
const RESERVED: u32 = 5;

/// First and last address that an interface may have.
fn range(subnet: &Subnet) -> (u32, u32) {
    let first = u32::from(subnet.cidr.network()) + RESERVED_LOW;
    (first, u32::from(subnet.cidr.broadcast()) - 1)
}

fn taken<'a>(state: &'a State, subnet: &Subnet) -> impl Iterator<Item = u32> + use<'a> {
    let interfaces = state.network_interfaces.of(&subnet.id);
    interfaces.flat_map(|i| i.private_ips.iter().map(|ip| u32::from(*ip)))
}

/// `AvailableIpAddressCount`.
pub fn free_count(state: &State, subnet: &Subnet) -> u32 {
    let size = 1u32 << (32 - subnet.cidr.prefix_len()).min(31);
    let interfaces = state.network_interfaces.of(&subnet.id);
    let taken: usize = interfaces.map(|i| i.private_ips.len()).sum();
    size.saturating_sub(RESERVED + u32::try_from(taken).unwrap_or(u32::MAX))
}

/// `count` free addresses of the subnet.
pub fn take(state: &State, subnet: &Subnet, count: usize) -> Result<Vec<Ipv4Addr>> {
    take_besides(state, subnet, count, &[])
}

/// `count` free addresses of the subnet that are not among `besides`, which are as good as taken.
pub fn take_besides(
    state: &State,
    subnet: &Subnet,
    count: usize,
    besides: &[Ipv4Addr],
) -> Result<Vec<Ipv4Addr>> {
    let besides = besides.iter().map(|ip| u32::from(*ip));
    let mut highest = taken(state, subnet).chain(besides.clone()).max();
    // Only a subnet that is full to its end has to be searched for holes.
    let mut all: Option<BTreeSet<u32>> = None;
    let (first, last) = range(subnet);
    let mut found = Vec::with_capacity(count.min(256));
    while found.len() < count {
        let after_highest = highest.map_or(first, |h| h.saturating_add(1).max(first));
        let next = if after_highest <= last {
            highest = Some(after_highest);
            Some(after_highest)
        } else {
            let all = all.get_or_insert_with(|| {
                let new = found.iter().map(|ip: &Ipv4Addr| u32::from(*ip));
                taken(state, subnet)
                    .chain(besides.clone())
                    .chain(new)
                    .collect()
            });
            let free = (first..=last).find(|ip| !all.contains(ip));
            all.extend(free);
            free
        };
        let Some(next) = next else {
            return Err(error(
                "InsufficientFreeAddressesInSubnet",
                format!(
                    "The specified subnet does not have enough free addresses to satisfy the request. Subnet {} has {} free.",
                    subnet.id,
                    free_count(state, subnet)
                ),
            ));
        };
        found.push(Ipv4Addr::from(next));
    }
    Ok(found)
}

/// Checks that the address is the subnet's and free.
pub fn check(state: &State, subnet: &Subnet, ip: Ipv4Addr) -> Result<()> {
    let (first, last) = range(subnet);
    if !subnet.cidr.contains(&ip) {
        return Err(invalid_parameter(
            ip,
            "address",
            "Address does not fall within the subnet's address range",
        ));
    }
    if !(first..=last).contains(&u32::from(ip)) {
        return Err(invalid_parameter(
            ip,
            "address",
            "Address is in subnet's reserved address range",
        ));
    }
    if taken(state, subnet).any(|taken| taken == u32::from(ip)) {
        return Err(error(
            "InvalidIPAddress.InUse",
            format!("The specified address is already in use: {ip}"),
        ));
    }
    Ok(())
}
