//! An Availability Zone is cut off, and returns.

use crate::cloud::Cloud;
use crate::{stack, timeline};
use balancer::config::TargetState;
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

/// Zone e has none of the newer types: as much a reason to ask elsewhere as a lack of capacity.
#[test]
fn types_that_a_zone_does_not_have_are_launched_elsewhere() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 4, 1));
    let subnets = ["us-east-1a", "us-east-1e"].map(|zone| stack::subnet(&cloud, zone).to_string());
    cloud.autoscaling(&format!(
        "UpdateAutoScalingGroup&AutoScalingGroupName=web&DesiredCapacity=3&VPCZoneIdentifier={}",
        subnets.join(",")
    ));
    cloud.until("at rest", 60.0, |c| c.serving("web").get(A) == Some(&3));
    let state = cloud.state();
    let causes = |status: &str| -> Vec<&str> {
        let all = state.activities.values().filter(|a| a.status == status);
        all.map(|a| a.cause.as_str()).collect()
    };
    assert!(!causes("Failed").is_empty());
    // All of one change count from where it began.
    assert!(
        causes("Successful")
            .iter()
            .all(|c| c.ends_with("increasing the capacity from 0 to 3.")),
        "{}",
        timeline::activities(&cloud)
    );
}

/// `balanced-only` asks the zone again and again whose turn it is, and no other.
#[test]
fn a_group_that_wants_balance_only_waits_for_the_zone() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (2, 8, 4));
    cloud.autoscaling("UpdateAutoScalingGroup&AutoScalingGroupName=web&AvailabilityZoneDistribution.CapacityDistributionStrategy=balanced-only");
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let cut = Fault::Zone(A.into());
    cloud.fault(cut.clone());
    for id in cloud.in_service("web") {
        if cloud.state().instances[&id].zone == A {
            cloud.host.kill(&id).unwrap();
        }
    }
    cloud.run(900.0);
    let serving = cloud.serving("web");
    assert_eq!((serving.get(A), serving.get(B)), (None, Some(&2)));
    let state = cloud.state();
    let failed = state.activities.values().filter(|a| a.status == "Failed");
    assert!(failed.count() > 2, "{}", timeline::activities(&cloud));
    cloud.heal(&cut);
    cloud.until("balanced", 600.0, |c| c.at_rest("web"));
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

/// A load balancer that is shifted away from a zone: DNS leaves the zone out, its targets are left
/// alone though healthy, and all of it ends with the shift, or when the load balancer opts out.
#[test]
fn a_load_balancer_that_is_shifted_leaves_the_zone() {
    let mut cloud = Cloud::new(1.0);
    let web = stack::web(&cloud, "web", (2, 4, 4), 60);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let allow = |cloud: &Cloud, value: &str| {
        let attribute = "Attributes.member.1.Key=zonal_shift.config.enabled";
        let balancer = &web.load_balancer;
        cloud.elbv2(&format!(
            "ModifyLoadBalancerAttributes&LoadBalancerArn={balancer}&{attribute}&Attributes.member.1.Value={value}"
        ));
    };
    // By zone: whether DNS names it, and targets that get requests.
    let zones = |cloud: &Cloud| {
        let state = cloud.state();
        let balancer = &state.load_balancers[&web.load_balancer];
        let name = balancer.dns_name.to_lowercase();
        let serving = &cloud.plane.names()[&name];
        let config = cloud.plane.config();
        let targets: Vec<_> = config
            .target_groups
            .values()
            .flat_map(|g| &g.targets)
            .collect();
        [A, B].map(|zone| {
            let mut nodes = balancer.zones.iter().filter(|z| z.zone == zone);
            let is_named = nodes.any(|z| z.public_ip.is_some_and(|ip| serving.contains(&ip)));
            let mut active = targets.iter().filter(|t| t.state == TargetState::Active);
            let count = active
                .by_ref()
                .filter(|t| t.zone.as_deref() == Some(zone))
                .count();
            (is_named, count)
        })
    };
    let overrides = |cloud: &Cloud| {
        let group = &web.target_group;
        let health = cloud.elbv2(&format!("DescribeTargetHealth&TargetGroupArn={group}"));
        assert_eq!(health.matches("<State>healthy<").count(), 4, "{health}");
        health.matches("<State>zonal_shift_active<").count()
    };
    let usual = [(true, 2), (true, 2)];
    cloud.shift_resource(&web.load_balancer, A);
    cloud.run(10.0);
    assert_eq!((zones(&cloud), overrides(&cloud)), (usual, 0), "opted out");
    allow(&cloud, "true");
    cloud.run(10.0);
    let shifted = [(false, 0), (true, 2)];
    assert_eq!((zones(&cloud), overrides(&cloud)), (shifted, 2));
    allow(&cloud, "false");
    cloud.run(10.0);
    assert_eq!(
        (zones(&cloud), overrides(&cloud)),
        (usual, 0),
        "opted out again"
    );
    allow(&cloud, "true");
    cloud.run(3_000.0);
    assert_eq!((zones(&cloud), overrides(&cloud)), (shifted, 2));
    cloud.run(600.0);
    assert_eq!((zones(&cloud), overrides(&cloud)), (usual, 0), "expired");
    // Without cross-zone load balancing the node's own targets are all it has: DNS does the work.
    cloud.elbv2(&format!(
        "ModifyTargetGroupAttributes&TargetGroupArn={}&Attributes.member.1.Key=load_balancing.cross_zone.enabled&Attributes.member.1.Value=false",
        web.target_group
    ));
    cloud.shift_resource(&web.load_balancer, A);
    cloud.run(10.0);
    assert_eq!(
        (zones(&cloud), overrides(&cloud)),
        ([(false, 2), (true, 2)], 0)
    );
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
        (zones(&cloud), cloud.group("web").desired_capacity()),
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
    assert_eq!(cloud.group("web").desired_capacity(), 3);
}
