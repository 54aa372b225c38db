//! The data plane of an Application Load Balancer.

pub mod config;
pub mod count;
mod http;
mod routing;
pub mod report;

pub use config::Config;
pub use report::Report;
