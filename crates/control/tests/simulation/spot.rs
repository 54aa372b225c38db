//! Spot Instances that are taken back, with and without capacity rebalancing.

use crate::cloud::{Cloud, text};
use crate::{stack, timeline};
use control::Speed;
use jiff::SignedDuration;
use model::InstanceId;
use model::event::Fault;
use model::instance::{Instance, InstanceState};
use model::spot_request::SpotRequestState;
use std::time::Duration;

const NOTICE: SignedDuration = SignedDuration::from_secs(120);

/// Four Spot Instances behind a load balancer, whose applications boot for 20 s.
fn web(speed: f64, rebalance: bool) -> Cloud {
    let mut cloud = Cloud::new(speed);
    cloud.plane.set_app_boot(Duration::from_secs(20));
    stack::web(&cloud, "web", (2, 8, 4), 300);
    let policy = "MixedInstancesPolicy";
    cloud.autoscaling(&format!(
        "UpdateAutoScalingGroup&AutoScalingGroupName=web&CapacityRebalance={rebalance}&{policy}.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateName=web&{policy}.InstancesDistribution.OnDemandPercentageAboveBaseCapacity=0"
    ));
    cloud.until("at rest", 200.0, |c| c.at_rest("web"));
    assert!(cloud.group("web").instances.iter().all(|m| m.spot));
    cloud
}

/// Interrupts the first member; says for how long it was given notice.
fn interrupt(cloud: &Cloud, speed: f64) -> (InstanceId, SignedDuration) {
    let id = cloud.in_service("web")[0].clone();
    let now = cloud.now();
    let told = cloud
        .store
        .update(|tx| control::spot::interrupt(tx, &id, Speed::new(speed), now));
    assert!(told.unwrap().contains("terminate at "));
    let ends = record(cloud, &id).spot.unwrap().ends.unwrap();
    (id, ends.duration_since(now))
}

fn record(cloud: &Cloud, id: &InstanceId) -> Instance {
    (*cloud.state().instances[id]).clone()
}

fn serving(cloud: &Cloud) -> usize {
    cloud.serving("web").values().sum()
}

#[test]
fn a_successor_serves_before_an_interrupted_instance_goes() {
    let mut cloud = web(1.0, true);
    let (id, notice) = interrupt(&cloud, 1.0);
    assert_eq!(notice, NOTICE);
    cloud.watch = Some(|c| assert!(serving(c) >= 4, "{}", timeline::of(c)));
    cloud.until("replaced", 400.0, |c| {
        !c.in_service("web").contains(&id) && c.at_rest("web")
    });
    assert!(cloud.group("web").instances.iter().all(|m| m.spot));
    insta::assert_snapshot!(timeline::activities(&cloud));
}

#[test]
fn a_recommendation_alone_replaces_and_nothing_is_interrupted() {
    let mut cloud = web(1.0, true);
    let id = cloud.in_service("web")[0].clone();
    let now = cloud.now();
    let told = cloud
        .store
        .update(|tx| control::spot::recommend(tx, &id, now));
    told.unwrap();
    cloud.watch = Some(|c| assert!(serving(c) >= 4, "{}", timeline::of(c)));
    cloud.until("replaced", 400.0, |c| {
        !c.in_service("web").contains(&id) && c.at_rest("web")
    });
    let (code, _) = record(&cloud, &id).state_reason.unwrap();
    assert_eq!(code, "Client.UserInitiatedShutdown");
}

#[test]
fn without_rebalancing_an_interrupted_instance_is_replaced_once_it_has_ended() {
    let mut cloud = web(1.0, false);
    let (id, _) = interrupt(&cloud, 1.0);
    cloud.run(119.0);
    assert_eq!(
        (serving(&cloud), cloud.group("web").instances.len()),
        (4, 4)
    );
    cloud.until("ended", 5.0, |c| serving(c) == 3);
    let ended = record(&cloud, &id);
    assert_eq!(
        ended.state_reason.unwrap().0,
        "Server.SpotInstanceTermination"
    );
    cloud.until("at rest again", 200.0, |c| c.at_rest("web"));
    let state = cloud.state();
    let mut causes = state.activities.values().map(|a| &a.cause);
    assert!(causes.any(|c| c.contains("EC2 health check indicating it has been terminated")));
}

/// What real software needs is not shrunk: the successor has the time to boot.
#[test]
fn a_fast_cloud_gives_notice_for_as_long_as_a_boot_takes() {
    let mut cloud = web(20.0, true);
    let (_, notice) = interrupt(&cloud, 20.0);
    let seconds = notice.as_secs_f64();
    assert!((44.0..60.0).contains(&seconds), "{seconds}");
    cloud.watch = Some(|c| assert!(serving(c) >= 4, "{}", timeline::of(c)));
    cloud.until("at rest again", 200.0, |c| {
        c.at_rest("web") && c.state().activities.len() > 4
    });
}

#[test]
fn only_spot_instances_are_interrupted_and_once() {
    let mut cloud = Cloud::new(1.0);
    stack::group(&cloud, "web", (1, 2, 1));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    let id = cloud.in_service("web")[0].clone();
    let again = |cloud: &Cloud, id: &InstanceId| {
        let now = cloud.now();
        cloud
            .store
            .update(|tx| control::spot::interrupt(tx, id, Speed::new(1.0), now))
    };
    assert!(again(&cloud, &id).unwrap_err().contains("on demand"));
    let cloud = web(1.0, false);
    let (id, _) = interrupt(&cloud, 1.0);
    assert!(again(&cloud, &id).unwrap_err().contains("given already"));
}

