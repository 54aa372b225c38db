//! Groups that launch from launch configurations, and change to and from templates.

use crate::cloud::Cloud;
use crate::stack;
use model::instance::Instance;

const IMAGE: &str = "ami-043985f3006b29f9e";

fn configurations(cloud: &Cloud) -> Vec<Option<String>> {
    let group = cloud.group("web");
    group
        .instances
        .iter()
        .map(|m| m.configuration.clone())
        .collect()
}

#[test]
fn a_group_launches_from_a_configuration_and_changes_to_another_and_to_a_template() {
    let mut cloud = Cloud::new(1.0);
    let create = |name: &str, more: &str| {
        cloud.autoscaling(&format!(
            "CreateLaunchConfiguration&LaunchConfigurationName={name}&ImageId={IMAGE}&InstanceType=t3.micro{more}"
        ))
    };
    create(
        "first",
        "&AssociatePublicIpAddress=true&UserData=IyEvYmluL3No",
    );
    create("second", "&InstanceMonitoring.Enabled=false&SpotPrice=0.01");
    let subnet = stack::subnet(&cloud, "us-east-1a");
    cloud.autoscaling(&format!(
        "CreateAutoScalingGroup&AutoScalingGroupName=web&LaunchConfigurationName=first&MinSize=1&MaxSize=4&VPCZoneIdentifier={subnet}"
    ));
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    assert_eq!(configurations(&cloud), [Some("first".to_owned())]);
    let state = cloud.state();
    let instance: &Instance = state.instances.values().next().unwrap();
    assert!(instance.monitoring && instance.assign_public_ip);
    assert_eq!(instance.user_data.as_deref(), Some(b"#!/bin/sh".as_slice()));
    assert_eq!(instance.launch_template, None);
    let delete = "DeleteLaunchConfiguration&LaunchConfigurationName=first";
    let refused = cloud.try_autoscaling(delete).unwrap_err();
    assert!(
        refused.starts_with("ResourceInUse: Cannot delete"),
        "{refused}"
    );

    // The members stay as they are; what is launched from now on is of the other one.
    let update = "UpdateAutoScalingGroup&AutoScalingGroupName=web";
    cloud.autoscaling(&format!(
        "{update}&LaunchConfigurationName=second&DesiredCapacity=2"
    ));
    cloud.autoscaling(delete);
    cloud.until("two", 60.0, |c| c.at_rest("web"));
    let names = [Some("first".to_owned()), Some("second".to_owned())];
    assert_eq!(configurations(&cloud), names);

    let template = format!(
        "CreateLaunchTemplate&LaunchTemplateName=new&LaunchTemplateData.ImageId={IMAGE}&LaunchTemplateData.InstanceType=t3.micro"
    );
    cloud.ec2(&template);
    cloud.autoscaling(&format!(
        "{update}&LaunchTemplate.LaunchTemplateName=new&DesiredCapacity=3"
    ));
    cloud.until("three", 60.0, |c| c.at_rest("web"));
    assert_eq!(configurations(&cloud)[2], None);
    assert_eq!(cloud.group("web").instances[2].template.2, 1);
    // The outdated go first.
    cloud.autoscaling(&format!("{update}&DesiredCapacity=1"));
    cloud.until("one", 300.0, |c| c.at_rest("web"));
    assert_eq!(configurations(&cloud), [None]);
}

#[test]
fn a_group_made_from_an_instance_has_a_configuration_of_its_name() {
    let mut cloud = Cloud::new(1.0);
    let subnet = stack::subnet(&cloud, "us-east-1a");
    cloud.ec2(&format!(
        "RunInstances&MinCount=1&MaxCount=1&ImageId={IMAGE}&InstanceType=t3.small&SubnetId={subnet}"
    ));
    let id = cloud.state().instances.keys().next().unwrap().clone();
    cloud.autoscaling(&format!(
        "CreateAutoScalingGroup&AutoScalingGroupName=copy&InstanceId={id}&MinSize=1&MaxSize=1&VPCZoneIdentifier={subnet}"
    ));
    cloud.until("at rest", 60.0, |c| c.at_rest("copy"));
    let member = cloud.group("copy").instances[0].clone();
    assert_eq!(member.configuration.as_deref(), Some("copy"));
    assert_eq!(member.instance_type, "t3.small");
}
