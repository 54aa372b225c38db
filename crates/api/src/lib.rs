//! AWS's actions: shapes and functions, one file a resource.
//!
//! A service is a list of `action("CreateVpc", vpc::create)` lines; dispatch,
//! the coverage table and the docs come from that one list. Nothing here knows
//! HTTP, processes or netlink.

mod context;
pub mod ec2;

pub use context::{Cloud, Ctx};
