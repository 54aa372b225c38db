//! The data plane of an Application Load Balancer.

pub mod config;
pub mod count;
pub mod report;

pub use config::Config;
pub use report::Report;
