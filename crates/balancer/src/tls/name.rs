//! Names of certificates, and whether one is for the server a client asks for.

/// A DNS name of a certificate: exact, or for one label below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Exact(String),
    /// What follows `*`, the dot included.
    Wildcard(String),
}

impl Name {
    pub fn new(name: &str) -> Name {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => Name::Wildcard(rest.to_owned()),
            _ => Name::Exact(name),
        }
    }

    /// `server` is in lower case, as rustls hands it out.
    pub fn is_for(&self, server: &str) -> bool {
        match self {
            Name::Exact(name) => name == server,
            Name::Wildcard(rest) => server
                .strip_suffix(rest.as_str())
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_label() {
        fn check(name: &str, server: &str, expected: bool) {
            assert_eq!(Name::new(name).is_for(server), expected, "{name} {server}");
        }
        check("a.example", "a.example", true);
        check("A.Example", "a.example", true);
        check("a.example", "b.example", false);
        check("*.example", "a.example", true);
        check("*.example", "a.b.example", false);
        check("*.example", "example", false);
        check("*.example", ".example", false);
        check("*", "a", false);
        check("*a.example", "ba.example", false);
    }
}
