//! The records that scenarios start from: what a web tier's Terraform would make.

use crate::cloud::{Cloud, text};
use jiff::Timestamp;
use model::autoscaling::{AutoScalingGroup, GroupTemplate, PolicyKind, ScalingPolicy};
use model::cloudwatch::{AlarmState, MetricAlarm};
use model::{LaunchTemplateId, SubnetId};

/// A group of `desired` instances in zones a and b, EC2 health alone.
pub fn group(cloud: &Cloud, name: &str, (min, max, desired): (u32, u32, u32)) {
    let template = cloud.ec2(&format!(
        "CreateLaunchTemplate&LaunchTemplateName={name}&LaunchTemplateData.ImageId=ami-043985f3006b29f9e&LaunchTemplateData.InstanceType=t3.micro&LaunchTemplateData.Monitoring.Enabled={}",
        // Five times the points.
        !cloud.thrifty
    ));
    let template: LaunchTemplateId = text(&template, "launchTemplateId").parse().unwrap();
    let now = cloud.now();
    let cause = format!(
        "a user request created an AutoScalingGroup changing the desired capacity from 0 to {desired}."
    );
    let subnets = ["us-east-1a", "us-east-1b"]
        .map(|zone| subnet(cloud, zone))
        .to_vec();
    let template = GroupTemplate {
        id: template,
        name: name.into(),
        version: "$Latest".into(),
        policy: None,
        configuration: None,
    };
    let mut record = AutoScalingGroup::new(cloud.scope.clone(), "1", name, template, now);
    (record.min_size, record.max_size) = (min, max);
    record.set_desired_capacity(desired);
    record.zones = vec!["us-east-1a".into(), "us-east-1b".into()];
    record.subnets = subnets;
    record.subnets_named = true;
    record.last_cause = Some(control::group::at(now, &cause));
    cloud.store.update(|tx| tx.put(record));
}

pub fn subnet(cloud: &Cloud, zone: &str) -> SubnetId {
    cloud
        .state()
        .subnets
        .values()
        .find(|s| s.zone == zone && s.scope == cloud.scope)
        .unwrap()
        .id
        .clone()
}

/// A load balancer in zones a and b with a listener that forwards to the target group it names.
pub struct Web {
    pub load_balancer: String,
    pub target_group: String,
}

/// Checks every 10 s; unhealthy after two failures, healthy again after three passes.
pub fn load_balancer(cloud: &Cloud, name: &str) -> Web {
    let vpc = cloud.state().vpcs.values().next().unwrap().id.clone();
    let (a, b) = (subnet(cloud, "us-east-1a"), subnet(cloud, "us-east-1b"));
    let answer = cloud.elbv2(&format!(
        "CreateLoadBalancer&Name={name}&Subnets.member.1={a}&Subnets.member.2={b}"
    ));
    let load_balancer = text(&answer, "LoadBalancerArn");
    let answer = cloud.elbv2(&format!(
        "CreateTargetGroup&Name={name}&Protocol=HTTP&Port=80&VpcId={vpc}&HealthCheckIntervalSeconds=10&HealthCheckTimeoutSeconds=5&HealthyThresholdCount=3&UnhealthyThresholdCount=2"
    ));
    let target_group = text(&answer, "TargetGroupArn");
    cloud.elbv2(&format!(
        "ModifyTargetGroupAttributes&TargetGroupArn={target_group}&Attributes.member.1.Key=deregistration_delay.timeout_seconds&Attributes.member.1.Value=30"
    ));
    cloud.elbv2(&format!(
        "CreateListener&LoadBalancerArn={load_balancer}&Protocol=HTTP&Port=80&DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn={target_group}"
    ));
    Web {
        load_balancer,
        target_group,
    }
}

/// A group behind a load balancer, replaced by ELB health after a grace period.
pub fn web(cloud: &Cloud, name: &str, sizes: (u32, u32, u32), grace: u32) -> Web {
    let web = load_balancer(cloud, name);
    group(cloud, name, sizes);
    cloud.change_group(name, |g| {
        g.target_groups.push(web.target_group.clone());
        g.health_check_types.push("ELB".into());
        g.health_check_grace_period = grace;
    });
    web
}

/// A policy and its ARN.
pub fn policy(cloud: &Cloud, group: &str, name: &str, kind: PolicyKind, alarms: &[&str]) -> String {
    let arn = cloud.scope.arn(
        "autoscaling",
        format!("scalingPolicy:1:autoScalingGroupName/{group}:policyName/{name}"),
    );
    let alarm = |name: &&str| {
        (
            cloud.scope.arn("cloudwatch", format!("alarm:{name}")),
            (*name).to_owned(),
        )
    };
    let record = ScalingPolicy {
        arn: arn.clone(),
        scope: cloud.scope.clone(),
        group: group.into(),
        name: name.into(),
        enabled: true,
        kind,
        alarms: alarms.iter().map(alarm).collect(),
        executions: Vec::new(),
    };
    cloud.store.update(|tx| tx.put(record));
    arn
}

/// An alarm on the group's average CPU utilisation.
pub fn cpu_alarm(
    cloud: &Cloud,
    group: &str,
    name: &str,
    operator: &str,
    threshold: f64,
    periods: u32,
    action: &str,
) {
    let now: Timestamp = cloud.now();
    let record = MetricAlarm {
        arn: cloud.scope.arn("cloudwatch", format!("alarm:{name}")),
        scope: cloud.scope.clone(),
        name: name.into(),
        description: None,
        actions_enabled: true,
        ok_actions: Vec::new(),
        alarm_actions: vec![action.into()],
        insufficient_data_actions: Vec::new(),
        namespace: "AWS/EC2".into(),
        metric_name: "CPUUtilization".into(),
        dimensions: vec![("AutoScalingGroupName".into(), group.into())],
        statistic: Some("Average".into()),
        extended_statistic: None,
        unit: None,
        period: 60,
        evaluation_periods: periods,
        datapoints_to_alarm: None,
        threshold,
        comparison_operator: operator.into(),
        treat_missing_data: None,
        evaluate_low_sample_count_percentile: None,
        updated: now,
        state: AlarmState::InsufficientData,
        state_reason: String::new(),
        state_reason_data: String::new(),
        state_updated: now,
        state_transitioned: now,
        state_before: AlarmState::InsufficientData,
        metrics: Vec::new(),
        actions_due: false,
        tags: Default::default(),
    };
    cloud.store.update(|tx| tx.put(record));
}
