//! Warm pools: filled, drawn from, refilled, given back to, deleted.

use crate::cloud::Cloud;
use crate::stack;
use model::instance::InstanceState;

fn put(cloud: &Cloud, more: &str) {
    cloud.autoscaling(&format!("PutWarmPool&AutoScalingGroupName=web{more}"));
}

fn pool(cloud: &Cloud) -> Vec<&'static str> {
    let group = cloud.group("web");
    group.warm.iter().map(|m| m.lifecycle.warm_name()).collect()
}

fn stopped(cloud: &Cloud) -> usize {
    let state = cloud.state();
    state
        .instances
        .values()
        .filter(|i| i.state == InstanceState::Stopped)
        .count()
}

#[test]
fn a_pool_fills_serves_a_scale_out_and_fills_again() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 4, 1));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    put(&cloud, "");
    cloud.until("full", 120.0, |c| pool(c) == ["Warmed:Stopped"; 3]);
    assert_eq!(stopped(&cloud), 3);
    let answer = cloud.autoscaling("DescribeWarmPool&AutoScalingGroupName=web");
    assert!(
        answer.contains("<LifecycleState>Warmed:Stopped</LifecycleState>"),
        "{answer}"
    );
    let warmed: Vec<_> = cloud
        .group("web")
        .warm
        .iter()
        .map(|m| m.id.clone())
        .collect();

    cloud.resize("web", 1, 4, 3);
    cloud.until("served", 60.0, |c| c.at_rest("web"));
    let group = cloud.group("web");
    assert!(group.instances[1..].iter().all(|m| warmed.contains(&m.id)));
    assert_eq!(pool(&cloud), ["Warmed:Stopped"]);
    let state = cloud.state();
    let said = "Launching a new EC2 instance from warm pool: ";
    let from_pool = state
        .activities
        .values()
        .filter(|a| a.description.starts_with(said));
    assert_eq!(from_pool.count(), 2);

    // What a scale-in takes out ends; the pool is filled with new ones.
    cloud.resize("web", 1, 4, 1);
    cloud.until("full again", 200.0, |c| {
        pool(c) == ["Warmed:Stopped"; 3] && c.at_rest("web")
    });
    assert!(
        cloud
            .group("web")
            .warm
            .iter()
            .filter(|m| warmed.contains(&m.id))
            .count()
            == 1
    );
}

#[test]
fn a_running_pool_keeps_its_sizes_and_takes_back_what_a_scale_in_gives() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (0, 6, 2));
    put(
        &cloud,
        "&PoolState=Running&MaxGroupPreparedCapacity=3&MinSize=1&InstanceReusePolicy.ReuseOnScaleIn=true",
    );
    cloud.until("full", 120.0, |c| {
        pool(c) == ["Warmed:Running"] && c.at_rest("web")
    });
    let warmed = cloud.group("web").warm[0].id.clone();
    cloud.resize("web", 0, 6, 4);
    cloud.until("four", 120.0, |c| {
        c.at_rest("web") && pool(c) == ["Warmed:Running"]
    });
    assert!(cloud.in_service("web").contains(&warmed));
    let members = cloud.in_service("web");
    cloud.resize("web", 0, 6, 2);
    cloud.until("two", 200.0, |c| {
        c.at_rest("web") && pool(c) == ["Warmed:Running"]
    });
    let refused =
        cloud.try_autoscaling("PutWarmPool&AutoScalingGroupName=web&PoolState=Hibernated");
    assert!(refused.unwrap_err().contains("not supported"));
    cloud.resize("web", 0, 6, 0);
    cloud.until("three", 200.0, |c| {
        c.at_rest("web") && pool(c) == ["Warmed:Running"; 3]
    });
    assert!(
        cloud
            .group("web")
            .warm
            .iter()
            .any(|m| members.contains(&m.id))
    );
}

#[test]
fn hooks_are_heard_into_the_pool_and_out_of_it() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (0, 1, 0));
    let hook = "AutoScalingGroupName=web&LifecycleHookName=prepare";
    cloud.autoscaling(&format!(
        "PutLifecycleHook&{hook}&LifecycleTransition=autoscaling:EC2_INSTANCE_LAUNCHING"
    ));
    put(&cloud, "");
    cloud.until("waiting", 60.0, |c| pool(c) == ["Warmed:Pending:Wait"]);
    let id = cloud.group("web").warm[0].id.clone();
    let complete =
        format!("CompleteLifecycleAction&{hook}&InstanceId={id}&LifecycleActionResult=CONTINUE");
    cloud.autoscaling(&complete);
    cloud.until("warmed", 60.0, |c| pool(c) == ["Warmed:Stopped"]);
    cloud.resize("web", 0, 1, 1);
    let waits = |c: &Cloud| {
        c.group("web")
            .instances
            .iter()
            .any(|m| m.lifecycle.name() == "Pending:Wait")
    };
    cloud.until("waiting again", 60.0, waits);
    cloud.autoscaling(&complete);
    cloud.until("serving", 60.0, |c| c.at_rest("web"));
    let state = cloud.state();
    let told = |origin: &str, destination: &str| {
        let both = format!("\"Destination\":\"{destination}\"");
        let from = format!("\"Origin\":\"{origin}\"");
        state
            .events
            .values()
            .filter(|e| e.message.contains(&both) && e.message.contains(&from))
            .count()
    };
    assert_eq!(
        (
            told("EC2", "WarmPool"),
            told("WarmPool", "AutoScalingGroup")
        ),
        (1, 1)
    );
}

