//! Lifecycle hooks hold members on their way in and on their way out.

use crate::cloud::Cloud;
use crate::stack::{self, Web};
use model::autoscaling::{Activity, GroupInstance};
use model::instance::{Instance, InstanceState};

const IN: &str = "autoscaling:EC2_INSTANCE_LAUNCHING";
const OUT: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

fn hook(cloud: &Cloud, name: &str, transition: &str, more: &str) {
    cloud.autoscaling(&format!(
        "PutLifecycleHook&AutoScalingGroupName=web&LifecycleHookName={name}&LifecycleTransition={transition}{more}"
    ));
}

fn states(cloud: &Cloud) -> Vec<&'static str> {
    let group = cloud.group("web");
    group.instances.iter().map(|m| m.lifecycle.name()).collect()
}

fn member(cloud: &Cloud, at: usize) -> GroupInstance {
    cloud.group("web").instances[at].clone()
}

fn complete(cloud: &Cloud, hook: &str, who: &str, result: &str) -> Result<String, String> {
    cloud.try_autoscaling(&format!(
        "CompleteLifecycleAction&AutoScalingGroupName=web&LifecycleHookName={hook}&{who}&LifecycleActionResult={result}"
    ))
}

fn by_instance(cloud: &Cloud, at: usize) -> String {
    format!("InstanceId={}", member(cloud, at).id)
}

fn targets(cloud: &Cloud, web: &Web) -> usize {
    cloud.state().target_groups[&web.target_group].targets.len()
}

/// The one activity of that status.
fn activity(cloud: &Cloud, status: &str) -> Activity {
    let state = cloud.state();
    let found = state.activities.values().find(|a| a.status == status);
    (**found.unwrap_or_else(|| panic!("no activity is {status}"))).clone()
}

fn messages(cloud: &Cloud) -> Vec<serde_json::Value> {
    let state = cloud.state();
    let events = state
        .events
        .values()
        .filter(|e| e.kind == "lifecycle-action");
    events
        .map(|e| serde_json::from_str(&e.message).unwrap())
        .collect()
}

#[test]
fn a_launch_waits_serves_nobody_and_goes_on_when_told() {
    let mut cloud = Cloud::new(1.0);
    let web = stack::web(&cloud, "web", (1, 3, 1), 60);
    hook(
        &cloud,
        "prepare",
        IN,
        "&HeartbeatTimeout=100&NotificationMetadata=hello",
    );
    cloud.until("waiting", 60.0, |c| states(c) == ["Pending:Wait"]);
    assert_eq!(activity(&cloud, "MidLifecycleAction").progress, 50);
    let message = &messages(&cloud)[0];
    assert_eq!(message["NotificationMetadata"], "hello");
    assert_eq!(message["LifecycleTransition"], IN);
    // A sign of life makes the timeout start anew.
    cloud.run(90.0);
    let who = by_instance(&cloud, 0);
    cloud.autoscaling(&format!(
        "RecordLifecycleActionHeartbeat&AutoScalingGroupName=web&LifecycleHookName=prepare&{who}"
    ));
    cloud.run(90.0);
    assert_eq!(
        (states(&cloud), targets(&cloud, &web)),
        (vec!["Pending:Wait"], 0)
    );
    let token = format!(
        "LifecycleActionToken={}",
        message["LifecycleActionToken"].as_str().unwrap()
    );
    complete(&cloud, "prepare", &token, "CONTINUE").unwrap();
    cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    assert_eq!(targets(&cloud, &web), 1);
    let late = complete(&cloud, "prepare", &who, "CONTINUE").unwrap_err();
    let id = member(&cloud, 0).id;
    assert_eq!(
        late,
        format!("ValidationError: No active Lifecycle Action found with instance ID {id}")
    );
}

#[test]
fn a_launch_that_nobody_speaks_for_is_abandoned_and_another_takes_its_place() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 1, 1));
    hook(&cloud, "prepare", IN, "&HeartbeatTimeout=30");
    cloud.until("waiting", 60.0, |c| states(c) == ["Pending:Wait"]);
    let first = member(&cloud, 0);
    cloud.until("given up", 40.0, |c| !states(c).contains(&"Pending:Wait"));
    let cancelled = activity(&cloud, "Cancelled");
    let token = &first.actions[0].token;
    assert_eq!(
        cancelled.status_message.unwrap(),
        format!(
            "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {token} was abandoned: Heartbeat Timeout"
        )
    );
    let another = |c: &Cloud| {
        let group = c.group("web");
        group
            .instances
            .iter()
            .any(|m| m.id != first.id && m.lifecycle.name() == "Pending:Wait")
    };
    cloud.until("another", 60.0, another);
    cloud.until("the first is gone", 120.0, |c| {
        c.state()
            .instances
            .get(&first.id)
            .is_none_or(|i: &std::sync::Arc<Instance>| i.state == InstanceState::Terminated)
    });
}

