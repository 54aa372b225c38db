//! The host on a Linux kernel: namespaces, veths, routes, nftables and cgroups.

pub mod cgroup;
mod cpuset;
pub mod doctor;
pub mod host;
pub mod hosts_file;
pub mod instance;
pub mod namespace;
pub mod network;
pub mod program;
mod reach;
pub mod registry_trust;
