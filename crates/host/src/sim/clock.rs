//! The clock of a simulation.

use model::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A handle on one moment that all parts of a simulation share; it only moves when told.
#[derive(Clone)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_microsecond())))
    }
    pub fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
    /// Never moves backwards.
    pub fn advance_to(&self, at: Timestamp) {
        self.0.fetch_max(at.as_microsecond(), Ordering::SeqCst);
    }
}
