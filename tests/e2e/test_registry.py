"""An image's way: pushed from this host as one is to ECR, pulled in an instance by its role."""

import json
import os
import subprocess

import pytest

from conftest import ROOT, eventually, run
from test_public_stacks import OPTIONS, applied, destroyed, stack  # noqa: F401 - a fixture

ACCOUNT, REGION = "333300000005", "us-west-2"
IMAGE = f"oci:{ROOT}/.cache/registry/web-ha:1"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"

# What `aws ecr get-login-password` does, by what every image has.
LOGIN = f"""set -e
base=http://169.254.169.254/latest
token=$(curl -sX PUT $base/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
role=$(curl -s -H "X-aws-ec2-metadata-token: $token" $base/meta-data/iam/security-credentials/)
curl -s -H "X-aws-ec2-metadata-token: $token" $base/meta-data/iam/security-credentials/$role >/run/role.json
field() {{ python3 -c "import json, sys; print(json.load(open('/run/role.json'))['$1'])"; }}
curl -sf --aws-sigv4 aws:amz:{REGION}:ecr --user "$(field AccessKeyId):$(field SecretAccessKey)" \
  -H "X-Amz-Security-Token: $(field Token)" -H 'Content-Type: application/x-amz-json-1.1' \
  -H 'X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken' -d '{{}}' https://api.ecr.{REGION}.amazonaws.com/ >/run/token.json
python3 -c "import base64, json; print(base64.b64decode(json.load(open('/run/token.json'))['authorizationData'][0]['authorizationToken']).decode().split(':')[1])" |
  docker login --username AWS --password-stdin {HOST}
"""


def skopeo(*arguments, **options):
    return run("skopeo", "--insecure-policy", *arguments, **options)


@pytest.mark.parametrize("stack", [("registry", ACCOUNT)], indirect=True)
def test_an_image_goes_the_way_it_goes_on_aws(stack, tmp_path):  # noqa: F811
    applied(stack)
    ecr = stack.client("ecr", REGION)
    url = stack.output("url")
    assert (url, stack.output("endpoint")) == (f"{HOST}/team/app", f"https://{HOST}")
    authorization = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = subprocess.run(["base64", "-d"], input=authorization, text=True, capture_output=True, check=True).stdout.split(":")[1]
    auth = f"--authfile={tmp_path / 'auth.json'}"
    login = ("login", auth, "--username", "AWS", "--password-stdin")
    eventually(lambda: HOST in open("/etc/hosts").read(), "the registry's name is known")
    # By its name and the certificate that stands where Docker looks for it.
    assert run("skopeo", *login, HOST, input="wrong", check=False).returncode != 0
    run("skopeo", *login, HOST, input=password)
    skopeo("copy", "-q", auth, IMAGE, f"docker://{url}:1")
    skopeo("copy", "-q", auth, IMAGE, f"docker://{url}:1")
    other = run("skopeo", "inspect", "--raw", IMAGE).stdout.replace("{", '{"annotations":{"other":"1"},', 1)
    refused = put_manifest(password, "team/app", "1", other)
    assert refused[0] == 400 and "immutable" in refused[1], refused
    # From one repository to another only the manifest travels.
    skopeo("copy", "-q", auth, f"docker://{url}:1", f"docker://{HOST}/copy:1")
    described = ecr.describe_images(repositoryName="team/app")["imageDetails"]
    assert [image["imageTags"] for image in described] == [["1"]] and described[0]["imageSizeInBytes"] > 1_000_000
    stack.tf("apply", "-auto-approve", "-var=pushed=true", *OPTIONS)
    assert stack.output("digest") == described[0]["imageDigest"]

    instance = stack.output("instance")
    eventually(lambda: stack.cloud.shell(instance, "docker", "info"), "docker runs")
    stack.cloud.shell(instance, "sh", "-c", LOGIN)
    stack.cloud.shell(instance, "docker", "pull", "-q", f"{url}:1", timeout=120)
    pulled = json.loads(stack.cloud.shell(instance, "docker", "image", "inspect", f"{url}:1"))
    assert pulled[0]["RepoDigests"] == [f"{url}@{described[0]['imageDigest']}"]
    commands_run(stack.client("ssm", REGION), instance)
    destroyed(stack, REGION)
    assert ecr.describe_repositories()["repositories"] == []
    layouts = stack.cloud.state / "ecr" / ACCOUNT / REGION
    eventually(lambda: list(layouts.iterdir()) == [], "the images are gone")


def commands_run(ssm, instance):
    """Run Command goes where the role let the instance be managed."""
    known = ssm.describe_instance_information()["InstanceInformationList"]
    assert [(i["InstanceId"], i["PingStatus"], i["PlatformName"]) for i in known] == [(instance, "Online", "Debian GNU/Linux")]

    def outcome(*commands, **parameters):
        sent = ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[instance], Parameters={"commands": list(commands)} | parameters)["Command"]
        asked = {"CommandId": sent["CommandId"], "InstanceId": instance}
        done = lambda: ssm.get_command_invocation(**asked)["Status"] not in ("Pending", "InProgress", "Delayed")
        eventually(done, "the command has ended")
        return ssm.get_command_invocation(**asked)

    good = outcome("#!/bin/bash", "echo $BASH_VERSION | cut -c1; pwd; hostname -I | wc -w", "id -un >&2", workingDirectory=["/etc"])
    assert (good["Status"], good["ResponseCode"], good["StandardErrorContent"]) == ("Success", 0, "root\n"), good
    assert good["StandardOutputContent"].split()[:2] == ["5", "/etc"], good
    bad = outcome("exit 7")
    assert (bad["Status"], bad["ResponseCode"]) == ("Failed", 7), bad
    slow = outcome("sleep 100", executionTimeout=["1"])
    assert (slow["Status"], slow["StatusDetails"]) == ("TimedOut", "Execution Timed Out"), slow


def put_manifest(password, name, tag, manifest):
    """Status and answer of what a client does to move a tag."""
    done = run(
        "curl", "-s", "-w", "\n%{http_code}", "--cacert", f"/etc/docker/certs.d/{HOST}/{certificate()}", "-u", f"AWS:{password}",
        "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.manifest.v1+json", "-d", manifest, f"https://{HOST}/v2/{name}/manifests/{tag}",
    )
    answer, status = done.stdout.rsplit("\n", 1)
    return int(status), answer


def certificate():
    return next(name for name in os.listdir(f"/etc/docker/certs.d/{HOST}") if name.endswith(".crt"))
