//! The instance types, as far as a launch, its limits and `DescribeInstanceTypes` need them.
//!
//! Kept as families times sizes: within a family everything but the size's own
//! figures is the same, so a new family is one line. Source of the figures:
//! `https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html` (and `co`, `mo`),
//! prices: `https://aws.amazon.com/ec2/pricing/on-demand/`,
//! credits: `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html`.

mod previous;

use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Debug, Clone, PartialEq)]
pub struct InstanceType {
    pub name: String,
    pub family: &'static str,
    pub vcpus: u32,
    pub threads_per_core: u32,
    pub memory_mib: u32,
    pub architecture: Architecture,
    /// `None` for types of fixed performance.
    pub burst: Option<Burst>,
    pub current_generation: bool,
    /// `nitro` or `xen`.
    pub hypervisor: &'static str,
    /// 0 where AWS tells none.
    pub clock_ghz: f64,
    pub maximum_interfaces: u32,
    pub addresses_per_interface: u32,
    /// AWS's own words, such as `Up to 5 Gigabit`.
    pub network_performance: &'static str,
    /// Disks of its own, and GB of each. Instances here have none, which a launch tells.
    pub disks: Option<(u32, u32)>,
    /// US dollars an hour, Linux on demand in us-east-1. Nothing is paid here: it ranks types
    /// where a strategy asks for the cheapest.
    pub price: f64,
}

/// CPU credits of a burstable type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    pub credits_per_hour: f64,
    /// Most credits it accrues: 24 hours' earnings.
    pub maximum_credits: f64,
    /// Share of every vCPU that earning and spending balance at.
    pub baseline: f64,
    /// The credit option when none is asked for: `standard` or `unlimited`.
    pub default_option: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Types with an Elastic Fabric Adapter, of those that are here.
const WITH_EFA: &[&str] = &[
    "c5n.9xlarge",
    "c5n.18xlarge",
    "c6i.32xlarge",
    "c7g.16xlarge",
    "m6i.32xlarge",
    "m7g.16xlarge",
    "r6i.32xlarge",
];

impl InstanceType {
    /// Whether it boots paravirtual images only, of which there are none any more.
    pub fn is_paravirtual(&self) -> bool {
        matches!(self.family, "t1" | "m1")
    }

    /// What its own disks are, if it has any.
    pub fn disk_type(&self) -> &'static str {
        match self.family {
            "m1" => "hdd",
            _ => "ssd",
        }
    }

    /// Whether it can have an Elastic Fabric Adapter.
    pub fn efa(&self) -> bool {
        WITH_EFA.contains(&self.name.as_str())
    }
}

/// The type called `name`, such as `t3.micro`.
pub fn find(name: &str) -> Option<&'static InstanceType> {
    TYPES.get(name)
}

/// Every type, by name.
pub fn all() -> impl Iterator<Item = &'static InstanceType> {
    TYPES.values()
}

/// Whether a zone offers the type: every zone but `us-east-1e`, which on AWS
/// lacks the newer families and is what stacks that filter offerings trip over.
pub fn offered_in(instance_type: &InstanceType, zone: &str) -> bool {
    zone != "us-east-1e"
        || !instance_type.current_generation
        || matches!(instance_type.family, "t2" | "m5" | "c5" | "r5")
}

static TYPES: LazyLock<BTreeMap<String, InstanceType>> = LazyLock::new(|| {
    let burstable = BURSTABLE.iter().flat_map(burstable_types);
    let fixed = FIXED.iter().flat_map(fixed_types);
    burstable
        .chain(fixed)
        .chain(previous::types())
        .map(|t| (t.name.clone(), t))
        .collect()
});

struct Burstable {
    family: &'static str,
    architecture: Architecture,
    clock_ghz: f64,
    /// US dollars an hour.
    price_per_gib: f64,
    sizes: &'static [BurstableSize],
}

/// Size, vCPU, MiB, credits an hour, baseline per vCPU, interfaces, addresses each, network.
type BurstableSize = (&'static str, u32, u32, f64, f64, u32, u32, &'static str);

const UP_TO_5: &str = "Up to 5 Gigabit";
const LOW: &str = "Low to Moderate";

