//! EC2's VPC actions, called as the wire calls them, on a store in memory.

use api::{Cloud, Ctx};
use model::instance::{Instance, InstanceState};
use model::vpc::Requester;
use model::{Scope, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Store, Tx};
use wire::{Call, HttpRequest, Service};

struct Api {
    store: Store,
    cloud: Arc<Cloud>,
    service: Service<Ctx>,
}

const ACCOUNT: &str = "000000000000";

impl Api {
    fn new() -> Self {
        Self {
            store: Store::in_memory(),
            cloud: Arc::new(Cloud {
                metrics: Arc::default(),
                public_pool: "198.18.0.0/15".parse().unwrap(),
                state_dir: std::env::temp_dir(),
                images: [].into(),
                strict_images: false,
                privileged_instances: false,
                speed: Default::default(),
                console: Box::new(|_| None),
            }),
            service: api::ec2::service(),
        }
    }

    /// The answer's XML, or the code of the error.
    fn call(&self, parameters: &str) -> Result<String, String> {
        self.call_as(ACCOUNT, "us-east-1", parameters)
    }

    fn call_as(&self, account: &str, region: &str, parameters: &str) -> Result<String, String> {
        let request = HttpRequest {
            method: "POST".into(),
            path: "/".into(),
            headers: vec![(
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            )],
            body: format!("Version=2016-11-15&Action={parameters}").into_bytes(),
            ..HttpRequest::default()
        };
        let call = Call::detect(&request).map_err(|e| e.code.to_string())?;
        let scope = Scope::new(account, region);
        let now = Timestamp::UNIX_EPOCH;
        let job = self.service.prepare(&call);
        let job = job.map_err(|e| e.code.to_string())?;
        let name = job.action.name;
        let (answer, commit) = self
            .store
            .transact(|tx| {
                api::ec2::ensure_defaults(tx, &scope, now);
                let mut ctx = Ctx {
                    tx: std::mem::replace(tx, Tx::reading(&self.store.snapshot())),
                    scope: scope.clone(),
                    now,
                    access_key: account.into(),
                    from_host: true,
                    request_id: String::new(),
                    cloud: self.cloud.clone(),
                };
                let answer = job.input.run(&mut ctx)?;
                *tx = ctx.tx;
                Ok(answer)
            })
            .map_err(|e: wire::ApiError| e.code.to_string())?;
        commit.forget();
        let response = self
            .service
            .success(job.protocol, name, &*answer, "request");
        Ok(String::from_utf8(response.body.to_vec()).unwrap())
    }

    /// What the first element of that name holds in the answer.
    fn get(&self, element: &str, parameters: &str) -> String {
        let answer = self.call(parameters).unwrap_or_else(|code| {
            panic!("{parameters} was refused: {code}");
        });
        texts(&answer, element).into_iter().next().unwrap()
    }

    fn code(&self, parameters: &str) -> String {
        self.call(parameters).err().unwrap_or_else(|| "none".into())
    }

    /// A VPC with an internet gateway and one subnet.
    fn network(&self) -> (String, String, String) {
        let vpc = self.get("vpcId", "CreateVpc&CidrBlock=10.0.0.0/16");
        let subnet = format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.1.0/24");
        let subnet = self.get("subnetId", &subnet);
        let gateway = self.get("internetGatewayId", "CreateInternetGateway");
        let attach = format!("AttachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}");
        self.call(&attach).unwrap();
        (vpc, subnet, gateway)
    }
}

/// The texts of every element of that name.
fn texts(xml: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let parts = xml.split(&open).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(&close)?.0.to_owned()))
        .collect()
}

