//! Launches on a store in memory.

use super::*;
use crate::testing;
use crate::{Ctx, ec2};
use model::vpc::{NetworkInterface, SecurityGroup, Vpc};
use serde_json::json;
use std::collections::BTreeSet;

fn debian() -> String {
    let line = image::Line::Debian12;
    let image = image::newest("us-east-1", line, instance_type::Architecture::X86_64);
    image.unwrap().id.to_string()
}

/// Launches what `data` says, over an image and a type.
fn launched(
    ctx: &mut Ctx,
    count: (u32, u32),
    data: serde_json::Value,
) -> Result<Vec<InstanceId>, String> {
    let given: LaunchTemplateData = testing::input(data);
    let base = testing::input(json!({"ImageId": debian(), "InstanceType": "t3.micro"}));
    let site = Site::new(&ctx.cloud, &ctx.scope, ctx.now);
    let launch = Launch {
        data: given.over(base),
        count,
        ..Launch::default()
    };
    run(&mut ctx.tx, &site, launch).map_err(|e| e.code.into_owned())
}

fn refused(data: serde_json::Value, code: &str) {
    let got = testing::run(|ctx| launched(ctx, (1, 1), data.clone()));
    assert_eq!(got, Err(code.to_owned()), "{data}");
}

fn primary(ctx: &Ctx, id: &InstanceId) -> NetworkInterface {
    let interfaces = ec2::network_interface::of_instance(&ctx.tx, id);
    NetworkInterface::clone(&interfaces[0])
}

#[test]
fn a_launch_makes_instance_interface_and_volume() {
    testing::run(|ctx| {
        let ids = launched(ctx, (1, 3), json!({})).unwrap();
        assert_eq!(ids.len(), 3);
        let first = ctx.tx.get::<Instance>(&ids[0]).unwrap().clone();
        assert_eq!(first.state, InstanceState::Pending);
        assert_eq!(first.zone, "us-east-1a");
        assert_eq!(first.cpu_credits.as_deref(), Some("unlimited"));
        assert_eq!(first.metadata.http_tokens, "optional");
        let interface = primary(ctx, &ids[0]);
        assert!(interface.auto_public_ip.is_some());
        assert_eq!(interface.security_groups.len(), 1);
        assert_eq!(ctx.tx.volumes.len(), 3);
        let bases: BTreeSet<u32> = ctx.tx.instances.values().map(|i| i.uid_base).collect();
        let expected = [FIRST_UID, FIRST_UID + UIDS, FIRST_UID + 2 * UIDS];
        assert_eq!(bases, BTreeSet::from(expected));
    });
}

#[test]
fn privileged_instances_have_no_ids_of_their_own() {
    testing::run(|ctx| {
        let cloud = std::sync::Arc::get_mut(&mut ctx.cloud).unwrap();
        cloud.privileged_instances = true;
        launched(ctx, (1, 2), json!({})).unwrap();
        assert!(ctx.tx.instances.values().all(|i| i.uid_base == 0));
    });
}

#[test]
fn a_refused_launch_leaves_nothing() {
    testing::run(|ctx| {
        let before = ctx.tx.network_interfaces.len() + ctx.tx.volumes.len();
        ctx.cloud = std::sync::Arc::new(crate::Cloud {
            metrics: Default::default(),
            // Holds the cloud's own addresses and no more.
            public_pool: "198.18.0.0/31".parse().unwrap(),
            state_dir: Default::default(),
            images: [].into(),
            strict_images: false,
            privileged_instances: false,
            speed: Default::default(),
            console: Box::new(|_| None),
        });
        let got = launched(ctx, (1, 1), json!({}));
        assert_eq!(got, Err("InsufficientAddressCapacity".into()));
        let twice = json!({"NetworkInterface": [{
            "DeviceIndex": 0,
            "AssociatePublicIpAddress": false,
            "PrivateIpAddresses": [
                {"Primary": true, "PrivateIpAddress": "172.31.0.9"},
                {"PrivateIpAddress": "172.31.0.9"},
            ],
        }]});
        let got = launched(ctx, (1, 1), twice);
        assert_eq!(got, Err("InvalidParameterCombination".into()));
        assert_eq!(
            ctx.tx.network_interfaces.len() + ctx.tx.volumes.len(),
            before
        );
        assert_eq!(ctx.tx.instances.len(), 0);
    });
}

#[test]
fn more_than_the_account_may_have_is_refused_before_anything_is_made() {
    testing::run(|ctx| {
        for most in [4096, u32::MAX] {
            let got = launched(ctx, (1, most), json!({}));
            assert_eq!(got, Err("VcpuLimitExceeded".into()), "{most}");
            assert!(ctx.tx.instances.is_empty(), "{most}");
        }
    });
}

