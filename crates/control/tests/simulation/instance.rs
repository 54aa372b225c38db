//! Instances by the API: stop, start, reboot, terminate, and shutdown from within.

use crate::cloud::{Cloud, text};
use crate::timeline;
use host::NetworkFailures;
use model::InstanceId;
use model::instance::InstanceState as S;

fn launch(cloud: &Cloud, more: &str) -> InstanceId {
    let answer = cloud.ec2(&format!("RunInstances&ImageId=ami-043985f3006b29f9e&InstanceType=t3.micro&MinCount=1&MaxCount=1{more}"));
    text(&answer, "instanceId").parse().unwrap()
}

fn state(cloud: &Cloud, id: &InstanceId) -> Option<S> {
    cloud.state().instances.get(id).map(|i| i.state)
}

fn becomes(cloud: &mut Cloud, id: &InstanceId, wanted: S) -> f64 {
    cloud.until(wanted.name(), 120.0, |c| state(c, id) == Some(wanted))
}

#[test]
fn a_life_by_the_api() {
    let mut cloud = Cloud::new(1.0);
    let id = launch(&cloud, "");
    cloud.names.insert(id.to_string(), "i-1".into());
    becomes(&mut cloud, &id, S::Running);
    cloud.run(10.0);
    cloud.ec2(&format!("RebootInstances&InstanceId.1={id}"));
    cloud.run(10.0);
    assert_eq!(cloud.host.launches(), 1, "a reboot is no launch");
    cloud.ec2(&format!("StopInstances&InstanceId.1={id}"));
    becomes(&mut cloud, &id, S::Stopped);
    cloud.run(3600.0);
    assert_eq!(state(&cloud, &id), Some(S::Stopped));
    cloud.ec2(&format!("StartInstances&InstanceId.1={id}"));
    becomes(&mut cloud, &id, S::Running);
    cloud.run(10.0);
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={id}"));
    becomes(&mut cloud, &id, S::Terminated);
    assert!(
        !cloud
            .state()
            .network_interfaces
            .values()
            .any(|i| i.attachment.is_some())
    );
    cloud.run(3500.0);
    assert_eq!(state(&cloud, &id), Some(S::Terminated), "still described");
    cloud.run(200.0);
    assert_eq!(state(&cloud, &id), None, "forgotten after an hour");
    assert!(host::Host::instances(&*cloud.host).unwrap().is_empty());
    insta::assert_snapshot!(timeline::of(&cloud));
}

/// The metadata service tells it, and `hostname -f`; names in DNS keep the region's domain.
#[test]
fn an_instance_is_called_as_its_dhcp_options_and_its_launch_say() {
    let mut cloud = Cloud::new(1.0);
    let by_address = launch(&cloud, "");
    let by_id = launch(&cloud, "&PrivateDnsNameOptions.HostnameType=resource-name");
    becomes(&mut cloud, &by_address, S::Running);
    becomes(&mut cloud, &by_id, S::Running);
    cloud.run(1.0);
    let name = |cloud: &Cloud, id: &InstanceId| {
        let spec = cloud.host.spec(id).unwrap();
        let own = [&spec.hostname, &spec.domain, &spec.search]
            .map(|name| name.replace(id.as_str(), "ID"));
        let told = cloud.plane.tells(id).unwrap().hostname;
        (own, told.replace(id.as_str(), "ID"))
    };
    let expected = |host: &str, domain: &str, search: &str, told: &str| {
        ([host, domain, search].map(String::from), told.to_owned())
    };
    let region = "ec2.internal";
    let (own, told) = name(&cloud, &by_address);
    assert!(own[0].starts_with("ip-"), "{own:?}");
    assert_eq!(own[1..], [region, region]);
    assert_eq!(told, format!("{}.{region}", own[0]));
    assert_eq!(
        name(&cloud, &by_id),
        expected("ID", region, region, "ID.ec2.internal")
    );

    let vpc = cloud.state().instances[&by_id].vpc.clone();
    let two = expected(
        "ID",
        "corp.example",
        "corp.example lab.example",
        "ID.corp.example lab.example",
    );
    for (key, value, expected) in [
        ("domain-name", "corp.example+lab.example", two),
        (
            "domain-name-servers",
            "10.0.0.2",
            expected("ID", "", "", "ID"),
        ),
    ] {
        let options = format!(
            "CreateDhcpOptions&DhcpConfiguration.1.Key={key}&DhcpConfiguration.1.Value.1={value}"
        );
        let options = cloud.ec2(&options);
        let options = text(&options, "dhcpOptionsId");
        cloud.ec2(&format!(
            "AssociateDhcpOptions&VpcId={vpc}&DhcpOptionsId={options}"
        ));
        cloud.ec2(&format!("StopInstances&InstanceId.1={by_id}"));
        becomes(&mut cloud, &by_id, S::Stopped);
        cloud.ec2(&format!("StartInstances&InstanceId.1={by_id}"));
        becomes(&mut cloud, &by_id, S::Running);
        cloud.run(1.0);
        assert_eq!(name(&cloud, &by_id), expected);
    }
}

