"""A real cloud for the session: `nines up`, the demo's stack by real Terraform, and everything gone afterwards.

Each run, and each of its workers (`pytest -n 2`), has a cloud with a name, port, state directory and public addresses of
its own, so it disturbs no other.
Nothing here waits for a fixed time: `eventually` asks until the answer is right or a generous limit has passed.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[2]
NINES = os.environ.get("NINES", str(ROOT / "target/debug/nines"))
IMAGES = os.environ.get("IMAGES", str(ROOT / ".cache/images"))
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NAME = f"e{WORKER}{os.getpid() % 10000:04}"
PORT = 4700 + 100 * WORKER + os.getpid() % 100
# Of the range for benchmarks between networks, which nobody routes. More than two workers would starve two cores.
POOL = ["198.19.0.0/17", "198.19.128.0/17"][WORKER]
SPEED = 20


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """What shares a stack runs in one worker, which is the one that applies it."""
    for item in items:
        group = "web-ha" if "resting" in item.fixturenames else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


def run(*command, check=True, timeout=120, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


def eventually(ask, what, within=90.0, every=0.25):
    """The first truthy answer of `ask`; errors count as not yet."""
    end = time.monotonic() + within
    last = None
    while True:
        try:
            last = ask()
            if last:
                return last
        except Exception as error:  # noqa: BLE001 - whatever it is, it may pass
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what}; last: {last!r}")
        time.sleep(every)


class Cloud:
    def __init__(self, state):
        self.state = state
        self.environment = os.environ | {"NINES_STATE": str(state), "NINES_PORT": str(PORT)}

    def nines(self, *arguments, **options):
        return run(NINES, *arguments, env=self.environment, **options).stdout

    def up(self, program=NINES):
        options = ("--name", NAME, "--images", IMAGES, "--speed", str(SPEED), "--public-pool", POOL)
        return run(program, "up", "-d", *options, env=self.environment).stdout

    def ps(self):
        return json.loads(self.nines("ps", "--json"))

    def client(self, service, region="us-east-1"):
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORT}", region_name=region, aws_access_key_id="test", aws_secret_access_key="test")

    def measured(self, namespace, metric, since, **dimensions):
        """The sum of a metric from the minute of `since` on."""
        pairs = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        span = {"StartTime": since, "EndTime": time.time() + 60, "Period": 60, "Statistics": ["Sum"]}
        found = self.client("cloudwatch").get_metric_statistics(Namespace=namespace, MetricName=metric, Dimensions=pairs, **span)
        return sum(point["Sum"] for point in found["Datapoints"])

    def control_plane(self):
        return json.loads((self.state / "cloud.json").read_text())["pid"]

    def shell(self, instance, *command, **options):
        return run(NINES, "shell", instance, "--", *command, env=self.environment, **options).stdout

    def in_namespace(self, what, *command, **options):
        return run("ip", "netns", "exec", f"{NAME}-{what}", *command, **options)


@pytest.fixture(scope="session")
def cloud():
    assert os.geteuid() == 0, "the end-to-end tests need root"
    before = traces()
    with tempfile.TemporaryDirectory(prefix=f"nines-{NAME}-") as directory:
        cloud = Cloud(Path(directory) / "state")
        cloud.up()
        try:
            yield cloud
        finally:
            cloud.nines("down", "--purge")
    assert traces() == before, "the cloud left something behind"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What happened in the cloud says more of a failure than the assertion."""
    report = yield
    if report.failed and (cloud := item.funcargs.get("cloud")):
        events = run(NINES, "events", env=cloud.environment, check=False)  # it may be down by now
        report.sections.append(("the cloud's last events", events.stdout[-8000:] + events.stderr))
    return report


