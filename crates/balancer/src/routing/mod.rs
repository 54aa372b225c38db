//! Which action a request gets: patterns, conditions, rules, redirects. Values in, values out.

mod hint;
mod pattern;
mod redirect;
mod rule;
mod transform;

#[cfg(any(test, fuzzing))]
pub use pattern::Wildcard;
pub use redirect::{Location, expand};
pub use rule::{Routes, Subject};
pub use transform::{Rewrites, Rewritten};
