//! Attributes in place of an instance type: which types have them, and which one is launched.
//!
//! What the table of types cannot tell (bandwidths) is kept and described; a launch warns
//! that it was not compared. There are no prices: the least type stands for the cheapest.
//! `https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceRequirementsRequest.html`

use super::error::{Result, error, invalid_value};
use super::filter::matches_any;
use super::instance_type::manufacturer;
use super::launch_template_data::shapes;
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
        let fits =
            |t: &&InstanceType| architecture.is_none_or(|a| a == t.architecture) && self.admits(t);
        let least = instance_type::all()
            .filter(fits)
            .min_by_key(|t| (t.vcpus, t.memory_mib, t.name.as_str()));
        least.ok_or_else(|| {
            error(
                "InvalidFleetConfiguration",
                "No instance type meets the instance requirements.",
            )
        })
    }

    fn admits(&self, t: &InstanceType) -> bool {
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
        // No type of the table is bare metal, has disks or accelerators, or hibernates.
        let possible = self.bare_metal != Some(Inclusion::Required)
            && self.local_storage != Some(Inclusion::Required)
            && self.local_storage_types.is_empty()
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
            && ratio(&self.total_local_storage_gb, 0.0)
            && count(&self.accelerator_count, 0)
            && listed(&self.cpu_manufacturers, maker)
            && listed(&self.instance_generations, generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
