//! The host on a Linux kernel: namespaces, veths, routes, nftables and cgroups.

pub mod conntrack;
pub mod doctor;
pub mod hosts_file;
pub mod namespace;
pub mod network;
pub mod program;
pub mod cgroup;
pub mod host;
pub mod instance;
