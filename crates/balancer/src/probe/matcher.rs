//! Which status codes are a success: `200`, `200,202`, `200-299`, and mixtures.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher(Vec<(u16, u16)>);

impl Matcher {
    /// `None` if it is not a list of codes and ranges.
    pub fn parse(text: &str) -> Option<Matcher> {
        let ranges = text.split(',').map(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high): (u16, u16) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (low <= high).then_some((low, high))
        });
        ranges.collect::<Option<Vec<_>>>().map(Matcher)
    }

    pub fn matches(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|&(low, high)| (low..=high).contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers() {
        fn check(text: &str, yes: &[u16], no: &[u16]) {
            let matcher = Matcher::parse(text).expect(text);
            assert!(yes.iter().all(|&status| matcher.matches(status)), "{text}");
            assert!(!no.iter().any(|&status| matcher.matches(status)), "{text}");
        }
        check("200", &[200], &[201, 404]);
        check("200,202", &[200, 202], &[201]);
        check("200-299", &[200, 250, 299], &[300, 199]);
        check("200-204, 301", &[204, 301], &[205]);
        for broken in ["", "x", "200-", "299-200", "200,,201", "99999"] {
            assert_eq!(Matcher::parse(broken), None, "{broken}");
        }
    }
}
