"""A Network Load Balancer by Terraform: flows reach targets under their clients' addresses."""

import datetime
import gzip
import http.client
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from conftest import NINES, POOL, ROOT, eventually, run
from load import Asking

CONFIGURATION = f"{ROOT}/tests/e2e/network_load_balancer"
HOST = str(next(ipaddress.ip_network(POOL).hosts()))
NAME = "flows.example"
SUBNETS = ipaddress.ip_network("10.90.0.0/16")


class Flows:
    def __init__(self, cloud, directory):
        self.cloud = cloud
        self.state = f"-state={directory}/terraform.tfstate"
        self._outputs = {}
        self.certificate = directory / "certificate.pem"
        self.environment = cloud.environment | {
            "TF_DATA_DIR": f"{directory}/data",
            "TF_IN_AUTOMATION": "1",
            "TF_VAR_keys": str(directory),
        }
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3"]
        run(*make, "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", directory / "key.pem", "-out", self.certificate)

    def tf(self, *arguments, **options):
        return run(NINES, "tf", f"-chdir={CONFIGURATION}", *arguments, env=self.environment, timeout=900, **options)

    def output(self, name):
        if not self._outputs:
            self._outputs = json.loads(self.tf("output", self.state, "-json").stdout)
        return self._outputs[name]["value"]

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
        assert not [b for b in left if b["Type"] == "network" or b["LoadBalancerName"] == "site"]


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
    for group in flows.output("relayed"):
        eventually(lambda: flows.healthy(group) == instances, f"so do those of {group}", within=60)
    sites = flows.output("sites")
    eventually(lambda: flows.healthy(sites["group"]) == {sites["target"]}, "so does the load balancer behind", within=60)
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


def curl(*arguments):
    """The words of an answer."""
    return run("curl", "-sS", "-m", "5", "--noproxy", "*", *arguments).stdout.split()


def test_tls_ends_at_the_node_and_targets_see_the_client(serving):
    for address in serving.output("addresses"):
        client, _, forwarded = curl("--cacert", serving.certificate, "--resolve", f"{NAME}:443:{address}", f"https://{NAME}/")
        assert (client, forwarded) == (HOST, "None"), "nobody looked into the request"


def test_a_target_is_told_of_the_client(serving):
    for address in serving.output("addresses"):
        with socket.create_connection((address, 8082), timeout=5) as stream:
            stream.sendall(b"?")
            client, _, connected = stream.recv(1000).decode().split()
        assert client == HOST and ipaddress.ip_address(connected) in SUBNETS


def test_an_application_load_balancer_is_a_target(serving):
    for address in serving.output("addresses"):
        connected, _, forwarded = curl(f"http://{address}:8080/")
        assert forwarded == HOST and ipaddress.ip_address(connected) in SUBNETS


def test_flows_and_checks_are_logged(serving):
    elbv2, s3 = serving.cloud.client("elbv2"), serving.cloud.client("s3")
    site = serving.output("sites")["target"]
    settings = {"enabled": "true", "bucket": "flow-logs", "prefix": "site"}
    attributes = [{"Key": f"health_check_logs.s3.{key}", "Value": value} for key, value in settings.items()]
    elbv2.modify_load_balancer_attributes(LoadBalancerArn=site, Attributes=attributes)
    outer = elbv2.describe_load_balancers(Names=["outer"])["LoadBalancers"][0]["LoadBalancerArn"]
    listeners = elbv2.describe_listeners(LoadBalancerArn=outer)["Listeners"]
    secure = next(l for l in listeners if l["Port"] == 443)
    account = serving.output("account")

    def pattern(balancer, prefix, mark, node):
        name = re.escape(balancer.split(":loadbalancer/")[1].replace("/", "."))
        day = r"\d{4}/\d\d/\d\d"
        file = rf"{mark}{account}_elasticloadbalancing_us-east-1_{name}_\d{{8}}T\d{{4}}Z_{node}\w+\.log\.gz"
        return rf"{prefix}AWSLogs/{account}/elasticloadbalancing/us-east-1/{day}/{file}"

    def lines(form):
        """Of the first object whose whole key is of that form."""
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="flow-logs").get("Contents", [])]
        found = next((key for key in keys if re.fullmatch(form, key)), None)
        body = found and s3.get_object(Bucket="flow-logs", Key=found)["Body"].read()
        return body and gzip.decompress(body).decode().splitlines()

    # Flows of its own, lest it depend on the tests before.
    test_tls_ends_at_the_node_and_targets_see_the_client(serving)
    flows = eventually(lambda: lines(pattern(outer, "flows/", "", "")), "a log of flows is delivered")
    second, node = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", r"10\.90\.[01]\.\d+"
    form = (
        rf"tls 2\.0 {second} {outer.split(':loadbalancer/')[1]} {secure['ListenerArn'].split('/')[-1]} {re.escape(HOST)}:\d+ {node}:443 "
        rf"\d+ \d+ \d+ \d+ - {secure['Certificates'][0]['CertificateArn']} - TLS_AES_\w+ tlsv13 - {re.escape(NAME)} http/1\.1 - "
        rf'("h2",)?"http/1\.1" {second}'
    )
    assert re.fullmatch(form, flows[0]), flows[0]
    time = r"20\S+\.\d{6}Z"
    checks = eventually(lambda: lines(pattern(site, "site/", "health_check_log_", rf"{node}_")), "a log of checks is delivered")
    assert re.fullmatch(rf"http {time} \d+\.\d{{9}} {node}:8083 site PASS 200 -", checks[0]), checks[0]
    connections = eventually(lambda: lines(pattern(site, "", r"conn_log\.", rf"{node}_")), "a log of connections is delivered")
    form = rf'{time} (\S+) \d+ 80 - - - "-" - - - TID_[0-9a-f]{{32}}'
    assert all(re.fullmatch(form, line) for line in connections), connections


