//! The life of a client connection.
//!
//! 0. `arrive`: over TLS, shake hands.
//! 1. `client`: wait without a buffer, read a head, answer or forward, and again (keep-alive,
//!    pipelining).
//! 2. `decide`: head → answer, or target and the head it gets. Synchronous: what was parsed borrows
//!    from the input and never crosses an await.
//! 3. `exchange`: connect or reuse; in an `attempt` request and response flow at the same time, in
//!    bounded buffers, under one idle timer.
//! 4. `h2`: the same for the streams of an HTTP/2 client.
//! 5. `tunnel`: what an upgrade, to WebSocket or whatever a target agrees to, turns an exchange into.
//! 6. `relay`: flows of network load balancers, which are nothing but a tunnel.
//!
//! There are no retries but one, where nothing can have been processed: a request without body and
//! with an idempotent method that found its pooled connection closed before any byte of a response
//! is sent again, once, on a fresh connection to the same target. AWS documents none at all, but its
//! 502s for a target that closes idle connections first would here be a race of our own making.

mod arrive;
mod attempt;
mod client;
mod decide;
mod exchange;
mod forward;
mod h2;
mod idle;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod relay;
mod reply;
#[cfg(test)]
mod timeouts_tests;
mod tunnel;

pub use arrive::{Arrival, arrive};
pub use h2::Multiplexed;
