//! The control plane dies, the machine restarts, the cloud is taken down and up again.

use crate::cloud::Cloud;
use crate::{stack, timeline};
use host::Host;
use model::instance::InstanceState;

/// A group at rest behind its load balancer.
fn at_rest() -> Cloud {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 6, 4), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.run(200.0);
    cloud
}

#[test]
fn another_control_plane_adopts_everything_and_changes_nothing() {
    let mut cloud = at_rest();
    let (events, launches, members) = (
        cloud.state().events.len(),
        cloud.host.launches(),
        cloud.in_service("web"),
    );
    let config = cloud.plane.config();
    cloud.restart(false);
    cloud.watch = Some(|c| assert!(c.at_rest("web"), "{}", timeline::of(c)));
    cloud.run(600.0);
    assert_eq!(
        (
            cloud.state().events.len(),
            cloud.host.launches(),
            cloud.in_service("web")
        ),
        (events, launches, members),
        "{}",
        timeline::of(&cloud)
    );
    let revised = cloud.plane.config();
    assert_eq!(
        (&revised.load_balancers, &revised.target_groups),
        (&config.load_balancers, &config.target_groups)
    );
    assert!(
        revised.revision > config.revision,
        "an old acknowledgement must not count for the new configuration"
    );
}

#[test]
fn a_deletion_in_progress_goes_on_after_a_restart() {
    let mut cloud = at_rest();
    cloud.resize("web", 0, 0, 0);
    cloud.run(2.0);
    cloud.restart(false);
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
fn what_ran_when_the_cloud_was_taken_down_runs_again() {
    let mut cloud = at_rest();
    let members = cloud.in_service("web");
    // `down` stops every instance on the machine and nothing in the records.
    for id in &members {
        cloud.host.stop(id, false).unwrap();
    }
    cloud
        .clock
        .advance_to(cloud.now() + jiff::SignedDuration::from_secs(30));
    cloud.restart(true);
    cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    cloud.run(300.0);
    assert_eq!(cloud.in_service("web"), members, "{}", timeline::of(&cloud));
    assert!(members.iter().all(|id| cloud.host.is_running(id)));
}

#[test]
fn without_resuming_a_stopped_machine_is_as_stopped_instances() {
    let mut cloud = at_rest();
    let members = cloud.in_service("web");
    for id in &members {
        cloud.host.stop(id, false).unwrap();
    }
    cloud
        .clock
        .advance_to(cloud.now() + jiff::SignedDuration::from_secs(30));
    cloud.restart(false);
    cloud.until("at rest", 120.0, |c| c.at_rest("web"));
    assert!(
        cloud
            .in_service("web")
            .iter()
            .all(|id| !members.contains(id))
    );
}
