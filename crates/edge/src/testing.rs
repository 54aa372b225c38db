//! Values the tests of this crate share.

use crate::config::*;

/// A private instance with two groups and two addresses.
pub fn instance() -> Instance {
    Instance {
        id: "i-0123456789abcdef0".into(),
        image_id: "ami-0123456789abcdef0".into(),
        instance_type: "t3.micro".into(),
        architecture: "x86_64".into(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
        zone: "us-east-1a".into(),
        zone_id: "use1-az1".into(),
        reservation_id: "r-0123456789abcdef0".into(),
        launch_index: 0,
        pending_time: "2026-01-02T03:04:05Z".into(),
        hostname: "ip-10-0-1-5.ec2.internal".into(),
        public_hostname: None,
        interfaces: vec![Interface {
            id: "eni-0123456789abcdef0".into(),
            mac: "02:00:0a:00:01:05".into(),
            device_number: 0,
            subnet_id: "subnet-1".into(),
            subnet_cidr: "10.0.1.0/24".into(),
            vpc_id: "vpc-1".into(),
            vpc_cidrs: vec!["10.0.0.0/16".into(), "10.1.0.0/16".into()],
            addresses: vec![[10, 0, 1, 5].into(), [10, 0, 1, 6].into()],
            ipv6: Ipv6::default(),
            public: Default::default(),
            groups: [("sg-1", "web"), ("sg-2", "app")]
                .map(|(id, name)| Group {
                    id: id.into(),
                    name: name.into(),
                })
                .into(),
        }],
        key: None,
        user_data: None,
        sent_keys: Vec::new(),
        profile: None,
        tags: [("Name".into(), "web-1".into())].into(),
        options: MetadataOptions::default(),
        life_cycle: "on-demand".into(),
        placement_group: None,
        monitoring: false,
        hypervisor: "nitro".into(),
        spot: Default::default(),
        target_lifecycle_state: None,
        block_devices: [("ami", "/dev/xvda"), ("root", "/dev/xvda")]
            .map(|(name, device)| (name.into(), device.into()))
            .into(),
    }
}

pub fn profile() -> Profile {
    Profile {
        arn: "arn:aws:iam::000000000000:instance-profile/web".into(),
        id: "AIPA0123456789".into(),
        role: Some(Role {
            name: "web-role".into(),
            access_key_id: "ASIA0123456789".into(),
            secret_access_key: "secret".into(),
            token: "session".into(),
            last_updated: "2026-01-02T03:04:05Z".into(),
            expiration: "2026-01-02T09:04:05Z".into(),
        }),
    }
}