#[test]
fn a_vpc_brings_and_takes_what_is_its_own() {
    let api = Api::new();
    let count = |what: &str| {
        let answer = api.call(what).unwrap();
        answer.matches("<vpcId>").count()
    };
    let all = [
        "DescribeRouteTables",
        "DescribeNetworkAcls",
        "DescribeSecurityGroups",
    ];
    let before = all.map(count);
    let vpc = api.get("vpcId", "CreateVpc&CidrBlock=10.0.0.0/16");
    assert_eq!(all.map(count), before.map(|n| n + 1));
    api.call(&format!("DeleteVpc&VpcId={vpc}")).unwrap();
    assert_eq!(all.map(count), before);
}

#[test]
fn an_account_has_a_default_vpc_until_it_deletes_it() {
    let api = Api::new();
    let vpcs = api
        .call("DescribeVpcs&Filter.1.Name=is-default&Filter.1.Value.1=true")
        .unwrap();
    let vpc = texts(&vpcs, "vpcId").remove(0);
    let subnets = api.call("DescribeSubnets").unwrap();
    let zones = texts(&subnets, "availabilityZone");
    assert_eq!(zones.iter().collect::<BTreeSet<_>>().len(), 6);
    for subnet in texts(&subnets, "subnetId") {
        api.call(&format!("DeleteSubnet&SubnetId={subnet}"))
            .unwrap();
    }
    let gateway = api.get("internetGatewayId", "DescribeInternetGateways");
    let detach = format!("DetachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}");
    api.call(&detach).unwrap();
    api.call(&format!("DeleteVpc&VpcId={vpc}")).unwrap();
    assert_eq!(texts(&api.call("DescribeVpcs").unwrap(), "vpcId").len(), 0);
    api.call("CreateDefaultVpc").unwrap();
    assert_eq!(api.code("CreateDefaultVpc"), "DefaultVpcAlreadyExists");
}

#[test]
fn what_is_in_use_stays() {
    let api = Api::new();
    let (vpc, subnet, gateway) = api.network();
    let interface = api.get(
        "networkInterfaceId",
        &format!("CreateNetworkInterface&SubnetId={subnet}"),
    );
    let check = |call: String| assert_eq!(api.code(&call), "DependencyViolation", "{call}");
    check(format!("DeleteVpc&VpcId={vpc}"));
    check(format!("DeleteSubnet&SubnetId={subnet}"));
    check(format!("DeleteInternetGateway&InternetGatewayId={gateway}"));
    let delete = format!("DeleteNetworkInterface&NetworkInterfaceId={interface}");
    api.call(&delete).unwrap();
    api.call(&format!("DeleteSubnet&SubnetId={subnet}"))
        .unwrap();
    check(format!("DeleteVpc&VpcId={vpc}"));
}

