//! The data plane of Application and Network Load Balancers.
//!
//! It serves an immutable [`Config`] and tells what it observes as [`Report`]s; it knows neither a
//! store nor ARNs nor API shapes, and goes on serving when whoever wrote the config is gone.
//!
//! A request's way: `worker/node` accepts → `proxy/client` reads a head → `http/request` understands
//! it → `proxy/decide` asks `routing` for the action and `worker/group` with `pick` for the target →
//! `proxy/forward` writes the target's head → `proxy/exchange` moves bytes → `proxy/reply` writes the
//! client's head; `count` and `access_log` note it. `probe` checks health, `run` coordinates.
//!
//! A network load balancer's flows are passed on by the kernel, as `network` tells it.
//!
//! An own HTTP/1.1 engine on single-threaded runtimes, one per core, was measured at 0.69 of nginx's
//! CPU per request; hyper (0.93) and pingora (1.98) were the alternatives.

mod access_log;
mod anomaly;
pub mod config;
mod connection_log;
pub mod count;
mod flow_log;
mod handover;
mod http;
mod netns;
mod network;
mod pick;
mod probe;
mod proxy;
pub mod report;
mod routing;
mod run;
mod sticky;
mod text;
mod tls;
mod worker;

pub use config::Config;
#[cfg(fuzzing)]
pub use proxy::properties;
pub use report::Report;
pub use run::{Error, run, run_with};
