//! Constraints of single members, with the texts of AWS's request validation, as Auto Scaling and
//! Elastic Load Balancing answer them.

use std::fmt::Display;
use wire::ApiError;

type Result<T> = std::result::Result<T, ApiError>;

/// `at` as the texts name members: `healthCheckGracePeriod`.
pub fn constraint(value: impl Display, at: &str, rule: impl Display) -> ApiError {
    let text = format!(
        "1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: Member must {rule}"
    );
    ApiError::client("ValidationError", text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lie_in_their_range() {
        let check = |value, expected: Option<u32>| {
            assert_eq!(within(value, "x", 1, 100).ok(), expected, "{value}");
        };
        check(0, None);
        check(1, Some(1));
        check(100, Some(100));
        check(101, None);
        check(i64::MIN, None);
        check(i64::MAX, None);
    }
}
