"""Stacks in the manner of public modules' examples: apply, an empty plan, destroy, nothing left.

Each is applied by an account of its own, so that what is left can be told by asking for everything.
"""

import json
import shutil
import tempfile
from pathlib import Path

import boto3
import pytest

from conftest import NINES, PORT, eventually, run

STACKS = Path(__file__).parent / "stacks"


class PublicStack:
    """One stack, copied to a directory of its own and applied on behalf of an account."""

    def __init__(self, cloud, name, account, directory):
        self.cloud = cloud
        self.account = account
        self.directory = Path(directory) / name
        shutil.copytree(STACKS / name, self.directory)
        self.environment = cloud.environment | {"TF_IN_AUTOMATION": "1", "AWS_ACCESS_KEY_ID": account}

    def tf(self, *arguments, **options):
        return run(NINES, "tf", f"-chdir={self.directory}", *arguments, env=self.environment, timeout=900, **options)

    def output(self, name):
        return json.loads(self.tf("output", "-json", name).stdout)

    def client(self, service, region):
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORT}", region_name=region, aws_access_key_id=self.account, aws_secret_access_key="test")


OPTIONS = ("-input=false", "-no-color")


@pytest.fixture
def stack(cloud, request):
    name, account = request.param
    with tempfile.TemporaryDirectory(prefix="nines-stack-") as directory:
        stack = PublicStack(cloud, name, account, directory)
        stack.tf("init", *OPTIONS)
        try:
            yield stack
        finally:
            stack.tf("destroy", "-auto-approve", *OPTIONS, check=False)


def applied(stack):
    stack.tf("apply", "-auto-approve", *OPTIONS)
    plan = stack.tf("plan", "-detailed-exitcode", *OPTIONS, check=False)
    assert plan.returncode == 0, f"the plan is not empty:\n{plan.stdout[-6000:]}\n{plan.stderr[-2000:]}"


def destroyed(stack, region):
    stack.tf("destroy", "-auto-approve", *OPTIONS)
    ec2 = stack.client("ec2", region)
    vpcs = ec2.describe_vpcs()["Vpcs"]
    assert [v["IsDefault"] for v in vpcs] == [True]
    live = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    assert ec2.describe_instances(Filters=live)["Reservations"] == []
    for ask in [
        lambda: ec2.describe_network_interfaces()["NetworkInterfaces"],
        lambda: ec2.describe_volumes()["Volumes"],
        lambda: ec2.describe_addresses()["Addresses"],
        lambda: ec2.describe_vpc_endpoints()["VpcEndpoints"],
        lambda: ec2.describe_placement_groups()["PlacementGroups"],
        lambda: stack.client("logs", region).describe_log_groups()["logGroups"],
        lambda: stack.client("ssm", region).describe_parameters()["Parameters"],
        lambda: stack.client("iam", region).list_roles()["Roles"],
    ]:
        eventually(lambda: ask() == [], "nothing is left")


@pytest.mark.parametrize("stack", [("network", "333300000001")], indirect=True)
def test_a_network_with_everything(stack):
    applied(stack)
    ec2 = stack.client("ec2", "eu-west-1")
    endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert {e["State"] for e in endpoints} == {"available"} and len(endpoints) == 3
    destroyed(stack, "eu-west-1")


@pytest.mark.parametrize("stack", [("peering", "333300000002")], indirect=True)
def test_peered_networks_reach_each_other(stack):
    applied(stack)
    instances, server = stack.output("instances"), stack.output("addresses")["server"]
    shell = lambda side, *command, **options: stack.cloud.shell(instances[side], *command, timeout=30, **options)
    shell("server", "systemd-run", "--unit=web", "--working-directory=/etc/apt", "python3", "-m", "http.server", "8080")
    ask = lambda port: shell("client", "curl", "-sS", "-m", "2", f"http://{server}:{port}/", check=False)
    eventually(lambda: "sources.list" in ask(8080), "the server answers over the peering connection")
    assert "sources.list" not in ask(22), "the security group lets in one port"
    ec2 = stack.client("ec2", "us-east-1")
    peering = ec2.describe_vpc_peering_connections()["VpcPeeringConnections"][0]
    assert peering["Status"]["Code"] == "active"
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering["VpcPeeringConnectionId"])
    eventually(lambda: "sources.list" not in ask(8080), "nothing passes once the connection is deleted")
    destroyed(stack, "us-east-1")


@pytest.mark.parametrize("stack", [("machines", "333300000003")], indirect=True)
def test_what_stands_around_machines(stack):
    applied(stack)
    assert stack.output("quota") == 5
    ec2 = stack.client("ec2", "us-west-2")
    volumes = ec2.describe_volumes()["Volumes"]
    assert len(volumes) == 2 and all(v["Encrypted"] for v in volumes)
    destroyed(stack, "us-west-2")
