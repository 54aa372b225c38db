//! Instance refreshes: rolled by the plan, while the group serves, scales and heals.

use crate::cloud::{Cloud, text, texts};
use crate::{stack, timeline};
use model::InstanceId;
use model::autoscaling::LifecycleState;
use model::cloudwatch::{AlarmState, MetricAlarm};
use model::instance_refresh::{InstanceRefresh, RefreshStatus as S};
use std::time::Duration;
use store::ScopedName;

/// A web group at rest whose template has a second version.
fn two_versions(speed: f64, sizes: (u32, u32, u32)) -> Cloud {
    let mut cloud = Cloud::new(speed);
    stack::web(&cloud, "web", sizes, 60);
    cloud.change_group("web", |g| g.template.version = "1".into());
    cloud.until("at rest", 200.0, |c| c.at_rest("web"));
    cloud.run(120.0);
    cloud.ec2("CreateLaunchTemplateVersion&LaunchTemplateName=web&SourceVersion=1&LaunchTemplateData.InstanceType=t3.small");
    cloud
}

fn autoscaling(cloud: &Cloud, parameters: &str) -> Result<String, String> {
    cloud.call(api::autoscaling::service(), "2011-01-01", parameters)
}

const TO_VERSION_2: &str = "DesiredConfiguration.LaunchTemplate.LaunchTemplateName=web&DesiredConfiguration.LaunchTemplate.Version=2";

fn start(cloud: &Cloud, preferences: &str) {
    autoscaling(
        cloud,
        &format!("StartInstanceRefresh&AutoScalingGroupName=web&{TO_VERSION_2}{preferences}"),
    )
    .unwrap();
}

fn newest(cloud: &Cloud) -> InstanceRefresh {
    let state = cloud.state();
    let newest = state
        .instance_refreshes
        .values()
        .max_by_key(|r| r.requested);
    (**newest.unwrap()).clone()
}

fn ended(status: S) -> impl Fn(&Cloud) -> bool {
    move |c| {
        let refresh = newest(c);
        if !refresh.active() {
            assert_eq!(refresh.status, status, "{:?}\n{}", refresh, timeline::of(c));
        }
        !refresh.active()
    }
}

fn versions(cloud: &Cloud) -> Vec<u64> {
    let group = cloud.group("web");
    let staying =
        |m: &&model::autoscaling::GroupInstance| m.lifecycle != LifecycleState::Terminating;
    group
        .instances
        .iter()
        .filter(staying)
        .map(|m| m.template.2)
        .collect()
}

/// Members that a load balancer would send requests to.
fn healthy(cloud: &Cloud) -> usize {
    let serves = |id: &InstanceId| cloud.plane.serves(id);
    let group = cloud.group("web");
    let members = group.instances.iter();
    members
        .filter(|m| m.lifecycle == LifecycleState::InService && m.seen_healthy && serves(&m.id))
        .count()
}

#[test]
fn it_launches_first_where_all_must_stay_healthy() {
    let mut cloud = two_versions(1.0, (2, 4, 2));
    start(
        &cloud,
        "&Preferences.MinHealthyPercentage=100&Preferences.MaxHealthyPercentage=150",
    );
    cloud.watch = Some(|c| {
        assert!(healthy(c) >= 2, "{}", timeline::of(c));
        assert!(versions(c).len() <= 3, "{}", timeline::of(c));
    });
    cloud.until("refreshed", 900.0, ended(S::Successful));
    assert_eq!(versions(&cloud), [2, 2]);
    assert_eq!(cloud.group("web").template.version, "2");
    cloud.until("at rest", 100.0, |c| c.at_rest("web"));
    cloud.run(600.0);
    assert!(cloud.at_rest("web"));
    insta::assert_snapshot!(timeline::of(&cloud));
}

