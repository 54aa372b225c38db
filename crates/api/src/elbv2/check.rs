//! Constraints of single members: those that other services have as well, ports and names.

use super::error::{Result, validation};
use crate::check::constraint;
pub use crate::check::{length, one_of, within};

/// A member that may be left out; clients also leave it empty (Terraform's `ProtocolVersion=`).
pub fn given(member: &Option<String>) -> Option<&str> {
    member.as_deref().filter(|text| !text.is_empty())
}

pub fn port(value: i64, at: &str) -> Result<u16> {
    let port = within(value, at, 1, 65535)?;
    u16::try_from(port).map_err(|_| constraint(value, at, "be a port"))
}

/// The name of a load balancer or a target group; `noun` starts the sentence.
pub fn name(name: &str, noun: &str) -> Result<()> {
    if name.is_empty() || 32 < name.chars().count() {
        return Err(validation(format!(
            "{noun} name '{name}' must be between 1 and 32 characters long"
        )));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(validation(format!(
            "{noun} name '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
        )));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(validation(format!(
            "{noun} name '{name}' cannot begin or end with a hyphen(-)"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let check = |text: &str, expected: bool| {
            assert_eq!(name(text, "Target group").is_ok(), expected, "{text}");
        };
        check("web", true);
        check("Web-2", true);
        check(&"a".repeat(32), true);
        check(&"a".repeat(33), false);
        check("", false);
        check("-web", false);
        check("web-", false);
        check("web_1", false);
        check("wéb", false);
    }

    #[test]
    fn ports_lie_in_their_range() {
        assert!(port(0, "port").is_err());
        assert!(port(65536, "port").is_err());
        assert_eq!(port(65535, "port"), Ok(65535));
    }
}
