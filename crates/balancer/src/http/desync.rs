//! How far a request departs from RFC 9112, and what the load balancer does about it
//! (`routing.http.desync_mitigation_mode`).
//!
//! Tiers and reasons are AWS's, as its access logs name them. Whatever the mode, a forwarded head is
//! written anew with one framing. `monitor` lets severe ones through as well, where there is a body's
//! end to find: since somebody before us may have seen another end, neither connection serves a second
//! request. What has no length, no method or no version at all it refuses like the others; ALB's
//! guides say only that it allows severe requests (A/edit-load-balancer-attributes.html), not how it
//! reads them.

use crate::config::DesyncMode;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    #[default]
    Compliant,
    Acceptable,
    Ambiguous,
    Severe,
}

/// The worst finding about one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classification {
    pub tier: Tier,
    /// Empty while compliant.
    pub reason: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mitigation {
    Route,
    /// Route, then close both connections.
    RouteAndClose,
    /// 400, and close.
    Refuse,
}

impl Classification {
    pub fn note(&mut self, tier: Tier, reason: &'static str) {
        if tier > self.tier {
            *self = Classification { tier, reason };
        }
    }

    pub fn mitigation(&self, mode: DesyncMode) -> Mitigation {
        match (self.tier, mode) {
            (Tier::Compliant, _) => Mitigation::Route,
            (Tier::Severe, DesyncMode::Monitor) => Mitigation::RouteAndClose,
            (_, DesyncMode::Monitor) => Mitigation::Route,
            (Tier::Acceptable, DesyncMode::Defensive) => Mitigation::Route,
            (Tier::Ambiguous, DesyncMode::Defensive) => Mitigation::RouteAndClose,
            (Tier::Severe, DesyncMode::Defensive) | (_, DesyncMode::Strictest) => {
                Mitigation::Refuse
            }
        }
    }
}

/// Whether a lenient peer might take `name` for `Content-Length` or `Transfer-Encoding`: the same
/// letters with other or more punctuation between them.
pub fn is_suspicious_name(name: &str) -> bool {
    // Cheap look first: nearly no header has these lengths together with these letters.
    if !(13..=24).contains(&name.len()) {
        return false;
    }
    let resembles = |expected: &str| {
        let letters = name
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|byte| byte.to_ascii_lowercase());
        letters.eq(expected.bytes())
    };
    match name.as_bytes()[0].to_ascii_lowercase() {
        b'c' => resembles("contentlength") && !name.eq_ignore_ascii_case("content-length"),
        b't' => resembles("transferencoding") && !name.eq_ignore_ascii_case("transfer-encoding"),
        first if !first.is_ascii_alphanumeric() => {
            resembles("contentlength") || resembles("transferencoding")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        use DesyncMode::*;
        use Mitigation::*;
        fn check(tier: Tier, expected: [Mitigation; 3]) {
            let classification = Classification { tier, reason: "" };
            let got = [Monitor, Defensive, Strictest].map(|mode| classification.mitigation(mode));
            assert_eq!(got, expected, "{tier:?}");
        }
        check(Tier::Compliant, [Route, Route, Route]);
        check(Tier::Acceptable, [Route, Route, Refuse]);
        check(Tier::Ambiguous, [Route, RouteAndClose, Refuse]);
        check(Tier::Severe, [RouteAndClose, Refuse, Refuse]);
    }

    #[test]
    fn suspicious_names() {
        for name in [
            "content_length",
            "Content--Length",
            "transfer_encoding",
            "_Content-Length",
            "contentlength",
        ] {
            assert!(is_suspicious_name(name), "{name}");
        }
        for name in [
            "Content-Length",
            "Transfer-Encoding",
            "Content-Language",
            "X-Content-Length",
            "",
            "te",
        ] {
            assert!(!is_suspicious_name(name), "{name}");
        }
    }
}
