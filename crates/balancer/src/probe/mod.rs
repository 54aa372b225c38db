//! Health checks: every node checks every target it may have to use, on its own.
//!
//! A check is a task of its own on the coordinator's runtime, so that busy workers do not delay it
//! and its results have one place to go. `matcher` and `track` are pure; `check` makes one request.

mod check;
mod check_h2;
mod log;
mod matcher;
mod prober;
mod track;

pub use prober::{Finding, Prober};
