//! Regular expressions in conditions and transforms: what the balancer can compile.
//!
//! Its dialect is AWS's: no look-around, no back references, no Unicode classes
//! (`A/listener-rules.html`).

use super::check::length;
use super::error::{Result, validation};

pub fn check(expression: &str, at: &str, most: usize) -> Result<()> {
    length(expression, at, 1, most)?;
    let mut builder = regex::bytes::RegexBuilder::new(expression);
    match builder.unicode(false).build() {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            Err(validation(format!(
                "The regular expression '{expression}' is not valid: {why}"
            )))
        }
    }
}