const T2: &[BurstableSize] = &[
    ("nano", 1, 512, 3.0, 0.05, 2, 2, LOW),
    ("micro", 1, 1024, 6.0, 0.10, 2, 2, LOW),
    ("small", 1, 2048, 12.0, 0.20, 3, 4, LOW),
    ("medium", 2, 4096, 24.0, 0.20, 3, 6, LOW),
    ("large", 2, 8192, 36.0, 0.30, 3, 12, LOW),
    ("xlarge", 4, 16384, 54.0, 0.225, 3, 15, "Moderate"),
    ("2xlarge", 8, 32768, 81.6, 0.17, 3, 15, "Moderate"),
];

const T3: &[BurstableSize] = &[
    ("nano", 2, 512, 6.0, 0.05, 2, 2, UP_TO_5),
    ("micro", 2, 1024, 12.0, 0.10, 2, 2, UP_TO_5),
    ("small", 2, 2048, 24.0, 0.20, 3, 4, UP_TO_5),
    ("medium", 2, 4096, 24.0, 0.20, 3, 6, UP_TO_5),
    ("large", 2, 8192, 36.0, 0.30, 3, 12, UP_TO_5),
    ("xlarge", 4, 16384, 96.0, 0.40, 4, 15, UP_TO_5),
    ("2xlarge", 8, 32768, 192.0, 0.40, 4, 15, UP_TO_5),
];

const BURSTABLE: &[Burstable] = &[
    Burstable {
        family: "t2",
        architecture: Architecture::X86_64,
        clock_ghz: 2.3,
        price_per_gib: 0.0116,
        sizes: T2,
    },
    Burstable {
        family: "t3",
        architecture: Architecture::X86_64,
        clock_ghz: 2.5,
        price_per_gib: 0.0104,
        sizes: T3,
    },
    Burstable {
        family: "t3a",
        architecture: Architecture::X86_64,
        clock_ghz: 2.2,
        price_per_gib: 0.0094,
        sizes: T3,
    },
    Burstable {
        family: "t4g",
        architecture: Architecture::Arm64,
        clock_ghz: 2.5,
        price_per_gib: 0.0084,
        sizes: T3,
    },
];

fn burstable_types(family: &'static Burstable) -> impl Iterator<Item = InstanceType> {
    let xen = family.family == "t2";
    let threads = move |vcpus: u32| match family.architecture {
        Architecture::X86_64 if !xen && vcpus > 1 => 2,
        _ => 1,
    };
    family.sizes.iter().map(
        move |&(size, vcpus, memory, credits, baseline, interfaces, addresses, network)| {
            InstanceType {
                name: format!("{}.{size}", family.family),
                family: family.family,
                vcpus,
                threads_per_core: threads(vcpus),
                memory_mib: memory,
                architecture: family.architecture,
                burst: Some(Burst {
                    credits_per_hour: credits,
                    maximum_credits: credits * 24.0,
                    baseline,
                    default_option: if xen { "standard" } else { "unlimited" },
                }),
                current_generation: true,
                hypervisor: if xen { "xen" } else { "nitro" },
                clock_ghz: family.clock_ghz,
                maximum_interfaces: interfaces,
                addresses_per_interface: addresses,
                network_performance: network,
                disks: None,
                price: family.price_per_gib * f64::from(memory) / 1024.0,
            }
        },
    )
}

struct Fixed {
    family: &'static str,
    architecture: Architecture,
    clock_ghz: f64,
    /// So many GiB for so many vCPUs.
    memory: (u32, u32),
    /// Sizes with their vCPUs.
    sizes: &'static [(&'static str, u32)],
    network: &'static str,
    /// How many of so many GB, by size; empty for types without.
    disks: &'static [(u32, u32)],
    /// US dollars an hour.
    price_per_vcpu: f64,
}

const UP_TO_10: &str = "Up to 10 Gigabit";
const UP_TO_12: &str = "Up to 12.5 Gigabit";