#[test]
fn what_is_not_emulated_is_told() {
    let check = |data: serde_json::Value, expected: usize| {
        let told = testing::run(|ctx| {
            launched(ctx, (1, 1), data.clone()).unwrap();
            ctx.tx.events.len()
        });
        assert_eq!(told, expected, "{data}");
    };
    check(json!({}), 0);
    check(json!({"ImageId": "ami-0123456789abcdef0"}), 1);
    let spot =
        |options| json!({"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}});
    check(json!({"InstanceType": "m5d.large"}), 1);
    check(
        json!({"InstanceType": "c6a.large", "CpuOptions": {"AmdSevSnp": "enabled"}}),
        1,
    );
    check(spot(json!({})), 0);
    check(spot(json!({"MaxPrice": "0.01"})), 1);
    check(
        json!({"BlockDeviceMapping": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5}}]}),
        1,
    );
    check(
        json!({"CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1}}),
        1,
    );
}

#[test]
fn a_broken_zone_takes_no_launches() {
    testing::run(|ctx| {
        ctx.tx.put(Fault::Zone("us-east-1a".into()));
        let placed = json!({"Placement": {"AvailabilityZone": "us-east-1a"}});
        let refused = launched(ctx, (1, 1), placed);
        assert_eq!(refused, Err("InsufficientInstanceCapacity".into()));
        let elsewhere = launched(ctx, (1, 1), json!({})).unwrap();
        assert_eq!(
            ctx.tx.get::<Instance>(&elsewhere[0]).unwrap().zone,
            "us-east-1b"
        );
    });
}

#[test]
fn interfaces_and_instance_level_settings_exclude_each_other() {
    let one = json!([{"DeviceIndex": 0}]);
    refused(
        json!({"NetworkInterface": one, "SecurityGroup": ["default"]}),
        "InvalidParameterCombination",
    );
    refused(json!({"NetworkInterface": [{}]}), "InvalidParameterValue");
    refused(
        json!({"NetworkInterface": [{"DeviceIndex": 1}]}),
        "InvalidParameterValue",
    );
    refused(
        json!({"NetworkInterface": [{"DeviceIndex": 0}, {"DeviceIndex": 0}]}),
        "InvalidParameterValue",
    );
    refused(
        json!({"NetworkInterface": [{"DeviceIndex": 0}, {"DeviceIndex": 1}, {"DeviceIndex": 2}]}),
        "AttachmentLimitExceeded",
    );
    refused(
        json!({"NetworkInterface": [
            {"DeviceIndex": 0, "AssociatePublicIpAddress": true},
            {"DeviceIndex": 1},
        ]}),
        "InvalidParameterCombination",
    );
    refused(
        json!({"NetworkInterface": [{"DeviceIndex": 0, "Ipv6AddressCount": 1}]}),
        "InvalidParameterValue",
    );
    refused(
        json!({"NetworkInterface": [
            {"DeviceIndex": 0, "NetworkInterfaceId": "eni-0123456789abcdef0"},
        ]}),
        "InvalidNetworkInterfaceID.NotFound",
    );
}

#[test]
fn a_public_address_is_the_interfaces_choice_then_the_subnets() {
    let check = |interface: serde_json::Value, expected: bool| {
        let got = testing::run(|ctx| {
            let data = json!({"NetworkInterface": [interface]});
            let ids = launched(ctx, (1, 1), data).unwrap();
            primary(ctx, &ids[0]).auto_public_ip.is_some()
        });
        assert_eq!(got, expected, "{interface}");
    };
    check(json!({"DeviceIndex": 0}), true);
    check(
        json!({"DeviceIndex": 0, "AssociatePublicIpAddress": false}),
        false,
    );
}

#[test]
fn groups_are_of_the_subnets_vpc() {
    testing::run(|ctx| {
        let group = ctx.tx.security_groups.values().next().unwrap();
        let mut foreign = SecurityGroup::clone(group);
        foreign.id = "sg-0123456789abcdef0".parse().unwrap();
        foreign.vpc = "vpc-0123456789abcdef0".parse().unwrap();
        foreign.name = "elsewhere".into();
        ctx.tx.put(foreign);
        let got = launched(
            ctx,
            (1, 1),
            json!({"SecurityGroupId": ["sg-0123456789abcdef0"]}),
        );
        assert_eq!(got, Err("InvalidParameter".into()));
        let got = launched(ctx, (1, 1), json!({"SecurityGroup": ["elsewhere"]}));
        assert_eq!(got, Err("InvalidGroup.NotFound".into()));
        assert!(launched(ctx, (1, 1), json!({"SecurityGroup": ["default"]})).is_ok());
    });
}

#[test]
fn without_a_default_vpc_a_subnet_is_needed() {
    testing::run(|ctx| {
        let vpc = ctx.tx.vpcs.values().next().unwrap().id.clone();
        ctx.tx.modify::<Vpc>(&vpc, |v| v.is_default = false);
        assert_eq!(
            launched(ctx, (1, 1), json!({})),
            Err("VPCIdNotSpecified".into())
        );
    });
}

#[test]
fn bad_launches_are_refused_with_awss_codes() {
    refused(json!({"ImageId": "ami-1"}), "InvalidAMIID.Malformed");
    refused(json!({"InstanceType": "m9.huge"}), "InvalidParameterValue");
    refused(
        json!({"InstanceType": "m1.small"}),
        "InvalidParameterCombination",
    );
    refused(
        json!({"InstanceType": "t4g.micro"}),
        "InvalidParameterValue",
    );
    refused(json!({"KeyName": "none"}), "InvalidKeyPair.NotFound");
    refused(
        json!({"IamInstanceProfile": {"Arn": "arn:aws:iam::1:instance-profile/x"}}),
        "InvalidParameterValue",
    );
    refused(
        json!({"IamInstanceProfile": {"Arn": "a", "Name": "b"}}),
        "InvalidParameterCombination",
    );
    refused(
        json!({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}),
        "InvalidParameterValue",
    );
    refused(
        json!({"Placement": {"GroupName": "g"}}),
        "InvalidPlacementGroup.Unknown",
    );
    refused(
        json!({"Placement": {"Tenancy": "host"}}),
        "UnsupportedOperation",
    );
    refused(
        json!({"CpuOptions": {"CoreCount": 64}}),
        "InvalidParameterValue",
    );
    refused(
        json!({"TagSpecification": [{"ResourceType": "vpc"}]}),
        "InvalidParameterValue",
    );
    let volume = |ebs| json!({"BlockDeviceMapping": [{"DeviceName": "/dev/xvda", "Ebs": ebs}]});
    refused(
        volume(json!({"VolumeSize": 7})),
        "InvalidBlockDeviceMapping",
    );
    refused(
        volume(json!({"VolumeSize": 70_000})),
        "InvalidParameterValue",
    );
    refused(volume(json!({"VolumeType": "io1"})), "MissingParameter");
    refused(
        volume(json!({"VolumeType": "gp2", "Iops": 100})),
        "InvalidParameterCombination",
    );
    refused(
        volume(json!({"VolumeType": "gp3", "Throughput": 1})),
        "InvalidParameterValue",
    );
}

#[test]
fn a_group_launches_from_its_template_in_its_subnet() {
    testing::run(|ctx| {
        let create = testing::input(json!({
            "LaunchTemplateName": "web",
            "LaunchTemplateData": {
                "ImageId": debian(),
                "InstanceType": "t3.micro",
                "NetworkInterface": [{"DeviceIndex": 0, "AssociatePublicIpAddress": false}],
                "TagSpecification": [{
                    "ResourceType": "instance",
                    "Tag": [{"Key": "Name", "Value": "template"}, {"Key": "a", "Value": "b"}],
                }],
            },
        }));
        launch_template::create(ctx, create).unwrap();
        let template = ctx.tx.launch_templates.values().next().unwrap().id.clone();
        let subnets = ctx.tx.subnets.values();
        let subnet = subnets.max_by_key(|s| s.zone.clone()).unwrap().clone();
        let mut request = TemplateLaunch {
            template,
            version: "$Latest".into(),
            configuration: None,
            subnet: subnet.id.clone(),
            instance_type: Some("t2.micro".into()),
            image: None,
            spot: false,
            spot_max_price: None,
            tags: Tags::from([
                ("Name".into(), "group".into()),
                ("aws:autoscaling:groupName".into(), "g".into()),
            ]),
        };
        let site = Site::new(&ctx.cloud, &ctx.scope, ctx.now);
        let (id, version) = from_template(&mut ctx.tx, &site, &request).unwrap();
        let instance = ctx.tx.get::<Instance>(&id).unwrap();
        assert_eq!((version, &instance.subnet), (1, &subnet.id));
        assert_eq!(instance.instance_type, "t2.micro");
        assert_eq!(instance.tags["Name"], "group");
        assert_eq!(instance.tags["a"], "b");
        assert_eq!(instance.tags["aws:autoscaling:groupName"], "g");
        request.version = "7".into();
        let error = from_template(&mut ctx.tx, &site, &request).unwrap_err();
        assert_eq!(error.code, "InvalidLaunchTemplateId.VersionNotFound");
    });
}

#[test]
fn a_group_launches_what_meets_its_templates_requirements() {
    testing::run(|ctx| {
        let create = testing::input(json!({
            "LaunchTemplateName": "any",
            "LaunchTemplateData": {
                "ImageId": "resolve:ssm:/aws/service/debian/release/12/latest/arm64",
                "InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4096}},
            },
        }));
        launch_template::create(ctx, create).unwrap();
        let request = TemplateLaunch {
            template: ctx.tx.launch_templates.values().next().unwrap().id.clone(),
            version: "$Default".into(),
            configuration: None,
            // Not every zone has every type, and ids are in random order.
            subnet: in_zone(ctx, "us-east-1a"),
            instance_type: None,
            image: None,
            spot: false,
            spot_max_price: None,
            tags: Tags::new(),
        };
        let site = Site::new(&ctx.cloud, &ctx.scope, ctx.now);
        let (id, _) = from_template(&mut ctx.tx, &site, &request).unwrap();
        assert_eq!(
            ctx.tx.get::<Instance>(&id).unwrap().instance_type,
            "c6g.large"
        );
    });
}

fn in_zone(ctx: &crate::Ctx, zone: &str) -> model::SubnetId {
    let mut subnets = ctx.tx.subnets.values();
    subnets.find(|s| s.zone == zone).unwrap().id.clone()
}
