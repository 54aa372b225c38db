"""New versions of the demo's tier under a steady load: by Terraform, and a bad one that goes back by itself."""

import base64
import time

import pytest

from conftest import eventually
from load import Load

ENDED = ("Successful", "Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed")


@pytest.fixture
def name(resting):
    return resting.output_cached("alb_dns_name")


def newest(stack):
    refreshes = stack.cloud.client("autoscaling").describe_instance_refreshes(AutoScalingGroupName="web-ha")
    return refreshes["InstanceRefreshes"][0]


def ended(stack, started):
    """The refresh that began after `started`, once it has come to its end."""

    def look():
        refresh = newest(stack)
        return refresh if refresh["StartTime"].timestamp() > started and refresh["Status"] in ENDED else None

    return eventually(look, "the instance refresh ends", within=600)


def rolled(stack, instance_type):
    """Applies the stack with that type, and waits until every instance has been replaced."""
    before = {i["InstanceId"] for i in stack.in_service()}
    started = time.time() - 1
    arguments = (stack.state(), *stack.VARIABLES, f"-var=instance_type={instance_type}")
    stack.tf("apply", "-auto-approve", *arguments)
    refresh = ended(stack, started)
    assert (refresh["Status"], refresh["PercentageComplete"], refresh["InstancesToUpdate"]) == ("Successful", 100, 0), refresh
    eventually(stack.at_rest, "the group rests", within=180)
    members = stack.in_service()
    assert {i["InstanceType"] for i in members} == {instance_type}
    assert not before & {i["InstanceId"] for i in members}
    plan = stack.tf("plan", "-detailed-exitcode", *arguments, check=False)
    assert plan.returncode == 0, plan.stdout + plan.stderr


def test_a_changed_launch_template_rolls_the_group_without_a_failed_request(resting, name):
    with Load(name) as load:
        eventually(lambda: len(load.answers) > 20, "the load runs")
        rolled(resting, "t3.small")
    assert not Load.failed(load.answers), Load.failed(load.answers)[:10]
    assert {i for _, _, i in load.answers[-20:]} <= {i["InstanceId"] for i in resting.in_service()}
    causes = [a["Cause"] for a in resting.activities()]
    assert any("was taken out of service in response to an instance refresh." in c for c in causes), causes
    rolled(resting, "t3.micro")


def test_a_bad_version_goes_back_by_itself_and_nobody_notices(resting, name):
    ec2, autoscaling = resting.cloud.client("ec2"), resting.cloud.client("autoscaling")
    used = resting.group()["LaunchTemplate"]
    version = ec2.describe_launch_template_versions(LaunchTemplateId=used["LaunchTemplateId"], Versions=[used["Version"]])
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    # It boots, and never serves.
    data["UserData"] = base64.b64encode(b"#!/bin/bash\necho nothing to see here\n").decode()
    bad = ec2.create_launch_template(LaunchTemplateName="web-ha-bad", LaunchTemplateData=data)["LaunchTemplate"]
    before = {i["InstanceId"] for i in resting.in_service()}
    started = time.time() - 1
    try:
        with Load(name) as load:
            eventually(lambda: len(load.answers) > 20, "the load runs")
            autoscaling.start_instance_refresh(
                AutoScalingGroupName="web-ha",
                DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateId": bad["LaunchTemplateId"], "Version": "1"}},
                Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150, "AutoRollback": True},
            )
            tried = lambda: {i["LaunchTemplate"]["LaunchTemplateId"] for i in resting.group()["Instances"]}
            eventually(lambda: bad["LaunchTemplateId"] in tried(), "the bad version is launched")
            refresh = ended(resting, started)
            eventually(resting.at_rest, "the group rests", within=180)
        assert refresh["Status"] == "RollbackSuccessful", refresh
        assert refresh["RollbackDetails"]["RollbackReason"].startswith("Automatic rollback"), refresh
        assert resting.group()["LaunchTemplate"] == used
        assert {i["InstanceId"] for i in resting.in_service()} == before, "the good ones never went"
        assert not Load.failed(load.answers), Load.failed(load.answers)[:10]
    finally:
        ec2.delete_launch_template(LaunchTemplateId=bad["LaunchTemplateId"])
