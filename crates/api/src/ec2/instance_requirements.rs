//! Attributes in place of an instance type: which types have them, and which one is launched.
//!
//! What the table of types cannot tell (bandwidths) is kept and described; a launch warns
//! that it was not compared. Prices are those of the table, and rank types only.
//! `https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceRequirementsRequest.html`

use super::error::{Result, dry_run, error, invalid_value};
use super::filter::matches_any;
use super::instance_type::manufacturer;
use super::launch_template_data::shapes;
use super::page::Page;
use crate::Ctx;
use model::instance_type::{self, Architecture, InstanceType};
use serde::{Deserialize, Serialize};

shapes! {
    InstanceRequirements {
        v_cpu_count: Option<Count>,
        memory_mi_b: Option<Count>,
        memory_gi_b_per_v_cpu: Option<Ratio>,
        #[serde(rename(serialize = "cpuManufacturerSet", deserialize = "CpuManufacturer"), alias = "CpuManufacturerSet", skip_serializing_if = "Vec::is_empty")]
        cpu_manufacturers: Vec<String>,
        #[serde(rename(serialize = "excludedInstanceTypeSet", deserialize = "ExcludedInstanceType"), alias = "ExcludedInstanceTypeSet", skip_serializing_if = "Vec::is_empty")]
        excluded_instance_types: Vec<String>,
        #[serde(rename(serialize = "allowedInstanceTypeSet", deserialize = "AllowedInstanceType"), alias = "AllowedInstanceTypeSet", skip_serializing_if = "Vec::is_empty")]
        allowed_instance_types: Vec<String>,
        #[serde(rename(serialize = "instanceGenerationSet", deserialize = "InstanceGeneration"), alias = "InstanceGenerationSet", skip_serializing_if = "Vec::is_empty")]
        instance_generations: Vec<String>,
        bare_metal: Option<Inclusion>,
        burstable_performance: Option<Inclusion>,
        require_hibernate_support: Option<bool>,
        network_interface_count: Option<Count>,
        local_storage: Option<Inclusion>,
        #[serde(rename(serialize = "localStorageTypeSet", deserialize = "LocalStorageType"), alias = "LocalStorageTypeSet", skip_serializing_if = "Vec::is_empty")]
        local_storage_types: Vec<String>,
        #[serde(rename(serialize = "totalLocalStorageGB", deserialize = "TotalLocalStorageGB"))]
        total_local_storage_gb: Option<Ratio>,
        #[serde(rename(serialize = "acceleratorNameSet", deserialize = "AcceleratorName"), alias = "AcceleratorNameSet", skip_serializing_if = "Vec::is_empty")]
        accelerator_names: Vec<String>,
        accelerator_total_memory_mi_b: Option<Count>,
        baseline_ebs_bandwidth_mbps: Option<Count>,
        network_bandwidth_gbps: Option<Ratio>,
        accelerator_count: Option<Count>,
        #[serde(rename(serialize = "acceleratorTypeSet", deserialize = "AcceleratorType"), alias = "AcceleratorTypeSet", skip_serializing_if = "Vec::is_empty")]
        accelerator_types: Vec<String>,
        #[serde(rename(serialize = "acceleratorManufacturerSet", deserialize = "AcceleratorManufacturer"), alias = "AcceleratorManufacturerSet", skip_serializing_if = "Vec::is_empty")]
        accelerator_manufacturers: Vec<String>,
        spot_max_price_percentage_over_lowest_price: Option<u32>,
        on_demand_max_price_percentage_over_lowest_price: Option<u32>,
        max_spot_price_as_percentage_of_optimal_on_demand_price: Option<u32>,
    }

    Count { min: Option<u32>, max: Option<u32>, }
    Ratio { min: Option<f64>, max: Option<f64>, }
}

/// What prices are compared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PricePer {
    Instance,
    Vcpu,
    Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inclusion {
    Included,
    Required,
    Excluded,
}

impl Count {
    fn admits(&self, n: u32) -> bool {
        self.min.is_none_or(|min| min <= n) && self.max.is_none_or(|max| n <= max)
    }
}

impl Ratio {
    fn admits(&self, n: f64) -> bool {
        self.min.is_none_or(|min| min <= n) && self.max.is_none_or(|max| n <= max)
    }
}

impl InstanceRequirements {
    pub fn check(&self) -> Result<()> {
        for (range, name) in [
            (&self.v_cpu_count, "VCpuCount"),
            (&self.memory_mi_b, "MemoryMiB"),
        ] {
            let Some(Count {
                min: Some(min),
                max,
            }) = range
            else {
                return Err(super::error::missing(&format!(
                    "InstanceRequirements.{name}.Min"
                )));
            };
            if max.is_some_and(|max| max < *min) {
                return Err(invalid_value(format!(
                    "The maximum of {name} must not be less than its minimum."
                )));
            }
        }
        if !self.allowed_instance_types.is_empty() && !self.excluded_instance_types.is_empty() {
            return Err(super::error::invalid_combination(
                "AllowedInstanceTypes and ExcludedInstanceTypes may not be specified together.",
            ));
        }
        Ok(())
    }

