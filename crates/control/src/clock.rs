//! When to look again; how fast time passes is [`Speed`].

pub use model::Speed;
use model::Timestamp;

/// The earlier of two times to look again.
pub fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
