//! TLS: towards clients under a listener's certificates and policy, towards targets without asking
//! who they are.
//!
//! The handshake is rustls's, with aws-lc. A listener's settings are built once for all workers
//! ([`Servers`]) and live on while nothing of them changes, so that sessions can be resumed with any
//! worker and across changes of the config. The client's hello is read before a configuration is
//! chosen: each certificate has one of its own, and so the access log knows which was served.

mod accept;
mod client;
mod client_certificate;
mod client_verifier;
mod name;
mod policy;
mod server;
mod stream;

pub use accept::{Accepted, Session, UNMAPPED, accept};
pub use client::connect;
pub use server::{Server, Servers};
pub use stream::{ReadHalf, Stream, WriteHalf};

/// The settings of all listeners, by load balancer and port.
pub type ByListener = std::collections::BTreeMap<(String, u16), std::sync::Arc<Server>>;
