//! Instance types and where they are offered, from the model's table.

use super::error::{Result, dry_run, error, invalid_value};
use super::filter::{Field, Filter, Filters, maybe, one};
use super::page::Page;
use crate::Ctx;
use model::instance_type::{self, Architecture, InstanceType};
use model::{Tags, zone};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceTypes {
    #[serde(default)]
    instance_type: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_unsupported_in_region: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTypes {
    instance_type_set: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    instance_type: String,
    current_generation: bool,
    free_tier_eligible: bool,
    supported_usage_classes: Vec<&'static str>,
    supported_root_device_types: Vec<&'static str>,
    supported_virtualization_types: Vec<&'static str>,
    bare_metal: bool,
    hypervisor: &'static str,
    processor_info: ProcessorInfo,
    v_cpu_info: VCpuInfo,
    memory_info: MemoryInfo,
    instance_storage_supported: bool,
    instance_storage_info: Option<StorageInfo>,
    ebs_info: EbsInfo,
    network_info: NetworkInfo,
    placement_group_info: PlacementGroupInfo,
    hibernation_supported: bool,
    burstable_performance_supported: bool,
    dedicated_hosts_supported: bool,
    auto_recovery_supported: bool,
    supported_boot_modes: Vec<&'static str>,
    nitro_enclaves_support: &'static str,
    nitro_tpm_support: &'static str,
    phc_support: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessorInfo {
    supported_architectures: Vec<&'static str>,
    sustained_clock_speed_in_ghz: Option<f64>,
    manufacturer: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VCpuInfo {
    default_v_cpus: u32,
    default_cores: u32,
    default_threads_per_core: u32,
    valid_cores: Vec<u32>,
    valid_threads_per_core: Vec<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemoryInfo {
    size_in_mi_b: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EbsInfo {
    ebs_optimized_support: &'static str,
    encryption_support: &'static str,
    nvme_support: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkInfo {
    network_performance: &'static str,
    maximum_network_interfaces: u32,
    maximum_network_cards: u32,
    default_network_card_index: u32,
    network_cards: Vec<NetworkCard>,
    ipv4_addresses_per_interface: u32,
    ipv6_addresses_per_interface: u32,
    ipv6_supported: bool,
    ena_support: &'static str,
    efa_supported: bool,
    encryption_in_transit_supported: bool,
    ena_srd_supported: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkCard {
    network_card_index: u32,
    network_performance: &'static str,
    maximum_network_interfaces: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlacementGroupInfo {
    supported_strategies: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageInfo {
    #[serde(rename = "totalSizeInGB")]
    total_size_in_gb: u32,
    disks: Vec<Disk>,
    nvme_support: &'static str,
    encryption_support: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Disk {
    #[serde(rename = "sizeInGB")]
    size_in_gb: u32,
    count: u32,
    r#type: &'static str,
}

fn storage(kind: &InstanceType) -> Option<StorageInfo> {
    let (count, size_in_gb) = kind.disks?;
    let nitro = is_nitro(kind);
    Some(StorageInfo {
        total_size_in_gb: count * size_in_gb,
        disks: vec![Disk {
            size_in_gb,
            count,
            r#type: kind.disk_type(),
        }],
        nvme_support: if nitro { "required" } else { "unsupported" },
        encryption_support: if nitro { "required" } else { "unsupported" },
    })
}

fn virtualization(kind: &InstanceType) -> &'static str {
    match kind.is_paravirtual() {
        true => "paravirtual",
        false => "hvm",
    }
}

fn ebs_optimized(kind: &InstanceType) -> &'static str {
    match kind.family {
        _ if is_nitro(kind) => "default",
        "m4" | "c4" | "r4" => "default",
        "m3" | "c3" | "r3" if (4..32).contains(&kind.vcpus) => "supported",
        "m1" if kind.memory_mib >= 7680 => "supported",
        _ => "unsupported",
    }
}

/// What instances of the type boot with.
pub(super) fn boot_mode(kind: &InstanceType) -> &'static str {
    match kind.hypervisor {
        "xen" => "legacy-bios",
        _ => "uefi",
    }
}

fn boot_modes(kind: &InstanceType) -> Vec<&'static str> {
    match (kind.hypervisor, kind.architecture) {
        ("xen", _) => vec!["legacy-bios"],
        (_, Architecture::Arm64) => vec!["uefi"],
        _ => vec!["legacy-bios", "uefi"],
    }
}

pub(super) fn manufacturer(kind: &InstanceType) -> &'static str {
    match (kind.architecture, kind.family.contains('a')) {
        (Architecture::Arm64, _) => "AWS",
        (_, true) => "AMD",
        _ => "Intel",
    }
}

/// One core, or an even number of them.
fn valid_cores(kind: &InstanceType) -> Vec<u32> {
    let cores = kind.vcpus / kind.threads_per_core.max(1);
    (1..=cores).filter(|c| *c == 1 || c % 2 == 0).collect()
}

fn is_nitro(kind: &InstanceType) -> bool {
    kind.hypervisor == "nitro"
}

fn is_free(kind: &InstanceType) -> bool {
    matches!(kind.name.as_str(), "t2.micro" | "t3.micro")
}

fn shape(kind: &InstanceType) -> Shape {
    let nitro = is_nitro(kind);
    let cores = kind.vcpus / kind.threads_per_core.max(1);
    let supported = |yes: bool| if yes { "supported" } else { "unsupported" };
    Shape {
        instance_type: kind.name.clone(),
        current_generation: kind.current_generation,
        free_tier_eligible: is_free(kind),
        supported_usage_classes: vec!["on-demand"],
        supported_root_device_types: vec!["ebs"],
        supported_virtualization_types: vec![virtualization(kind)],
        bare_metal: false,
        hypervisor: kind.hypervisor,
        processor_info: ProcessorInfo {
            supported_architectures: vec![kind.architecture.name()],
            sustained_clock_speed_in_ghz: Some(kind.clock_ghz).filter(|clock| *clock > 0.0),
            manufacturer: manufacturer(kind),
        },
        v_cpu_info: VCpuInfo {
            default_v_cpus: kind.vcpus,
            default_cores: cores,
            default_threads_per_core: kind.threads_per_core,
            valid_cores: valid_cores(kind),
            valid_threads_per_core: (1..=kind.threads_per_core).collect(),
        },
        memory_info: MemoryInfo {
            size_in_mi_b: kind.memory_mib,
        },
        instance_storage_supported: kind.disks.is_some(),
        instance_storage_info: storage(kind),
        ebs_info: EbsInfo {
            ebs_optimized_support: ebs_optimized(kind),
            encryption_support: "supported",
            nvme_support: if nitro { "required" } else { "unsupported" },
        },
        network_info: NetworkInfo {
            network_performance: kind.network_performance,
            maximum_network_interfaces: kind.maximum_interfaces,
            maximum_network_cards: 1,
            default_network_card_index: 0,
            network_cards: vec![NetworkCard {
                network_card_index: 0,
                network_performance: kind.network_performance,
                maximum_network_interfaces: kind.maximum_interfaces,
            }],
            ipv4_addresses_per_interface: kind.addresses_per_interface,
            ipv6_addresses_per_interface: kind.addresses_per_interface,
            ipv6_supported: !matches!(kind.family, "t1" | "m1" | "m3"),
            ena_support: if nitro { "required" } else { "unsupported" },
            efa_supported: kind.efa(),
            encryption_in_transit_supported: false,
            ena_srd_supported: false,
        },
        placement_group_info: PlacementGroupInfo {
            supported_strategies: vec!["partition", "spread"],
        },
        // Of this cloud, not of AWS: what it refuses it does not advertise.
        hibernation_supported: false,
        burstable_performance_supported: kind.burst.is_some(),
        dedicated_hosts_supported: false,
        auto_recovery_supported: true,
        supported_boot_modes: boot_modes(kind),
        nitro_enclaves_support: "unsupported",
        nitro_tpm_support: supported(nitro),
        phc_support: "unsupported",
    }
}

const FILTERS: &[Field<InstanceType>] = &[
    ("auto-recovery-supported", |_, _| one(true)),
    ("bare-metal", |_, _| one(false)),
    ("burstable-performance-supported", |_, t| {
        one(t.burst.is_some())
    }),
    ("current-generation", |_, t| one(t.current_generation)),
    ("dedicated-hosts-supported", |_, _| one(false)),
    ("ebs-info.ebs-optimized-support", |_, t| {
        one(if is_nitro(t) {
            "default"
        } else {
            "unsupported"
        })
    }),
    ("ebs-info.encryption-support", |_, _| one("supported")),
    ("ebs-info.nvme-support", |_, t| {
        one(if is_nitro(t) {
            "required"
        } else {
            "unsupported"
        })
    }),
    ("free-tier-eligible", |_, t| one(is_free(t))),
    ("hibernation-supported", |_, _| one(false)),
    ("hypervisor", |_, t| one(t.hypervisor)),
    ("instance-storage-supported", |_, t| one(t.disks.is_some())),
    ("instance-type", |_, t| one(&t.name)),
    ("memory-info.size-in-mib", |_, t| one(t.memory_mib)),
    ("network-info.efa-supported", |_, t| one(t.efa())),
    ("network-info.ena-support", |_, t| {
        one(if is_nitro(t) {
            "required"
        } else {
            "unsupported"
        })
    }),
    ("network-info.ipv4-addresses-per-interface", |_, t| {
        one(t.addresses_per_interface)
    }),
    ("network-info.ipv6-supported", |_, _| one(true)),
    ("network-info.maximum-network-interfaces", |_, t| {
        one(t.maximum_interfaces)
    }),
    ("network-info.network-performance", |_, t| {
        one(t.network_performance)
    }),
    ("nitro-enclaves-support", |_, _| one("unsupported")),
    ("processor-info.supported-architecture", |_, t| {
        one(t.architecture.name())
    }),
    ("processor-info.sustained-clock-speed-in-ghz", |_, t| {
        one(t.clock_ghz)
    }),
    ("supported-boot-mode", |_, t| {
        super::filter::all(boot_modes(t))
    }),
    ("supported-root-device-type", |_, _| one("ebs")),
    ("supported-usage-class", |_, _| one("on-demand")),
    ("supported-virtualization-type", |_, t| {
        one(virtualization(t))
    }),
    ("vcpu-info.default-cores", |_, t| {
        one(t.vcpus / t.threads_per_core.max(1))
    }),
    ("vcpu-info.default-threads-per-core", |_, t| {
        one(t.threads_per_core)
    }),
    ("vcpu-info.default-vcpus", |_, t| one(t.vcpus)),
    ("network-info.encryption-in-transit-supported", |_, _| {
        one(false)
    }),
    ("network-info.ipv6-addresses-per-interface", |_, t| {
        one(t.addresses_per_interface)
    }),
    ("network-info.maximum-network-cards", |_, _| one(1)),
    ("nitro-tpm-support", |_, t| {
        one(if is_nitro(t) {
            "supported"
        } else {
            "unsupported"
        })
    }),
    ("phc-support", |_, _| one("unsupported")),
    ("vcpu-info.valid-cores", |_, t| {
        super::filter::all(valid_cores(t))
    }),
    ("vcpu-info.valid-threads-per-core", |_, t| {
        super::filter::all(1..=t.threads_per_core)
    }),
    ("instance-storage-info.disk.count", |_, t| {
        maybe(t.disks.map(|(count, _)| count))
    }),
    ("instance-storage-info.disk.size-in-gb", |_, t| {
        maybe(t.disks.map(|(_, gb)| gb))
    }),
    ("instance-storage-info.disk.type", |_, t| {
        maybe(t.disks.map(|_| "ssd"))
    }),
    ("instance-storage-info.encryption-support", |_, t| {
        maybe(t.disks.map(|_| "required"))
    }),
    ("instance-storage-info.nvme-support", |_, t| {
        maybe(t.disks.map(|_| "required"))
    }),
    ("instance-storage-info.total-size-in-gb", |_, t| {
        maybe(t.disks.map(|(count, gb)| count * gb))
    }),
];

pub fn describe_all(ctx: &mut Ctx, input: DescribeInstanceTypes) -> Result<InstanceTypes> {
    // Every region has every type of the table.
    let _ = input.include_unsupported_in_region;
    let page = Page::within(5, 100, input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    let unknown: Vec<&str> = input
        .instance_type
        .iter()
        .map(String::as_str)
        .filter(|name| instance_type::find(name).is_none())
        .collect();
    if !unknown.is_empty() {
        return Err(error(
            "InvalidInstanceType",
            format!(
                "The following supplied instance types do not exist: [{}]",
                unknown.join(", ")
            ),
        ));
    }
    dry_run(input.dry_run)?;
    let named =
        |t: &InstanceType| input.instance_type.is_empty() || input.instance_type.contains(&t.name);
    let found =
        instance_type::all().filter(|t| named(t) && filters.match_tagged(&ctx.tx, t, &Tags::new()));
    let (found, next_token) = page.of(found, |t| t.name.clone());
    Ok(InstanceTypes {
        instance_type_set: found.into_iter().map(shape).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceTypeOfferings {
    location_type: Option<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTypeOfferings {
    instance_type_offering_set: Vec<Offering>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Offering {
    instance_type: String,
    location_type: String,
    location: String,
}

const OFFERING_FILTERS: &[Field<Offering>] = &[
    ("instance-type", |_, o| one(&o.instance_type)),
    ("location", |_, o| maybe(Some(&o.location))),
];

pub fn describe_offerings(
    ctx: &mut Ctx,
    input: DescribeInstanceTypeOfferings,
) -> Result<InstanceTypeOfferings> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, OFFERING_FILTERS)?;
    let by = input.location_type.unwrap_or_else(|| "region".to_owned());
    // Zones whose offerings stand for the location, with its name.
    let zones = zone::region(&ctx.scope.region)
        .map(|r| r.zones())
        .into_iter()
        .flatten();
    let locations: Vec<(String, Option<String>)> = match by.as_str() {
        "region" => vec![(ctx.scope.region.to_string(), None)],
        "availability-zone" => zones.map(|(name, _)| (name.clone(), Some(name))).collect(),
        "availability-zone-id" => zones.map(|(name, id)| (id, Some(name))).collect(),
        other => {
            return Err(invalid_value(format!(
                "Value ({other}) for parameter LocationType is invalid."
            )));
        }
    };
    dry_run(input.dry_run)?;
    let mut found = Vec::new();
    for kind in instance_type::all() {
        for (location, zone) in &locations {
            let offered = zone
                .as_ref()
                .is_none_or(|z| instance_type::offered_in(kind, z));
            let offering = Offering {
                instance_type: kind.name.clone(),
                location_type: by.clone(),
                location: location.clone(),
            };
            if offered && filters.match_tagged(&ctx.tx, &offering, &Tags::new()) {
                found.push(offering);
            }
        }
    }
    let key = |o: &Offering| format!("{} {}", o.instance_type, o.location);
    found.sort_by_key(key);
    let (found, next_token) = page.of(found, key);
    Ok(InstanceTypeOfferings {
        instance_type_offering_set: found,
        next_token,
    })
}
