//! CPU credits: who has spent them is slowed down, unless it may owe.

use crate::cloud::{Cloud, text};
use host::Host;
use model::InstanceId;

/// The part of its CPU that the instance uses in the time to come.
fn used(cloud: &mut Cloud, id: &InstanceId, seconds: f64) -> f64 {
    let look = |cloud: &Cloud| {
        let seen = cloud.host.instances().unwrap();
        let one = seen.into_iter().find(|i| i.id == *id).unwrap();
        (one.usage.cpu_usec as f64, one.cpu_quota_usec_per_sec as f64)
    };
    let (before, quota) = look(cloud);
    cloud.run(seconds);
    (look(cloud).0 - before) / (quota * seconds)
}

#[test]
fn an_instance_without_credits_falls_to_its_baseline() {
    let mut cloud = Cloud::new(1.0);
    cloud.thrifty = true;
    let answer = cloud.ec2(
        "RunInstances&ImageId=ami-043985f3006b29f9e&InstanceType=t2.micro&MinCount=1&MaxCount=1",
    );
    let id: InstanceId = text(&answer, "instanceId").parse().unwrap();
    cloud.run(60.0);
    cloud.host.set_load(&id, 1.0).unwrap();
    // Thirty launch credits.
    let first = used(&mut cloud, &id, 1200.0);
    assert!(first > 0.99, "{first}");
    cloud.run(5400.0);
    let slow = used(&mut cloud, &id, 600.0);
    assert!((0.09..0.12).contains(&slow), "{slow}");
    let told = |cloud: &Cloud| {
        let state = cloud.state();
        let told = state.events.values().filter(|e| e.kind == "cpu-credits");
        told.count()
    };
    assert_eq!(told(&cloud), 1);
    // What it earns while idle it may spend.
    cloud.host.set_load(&id, 0.0).unwrap();
    cloud.run(3600.0);
    cloud.host.set_load(&id, 1.0).unwrap();
    let rested = used(&mut cloud, &id, 60.0);
    assert!(rested > 0.99, "{rested}");
    assert_eq!(told(&cloud), 2);
    cloud.run(3600.0);
    cloud.ec2(&format!(
        "ModifyInstanceCreditSpecification&InstanceCreditSpecification.1.InstanceId={id}&InstanceCreditSpecification.1.CpuCredits=unlimited"
    ));
    cloud.run(120.0);
    let unlimited = used(&mut cloud, &id, 600.0);
    assert!(unlimited > 0.99, "{unlimited}");
}
