//! HTTP/2: to clients over TLS, to targets with and without.
//!
//! Frames, windows and limits are the `h2` crate's: it answers abuse (rapid resets, floods of
//! settings, pings or continuations, malformed pseudo-headers) by ending stream or connection. Here
//! a stream becomes the same `Request` that HTTP/1.1 yields, is decided upon by the same code, and
//! is answered from an HTTP/1.1 or an HTTP/2 target. The head for a target is always written as
//! HTTP/1.1 first, so that there is one place where it is made.
//!
//! 1. `connection`: accepts streams, until idle, too old or used up.
//! 2. `stream`: one request: decide, then answer or forward.
//! 3. `head`: heads from and to HTTP/2.
//! 4. `to_http1`, `to_http2`: the exchange with a target; `pool` shares connections to the latter.
//! 5. `both`: request and response at once; `flow`: data both ways within the windows.

mod both;
mod connection;
mod flow;
pub(super) mod head;
mod pool;
mod stream;
mod to_http1;
mod to_http2;

pub use connection::serve;
pub use pool::Multiplexed;
