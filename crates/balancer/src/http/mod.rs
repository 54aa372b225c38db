//! HTTP/1.1 as bytes: heads, bodies and generated answers. Pure functions, no sockets, no config of
//! load balancers, so that every parser here can be fed any input by a test or a fuzzer.
//!
//! `httparse` finds the tokens, in what little is outside the grammar and let pass `mend`; what they mean (framing, persistence, danger) is decided here, once,
//! and a forwarded head is always written anew from that decision. So a request that two parsers
//! could read differently reaches a target in one reading only.

pub mod answer;
pub mod body;
pub mod desync;
pub mod field;
pub mod mend;
pub mod request;
pub mod response;
pub mod target;
pub mod trailer;
