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
