"""Lifecycle hooks as the instance sees them: it asks the metadata service where it is going.

The hooks are completed from outside, so that the test decides when.
"""

import pytest

from conftest import eventually

GROUP = {"AutoScalingGroupName": "lifecycle"}
IN, OUT = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"
# What the instance was told while its user data ran: on its way in, it had not arrived.
USER_DATA = """#!/bin/sh
curl -sf http://169.254.169.254/latest/meta-data/autoscaling/target-lifecycle-state > /run/heading-for
"""
ASK = ("curl", "-sf", "http://169.254.169.254/latest/meta-data/autoscaling/target-lifecycle-state")


@pytest.fixture
def autoscaling(cloud):
    ec2, autoscaling = cloud.client("ec2"), cloud.client("autoscaling")
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    autoscaling.create_launch_configuration(
        LaunchConfigurationName="lifecycle",
        ImageId=image,
        InstanceType="t3.micro",
        # boto3 encodes it.
        UserData=USER_DATA,
        MetadataOptions={"HttpTokens": "optional"},
    )
    autoscaling.create_auto_scaling_group(
        **GROUP,
        LaunchConfigurationName="lifecycle",
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        AvailabilityZones=["us-east-1a"],
        LifecycleHookSpecificationList=[
            {"LifecycleHookName": "in", "LifecycleTransition": IN, "HeartbeatTimeout": 300},
            {"LifecycleHookName": "out", "LifecycleTransition": OUT, "HeartbeatTimeout": 300},
        ],
    )
    yield autoscaling
    autoscaling.delete_auto_scaling_group(**GROUP, ForceDelete=True)
    gone = lambda: not autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["lifecycle"])["AutoScalingGroups"]
    eventually(gone, "the group is gone")
    autoscaling.delete_launch_configuration(LaunchConfigurationName="lifecycle")


def members(autoscaling):
    found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["lifecycle"])
    return found["AutoScalingGroups"][0]["Instances"]


def state_of(autoscaling):
    states = [member["LifecycleState"] for member in members(autoscaling)]
    return states[0] if states else None


def test_an_instance_learns_where_it_is_going_and_waits_for_the_word(cloud, autoscaling):
    eventually(lambda: state_of(autoscaling) == "Pending:Wait", "it waits")
    instance = members(autoscaling)[0]["InstanceId"]
    heading = lambda: cloud.shell(instance, "cat", "/run/heading-for").strip() == "InService"
    eventually(heading, "user data ran while the hook waited")
    assert state_of(autoscaling) == "Pending:Wait"
    complete = {**GROUP, "InstanceId": instance, "LifecycleActionResult": "CONTINUE"}
    autoscaling.complete_lifecycle_action(LifecycleHookName="in", **complete)
    eventually(lambda: state_of(autoscaling) == "InService", "it serves")

    autoscaling.set_desired_capacity(**GROUP, DesiredCapacity=0)
    eventually(lambda: state_of(autoscaling) == "Terminating:Wait", "it waits again")
    told = lambda: cloud.shell(instance, *ASK).strip() == "Terminated"
    eventually(told, "it is told, and still runs")
    autoscaling.complete_lifecycle_action(LifecycleHookName="out", **complete)
    eventually(lambda: state_of(autoscaling) is None, "it is gone")