/// Who cannot look has seen nothing, rather than that nothing is there.
#[test]
fn instances_that_cannot_be_seen_are_left_alone() {
    let mut cloud = Cloud::new(1.0);
    let runs = launch(&cloud, "");
    let goes = launch(&cloud, "");
    becomes(&mut cloud, &runs, S::Running);
    becomes(&mut cloud, &goes, S::Running);
    cloud.run(10.0);
    cloud.host.blind(true);
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={goes}"));
    cloud.run(600.0);
    assert_eq!(state(&cloud, &goes), Some(S::ShuttingDown));
    cloud.host.blind(false);
    becomes(&mut cloud, &goes, S::Terminated);
    assert_eq!(state(&cloud, &runs), Some(S::Running));
    assert_eq!(cloud.host.launches(), 2);
}

/// All within the same second: no clock tells which run a stop was of.
#[test]
fn a_start_after_a_short_run() {
    let mut cloud = Cloud::new(1.0);
    let moment = std::time::Duration::from_millis(10);
    cloud.host.set_timing(host::sim::Timing {
        start: moment,
        boot: moment,
        stop: moment,
    });
    let becomes = |cloud: &mut Cloud, id: &InstanceId, wanted| {
        // One pass begins it, the next sees it done.
        for _ in 0..3 {
            let at = cloud.now() + jiff::SignedDuration::from_millis(20);
            cloud.clock.advance_to(at);
            cloud.settle();
        }
        assert_eq!(state(cloud, id), Some(wanted));
    };
    let id = launch(&cloud, "");
    becomes(&mut cloud, &id, S::Running);
    for run in 1..4 {
        cloud.ec2(&format!("CreateImage&InstanceId={id}&Name=image-{run}"));
        cloud.ec2(&format!("StopInstances&InstanceId.1={id}"));
        becomes(&mut cloud, &id, S::Stopped);
        cloud.ec2(&format!("StartInstances&InstanceId.1={id}"));
        becomes(&mut cloud, &id, S::Running);
        cloud.ec2(&format!("RebootInstances&InstanceId.1={id}"));
        becomes(&mut cloud, &id, S::Running);
        let state = cloud.state();
        let record = &state.instances[&id];
        assert_eq!((record.run, &record.state_reason), (run, &None));
        // Those of the images went with the stops.
        assert_eq!((record.reboots_wanted, record.reboots_done), (run, run));
    }
    assert!(cloud.seconds() < 1.0, "too slow to tell anything");
    assert_eq!(cloud.host.launches(), 4);
}

#[test]
fn shutdown_from_within_stops_or_terminates() {
    let mut cloud = Cloud::new(1.0);
    let stays = launch(&cloud, "");
    let goes = launch(&cloud, "&InstanceInitiatedShutdownBehavior=terminate");
    cloud.run(10.0);
    for id in [&stays, &goes] {
        cloud.host.power_off(id).unwrap();
    }
    becomes(&mut cloud, &stays, S::Stopped);
    becomes(&mut cloud, &goes, S::Terminated);
    for id in [&stays, &goes] {
        let reason = cloud.state().instances[id].state_reason.clone().unwrap();
        assert_eq!(reason.0, "Client.InstanceInitiatedShutdown");
    }
}

#[test]
fn an_instance_that_cannot_be_launched_is_terminated_with_the_reason() {
    let mut cloud = Cloud::new(1.0);
    cloud
        .host
        .refuse_launches("us-east-1a", Some("no room on this machine"));
    let subnet = crate::stack::subnet(&cloud, "us-east-1a");
    let id = launch(&cloud, &format!("&SubnetId={subnet}"));
    becomes(&mut cloud, &id, S::Terminated);
    let reason = cloud.state().instances[&id].state_reason.clone().unwrap();
    assert_eq!(reason.0, "Server.InternalError");
    assert!(reason.1.contains("no room on this machine"), "{}", reason.1);
}

