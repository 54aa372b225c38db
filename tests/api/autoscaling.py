"""Auto Scaling's actions against a running endpoint: shapes, rules, error codes.

    python tests/api/autoscaling.py --endpoint http://127.0.0.1:4566

Uses an account of its own, whose random number keeps runs apart. Groups keep a
desired capacity of 0, so it runs with controllers behind the endpoint or without.
"""

import argparse
import random
import sys

from checks import check, failures
from strict import Checker, client, code_of, message_of


class Stack:
    """What groups need: subnets in two zones, a launch template, a target group."""

    def __init__(self, ec2, elbv2):
        vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
        self.vpc = vpc["Vpcs"][0]["VpcId"]
        found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        subnets = sorted(found["Subnets"], key=lambda s: s["AvailabilityZone"])
        self.subnets = [s["SubnetId"] for s in subnets[:2]]
        self.zones = [s["AvailabilityZone"] for s in subnets[:2]]
        image = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]["ImageId"]
        data = {"ImageId": image, "InstanceType": "t3.micro"}
        made = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        self.template = made["LaunchTemplate"]["LaunchTemplateId"]
        made = elbv2.create_target_group(
            Name="web", Protocol="HTTP", Port=80, VpcId=self.vpc, TargetType="instance"
        )
        self.target_group = made["TargetGroups"][0]["TargetGroupArn"]

    def group(self, name, **more):
        return {
            "AutoScalingGroupName": name,
            "MinSize": 0,
            "MaxSize": 3,
            "LaunchTemplate": {"LaunchTemplateId": self.template},
            "VPCZoneIdentifier": ",".join(self.subnets),
            **more,
        }


def one(autoscaling, name):
    found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return found["AutoScalingGroups"][0]


def groups(c, stack):
    c.create_auto_scaling_group(
        **stack.group(
            "web",
            TargetGroupARNs=[stack.target_group],
            HealthCheckType="ELB",
            HealthCheckGracePeriod=30,
            DefaultInstanceWarmup=20,
            Tags=[{"Key": "Name", "Value": "web", "PropagateAtLaunch": True}],
            TerminationPolicies=["OldestInstance", "Default"],
            InstanceMaintenancePolicy={"MinHealthyPercentage": 90, "MaxHealthyPercentage": 120},
        )
    )
    group = one(c, "web")
    check("zones", group["AvailabilityZones"], stack.zones)
    check("subnets", group["VPCZoneIdentifier"], ",".join(stack.subnets))
    check("sizes", [group[k] for k in ("MinSize", "MaxSize", "DesiredCapacity")], [0, 3, 0])
    check("default cooldown", group["DefaultCooldown"], 300)
    check("default version", group["LaunchTemplate"].get("Version"), None)
    check("template name", group["LaunchTemplate"]["LaunchTemplateName"], "web")
    check("sources", group["TrafficSources"][0]["Type"], "elbv2")
    check("warm-up", group["DefaultInstanceWarmup"], 20)
    check("policies", group["TerminationPolicies"], ["OldestInstance", "Default"])
    check("tag", group["Tags"][0]["ResourceType"], "auto-scaling-group")
    check("status", group.get("Status"), None)
    check("twice", code_of(c.create_auto_scaling_group, **stack.group("web")), "AlreadyExists")
    check("unknown", c.describe_auto_scaling_groups(AutoScalingGroupNames=["x"])["AutoScalingGroups"], [])
    bad = [
        ("min above max", {"MinSize": 4}, "Max bound, 3, must be greater than or equal to min bound, 4"),
        (
            "desired above max",
            {"DesiredCapacity": 4},
            "Desired capacity:4 must be between the specified min size:0 and max size:3",
        ),
        ("a subnet", {"VPCZoneIdentifier": "subnet-0"}, "The subnet ID 'subnet-0' does not exist"),
        (
            "a target group",
            {"TargetGroupARNs": ["arn:aws:elasticloadbalancing:us-east-1:0:targetgroup/a/b"]},
            "Provided Target Groups may not be valid. Please ensure they exist and try again.",
        ),
        (
            "no subnet",
            {"VPCZoneIdentifier": ""},
            "At least one Availability Zone or VPC Subnet is required.",
        ),
    ]
    for what, more, expected in bad:
        got = message_of(c.create_auto_scaling_group, **stack.group("bad", **more))
        check(what, got, expected)
    for more in (
        {"LaunchTemplate": {"LaunchTemplateId": "lt-00000000000000000"}},
        {"LaunchTemplate": {"LaunchTemplateId": stack.template, "Version": "7"}},
        {"LoadBalancerNames": ["x"]},
        {"PlacementGroup": "x"},
        {"LifecycleHookSpecificationList": [{"LifecycleHookName": "x", "LifecycleTransition": "y"}]},
        {"InstanceLifecyclePolicy": {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}},
        {"HealthCheckType": "x"},
    ):
        code = code_of(c.create_auto_scaling_group, **stack.group("bad", **more))
        check(f"refused {more}", code, "ValidationError")
    c.update_auto_scaling_group(
        AutoScalingGroupName="web", MaxSize=5, DefaultInstanceWarmup=-1, HealthCheckType="EC2"
    )
    group = one(c, "web")
    check("changed", (group["MaxSize"], group["HealthCheckType"]), (5, "EC2"))
    check("no warm-up", group.get("DefaultInstanceWarmup"), None)
    missing = message_of(c.update_auto_scaling_group, AutoScalingGroupName="x", MaxSize=1)
    check("unknown group", missing, "AutoScalingGroup name not found - null")
    found = c.describe_auto_scaling_groups(Filters=[{"Name": "tag:Name", "Values": ["web"]}])
    check("by tag", len(found["AutoScalingGroups"]), 1)
    found = c.describe_auto_scaling_groups(Filters=[{"Name": "tag:Name", "Values": ["db"]}])
    check("by another tag", len(found["AutoScalingGroups"]), 0)


