//! Which action a request gets: patterns, conditions, rules, redirects. Values in, values out.

mod pattern;
mod redirect;
mod rule;

#[cfg(test)]
pub use pattern::Wildcard;
pub use redirect::{Location, expand};
pub use rule::{Routes, Subject};