#[test]
fn every_hook_must_speak_and_one_no_is_enough() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (2, 2, 2));
    hook(&cloud, "one", IN, "&DefaultResult=CONTINUE");
    hook(
        &cloud,
        "two",
        IN,
        "&DefaultResult=CONTINUE&HeartbeatTimeout=7200",
    );
    cloud.until("waiting", 60.0, |c| {
        states(c) == ["Pending:Wait", "Pending:Wait"]
    });
    let (a, b) = (by_instance(&cloud, 0), by_instance(&cloud, 1));
    let refused = member(&cloud, 1).id;
    complete(&cloud, "one", &a, "CONTINUE").unwrap();
    complete(&cloud, "one", &b, "ABANDON").unwrap();
    cloud.run(5.0);
    assert_eq!(states(&cloud)[0], "Pending:Wait");
    assert!(
        cloud
            .group("web")
            .instances
            .iter()
            .all(|m| m.id != refused || m.lifecycle.is_terminating())
    );
    complete(&cloud, "two", &a, "CONTINUE").unwrap();
    cloud.run(1.0);
    assert_eq!(states(&cloud)[0], "InService");
    // Nobody speaks for the third, but both hooks say to go on when their time is up.
    cloud.until("two", 7300.0, |c| c.at_rest("web"));
}

#[test]
fn an_end_waits_after_draining_and_goes_on_whatever_is_said() {
    for result in ["CONTINUE", "ABANDON"] {
        let mut cloud = Cloud::new(1.0);
        let web = stack::web(&cloud, "web", (0, 2, 2), 60);
        cloud.until("at rest", 120.0, |c| c.at_rest("web"));
        hook(&cloud, "save", OUT, "");
        hook(&cloud, "tell", OUT, "");
        cloud.resize("web", 0, 2, 1);
        cloud.run(1.0);
        assert_eq!(
            activity(&cloud, "WaitingForELBConnectionDraining").progress,
            50
        );
        cloud.until("waiting", 60.0, |c| states(c).contains(&"Terminating:Wait"));
        assert_eq!(targets(&cloud, &web), 1);
        let at = states(&cloud)
            .iter()
            .position(|s| *s == "Terminating:Wait")
            .unwrap();
        let leaving = member(&cloud, at);
        assert_eq!(
            cloud.state().instances[&leaving.id].state,
            InstanceState::Running
        );
        cloud.run(600.0);
        let who = format!("InstanceId={}", leaving.id);
        complete(&cloud, "save", &who, result).unwrap();
        cloud.run(1.0);
        if result == "CONTINUE" {
            assert!(states(&cloud).contains(&"Terminating:Wait"));
            complete(&cloud, "tell", &who, result).unwrap();
        }
        cloud.until("one", 120.0, |c| c.at_rest("web"));
    }
}

#[test]
fn a_failed_instance_is_replaced_while_its_hook_waits() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 1, 1));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    hook(&cloud, "save", OUT, "&HeartbeatTimeout=300");
    let id = member(&cloud, 0).id;
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={id}"));
    cloud.until("both", 120.0, |c| {
        states(c) == ["Terminating:Wait", "InService"]
    });
    cloud.until("one", 400.0, |c| c.at_rest("web"));
}

#[test]
fn deleting_a_hook_lets_members_go_on() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (0, 2, 1));
    hook(&cloud, "save", OUT, "");
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.resize("web", 0, 2, 0);
    cloud.until("waiting", 60.0, |c| states(c) == ["Terminating:Wait"]);
    cloud.autoscaling("DeleteLifecycleHook&AutoScalingGroupName=web&LifecycleHookName=save");
    cloud.until("empty", 60.0, |c| states(c).is_empty());
}

#[test]
fn a_forced_deletion_waits_for_no_hook() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (2, 2, 2));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    hook(&cloud, "save", OUT, "");
    cloud.resize("web", 0, 2, 1);
    cloud.until("waiting", 60.0, |c| states(c).contains(&"Terminating:Wait"));
    cloud.autoscaling("DeleteAutoScalingGroup&AutoScalingGroupName=web&ForceDelete=true");
    cloud.until("gone", 60.0, |c| c.find_group("web").is_none());
}

#[test]
fn standby_and_attaching_pass_no_hooks() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (0, 3, 1));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    hook(&cloud, "prepare", IN, "");
    let who = format!(
        "AutoScalingGroupName=web&InstanceIds.member.1={}",
        member(&cloud, 0).id
    );
    cloud.autoscaling(&format!(
        "EnterStandby&{who}&ShouldDecrementDesiredCapacity=true"
    ));
    cloud.until("standby", 60.0, |c| states(c) == ["Standby"]);
    cloud.autoscaling(&format!("ExitStandby&{who}"));
    cloud.run(2.0);
    assert_eq!(states(&cloud), ["InService"]);
}

/// A faster clock shrinks a timeout only beyond what the hook's work was seen to take.
#[test]
fn speed_leaves_the_work_its_time() {
    let mut cloud = Cloud::new(60.0);
    stack::group(&cloud, "web", (1, 3, 1));
    hook(&cloud, "prepare", IN, "&HeartbeatTimeout=600");
    cloud.until("waiting", 60.0, |c| states(c) == ["Pending:Wait"]);
    cloud.run(60.0);
    complete(&cloud, "prepare", &by_instance(&cloud, 0), "CONTINUE").unwrap();
    cloud.run(1.0);
    cloud.resize("web", 1, 3, 2);
    cloud.until("waiting", 60.0, |c| {
        states(c) == ["InService", "Pending:Wait"]
    });
    let took = cloud.until("given up", 600.0, |c| states(c)[1] != "Pending:Wait");
    // 60 s of work, and a sixtieth of the other 540.
    assert!((69.0..71.0).contains(&took), "{took}");
}
