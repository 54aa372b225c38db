//! Members stand by, leave and join while traffic drains.

use crate::cloud::{Cloud, texts};
use crate::stack;
use model::autoscaling::LifecycleState;

fn web(cloud: &mut Cloud) -> stack::Web {
    let web = stack::web(cloud, "web", (0, 4, 2), 60);
    cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    web
}

fn states(cloud: &Cloud) -> Vec<&'static str> {
    let group = cloud.group("web");
    group.instances.iter().map(|m| m.lifecycle.name()).collect()
}

fn first(cloud: &Cloud) -> String {
    let id = &cloud.group("web").instances[0].id;
    format!("AutoScalingGroupName=web&InstanceIds.member.1={id}")
}

#[test]
fn a_member_stands_by_once_drained_and_serves_again() {
    let mut cloud = Cloud::new(1.0);
    let web = web(&mut cloud);
    let who = first(&cloud);
    let answer = cloud.autoscaling(&format!(
        "EnterStandby&{who}&ShouldDecrementDesiredCapacity=false"
    ));
    assert!(
        answer.contains("<StatusCode>InProgress</StatusCode>"),
        "{answer}"
    );
    cloud.run(1.0);
    assert_eq!(states(&cloud)[0], "EnteringStandby");
    // Its place is taken meanwhile.
    assert_eq!(states(&cloud).len(), 3);
    let took = cloud.until("standby", 60.0, |c| states(c)[0] == "Standby");
    assert!((28.0..31.0).contains(&took), "drained in {took} s");
    let ended = |c: &Cloud| {
        let state = c.state();
        state.activities.values().all(|a| a.ended.is_some())
    };
    cloud.until("told", 60.0, ended);
    cloud.autoscaling(&format!("ExitStandby&{who}"));
    cloud.until("serving", 120.0, |c| c.at_rest("web"));
    assert_eq!(cloud.group("web").desired_capacity(), 3);
    assert_eq!(
        cloud.state().target_groups[&web.target_group].targets.len(),
        3
    );
}

#[test]
fn a_detached_member_runs_on_without_the_group() {
    let mut cloud = Cloud::new(1.0);
    web(&mut cloud);
    let (who, id) = (first(&cloud), cloud.group("web").instances[0].id.clone());
    cloud.autoscaling(&format!(
        "DetachInstances&{who}&ShouldDecrementDesiredCapacity=true"
    ));
    cloud.run(1.0);
    assert_eq!(states(&cloud)[0], "Detaching");
    cloud.until("gone", 60.0, |c| {
        c.group("web").instances.iter().all(|m| m.id != id)
    });
    let state = cloud.state();
    let instance = &state.instances[&id];
    assert_eq!(instance.state, model::instance::InstanceState::Running);
    assert!(!instance.tags.contains_key("aws:autoscaling:groupName"));
    cloud.autoscaling(&format!("AttachInstances&{who}"));
    cloud.until("back", 120.0, |c| c.at_rest("web"));
    assert_eq!(cloud.group("web").desired_capacity(), 2);
}

#[test]
fn a_protected_member_outlives_a_scale_in_but_not_a_failure() {
    let mut cloud = Cloud::new(1.0);
    web(&mut cloud);
    let (who, id) = (first(&cloud), cloud.group("web").instances[0].id.clone());
    cloud.autoscaling(&format!(
        "SetInstanceProtection&{who}&ProtectedFromScaleIn=true"
    ));
    cloud.resize("web", 0, 4, 0);
    cloud.run(300.0);
    assert_eq!(cloud.in_service("web"), std::slice::from_ref(&id));
    cloud.autoscaling(&format!(
        "SetInstanceHealth&InstanceId={id}&HealthStatus=Unhealthy&ShouldRespectGracePeriod=false"
    ));
    cloud.until("gone", 120.0, |c| c.group("web").instances.is_empty());
}

#[test]
fn a_member_terminated_by_hand_is_replaced_unless_the_capacity_shrinks() {
    let mut cloud = Cloud::new(1.0);
    web(&mut cloud);
    for (decrement, left) in [(false, 2), (true, 1)] {
        let id = cloud.in_service("web")[0].clone();
        cloud.autoscaling(&format!("TerminateInstanceInAutoScalingGroup&InstanceId={id}&ShouldDecrementDesiredCapacity={decrement}"));
        cloud.until("at rest", 200.0, |c| c.at_rest("web"));
        assert_eq!(cloud.group("web").desired_capacity(), left);
        let group = cloud.group("web");
        assert!(
            group
                .instances
                .iter()
                .all(|m| m.id != id && m.lifecycle == LifecycleState::InService)
        );
    }
}

/// Activities of one call are told newest first, in the order that the call named its instances.
#[test]
fn activities_of_one_call_keep_its_order() {
    let mut cloud = Cloud::new(1.0);
    web(&mut cloud);
    let ids: Vec<String> = cloud.group("web").instances[..2]
        .iter()
        .map(|m| m.id.to_string())
        .collect();
    for _ in 0..3 {
        let answer = cloud.autoscaling(&format!(
            "EnterStandby&AutoScalingGroupName=web&InstanceIds.member.1={}&InstanceIds.member.2={}&ShouldDecrementDesiredCapacity=true",
            ids[0], ids[1]
        ));
        let moved = |answer: &str| {
            let all = texts(answer, "Description").into_iter();
            all.filter(|d| d.contains("to Standby")).collect::<Vec<_>>()
        };
        let mut newest_first = moved(&answer);
        newest_first.reverse();
        let told = cloud.autoscaling("DescribeScalingActivities&AutoScalingGroupName=web");
        assert_eq!(moved(&told)[..2], newest_first);
        let standby = |c: &Cloud| states(c).iter().filter(|s| **s == "Standby").count() == 2;
        cloud.until("standby", 60.0, standby);
        cloud.autoscaling(&format!(
            "ExitStandby&AutoScalingGroupName=web&InstanceIds.member.1={}&InstanceIds.member.2={}",
            ids[0], ids[1]
        ));
        cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    }
}
