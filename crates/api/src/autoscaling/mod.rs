//! EC2 Auto Scaling: groups, their members, policies and activities.
//!
//! [`service`] is the one list of actions. An action says what a group shall be;
//! the group controller launches, registers and ends instances and writes the
//! activities, the alarm controller runs policies. What a call itself takes in
//! or out of a group (attach, detach, standby, terminate) is written here, with
//! its activity.

mod absent;
mod activity;
mod attachment;
mod block_device;
mod capacity;
mod cause;
mod check;
mod error;
mod execute_policy;
mod group;
mod group_metric;
mod group_shape;
mod instance_refresh;
mod instance_refresh_shape;
mod instance_requirements;
mod kind;
mod launch_configuration;
mod lifecycle_hook;
mod member;
mod mixed_instances;
mod notification;
mod page;
mod placement;
mod policy;
mod policy_shape;
mod scheduled_action;
mod setting;
mod standby;
mod suspended_process;
mod tag;
mod target_group;
mod target_tracking;
mod template;
#[cfg(test)]
mod tests;
mod tracked_math;
mod traffic_source;
mod warm_pool;
mod zonal_shift;

use crate::Ctx;
use wire::{QueryKind, Service, action};

pub fn service() -> Service<Ctx> {
    Service {
        version: "2011-01-01",
        xml_namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
        query_kind: Some(QueryKind::Query),
        actions: vec![
            action("CreateAutoScalingGroup", group::create),
            action("UpdateAutoScalingGroup", group::update),
            action("DeleteAutoScalingGroup", group::delete),
            action("DescribeAutoScalingGroups", group_shape::describe),
            action(
                "DescribeAutoScalingInstances",
                group_shape::describe_instances,
            ),
            action("SetDesiredCapacity", capacity::set),
            action("SetInstanceHealth", member::set_health),
            action("SetInstanceProtection", member::set_protection),
            action("TerminateInstanceInAutoScalingGroup", member::terminate),
            action("AttachInstances", attachment::attach),
            action("DetachInstances", attachment::detach),
            action("EnterStandby", standby::enter),
            action("ExitStandby", standby::exit),
            action("AttachLoadBalancerTargetGroups", target_group::attach),
            action("DetachLoadBalancerTargetGroups", target_group::detach),
            action("DescribeLoadBalancerTargetGroups", target_group::describe),
            action("AttachLoadBalancers", target_group::attach_classic),
            action("DetachLoadBalancers", target_group::attach_classic),
            action("DescribeLoadBalancers", target_group::describe_classic),
            action("AttachTrafficSources", traffic_source::attach),
            action("DetachTrafficSources", traffic_source::detach),
            action("DescribeTrafficSources", traffic_source::describe),
            action("PutScalingPolicy", policy::put),
            action("DeletePolicy", policy::delete),
            action("DescribePolicies", policy_shape::describe),
            action("ExecutePolicy", execute_policy::execute),
            action(
                "GetPredictiveScalingForecast",
                absent::get_predictive_scaling_forecast,
            ),
            action("DescribeScalingActivities", activity::describe),
            action("SuspendProcesses", suspended_process::suspend),
            action("ResumeProcesses", suspended_process::resume),
            action("EnableMetricsCollection", group_metric::enable),
            action("DisableMetricsCollection", group_metric::disable),
            action(
                "DescribeMetricCollectionTypes",
                group_metric::describe_types,
            ),
            action("CreateOrUpdateTags", tag::create_or_update),
            action("DeleteTags", tag::delete),
            action("DescribeTags", tag::describe),
            action("DescribeAccountLimits", kind::account_limits),
            action("DescribeAdjustmentTypes", kind::adjustment_types),
            action(
                "DescribeTerminationPolicyTypes",
                kind::termination_policy_types,
            ),
            action("DescribeScalingProcessTypes", kind::scaling_process_types),
            action("PutLifecycleHook", lifecycle_hook::put),
            action("DeleteLifecycleHook", lifecycle_hook::delete),
            action("DescribeLifecycleHookTypes", lifecycle_hook::describe_types),
            action("CompleteLifecycleAction", lifecycle_hook::complete),
            action("RecordLifecycleActionHeartbeat", lifecycle_hook::heartbeat),
            action("DescribeLifecycleHooks", lifecycle_hook::describe),
            action("CreateLaunchConfiguration", launch_configuration::create),
            action("DeleteLaunchConfiguration", launch_configuration::delete),
            action(
                "DescribeLaunchConfigurations",
                launch_configuration::describe,
            ),
            action("PutScheduledUpdateGroupAction", scheduled_action::put),
            action(
                "BatchPutScheduledUpdateGroupAction",
                scheduled_action::batch_put,
            ),
            action("DeleteScheduledAction", scheduled_action::delete),
            action("BatchDeleteScheduledAction", scheduled_action::batch_delete),
            action("DescribeScheduledActions", scheduled_action::describe),
            action("PutWarmPool", warm_pool::put),
            action("DeleteWarmPool", warm_pool::delete),
            action("DescribeWarmPool", warm_pool::describe),
            action("StartInstanceRefresh", instance_refresh::start),
            action("CancelInstanceRefresh", instance_refresh::cancel),
            action("RollbackInstanceRefresh", instance_refresh::rollback),
            action(
                "DescribeInstanceRefreshes",
                instance_refresh_shape::describe,
            ),
            action("PutNotificationConfiguration", notification::put),
            action("DeleteNotificationConfiguration", notification::delete),
            action("DescribeNotificationConfigurations", notification::describe),
            action(
                "DescribeAutoScalingNotificationTypes",
                notification::describe_types,
            ),
        ],
        ..Service::new("autoscaling")
    }
}

/// The answer of actions whose output has no members.
#[derive(serde::Serialize)]
pub struct Done {}
