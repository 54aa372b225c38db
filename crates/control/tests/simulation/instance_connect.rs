//! EC2 Instance Connect: endpoints follow the network and the edge, keys go with time.

use crate::cloud::{Cloud, text};
use crate::stack;
use model::InstanceConnectEndpointId;
use model::instance_connect::InstanceConnectEndpointState as S;

fn state(cloud: &Cloud, id: &InstanceConnectEndpointId) -> Option<S> {
    let state = cloud.state();
    state.instance_connect_endpoints.get(id).map(|e| e.state)
}

#[test]
fn an_endpoint_is_complete_and_gone_only_when_the_edge_says_so() {
    let mut cloud = Cloud::new(1.0);
    cloud.run(5.0);
    cloud.plane.set_silent(true);
    let subnet = stack::subnet(&cloud, "us-east-1a");
    let made = cloud.ec2(&format!("CreateInstanceConnectEndpoint&SubnetId={subnet}"));
    let id: InstanceConnectEndpointId = text(&made, "instanceConnectEndpointId").parse().unwrap();
    cloud.run(30.0);
    assert_eq!(state(&cloud, &id), Some(S::CreateInProgress));
    assert_eq!(
        cloud.plane.names().into_keys().collect::<Vec<_>>(),
        [text(&made, "dnsName")]
    );
    cloud.plane.set_silent(false);
    cloud.until("complete", 5.0, |c| {
        state(c, &id) == Some(S::CreateComplete)
    });
    let interface = cloud.state().instance_connect_endpoints[&id]
        .interface
        .clone();
    let groups = |cloud: &Cloud| {
        let network = cloud.host.network();
        let mut vpcs = network.vpcs.values();
        vpcs.find_map(|v| Some(v.interfaces.get(&interface)?.security_groups.clone()))
    };
    let vpc = cloud.state().subnets[&subnet].vpc.clone();
    let group = text(
        &cloud.ec2(&format!(
            "CreateSecurityGroup&GroupName=in&GroupDescription=in&VpcId={vpc}"
        )),
        "groupId",
    );
    cloud.ec2(&format!(
        "ModifyInstanceConnectEndpoint&InstanceConnectEndpointId={id}&SecurityGroupId.1={group}"
    ));
    assert_eq!(state(&cloud, &id), Some(S::UpdateInProgress));
    cloud.until("updated", 5.0, |c| state(c, &id) == Some(S::UpdateComplete));
    assert_eq!(groups(&cloud), Some(vec![group.parse().unwrap()]));
    cloud.plane.set_silent(true);
    cloud.ec2(&format!(
        "DeleteInstanceConnectEndpoint&InstanceConnectEndpointId={id}"
    ));
    cloud.run(30.0);
    assert_eq!(state(&cloud, &id), Some(S::DeleteInProgress));
    assert!(groups(&cloud).is_some(), "tunnels may still be open there");
    cloud.plane.set_silent(false);
    cloud.until("gone", 5.0, |c| state(c, &id).is_none());
    assert_eq!(groups(&cloud), None);
    assert!(!cloud.state().network_interfaces.contains_key(&interface));
    assert!(cloud.plane.names().is_empty());
}

#[test]
fn a_key_is_there_for_a_minute() {
    let mut cloud = Cloud::new(1.0);
    let launched = cloud.ec2(
        "RunInstances&ImageId=ami-043985f3006b29f9e&InstanceType=t3.micro&MinCount=1&MaxCount=1",
    );
    let id = text(&launched, "instanceId");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me";
    let send = |cloud: &Cloud, more: &str| {
        let body = format!(
            r#"{{"InstanceId":"{id}","InstanceOSUser":"admin","SSHPublicKey":"{key}"{more}}}"#
        );
        cloud.json(api::instance_connect::service(), "SendSSHPublicKey", &body)
    };
    let refused = |answer: Result<String, String>| answer.unwrap_err();
    assert!(refused(send(&cloud, "")).starts_with("EC2InstanceUnavailableException"));
    cloud.run(10.0);
    let elsewhere = r#","AvailabilityZone":"us-east-1f""#;
    assert!(refused(send(&cloud, elsewhere)).starts_with("InvalidArgsException"));
    let sent = send(&cloud, "").unwrap();
    assert!(sent.contains(r#""Success":true"#), "{sent}");
    let keys =
        |cloud: &Cloud| control::instance_connect::keys(&cloud.state(), &id.parse().unwrap());
    cloud.run(59.0);
    assert_eq!(keys(&cloud).len(), 1);
    cloud.run(2.0);
    assert_eq!(keys(&cloud).len(), 0);
    cloud.ec2(&format!("StopInstances&InstanceId.1={id}"));
    cloud.run(60.0);
    assert!(refused(send(&cloud, "")).starts_with("EC2InstanceStateInvalidException"));
}
