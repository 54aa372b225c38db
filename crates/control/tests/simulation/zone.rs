//! An Availability Zone is cut off, and returns.

use crate::cloud::Cloud;
use crate::{stack, timeline};
use model::autoscaling::LifecycleState;
use model::event::Fault;

const A: &str = "us-east-1a";
const B: &str = "us-east-1b";

#[test]
fn capacity_moves_to_the_other_zone_and_back() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 8, 4), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.run(120.0);
    let cut = Fault::Zone(A.into());
    cloud.fault(cut.clone());
    cloud.until("carried by the other zone", 300.0, |c| {
        c.serving("web").get(B) == Some(&4)
    });
    let state = cloud.state();
    let refused: Vec<_> = state
        .activities
        .values()
        .filter(|a| a.status == "Failed")
        .collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|a| {
        a.status_message
            .as_ref()
            .is_some_and(|m| m.contains("We currently do not have sufficient t3.micro capacity"))
    }));
    cloud.run(300.0);
    cloud.heal(&cut);
    // Launch first: never fewer in service than asked for.
    cloud.watch = Some(|c| {
        let serving: usize = c.serving("web").values().sum();
        assert!(
            serving >= 4,
            "{serving} serve:\n{}",
            timeline::activities(c)
        );
        assert!(
            c.group("web").instances.len() <= 6,
            "{}",
            timeline::activities(c)
        );
    });
    cloud.until("balanced", 600.0, |c| c.at_rest("web"));
    cloud.run(600.0);
    assert!(cloud.at_rest("web"));
    insta::assert_snapshot!(timeline::activities(&cloud));
}

#[test]
fn dns_leaves_out_the_zone_that_is_cut() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 4, 2), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let balancer = cloud
        .state()
        .load_balancers
        .values()
        .next()
        .unwrap()
        .clone();
    let address = |zone: &str| {
        balancer
            .zones
            .iter()
            .find(|z| z.zone == zone)
            .unwrap()
            .public_ip
            .unwrap()
    };
    let mut both = vec![address(A), address(B)];
    both.sort();
    let names = |cloud: &Cloud| {
        let mut found = cloud.plane.names()[&balancer.dns_name.to_lowercase()].clone();
        found.sort();
        found
    };
    assert_eq!(names(&cloud), both);
    let cut = Fault::Zone(A.into());
    cloud.fault(cut.clone());
    cloud.settle();
    assert_eq!(names(&cloud), [address(B)]);
    // Both cut: fail open.
    cloud.fault(Fault::Zone(B.into()));
    cloud.run(60.0);
    assert_eq!(names(&cloud), both);
    cloud.heal(&Fault::Zone(B.into()));
    cloud.heal(&cut);
    cloud.until("both in DNS", 600.0, |c| {
        names(c) == both && c.at_rest("web")
    });
}

#[test]
fn a_rebalancing_that_never_becomes_healthy_ends() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 8, 4), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let cut = Fault::Zone(A.into());
    cloud.fault(cut.clone());
    cloud.until("carried by the other zone", 300.0, |c| {
        c.serving("web").get(B) == Some(&4)
    });
    // The zone returns, but what is launched there from now on never boots.
    cloud.host.hang_boots(A, true);
    cloud.heal(&cut);
    // One above the desired capacity, and longer and longer waits in between.
    cloud.watch = Some(|c| {
        let staying = c
            .group("web")
            .instances
            .iter()
            .filter(|m| m.lifecycle != LifecycleState::Terminating)
            .count();
        assert!(staying <= 5, "{}", timeline::activities(c));
    });
    let launches = |c: &Cloud| {
        c.state()
            .activities
            .values()
            .filter(|a| a.description.starts_with("Launching a new EC2 instance: "))
            .count()
    };
    let before = launches(&cloud);
    cloud.run(1200.0);
    assert!(
        launches(&cloud) - before <= 9,
        "{}",
        timeline::activities(&cloud)
    );
    assert!(
        cloud.serving("web").get(B) >= Some(&3),
        "{}",
        timeline::activities(&cloud)
    );
    cloud.host.hang_boots(A, false);
    cloud.until("balanced", 600.0, |c| c.at_rest("web"));
}

/// Launches go elsewhere, policies do not scale in, and the zone is filled again afterwards.
#[test]
fn a_group_that_is_shifted_leaves_the_zone_alone() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (2, 8, 4));
    let policy = "AvailabilityZoneImpairmentPolicy";
    let on =
        format!("UpdateAutoScalingGroup&AutoScalingGroupName=web&{policy}.ZonalShiftEnabled=true");
    let refused = cloud.try_autoscaling(&on).unwrap_err();
    assert!(
        refused.contains("ImpairedZoneHealthCheckBehavior is required"),
        "{refused}"
    );
    cloud.autoscaling(&format!(
        "{on}&{policy}.ImpairedZoneHealthCheckBehavior=ReplaceUnhealthy"
    ));
    let described = cloud.autoscaling("DescribeAutoScalingGroups");
    assert!(described.contains("<ZonalShiftEnabled>true<"));
    cloud.autoscaling("PutScalingPolicy&AutoScalingGroupName=web&PolicyName=in&AdjustmentType=ChangeInCapacity&ScalingAdjustment=-1&Cooldown=0");
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    cloud.shift("web", "us-east-1a");
    let zones = |c: &Cloud| c.serving("web").into_values().collect::<Vec<_>>();
    let ill = cloud
        .group("web")
        .instances
        .iter()
        .find(|m| m.zone == "us-east-1a")
        .unwrap()
        .id
        .clone();
    cloud.host.kill(&ill).unwrap();
    cloud.until("replaced elsewhere", 120.0, |c| zones(c) == [1, 3]);
    let execute = "ExecutePolicy&AutoScalingGroupName=web&PolicyName=in";
    cloud.autoscaling(execute);
    cloud.run(600.0);
    assert_eq!(
        (zones(&cloud), cloud.group("web").desired_capacity),
        (vec![1, 3], 4)
    );
    cloud.run(3000.0);
    assert_eq!(
        zones(&cloud),
        [2, 2],
        "the shift expired: {}",
        timeline::of(&cloud)
    );
    cloud.autoscaling(execute);
    cloud.run(60.0);
    assert_eq!(cloud.group("web").desired_capacity, 3);
}
