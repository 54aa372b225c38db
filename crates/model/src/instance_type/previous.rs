//! Previous generations, which old tutorials and long-lived templates still name. Nothing is
//! regular about them, so each stands by itself. Source of the figures:
//! `https://docs.aws.amazon.com/ec2/latest/instancetypes/pg.html`, prices:
//! `https://aws.amazon.com/ec2/previous-generation/`.

use super::{Architecture, InstanceType};

struct Previous {
    name: &'static str,
    family: &'static str,
    vcpus: u32,
    memory_mib: u32,
    interfaces: u32,
    addresses: u32,
    network: &'static str,
    disks: Option<(u32, u32)>,
    price: f64,
}

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

#[allow(clippy::too_many_arguments)] // columns of a table
const fn of(
    family: &'static str,
    name: &'static str,
    vcpus: u32,
    memory_mib: u32,
    (interfaces, addresses): (u32, u32),
    network: &'static str,
    (disks, gb): (u32, u32),
    price: f64,
) -> Previous {
    Previous {
        name,
        family,
        vcpus,
        memory_mib,
        interfaces,
        addresses,
        network,
        disks: if disks > 0 { Some((disks, gb)) } else { None },
        price,
    }
}

/// Family, name, vCPUs, MiB, interfaces and addresses each, network, disks and GB of each, dollars an hour.
const ALL: &[Previous] = &[
    of("t1", "t1.micro", 1, 627, (2, 2), "Very Low", (0, 0), 0.02),
    of("m1", "m1.small", 1, 1740, (2, 4), LOW, (1, 160), 0.044),
    of(
        "m1",
        "m1.medium",
        1,
        3788,
        (2, 6),
        MODERATE,
        (1, 410),
        0.087,
    ),
    of(
        "m1",
        "m1.large",
        2,
        7680,
        (3, 10),
        MODERATE,
        (2, 420),
        0.175,
    ),
    of("m1", "m1.xlarge", 4, 15360, (4, 15), HIGH, (4, 420), 0.35),
    of("m3", "m3.medium", 1, 3840, (2, 6), MODERATE, (1, 4), 0.067),
    of("m3", "m3.large", 2, 7680, (3, 10), MODERATE, (1, 32), 0.133),
    of("m3", "m3.xlarge", 4, 15360, (4, 15), HIGH, (2, 40), 0.266),
    of("m3", "m3.2xlarge", 8, 30720, (4, 30), HIGH, (2, 80), 0.532),
    of("m4", "m4.large", 2, 8192, (2, 10), MODERATE, (0, 0), 0.1),
    of("m4", "m4.xlarge", 4, 16384, (4, 15), HIGH, (0, 0), 0.2),
    of("m4", "m4.2xlarge", 8, 32768, (4, 15), HIGH, (0, 0), 0.4),
    of("m4", "m4.4xlarge", 16, 65536, (8, 30), HIGH, (0, 0), 0.8),
    of("m4", "m4.10xlarge", 40, 163840, (8, 30), TEN, (0, 0), 2.0),
    of(
        "m4",
        "m4.16xlarge",
        64,
        262144,
        (8, 30),
        "25 Gigabit",
        (0, 0),
        3.2,
    ),
    of("c3", "c3.large", 2, 3840, (3, 10), MODERATE, (2, 16), 0.105),
    of("c3", "c3.xlarge", 4, 7680, (4, 15), MODERATE, (2, 40), 0.21),
    of("c3", "c3.2xlarge", 8, 15360, (4, 15), HIGH, (2, 80), 0.42),
    of("c3", "c3.4xlarge", 16, 30720, (8, 30), HIGH, (2, 160), 0.84),
    of("c3", "c3.8xlarge", 32, 61440, (8, 30), TEN, (2, 320), 1.68),
    of("c4", "c4.large", 2, 3840, (3, 10), MODERATE, (0, 0), 0.1),
    of("c4", "c4.xlarge", 4, 7680, (4, 15), HIGH, (0, 0), 0.199),
    of("c4", "c4.2xlarge", 8, 15360, (4, 15), HIGH, (0, 0), 0.398),
    of("c4", "c4.4xlarge", 16, 30720, (8, 30), HIGH, (0, 0), 0.796),
    of("c4", "c4.8xlarge", 36, 61440, (8, 30), TEN, (0, 0), 1.591),
    of(
        "r3",
        "r3.large",
        2,
        15616,
        (3, 10),
        MODERATE,
        (1, 32),
        0.166,
    ),
    of(
        "r3",
        "r3.xlarge",
        4,
        31232,
        (4, 15),
        MODERATE,
        (1, 80),
        0.333,
    ),
    of("r3", "r3.2xlarge", 8, 62464, (4, 15), HIGH, (1, 160), 0.665),
    of(
        "r3",
        "r3.4xlarge",
        16,
        124928,
        (8, 30),
        HIGH,
        (1, 320),
        1.33,
    ),
    of("r3", "r3.8xlarge", 32, 249856, (8, 30), TEN, (2, 320), 2.66),
    of("r4", "r4.large", 2, 15616, (3, 10), UP_TO_10, (0, 0), 0.133),
    of(
        "r4",
        "r4.xlarge",
        4,
        31232,
        (4, 15),
        UP_TO_10,
        (0, 0),
        0.266,
    ),
    of(
        "r4",
        "r4.2xlarge",
        8,
        62464,
        (4, 15),
        UP_TO_10,
        (0, 0),
        0.532,
    ),
    of(
        "r4",
        "r4.4xlarge",
        16,
        124928,
        (8, 30),
        UP_TO_10,
        (0, 0),
        1.064,
    ),
    of("r4", "r4.8xlarge", 32, 249856, (8, 30), TEN, (0, 0), 2.128),
    of(
        "r4",
        "r4.16xlarge",
        64,
        499712,
        (15, 50),
        "25 Gigabit",
        (0, 0),
        4.256,
    ),
];

pub fn types() -> impl Iterator<Item = InstanceType> {
    ALL.iter().map(|t| {
        let (clock_ghz, threads) = core(t.family);
        InstanceType {
            name: t.name.to_owned(),
            family: t.family,
            vcpus: t.vcpus,
            threads_per_core: if t.vcpus > 1 { threads } else { 1 },
            memory_mib: t.memory_mib,
            architecture: Architecture::X86_64,
            burst: None,
            current_generation: false,
            hypervisor: "xen",
            clock_ghz,
            maximum_interfaces: t.interfaces,
            addresses_per_interface: t.addresses,
            network_performance: t.network,
            disks: t.disks,
            price: t.price,
        }
    })
}
