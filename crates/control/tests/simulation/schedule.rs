//! Scheduled actions, at the speed of the wall clock and faster.

use crate::cloud::Cloud;
use crate::stack;

fn put(cloud: &Cloud, name: &str, more: &str) {
    cloud.autoscaling(&format!(
        "PutScheduledUpdateGroupAction&AutoScalingGroupName=web&ScheduledActionName={name}{more}"
    ));
}

fn desired_at(cloud: &mut Cloud, seconds: f64) -> u32 {
    let from = cloud.seconds();
    cloud.run(seconds - from);
    cloud.group("web").desired_capacity()
}

/// A day of the calendar: 3 from nine, 1 from five in the afternoon, New York's clocks.
fn working_day(cloud: &mut Cloud, speed: f64) {
    stack::group(cloud, "web", (1, 4, 1));
    let zone = "&TimeZone=America/New_York";
    put(
        cloud,
        "open",
        &format!("&Recurrence=0+9+*+*+*&MinSize=2&DesiredCapacity=3{zone}"),
    );
    put(
        cloud,
        "close",
        &format!("&Recurrence=0+17+*+*+*&MinSize=1&DesiredCapacity=1{zone}"),
    );
    // It is midnight in London: nine in New York is at 14:00, five at 22:00.
    let hours = |n: f64| n * 3600.0 / speed;
    for day in [0.0, 24.0] {
        assert_eq!(desired_at(cloud, hours(day + 13.99)), 1);
        assert_eq!(desired_at(cloud, hours(day + 14.01)), 3);
        assert_eq!(cloud.group("web").min_size, 2);
        assert_eq!(desired_at(cloud, hours(day + 21.99)), 3);
        assert_eq!(desired_at(cloud, hours(day + 22.01)), 1);
    }
    let activities = cloud.state();
    let told = "a scheduled action update of AutoScalingGroup constraints to min: 2, max: 4, desired: 3 changing the desired capacity from 1 to 3.";
    assert!(
        activities
            .activities
            .values()
            .any(|a| a.cause.contains(told))
    );
}

#[test]
fn a_working_day_in_six_minutes() {
    working_day(&mut Cloud::new(240.0), 240.0);
}

#[test]
fn a_working_day_in_an_hour() {
    working_day(&mut Cloud::new(24.0), 24.0);
}

#[test]
fn once_and_no_more() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 2, 1));
    put(
        &cloud,
        "once",
        "&StartTime=2026-01-01T00:10:00Z&MaxSize=5&DesiredCapacity=4",
    );
    let minute = "&Recurrence=*/5+*+*+*+*&EndTime=2026-01-01T00:21:00Z";
    put(
        &cloud,
        "again",
        &format!("{minute}&StartTime=2026-01-01T00:14:00Z&MinSize=2"),
    );
    let refused = cloud.try_autoscaling("PutScheduledUpdateGroupAction&AutoScalingGroupName=web&ScheduledActionName=late&StartTime=2025-12-31T00:00:00Z&MaxSize=5");
    assert_eq!(
        refused.unwrap_err(),
        "ValidationError: Given start time is in the past"
    );
    assert_eq!(desired_at(&mut cloud, 599.0), 1);
    assert_eq!(desired_at(&mut cloud, 601.0), 4);
    assert_eq!(cloud.group("web").max_size, 5);
    assert_eq!(cloud.state().scheduled_actions.len(), 1);
    assert_eq!(desired_at(&mut cloud, 901.0), 4);
    assert_eq!(cloud.group("web").min_size, 2);
    desired_at(&mut cloud, 1201.0);
    assert!(cloud.state().scheduled_actions.is_empty());
}

#[test]
fn what_falls_into_a_suspension_is_skipped() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 4, 1));
    put(
        &cloud,
        "quarter",
        "&Recurrence=*/15+*+*+*+*&DesiredCapacity=3",
    );
    let of = "AutoScalingGroupName=web&ScalingProcesses.member.1=ScheduledActions";
    cloud.autoscaling(&format!("SuspendProcesses&{of}"));
    assert_eq!(desired_at(&mut cloud, 1000.0), 1);
    cloud.autoscaling(&format!("ResumeProcesses&{of}"));
    assert_eq!(desired_at(&mut cloud, 1799.0), 1);
    assert_eq!(desired_at(&mut cloud, 1801.0), 3);
}