class Visitors(Asking):
    """Ask without a pause, one on a connection that it keeps and one on a new connection each time."""

    def __init__(self, address, port):
        super().__init__([(True,), (False,)])
        self.address, self.port = address, port
        self.answers, self.failures = 0, []

    def _ask(self, keeps):
        connection = http.client.HTTPConnection(self.address, self.port, timeout=10)
        while not self._stop.is_set():
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                response.read()
                assert response.status == 200, response.status
                self.answers += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
                connection.close()
            if not keeps:
                connection.close()

    def more(self, count):
        wanted = self.answers + count
        eventually(lambda: self.answers > wanted, f"{count} more answers")


def test_another_program_takes_over_and_nobody_notices(serving, tmp_path):
    """A copy of the program is another one to the cloud; then back to the first."""
    cloud = serving.cloud
    address = serving.output("addresses")[0]
    copy = shutil.copy(NINES, tmp_path / "nines")
    balancer = lambda: (cloud.state / "balancer" / "pid").read_text()

    def ask(stream):
        stream.sendall(b"?")
        return stream.recv(1000)

    # One that the kernel passes on, and one that the balancer's process does.
    flows = [socket.create_connection((address, port), timeout=5) for port in (80, 8082)]
    before = [ask(flow) for flow in flows]
    with Visitors(address, 8080) as visitors:
        visitors.more(20)
        for program in (copy, NINES):
            old = balancer()
            os.kill(cloud.control_plane(), signal.SIGKILL)
            cloud.up(program)
            assert balancer() != old, "it is another process"
            visitors.more(50)
            assert [ask(flow) for flow in flows] == before
    assert not visitors.failures, visitors.failures[:10]
    for flow in flows:
        flow.close()


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
    test_tls_ends_at_the_node_and_targets_see_the_client(serving)
    cloudwatch = serving.cloud.client("cloudwatch")
    seen = lambda: {m["MetricName"] for m in cloudwatch.list_metrics(Namespace="AWS/NetworkELB")["Metrics"]}
    wanted = {"NewFlowCount", "ProcessedBytes", "ActiveFlowCount", "HealthyHostCount", "UnHealthyHostCount", "ConsumedLCUs", "PeakPacketsPerSecond", "NewFlowCount_TLS", "ProcessedBytes_TLS"}
    eventually(lambda: wanted <= seen(), "the metrics of a period", within=60)


def test_sums_and_gauges_are_those_of_the_flows(serving):
    elbv2, cloudwatch = serving.cloud.client("elbv2"), serving.cloud.client("cloudwatch")
    outer = elbv2.describe_load_balancers(Names=["outer"])["LoadBalancers"][0]["LoadBalancerArn"]
    balancer = {"Name": "LoadBalancer", "Value": outer.split(":loadbalancer/")[1]}
    group = {"Name": "TargetGroup", "Value": serving.output("groups")[0].split(":")[-1]}

    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=15)

    def points(name, statistic, *dimensions):
        """From a quarter of an hour before on, the newest last."""
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
        span = {"StartTime": begin, "EndTime": end}
        given = {"Namespace": "AWS/NetworkELB", "MetricName": name, "Dimensions": [balancer, *dimensions]}
        found = cloudwatch.get_metric_statistics(**given, **span, Period=60, Statistics=[statistic])["Datapoints"]
        return [p[statistic] for p in sorted(found, key=lambda p: p["Timestamp"])]

    flows, size = sum(points("NewFlowCount_TCP", "Sum")), sum(points("ProcessedBytes_TCP", "Sum"))
    address = serving.output("addresses")[0]
    open_ones = [socket.create_connection((address, 80), timeout=5) for _ in range(8)]
    asked = [ask_tcp(address) for _ in range(40)]
    eventually(lambda: sum(points("NewFlowCount_TCP", "Sum")) >= flows + 48, "48 flows more", within=60)
    told = sum(len(" ".join(answer)) for answer in asked)
    eventually(lambda: sum(points("ProcessedBytes_TCP", "Sum")) >= size + told, f"{told} bytes more", within=60)
    eventually(lambda: max(points("ActiveFlowCount_TCP", "Maximum")) >= 8, "8 flows at a time", within=60)
    for stream in open_ones:
        stream.close()
    eventually(lambda: points("HealthyHostCount", "Maximum", group)[-1:] == [2.0], "two healthy targets", within=60)
    eventually(lambda: points("UnHealthyHostCount", "Minimum", group)[-1:] == [0.0], "none unhealthy", within=60)
