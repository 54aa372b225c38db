//! What netfilter keeps in the calling thread's network namespace, over netlink: tracked flows, and
//! the counters of an nftables table.
//!
//! Netlink here, unlike for routes and filters: the `conntrack` program walks the whole table once
//! for every flow it deletes, and counters are read every second, for which a program is too dear.
//! The host ends flows that outlive what allowed them, the balancer those of targets that left.

pub mod conntrack;
pub mod counter;
mod message;