#[test]
fn a_pool_goes_by_itself_and_with_its_group() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 3, 1));
    put(&cloud, "");
    cloud.until("full", 120.0, |c| pool(c) == ["Warmed:Stopped"; 2]);
    let id = cloud.group("web").warm[0].id.clone();
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={id}"));
    cloud.until("made good", 120.0, |c| {
        pool(c) == ["Warmed:Stopped"; 2] && c.group("web").warm.iter().all(|m| m.id != id)
    });
    cloud.autoscaling("DeleteWarmPool&AutoScalingGroupName=web");
    cloud.until("no pool", 120.0, |c| {
        c.group("web").warm_pool.is_none() && pool(c).is_empty()
    });
    assert!(cloud.at_rest("web"));
    put(&cloud, "");
    cloud.until("full", 120.0, |c| pool(c) == ["Warmed:Stopped"; 2]);
    let plain = cloud.try_autoscaling("DeleteAutoScalingGroup&AutoScalingGroupName=web");
    assert!(plain.unwrap_err().starts_with("ResourceInUse"));
    cloud.autoscaling("DeleteAutoScalingGroup&AutoScalingGroupName=web&ForceDelete=true");
    cloud.until("gone", 120.0, |c| c.find_group("web").is_none());
    assert_eq!(stopped(&cloud), 0);
}

#[test]
fn a_refresh_replaces_the_pool_as_well() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 4, 2));
    cloud.change_group("web", |g| g.template.version = "1".into());
    put(&cloud, "");
    let full = |c: &Cloud| pool(c) == ["Warmed:Stopped"; 2];
    cloud.until("full", 120.0, |c| full(c) && c.at_rest("web"));
    cloud.ec2("CreateLaunchTemplateVersion&LaunchTemplateName=web&SourceVersion=1&LaunchTemplateData.InstanceType=t3.small");
    cloud.autoscaling("StartInstanceRefresh&AutoScalingGroupName=web&Preferences.InstanceWarmup=0&DesiredConfiguration.LaunchTemplate.LaunchTemplateName=web&DesiredConfiguration.LaunchTemplate.Version=2");
    let done = |c: &Cloud| c.state().instance_refreshes.values().all(|r| !r.active());
    cloud.until("refreshed", 600.0, done);
    let described = cloud.autoscaling("DescribeInstanceRefreshes&AutoScalingGroupName=web");
    assert!(
        described.contains("<WarmPoolProgress><PercentageComplete>100</PercentageComplete><InstancesToUpdate>0</InstancesToUpdate></WarmPoolProgress>"),
        "{described}"
    );
    cloud.until("full again", 300.0, |c| full(c) && c.at_rest("web"));
    let group = cloud.group("web");
    assert!(group.held().all(|m| m.template.2 == 2));
}

#[test]
fn one_of_the_pool_can_be_terminated_and_called_unhealthy() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 3, 1));
    put(&cloud, "");
    let full = |c: &Cloud| pool(c) == ["Warmed:Stopped"; 2];
    cloud.until("full", 120.0, full);
    let id = |c: &Cloud| c.group("web").warm[0].id.clone();
    let terminate = "TerminateInstanceInAutoScalingGroup&InstanceId";
    let (first, decrement) = (id(&cloud), "&ShouldDecrementDesiredCapacity");
    let refused = cloud.try_autoscaling(&format!("{terminate}={first}{decrement}=true"));
    assert!(refused.unwrap_err().contains("in the warm pool"));
    cloud.autoscaling(&format!("{terminate}={first}{decrement}=false"));
    let replaced = |id| move |c: &Cloud| full(c) && c.group("web").warm.iter().all(|m| m.id != id);
    cloud.until("replaced", 200.0, replaced(first));
    let second = id(&cloud);
    cloud.autoscaling(&format!(
        "SetInstanceHealth&InstanceId={second}&HealthStatus=Unhealthy"
    ));
    cloud.until("replaced too", 200.0, replaced(second));
    assert_eq!(cloud.group("web").desired_capacity(), 1);
}