#[test]
fn bad_calls_are_refused_with_awss_codes() {
    let api = Api::new();
    let (vpc, subnet, _) = api.network();
    let check = |call: &str, expected: &str| {
        let call = call.replace("{vpc}", &vpc).replace("{subnet}", &subnet);
        assert_eq!(api.code(&call), expected, "{call}");
    };
    check("CreateVpc", "MissingParameter");
    check("CreateVpc&CidrBlock=10.0.0.0/8", "InvalidVpc.Range");
    check("CreateVpc&CidrBlock=198.18.0.0/16", "InvalidVpc.Range");
    check("CreateVpc&CidrBlock=ten", "InvalidParameterValue");
    check(
        "CreateVpc&CidrBlock=10.0.0.0/16&Colour=red",
        "UnknownParameter",
    );
    check(
        "DescribeVpcs&VpcId.1=vpc-0123456789abcdef0",
        "InvalidVpcID.NotFound",
    );
    check("DescribeVpcs&VpcId.1=vpc-1", "InvalidVpcID.Malformed");
    check(
        "DescribeVpcs&VpcId.1=subnet-0123456789abcdef0",
        "InvalidVpcID.Malformed",
    );
    check(
        "DescribeVpcs&Filter.1.Name=x&Filter.1.Value.1=y",
        "InvalidParameterValue",
    );
    check("DescribeVpcs&MaxResults=4", "InvalidParameterValue");
    check(
        "CreateSubnet&VpcId={vpc}&CidrBlock=10.0.1.0/28",
        "InvalidSubnet.Conflict",
    );
    check(
        "CreateSubnet&VpcId={vpc}&CidrBlock=10.9.0.0/33",
        "InvalidParameterValue",
    );
    check(
        "CreateSubnet&VpcId={vpc}&CidrBlock=11.0.0.0/24",
        "InvalidSubnet.Range",
    );
    check(
        "DeleteRoute&RouteTableId=rtb-01234567&DestinationCidrBlock=0.0.0.0/0",
        "InvalidRouteTableID.NotFound",
    );
    check("ReleaseAddress&PublicIp=1.2.3", "InvalidAddress.Malformed");
    check("AllocateAddress&Domain=standard", "InvalidParameterValue");
    check(
        "CreateTags&ResourceId.1={vpc}&Tag.1.Key=aws:x&Tag.1.Value=y",
        "InvalidParameterValue",
    );
    check(
        "CreateTags&ResourceId.1=x&Tag.1.Key=x&Tag.1.Value=y",
        "InvalidID",
    );
    check(
        "CreateNetworkInterface&SubnetId={subnet}&PrivateIpAddress=10.0.1.255",
        "InvalidParameterValue",
    );
    check("CreateNatGateway&SubnetId={subnet}", "MissingParameter");
    check(
        "DescribeSecurityGroupRules&SecurityGroupRuleId.1=sgr-01234567",
        "InvalidSecurityGroupRuleId.NotFound",
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let api = Api::new();
    let (_, subnet, _) = api.network();
    let before = api.store.snapshot().revision;
    for call in [
        "CreateVpc&CidrBlock=10.1.0.0/16",
        "AllocateAddress",
        "CreateDhcpOptions&DhcpConfiguration.1.Key=domain-name&DhcpConfiguration.1.Value.1=x",
        &format!("CreateNetworkInterface&SubnetId={subnet}"),
        &format!("CreateTags&ResourceId.1={subnet}&Tag.1.Key=a&Tag.1.Value=b"),
    ] {
        assert_eq!(
            api.code(&format!("{call}&DryRun=true")),
            "DryRunOperation",
            "{call}"
        );
    }
    assert_eq!(api.store.snapshot().revision, before);
}

#[test]
fn others_records_do_not_exist() {
    let api = Api::new();
    let (vpc, ..) = api.network();
    for (account, region) in [("111111111111", "us-east-1"), (ACCOUNT, "eu-west-1")] {
        for call in [
            format!("DescribeVpcs&VpcId.1={vpc}"),
            format!("DeleteVpc&VpcId={vpc}"),
            format!("CreateTags&ResourceId.1={vpc}&Tag.1.Key=a&Tag.1.Value=b"),
        ] {
            let refused = api.call_as(account, region, &call);
            assert_eq!(refused, Err("InvalidVpcID.NotFound".into()), "{call}");
        }
    }
}

#[test]
fn public_addresses_are_unique_and_not_the_clouds_own() {
    let api = Api::new();
    let mut seen = BTreeSet::new();
    for account in ["111111111111", "222222222222"] {
        for _ in 0..5 {
            let answer = api
                .call_as(account, "us-east-1", "AllocateAddress")
                .unwrap();
            let ip = texts(&answer, "publicIp").remove(0);
            assert!(!ip.starts_with("198.18.0."), "{ip}");
            assert!(seen.insert(ip));
        }
    }
    let sixth = api.call_as("111111111111", "us-east-1", "AllocateAddress");
    assert_eq!(sixth, Err("AddressLimitExceeded".into()));
}

#[test]
fn private_addresses_come_in_turn_and_run_out() {
    let api = Api::new();
    let vpc = api.get("vpcId", "CreateVpc&CidrBlock=10.0.0.0/16");
    let subnet = format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.0.1.0/28");
    let subnet = api.get("subnetId", &subnet);
    let create = format!("CreateNetworkInterface&SubnetId={subnet}");
    let ip = || api.get("privateIpAddress", &create);
    assert_eq!([ip(), ip()], ["10.0.1.4", "10.0.1.5"]);
    let fixed = format!("{create}&PrivateIpAddress=10.0.1.13");
    assert_eq!(api.get("privateIpAddress", &fixed), "10.0.1.13");
    assert_eq!(api.code(&fixed), "InvalidIPAddress.InUse");
    // After the highest one that may be used the lowest free one is next.
    assert_eq!([ip(), ip()], ["10.0.1.14", "10.0.1.6"]);
    let six = format!("{create}&SecondaryPrivateIpAddressCount=5");
    api.call(&six).unwrap();
    assert_eq!(api.code(&create), "InsufficientFreeAddressesInSubnet");
    let left = format!("DescribeSubnets&SubnetId.1={subnet}");
    assert_eq!(api.get("availableIpAddressCount", &left), "0");
}

#[test]
fn a_nat_gateway_lives_and_dies_by_its_controller() {
    let api = Api::new();
    let (_, subnet, gateway) = api.network();
    let allocation = api.get("allocationId", "AllocateAddress");
    let create =
        format!("CreateNatGateway&SubnetId={subnet}&AllocationId={allocation}&ClientToken=t");
    let nat = api.get("natGatewayId", &create);
    assert_eq!(api.get("natGatewayId", &create), nat);
    let describe = format!("DescribeNatGateways&NatGatewayId.1={nat}");
    assert_eq!(api.get("state", &describe), "pending");
    let main = "DescribeRouteTables&Filter.1.Name=association.main&Filter.1.Value.1=true";
    let vpc = api.get("vpcId", &describe);
    let table = format!("{main}&Filter.2.Name=vpc-id&Filter.2.Value.1={vpc}");
    let table = api.get("routeTableId", &table);
    let route = format!("RouteTableId={table}&DestinationCidrBlock=0.0.0.0/0");
    api.call(&format!("CreateRoute&{route}&NatGatewayId={nat}"))
        .unwrap();
    assert_eq!(
        api.code(&format!("CreateRoute&{route}&GatewayId={gateway}")),
        "RouteAlreadyExists"
    );
    let release = format!("ReleaseAddress&AllocationId={allocation}");
    assert_eq!(api.code(&release), "InvalidIPAddress.InUse");

    api.call(&format!("DeleteNatGateway&NatGatewayId={nat}"))
        .unwrap();
    assert_eq!(api.get("state", &describe), "deleting");
    assert_eq!(
        api.code(&format!("DeleteSubnet&SubnetId={subnet}")),
        "DependencyViolation"
    );
    api.store.update(|tx| {
        api::ec2::nat_gateway::finish_delete(tx, &nat.parse().unwrap());
    });
    assert_eq!(api.get("state", &describe), "deleted");
    let routes = api
        .call(&format!("DescribeRouteTables&RouteTableId.1={table}"))
        .unwrap();
    assert_eq!(texts(&routes, "state")[..2], ["active", "blackhole"]);
    api.call(&release).unwrap();
    api.call(&format!("DeleteSubnet&SubnetId={subnet}"))
        .unwrap();
}

#[test]
fn services_own_their_interfaces() {
    let api = Api::new();
    let (vpc, subnet, gateway) = api.network();
    let pool = api.cloud.public_pool;
    let made = api.store.update(|tx| {
        let subnet = tx.subnets.get(subnet.as_str()).cloned().unwrap();
        let requester = Requester::LoadBalancer("arn".into());
        let now = Timestamp::UNIX_EPOCH;
        let new = api::ec2::network_interface::NewInterface {
            description: "ELB app/web/1".into(),
            private_ips: subnet.cidr.hosts().nth(9).into_iter().collect(),
            auto_public_ip: pool.hosts().nth(300),
            requester: Some(requester),
            ..Default::default()
        };
        api::ec2::network_interface::make(tx, &subnet, new, now)
    });
    let id = made.id;
    let find = "DescribeNetworkInterfaces&Filter.1.Name=attachment.instance-owner-id&Filter.1.Value.1=amazon-elb&Filter.2.Name=description&Filter.2.Value.1=ELB+app/web/*";
    assert_eq!(api.get("networkInterfaceId", find), id.to_string());
    let detach = format!("DetachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}");
    assert_eq!(api.code(&detach), "DependencyViolation");
    let attachment = api.get("attachmentId", find);
    let refused = api.code(&format!("DetachNetworkInterface&AttachmentId={attachment}"));
    assert_eq!(refused, "OperationNotPermitted");
    api.store
        .update(|tx| api::ec2::network_interface::remove(tx, &id));
    api.call(&detach).unwrap();
}

#[test]
fn rules_are_kept_once_and_gathered() {
    let api = Api::new();
    let (vpc, ..) = api.network();
    let group = format!("CreateSecurityGroup&VpcId={vpc}&GroupName=a&GroupDescription=b");
    let group = api.get("groupId", &group);
    let rule = |verb: &str, ports: &str, cidr: &str| {
        let (from, to) = ports.split_once('-').unwrap();
        api.code(&format!(
            "{verb}SecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort={from}&IpPermissions.1.ToPort={to}&IpPermissions.1.IpRanges.1.CidrIp={cidr}"
        ))
    };
    let check = |got: String, expected: &str| assert_eq!(got, expected);
    check(rule("Authorize", "80-80", "0.0.0.0/0"), "none");
    check(
        rule("Authorize", "80-80", "0.0.0.0/0"),
        "InvalidPermission.Duplicate",
    );
    check(rule("Authorize", "80-80", "10.1.2.3/8"), "none");
    check(
        rule("Authorize", "80-80", "10.0.0.0/8"),
        "InvalidPermission.Duplicate",
    );
    check(
        rule("Authorize", "90-80", "10.0.0.0/8"),
        "InvalidParameterValue",
    );
    check(
        rule("Authorize", "80-65536", "10.0.0.0/8"),
        "InvalidParameterValue",
    );
    let shown = api
        .call(&format!("DescribeSecurityGroups&GroupId.1={group}"))
        .unwrap();
    let gathered = texts(&shown, "cidrIp");
    assert_eq!(gathered, ["0.0.0.0/0", "10.0.0.0/8", "0.0.0.0/0"]);
    check(
        rule("Revoke", "81-81", "0.0.0.0/0"),
        "InvalidPermission.NotFound",
    );
    check(rule("Revoke", "80-80", "0.0.0.0/0"), "none");
    check(
        rule("Revoke", "80-80", "0.0.0.0/0"),
        "InvalidPermission.NotFound",
    );
}

#[test]
fn an_instance_has_as_many_interfaces_and_addresses_as_its_type() {
    let api = Api::new();
    let (_, subnet, _) = api.network();
    let interface = |n: &str| {
        api.get(
            "networkInterfaceId",
            &format!("CreateNetworkInterface&SubnetId={subnet}{n}"),
        )
    };
    let run =
        "RunInstances&ImageId=ami-043985f3006b29f9e&InstanceType=t3.micro&MinCount=1&MaxCount=1";
    let answer = api.call(&format!("{run}&SubnetId={subnet}")).unwrap();
    let [instance, primary] =
        ["instanceId", "networkInterfaceId"].map(|name| texts(&answer, name).remove(0));
    api.store.update(|tx| {
        let id = instance.parse().unwrap();
        tx.modify::<Instance>(&id, |i| i.state = InstanceState::Running);
    });
    let allocation = api.get("allocationId", "AllocateAddress");
    let associate =
        format!("AssociateAddress&AllocationId={allocation}&InstanceId={instance}&DryRun=true");
    let attach = |interface: &str, index: u8| {
        format!(
            "AttachNetworkInterface&NetworkInterfaceId={interface}&InstanceId={instance}&DeviceIndex={index}"
        )
    };
    assert_eq!(api.code(&associate), "DryRunOperation");

    // Three addresses are one more than a t3.micro's interface has; nobody's interface has what it is given.
    let three = interface("&SecondaryPrivateIpAddressCount=2");
    assert_eq!(
        api.code(&attach(&three, 1)),
        "PrivateIpAddressLimitExceeded"
    );
    let assign = |n: u8| {
        format!(
            "AssignPrivateIpAddresses&NetworkInterfaceId={primary}&SecondaryPrivateIpAddressCount={n}"
        )
    };
    assert_eq!(api.code(&assign(2)), "PrivateIpAddressLimitExceeded");
    api.call(&assign(1)).unwrap();
    assert_eq!(api.code(&assign(1)), "PrivateIpAddressLimitExceeded");

    api.call(&attach(&interface(""), 1)).unwrap();
    assert_eq!(
        api.code(&attach(&interface(""), 2)),
        "AttachmentLimitExceeded"
    );
    // Which of two interfaces an instance's address is for nobody can tell.
    assert_eq!(api.code(&associate), "InvalidInstanceID");
    let status = format!("DescribeInstanceStatus&InstanceId.1={instance}");
    assert_eq!(api.code(&status), "none");
    assert_eq!(
        api.code(&format!("{status}&MaxResults=5")),
        "InvalidParameterCombination"
    );

    // Once it has what only a larger type holds, there is no way back.
    api.store.update(|tx| {
        let id = instance.parse().unwrap();
        tx.modify::<Instance>(&id, |i| i.state = InstanceState::Stopped);
    });
    let become_a = |kind: &str| {
        format!("ModifyInstanceAttribute&InstanceId={instance}&InstanceType.Value={kind}")
    };
    api.call(&become_a("t3.small")).unwrap();
    api.call(&become_a("t3.micro")).unwrap();
    api.call(&become_a("t3.small")).unwrap();
    api.call(&assign(1)).unwrap();
    assert_eq!(
        api.code(&become_a("t3.micro")),
        "PrivateIpAddressLimitExceeded"
    );
    api.call(&attach(&interface(""), 2)).unwrap();
    assert_eq!(api.code(&become_a("t3.micro")), "AttachmentLimitExceeded");

    // An interface that is there brings its addresses along.
    let launch =
        format!("{run}&NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.NetworkInterfaceId=");
    assert_eq!(
        api.code(&format!("{launch}{three}")),
        "PrivateIpAddressLimitExceeded"
    );
    api.call(&format!(
        "{launch}{}",
        interface("&SecondaryPrivateIpAddressCount=1")
    ))
    .unwrap();
}

#[test]
fn images_of_verified_providers_are_amazons_by_alias() {
    let api = Api::new();
    let names = |parameters: &str| {
        let answer = api.call(&format!("DescribeImages&{parameters}")).unwrap();
        let owners = texts(&answer, "imageOwnerId");
        (owners.into_iter().collect::<BTreeSet<_>>(), answer)
    };
    let (owners, _) = names("Owner.1=amazon");
    assert_eq!(
        owners,
        ["099720109477", "136693071363", "137112412989"]
            .map(String::from)
            .into()
    );
    let location =
        "Filter.1.Name=manifest-location&Filter.1.Value.1=amazon/ubuntu/images/*noble*amd64*";
    assert_eq!(names(location).0, ["099720109477".to_owned()].into());
    // The catalogue's go out of use some day; one that is known to AWS alone has no such date.
    assert!(names("Owner.1=amazon").1.contains("<deprecationTime>"));
    let (_, elsewhere) = names("ImageId.1=ami-0123456789abcdef0");
    assert_eq!(texts(&elsewhere, "imageId"), ["ami-0123456789abcdef0"]);
    assert!(!elsewhere.contains("<deprecationTime>"));
}