def zones_only(c, stack):
    group = stack.group("zoned", AvailabilityZones=stack.zones)
    del group["VPCZoneIdentifier"]
    c.create_auto_scaling_group(**group)
    found = one(c, "zoned")
    check("zones alone", (found["AvailabilityZones"], found["VPCZoneIdentifier"]), (stack.zones, ""))


def mixed(c, stack):
    group = stack.group("mixed")
    del group["LaunchTemplate"]
    specification = {"LaunchTemplateName": "web", "Version": "$Latest"}
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": specification}}
    c.create_auto_scaling_group(**group, MixedInstancesPolicy=policy)
    found = one(c, "mixed")
    check("no plain template", found.get("LaunchTemplate"), None)
    distribution = found["MixedInstancesPolicy"]["InstancesDistribution"]
    check("on demand", distribution["OnDemandPercentageAboveBaseCapacity"], 100)
    policy["LaunchTemplate"]["Overrides"] = [
        {"InstanceType": "t3.small", "WeightedCapacity": "2"},
        {"InstanceType": "t3.micro", "WeightedCapacity": "1"},
    ]
    policy["InstancesDistribution"] = {
        "OnDemandBaseCapacity": 1,
        "OnDemandPercentageAboveBaseCapacity": 50,
        "SpotAllocationStrategy": "capacity-optimized",
    }
    c.update_auto_scaling_group(AutoScalingGroupName="mixed", MixedInstancesPolicy=policy)
    found = one(c, "mixed")["MixedInstancesPolicy"]
    check("overrides", found["LaunchTemplate"]["Overrides"], policy["LaunchTemplate"]["Overrides"])
    distribution = {
        **policy["InstancesDistribution"],
        "OnDemandAllocationStrategy": "prioritized",
    }
    check("distribution", found["InstancesDistribution"], distribution)
    change = {"InstancesDistribution": {"OnDemandBaseCapacity": 2}}
    c.update_auto_scaling_group(AutoScalingGroupName="mixed", MixedInstancesPolicy=change)
    found = one(c, "mixed")["MixedInstancesPolicy"]
    check("still weighted", len(found["LaunchTemplate"]["Overrides"]), 2)
    check("base", found["InstancesDistribution"]["OnDemandBaseCapacity"], 2)
    requirements = {
        "VCpuCount": {"Min": 2, "Max": 4},
        "MemoryMiB": {"Min": 4096},
        "CpuManufacturers": ["intel"],
        "BurstablePerformance": "included",
    }
    by_attributes = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": specification,
            "Overrides": [{"InstanceRequirements": requirements}],
        }
    }
    group["AutoScalingGroupName"] = "attributes"
    c.create_auto_scaling_group(
        **group, MixedInstancesPolicy=by_attributes, DesiredCapacityType="vcpu"
    )
    found = one(c, "attributes")
    check("unit", found["DesiredCapacityType"], "vcpu")
    override = found["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"][0]
    check("attributes", override["InstanceRequirements"], requirements)
    group["AutoScalingGroupName"] = "bad"
    launch = lambda *overrides: {
        "LaunchTemplateSpecification": specification,
        "Overrides": list(overrides),
    }
    for bad in (
        launch({"InstanceType": "t3.small", "WeightedCapacity": "2"}, {"InstanceType": "t3.micro"}),
        launch({"InstanceType": "t3.small"}, {"InstanceRequirements": requirements}),
        launch({"InstanceType": "t3.small"}, {"InstanceType": "t3.small"}),
        launch({"InstanceType": "t3.enormous"}),
        launch({"InstanceType": "t3.small", "WeightedCapacity": "1000"}),
        launch({"InstanceRequirements": {**requirements, "BareMetal": "required"}}),
    ):
        code = code_of(
            c.create_auto_scaling_group, **group, MixedInstancesPolicy={"LaunchTemplate": bad}
        )
        check(f"refused {bad}", code, "ValidationError")
    plain = {"LaunchTemplateSpecification": specification}
    code = code_of(
        c.create_auto_scaling_group,
        **group,
        MixedInstancesPolicy={"LaunchTemplate": plain},
        DesiredCapacityType="vcpu",
    )
    check("units without attributes", code, "ValidationError")


