//! The resolver of each VPC, at its base + 2 and 169.254.169.253.
//!
//! [`zone`] knows the names, [`message`] turns a query into an answer, both
//! without IO; [`server`] owns the sockets in the VPC, [`forward`] those to the
//! host's resolver. Not done: the 1,024 packets a second per interface of AWS,
//! DNSSEC, and caching of what the host's resolver caches already.

mod forward;
mod message;
mod server;
mod zone;

pub use forward::{Servers, Upstream};
pub use server::{tcp, udp};
pub use zone::{Shared, Zone};