#[test]
fn it_terminates_first_within_the_minimum() {
    let mut cloud = two_versions(1.0, (4, 8, 4));
    start(&cloud, "&Preferences.MinHealthyPercentage=50");
    cloud.watch = Some(|c| {
        assert!(healthy(c) >= 2, "{}", timeline::of(c));
        assert!(versions(c).len() <= 4, "{}", timeline::of(c));
    });
    let mut percents = Vec::new();
    while newest(&cloud).active() {
        cloud.run(5.0);
        let refresh = newest(&cloud);
        let seen = (refresh.percent, refresh.to_update);
        if percents.last() != Some(&seen) {
            percents.push(seen);
        }
    }
    assert_eq!(newest(&cloud).status, S::Successful);
    assert_eq!(
        percents,
        [(0, 4), (50, 2), (100, 0)],
        "{}",
        timeline::of(&cloud)
    );
    assert_eq!(versions(&cloud), [2, 2, 2, 2]);
}

#[test]
fn a_group_of_one_is_out_of_service_meanwhile() {
    let mut cloud = two_versions(1.0, (1, 1, 1));
    start(&cloud, "");
    let mut out = false;
    while newest(&cloud).active() {
        cloud.run(1.0);
        out |= healthy(&cloud) == 0;
    }
    assert!(out, "{}", timeline::of(&cloud));
    assert_eq!(versions(&cloud), [2]);
}

#[test]
fn checkpoints_hold_it_up_and_bake_time_ends_it() {
    let mut cloud = two_versions(1.0, (4, 8, 4));
    start(
        &cloud,
        "&Preferences.MinHealthyPercentage=0&Preferences.CheckpointPercentages.member.1=25&Preferences.CheckpointPercentages.member.2=100&Preferences.CheckpointDelay=600&Preferences.BakeTime=300",
    );
    cloud.until("at the checkpoint", 300.0, |c| {
        newest(c).paused_until.is_some()
    });
    assert_eq!((newest(&cloud).percent, newest(&cloud).to_update), (25, 3));
    cloud.run(590.0);
    assert_eq!(versions(&cloud).iter().filter(|v| **v == 2).count(), 1);
    cloud.until("baking", 300.0, |c| newest(c).status == S::Baking);
    assert_eq!(
        cloud.group("web").template.version,
        "1",
        "not before it has ended well"
    );
    let baked = cloud.until("done", 400.0, ended(S::Successful));
    assert!((299.0..=301.0).contains(&baked), "{baked}");
    assert_eq!(cloud.group("web").template.version, "2");
}

#[test]
fn what_matches_already_is_skipped() {
    let mut cloud = two_versions(1.0, (2, 4, 2));
    start(&cloud, "&Preferences.MinHealthyPercentage=0");
    cloud.until("refreshed", 900.0, ended(S::Successful));
    let before = cloud.in_service("web");
    start(&cloud, "&Preferences.SkipMatching=true");
    cloud.until("nothing to do", 10.0, ended(S::Successful));
    assert_eq!(cloud.in_service("web"), before);
    start(&cloud, "&Preferences.MinHealthyPercentage=0");
    cloud.until("replaced all the same", 900.0, ended(S::Successful));
    assert!(
        cloud
            .in_service("web")
            .iter()
            .all(|id| !before.contains(id))
    );
}

/// Applications of the second version, which are t3.small, never answer.
fn second_version_is_bad(cloud: &Cloud) {
    let state = cloud.state();
    for member in &cloud.group("web").instances {
        if state.instances[&member.id].instance_type == "t3.small" {
            cloud.plane.break_app(&member.id);
        }
    }
}

#[test]
fn a_bad_version_is_rolled_back_by_itself() {
    let mut cloud = two_versions(1.0, (2, 4, 2));
    let first = cloud.in_service("web");
    cloud.watch = Some(|c| {
        second_version_is_bad(c);
        assert!(healthy(c) >= 2, "{}", timeline::of(c));
    });
    start(
        &cloud,
        "&Preferences.MinHealthyPercentage=100&Preferences.MaxHealthyPercentage=200&Preferences.AutoRollback=true",
    );
    cloud.until("rolled back", 6000.0, ended(S::RollbackSuccessful));
    assert_eq!(cloud.group("web").template.version, "1");
    cloud.until("at rest", 200.0, |c| c.at_rest("web"));
    assert_eq!(cloud.in_service("web"), first, "the old ones never went");
    let rollback = newest(&cloud).rollback.unwrap();
    assert!(
        rollback.reason.starts_with("Automatic rollback: "),
        "{rollback:?}"
    );
}

