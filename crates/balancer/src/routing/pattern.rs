//! What the values of conditions match: wildcard patterns and regular expressions.

use regex::bytes::{Regex, RegexBuilder};

/// A pattern of literal characters, `*` (any run, also empty) and `?` (exactly one).
#[derive(Clone, Debug)]
pub struct Wildcard {
    parts: Vec<Part>,
    ignore_case: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    One,
    Run,
}

impl Wildcard {
    pub fn new(pattern: &str, ignore_case: bool) -> Wildcard {
        Wildcard::compile(pattern, ignore_case, false)
    }

    /// As in query strings, where `\*` and `\?` stand for the characters themselves.
    pub fn with_escapes(pattern: &str) -> Wildcard {
        Wildcard::compile(pattern, true, true)
    }

    fn compile(pattern: &str, ignore_case: bool, escapes: bool) -> Wildcard {
        let mut parts = Vec::with_capacity(pattern.len());
        let mut bytes = pattern.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let part = match byte {
                b'*' => Part::Run,
                b'?' => Part::One,
                b'\\' if escapes => match bytes.next_if(|next| matches!(next, b'*' | b'?' | b'\\'))
                {
                    Some(literal) => Part::Byte(literal),
                    None => Part::Byte(byte),
                },
                _ if ignore_case => Part::Byte(byte.to_ascii_lowercase()),
                _ => Part::Byte(byte),
            };
            // `**` says no more than `*`, and would only make matching slower.
            if part != Part::Run || parts.last() != Some(&Part::Run) {
                parts.push(part);
            }
        }
        Wildcard { parts, ignore_case }
    }

    /// Whether the whole of `text` matches. Only the last `*` is ever reconsidered, so the time is at
    /// most the product of both lengths whatever the pattern.
    pub fn matches(&self, text: &[u8]) -> bool {
        // Most rules do not match, and most of those show it at the last character.
        if let Some(Part::Byte(last)) = self.parts.last()
            && text
                .last()
                .is_none_or(|byte| !last.eq_ignore_ascii_case(byte))
        {
            return false;
        }
        let (mut at, mut part) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            let byte = if self.ignore_case {
                text[at].to_ascii_lowercase()
            } else {
                text[at]
            };
            match self.parts.get(part) {
                Some(Part::Run) => {
                    retry = Some((part, at));
                    part += 1;
                    continue;
                }
                Some(Part::One) => {}
                Some(Part::Byte(expected)) if *expected == byte => {}
                _ => {
                    let Some((run, start)) = retry else {
                        return false;
                    };
                    retry = Some((run, start + 1));
                    (part, at) = (run + 1, start + 1);
                    continue;
                }
            }
            at += 1;
            part += 1;
        }
        self.parts[part..].iter().all(|part| *part == Part::Run)
    }
}

/// Compiled; why it cannot be is pushed to `problems`.
pub fn regex(pattern: &str, ignore_case: bool, problems: &mut Vec<String>) -> Option<Regex> {
    let built = RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .unicode(false)
        .build();
    match built {
        Ok(regex) => Some(regex),
        Err(error) => {
            let error = error.to_string().replace('\n', " ");
            problems.push(format!(
                "compile the regular expression {pattern:?}: {error}"
            ));
            None
        }
    }
}

/// The values of one condition: any may match.
#[derive(Clone, Debug)]
pub struct Patterns {
    wildcards: Vec<Wildcard>,
    regexes: Vec<Regex>,
}

impl Patterns {
    /// Regular expressions that do not compile are pushed to `problems` and match nothing.
    pub fn new(
        values: &[String],
        regex_values: &[String],
        ignore_case: bool,
        problems: &mut Vec<String>,
    ) -> Patterns {
        let wildcards = values
            .iter()
            .map(|value| Wildcard::new(value, ignore_case))
            .collect();
        let regexes = regex_values
            .iter()
            .filter_map(|value| regex(value, ignore_case, problems));
        Patterns {
            regexes: regexes.collect(),
            wildcards,
        }
    }

    pub fn match_any(&self, text: &[u8]) -> bool {
        self.wildcards.iter().any(|wildcard| wildcard.matches(text))
            || self.regexes.iter().any(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        fn check(pattern: &str, text: &str, expected: bool) {
            assert_eq!(
                Wildcard::new(pattern, false).matches(text.as_bytes()),
                expected,
                "{pattern} on {text}"
            );
        }
        check("/img/*", "/img/", true);
        check("/img/*", "/img/a/b", true);
        check("/img/*", "/img", false);
        check("/img/*/pics", "/img/a/b/pics", true);
        check("/img/*/pics", "/img/pics", false);
        check("*", "", true);
        check("", "", true);
        check("", "a", false);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("*.example.com", "example.com", false);
        check("*.example.com", "a.b.example.com", true);
        check("*a*b", "aXbXb", true);
        check("*ab", "aab", true);
        check("a**b", "ab", true);
        check("/A", "/a", false);
        check(&"*a".repeat(50), &"a".repeat(49), false);
        assert!(Wildcard::new("WWW.*", true).matches(b"www.Example.com"));
        assert!(Wildcard::with_escapes(r"a\*b").matches(b"A*b"));
        assert!(!Wildcard::with_escapes(r"a\*b").matches(b"axb"));
        assert!(Wildcard::with_escapes(r"a\b").matches(br"a\b"));
    }

    #[test]
    fn broken_expressions_match_nothing_and_are_told() {
        let mut problems = Vec::new();
        let patterns = Patterns::new(
            &[],
            &["(".into(), "^/v[0-9]+/".into()],
            false,
            &mut problems,
        );
        assert!(patterns.match_any(b"/v12/x"));
        assert!(!patterns.match_any(b"("));
        assert_eq!(problems.len(), 1);
    }
}
