//! Mixed instances: several types, Spot and On-Demand, and capacity in units.

use crate::cloud::Cloud;
use crate::stack;
use model::instance_refresh::RefreshStatus;
use std::collections::BTreeMap;

const POLICY: &str = "MixedInstancesPolicy";

/// A template `mixed` of t3.micro, and a group of its policy in two zones.
fn group(cloud: &mut Cloud, sizes: &str, policy: &[(&str, &str)], more: &str) {
    cloud.ec2("CreateLaunchTemplate&LaunchTemplateName=mixed&LaunchTemplateData.ImageId=ami-043985f3006b29f9e&LaunchTemplateData.InstanceType=t3.micro");
    let (a, b) = (
        stack::subnet(cloud, "us-east-1a"),
        stack::subnet(cloud, "us-east-1b"),
    );
    cloud.autoscaling(&format!(
        "CreateAutoScalingGroup&AutoScalingGroupName=mixed&{sizes}&VPCZoneIdentifier={a},{b}&{}{more}",
        parameters(POLICY, policy)
    ));
    cloud.until("at rest", 120.0, |c| c.at_rest("mixed"));
}

fn parameters(stem: &str, policy: &[(&str, &str)]) -> String {
    let template = (
        "LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateName",
        "mixed",
    );
    let given = policy.iter().chain([&template]);
    let lines: Vec<String> = given.map(|(k, v)| format!("{stem}.{k}={v}")).collect();
    lines.join("&")
}

const MICRO: &str = "LaunchTemplate.Overrides.member.1.InstanceType";
const SMALL: &str = "LaunchTemplate.Overrides.member.2.InstanceType";
const PERCENTAGE: &str = "InstancesDistribution.OnDemandPercentageAboveBaseCapacity";
const BASE: &str = "InstancesDistribution.OnDemandBaseCapacity";

/// Members by what they are: `t3.micro` on demand, `t3.micro spot`.
fn kinds(cloud: &Cloud) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    let state = cloud.state();
    for member in &cloud.group("mixed").instances {
        let instance = &state.instances[&member.id];
        assert_eq!(instance.spot.is_some(), member.spot);
        assert_eq!(instance.instance_type, member.instance_type);
        let market = if member.spot { " spot" } else { "" };
        *kinds
            .entry(format!("{}{market}", member.instance_type))
            .or_default() += 1;
    }
    kinds
}

#[track_caller]
fn check(cloud: &Cloud, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(k, n)| ((*k).to_owned(), *n));
    assert_eq!(kinds(cloud), expected.collect());
}

#[test]
fn spot_and_on_demand_keep_their_shares_out_and_in() {
    let mut cloud = Cloud::new(1.0);
    let policy = [
        (MICRO, "t3.micro"),
        (SMALL, "t3.small"),
        (BASE, "1"),
        (PERCENTAGE, "50"),
        (
            "InstancesDistribution.SpotAllocationStrategy",
            "price-capacity-optimized",
        ),
        (
            "InstancesDistribution.OnDemandAllocationStrategy",
            "prioritized",
        ),
        ("InstancesDistribution.SpotMaxPrice", "0.005"),
    ];
    group(
        &mut cloud,
        "MinSize=0&MaxSize=10&DesiredCapacity=5",
        &policy,
        "",
    );
    check(&cloud, &[("t3.micro", 3), ("t3.micro spot", 2)]);
    let set = "SetDesiredCapacity&AutoScalingGroupName=mixed&DesiredCapacity";
    cloud.autoscaling(&format!("{set}=9"));
    cloud.until("nine", 120.0, |c| c.at_rest("mixed"));
    check(&cloud, &[("t3.micro", 5), ("t3.micro spot", 4)]);
    cloud.autoscaling(&format!("{set}=3"));
    cloud.until("three", 300.0, |c| c.at_rest("mixed"));
    check(&cloud, &[("t3.micro", 2), ("t3.micro spot", 1)]);
    let instances = cloud.ec2("DescribeInstances&Filter.1.Name=instance-lifecycle&Filter.1.Value.1=spot&Filter.2.Name=instance-state-name&Filter.2.Value.1=running");
    assert_eq!(instances.matches("<instanceLifecycle>spot<").count(), 1);
    let requests = cloud.ec2("DescribeSpotInstanceRequests");
    let priced = requests.matches("<spotPrice>0.005").count();
    assert_eq!(priced, requests.matches("<state>").count(), "{requests}");
    let told = cloud.state();
    let mut told = told.events.values();
    assert!(told.any(|e| e.message.contains("every price is met")));
}