#[test]
fn an_alarm_fails_it_and_half_of_it_is_taken_back() {
    let mut cloud = two_versions(1.0, (4, 8, 4));
    let out = "arn:aws:sns:us-east-1:000000000000:nobody";
    stack::cpu_alarm(&cloud, "web", "bad", "GreaterThanThreshold", 99.0, 1, out);
    start(
        &cloud,
        "&Preferences.MinHealthyPercentage=100&Preferences.MaxHealthyPercentage=125&Preferences.AutoRollback=true&Preferences.AlarmSpecification.Alarms.member.1=bad",
    );
    cloud.until("half", 900.0, |c| newest(c).percent == 50);
    let key = ScopedName::new(&cloud.scope, "bad");
    cloud.store.update(|tx| {
        tx.modify::<MetricAlarm>(&key, |a| a.state = AlarmState::Alarm);
    });
    cloud.watch = Some(|c| assert!(healthy(c) >= 4, "{}", timeline::of(c)));
    cloud.until("turned", 5.0, |c| newest(c).status == S::RollbackInProgress);
    let rollback = newest(&cloud).rollback.unwrap();
    assert_eq!((rollback.percent, rollback.to_update), (50, 2));
    cloud.until("rolled back", 900.0, ended(S::RollbackSuccessful));
    assert_eq!(versions(&cloud), [1, 1, 1, 1]);
    assert_eq!(newest(&cloud).percent, 0);
    insta::assert_snapshot!(timeline::activities(&cloud));
}

/// What DescribeInstanceRefreshes says as it goes, each time that it says something else.
#[test]
fn a_refresh_says_what_it_waits_for() {
    let mut cloud = two_versions(1.0, (2, 4, 2));
    let mut said = String::new();
    let mut listen = |cloud: &mut Cloud, seconds: f64| {
        let end = cloud.seconds() + seconds;
        while cloud.seconds() < end && newest(cloud).active() {
            cloud.run(5.0);
            let call = "DescribeInstanceRefreshes&AutoScalingGroupName=web&MaxRecords=1";
            let xml = cloud.autoscaling(call);
            let one = |element: &str| texts(&xml, element).into_iter().next().unwrap_or_default();
            let mut reason = one("StatusReason");
            for (id, name) in &cloud.names {
                reason = reason.replace(id, name);
            }
            let (status, percent) = (one("Status"), one("PercentageComplete"));
            let line = format!(
                "{status} {percent} % {} to update: {reason}\n",
                one("InstancesToUpdate")
            );
            if !said.ends_with(&line) {
                said += &line;
            }
        }
    };
    let preferences = "&Preferences.MinHealthyPercentage=50&Preferences.InstanceWarmup=60&Preferences.CheckpointPercentages.member.1=50&Preferences.CheckpointPercentages.member.2=100&Preferences.CheckpointDelay=60&Preferences.BakeTime=60";
    start(&cloud, preferences);
    listen(&mut cloud, 2000.0);
    // Another one that is taken back at its checkpoint.
    let to_version_1 = preferences.replace("BakeTime=60", "BakeTime=0")
        + &TO_VERSION_2
            .replace("Version=2", "Version=1")
            .replace("Desired", "&Desired");
    autoscaling(
        &cloud,
        &format!("StartInstanceRefresh&AutoScalingGroupName=web{to_version_1}"),
    )
    .unwrap();
    cloud.until("half", 900.0, |c| newest(c).paused_until.is_some());
    autoscaling(&cloud, "RollbackInstanceRefresh&AutoScalingGroupName=web").unwrap();
    listen(&mut cloud, 2000.0);
    insta::assert_snapshot!(said);
}