    /// The least type that has the attributes, of the image's architecture if that is known.
    pub fn choose(&self, architecture: Option<Architecture>) -> Result<&'static InstanceType> {
        let least = self
            .fitting(architecture)
            .min_by_key(|t| (t.vcpus, t.memory_mib, t.name.as_str()));
        least.ok_or_else(|| {
            error(
                "InvalidFleetConfiguration",
                "No instance type meets the instance requirements.",
            )
        })
    }

    fn fitting(
        &self,
        architecture: Option<Architecture>,
    ) -> impl Iterator<Item = &'static InstanceType> {
        instance_type::all()
            .filter(move |t| architecture.is_none_or(|a| a == t.architecture) && self.admits(t))
    }

    /// All types that have the attributes and that price protection leaves, the cheapest first.
    pub fn cheapest(
        &self,
        architecture: Option<Architecture>,
        spot: bool,
        per: PricePer,
    ) -> Vec<&'static InstanceType> {
        let price = |t: &InstanceType| match per {
            PricePer::Instance => t.price,
            PricePer::Vcpu => t.price / f64::from(t.vcpus.max(1)),
            PricePer::Memory => t.price / f64::from(t.memory_mib.max(1)),
        };
        let mut found: Vec<_> = self.fitting(architecture).collect();
        found.sort_by(|a, b| price(a).total_cmp(&price(b)).then(a.name.cmp(&b.name)));
        // The cheapest of the C, M and R families is what others are compared with.
        let common =
            |t: &&&InstanceType| t.current_generation && t.family.starts_with(['c', 'm', 'r']);
        let least = found
            .iter()
            .find(common)
            .or(found.first())
            .map(|t| price(t));
        let percent = match spot {
            true => self
                .spot_max_price_percentage_over_lowest_price
                .unwrap_or(100),
            false => self
                .on_demand_max_price_percentage_over_lowest_price
                .unwrap_or(20),
        };
        // With room for rounding.
        let most = least.unwrap_or_default() * (1.0 + f64::from(percent) / 100.0) + 1e-9;
        found.retain(|t| price(t) <= most);
        found
    }

    fn admits(&self, t: &InstanceType) -> bool {
        if t.is_paravirtual() {
            return false;
        }
        let count = |range: &Option<Count>, n| range.as_ref().is_none_or(|r| r.admits(n));
        let ratio = |range: &Option<Ratio>, n| range.as_ref().is_none_or(|r| r.admits(n));
        let listed =
            |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
        let maker = match manufacturer(t) {
            "AWS" => "amazon-web-services",
            "AMD" => "amd",
            _ => "intel",
        };
        let generation = if t.current_generation {
            "current"
        } else {
            "previous"
        };
        let gib_per_vcpu = f64::from(t.memory_mib) / 1024.0 / f64::from(t.vcpus.max(1));
        // Burstable types are left out unless they are asked for.
        let burstable = match self.burstable_performance.unwrap_or(Inclusion::Excluded) {
            Inclusion::Included => true,
            Inclusion::Required => t.burst.is_some(),
            Inclusion::Excluded => t.burst.is_none(),
        };
        let local_storage = match self.local_storage.unwrap_or(Inclusion::Included) {
            Inclusion::Included => true,
            Inclusion::Required => t.disks.is_some(),
            Inclusion::Excluded => t.disks.is_none(),
        };
        let disk_types = self.local_storage_types.is_empty()
            || (t.disks.is_some() && listed(&self.local_storage_types, t.disk_type()));
        let local_gb = t.disks.map_or(0, |(count, gb)| count * gb);
        // No type of the table is bare metal, has accelerators, or hibernates.
        let possible = self.bare_metal != Some(Inclusion::Required)
            && local_storage
            && disk_types
            && self.require_hibernate_support != Some(true)
            && self.accelerator_types.is_empty()
            && self.accelerator_names.is_empty()
            && count(&self.accelerator_total_memory_mi_b, 0)
            && self.accelerator_manufacturers.is_empty();
        let chosen_by_name = (self.allowed_instance_types.is_empty()
            || matches_any(&self.allowed_instance_types, &t.name))
            && !matches_any(&self.excluded_instance_types, &t.name);
        possible
            && burstable
            && chosen_by_name
            && count(&self.v_cpu_count, t.vcpus)
            && count(&self.memory_mi_b, t.memory_mib)
            && ratio(&self.memory_gi_b_per_v_cpu, gib_per_vcpu)
            && count(&self.network_interface_count, t.maximum_interfaces)
            && ratio(&self.total_local_storage_gb, f64::from(local_gb))
            && count(&self.accelerator_count, 0)
            && listed(&self.cpu_manufacturers, maker)
            && listed(&self.instance_generations, generation)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetInstanceTypesFromInstanceRequirements {
    #[serde(default)]
    architecture_type: Vec<String>,
    #[serde(default)]
    virtualization_type: Vec<String>,
    instance_requirements: InstanceRequirements,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTypes {
    instance_type_set: Vec<InstanceTypeName>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceTypeName {
    instance_type: String,
}

/// Types by their attributes alone: prices are for whoever launches them.
pub fn types_of(
    _: &mut Ctx,
    input: GetInstanceTypesFromInstanceRequirements,
) -> Result<InstanceTypes> {
    const ARCHITECTURES: [&str; 5] = ["i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac"];
    let page = Page::within(1, 1000, input.max_results, input.next_token.as_deref())?;
    let known = |given: &[String], allowed: &[&str], name: &str| {
        if given.is_empty() {
            return Err(super::error::missing(name));
        }
        match given.iter().find(|v| !allowed.contains(&v.as_str())) {
            Some(other) => Err(invalid_value(format!(
                "Value ({other}) for parameter {name} is invalid."
            ))),
            None => Ok(()),
        }
    };
    known(&input.architecture_type, &ARCHITECTURES, "ArchitectureType")?;
    known(
        &input.virtualization_type,
        &["hvm", "paravirtual"],
        "VirtualizationType",
    )?;
    input.instance_requirements.check()?;
    dry_run(input.dry_run)?;
    // Every type of the table is a hardware virtual machine.
    let hvm = input.virtualization_type.iter().any(|v| v == "hvm");
    let wanted = |t: &&InstanceType| {
        let named = |a: &String| a == t.architecture.name();
        hvm && input.architecture_type.iter().any(named)
    };
    let found = input.instance_requirements.fitting(None).filter(wanted);
    let (found, next_token) = page.of(found, |t| t.name.clone());
    let name = |t: &'static InstanceType| InstanceTypeName {
        instance_type: t.name.clone(),
    };
    Ok(InstanceTypes {
        instance_type_set: found.into_iter().map(name).collect(),
        next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_protection_leaves_what_is_near_the_cheapest() {
        use serde_json::json;
        let check = |given: serde_json::Value, spot, expected: &[&str]| {
            let parsed: InstanceRequirements = serde_json::from_value(given.clone()).unwrap();
            let found = parsed.cheapest(Some(Architecture::X86_64), spot, PricePer::Instance);
            let names: Vec<_> = found.iter().map(|t| t.name.as_str()).collect();
            assert_eq!(names, expected, "{given}");
        };
        let two = json!({"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 8192}});
        check(
            two.clone(),
            false,
            &[
                "m5a.large",
                "m6a.large",
                "m5.large",
                "m6i.large",
                "m4.large",
                "m7i.large",
                "m5ad.large",
            ],
        );
        check(
            two,
            true,
            &[
                "m5a.large",
                "m6a.large",
                "m5.large",
                "m6i.large",
                "m4.large",
                "m7i.large",
                "m5ad.large",
                "m5d.large",
                "r5.large",
                "r6i.large",
                "r4.large",
                "r5d.large",
                "r3.large",
            ],
        );
        check(
            json!({"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 4096}, "OnDemandMaxPricePercentageOverLowestPrice": 0}),
            false,
            &["c6a.large"],
        );
    }

    fn check(requirements: serde_json::Value, expected: Option<&str>) {
        let parsed: InstanceRequirements = serde_json::from_value(requirements.clone()).unwrap();
        let chosen = parsed.choose(Some(Architecture::X86_64)).ok();
        assert_eq!(chosen.map(|t| t.name.as_str()), expected, "{requirements}");
    }

    #[test]
    fn the_least_type_with_the_attributes_is_chosen() {
        use serde_json::json;
        let cpus = json!({"Min": 2});
        let memory = json!({"Min": 4096});
        check(
            json!({"VCpuCount": cpus, "MemoryMiB": memory}),
            Some("c5.large"),
        );
        check(
            json!({"VCpuCount": cpus, "MemoryMiB": memory, "CpuManufacturer": ["amd"], "MemoryGiBPerVCpu": {"Min": 4.0}}),
            Some("m5a.large"),
        );
        check(
            json!({"VCpuCount": cpus, "MemoryMiB": {"Min": 512, "Max": 1024}, "BurstablePerformance": "included"}),
            Some("t3.nano"),
        );
        check(
            json!({"VCpuCount": cpus, "MemoryMiB": memory, "ExcludedInstanceType": ["c5*", "c6*"]}),
            Some("c7i.large"),
        );
        check(
            json!({"VCpuCount": cpus, "MemoryMiB": memory, "BareMetal": "required"}),
            None,
        );
        check(
            json!({"VCpuCount": cpus, "MemoryMiB": memory, "AcceleratorCount": {"Min": 1}}),
            None,
        );
        let disks = |kind: &str| json!({"VCpuCount": cpus, "MemoryMiB": memory, "LocalStorageType": [kind]});
        check(disks("ssd"), Some("c5ad.large"));
        check(disks("hdd"), None);
        check(
            json!({"VCpuCount": cpus, "MemoryMiB": {"Min": 8192}, "TotalLocalStorageGB": {"Min": 140.0}, "LocalStorage": "required"}),
            Some("c5ad.xlarge"),
        );
    }
}
