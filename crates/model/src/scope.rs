//! Account and region: the two coordinates every resource has.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Where a resource lives; every record has one, so the texts are shared. Region comes from the signature's scope, account from the access key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Twelve digits.
    pub account: Arc<str>,
    /// Such as `us-east-1`.
    pub region: Arc<str>,
}

impl Scope {
    pub fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
        }
    }

    /// `arn:aws:<service>:<region>:<account>:<rest>`
    pub fn arn(&self, service: &str, rest: impl fmt::Display) -> String {
        format!("arn:aws:{service}:{}:{}:{rest}", self.region, self.account)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// Regions and their Availability Zones with zone ids, as AWS lists them to a common account.
///
/// Zone names map to ids per account on AWS; a fixed mapping is our choice.
/// Source: `https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html`
pub mod zone {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    /// One region: its name, the place that AWS calls it by, the prefix of its zone ids, and
    /// `(letter, number of the zone id)`.
    pub struct Region {
        pub name: &'static str,
        pub place: &'static str,
        id_prefix: &'static str,
        zones: &'static [(char, u8)],
    }

    pub const REGIONS: &[Region] = &[
        Region {
            name: "us-east-1",
            place: "US East (N. Virginia)",
            id_prefix: "use1",
            zones: &[('a', 1), ('b', 2), ('c', 4), ('d', 6), ('e', 3), ('f', 5)],
        },
        Region {
            name: "us-east-2",
            place: "US East (Ohio)",
            id_prefix: "use2",
            zones: &[('a', 1), ('b', 2), ('c', 3)],
        },
        Region {
            name: "us-west-1",
            place: "US West (N. California)",
            id_prefix: "usw1",
            zones: &[('a', 1), ('c', 3)],
        },
        Region {
            name: "us-west-2",
            place: "US West (Oregon)",
            id_prefix: "usw2",
            zones: &[('a', 2), ('b', 1), ('c', 3), ('d', 4)],
        },
        Region {
            name: "ca-central-1",
            place: "Canada (Central)",
            id_prefix: "cac1",
            zones: &[('a', 1), ('b', 2), ('d', 4)],
        },
        Region {
            name: "eu-west-1",
            place: "Europe (Ireland)",
            id_prefix: "euw1",
            zones: &[('a', 1), ('b', 2), ('c', 3)],
        },
        Region {
            name: "eu-west-2",
            place: "Europe (London)",
            id_prefix: "euw2",
            zones: &[('a', 2), ('b', 3), ('c', 1)],
        },
        Region {
            name: "eu-west-3",
            place: "Europe (Paris)",
            id_prefix: "euw3",
            zones: &[('a', 1), ('b', 2), ('c', 3)],
        },
        Region {
            name: "eu-central-1",
            place: "Europe (Frankfurt)",
            id_prefix: "euc1",
            zones: &[('a', 2), ('b', 3), ('c', 1)],
        },
        Region {
            name: "eu-north-1",
            place: "Europe (Stockholm)",
            id_prefix: "eun1",
            zones: &[('a', 1), ('b', 2), ('c', 3)],
        },
        Region {
            name: "ap-south-1",
            place: "Asia Pacific (Mumbai)",
            id_prefix: "aps1",
            zones: &[('a', 1), ('b', 3), ('c', 2)],
        },
        Region {
            name: "ap-southeast-1",
            place: "Asia Pacific (Singapore)",
            id_prefix: "apse1",
            zones: &[('a', 1), ('b', 2), ('c', 3)],
        },
        Region {
            name: "ap-southeast-2",
            place: "Asia Pacific (Sydney)",
            id_prefix: "apse2",
            zones: &[('a', 1), ('b', 3), ('c', 2)],
        },
        Region {
            name: "ap-northeast-1",
            place: "Asia Pacific (Tokyo)",
            id_prefix: "apne1",
            zones: &[('a', 4), ('c', 1), ('d', 2)],
        },
        Region {
            name: "sa-east-1",
            place: "South America (Sao Paulo)",
            id_prefix: "sae1",
            zones: &[('a', 1), ('b', 2), ('c', 3)],
        },
    ];

    impl Region {
        /// `(zone name, zone id)` of every zone.
        pub fn zones(&self) -> impl Iterator<Item = (String, String)> + '_ {
            self.zones.iter().map(|(letter, n)| {
                (
                    format!("{}{letter}", self.name),
                    format!("{}-az{n}", self.id_prefix),
                )
            })
        }
    }

    pub fn region(name: &str) -> Option<&'static Region> {
        REGIONS.iter().find(|r| r.name == name)
    }

    /// The zone id (`use1-az1`) of a zone name (`us-east-1a`).
    pub fn zone_id(zone: &str) -> Option<&'static str> {
        static IDS: LazyLock<BTreeMap<String, String>> =
            LazyLock::new(|| REGIONS.iter().flat_map(Region::zones).collect());
        IDS.get(zone).map(String::as_str)
    }
}