def capacity(c):
    set_to = lambda n: message_of(c.set_desired_capacity, AutoScalingGroupName="web", DesiredCapacity=n)
    check(
        "too many",
        set_to(6),
        "New SetDesiredCapacity value 6 is above max value 5 for the AutoScalingGroup.",
    )
    check("as it is", set_to(0), None)


def target_groups(c, stack):
    arns = [stack.target_group]
    described = c.describe_load_balancer_target_groups(AutoScalingGroupName="web")
    check("attached", described["LoadBalancerTargetGroups"][0]["State"], "Added")
    c.detach_load_balancer_target_groups(AutoScalingGroupName="web", TargetGroupARNs=arns)
    check("detached", one(c, "web")["TargetGroupARNs"], [])
    again = code_of(
        c.detach_load_balancer_target_groups, AutoScalingGroupName="web", TargetGroupARNs=arns
    )
    check("detached twice", again, "ValidationError")
    sources = [{"Identifier": stack.target_group, "Type": "elbv2"}]
    c.attach_traffic_sources(AutoScalingGroupName="web", TrafficSources=sources)
    described = c.describe_traffic_sources(AutoScalingGroupName="web")
    check("source", described["TrafficSources"][0]["Identifier"], stack.target_group)
    c.detach_traffic_sources(AutoScalingGroupName="web", TrafficSources=sources)
    c.attach_load_balancer_target_groups(AutoScalingGroupName="web", TargetGroupARNs=arns)
    check("classic", c.describe_load_balancers(AutoScalingGroupName="web")["LoadBalancers"], [])


