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
mod kind;
mod lifecycle_hook;
mod member;
mod page;
mod placement;
mod policy;
mod policy_shape;
mod setting;
mod standby;
mod suspended_process;
mod tag;
mod target_group;
mod target_tracking;
mod template;
#[cfg(test)]
mod tests;
mod traffic_source;

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
            action("DeleteLifecycleHook", absent::delete_lifecycle_hook),
            action("DescribeLifecycleHooks", lifecycle_hook::describe),
            action(
                "CreateLaunchConfiguration",
                absent::create_launch_configuration,
            ),
            action(
                "DeleteLaunchConfiguration",
                absent::delete_launch_configuration,
            ),
            action(
                "DescribeLaunchConfigurations",
                absent::describe_launch_configurations,
            ),
            action(
                "PutScheduledUpdateGroupAction",
                absent::put_scheduled_action,
            ),
            action("DeleteScheduledAction", absent::delete_scheduled_action),
            action(
                "DescribeScheduledActions",
                absent::describe_scheduled_actions,
            ),
            action("PutWarmPool", absent::put_warm_pool),
            action("DeleteWarmPool", absent::delete_warm_pool),
            action("DescribeWarmPool", absent::describe_warm_pool),
            action("StartInstanceRefresh", instance_refresh::start),
            action("CancelInstanceRefresh", instance_refresh::cancel),
            action("RollbackInstanceRefresh", instance_refresh::rollback),
            action(
                "DescribeInstanceRefreshes",
                instance_refresh_shape::describe,
            ),
            action(
                "PutNotificationConfiguration",
                absent::put_notification_configuration,
            ),
            action(
                "DeleteNotificationConfiguration",
                absent::delete_notification_configuration,
            ),
            action(
                "DescribeNotificationConfigurations",
                absent::describe_notification_configurations,
            ),
        ],
        ..Service::new("autoscaling")
    }
}

/// The answer of actions whose output has no members.
#[derive(serde::Serialize)]
pub struct Done {}