/// Fifth-generation general-purpose and memory families.
const GENERATION_5: &[(&str, u32)] = &[
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
    ("24xlarge", 96),
];
const C5: &[(&str, u32)] = &[
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("9xlarge", 36),
    ("12xlarge", 48),
    ("18xlarge", 72),
    ("24xlarge", 96),
];
/// Disks of the sizes of [`GENERATION_5`], and of the one family that has others.
const DISKS_5: &[(u32, u32)] = &[
    (1, 75),
    (1, 150),
    (1, 300),
    (2, 300),
    (2, 600),
    (2, 900),
    (4, 600),
    (4, 900),
];
const DISKS_C5AD: &[(u32, u32)] = &[
    (1, 75),
    (1, 150),
    (1, 300),
    (2, 300),
    (2, 600),
    (2, 900),
    (2, 1200),
    (2, 1900),
];
const C5N: &[(&str, u32)] = &[("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16)];
const C5N_LARGE: &[(&str, u32)] = &[("9xlarge", 36), ("18xlarge", 72)];
const GENERATION_6: &[(&str, u32)] = &[
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
    ("24xlarge", 96),
    ("32xlarge", 128),
];
const GRAVITON: &[(&str, u32)] = &[
    ("medium", 1),
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
];

const fn fixed(
    family: &'static str,
    architecture: Architecture,
    clock_ghz: f64,
    gib_per_vcpu: u32,
    sizes: &'static [(&'static str, u32)],
    network: &'static str,
    price_per_vcpu: f64,
) -> Fixed {
    Fixed {
        family,
        architecture,
        clock_ghz,
        memory: (gib_per_vcpu, 1),
        sizes,
        network,
        disks: &[],
        price_per_vcpu,
    }
}

impl Fixed {
    const fn with_disks(mut self, disks: &'static [(u32, u32)]) -> Self {
        self.disks = disks;
        self
    }
}

const X86: Architecture = Architecture::X86_64;
const ARM: Architecture = Architecture::Arm64;

/// Family, architecture, GHz, GiB and sizes, network, price a vCPU.
const FIXED: &[Fixed] = &[
    fixed("m5", X86, 3.1, 4, GENERATION_5, UP_TO_10, 0.048),
    fixed("m5a", X86, 2.5, 4, GENERATION_5, UP_TO_10, 0.043),
    fixed("m5d", X86, 3.1, 4, GENERATION_5, UP_TO_10, 0.0565).with_disks(DISKS_5),
    fixed("m5ad", X86, 2.2, 4, GENERATION_5, UP_TO_10, 0.0515).with_disks(DISKS_5),
    fixed("m6i", X86, 3.5, 4, GENERATION_6, UP_TO_12, 0.048),
    fixed("m6a", X86, 3.6, 4, GENERATION_6, UP_TO_12, 0.0432),
    fixed("m6g", ARM, 2.5, 4, GRAVITON, UP_TO_10, 0.0385),
    fixed("m7i", X86, 3.2, 4, GENERATION_5, UP_TO_12, 0.0504),
    fixed("m7g", ARM, 2.6, 4, GRAVITON, UP_TO_12, 0.0408),
    fixed("c5", X86, 3.4, 2, C5, UP_TO_10, 0.0425),
    Fixed {
        memory: (21, 8),
        ..fixed("c5n", X86, 3.5, 0, C5N, "Up to 25 Gigabit", 0.054)
    },
    Fixed {
        memory: (8, 3),
        ..fixed("c5n", X86, 3.5, 0, C5N_LARGE, "", 0.054)
    },
    fixed("c5a", X86, 3.3, 2, GENERATION_5, UP_TO_10, 0.0385),
    fixed("c5ad", X86, 3.3, 2, GENERATION_5, UP_TO_10, 0.043).with_disks(DISKS_C5AD),
    fixed("c6i", X86, 3.5, 2, GENERATION_6, UP_TO_12, 0.0425),
    fixed("c6a", X86, 3.6, 2, GENERATION_6, UP_TO_12, 0.03825),
    fixed("c6g", ARM, 2.5, 2, GRAVITON, UP_TO_10, 0.034),
    fixed("c7i", X86, 3.2, 2, GENERATION_5, UP_TO_12, 0.044625),
    fixed("c7g", ARM, 2.6, 2, GRAVITON, UP_TO_12, 0.03625),
    fixed("r5", X86, 3.1, 8, GENERATION_5, UP_TO_10, 0.063),
    fixed("r5d", X86, 3.1, 8, GENERATION_5, UP_TO_10, 0.072).with_disks(DISKS_5),
    fixed("r6i", X86, 3.5, 8, GENERATION_6, UP_TO_12, 0.063),
    fixed("r6g", ARM, 2.5, 8, GRAVITON, UP_TO_10, 0.0504),
];