#[test]
fn calls_are_refused_where_they_do_not_fit() {
    let cloud = two_versions(1.0, (2, 4, 2));
    let check = |parameters: &str, expected: &str| {
        let found = autoscaling(&cloud, parameters).unwrap_err();
        assert!(found.starts_with(expected), "{parameters}: {found}");
    };
    check(
        "CancelInstanceRefresh&AutoScalingGroupName=web",
        "ActiveInstanceRefreshNotFound",
    );
    check(
        "RollbackInstanceRefresh&AutoScalingGroupName=web",
        "ActiveInstanceRefreshNotFound",
    );
    let begin = "StartInstanceRefresh&AutoScalingGroupName=web";
    check(
        &format!("{begin}&Preferences.AutoRollback=true"),
        "ValidationError: The request isn't valid. The AutoRollback parameter",
    );
    check(
        &format!("{begin}&Preferences.MaxHealthyPercentage=120"),
        "ValidationError",
    );
    check(
        &format!(
            "{begin}&Preferences.MinHealthyPercentage=50&Preferences.MaxHealthyPercentage=200"
        ),
        "ValidationError",
    );
    check(
        &format!("{begin}&Preferences.CheckpointDelay=60"),
        "ValidationError",
    );
    check(
        &format!("{begin}&Strategy=ReplaceRootVolume"),
        "ValidationError",
    );
    check(
        &format!("{begin}&Preferences.AlarmSpecification.Alarms.member.1=none"),
        "ValidationError",
    );
    autoscaling(&cloud, begin).unwrap();
    check(begin, "InstanceRefreshInProgress");
    check(
        "RollbackInstanceRefresh&AutoScalingGroupName=web",
        "IrreversibleInstanceRefresh",
    );
    autoscaling(&cloud, "CancelInstanceRefresh&AutoScalingGroupName=web").unwrap();
}

#[test]
fn a_cancelled_one_sees_through_what_it_has_begun() {
    let mut cloud = two_versions(1.0, (2, 4, 2));
    start(
        &cloud,
        "&Preferences.MinHealthyPercentage=100&Preferences.MaxHealthyPercentage=150",
    );
    let change = "UpdateAutoScalingGroup&AutoScalingGroupName=web&LaunchTemplate.LaunchTemplateName=web&LaunchTemplate.Version=2";
    let refused = autoscaling(&cloud, change).unwrap_err();
    assert!(
        refused.contains("An active instance refresh with a desired configuration exists"),
        "{refused}"
    );
    cloud.until("one launched", 30.0, |c| versions(c) == [1, 1, 2]);
    autoscaling(&cloud, "CancelInstanceRefresh&AutoScalingGroupName=web").unwrap();
    cloud.until("cancelled", 300.0, ended(S::Cancelled));
    assert_eq!(
        newest(&cloud).reason.unwrap(),
        "Cancelled due to user request."
    );
    assert_eq!(versions(&cloud), [1, 2], "{}", timeline::of(&cloud));
    cloud.run(300.0);
    assert!(cloud.at_rest("web"));
    assert_eq!(versions(&cloud), [1, 2]);
    let xml = autoscaling(&cloud, "DescribeInstanceRefreshes&AutoScalingGroupName=web").unwrap();
    assert_eq!(text(&xml, "Status"), "Cancelled");
    assert_eq!(text(&xml, "PercentageComplete"), "50");
}

#[test]
fn scaling_and_healing_go_on_meanwhile() {
    let mut cloud = two_versions(1.0, (2, 8, 4));
    start(&cloud, "&Preferences.MinHealthyPercentage=75");
    cloud.run(20.0);
    autoscaling(
        &cloud,
        "SetDesiredCapacity&AutoScalingGroupName=web&DesiredCapacity=6",
    )
    .unwrap();
    cloud.run(10.0);
    let old = cloud.group("web").instances[1].id.clone();
    let _ = cloud.host.kill(&old);
    cloud.run(100.0);
    autoscaling(
        &cloud,
        "SetDesiredCapacity&AutoScalingGroupName=web&DesiredCapacity=3",
    )
    .unwrap();
    cloud.until("refreshed", 1500.0, ended(S::Successful));
    cloud.until("at rest", 300.0, |c| c.at_rest("web"));
    assert_eq!(versions(&cloud), [2, 2, 2]);
}

