//! Sizes change, groups go, and much of everything stays quick.

use crate::cloud::{Cloud, texts};
use crate::{stack, timeline};
use model::autoscaling::LifecycleState;
use model::event::Severity;
use model::instance::InstanceState;
use std::time::Instant;

#[test]
fn a_group_shrinks_by_its_largest_zone_and_goes_as_terraform_destroys_it() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (1, 6, 5), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.resize("web", 1, 6, 2);
    cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    cloud.resize("web", 0, 0, 0);
    cloud.until("empty", 120.0, |c| c.group("web").instances.is_empty());
    let now = cloud.now();
    cloud.change_group("web", |g| g.deleting = Some(now));
    cloud.until("vanished", 10.0, |c| c.find_group("web").is_none());
    let state = cloud.state();
    assert!(
        state
            .instances
            .values()
            .all(|i| i.state == InstanceState::Terminated)
    );
    assert!(
        state.target_groups.values().all(|g| g.targets.is_empty())
            && state.target_health.is_empty()
    );
    insta::assert_snapshot!(timeline::activities(&cloud));
}

#[test]
fn activities_are_told_the_newest_first_also_those_of_one_moment() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 12, 12));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let answer = cloud.autoscaling("DescribeScalingActivities&AutoScalingGroupName=web");
    let told = texts(&answer, "Description");
    let group = cloud.group("web");
    // As they were launched.
    let members = group.instances.iter().rev();
    let expected: Vec<String> = members
        .map(|m| format!("Launching a new EC2 instance: {}", m.id))
        .collect();
    assert_eq!(told, expected);
    let causes = texts(&answer, "Cause");
    assert_eq!(causes.len(), 12);
    assert!(causes.iter().all(|c| c.ends_with("from 0 to 12.")));
}

#[test]
fn a_group_deleted_by_force_ends_its_instances() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (1, 6, 3), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let now = cloud.now();
    cloud.change_group("web", |g| g.deleting = Some(now));
    cloud.until("vanished", 120.0, |c| c.find_group("web").is_none());
    assert!(
        cloud
            .state()
            .instances
            .values()
            .all(|i| i.state == InstanceState::Terminated)
    );
}

#[test]
fn protected_instances_survive_a_shrinking() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 6, 4));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.change_group("web", |g| {
        g.instances
            .iter_mut()
            .for_each(|m| m.protected_from_scale_in = true)
    });
    cloud.resize("web", 1, 6, 1);
    cloud.run(60.0);
    assert_eq!(cloud.in_service("web").len(), 4);
    let kept = cloud.in_service("web")[0].clone();
    cloud.change_group("web", |g| {
        g.instances
            .iter_mut()
            .filter(|m| m.id != kept)
            .for_each(|m| m.protected_from_scale_in = false)
    });
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    assert_eq!(cloud.in_service("web"), [kept]);
}

/// A pass must not take the square of what there is: ten times as much takes about ten times as long.
#[test]
fn a_thousand_instances_in_fifty_groups() {
    let timed = |groups: usize| {
        let mut cloud = Cloud::new(1.0);
        for n in 0..groups {
            stack::web(&cloud, &format!("web-{n}"), (1, 20, 20), 60);
        }
        cloud.run(30.0);
        let states: Vec<_> = cloud.state().instances.values().map(|i| i.state).collect();
        assert_eq!(states, vec![InstanceState::Running; groups * 20]);
        let began = Instant::now();
        for _ in 0..3 {
            // Something changed: nothing is as it was worked out before.
            let now = cloud.now();
            cloud
                .store
                .update(|tx| tx.event(now, Severity::Info, "web-0", "test", "changed"));
            cloud.settle();
        }
        began.elapsed().as_secs_f64() / 6.0
    };
    let (small, large) = (timed(5), timed(50));
    println!(
        "a pass over 100 instances: {:.1} ms, over 1,000: {:.1} ms",
        small * 1e3,
        large * 1e3
    );
    assert!(large < small * 30.0 + 0.05, "{small} s, then {large} s");
}

/// `SIM_GROUPS` groups of fifty: 100 of them are five thousand instances, for an optimised build.
#[test]
fn many_groups_converge_faster_than_time_passes() {
    let groups = std::env::var("SIM_GROUPS").ok();
    let groups = groups.map_or(8, |n| n.parse().unwrap());
    let mut cloud = Cloud::new(1.0);
    for n in 0..groups {
        // An account's quota of vCPUs is enough for two thousand.
        if n > 0 && n % 40 == 0 {
            cloud.scope = model::Scope::new(&format!("{n:012}"), "us-east-1");
            let (scope, now) = (cloud.scope.clone(), cloud.now());
            cloud
                .store
                .update(|tx| api::ec2::ensure_defaults(tx, &scope, now));
        }
        stack::group(&cloud, &format!("web-{n}"), (1, 60, 50));
    }
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let all_run = |c: &Cloud, count: usize| {
        let state = c.state();
        let all = state.auto_scaling_groups.values();
        all.flat_map(|g| &g.instances)
            .filter(|m| m.lifecycle == LifecycleState::InService)
            .count()
            == count
    };
    cloud.until("all in service", 120.0, |c| all_run(c, groups * 50));
    println!(
        "{} instances in {groups} groups are in service: {:.0} s of the cloud in {:.1} s, {:.1} s of CPU",
        groups * 50,
        cloud.seconds(),
        began.elapsed().as_secs_f64(),
        cpu_seconds() - cpu
    );
    // A tenth of everything dies at once.
    let victims: Vec<_> = cloud
        .state()
        .instances
        .keys()
        .step_by(10)
        .cloned()
        .collect();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let from = cloud.seconds();
    for victim in &victims {
        cloud.host.kill(victim).unwrap();
    }
    cloud.run(5.0);
    cloud.until("all in service again", 120.0, |c| all_run(c, groups * 50));
    cloud.run(30.0);
    let (took, passed) = (began.elapsed().as_secs_f64(), cloud.seconds() - from);
    let used = cpu_seconds() - cpu;
    println!(
        "{} of them were replaced: {passed:.0} s of the cloud in {took:.1} s, {used:.1} s of CPU: {:.0} % of a core",
        victims.len(),
        used / passed * 100.0
    );
    if !cfg!(debug_assertions) {
        assert!(
            used < passed / 2.0,
            "no CPU to spare: {used} s for {passed} s"
        );
    }
}

/// What this thread has used; other tests run beside it.
fn cpu_seconds() -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = spent.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.expect("a kernel that counts what threads use") / 1e9
}
