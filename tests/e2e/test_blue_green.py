"""stacks/blue-green: a release by weights under a steady load, step by step as its README has it."""

import http.client
import json
import socket
import tempfile
from pathlib import Path

import pytest

from conftest import NINES, ROOT, eventually, run
from load import Load


class Deployment:
    def __init__(self, cloud, directory):
        self.cloud = cloud
        self.state = f"-state={directory}/terraform.tfstate"
        self.environment = cloud.environment | {"TF_DATA_DIR": f"{directory}/data", "TF_IN_AUTOMATION": "1"}

    def tf(self, *arguments, **options):
        return run(NINES, "tf", f"-chdir={ROOT}/stacks/blue-green", *arguments, env=self.environment, timeout=900, **options)

    @staticmethod
    def variables(green="2", capacity=(2, 2), weight=0):
        return (
            "-input=false",
            f'-var=versions={{blue="1",green="{green}"}}',
            f"-var=capacity={{blue={capacity[0]},green={capacity[1]}}}",
            f"-var=green_weight={weight}",
        )

    def apply(self, **variables):
        self.tf("apply", "-auto-approve", self.state, *self.variables(**variables))

    def members(self, colour):
        groups = self.cloud.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[f"blue-green-{colour}"])
        return {i["InstanceId"] for i in groups["AutoScalingGroups"][0]["Instances"] if i["LifecycleState"] == "InService"}


@pytest.fixture(scope="module")
def deployment(cloud):
    with tempfile.TemporaryDirectory(prefix="nines-blue-green-") as directory:
        deployment = Deployment(cloud, Path(directory))
        deployment.tf("init", "-input=false")
        deployment.apply(green="1", capacity=(2, 0))
        yield deployment
        deployment.tf("destroy", "-auto-approve", deployment.state, *deployment.variables(capacity=(0, 2), weight=100))


def preview(name, colour):
    connection = http.client.HTTPConnection(socket.gethostbyname(name), timeout=5)
    connection.request("GET", "/", headers={"Host": name, "X-Colour": colour})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_a_release_by_weights_fails_no_request(deployment):
    name = json.loads(deployment.tf("output", deployment.state, "-json", "alb_dns_name").stdout)

    def answers_of(load, count):
        """Who gave the next answers."""
        begin = len(load.answers)
        eventually(lambda: len(load.answers) >= begin + count, f"{count} answers")
        return [i for _, _, i in load.answers[begin:]]

    with Load(name) as load:
        blue = deployment.members("blue")
        assert set(answers_of(load, 50)) <= blue
        deployment.apply()
        green = deployment.members("green")
        assert len(green) == 2
        assert set(answers_of(load, 50)) <= blue, "green has no requests yet"
        tried = preview(name, "green")
        assert (tried["version"], tried["colour"]) == ("2", "green") and tried["instance_id"] in green
        deployment.apply(weight=10)
        eventually(lambda: set(answers_of(load, 20)) & green, "the canary answers")
        seen = answers_of(load, 400)
        share = sum(i in green for i in seen) / len(seen)
        assert 0.03 < share < 0.25, share
        deployment.apply(weight=100)
        eventually(lambda: set(answers_of(load, 40)) <= green, "all go to green")
        deployment.apply(capacity=(0, 2), weight=100)
        eventually(lambda: not deployment.members("blue"), "blue is gone", within=180)
        assert set(answers_of(load, 50)) <= green
    assert not Load.failed(load.answers), Load.failed(load.answers)[:10]
    plan = deployment.tf("plan", "-detailed-exitcode", deployment.state, *deployment.variables(capacity=(0, 2), weight=100), check=False)
    assert plan.returncode == 0, plan.stdout + plan.stderr
