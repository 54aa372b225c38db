//! Names, tags and digests. Everything that becomes part of a file name passes through here,
//! and only the characters of the specification come out.

use sha2::{Digest as _, Sha256};
use std::fmt;

/// `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Tag(String),
    Digest(Digest),
}

impl Digest {
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned()))
    }

    pub fn of(content: &[u8]) -> Self {
        Self::finished(Sha256::new_with_prefix(content))
    }

    pub(crate) fn finished(hash: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hash.finalize())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone: the name of the blob's file.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or_default()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, several with `/` between them.
pub fn valid_name(name: &str) -> bool {
    name.len() <= 255
        && name.split('/').all(|part| {
            let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            let inner = part.starts_with(alphanumeric) && part.ends_with(alphanumeric);
            inner
                && part
                    .split(alphanumeric)
                    .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
        })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub fn valid_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags() {
        for good in ["app", "a__b/a.b-c--d", "a/b/c", "0"] {
            assert!(valid_name(good), "{good}");
        }
        for bad in [
            "", "..", "a/..", "../a", ".", "a//b", "/a", "a/", "a___b", "a..b", "A", "-a", "a b",
        ] {
            assert!(!valid_name(bad), "{bad}");
        }
        for good in ["latest", "v1.2_3-x", "_"] {
            assert!(valid_tag(good), "{good}");
        }
        for bad in ["", "-x", ".x", "a/b", "a:b"] {
            assert!(!valid_tag(bad), "{bad}");
        }
    }

    #[test]
    fn digests() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(Digest::parse(empty), Some(Digest::of(b"")));
        assert_eq!(Digest::parse(&empty.to_uppercase()), None);
        assert_eq!(Digest::parse("sha256:../../x"), None);
    }
}