#[test]
fn an_instance_waits_for_its_interface() {
    let mut cloud = Cloud::new(1.0);
    let id = launch(&cloud, "");
    let interface = cloud
        .state()
        .network_interfaces
        .values()
        .find(|i| i.attachment.is_some())
        .unwrap()
        .id
        .clone();
    let mut failures = NetworkFailures::default();
    failures
        .interfaces
        .insert(interface, "the kernel says no".into());
    cloud.host.fail_network(failures);
    cloud.run(60.0);
    assert_eq!(state(&cloud, &id), Some(S::Pending));
    cloud.host.fail_network(NetworkFailures::default());
    becomes(&mut cloud, &id, S::Running);
    let said = cloud
        .state()
        .events
        .values()
        .filter(|e| e.message.contains("the kernel says no"))
        .count();
    assert_eq!(said, 1, "told once");
}

#[test]
fn an_instance_terminated_while_it_starts_goes() {
    let mut cloud = Cloud::new(1.0);
    let id = launch(&cloud, "");
    cloud.settle();
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={id}"));
    becomes(&mut cloud, &id, S::Terminated);
    let never_launched = launch(&cloud, "");
    cloud.ec2(&format!("TerminateInstances&InstanceId.1={never_launched}"));
    becomes(&mut cloud, &never_launched, S::Terminated);
    assert!(host::Host::instances(&*cloud.host).unwrap().is_empty());
}

#[test]
fn a_crash_stops_and_a_vanished_process_recovers() {
    let mut cloud = Cloud::new(1.0);
    let (crashes, vanishes) = (launch(&cloud, ""), launch(&cloud, ""));
    cloud.run(10.0);
    cloud.host.kill(&crashes).unwrap();
    cloud.host.vanish(&vanishes).unwrap();
    cloud.run(10.0);
    assert_eq!(
        (state(&cloud, &crashes), state(&cloud, &vanishes)),
        (Some(S::Stopped), Some(S::Running))
    );
    assert!(cloud.host.ready_at(&vanishes).is_some());
}

/// Two minutes of a failing status check have an alarm do that to the instance.
fn alarm(cloud: &Cloud, id: &InstanceId, verb: &str) {
    let alarm = format!(
        "PutMetricAlarm&AlarmName=check&Namespace=AWS%2FEC2&MetricName=StatusCheckFailed_Instance\
         &Dimensions.member.1.Name=InstanceId&Dimensions.member.1.Value={id}&Statistic=Maximum&Period=60\
         &EvaluationPeriods=2&Threshold=1&ComparisonOperator=GreaterThanOrEqualToThreshold\
         &AlarmActions.member.1=arn:aws:automate:us-east-1:ec2:{verb}"
    );
    cloud
        .call(api::cloudwatch::service(), "2010-08-01", &alarm)
        .expect("an alarm");
}

#[test]
fn alarms_stop_terminate_and_recover() {
    for (verb, expected, reboots) in [
        ("stop", S::Stopped, 0),
        ("terminate", S::Terminated, 0),
        ("recover", S::Running, 1),
    ] {
        let mut cloud = Cloud::new(1.0);
        let id = launch(&cloud, "");
        alarm(&cloud, &id, verb);
        cloud.run(200.0);
        assert_eq!(state(&cloud, &id), Some(S::Running), "{verb}: too early");
        cloud.host.deafen(&id, true).expect("deaf");
        cloud.run(300.0);
        assert_eq!(state(&cloud, &id), Some(expected), "{verb}");
        assert_eq!(cloud.state().instances[&id].reboots_done, reboots, "{verb}");
    }
}

#[test]
fn an_impaired_instance_is_rebooted_by_an_alarm() {
    let mut cloud = Cloud::new(1.0);
    let id = launch(&cloud, "");
    cloud.run(10.0);
    alarm(&cloud, &id, "reboot");
    let status = |cloud: &Cloud, of: &str| {
        let answer = cloud.ec2(&format!("DescribeInstanceStatus&InstanceId.1={id}"));
        let from = answer.find(&format!("<{of}>")).expect(of);
        text(&answer[from..], "status")
    };
    cloud.run(200.0);
    assert_eq!(status(&cloud, "instanceStatus"), "ok");
    cloud.host.deafen(&id, true).expect("deaf");
    cloud.run(5.0);
    assert_eq!(status(&cloud, "instanceStatus"), "impaired");
    assert_eq!(status(&cloud, "systemStatus"), "ok");
    cloud.until("rebooted", 300.0, |c| {
        c.state().instances[&id].reboots_done == 1
    });
    // A boot sets up its interface anew.
    cloud.run(10.0);
    assert_eq!(status(&cloud, "instanceStatus"), "ok");
    let zone = model::event::Fault::Zone(cloud.state().instances[&id].zone.clone());
    cloud.fault(zone.clone());
    assert_eq!(status(&cloud, "systemStatus"), "impaired");
    cloud.heal(&zone);
    assert_eq!(status(&cloud, "systemStatus"), "ok");
}
