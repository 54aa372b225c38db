//! Previous generations, which old tutorials and long-lived templates still name. Nothing is
//! regular about them, so each stands by itself. Source of the figures:
//! `https://docs.aws.amazon.com/ec2/latest/instancetypes/pg.html`, prices:
//! `https://aws.amazon.com/ec2/previous-generation/`.

use super::{Architecture, InstanceType};

/// Family, name, vCPUs, MiB, interfaces and addresses each, network, disks and GB of each, dollars an hour.
type Previous = (
    &'static str,
    &'static str,
    u32,
    u32,
    (u32, u32),
    &'static str,
    Option<(u32, u32)>,
    f64,
);

/// GHz, and threads of a core, by family. AWS tells no clock of the first generation.
fn core(family: &str) -> (f64, u32) {
    match family {
        "m3" | "r3" => (2.5, 2),
        "m4" => (2.4, 2),
        "c3" => (2.8, 2),
        "c4" => (2.9, 2),
        "r4" => (2.3, 2),
        _ => (0.0, 1),
    }
}

const LOW: &str = "Low";
const MODERATE: &str = "Moderate";
const HIGH: &str = "High";
const TEN: &str = "10 Gigabit";
const UP_TO_10: &str = "Up to 10 Gigabit";

#[rustfmt::skip] // a table
const ALL: &[Previous] = &[
    ("t1", "t1.micro", 1, 627, (2, 2), "Very Low", None, 0.02),
    ("m1", "m1.small", 1, 1740, (2, 4), LOW, Some((1, 160)), 0.044),
    ("m1", "m1.medium", 1, 3788, (2, 6), MODERATE, Some((1, 410)), 0.087),
    ("m1", "m1.large", 2, 7680, (3, 10), MODERATE, Some((2, 420)), 0.175),
    ("m1", "m1.xlarge", 4, 15360, (4, 15), HIGH, Some((4, 420)), 0.35),
    ("m3", "m3.medium", 1, 3840, (2, 6), MODERATE, Some((1, 4)), 0.067),
    ("m3", "m3.large", 2, 7680, (3, 10), MODERATE, Some((1, 32)), 0.133),
    ("m3", "m3.xlarge", 4, 15360, (4, 15), HIGH, Some((2, 40)), 0.266),
    ("m3", "m3.2xlarge", 8, 30720, (4, 30), HIGH, Some((2, 80)), 0.532),
    ("m4", "m4.large", 2, 8192, (2, 10), MODERATE, None, 0.1),
    ("m4", "m4.xlarge", 4, 16384, (4, 15), HIGH, None, 0.2),
    ("m4", "m4.2xlarge", 8, 32768, (4, 15), HIGH, None, 0.4),
    ("m4", "m4.4xlarge", 16, 65536, (8, 30), HIGH, None, 0.8),
    ("m4", "m4.10xlarge", 40, 163840, (8, 30), TEN, None, 2.0),
    ("m4", "m4.16xlarge", 64, 262144, (8, 30), "25 Gigabit", Some((0, 0)), 3.2),
    ("c3", "c3.large", 2, 3840, (3, 10), MODERATE, Some((2, 16)), 0.105),
    ("c3", "c3.xlarge", 4, 7680, (4, 15), MODERATE, Some((2, 40)), 0.21),
    ("c3", "c3.2xlarge", 8, 15360, (4, 15), HIGH, Some((2, 80)), 0.42),
    ("c3", "c3.4xlarge", 16, 30720, (8, 30), HIGH, Some((2, 160)), 0.84),
    ("c3", "c3.8xlarge", 32, 61440, (8, 30), TEN, Some((2, 320)), 1.68),
    ("c4", "c4.large", 2, 3840, (3, 10), MODERATE, None, 0.1),
    ("c4", "c4.xlarge", 4, 7680, (4, 15), HIGH, None, 0.199),
    ("c4", "c4.2xlarge", 8, 15360, (4, 15), HIGH, None, 0.398),
    ("c4", "c4.4xlarge", 16, 30720, (8, 30), HIGH, None, 0.796),
    ("c4", "c4.8xlarge", 36, 61440, (8, 30), TEN, None, 1.591),
    ("r3", "r3.large", 2, 15616, (3, 10), MODERATE, Some((1, 32)), 0.166),
    ("r3", "r3.xlarge", 4, 31232, (4, 15), MODERATE, Some((1, 80)), 0.333),
    ("r3", "r3.2xlarge", 8, 62464, (4, 15), HIGH, Some((1, 160)), 0.665),
    ("r3", "r3.4xlarge", 16, 124928, (8, 30), HIGH, Some((1, 320)), 1.33),
    ("r3", "r3.8xlarge", 32, 249856, (8, 30), TEN, Some((2, 320)), 2.66),
    ("r4", "r4.large", 2, 15616, (3, 10), UP_TO_10, None, 0.133),
    ("r4", "r4.xlarge", 4, 31232, (4, 15), UP_TO_10, Some((0, 0)), 0.266),
    ("r4", "r4.2xlarge", 8, 62464, (4, 15), UP_TO_10, Some((0, 0)), 0.532),
    ("r4", "r4.4xlarge", 16, 124928, (8, 30), UP_TO_10, Some((0, 0)), 1.064),
    ("r4", "r4.8xlarge", 32, 249856, (8, 30), TEN, None, 2.128),
    ("r4", "r4.16xlarge", 64, 499712, (15, 50), "25 Gigabit", Some((0, 0)), 4.256),
];

pub fn types() -> impl Iterator<Item = InstanceType> {
    ALL.iter().map(
        |&(family, name, vcpus, memory_mib, (interfaces, addresses), network, disks, price)| {
            let (clock_ghz, threads) = core(family);
            InstanceType {
                name: name.to_owned(),
                family,
                vcpus,
                threads_per_core: if vcpus > 1 { threads } else { 1 },
                memory_mib,
                architecture: Architecture::X86_64,
                burst: None,
                current_generation: false,
                hypervisor: "xen",
                clock_ghz,
                maximum_interfaces: interfaces,
                addresses_per_interface: addresses,
                network_performance: network,
                disks,
                price,
            }
        },
    )
}