#[test]
fn weights_make_up_the_capacity_and_nobody_goes_who_would_be_missed() {
    let mut cloud = Cloud::new(1.0);
    let policy = [
        (MICRO, "t3.micro"),
        ("LaunchTemplate.Overrides.member.1.WeightedCapacity", "1"),
        (SMALL, "t3.xlarge"),
        ("LaunchTemplate.Overrides.member.2.WeightedCapacity", "4"),
        // Per unit the large one is dearer, so price alone would take the other.
        (
            "InstancesDistribution.OnDemandAllocationStrategy",
            "prioritized",
        ),
    ];
    group(
        &mut cloud,
        "MinSize=0&MaxSize=20&DesiredCapacity=2",
        &policy,
        "",
    );
    check(&cloud, &[("t3.micro", 2)]);
    let heavy = [
        (MICRO, "t3.xlarge"),
        ("LaunchTemplate.Overrides.member.1.WeightedCapacity", "4"),
        (SMALL, "t3.micro"),
        ("LaunchTemplate.Overrides.member.2.WeightedCapacity", "1"),
    ];
    cloud.autoscaling(&format!(
        "UpdateAutoScalingGroup&AutoScalingGroupName=mixed&DesiredCapacity=7&{}",
        parameters(POLICY, &heavy)
    ));
    cloud.until("seven units", 120.0, |c| c.at_rest("mixed"));
    // Ten units: none of the small ones would be missed, and they go.
    check(&cloud, &[("t3.xlarge", 2)]);
    let group = cloud.group("mixed");
    assert_eq!((group.units(), group.has_desired()), (8, true));
    let described = cloud.autoscaling("DescribeAutoScalingInstances");
    assert_eq!(described.matches("<WeightedCapacity>4<").count(), 2);
    let activities = cloud.state().activities.len();
    cloud.run(600.0);
    assert_eq!(cloud.state().activities.len(), activities, "at rest");
}

