//! The resolver of each VPC, at its base + 2 and 169.254.169.253, and the name server of Route 53's
//! public zones on the internet side.
//!
//! [`zone`] knows the names, [`hosted`] those of Route 53's zones, [`message`] turns a query into an answer, both
//! without IO; [`server`] owns the sockets in the VPC, [`forward`] those to the
//! host's resolver. Not done: the 1,024 packets a second per interface of AWS,
//! DNSSEC, and caching of what the host's resolver caches already.

mod forward;
mod hosted;
mod message;
mod resolve;
mod server;
mod zone;

pub use forward::{Servers, Upstream};
pub use message::{authoritative, reply};
pub use resolve::Resolver;
pub use server::{Answers, tcp, udp};
pub use zone::{Shared, Zone};
