//! Public addresses: one pool for every account and region of the cloud.

use super::error::{Result, error};
use super::resource::owned;
use ipnet::Ipv4Net;
use model::vpc::{Address, NetworkInterface, Vpc};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use store::State;

/// The part of the pool that is the cloud's own (the uplink, test servers, the registry), as
/// the host keeps it free: its first /24, of a small pool the first sixteenth.
pub fn reserved(pool: Ipv4Net) -> Ipv4Net {
    Ipv4Net::new_assert(pool.network(), (pool.prefix_len() + 4).clamp(24, 32))
}

/// A free address of the pool: the one after the highest in use, else the lowest free.
///
/// It is taken once a record in the transaction holds it.
pub fn take(state: &State, pool: Ipv4Net) -> Result<Ipv4Addr> {
    let first = u32::from(reserved(pool).broadcast()).saturating_add(1);
    let last = u32::from(pool.broadcast()).saturating_sub(1);
    let taken = || {
        let elastic = state.addresses.values().map(|a| a.public_ip);
        let interfaces = state.network_interfaces.values();
        elastic
            .chain(interfaces.filter_map(|i| i.auto_public_ip))
            .map(u32::from)
            .filter(|ip| (first..=last).contains(ip))
    };
    let after_highest = taken().max().map_or(first, |highest| highest + 1);
    let next = if after_highest <= last {
        Some(after_highest)
    } else {
        let taken: BTreeSet<u32> = taken().collect();
        (first..=last).find(|ip| !taken.contains(ip))
    };
    next.map(Ipv4Addr::from).ok_or_else(|| {
        error(
            "InsufficientAddressCapacity",
            "Not enough addresses available to satisfy the request",
        )
    })
}

/// Whether any public address is mapped into the VPC.
pub fn in_use(state: &State, vpc: &Vpc) -> bool {
    let mapped: BTreeSet<_> = owned::<Address>(state, &vpc.scope)
        .filter_map(|a| a.association.as_ref().map(|a| &a.interface))
        .collect();
    owned::<NetworkInterface>(state, &vpc.scope)
        .any(|i| i.vpc == vpc.id && (i.auto_public_ip.is_some() || mapped.contains(&i.id)))
}
