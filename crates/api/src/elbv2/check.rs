//! Constraints of single members, with the texts of AWS's request validation.

use super::error::{Result, validation};
use std::fmt::Display;

/// `at` as the texts name members: `healthCheckIntervalSeconds`.
fn constraint(value: impl Display, at: &str, rule: impl Display) -> wire::ApiError {
    validation(format!(
        "1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: Member must {rule}"
    ))
}

/// A member that may be left out; clients also leave it empty (Terraform's `ProtocolVersion=`).
pub fn given(member: &Option<String>) -> Option<&str> {
    member.as_deref().filter(|text| !text.is_empty())
}

pub fn one_of(value: &str, at: &str, allowed: &[&str]) -> Result<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let set = allowed.join(", ");
    Err(constraint(
        value,
        at,
        format_args!("satisfy enum value set: [{set}]"),
    ))
}

/// The number, known to lie in the range.
pub fn within(value: i64, at: &str, least: u32, most: u32) -> Result<u32> {
    if value < i64::from(least) {
        let rule = format_args!("have value greater than or equal to {least}");
        return Err(constraint(value, at, rule));
    }
    match u32::try_from(value) {
        Ok(value) if value <= most => Ok(value),
        _ => {
            let rule = format_args!("have value less than or equal to {most}");
            Err(constraint(value, at, rule))
        }
    }
}

pub fn port(value: i64, at: &str) -> Result<u16> {
    let port = within(value, at, 1, 65535)?;
    u16::try_from(port).map_err(|_| constraint(value, at, "be a port"))
}

pub fn length(value: &str, at: &str, least: usize, most: usize) -> Result<()> {
    let length = value.chars().count();
    if length < least {
        let rule = format_args!("have length greater than or equal to {least}");
        return Err(constraint(value, at, rule));
    }
    if most < length {
        let rule = format_args!("have length less than or equal to {most}");
        return Err(constraint(value, at, rule));
    }
    Ok(())
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
    fn numbers_lie_in_their_range() {
        assert_eq!(within(5, "x", 5, 300), Ok(5));
        assert_eq!(within(300, "x", 5, 300), Ok(300));
        for bad in [4, 301, -1, i64::MAX, i64::MIN] {
            assert!(within(bad, "x", 5, 300).is_err(), "{bad}");
        }
        assert!(port(0, "port").is_err());
        assert!(port(65536, "port").is_err());
        assert_eq!(port(65535, "port"), Ok(65535));
    }
}