/// Two that count twice are in one zone, and what is launched counts once (seed 2960).
#[test]
fn two_light_ones_balance_what_one_cannot() {
    let mut cloud = Cloud::new(1.0);
    let policy = [
        (MICRO, "t3.micro"),
        ("LaunchTemplate.Overrides.member.1.WeightedCapacity", "1"),
        (SMALL, "t3.small"),
        ("LaunchTemplate.Overrides.member.2.WeightedCapacity", "2"),
    ];
    let sizes = "MinSize=0&MaxSize=10&DesiredCapacity=0";
    group(&mut cloud, sizes, &policy, "");
    let b = cloud.group("mixed").subnets[1].clone();
    let run = format!(
        "RunInstances&LaunchTemplate.LaunchTemplateName=mixed&InstanceType=t3.small&MinCount=2&MaxCount=2&SubnetId={b}"
    );
    let heavy: Vec<String> = cloud
        .ec2(&run)
        .split("<instanceId>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap_or_default().to_owned())
        .collect();
    cloud.run(30.0);
    cloud.autoscaling(&format!(
        "AttachInstances&AutoScalingGroupName=mixed&InstanceIds.member.1={}&InstanceIds.member.2={}",
        heavy[0], heavy[1]
    ));
    assert_eq!(cloud.group("mixed").desired_capacity(), 4);
    cloud.until("balanced", 300.0, |c| c.at_rest("mixed"));
    check(&cloud, &[("t3.micro", 2), ("t3.small", 1)]);
    let activities = cloud.state().activities.len();
    cloud.run(600.0);
    assert_eq!(cloud.state().activities.len(), activities, "and rests");
}

#[test]
fn attributes_choose_types_and_capacity_counts_their_cpus() {
    let mut cloud = Cloud::new(1.0);
    let by = "LaunchTemplate.Overrides.member.1.InstanceRequirements";
    let names = ["VCpuCount.Min", "VCpuCount.Max", "MemoryMiB.Min"].map(|n| format!("{by}.{n}"));
    let policy = [
        (names[0].as_str(), "2"),
        (names[1].as_str(), "4"),
        (names[2].as_str(), "4096"),
    ];
    group(
        &mut cloud,
        "MinSize=0&MaxSize=20&DesiredCapacity=6",
        &policy,
        "&DesiredCapacityType=vcpu",
    );
    check(&cloud, &[("c6a.large", 3)]);
    let types = cloud.ec2("GetInstanceTypesFromInstanceRequirements&ArchitectureType.1=x86_64&VirtualizationType.1=hvm&InstanceRequirements.VCpuCount.Min=2&InstanceRequirements.VCpuCount.Max=2&InstanceRequirements.MemoryMiB.Min=1024&InstanceRequirements.MemoryMiB.Max=1024&InstanceRequirements.BurstablePerformance=required");
    let found: Vec<&str> = types.matches(".micro</instanceType>").collect();
    assert_eq!(found.len(), 2, "t3 and t3a: {types}");
}

#[test]
fn a_refresh_replaces_what_the_new_policy_does_not_launch() {
    let mut cloud = Cloud::new(1.0);
    let policy = [(MICRO, "t3.micro"), (SMALL, "t3.small")];
    group(
        &mut cloud,
        "MinSize=0&MaxSize=10&DesiredCapacity=4",
        &policy,
        "",
    );
    check(&cloud, &[("t3.micro", 4)]);
    let start = |desired: &[(&str, &str)]| {
        let desired = parameters(&format!("DesiredConfiguration.{POLICY}"), desired);
        format!(
            "StartInstanceRefresh&AutoScalingGroupName=mixed&Preferences.SkipMatching=true&Preferences.InstanceWarmup=0&{desired}"
        )
    };
    let done = |c: &Cloud| c.state().instance_refreshes.values().all(|r| !r.active());
    // The same template, and a type that all are of.
    cloud.autoscaling(&start(&[(MICRO, "t3.small"), (SMALL, "t3.micro")]));
    cloud.until("refreshed", 600.0, done);
    check(&cloud, &[("t3.micro", 4)]);
    cloud.autoscaling(&start(&[(MICRO, "t3.small"), (PERCENTAGE, "0")]));
    cloud.until("refreshed again", 3000.0, done);
    cloud.until("at rest again", 300.0, |c| c.at_rest("mixed"));
    check(&cloud, &[("t3.small spot", 4)]);
    let state = cloud.state();
    let all = state.instance_refreshes.values();
    assert!(
        all.into_iter()
            .all(|r| r.status == RefreshStatus::Successful)
    );
}

#[test]
fn a_type_without_capacity_makes_way_for_the_next_and_a_zone_for_the_other() {
    let mut cloud = Cloud::new(1.0);
    // Of another architecture than the image: it never comes to run.
    let policy = [(MICRO, "t4g.micro"), (SMALL, "t3.small")];
    group(
        &mut cloud,
        "MinSize=0&MaxSize=10&DesiredCapacity=2",
        &policy,
        "",
    );
    check(&cloud, &[("t3.small", 2)]);
    assert!(
        cloud
            .state()
            .activities
            .values()
            .all(|a| a.status == "Successful")
    );
    cloud.fault(model::event::Fault::Zone("us-east-1a".into()));
    cloud.autoscaling("SetDesiredCapacity&AutoScalingGroupName=mixed&DesiredCapacity=4");
    cloud.until("four", 300.0, |c| {
        c.serving("mixed").values().sum::<usize>() == 4
    });
    let state = cloud.state();
    let failed = state.activities.values().find(|a| a.status == "Failed");
    let said = failed.and_then(|a| a.status_message.clone()).unwrap();
    assert!(
        said.starts_with("Could not launch On-Demand Instances. InvalidParameterValue - ")
            || said.starts_with(
                "Could not launch On-Demand Instances. InsufficientInstanceCapacity - "
            ),
        "{said}"
    );
}
