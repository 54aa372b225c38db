//! What creating and updating a group have in common: one list of settings, each
//! checked and written to the record here.

use super::error::{Result, refuse, unsupported, validation};
use super::lifecycle_hook::LifecycleHookSpecification;
use super::mixed_instances::{self, MixedInstancesPolicy};
use super::tag::Tag;
use super::template::{self, LaunchTemplateSpecification};
use super::traffic_source::TrafficSourceIdentifier;
use super::zonal_shift::{self, AvailabilityZoneImpairmentPolicy};
use super::{check, launch_configuration, placement, warm_pool};
use crate::Ctx;
use model::autoscaling::AutoScalingGroup;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most units that any size may be; far beyond what one machine holds.
const MAX_SIZE: u32 = 10_000;
const DAY: u32 = 86_400;

pub const TERMINATION_POLICIES: &[&str] = &[
    "AllocationStrategy",
    "ClosestToNextInstanceHour",
    "Default",
    "NewestInstance",
    "OldestInstance",
    "OldestLaunchConfiguration",
    "OldestLaunchTemplate",
];
const UNITS: &[&str] = &["units", "vcpu", "memory-mib"];
const DISTRIBUTIONS: &[&str] = &["balanced-only", "balanced-best-effort"];
const PROTECTIONS: &[&str] = &["none", "prevent-force-deletion", "prevent-all-deletion"];

/// The most that a size of a group may be whose capacity counts `unit`.
pub fn max_size(unit: Option<&str>) -> u32 {
    match unit {
        Some("memory-mib") => MAX_SIZE * 1024,
        _ => MAX_SIZE,
    }
}

