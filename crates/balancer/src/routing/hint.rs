//! A look at a rule that mostly shows that it cannot hold, without following a pointer.
//!
//! Of most rules neither the end of the host nor the beginning of the path is right. Up to eight bytes
//! of each are kept beside each other for all rules, so that a hundred rules are a run over 3 KB;
//! evaluating them all cost a tenth of a request.

use super::rule::Subject;
use crate::config::Condition;

/// What the last bytes of the host and the first ones of the path have to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    host: Word,
    path: Word,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Word {
    mask: u64,
    bytes: u64,
}

/// The same bytes of a request.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    host: u64,
    path: u64,
}

const LENGTH: usize = 8;

impl Keys {
    pub fn of(subject: &Subject<'_>) -> Keys {
        Keys {
            host: tail(subject.host.as_bytes()),
            path: head(subject.path.as_bytes()),
        }
    }
}

impl Hint {
    pub fn of(conditions: &[Condition]) -> Hint {
        let mut hint = Hint::default();
        for condition in conditions {
            match condition {
                Condition::HostHeader {
                    values,
                    regex_values,
                } if regex_values.is_empty() => {
                    if let [value] = values.as_slice() {
                        hint.host = Word::of_tail(after_wildcards(value));
                    }
                }
                Condition::PathPattern {
                    values,
                    regex_values,
                } if regex_values.is_empty() => {
                    if let [value] = values.as_slice() {
                        hint.path = Word::of_head(before_wildcards(value));
                    }
                }
                _ => {}
            }
        }
        hint
    }

    /// False only where the rule does not hold.
    pub fn allows(&self, keys: &Keys) -> bool {
        keys.host & self.host.mask == self.host.bytes
            && keys.path & self.path.mask == self.path.bytes
    }
}

impl Word {
    fn of_tail(literal: &str) -> Word {
        let length = literal.len().min(LENGTH);
        Word {
            mask: mask(length),
            bytes: tail(literal.as_bytes()),
        }
    }

    fn of_head(literal: &str) -> Word {
        let length = literal.len().min(LENGTH);
        Word {
            mask: !mask(LENGTH - length),
            bytes: head(literal.as_bytes()),
        }
    }
}

/// So many low bytes.
fn mask(bytes: usize) -> u64 {
    match bytes {
        LENGTH => u64::MAX,
        bytes => (1 << (8 * bytes)) - 1,
    }
}

/// The last bytes in lower case, the very last lowest.
fn tail(bytes: &[u8]) -> u64 {
    let from = bytes.len().saturating_sub(LENGTH);
    let fold = |key: u64, byte: &u8| key << 8 | u64::from(byte.to_ascii_lowercase());
    bytes[from..].iter().fold(0, fold)
}

/// The first bytes, the very first highest.
fn head(bytes: &[u8]) -> u64 {
    let mut word = [0; LENGTH];
    let length = bytes.len().min(LENGTH);
    word[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(word)
}

fn after_wildcards(pattern: &str) -> &str {
    let at = pattern.rfind(['*', '?']);
    at.map_or(pattern, |at| &pattern[at + 1..])
}

fn before_wildcards(pattern: &str) -> &str {
    let at = pattern.find(['*', '?']);
    at.map_or(pattern, |at| &pattern[..at])
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Wildcard;
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn allows(host: &str, path: &str, pattern: (&str, &str)) -> bool {
        let one = |value: &str| vec![value.to_owned()];
        let hint = Hint::of(&[
            Condition::HostHeader {
                values: one(pattern.0),
                regex_values: vec![],
            },
            Condition::PathPattern {
                values: one(pattern.1),
                regex_values: vec![],
            },
        ]);
        hint.allows(&Keys::of(&Subject {
            method: "GET",
            host,
            path,
            query: None,
            headers: &[],
            source: IpAddr::from([10, 0, 0, 1]),
        }))
    }

    #[test]
    fn most_rules_show_at_once() {
        let check = |host, path, pattern, expected| {
            assert_eq!(
                allows(host, path, pattern),
                expected,
                "{host} {path} {pattern:?}"
            );
        };
        check(
            "www.Example.com",
            "/api/v1/x",
            ("*.example.com", "/api/v1/*"),
            true,
        );
        check(
            "www.example.org",
            "/api/v1/x",
            ("*.example.com", "/api/v1/*"),
            false,
        );
        check(
            "www.example.com",
            "/api/v2/x",
            ("*.example.com", "/api/v1/*"),
            false,
        );
        check("m", "/", ("*.example.com", "*"), false);
        check("m", "/", ("*", "*"), true);
        check("", "", ("*", "*"), true);
        check(
            "a.b",
            "/longer/than/eight",
            ("?.b", "/longer/than/nine"),
            true,
        );
    }

    proptest! {
        #[test]
        fn no_rule_that_holds_is_passed_over(
            host in "[aB.]{0,10}", path in "/[ab]{0,10}",
            host_pattern in "[Ab.*?]{0,10}", path_pattern in "/[ab*?]{0,10}",
        ) {
            let holds = Wildcard::new(&host_pattern, true).matches(host.as_bytes())
                && Wildcard::new(&path_pattern, false).matches(path.as_bytes());
            prop_assert!(!holds || allows(&host, &path, (&host_pattern, &path_pattern)));
        }
    }
}
