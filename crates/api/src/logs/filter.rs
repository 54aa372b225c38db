//! Filter patterns of plain terms: `error "disk full" -debug ?a ?b`.
//!
//! Terms must all occur, those with `-` must not, of those with `?` one must. Patterns for
//! JSON (`{ … }`), for fields (`[ … ]`) and regular expressions are refused.

use super::{Result, invalid};

#[derive(Debug, Default, PartialEq)]
pub struct Pattern {
    all: Vec<String>,
    none: Vec<String>,
    any: Vec<String>,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.starts_with(['{', '[', '%']) {
            return Err(invalid(
                "Only filter patterns of plain terms are supported by this cloud.",
            ));
        }
        let mut pattern = Self::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (terms, tail) = match first {
                '-' => (&mut pattern.none, rest.get(1..)),
                '?' => (&mut pattern.any, rest.get(1..)),
                _ => (&mut pattern.all, Some(rest)),
            };
            let tail = tail.unwrap_or_default();
            let (term, after) = match tail.strip_prefix('"') {
                Some(quoted) => quoted
                    .split_once('"')
                    .ok_or_else(|| invalid("Invalid filter pattern: a quote is not closed."))?,
                None => tail.split_once(char::is_whitespace).unwrap_or((tail, "")),
            };
            if !term.is_empty() {
                terms.push(term.to_owned());
            }
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    pub fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        self.all.iter().all(has)
            && !self.none.iter().any(has)
            && (self.any.is_empty() || self.any.iter().any(has))
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn terms() {
        let check = |pattern: &str, message: &str, expected: bool| {
            let pattern = Pattern::new(pattern).unwrap();
            assert_eq!(pattern.matches(message), expected, "{pattern:?} {message}");
        };
        check("", "anything", true);
        check("REJECT", "2 REJECT OK", true);
        check("REJECT", "2 ACCEPT OK", false);
        check("a b", "b a", true);
        check("\"a b\"", "b a", false);
        check("\"a b\" c", "c a b", true);
        check("a -b", "a b", false);
        check("?a ?b", "b", true);
        check("?a ?b", "c", false);
        check("-", "x", true);
    }

    #[test]
    fn other_patterns_are_refused() {
        for pattern in ["{ $.a = 1 }", "[a, b]", "%x%", "\"open"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