def traces():
    """What a cloud could leave on the host, of our name only: others may run beside."""
    namespaces = [line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line.startswith(NAME)]
    links = [line for line in run("ip", "-o", "link").stdout.splitlines() if NAME in line]
    routes = [line for line in run("ip", "route").stdout.splitlines() if line.startswith(POOL) and NAME in line]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if f"/{NAME}" in line or f"nines-{NAME}" in line]
    processes = [pid.name for pid in Path("/proc").iterdir() if pid.name.isdigit() and f"nines-{NAME}".encode() in command_line(pid)]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{NAME}")]
    hosts = [line for line in Path("/etc/hosts").read_text().splitlines() if NAME in line]
    tables = [line for line in run("nft", "list", "tables").stdout.splitlines()]
    return namespaces, links, routes, mounts, processes, groups, hosts, tables


def command_line(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


class Stack:
    """stacks/web-ha, applied."""

    def __init__(self, cloud, directory):
        self.cloud = cloud
        self.directory = directory
        self.environment = cloud.environment | {"TF_DATA_DIR": str(directory / "data"), "TF_IN_AUTOMATION": "1"}

    def tf(self, *arguments, **options):
        return run(NINES, "tf", f"-chdir={ROOT}/stacks/web-ha", *arguments, env=self.environment, timeout=900, **options)

    VARIABLES = (
        "-input=false",
        "-no-color",
        "-var=container_image=registry.nines.internal/web-ha:1",
        '-var=insecure_registries=["registry.nines.internal"]',
    )

    def state(self):
        return f"-state={self.directory}/terraform.tfstate"

    def output(self, name):
        return json.loads(self.tf("output", self.state(), "-json", name).stdout)

    def group(self):
        groups = self.cloud.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["web-ha"])
        return groups["AutoScalingGroups"][0]

    def in_service(self):
        members = self.group()["Instances"]
        return [i for i in members if i["LifecycleState"] == "InService" and i["HealthStatus"] == "Healthy"]

    def health(self):
        elbv2 = self.cloud.client("elbv2")
        arn = self.output_cached("target_group_arn")
        return elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]

    def healthy(self):
        return {t["Target"]["Id"] for t in self.health() if t["TargetHealth"]["State"] == "healthy"}

    def output_cached(self, name, _cache={}):
        if name not in _cache:
            _cache[name] = self.output(name)
        return _cache[name]

    def at_rest(self):
        """Every wanted instance serves, balanced over the zones, and nothing is under way."""
        group = self.group()
        members = self.in_service()
        zones = [i["AvailabilityZone"] for i in members]
        balanced = not zones or max(zones.count(z) for z in set(zones)) - min(zones.count(z) for z in group["AvailabilityZones"]) <= 1
        ids = {i["InstanceId"] for i in members}
        return len(members) == len(group["Instances"]) == group["DesiredCapacity"] and balanced and ids <= self.healthy()

    def activities(self):
        return self.cloud.client("autoscaling").describe_scaling_activities(AutoScalingGroupName="web-ha")["Activities"]


@pytest.fixture(scope="session")
def stack(cloud):
    registry = cloud.state / "registry"
    run("cp", "-a", f"{ROOT}/.cache/registry/.", str(registry))
    with tempfile.TemporaryDirectory(prefix="nines-stack-") as directory:
        stack = Stack(cloud, Path(directory))
        stack.tf("init", "-input=false")
        stack.tf("apply", "-auto-approve", stack.state(), *Stack.VARIABLES)
        yield stack
        cloud.nines("heal")
        stack.tf("destroy", "-auto-approve", stack.state(), *Stack.VARIABLES)
        left = cloud.ps()
        assert not [i for i in left["instances"] if i["state"] != "terminated"], left["instances"]
        # Other accounts hold what the sets of tests/api made.
        ours = [x for kind in ("load_balancers", "groups", "alarms") for x in left[kind] if x["name"].startswith("web-ha")]
        assert not ours, ours


@pytest.fixture
def resting(stack):
    """The stack as every test wants to find it."""
    stack.cloud.nines("heal")
    quiet = lambda: stack.at_rest() and stack.group()["DesiredCapacity"] == stack.group()["MinSize"]
    eventually(quiet, "the group is at rest at its minimum", within=240)
    return stack
