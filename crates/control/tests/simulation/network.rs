//! NAT gateways and load balancers come and go with what the machine has.

use crate::cloud::{Cloud, text};
use crate::stack;
use model::vpc::NatGatewayState;

#[test]
fn a_nat_gateway_is_available_once_it_stands_and_deleted_once_it_is_gone() {
    let mut cloud = Cloud::new(1.0);
    let subnet = stack::subnet(&cloud, "us-east-1a");
    let allocation = text(&cloud.ec2("AllocateAddress&Domain=vpc"), "allocationId");
    let answer = cloud.ec2(&format!(
        "CreateNatGateway&SubnetId={subnet}&AllocationId={allocation}"
    ));
    let id: model::NatGatewayId = text(&answer, "natGatewayId").parse().unwrap();
    let state = |cloud: &Cloud| cloud.state().nat_gateways.get(&id).map(|n| n.state);
    assert_eq!(state(&cloud), Some(NatGatewayState::Pending));
    cloud.until("available", 10.0, |c| {
        state(c) == Some(NatGatewayState::Available)
    });
    let interface = cloud.state().nat_gateways[&id].interface.clone();
    assert!(
        cloud
            .host
            .network()
            .vpcs
            .values()
            .any(|v| v.interfaces.contains_key(&interface))
    );
    cloud.ec2(&format!("DeleteNatGateway&NatGatewayId={id}"));
    assert_eq!(state(&cloud), Some(NatGatewayState::Deleting));
    cloud.until("deleted", 10.0, |c| {
        state(c) == Some(NatGatewayState::Deleted)
    });
    assert!(
        !cloud
            .host
            .network()
            .vpcs
            .values()
            .any(|v| v.interfaces.contains_key(&interface))
    );
    assert!(!cloud.state().network_interfaces.contains_key(&interface));
    cloud.ec2(&format!("ReleaseAddress&AllocationId={allocation}"));
    cloud.run(3700.0);
    assert_eq!(state(&cloud), None, "forgotten after an hour");
}

#[test]
fn a_load_balancer_is_active_and_gone_only_when_the_data_plane_says_so() {
    let mut cloud = Cloud::new(1.0);
    cloud.plane.set_silent(true);
    let web = stack::load_balancer(&cloud, "web");
    cloud.run(30.0);
    let active = |cloud: &Cloud| {
        cloud
            .state()
            .load_balancers
            .get(&web.load_balancer)
            .map(|b| b.active)
    };
    assert_eq!(active(&cloud), Some(false));
    cloud.plane.set_silent(false);
    cloud.until("active", 5.0, |c| active(c) == Some(true));
    let nodes = |cloud: &Cloud| {
        cloud
            .state()
            .network_interfaces
            .values()
            .filter(|i| i.requester.is_some())
            .count()
    };
    assert_eq!(nodes(&cloud), 2);
    cloud.plane.set_silent(true);
    cloud.elbv2(&format!(
        "DeleteLoadBalancer&LoadBalancerArn={}",
        web.load_balancer
    ));
    cloud.run(30.0);
    assert_eq!(nodes(&cloud), 2, "sockets may be open in their namespaces");
    cloud.plane.set_silent(false);
    cloud.until("gone", 5.0, |c| nodes(c) == 0 && active(c).is_none());
    assert!(cloud.plane.config().load_balancers.is_empty());
    assert!(cloud.plane.names().is_empty());
}

#[test]
fn blocked_public_access_takes_public_addresses_out_of_use() {
    let mut cloud = Cloud::new(1.0);
    let subnet = stack::subnet(&cloud, "us-east-1a");
    let other = stack::subnet(&cloud, "us-east-1b");
    let mut interfaces = Vec::new();
    for subnet in [&subnet, &other] {
        let made = cloud.ec2(&format!("CreateNetworkInterface&SubnetId={subnet}"));
        let id = text(&made, "networkInterfaceId");
        let allocation = text(&cloud.ec2("AllocateAddress&Domain=vpc"), "allocationId");
        cloud.ec2(&format!(
            "AssociateAddress&AllocationId={allocation}&NetworkInterfaceId={id}"
        ));
        interfaces.push(id.parse::<model::NetworkInterfaceId>().unwrap());
    }
    let allocation = text(&cloud.ec2("AllocateAddress&Domain=vpc"), "allocationId");
    let made = cloud.ec2(&format!(
        "CreateNatGateway&SubnetId={subnet}&AllocationId={allocation}"
    ));
    let nat: model::NatGatewayId = text(&made, "natGatewayId").parse().unwrap();
    interfaces.push(cloud.state().nat_gateways[&nat].interface.clone());
    let open = |cloud: &Cloud| -> Vec<bool> {
        let network = cloud.host.network();
        let public = |id| {
            let mut vpcs = network.vpcs.values();
            vpcs.any(|v| v.interfaces.get(id).is_some_and(|i| !i.public.is_empty()))
        };
        interfaces.iter().map(public).collect()
    };
    cloud.run(5.0);
    assert_eq!(open(&cloud), [true, true, true]);
    let state = |cloud: &Cloud| text(&cloud.ec2("DescribeVpcBlockPublicAccessOptions"), "state");
    assert_eq!(state(&cloud), "default-state");
    let set = "ModifyVpcBlockPublicAccessOptions&InternetGatewayBlockMode";
    assert_eq!(
        text(&cloud.ec2(&format!("{set}=block-ingress")), "state"),
        "update-in-progress"
    );
    cloud.run(5.0);
    assert_eq!(state(&cloud), "update-complete");
    assert_eq!(
        open(&cloud),
        [false, false, true],
        "the gateway begins what it carries"
    );
    cloud.ec2(&format!("{set}=block-bidirectional"));
    cloud.run(5.0);
    assert_eq!(open(&cloud), [false, false, false]);
    let exclude = "CreateVpcBlockPublicAccessExclusion&InternetGatewayExclusionMode";
    let made = cloud.ec2(&format!("{exclude}=allow-egress&SubnetId={subnet}"));
    let id = text(&made, "exclusionId");
    cloud.run(5.0);
    assert_eq!(open(&cloud), [false, false, true]);
    cloud.ec2(&format!(
        "ModifyVpcBlockPublicAccessExclusion&ExclusionId={id}&InternetGatewayExclusionMode=allow-bidirectional"
    ));
    cloud.run(5.0);
    assert_eq!(open(&cloud), [true, false, true]);
    let shown = cloud.ec2("DescribeVpcBlockPublicAccessExclusions");
    assert_eq!(text(&shown, "state"), "update-complete");
    cloud.ec2(&format!(
        "DeleteVpcBlockPublicAccessExclusion&ExclusionId={id}"
    ));
    cloud.run(5.0);
    assert_eq!(open(&cloud), [false, false, false]);
    let shown = cloud.ec2("DescribeVpcBlockPublicAccessExclusions");
    assert_eq!(text(&shown, "state"), "delete-complete");
    cloud.run(3700.0);
    assert!(
        cloud.state().public_access_exclusions.is_empty(),
        "forgotten"
    );
}