def policies(c, cloudwatch):
    group = {"AutoScalingGroupName": "web"}
    made = c.put_scaling_policy(
        **group, PolicyName="up", AdjustmentType="ChangeInCapacity", ScalingAdjustment=1, Cooldown=60
    )
    check("simple has no alarms", made["Alarms"], [])
    c.put_scaling_policy(
        **group,
        PolicyName="step",
        PolicyType="StepScaling",
        AdjustmentType="PercentChangeInCapacity",
        MinAdjustmentMagnitude=2,
        StepAdjustments=[
            {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 10},
            {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 30},
        ],
    )
    tracking = {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
        "TargetValue": 50.0,
    }
    put = lambda **more: c.put_scaling_policy(
        **group,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={**tracking, **more},
    )
    made = put()
    names = sorted(a["AlarmName"] for a in made["Alarms"])
    check("alarm names", [n[:32] for n in names], ["TargetTracking-web-AlarmHigh-" + names[0][29:32], "TargetTracking-web-AlarmLow-" + names[1][28:32]])
    alarms = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    seen = [(a["Threshold"], a["EvaluationPeriods"], a["Period"]) for a in alarms]
    check("alarms", seen, [(50.0, 3, 60), (35.0, 15, 60)])
    check("action", alarms[0]["AlarmActions"], [made["PolicyARN"]])
    changed = put(TargetValue=60.0)
    check("kept names", sorted(a["AlarmName"] for a in changed["Alarms"]), names)
    low = cloudwatch.describe_alarms(AlarmNames=names[1:])["MetricAlarms"][0]
    check("low follows", low["Threshold"], 42.0)
    check("out only", len(put(DisableScaleIn=True)["Alarms"]), 1)
    described = c.describe_policies(**group)["ScalingPolicies"]
    check("all policies", [p["PolicyName"] for p in described], ["cpu", "step", "up"])
    check("enabled", {p["Enabled"] for p in described}, {True})
    check("steps", len(described[1]["StepAdjustments"]), 2)
    only = c.describe_policies(**group, PolicyNames=["up"])["ScalingPolicies"]
    check("by name", [p["PolicyName"] for p in only], ["up"])
    check("cooldown", only[0]["Cooldown"], 60)
    cloudwatch.put_metric_alarm(
        AlarmName="busy",
        MetricName="CPUUtilization",
        Namespace="AWS/EC2",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=2,
        Threshold=80,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[only[0]["PolicyARN"]],
    )
    only = c.describe_policies(**group, PolicyNames=["up"])["ScalingPolicies"]
    check("alarm of a simple policy", only[0]["Alarms"][0]["AlarmName"], "busy")
    unknown = message_of(c.describe_policies, AutoScalingGroupName="x")
    check("policies of no group", unknown, "AutoScalingGroup name not found - AutoScalingGroup: x not found")
    for what, more in (
        ("no adjustment", {"AdjustmentType": "ChangeInCapacity"}),
        ("no type", {"ScalingAdjustment": 1}),
        ("no configuration", {"PolicyType": "TargetTrackingScaling"}),
        ("no steps", {"PolicyType": "StepScaling", "AdjustmentType": "ExactCapacity"}),
    ):
        code = code_of(c.put_scaling_policy, **group, PolicyName="bad", **more)
        check(what, code, "ValidationError")
    pair = {"PredefinedMetricType": "ASGCPUUtilization"}
    forecast = {"MetricSpecifications": [{"TargetValue": 40, "PredefinedMetricPairSpecification": pair}]}
    for more in ({}, {"PredictiveScalingConfiguration": forecast}):
        predictive = {**group, "PolicyName": "bad", "PolicyType": "PredictiveScaling", **more}
        refused = "The policy type PredictiveScaling, which forecasts from days of metrics, is not supported by this cloud."
        check("predictive", message_of(c.put_scaling_policy, **predictive), refused)
    label = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/x/1"}
    tracking["PredefinedMetricSpecification"] = label
    check("label", code_of(put), "ValidationError")
    for name in ("cpu", "step", "up"):
        c.delete_policy(**group, PolicyName=name)
    check("its alarms", cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"], [])
    check("gone", code_of(c.delete_policy, **group, PolicyName="up"), "ValidationError")
    cloudwatch.delete_alarms(AlarmNames=["busy"])


def parts(c):
    group = {"AutoScalingGroupName": "web"}
    c.suspend_processes(**group, ScalingProcesses=["Launch", "AZRebalance"])
    suspended = [p["ProcessName"] for p in one(c, "web")["SuspendedProcesses"]]
    check("suspended", suspended, ["AZRebalance", "Launch"])
    c.resume_processes(**group)
    check("resumed", one(c, "web")["SuspendedProcesses"], [])
    check("no process", code_of(c.suspend_processes, **group, ScalingProcesses=["x"]), "ValidationError")
    c.enable_metrics_collection(**group, Granularity="1Minute", Metrics=["GroupMinSize"])
    check("metrics", one(c, "web")["EnabledMetrics"], [{"Metric": "GroupMinSize", "Granularity": "1Minute"}])
    c.disable_metrics_collection(**group)
    check("no metrics", one(c, "web")["EnabledMetrics"], [])
    tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": "a"}
    c.create_or_update_tags(Tags=[{**tag, "Value": "1", "PropagateAtLaunch": False}])
    filters = [{"Name": "auto-scaling-group", "Values": ["web"]}]
    check("tags", [t["Key"] for t in c.describe_tags(Filters=filters)["Tags"]], ["Name", "a"])
    c.delete_tags(Tags=[{**tag, "Value": "2"}])
    check("other value", len(c.describe_tags(Filters=filters)["Tags"]), 2)
    c.delete_tags(Tags=[tag])
    check("deleted tag", len(c.describe_tags(Filters=filters)["Tags"]), 1)
    for call, key in (
        (c.describe_lifecycle_hooks, "LifecycleHooks"),
        (c.describe_instance_refreshes, "InstanceRefreshes"),
        (c.describe_scheduled_actions, "ScheduledUpdateGroupActions"),
        (c.describe_warm_pool, "Instances"),
    ):
        check(key, call(**group)[key], [])
    refreshes(c, group)
    check("no instance", code_of(c.set_instance_health, InstanceId="i-0", HealthStatus="Healthy"), "ValidationError")


def refreshes(c, group):
    newest = lambda: c.describe_instance_refreshes(**group)["InstanceRefreshes"][0]
    # A group shows both; a request may give one.
    template = {"LaunchTemplate": {k: v for k, v in one(c, "web")["LaunchTemplate"].items() if k != "LaunchTemplateName"}}
    check("no refresh", code_of(c.cancel_instance_refresh, **group), "ActiveInstanceRefreshNotFound")
    check("nothing to go back to", code_of(c.start_instance_refresh, **group, Preferences={"AutoRollback": True}), "ValidationError")
    preferences = {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 120, "CheckpointPercentages": [50, 100], "CheckpointDelay": 60, "SkipMatching": True, "ScaleInProtectedInstances": "Ignore", "BakeTime": 10}
    started = c.start_instance_refresh(**group, Strategy="Rolling", DesiredConfiguration=template, Preferences=preferences)["InstanceRefreshId"]
    found = newest()
    check("refresh", (found["InstanceRefreshId"], found["DesiredConfiguration"]["LaunchTemplate"]["LaunchTemplateId"]), (started, template["LaunchTemplate"]["LaunchTemplateId"]))
    check("preferences", {key: found["Preferences"][key] for key in preferences}, preferences)
    check("one at a time", code_of(c.start_instance_refresh, **group), "InstanceRefreshInProgress")
    check("cancelled", c.cancel_instance_refresh(**group)["InstanceRefreshId"], started)
    check("cancelling", newest()["Status"] in ("Cancelling", "Cancelled"), True)


def deletion(c):
    c.update_auto_scaling_group(AutoScalingGroupName="web", DeletionProtection="prevent-all-deletion")
    check("protected", code_of(c.delete_auto_scaling_group, AutoScalingGroupName="web"), "ValidationError")
    c.update_auto_scaling_group(AutoScalingGroupName="web", DeletionProtection="none")
    for name in ("web", "zoned", "mixed", "attributes"):
        c.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        left = c.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        check("deleting", {g["Status"] for g in left} <= {"Delete in progress"}, True)
    check("unknown", code_of(c.delete_auto_scaling_group, AutoScalingGroupName="x"), "ValidationError")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    options = parser.parse_args()
    account = str(random.randrange(10**11, 10**12))
    made = lambda service: client(service, options.endpoint, account)
    autoscaling, cloudwatch = made("autoscaling"), made("cloudwatch")
    checkers = [Checker(autoscaling), Checker(cloudwatch)]
    stack = Stack(made("ec2"), made("elbv2"))
    groups(autoscaling, stack)
    zones_only(autoscaling, stack)
    mixed(autoscaling, stack)
    capacity(autoscaling)
    target_groups(autoscaling, stack)
    policies(autoscaling, cloudwatch)
    parts(autoscaling)
    deletion(autoscaling)
    for checker in checkers:
        failures.extend(f"not in the model: {unknown}" for unknown in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    print(f"{sum(len(c.calls) for c in checkers)} actions called, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