fn fixed_types(family: &'static Fixed) -> impl Iterator<Item = InstanceType> {
    let sizes = family.sizes.iter().enumerate();
    sizes.map(move |(nth, &(size, vcpus))| {
        let (interfaces, addresses) = match vcpus {
            1 => (2, 4),
            2 => (3, 10),
            3..=8 => (4, 15),
            9..=48 => (8, 30),
            _ => (15, 50),
        };
        InstanceType {
            name: format!("{}.{size}", family.family),
            family: family.family,
            vcpus,
            threads_per_core: match family.architecture {
                Architecture::X86_64 => 2,
                Architecture::Arm64 => 1,
            },
            memory_mib: vcpus * family.memory.0 * 1024 / family.memory.1,
            architecture: family.architecture,
            burst: None,
            current_generation: true,
            hypervisor: "nitro",
            clock_ghz: family.clock_ghz,
            maximum_interfaces: interfaces,
            addresses_per_interface: addresses,
            network_performance: match vcpus {
                36 if family.family == "c5n" => "50 Gigabit",
                72 if family.family == "c5n" => "100 Gigabit",
                0..=16 => family.network,
                17..=48 => "12 Gigabit",
                _ => "25 Gigabit",
            },
            disks: family.disks.get(nth).copied(),
            price: family.price_per_vcpu * f64::from(vcpus),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, vcpus: u32, gib: f64, architecture: Architecture) {
        let found = find(name).unwrap();
        let figures = (
            found.vcpus,
            f64::from(found.memory_mib) / 1024.0,
            found.architecture,
        );
        assert_eq!(figures, (vcpus, gib, architecture), "{name}");
    }

    #[test]
    fn figures_are_those_of_aws() {
        check("t2.micro", 1, 1.0, Architecture::X86_64);
        check("t3.nano", 2, 0.5, Architecture::X86_64);
        check("t3a.2xlarge", 8, 32.0, Architecture::X86_64);
        check("t4g.small", 2, 2.0, Architecture::Arm64);
        check("m5.large", 2, 8.0, Architecture::X86_64);
        check("m6g.medium", 1, 4.0, Architecture::Arm64);
        check("c5.9xlarge", 36, 72.0, Architecture::X86_64);
        check("m4.large", 2, 8.0, Architecture::X86_64);
        check("c5n.large", 2, 5.25, Architecture::X86_64);
        check("c5n.9xlarge", 36, 96.0, Architecture::X86_64);
        check("c6a.4xlarge", 16, 32.0, Architecture::X86_64);
        check("r6i.xlarge", 4, 32.0, Architecture::X86_64);
        assert_eq!(find("c5ad.24xlarge").unwrap().disks, Some((2, 1900)));
        assert_eq!(find("m5.large").unwrap().disks, None);
        assert_eq!(find("t3.gigantic"), None);
    }

    #[test]
    fn credits_balance_at_the_baseline() {
        // credits/h = baseline × vCPUs × 60; AWS rounds t2.xlarge and t2.2xlarge.
        for t in all() {
            let Some(burst) = t.burst else { continue };
            let earned = burst.baseline * f64::from(t.vcpus) * 60.0;
            assert!((earned - burst.credits_per_hour).abs() < 0.5, "{}", t.name);
        }
    }

    #[test]
    fn prices_are_those_of_aws() {
        let check = |name: &str, price: f64| {
            let found = find(name).unwrap().price;
            assert!((found - price).abs() < 1e-9, "{name}: {found}");
        };
        check("t2.nano", 0.0058);
        check("t3.micro", 0.0104);
        check("t3.2xlarge", 0.3328);
        check("t4g.medium", 0.0336);
        check("m5.large", 0.096);
        check("c5.9xlarge", 1.53);
        check("m6g.medium", 0.0385);
        check("r6g.xlarge", 0.2016);
    }

    #[test]
    fn us_east_1e_lacks_newer_families() {
        let t3 = find("t3.micro").unwrap();
        assert!(offered_in(t3, "us-east-1a") && !offered_in(t3, "us-east-1e"));
    }
}
