//! Domain names that certificates are for.

use super::error::{Result, validation};

const MAX_LENGTH: usize = 253;
const MAX_LABEL: usize = 63;

/// Refuses what ACM's `DomainNameString` refuses: at least two labels, a wildcard only first.
pub fn check(name: &str, member: &str) -> Result<()> {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let fits = name.len() <= MAX_LENGTH && rest.contains('.') && rest.split('.').all(is_label);
    if fits {
        return Ok(());
    }
    Err(validation(format!(
        "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must satisfy regular expression pattern: (\\*\\.)?(((?!-)[A-Za-z0-9-]{{0,62}}[A-Za-z0-9])\\.)+((?!-)[A-Za-z0-9-]{{1,62}}[A-Za-z0-9])"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["example.com", "*.example.com", "a-b.example.com", "x1.co"] {
            assert!(check(name, "domainName").is_ok(), "{name}");
        }
        for name in [
            "",
            "localhost",
            "*.",
            "a.*.com",
            "-a.com",
            "a-.com",
            "a..com",
            "a_b.com",
            "é.com",
        ] {
            assert!(check(name, "domainName").is_err(), "{name}");
        }
        assert!(check(&format!("{}.com", "a".repeat(64)), "domainName").is_err());
    }

    #[test]
    fn a_wildcard_has_the_record_of_its_domain() {
        let (name, value) = model::acm::validation_record("1", "*.example.com");
        assert_eq!(
            (name.clone(), value.clone()),
            model::acm::validation_record("1", "example.com")
        );
        assert!(name.starts_with('_') && name.ends_with(".example.com."));
        assert!(value.ends_with(".acm-validations.aws."));
        assert_ne!(model::acm::validation_record("2", "example.com").0, name);
    }
}
