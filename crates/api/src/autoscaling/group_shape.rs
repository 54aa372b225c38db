//! How groups and their members are described.

use super::error::Result;
use super::group::owned;
use super::mixed_instances::{self, MixedInstancesPolicy};
use super::page::{Filter, page, unknown_filter};
use super::setting::{
    AvailabilityZoneDistribution, CapacityReservationSpecification, InstanceMaintenancePolicy,
};
use super::suspended_process::SuspendedProcess;
use super::tag::TagDescription;
use super::template::LaunchTemplateSpecification;
use super::traffic_source::TrafficSourceIdentifier;
use super::warm_pool::WarmPoolConfiguration;
use super::zonal_shift::AvailabilityZoneImpairmentPolicy;
use crate::Ctx;
use model::autoscaling::{AutoScalingGroup, GroupInstance};
use model::zone;
use serde::{Deserialize, Serialize};
use wire::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAutoScalingGroups {
    #[serde(default)]
    auto_scaling_group_names: Vec<String>,
    include_instances: Option<bool>,
    next_token: Option<String>,
    max_records: Option<i64>,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AutoScalingGroups {
    auto_scaling_groups: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    auto_scaling_group_name: String,
    #[serde(rename = "AutoScalingGroupARN")]
    auto_scaling_group_arn: String,
    launch_configuration_name: Option<String>,
    launch_template: Option<LaunchTemplateSpecification>,
    mixed_instances_policy: Option<MixedInstancesPolicy>,
    min_size: u32,
    max_size: u32,
    desired_capacity: u32,
    default_cooldown: u32,
    availability_zones: Vec<String>,
    availability_zone_ids: Vec<&'static str>,
    load_balancer_names: [String; 0],
    #[serde(rename = "TargetGroupARNs")]
    target_group_arns: Vec<String>,
    health_check_type: String,
    health_check_grace_period: u32,
    instances: Option<Vec<Instance>>,
    created_time: Timestamp,
    suspended_processes: Vec<SuspendedProcess>,
    #[serde(rename = "VPCZoneIdentifier")]
    vpc_zone_identifier: String,
    enabled_metrics: Vec<EnabledMetric>,
    status: Option<&'static str>,
    warm_pool_configuration: Option<WarmPoolConfiguration>,
    warm_pool_size: Option<usize>,
    tags: Vec<TagDescription>,
    termination_policies: Vec<String>,
    new_instances_protected_from_scale_in: bool,
    #[serde(rename = "ServiceLinkedRoleARN")]
    service_linked_role_arn: String,
    capacity_rebalance: Option<bool>,
    max_instance_lifetime: Option<u32>,
    context: Option<String>,
    desired_capacity_type: Option<String>,
    default_instance_warmup: Option<u32>,
    traffic_sources: Vec<TrafficSourceIdentifier>,
    instance_maintenance_policy: Option<InstanceMaintenancePolicy>,
    deletion_protection: String,
    availability_zone_distribution: AvailabilityZoneDistribution,
    availability_zone_impairment_policy: AvailabilityZoneImpairmentPolicy,
    capacity_reservation_specification: CapacityReservationSpecification,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnabledMetric {
    metric: String,
    granularity: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    instance_id: String,
    instance_type: String,
    availability_zone: String,
    availability_zone_id: Option<&'static str>,
    lifecycle_state: &'static str,
    health_status: &'static str,
    launch_configuration_name: Option<String>,
    launch_template: Option<LaunchTemplateSpecification>,
    protected_from_scale_in: bool,
    weighted_capacity: Option<String>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeAutoScalingGroups) -> Result<AutoScalingGroups> {
    for filter in &input.filters {
        let known = matches!(filter.name.as_str(), "tag-key" | "tag-value");
        if !known && !filter.name.starts_with("tag:") {
            return Err(unknown_filter(&filter.name));
        }
    }
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let names = &input.auto_scaling_group_names;
    let wanted = owned(ctx).filter(|g| {
        let named = names.is_empty() || names.iter().any(|n| *n == g.name || *n == g.arn);
        named && input.filters.iter().all(|f| has_tag(g, f))
    });
    let (groups, next_token) = page.of(wanted, |g| g.name.clone());
    let with_instances = input.include_instances.unwrap_or(true);
    Ok(AutoScalingGroups {
        auto_scaling_groups: groups
            .into_iter()
            .map(|g| shape(g, with_instances))
            .collect(),
        next_token,
    })
}

fn has_tag(group: &AutoScalingGroup, filter: &Filter) -> bool {
    group.tags.iter().any(|tag| match filter.name.as_str() {
        "tag-key" => filter.admits(&tag.key),
        "tag-value" => filter.admits(&tag.value),
        name => name.strip_prefix("tag:") == Some(&tag.key) && filter.admits(&tag.value),
    })
}

fn shape(group: &AutoScalingGroup, with_instances: bool) -> Shape {
    let mixed = mixed_instances::described(&group.template);
    let subnets: Vec<&str> = group.subnets.iter().map(|s| s.as_str()).collect();
    let policy = |(min, max)| InstanceMaintenancePolicy {
        min_healthy_percentage: Some(min),
        max_healthy_percentage: Some(max),
    };
    Shape {
        auto_scaling_group_name: group.name.clone(),
        auto_scaling_group_arn: group.arn.clone(),
        launch_configuration_name: group.template.configuration.clone(),
        launch_template: (mixed.is_none() && group.template.configuration.is_none()).then(|| {
            let template = &group.template;
            LaunchTemplateSpecification::of(&template.id, &template.name, &template.version)
        }),
        mixed_instances_policy: mixed,
        min_size: group.min_size,
        max_size: group.max_size,
        desired_capacity: group.desired_capacity(),
        default_cooldown: group.default_cooldown,
        availability_zones: group.zones.clone(),
        availability_zone_ids: group
            .zones
            .iter()
            .filter_map(|z| zone::zone_id(z))
            .collect(),
        load_balancer_names: [],
        target_group_arns: group.target_groups.clone(),
        health_check_type: group.health_check_types.join(","),
        health_check_grace_period: group.health_check_grace_period,
        instances: with_instances
            .then(|| group.instances.iter().map(|m| instance(group, m)).collect()),
        created_time: group.created.into(),
        suspended_processes: SuspendedProcess::of(group),
        vpc_zone_identifier: if group.subnets_named {
            subnets.join(",")
        } else {
            String::new()
        },
        enabled_metrics: group
            .enabled_metrics
            .iter()
            .map(|metric| EnabledMetric {
                metric: metric.clone(),
                granularity: "1Minute",
            })
            .collect(),
        status: group.deleting.map(|_| "Delete in progress"),
        warm_pool_configuration: WarmPoolConfiguration::of(group),
        warm_pool_size: group.warm_pool.as_ref().map(|_| group.warm.len()),
        tags: TagDescription::of(group),
        termination_policies: group.termination_policies.clone(),
        new_instances_protected_from_scale_in: group.new_instances_protected_from_scale_in,
        service_linked_role_arn: group.service_linked_role.clone(),
        // Absent on AWS too until it is turned on.
        capacity_rebalance: group.capacity_rebalance.then_some(true),
        max_instance_lifetime: group.max_instance_lifetime,
        context: group.context.clone(),
        desired_capacity_type: group.desired_capacity_type.clone(),
        default_instance_warmup: group.default_instance_warmup,
        traffic_sources: TrafficSourceIdentifier::of(group),
        instance_maintenance_policy: group.maintenance_policy.map(policy),
        deletion_protection: group.deletion_protection.clone(),
        availability_zone_distribution: AvailabilityZoneDistribution {
            capacity_distribution_strategy: Some(group.zone_distribution.clone()),
        },
        availability_zone_impairment_policy: AvailabilityZoneImpairmentPolicy {
            zonal_shift_enabled: Some(group.zonal_shift),
            impaired_zone_health_check_behavior: group.impaired_zone_behavior.clone(),
        },
        // Reservations are refused, so this is always the default.
        capacity_reservation_specification: CapacityReservationSpecification {
            capacity_reservation_preference: Some("default".into()),
            capacity_reservation_target: None,
        },
    }
}

/// The version that a member was launched from; one attached by hand may have none.
fn template_of(member: &GroupInstance) -> Option<LaunchTemplateSpecification> {
    let (id, name, version) = &member.template;
    (*version != 0).then(|| LaunchTemplateSpecification {
        launch_template_id: Some(id.to_string()),
        launch_template_name: Some(name.clone()),
        version: Some(version.to_string()),
    })
}

/// One of the warm pool.
pub fn warm_instance(group: &AutoScalingGroup, member: &GroupInstance) -> Instance {
    Instance {
        lifecycle_state: member.lifecycle.warm_name(),
        ..instance(group, member)
    }
}

/// Told only where instances count other than one.
fn weight_of(group: &AutoScalingGroup, member: &GroupInstance) -> Option<String> {
    group.is_weighted().then(|| member.weight.to_string())
}

fn instance(group: &AutoScalingGroup, member: &GroupInstance) -> Instance {
    Instance {
        instance_id: member.id.to_string(),
        instance_type: member.instance_type.clone(),
        availability_zone: member.zone.clone(),
        availability_zone_id: zone::zone_id(&member.zone),
        lifecycle_state: member.lifecycle.name(),
        health_status: if member.healthy {
            "Healthy"
        } else {
            "Unhealthy"
        },
        launch_configuration_name: member.configuration.clone(),
        launch_template: template_of(member),
        protected_from_scale_in: member.protected_from_scale_in,
        weighted_capacity: weight_of(group, member),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAutoScalingInstances {
    #[serde(default)]
    instance_ids: Vec<String>,
    max_records: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AutoScalingInstances {
    auto_scaling_instances: Vec<InstanceDetails>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceDetails {
    instance_id: String,
    instance_type: String,
    auto_scaling_group_name: String,
    availability_zone: String,
    availability_zone_id: Option<&'static str>,
    lifecycle_state: &'static str,
    /// Here in capitals, other than in the description of a group.
    health_status: &'static str,
    launch_configuration_name: Option<String>,
    launch_template: Option<LaunchTemplateSpecification>,
    protected_from_scale_in: bool,
    weighted_capacity: Option<String>,
}

pub fn describe_instances(
    ctx: &mut Ctx,
    input: DescribeAutoScalingInstances,
) -> Result<AutoScalingInstances> {
    let page = page(input.max_records, input.next_token.as_deref(), 50)?;
    let ids = &input.instance_ids;
    let members = owned(ctx).flat_map(|g| g.held().map(move |m| (g, m)));
    let mut wanted: Vec<_> = members
        .filter(|(_, m)| ids.is_empty() || ids.iter().any(|id| *id == *m.id.as_str()))
        .collect();
    wanted.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    let (members, next_token) = page.of(wanted, |(_, m)| m.id.to_string());
    let details =
        |(group, m): (&std::sync::Arc<AutoScalingGroup>, &GroupInstance)| InstanceDetails {
            instance_id: m.id.to_string(),
            instance_type: m.instance_type.clone(),
            auto_scaling_group_name: group.name.clone(),
            availability_zone: m.zone.clone(),
            availability_zone_id: zone::zone_id(&m.zone),
            lifecycle_state: if group.warm.iter().any(|w| w.id == m.id) {
                m.lifecycle.warm_name()
            } else {
                m.lifecycle.name()
            },
            health_status: if m.healthy { "HEALTHY" } else { "UNHEALTHY" },
            launch_configuration_name: m.configuration.clone(),
            launch_template: template_of(m),
            protected_from_scale_in: m.protected_from_scale_in,
            weighted_capacity: weight_of(group, m),
        };
    Ok(AutoScalingInstances {
        auto_scaling_instances: members.into_iter().map(details).collect(),
        next_token,
    })
}
