//! A security policy as rustls's settings: what of its protocols and ciphers there is here.
//!
//! rustls knows TLS 1.2 and 1.3, and of TLS 1.2 only ephemeral keys with authenticated encryption.
//! What else a policy allows is not offered; the control plane says so when a listener is made.

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

/// AWS's names (OpenSSL's) of what rustls has.
const SUITES: [(&str, SupportedCipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        suite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Ciphers in the policy's order, those left out that rustls does not have.
pub fn provider(ciphers: &[String]) -> CryptoProvider {
    let known = |name: &String| SUITES.iter().find(|(known, _)| known == name);
    let cipher_suites = ciphers.iter().filter_map(known).map(|(_, suite)| *suite);
    CryptoProvider {
        cipher_suites: cipher_suites.collect(),
        ..default_provider()
    }
}

pub fn versions(protocols: &[String]) -> Vec<&'static SupportedProtocolVersion> {
    let has = |name: &str| protocols.iter().any(|protocol| protocol == name);
    let mut versions = Vec::new();
    if has("TLSv1.3") {
        versions.push(&TLS13);
    }
    if has("TLSv1.2") {
        versions.push(&TLS12);
    }
    versions
}

/// As access logs and headers name it.
pub fn cipher_name(suite: CipherSuite) -> &'static str {
    let known = SUITES.iter().find(|(_, known)| known.suite() == suite);
    known.map_or("-", |(name, _)| name)
}

pub fn version_name(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "TLSv1.2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_become_settings() {
        fn check(ciphers: &[&str], expected: &[CipherSuite]) {
            let ciphers: Vec<String> = ciphers.iter().map(|name| (*name).to_owned()).collect();
            let got: Vec<_> = provider(&ciphers)
                .cipher_suites
                .iter()
                .map(|s| s.suite())
                .collect();
            assert_eq!(got, expected);
        }
        check(
            &[
                "ECDHE-RSA-AES256-GCM-SHA384",
                "ECDHE-RSA-AES128-SHA",
                "TLS_AES_128_GCM_SHA256",
            ],
            &[
                CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                CipherSuite::TLS13_AES_128_GCM_SHA256,
            ],
        );
        check(&["AES128-SHA"], &[]);
        let versions = versions(&["TLSv1".into(), "TLSv1.2".into()]);
        assert_eq!(versions, [&TLS12]);
        for (name, suite) in SUITES {
            assert_eq!(cipher_name(suite.suite()), name);
        }
    }
}
