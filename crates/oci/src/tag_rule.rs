//! Which tags of a repository may be moved to another image.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRule {
    /// A tag stays where it was put.
    pub immutable: bool,
    /// Of tags that match one of these the contrary holds; `*` stands for any text.
    pub except: Vec<String>,
}

impl TagRule {
    pub fn fixes(&self, tag: &str) -> bool {
        let excepted = self.except.iter().any(|pattern| matches(pattern, tag));
        self.immutable != excepted
    }
}

/// Whether `pattern` with its `*`s stands for the text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            // `find` gives where a part of that length begins.
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern, text, expected| {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        };
        check("latest", "latest", true);
        check("latest", "latest1", false);
        check("*", "", true);
        check("dev-*", "dev-", true);
        check("dev-*", "prod-dev-", false);
        check("*-dev", "a-dev", true);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c", false);
        check("a*a", "a", false);
        check("", "x", false);
    }

    #[test]
    fn exceptions_turn_the_rule_round() {
        let rule = |immutable| TagRule {
            immutable,
            except: vec!["dev-*".into()],
        };
        assert!(rule(true).fixes("v1") && !rule(true).fixes("dev-1"));
        assert!(!rule(false).fixes("v1") && rule(false).fixes("dev-1"));
    }
}