/// The settings are members of two inputs; serde cannot share them without flattening,
/// which the Query reader rules out.
macro_rules! inputs {
    (
        settings { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }
        create { $($(#[$own_attribute:meta])* $own:ident: $own_type:ty,)* }
    ) => {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct UpdateAutoScalingGroup {
            pub auto_scaling_group_name: String,
            $($(#[$attribute])* pub $field: Option<$type>,)*
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct CreateAutoScalingGroup {
            auto_scaling_group_name: String,
            $($(#[$attribute])* $field: Option<$type>,)*
            $($(#[$own_attribute])* $own: Option<$own_type>,)*
        }

        /// What only a new group is given.
        pub struct Initial {
            $(pub $own: Option<$own_type>,)*
        }

        impl CreateAutoScalingGroup {
            pub fn split(self) -> (UpdateAutoScalingGroup, Initial) {
                let settings = UpdateAutoScalingGroup {
                    auto_scaling_group_name: self.auto_scaling_group_name,
                    $($field: self.$field,)*
                };
                (settings, Initial { $($own: self.$own,)* })
            }
        }
    };
}

inputs! {
    settings {
        launch_configuration_name: String,
        launch_template: LaunchTemplateSpecification,
        mixed_instances_policy: MixedInstancesPolicy,
        min_size: i64,
        max_size: i64,
        desired_capacity: i64,
        default_cooldown: i64,
        availability_zones: Vec<String>,
        availability_zone_ids: Vec<String>,
        health_check_type: String,
        health_check_grace_period: i64,
        placement_group: String,
        #[serde(rename = "VPCZoneIdentifier")]
        vpc_zone_identifier: String,
        termination_policies: Vec<String>,
        new_instances_protected_from_scale_in: bool,
        #[serde(rename = "ServiceLinkedRoleARN")]
        service_linked_role_arn: String,
        max_instance_lifetime: i64,
        capacity_rebalance: bool,
        context: String,
        desired_capacity_type: String,
        default_instance_warmup: i64,
        instance_maintenance_policy: InstanceMaintenancePolicy,
        availability_zone_distribution: AvailabilityZoneDistribution,
        availability_zone_impairment_policy: AvailabilityZoneImpairmentPolicy,
        skip_zonal_shift_validation: bool,
        capacity_reservation_specification: CapacityReservationSpecification,
        instance_lifecycle_policy: Value,
        deletion_protection: String,
    }
    create {
        instance_id: String,
        load_balancer_names: Vec<String>,
        #[serde(rename = "TargetGroupARNs")]
        target_group_arns: Vec<String>,
        traffic_sources: Vec<TrafficSourceIdentifier>,
        lifecycle_hook_specification_list: Vec<LifecycleHookSpecification>,
        tags: Vec<Tag>,
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceMaintenancePolicy {
    pub min_healthy_percentage: Option<i32>,
    pub max_healthy_percentage: Option<i32>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AvailabilityZoneDistribution {
    pub capacity_distribution_strategy: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CapacityReservationSpecification {
    pub capacity_reservation_preference: Option<String>,
    #[serde(skip_serializing)]
    pub capacity_reservation_target: Option<Value>,
}

/// Writes every given setting but the sizes to the record.
pub fn apply(ctx: &Ctx, given: UpdateAutoScalingGroup, group: &mut AutoScalingGroup) -> Result<()> {
    refuse_unserved(&given)?;
    if let Some(unit) = given.desired_capacity_type {
        check::one_of(&unit, "desiredCapacityType", UNITS)?;
        group.desired_capacity_type = Some(unit);
    }
    let named = (given.launch_template, given.mixed_instances_policy);
    let template = template::of(ctx, group, named.0, named.1)?;
    match (given.launch_configuration_name, template) {
        (Some(_), Some(_)) => return Err(template::one_source()),
        (Some(name), None) => {
            launch_configuration::check_exists(ctx, &name)?;
            group.template.policy = None;
            group.template.configuration = Some(name);
        }
        (None, Some(template)) => group.template = template,
        (None, None) => {}
    }
    mixed_instances::check_unit(&group.template, group.desired_capacity_type.as_deref())?;
    warm_pool::check_policy(group)?;
    group.weigh();
    let placement = placement::of(
        ctx,
        given.vpc_zone_identifier.as_deref(),
        given.availability_zones.as_deref(),
        given.availability_zone_ids.as_deref(),
    )?;
    if let Some(placement) = placement {
        group.zones = placement.zones;
        group.subnets = placement.subnets;
        group.subnets_named = placement.named;
    }
    if let Some(seconds) = given.default_cooldown {
        group.default_cooldown = check::within(seconds, "defaultCooldown", 0, DAY)?;
    }
    if let Some(types) = given.health_check_type {
        group.health_check_types = health_check_types(&types)?;
    }
    if let Some(seconds) = given.health_check_grace_period {
        group.health_check_grace_period =
            check::within(seconds, "healthCheckGracePeriod", 0, 2 * DAY)?;
    }
    if let Some(policies) = given.termination_policies {
        group.termination_policies = termination_policies(policies)?;
    }
    if let Some(protected) = given.new_instances_protected_from_scale_in {
        group.new_instances_protected_from_scale_in = protected;
    }
    if let Some(role) = given.service_linked_role_arn {
        check::length(&role, "serviceLinkedRoleARN", 1, 1600)?;
        group.service_linked_role = role;
    }
    if let Some(rebalance) = given.capacity_rebalance {
        group.capacity_rebalance = rebalance;
    }
    if let Some(context) = given.context {
        group.context = Some(context).filter(|text| !text.is_empty());
    }
    match given.default_instance_warmup {
        None => {}
        Some(-1) => group.default_instance_warmup = None,
        Some(seconds) => {
            let seconds = check::within(seconds, "defaultInstanceWarmup", 0, DAY)?;
            group.default_instance_warmup = Some(seconds);
        }
    }
    if let Some(seconds) = given.max_instance_lifetime {
        group.max_instance_lifetime = max_instance_lifetime(seconds)?;
    }
    if let Some(policy) = given.instance_maintenance_policy {
        group.maintenance_policy = maintenance_policy(&policy)?;
    }
    let distribution = given.availability_zone_distribution;
    if let Some(strategy) = distribution.and_then(|d| d.capacity_distribution_strategy) {
        check::one_of(&strategy, "capacityDistributionStrategy", DISTRIBUTIONS)?;
        group.zone_distribution = strategy;
    }
    if let Some(policy) = given.availability_zone_impairment_policy {
        zonal_shift::apply(group, policy)?;
    }
    if let Some(protection) = given.deletion_protection {
        check::one_of(&protection, "deletionProtection", PROTECTIONS)?;
        group.deletion_protection = protection;
    }
    Ok(())
}

fn refuse_unserved(given: &UpdateAutoScalingGroup) -> Result<()> {
    let placement_group = given
        .placement_group
        .as_ref()
        .filter(|name| !name.is_empty());
    refuse(&placement_group, "PlacementGroup")?;
    refuse(&given.instance_lifecycle_policy, "InstanceLifecyclePolicy")?;
    if let Some(reservation) = &given.capacity_reservation_specification {
        let preference = reservation.capacity_reservation_preference.as_deref();
        let asked = !matches!(preference, None | Some("default" | "none"));
        if asked || reservation.capacity_reservation_target.is_some() {
            return Err(unsupported("Launching into capacity reservations is"));
        }
    }
    Ok(())
}

/// `EC2,ELB`; the instance's own state is always watched.
fn health_check_types(given: &str) -> Result<Vec<String>> {
    let mut types = Vec::new();
    for kind in given.split(',').map(str::trim) {
        match kind {
            // Volumes of this cloud have no health of their own, so EBS checks always pass.
            "EC2" | "ELB" | "EBS" => types.push(kind.to_owned()),
            "VPC_LATTICE" => return Err(unsupported("The health check type VPC_LATTICE is")),
            _ => {
                return Err(validation(format!("Invalid HealthCheckType: {given}")));
            }
        }
    }
    Ok(types)
}

fn termination_policies(given: Vec<String>) -> Result<Vec<String>> {
    for (at, policy) in given.iter().enumerate() {
        if policy.starts_with("arn:") {
            return Err(unsupported("A Lambda function as termination policy is"));
        }
        if !TERMINATION_POLICIES.contains(&policy.as_str()) {
            return Err(validation(format!(
                "Invalid termination policy: {policy}. Valid termination policies are: {TERMINATION_POLICIES:?}"
            )));
        }
        if policy == "Default" && at + 1 != given.len() {
            return Err(validation(
                "The Default termination policy must be the last one in the list.",
            ));
        }
    }
    if given.is_empty() {
        return Ok(vec!["Default".into()]);
    }
    Ok(given)
}

/// 0 is none; otherwise a day at least.
fn max_instance_lifetime(seconds: i64) -> Result<Option<u32>> {
    if seconds == 0 {
        return Ok(None);
    }
    let seconds = check::within(seconds, "maxInstanceLifetime", DAY, i32::MAX as u32)?;
    Ok(Some(seconds))
}

/// Both percentages, or -1 for both to have none.
fn maintenance_policy(given: &InstanceMaintenancePolicy) -> Result<Option<(i32, i32)>> {
    let (min, max) = match (given.min_healthy_percentage, given.max_healthy_percentage) {
        (Some(-1), Some(-1)) => return Ok(None),
        (Some(min), Some(max)) => (min, max),
        _ => {
            return Err(validation(
                "MinHealthyPercentage and MaxHealthyPercentage must both be specified.",
            ));
        }
    };
    check::within(min.into(), "minHealthyPercentage", 0, 100)?;
    check::within(max.into(), "maxHealthyPercentage", 100, 200)?;
    if 100 < max - min {
        return Err(validation(
            "The difference between MinHealthyPercentage and MaxHealthyPercentage cannot be greater than 100.",
        ));
    }
    Ok(Some((min, max)))
}

/// Minimum, maximum and desired capacity, as they are once the given ones are taken over.
pub fn sizes(given: &UpdateAutoScalingGroup, group: &AutoScalingGroup) -> Result<(u32, u32, u32)> {
    let unit = given.desired_capacity_type.as_deref();
    let most = max_size(unit.or(group.desired_capacity_type.as_deref()));
    let size = |given: Option<i64>, at: &str, before: u32| match given {
        Some(size) => check::within(size, at, 0, most),
        None => Ok(before),
    };
    let min = size(given.min_size, "minSize", group.min_size)?;
    let max = size(given.max_size, "maxSize", group.max_size)?;
    if max < min {
        return Err(validation(format!(
            "Max bound, {max}, must be greater than or equal to min bound, {min}"
        )));
    }
    let Some(desired) = given.desired_capacity else {
        return Ok((min, max, group.desired_capacity().clamp(min, max)));
    };
    let desired = check::within(desired, "desiredCapacity", 0, most)?;
    if desired < min || max < desired {
        return Err(validation(format!(
            "Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}"
        )));
    }
    Ok((min, max, desired))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_are_a_list() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let found = health_check_types(text).ok();
            let expected = expected.map(|e| e.iter().map(|s| (*s).to_owned()).collect());
            assert_eq!(found, expected, "{text}");
        };
        check("EC2", Some(&["EC2"]));
        check("ELB", Some(&["ELB"]));
        check("EC2,ELB", Some(&["EC2", "ELB"]));
        check("ELB, EBS", Some(&["ELB", "EBS"]));
        check("", None);
        check("elb", None);
        check("VPC_LATTICE", None);
    }

    #[test]
    fn termination_policies_end_with_default() {
        let check = |given: &[&str], expected: bool| {
            let given: Vec<String> = given.iter().map(|s| (*s).to_owned()).collect();
            assert_eq!(
                termination_policies(given.clone()).is_ok(),
                expected,
                "{given:?}"
            );
        };
        check(&[], true);
        check(&["OldestInstance", "Default"], true);
        check(&["Default", "OldestInstance"], false);
        check(&["Oldest"], false);
        check(&["arn:aws:lambda:us-east-1:000000000000:function:f"], false);
    }

    #[test]
    fn maintenance_policies() {
        let check = |min, max, expected: Option<Option<(i32, i32)>>| {
            let given = InstanceMaintenancePolicy {
                min_healthy_percentage: min,
                max_healthy_percentage: max,
            };
            assert_eq!(maintenance_policy(&given).ok(), expected, "{min:?} {max:?}");
        };
        check(Some(90), Some(120), Some(Some((90, 120))));
        check(Some(-1), Some(-1), Some(None));
        check(Some(0), Some(101), None);
        check(Some(90), None, None);
        check(Some(101), Some(120), None);
        check(Some(90), Some(99), None);
    }
}
