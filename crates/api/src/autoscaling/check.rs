//! Constraints of single members: those that other services have as well, and names.

use super::error::Result;
use crate::check::constraint;
pub use crate::check::{length, one_of, within};

/// The name of a group or a policy: printable, without the colon that ARNs part at.
pub fn name(value: &str, at: &str) -> Result<()> {
    length(value, at, 1, 255)?;
    if value.contains(':') || value.chars().any(char::is_control) {
        let rule = "satisfy regular expression pattern: [\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\r\\n\\t]*";
        return Err(constraint(value, at, rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_part_no_arn() {
        let check = |text: &str, expected: bool| assert_eq!(name(text, "x").is_ok(), expected);
        check("web", true);
        check("web tier/1", true);
        check("", false);
        check("a:b", false);
        check("a\u{7}", false);
        check(&"a".repeat(256), false);
    }
}
