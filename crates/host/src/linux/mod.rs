//! The host on a Linux kernel: namespaces, veths, routes, nftables and cgroups.

pub mod namespace;
pub mod cgroup;
pub mod instance;
