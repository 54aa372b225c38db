//! The machine beneath the cloud: networks and instances, listed, ensured and removed.
//!
//! Two full implementations: [`linux`] (namespaces, nftables, cgroups) and `sim`
//! (the same behaviour in memory, for scenarios on a virtual clock).
//! Knows neither store nor AWS.

pub mod instance;
pub mod linux;
pub mod network;
