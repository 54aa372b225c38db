//! Security policies of listeners over TLS, as AWS lists them: their protocols and ciphers.
//!
//! Source: `A/describe-ssl-policies.html`. Those with post-quantum key exchange are left out: there
//! is none here.

#[derive(Debug)]
pub struct SslPolicy {
    pub name: &'static str,
    pub protocols: &'static [&'static str],
    /// Each a set of ciphers in order of preference.
    ciphers: &'static [&'static [&'static str]],
}

const TLS_1_3: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];
const ECDHE_GCM: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
const ECDHE_SHA2: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
];
const ECDHE_ALL: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
];
const RSA_SHA2: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
];
const RSA_ALL: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
    "AES256-SHA",
];

pub const POLICIES: &[SslPolicy] = &[
    SslPolicy {
        name: "ELBSecurityPolicy-2016-08",
        protocols: &["TLSv1", "TLSv1.1", "TLSv1.2"],
        ciphers: &[ECDHE_ALL, RSA_ALL],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-FS-1-2-2019-08",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_ALL],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-FS-1-2-Res-2020-10",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_GCM],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-FS-2018-06",
        protocols: &["TLSv1", "TLSv1.1", "TLSv1.2"],
        ciphers: &[ECDHE_ALL],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS-1-1-2017-01",
        protocols: &["TLSv1.1", "TLSv1.2"],
        ciphers: &[ECDHE_ALL, RSA_ALL],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS-1-2-2017-01",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_SHA2, RSA_SHA2],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS-1-2-Ext-2018-06",
        protocols: &["TLSv1.2"],
        ciphers: &[ECDHE_ALL, RSA_ALL],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS13-1-2-2021-06",
        protocols: &["TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_SHA2],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        protocols: &["TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_GCM],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS13-1-3-2021-06",
        protocols: &["TLSv1.3"],
        ciphers: &[TLS_1_3],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06",
        protocols: &["TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_SHA2, RSA_SHA2],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06",
        protocols: &["TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_ALL, RSA_ALL],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS13-1-1-2021-06",
        protocols: &["TLSv1.1", "TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_ALL, RSA_ALL],
    },
    SslPolicy {
        name: "ELBSecurityPolicy-TLS13-1-0-2021-06",
        protocols: &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
        ciphers: &[TLS_1_3, ECDHE_ALL, RSA_ALL],
    },
];

/// What the balancer's TLS has, of all that policies name.
const OFFERED_PROTOCOLS: &[&str] = &["TLSv1.2", "TLSv1.3"];

impl SslPolicy {
    /// Of a listener made without naming one.
    pub const DEFAULT: &'static str = "ELBSecurityPolicy-2016-08";

    pub fn find(name: &str) -> Option<&'static SslPolicy> {
        POLICIES.iter().find(|policy| policy.name == name)
    }

    /// Most preferred first, in OpenSSL's spelling.
    pub fn ciphers(&self) -> impl Iterator<Item = &'static str> {
        self.ciphers.iter().copied().flatten().copied()
    }

    /// Protocols and ciphers that clients are offered here, and those that they are not.
    pub fn offered(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let is_offered = |name: &&str| {
            [OFFERED_PROTOCOLS, TLS_1_3, ECDHE_GCM]
                .iter()
                .any(|known| known.contains(name))
        };
        let all = self.protocols.iter().copied().chain(self.ciphers());
        all.partition(is_offered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_offers_something() {
        for policy in POLICIES {
            let (offered, _) = policy.offered();
            let is_protocol = |name: &&str| OFFERED_PROTOCOLS.contains(name);
            assert!(offered.iter().any(is_protocol), "{}", policy.name);
            assert!(!offered.iter().all(is_protocol), "{}", policy.name);
        }
        let strict = SslPolicy::find("ELBSecurityPolicy-TLS13-1-2-Res-2021-06").unwrap();
        assert_eq!(strict.offered().1, [""; 0]);
        let (offered, missing) = SslPolicy::find(SslPolicy::DEFAULT).unwrap().offered();
        assert!(missing.contains(&"TLSv1") && missing.contains(&"AES128-SHA"));
        assert!(offered.contains(&"TLSv1.2") && !offered.contains(&"TLSv1.3"));
    }
}
