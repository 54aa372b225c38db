//! A machine in memory: the same behaviour as [`crate::linux`], on a clock that a test moves.
//!
//! Instances boot, get ready, stop and break as [`Timing`] and the faults of
//! [`SimHost`] say; what they are at a moment is worked out from the clock when
//! somebody looks, so that no thread and no sleep is needed. Networks are kept
//! as they were applied: whoever simulates traffic reads them.

mod clock;
mod command;
mod host;
mod instance;

pub use clock::Clock;
pub use host::{SimHost, Timing};