#[test]
fn protected_members_are_waited_for_ignored_or_replaced() {
    for (way, status, expected) in [
        ("Wait", S::Failed, vec![1, 2]),
        ("Ignore", S::Successful, vec![1, 2]),
        ("Refresh", S::Successful, vec![2, 2]),
    ] {
        let mut cloud = two_versions(1.0, (2, 4, 2));
        cloud.change_group("web", |g| g.instances[0].protected_from_scale_in = true);
        start(
            &cloud,
            &format!(
                "&Preferences.MinHealthyPercentage=0&Preferences.ScaleInProtectedInstances={way}"
            ),
        );
        let took = cloud.until("ended", 5000.0, ended(status));
        let mut found = versions(&cloud);
        found.sort();
        assert_eq!(found, expected, "{way}");
        assert_eq!(took > 3600.0, way == "Wait", "{way}: {took}");
    }
}

#[test]
fn slow_boots_at_high_speed_are_waited_for() {
    let mut cloud = two_versions(20.0, (2, 4, 2));
    cloud.plane.set_app_boot(Duration::from_secs(28));
    cloud.watch = Some(|c| assert!(healthy(c) >= 2, "{}", timeline::of(c)));
    start(
        &cloud,
        "&Preferences.MinHealthyPercentage=100&Preferences.MaxHealthyPercentage=200",
    );
    cloud.until("refreshed", 400.0, ended(S::Successful));
    assert_eq!(versions(&cloud), [2, 2]);
}

#[test]
fn the_oldest_members_go_when_their_lifetime_is_over() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 4, 2), 60);
    cloud.change_group("web", |g| {
        g.max_instance_lifetime = Some(86_400);
        g.maintenance_policy = Some((100, 150));
    });
    cloud.until("at rest", 200.0, |c| c.at_rest("web"));
    let first = cloud.in_service("web");
    // As if they had served since yesterday.
    let yesterday = cloud.now() - jiff::SignedDuration::from_secs(86_000);
    cloud.change_group("web", |g| g.instances[0].in_service = Some(yesterday));
    cloud.watch = Some(|c| assert!(healthy(c) >= 2, "{}", timeline::of(c)));
    cloud.run(390.0);
    assert_eq!(cloud.in_service("web"), first, "not before its time");
    cloud.run(200.0);
    let left = cloud.in_service("web");
    assert!(!left.contains(&first[0]) && left.contains(&first[1]));
    assert!(cloud.at_rest("web"), "{}", timeline::of(&cloud));
}

#[test]
fn a_maintenance_policy_launches_before_it_terminates_the_unhealthy() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 4, 2), 60);
    cloud.change_group("web", |g| g.maintenance_policy = Some((100, 150)));
    cloud.until("at rest", 200.0, |c| c.at_rest("web"));
    cloud.run(120.0);
    let ill = cloud.in_service("web")[0].clone();
    let before = cloud.now();
    cloud.plane.break_app(&ill);
    cloud.run(400.0);
    assert!(cloud.at_rest("web"), "{}", timeline::of(&cloud));
    let state = cloud.state();
    let begun = |start: &str| {
        let mut all = state.activities.values();
        let found = all.find(|a| a.started > before && a.description.starts_with(start));
        found.unwrap().started
    };
    let (launched, terminated) = (begun("Launching"), begun("Terminating"));
    let ahead = terminated.duration_since(launched).as_secs();
    assert!(
        (60..=62).contains(&ahead),
        "after its warm-up: {ahead}\n{}",
        timeline::of(&cloud)
    );
    // What does not run any more is replaced at once.
    let dead = cloud.in_service("web")[0].clone();
    cloud.host.kill(&dead).unwrap();
    let took = cloud.until("replaced", 60.0, |c| {
        c.serving("web").values().sum::<usize>() == 2 && !c.in_service("web").contains(&dead)
    });
    assert!(took < 5.0, "{took}");
}
