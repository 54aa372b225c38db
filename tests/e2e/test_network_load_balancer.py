"""A Network Load Balancer by Terraform: flows reach targets under their clients' addresses."""

import ipaddress
import json
import socket
import tempfile
from pathlib import Path

import pytest

from conftest import NINES, POOL, ROOT, eventually, run

CONFIGURATION = f"{ROOT}/tests/e2e/network_load_balancer"
HOST = str(next(ipaddress.ip_network(POOL).hosts()))


class Flows:
    def __init__(self, cloud, directory):
        self.cloud = cloud
        self.state = f"-state={directory}/terraform.tfstate"
        self.environment = cloud.environment | {"TF_DATA_DIR": f"{directory}/data", "TF_IN_AUTOMATION": "1"}

    def tf(self, *arguments, **options):
        return run(NINES, "tf", f"-chdir={CONFIGURATION}", *arguments, env=self.environment, timeout=900, **options)

    def output(self, name):
        return json.loads(self.tf("output", self.state, "-json", name).stdout)

    def healthy(self, group):
        elbv2 = self.cloud.client("elbv2")
        targets = elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {t["Target"]["Id"] for t in targets if t["TargetHealth"]["State"] == "healthy"}


@pytest.fixture(scope="module")
def flows(cloud):
    with tempfile.TemporaryDirectory(prefix="nines-nlb-") as directory:
        flows = Flows(cloud, Path(directory))
        lock = Path(CONFIGURATION, ".terraform.lock.hcl")
        try:
            flows.tf("init", "-input=false")
            flows.tf("apply", "-auto-approve", "-input=false", flows.state)
            yield flows
            flows.tf("destroy", "-auto-approve", "-input=false", flows.state)
        finally:
            lock.unlink(missing_ok=True)
        left = cloud.client("elbv2").describe_load_balancers()["LoadBalancers"]
        assert not [b for b in left if b["Type"] == "network"]


def ask_tcp(address):
    """Client as the target saw it, and the target."""
    with socket.create_connection((address, 80), timeout=5) as stream:
        stream.sendall(b"?")
        return tuple(stream.recv(1000).decode().split())


def ask_udp(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(5)
        datagrams.sendto(b"?", (address, 80))
        return tuple(datagrams.recv(1000).decode().split())


@pytest.fixture
def serving(flows):
    instances = set(flows.output("instances"))
    outer, inner = flows.output("groups")
    eventually(lambda: flows.healthy(outer) == instances, "all targets pass their checks", within=180)
    eventually(lambda: len(flows.healthy(inner)) == len(instances), "so do those by address", within=60)
    return flows


def test_plans_empty(serving):
    plan = serving.tf("plan", "-detailed-exitcode", "-input=false", serving.state, check=False)
    assert plan.returncode == 0, plan.stdout + plan.stderr


def test_targets_see_the_client(serving):
    for address in serving.output("addresses"):
        seen = {ask_tcp(address) for _ in range(32)}
        assert {client for client, _ in seen} == {HOST}
        assert len({target for _, target in seen}) == 2, "cross-zone is on"
        assert ask_udp(address)[0] == HOST


def test_an_inner_one_is_known_by_its_group(serving):
    client = serving.output("instances")[0]
    own = serving.output("private_addresses")[0]
    ask = "import socket,sys; s=socket.create_connection((sys.argv[1],80),5); s.sendall(b'?'); print(s.recv(1000).decode())"
    name = serving.output("names")["inner"]
    addresses = serving.cloud.shell(client, "getent", "ahostsv4", name).split()
    assert {"10.90.0.200", "10.90.1.200"} <= set(addresses)
    # Without cross-zone each node serves its own zone; a client cannot be its own target.
    seen = serving.cloud.shell(client, "python3", "-c", ask, "10.90.1.200").split()
    assert seen[0] == own and seen[1] != serving.cloud.shell(client, "hostname").strip()


def test_a_target_that_fails_loses_its_flows(serving):
    address = serving.output("addresses")[0]
    failing = serving.output("instances")[1]
    name = serving.cloud.shell(failing, "hostname").strip()
    streams = [socket.create_connection((address, 80), timeout=5) for _ in range(16)]

    def ask(stream):
        stream.sendall(b"?")
        return stream.recv(1000).decode().split()[1]

    before = [ask(stream) for stream in streams]
    assert name in before
    serving.cloud.shell(failing, "systemctl", "stop", "serve")
    outer = serving.output("groups")[0]
    eventually(lambda: failing not in serving.healthy(outer), "the target fails its checks", within=60)
    for stream, target in zip(streams, before):
        with stream:
            if target != name:
                assert ask(stream) == target
            else:
                with pytest.raises((OSError, IndexError)):
                    ask(stream)
    assert {ask_tcp(address)[1] for _ in range(16)} == set(before) - {name}
    serving.cloud.shell(failing, "systemd-run", "--unit", "serve-again", "python3", "/usr/local/bin/serve")


def test_what_flowed_is_measured(serving):
    cloudwatch = serving.cloud.client("cloudwatch")
    seen = lambda: {m["MetricName"] for m in cloudwatch.list_metrics(Namespace="AWS/NetworkELB")["Metrics"]}
    wanted = {"NewFlowCount", "ProcessedBytes", "ActiveFlowCount", "HealthyHostCount", "UnHealthyHostCount", "ConsumedLCUs", "PeakPacketsPerSecond"}
    eventually(lambda: wanted <= seen(), "the metrics of a period", within=60)