/// A persistent request's instance stops, and may be started again.
#[test]
fn an_instance_that_asked_for_it_is_stopped() {
    let mut cloud = Cloud::new(1.0);
    let (subnet, market) = (stack::subnet(&cloud, "us-east-1a"), "InstanceMarketOptions");
    let run = |options: &str| {
        format!(
            "RunInstances&MinCount=1&MaxCount=1&ImageId=ami-043985f3006b29f9e&InstanceType=t3.micro&SubnetId={subnet}&{market}.MarketType=spot{options}"
        )
    };
    let call = |c: &Cloud, call: &str| c.call(api::ec2::service(), "2016-11-15", call);
    let stop = format!("&{market}.SpotOptions.InstanceInterruptionBehavior=stop");
    let refused = call(&cloud, &run(&stop)).unwrap_err();
    assert!(refused.contains("persistent"), "{refused}");
    cloud.ec2(&run(""));
    let one_time = cloud.state().instances.keys().next().unwrap().clone();
    let kind = format!("&{market}.SpotOptions.SpotInstanceType=persistent");
    let answer = cloud.ec2(&run(&format!("{stop}{kind}")));
    assert!(answer.contains("<instanceLifecycle>spot<"));
    let id: InstanceId = crate::cloud::text(&answer, "instanceId").parse().unwrap();
    cloud.run(30.0);
    let refused = call(&cloud, &format!("StopInstances&InstanceId.1={one_time}")).unwrap_err();
    assert!(
        refused.contains("one-time Spot Instance request"),
        "{refused}"
    );
    let now = cloud.now();
    let told = cloud
        .store
        .update(|tx| control::spot::interrupt(tx, &id, Speed::new(1.0), now));
    assert!(told.unwrap().contains("stop at "));
    cloud.until("stopped", 130.0, |c| {
        record(c, &id).state == InstanceState::Stopped
    });
    cloud.ec2(&format!("StartInstances&InstanceId.1={id}"));
    cloud.run(200.0);
    assert_eq!(record(&cloud, &id).state, InstanceState::Running);
}

/// The request's state, status and instance.
fn request(cloud: &Cloud, id: &str) -> (SpotRequestState, String, Option<InstanceId>) {
    let state = cloud.state();
    let request = &state.spot_requests[&id.parse::<model::SpotRequestId>().unwrap()];
    (
        request.state,
        request.status.0.clone(),
        request.instance.clone(),
    )
}

#[test]
fn a_persistent_request_launches_again_until_it_is_cancelled() {
    let mut cloud = Cloud::new(1.0);
    let image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64";
    let asked = cloud.ec2(&format!(
        "RequestSpotInstances&Type=persistent&LaunchSpecification.ImageId={image}&LaunchSpecification.InstanceType=t3.micro"
    ));
    let id = text(&asked, "spotInstanceRequestId");
    assert_eq!(text(&asked, "state"), "open");
    let active = |c: &Cloud| request(c, &id).0 == SpotRequestState::Active;
    cloud.until("fulfilled", 10.0, active);
    let first = request(&cloud, &id).2.unwrap();
    assert!(record(&cloud, &first).spot.unwrap().persistent);
    cloud.until("running", 60.0, |c| {
        record(c, &first).state == InstanceState::Running
    });
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={first}"));
    cloud.until("another", 200.0, |c| {
        active(c) && request(c, &id).2 != Some(first.clone())
    });
    let second = request(&cloud, &id).2.unwrap();
    cloud.ec2(&format!(
        "CancelSpotInstanceRequests&SpotInstanceRequestId.1={id}"
    ));
    cloud.run(100.0);
    let (state, status, _) = request(&cloud, &id);
    let running = "request-canceled-and-instance-running";
    assert_eq!(
        (state, status.as_str()),
        (SpotRequestState::Cancelled, running)
    );
    assert_eq!(record(&cloud, &second).state, InstanceState::Running);
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={second}"));
    cloud.run(200.0);
    assert_eq!(request(&cloud, &id).1, "instance-terminated-by-user");
    cloud.run(3700.0);
    assert!(cloud.state().spot_requests.is_empty(), "forgotten");
}

#[test]
fn a_one_time_request_is_over_with_its_instance_and_waits_for_capacity() {
    let mut cloud = Cloud::new(1.0);
    let image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64";
    let zone = Fault::Zone("us-east-1a".into());
    cloud.fault(zone.clone());
    let asked = cloud.ec2(&format!(
        "RequestSpotInstances&LaunchSpecification.ImageId={image}&LaunchSpecification.InstanceType=t3.micro&LaunchSpecification.Placement.AvailabilityZone=us-east-1a"
    ));
    let id = text(&asked, "spotInstanceRequestId");
    cloud.run(10.0);
    let (state, status, _) = request(&cloud, &id);
    assert_eq!(
        (state, status.as_str()),
        (SpotRequestState::Open, "capacity-not-available")
    );
    cloud.heal(&zone);
    cloud.until("fulfilled", 100.0, |c| {
        request(c, &id).0 == SpotRequestState::Active
    });
    let instance = request(&cloud, &id).2.unwrap();
    let now = cloud.now();
    let told = cloud
        .store
        .update(|tx| control::spot::interrupt(tx, &instance, Speed::new(1.0), now));
    told.unwrap();
    cloud.run(200.0);
    let (state, status, _) = request(&cloud, &id);
    let ended = "instance-terminated-no-capacity";
    assert_eq!((state, status.as_str()), (SpotRequestState::Closed, ended));
}
