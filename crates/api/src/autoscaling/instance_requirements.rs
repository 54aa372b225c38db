//! Attributes in place of instance types, as Auto Scaling spells what EC2 spells otherwise.

use crate::ec2::instance_requirements::{
    Count as Ec2Count, Inclusion, InstanceRequirements as Ec2Requirements, Ratio as Ec2Ratio,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceRequirements {
    v_cpu_count: Option<Count>,
    memory_mi_b: Option<Count>,
    cpu_manufacturers: Option<Vec<String>>,
    memory_gi_b_per_v_cpu: Option<Ratio>,
    excluded_instance_types: Option<Vec<String>>,
    allowed_instance_types: Option<Vec<String>>,
    instance_generations: Option<Vec<String>>,
    spot_max_price_percentage_over_lowest_price: Option<u32>,
    /// There is no market: what Spot costs is never more.
    #[serde(default, deserialize_with = "wire::stored")]
    max_spot_price_as_percentage_of_optimal_on_demand_price: Option<u32>,
    on_demand_max_price_percentage_over_lowest_price: Option<u32>,
    bare_metal: Option<Inclusion>,
    burstable_performance: Option<Inclusion>,
    require_hibernate_support: Option<bool>,
    network_interface_count: Option<Count>,
    local_storage: Option<Inclusion>,
    local_storage_types: Option<Vec<String>>,
    #[serde(rename = "TotalLocalStorageGB")]
    total_local_storage_gb: Option<Ratio>,
    /// Not in the table of types.
    #[serde(default, deserialize_with = "wire::stored")]
    baseline_ebs_bandwidth_mbps: Option<Count>,
    accelerator_types: Option<Vec<String>>,
    accelerator_count: Option<Count>,
    accelerator_manufacturers: Option<Vec<String>>,
    accelerator_names: Option<Vec<String>>,
    accelerator_total_memory_mi_b: Option<Count>,
    /// Not in the table of types.
    #[serde(default, deserialize_with = "wire::stored")]
    network_bandwidth_gbps: Option<Ratio>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Count {
    min: Option<u32>,
    max: Option<u32>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ratio {
    min: Option<f64>,
    max: Option<f64>,
}

impl From<Count> for Ec2Count {
    fn from(Count { min, max }: Count) -> Self {
        Self { min, max }
    }
}

impl From<Ratio> for Ec2Ratio {
    fn from(Ratio { min, max }: Ratio) -> Self {
        Self { min, max }
    }
}

impl From<InstanceRequirements> for Ec2Requirements {
    fn from(given: InstanceRequirements) -> Self {
        let count = |range: Option<Count>| range.map(Into::into);
        let ratio = |range: Option<Ratio>| range.map(Into::into);
        let list = |names: Option<Vec<String>>| names.unwrap_or_default();
        Self {
            v_cpu_count: count(given.v_cpu_count),
            memory_mi_b: count(given.memory_mi_b),
            memory_gi_b_per_v_cpu: ratio(given.memory_gi_b_per_v_cpu),
            cpu_manufacturers: list(given.cpu_manufacturers),
            excluded_instance_types: list(given.excluded_instance_types),
            allowed_instance_types: list(given.allowed_instance_types),
            instance_generations: list(given.instance_generations),
            bare_metal: given.bare_metal,
            burstable_performance: given.burstable_performance,
            require_hibernate_support: given.require_hibernate_support,
            network_interface_count: count(given.network_interface_count),
            local_storage: given.local_storage,
            local_storage_types: list(given.local_storage_types),
            total_local_storage_gb: ratio(given.total_local_storage_gb),
            accelerator_names: list(given.accelerator_names),
            accelerator_total_memory_mi_b: count(given.accelerator_total_memory_mi_b),
            baseline_ebs_bandwidth_mbps: count(given.baseline_ebs_bandwidth_mbps),
            network_bandwidth_gbps: ratio(given.network_bandwidth_gbps),
            accelerator_count: count(given.accelerator_count),
            accelerator_types: list(given.accelerator_types),
            accelerator_manufacturers: list(given.accelerator_manufacturers),
            spot_max_price_percentage_over_lowest_price: given
                .spot_max_price_percentage_over_lowest_price,
            on_demand_max_price_percentage_over_lowest_price: given
                .on_demand_max_price_percentage_over_lowest_price,
            max_spot_price_as_percentage_of_optimal_on_demand_price: given
                .max_spot_price_as_percentage_of_optimal_on_demand_price,
        }
    }
}
