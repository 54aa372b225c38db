//! Images of instances: made, launched, taken back; and the credentials that instances get.

use crate::cloud::{Cloud, text};
use model::InstanceId;

fn launch(cloud: &Cloud, image: &str, more: &str) -> InstanceId {
    let answer = cloud.ec2(&format!(
        "RunInstances&ImageId={image}&InstanceType=t3.micro&MinCount=1&MaxCount=1{more}"
    ));
    text(&answer, "instanceId").parse().expect("an id")
}

#[test]
fn an_image_of_an_image() {
    let mut cloud = Cloud::new(1.0);
    let first = launch(&cloud, "ami-043985f3006b29f9e", "");
    cloud.run(10.0);
    let reboots = |cloud: &Cloud| cloud.state().instances[&first].reboots_done;
    let image = text(
        &cloud.ec2(&format!("CreateImage&InstanceId={first}&Name=one")),
        "imageId",
    );
    cloud.run(5.0);
    let described = cloud.ec2(&format!("DescribeImages&ImageId.1={image}"));
    assert_eq!(text(&described, "imageState"), "available");
    assert_eq!(reboots(&cloud), 1, "as AWS, unless NoReboot");

    let second = launch(&cloud, &image, "");
    cloud.run(10.0);
    let other = text(
        &cloud.ec2(&format!(
            "CreateImage&InstanceId={second}&Name=two&NoReboot=true"
        )),
        "imageId",
    );
    cloud.run(5.0);
    let state = cloud.state();
    let layers = |image: &str| {
        let image = &state.images[&image.parse::<model::ImageId>().expect("an id")];
        let contents = &state.snapshots[&image.snapshot].contents;
        (contents.base.to_string(), contents.layers.len())
    };
    assert_eq!(layers(&image), ("ami-043985f3006b29f9e".into(), 1));
    assert_eq!(layers(&other), ("ami-043985f3006b29f9e".into(), 2));

    // What is taken back is no more, but nothing that runs on it loses its files.
    let snapshot = text(&described, "snapshotId");
    cloud.ec2(&format!("DeregisterImage&ImageId={image}"));
    cloud.ec2(&format!("DeleteSnapshot&SnapshotId={snapshot}"));
    cloud.run(5.0);
    assert!(
        host::Host::snapshots(&*cloud.host)
            .contains_key(&snapshot.parse::<model::SnapshotId>().expect("an id"))
    );
    for name in [&image, &other] {
        let id = name.parse::<model::ImageId>().expect("an id");
        let image = cloud.state().images[&id].clone();
        if !image.deregistered {
            cloud.ec2(&format!("DeregisterImage&ImageId={name}"));
            cloud.ec2(&format!("DeleteSnapshot&SnapshotId={}", image.snapshot));
        }
    }
    cloud.ec2(&format!(
        "TerminateInstances&InstanceId.1={first}&InstanceId.2={second}"
    ));
    cloud.run(3700.0);
    assert!(
        host::Host::snapshots(&*cloud.host).is_empty(),
        "nothing is left"
    );
}

#[test]
fn credentials_are_renewed_before_they_end() {
    let mut cloud = Cloud::new(1.0);
    let iam = |cloud: &Cloud, parameters: &str| {
        cloud
            .call(api::iam::service(), "2010-05-08", parameters)
            .unwrap_or_else(|e| panic!("{parameters}: {e}"))
    };
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D%7D%5D%7D";
    let role = format!("CreateRole&RoleName=web&AssumeRolePolicyDocument={policy}");
    iam(&cloud, &role);
    iam(&cloud, "CreateInstanceProfile&InstanceProfileName=web");
    iam(
        &cloud,
        "AddRoleToInstanceProfile&InstanceProfileName=web&RoleName=web",
    );
    let id = launch(
        &cloud,
        "ami-043985f3006b29f9e",
        "&IamInstanceProfile.Name=web",
    );
    // When those given to the instance end, in seconds from the launch, the newest last.
    let launched = cloud.now();
    let ends = |cloud: &Cloud| -> Vec<i64> {
        let state = cloud.state();
        let of = state.session_credentials.values();
        let mut ends: Vec<i64> = of
            .filter(|c| c.instance.as_ref() == Some(&id))
            .map(|c| c.expires.duration_since(launched).as_secs())
            .collect();
        ends.sort_unstable();
        ends
    };
    const HOUR: i64 = 3600;
    cloud.run(60.0);
    assert_eq!(ends(&cloud).len(), 1);
    let first = ends(&cloud)[0];
    assert!((6 * HOUR..6 * HOUR + 60).contains(&first), "{first}");
    cloud.run((4 * HOUR) as f64);
    // Another control plane goes on with what was given out.
    cloud.restart(false);
    cloud.run(60.0);
    assert_eq!(ends(&cloud), [first]);
    // An hour before the end there are others, beside which the old ones still hold.
    cloud.run(HOUR as f64);
    let renewed = ends(&cloud);
    assert_eq!((renewed.len(), renewed[0]), (2, first));
    let second = renewed[1] - first;
    assert!((5 * HOUR..5 * HOUR + 60).contains(&second), "{renewed:?}");
}
