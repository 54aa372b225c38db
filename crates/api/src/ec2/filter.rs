//! Filters of Describe calls: AND between names, OR between values, `*` and `?` as wildcards.
//!
//! Each resource has one table of its filters, so a name that is not in the
//! table is refused even where there is nothing to filter. `tag:<key>`,
//! `tag-key` and `tag-value` work for whatever has tags.

use super::error::{Result, invalid_value};
use super::resource::Resource;
use model::Tags;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use store::State;

/// AWS's limit on the values of one call's filters.
const MAX_VALUES: usize = 200;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Filter {
    pub name: String,
    #[serde(default)]
    pub value: Vec<String>,
}

/// A filter's name and what a record has under it; a record matches by any of its values.
pub type Field<R> = (&'static str, fn(&State, &R) -> Vec<String>);

/// The values of a field that every record has once.
pub fn one(value: impl Display) -> Vec<String> {
    vec![value.to_string()]
}

/// The values of a field that a record may lack.
pub fn maybe(value: Option<impl Display>) -> Vec<String> {
    value.iter().map(ToString::to_string).collect()
}

/// The values of a field that a record has any number of.
pub fn all<T: Display>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|v| v.to_string()).collect()
}

/// The filters of one call, their names known to be right.
pub struct Filters<'a, R> {
    wanted: Vec<(Wanted<'a, R>, &'a [String])>,
    /// What the filter by id names.
    ids: Option<&'a [String]>,
}

enum Wanted<'a, R> {
    Field(fn(&State, &R) -> Vec<String>),
    Tag(&'a str),
    TagKey,
    TagValue,
}

impl<'a, R> Filters<'a, R> {
    pub fn new(filters: &'a [Filter], fields: &[Field<R>]) -> Result<Self> {
        let mut wanted = Vec::with_capacity(filters.len());
        for filter in filters {
            let what = match filter.name.as_str() {
                "tag-key" => Wanted::TagKey,
                "tag-value" => Wanted::TagValue,
                name => match (
                    name.strip_prefix("tag:"),
                    fields.iter().find(|(field, _)| *field == name),
                ) {
                    (Some(key), _) => Wanted::Tag(key),
                    (None, Some((_, values))) => Wanted::Field(*values),
                    (None, None) => {
                        return Err(invalid_value(format!("The filter '{name}' is invalid")));
                    }
                },
            };
            if filter.value.is_empty() {
                return Err(invalid_value(format!(
                    "The filter '{}' has no values",
                    filter.name
                )));
            }
            wanted.push((what, filter.value.as_slice()));
        }
        let values: usize = filters.iter().map(|f| f.value.len()).sum();
        if values > MAX_VALUES {
            return Err(super::error::error(
                "FilterLimitExceeded",
                format!("The maximum number of filter values is {MAX_VALUES}"),
            ));
        }
        Ok(Self { wanted, ids: None })
    }

    /// The same, with a filter by id that [`Self::named`] may use.
    pub fn of_resource(filters: &'a [Filter], fields: &[Field<R>]) -> Result<Self>
    where
        R: Resource,
    {
        let by_id = filters.iter().find(|f| f.name == R::ID_FILTER);
        Ok(Self {
            ids: by_id.map(|f| f.value.as_slice()),
            ..Self::new(filters, fields)?
        })
    }

    pub fn match_tagged(&self, state: &State, record: &R, tags: &Tags) -> bool {
        self.wanted.iter().all(|(what, patterns)| match what {
            Wanted::Field(values) => values(state, record)
                .iter()
                .any(|value| matches_any(patterns, value)),
            Wanted::Tag(key) => tags.get(*key).is_some_and(|v| matches_any(patterns, v)),
            Wanted::TagKey => tags.keys().any(|k| matches_any(patterns, k)),
            Wanted::TagValue => tags.values().any(|v| matches_any(patterns, v)),
        })
    }
}

impl<R: Resource> Filters<'_, R> {
    /// The only records that can match, where a filter names them one by one: so that asking for
    /// one of ten thousand by a filter costs what asking by its id does.
    pub fn named<'s>(&self, state: &'s State) -> Option<Vec<&'s Arc<R>>> {
        let ids = self.ids?;
        if ids.iter().any(|id| id.contains(['*', '?', '\\'])) {
            return None;
        }
        let keys: BTreeSet<R::Key> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let table = R::table(state);
        Some(keys.iter().filter_map(|key| table.get(key)).collect())
    }

    pub fn matches(&self, state: &State, record: &R) -> bool {
        self.match_tagged(state, record, record.tags())
    }
}

pub(super) fn matches_any(patterns: &[String], value: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| wildcard(pattern.as_bytes(), value.as_bytes()))
}

/// `*` is any text, `?` any one character, `\` takes the next one literally.
///
/// Iterative with one point to return to, so no pattern is slow.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some((1, char_len(text[t]))),
            Some(b'\\') if pattern.get(p + 1) == Some(&text[t]) => Some((2, 1)),
            Some(c) if *c != b'\\' && *c == text[t] => Some((1, 1)),
            _ => None,
        };
        match (step, star) {
            (Some((dp, dt)), _) => {
                p += dp;
                t += dt;
            }
            (None, Some((at, from))) => {
                let next = from + char_len(text[from]);
                star = Some((at, next));
                p = at + 1;
                t = next;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Bytes of the UTF-8 character that starts with `first`.
fn char_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(
                wildcard(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} on {text}"
            );
        };
        check("", "", true);
        check("a", "a", true);
        check("a", "A", false);
        check("a", "ab", false);
        check("*", "", true);
        check("*", "anything", true);
        check("web-*", "web-1", true);
        check("*-1", "web-1-1", true);
        check("w*b*1", "web-b-1", true);
        check("w?b", "web", true);
        check("w?b", "wb", false);
        check("?", "é", true);
        check("*é?", "caféx", true);
        check("\\*", "*", true);
        check("\\*", "x", false);
        check("a\\?b", "a?b", true);
        check("a\\?b", "axb", false);
        check("*a*a*a*a*a*a*a*b", &"a".repeat(2000), false);
    }
}
