//! Groups fill, and replace what breaks.

use crate::cloud::Cloud;
use crate::{stack, timeline};
use model::autoscaling::LifecycleState;
use model::instance::Instance;
use std::time::Duration;

fn launches(cloud: &Cloud) -> usize {
    cloud
        .state()
        .activities
        .values()
        .filter(|a| a.description.starts_with("Launching"))
        .count()
}

fn terminations(cloud: &Cloud) -> usize {
    cloud
        .state()
        .activities
        .values()
        .filter(|a| a.description.starts_with("Terminating"))
        .count()
}

#[test]
fn a_group_fills_both_zones_and_serves() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 6, 4), 300);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    assert_eq!(
        cloud.serving("web").into_values().collect::<Vec<_>>(),
        [2, 2]
    );
    cloud.run(3600.0);
    assert_eq!((launches(&cloud), terminations(&cloud)), (4, 0));
}

#[test]
fn a_dead_application_is_replaced() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 4, 2), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.run(120.0);
    let victim = cloud.in_service("web")[0].clone();
    cloud.plane.break_app(&victim);
    cloud.until("taken out", 60.0, |c| {
        c.group("web")
            .instances
            .iter()
            .any(|m| m.id == victim && m.lifecycle == LifecycleState::Terminating)
    });
    cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    cloud.run(600.0);
    assert_eq!((launches(&cloud), terminations(&cloud)), (3, 1));
    insta::assert_snapshot!(timeline::of(&cloud));
}

#[test]
fn a_killed_instance_is_replaced_at_once_even_in_grace() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 4, 2), 3600);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let victim = cloud.in_service("web")[1].clone();
    cloud.host.kill(&victim).unwrap();
    let took = cloud.until("replaced", 60.0, |c| {
        c.serving("web").values().sum::<usize>() == 2 && !c.in_service("web").contains(&victim)
    });
    assert!(took < 5.0, "{took} s");
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    insta::assert_snapshot!(timeline::activities(&cloud));
}

#[test]
fn a_group_that_is_ill_as_a_whole_is_replaced_slowly() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (4, 8, 4), 120);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.run(200.0);
    cloud.plane.break_all_apps();
    cloud.run(600.0);
    // One at a time, each given its grace: five minutes' worth at most.
    let gone = terminations(&cloud);
    assert!(
        (1..=6).contains(&gone),
        "{gone} terminations:\n{}",
        timeline::activities(&cloud)
    );
    assert!(
        cloud
            .group("web")
            .instances
            .iter()
            .filter(|m| m.lifecycle == LifecycleState::InService)
            .count()
            >= 3
    );
    cloud.plane.mend_apps();
    cloud.until("at rest", 600.0, |c| c.at_rest("web"));
    let before = terminations(&cloud);
    cloud.run(1200.0);
    assert_eq!(terminations(&cloud), before);
}

#[test]
fn slow_boots_are_never_replaced_whatever_the_speed() {
    for speed in [1.0, 5.0, 20.0, 100.0] {
        let mut cloud = Cloud::new(speed);
        // Docker comes with the user data: ready at once, serving half a minute later.
        cloud.plane.set_app_boot(Duration::from_secs(28));
        stack::web(&cloud, "web", (2, 4, 2), 300);
        cloud.run(400.0);
        assert!(
            cloud.at_rest("web"),
            "speed {speed}:\n{}",
            timeline::of(&cloud)
        );
        cloud.resize("web", 2, 4, 4);
        cloud.run(400.0);
        assert!(
            cloud.at_rest("web"),
            "speed {speed}:\n{}",
            timeline::of(&cloud)
        );
        assert_eq!(
            terminations(&cloud),
            0,
            "speed {speed}:\n{}",
            timeline::of(&cloud)
        );
    }
}

#[test]
fn launches_that_fail_back_off() {
    let mut cloud = Cloud::new(1.0);
    for zone in ["us-east-1a", "us-east-1b"] {
        cloud
            .host
            .refuse_launches(zone, Some("no room on this machine"));
    }
    stack::group(&cloud, "web", (1, 1, 1));
    cloud.run(600.0);
    insta::assert_snapshot!(timeline::activities(&cloud));
    for zone in ["us-east-1a", "us-east-1b"] {
        cloud.host.refuse_launches(zone, None);
    }
    cloud.until("at rest", 200.0, |c| c.at_rest("web"));
    assert_eq!(cloud.group("web").launch_failures, 0);
}

#[test]
fn launches_that_fail_for_a_day_are_given_up_until_somebody_resumes_them() {
    let mut cloud = Cloud::new(100.0);
    let zones = ["us-east-1a", "us-east-1b"];
    for zone in zones {
        cloud.host.refuse_launches(zone, Some("no room"));
    }
    stack::group(&cloud, "web", (1, 1, 1));
    let suspended = |c: &Cloud| c.group("web").suspended("Launch");
    let took = cloud.until("given up", 900.0, suspended);
    assert!((864.0..880.0).contains(&took), "{took}");
    for zone in zones {
        cloud.host.refuse_launches(zone, None);
    }
    cloud.run(60.0);
    assert!(cloud.group("web").instances.is_empty());
    cloud.autoscaling("ResumeProcesses&AutoScalingGroupName=web");
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    assert!(cloud.group("web").failing_since.is_none());
}

#[test]
fn a_member_whose_record_vanished_leaves_and_is_replaced() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 4, 2), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let lost = cloud.in_service("web")[0].clone();
    cloud.store.update(|tx| tx.remove::<Instance>(&lost));
    cloud.until("at rest without it", 60.0, |c| {
        c.at_rest("web") && !c.in_service("web").contains(&lost)
    });
    assert!(
        !cloud.host.is_running(&lost),
        "what no record wants is removed"
    );
}

/// Its init runs, and its interface no longer answers.
#[test]
fn an_instance_that_does_not_answer_its_status_check_is_replaced() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (2, 4, 2));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let id = cloud.in_service("web")[0].clone();
    cloud.host.deafen(&id, true).unwrap();
    // It recovers by itself: nothing happens.
    cloud.run(100.0);
    cloud.host.deafen(&id, false).unwrap();
    cloud.run(400.0);
    assert!(cloud.at_rest("web") && cloud.in_service("web").contains(&id));
    cloud.host.deafen(&id, true).unwrap();
    cloud.run(170.0);
    assert!(cloud.in_service("web").contains(&id));
    cloud.until("replaced", 60.0, |c| {
        !c.in_service("web").contains(&id) && c.at_rest("web")
    });
    let state = cloud.state();
    let mut causes = state.activities.values().map(|a| &a.cause);
    assert!(causes.any(|c| c.contains("an EC2 instance status check failure")));
}
