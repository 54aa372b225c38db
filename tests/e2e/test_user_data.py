"""User data as people write it for EC2, applied by Terraform and asked through the load balancer.

Set E2E_OFFLINE where no package mirror can be reached: then only the scripts that install nothing are tried.
"""

import base64
import json
import os
import re
import tempfile
import urllib.request
from pathlib import Path

import pytest

from conftest import NINES, ROOT, eventually, run

ONLINE = "E2E_OFFLINE" not in os.environ
# By the name of the script: what its page says.
PAGES = {
    "docker": r"from a container",
    "swap": r"Mem: +2048 ",
    "golden": r"^baked$",
    "multipart": r"^boothook\ncloud-config parts CES?T\ntemplate in us-east-1[ab] t3\.small\nscript$",
}
PACKAGES = {
    "apache": r"i-[0-9a-f]{17} of type t3.small in us-east-1[ab]",
    "nginx": r"declared",
    "venv": r"venv /opt/app /venv/",
    "node": r"node with 2 CPUs and 2048 MiB",
    "metrics": r"as arn:aws:sts::\d{12}:assumed-role/user-data/i-",
    "s3": r"^release 7$",
    "cron": r"^cron \d+$",
}


class Site:
    def __init__(self, cloud, directory):
        self.cloud = cloud
        self.environment = cloud.environment | {"TF_DATA_DIR": str(directory / "data"), "TF_IN_AUTOMATION": "1"}
        self.state = f"-state={directory}/terraform.tfstate"
        self.online = f"-var=online={str(ONLINE).lower()}"

    def tf(self, *arguments):
        return run(NINES, "tf", f"-chdir={ROOT}/tests/e2e/user_data", *arguments, env=self.environment, timeout=900).stdout

    def output(self, name):
        return json.loads(self.tf("output", self.state, "-json", name))


@pytest.fixture(scope="module")
def site(cloud):
    with tempfile.TemporaryDirectory(prefix="nines-user-data-") as directory:
        site = Site(cloud, Path(directory))
        site.tf("init", "-input=false")
        site.tf("apply", "-auto-approve", "-no-color", site.state, site.online)
        site.url, site.instances = site.output("url"), site.output("instances")
        yield site
        site.tf("destroy", "-auto-approve", "-no-color", site.state, site.online)


@pytest.mark.parametrize("name", PAGES | (PACKAGES if ONLINE else {}))
def test_page(site, name):
    def page():
        with urllib.request.urlopen(f"{site.url}/{name}/", timeout=5) as answer:
            text = answer.read().decode()
        return re.search((PAGES | PACKAGES)[name], text, re.MULTILINE)

    try:
        eventually(page, f"the page of {name}", within=420, every=1)
    except AssertionError:
        print(site.cloud.nines("console", site.instances[name]))
        raise


def test_the_pushed_metric_and_the_uploaded_object_are_there(site):
    if not ONLINE:
        pytest.skip("needs packages")
    cloudwatch = site.cloud.client("cloudwatch")
    found = cloudwatch.list_metrics(Namespace="CWAgent")["Metrics"]
    assert [d["Value"] for m in found for d in m["Dimensions"]] == [site.instances["metrics"]]
    body = site.cloud.client("s3").get_object(Bucket="user-data-artefacts", Key="deployed")["Body"].read()
    assert re.search(rb"20\d\d", body)


def test_a_container_gets_no_token_within_one_hop(site):
    """HttpPutResponseHopLimit counts real packets: Docker's bridge is a hop."""
    instance, ec2 = site.instances["docker"], site.cloud.client("ec2")
    put = (
        "import urllib.request as u; r = u.Request('http://169.254.169.254/latest/api/token', method='PUT', "
        "headers={'X-aws-ec2-metadata-token-ttl-seconds': '60'}); print(len(u.urlopen(r, timeout=3).read()))"
    )
    inside = f'docker run --rm python:local -c "{put}"'
    eventually(lambda: site.cloud.shell(instance, "docker", "image", "inspect", "python:local"), "the image is there", within=240)
    for limit, works in ((1, False), (2, True)):
        ec2.modify_instance_metadata_options(InstanceId=instance, HttpPutResponseHopLimit=limit, HttpTokens="required")

        def as_expected():
            done = run(NINES, "shell", instance, "--", "sh", "-c", inside, env=site.cloud.environment, check=False)
            return (done.returncode == 0) == works

        eventually(as_expected, f"a hop limit of {limit}", within=60)
        assert site.cloud.shell(instance, "python3", "-c", put).strip() != "0", "the instance itself is one hop away"


def test_a_container_has_the_instances_size_and_reaches_the_apis(site):
    """As on EC2: what it reads of its machine is the instance's, and the APIs' certificates are vouched for."""
    look = (
        "import urllib.request as u\n"
        "print(open('/proc/cpuinfo').read().count('processor\\t'), open('/proc/meminfo').readline().split()[1], open('/sys/devices/system/cpu/online').read())\n"
        "print(u.urlopen('https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15').status)"
    )
    instance = site.instances["docker"]
    eventually(lambda: site.cloud.shell(instance, "docker", "image", "inspect", "python:local"), "the image is there", within=240)
    for how in (("run", "--rm", "python:local"), ("exec", "app", "/usr/bin/python3.11")):
        said = site.cloud.shell(instance, "docker", *how, "-c", look).split()
        assert said == ["2", str(2 * 1024 * 1024), "0-1", "200"]


def test_a_container_comes_back_with_the_machine(site):
    instance = site.instances["docker"]
    site.cloud.shell(instance, "touch", "/run/before")
    site.cloud.client("ec2").reboot_instances(InstanceIds=[instance])
    eventually(lambda: site.cloud.shell(instance, "sh", "-c", "test -e /run/before || echo gone") == "gone\n", "it reboots")
    test_page(site, "docker")


def test_the_identity_document_is_signed(site, tmp_path):
    """As AWS's guide verifies it, by OpenSSL and the certificate of the cloud."""
    instance = site.instances["golden"]
    ask = 'T=$(curl -sS -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" http://169.254.169.254/latest/api/token); ' \
          'curl -sS -H "X-aws-ec2-metadata-token: $T" http://169.254.169.254/latest/dynamic/instance-identity/'
    read = lambda what: site.cloud.shell(instance, "sh", "-c", ask + what)
    (tmp_path / "identity.pem").write_text(site.cloud.nines("certificate", "identity"))
    document = read("document")
    assert json.loads(document)["instanceId"] == instance
    (tmp_path / "document").write_text(document)
    for kind in ("rsa2048", "pkcs7"):
        (tmp_path / kind).write_text(f"-----BEGIN PKCS7-----\n{read(kind)}\n-----END PKCS7-----\n")
        verify = ("openssl", "smime", "-verify", "-inform", "PEM", "-in", kind, "-certfile", "identity.pem", "-noverify")
        assert json.loads(run(*verify, cwd=tmp_path).stdout) == json.loads(document)
    (tmp_path / "signature").write_bytes(base64.b64decode(read("signature")))
    (tmp_path / "key.pem").write_text(run("openssl", "x509", "-pubkey", "-noout", "-in", "identity.pem", cwd=tmp_path).stdout)
    run("openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "document", cwd=tmp_path)


def test_an_image_of_an_instance_boots_and_serves(site):
    """The golden image: baked from an instance, launched without user data."""
    ec2, source = site.cloud.client("ec2"), site.instances["golden"]
    described = ec2.describe_instances(InstanceIds=[source])["Reservations"][0]["Instances"][0]
    image = ec2.create_image(InstanceId=source, Name="baked", NoReboot=True)["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1})
    [found] = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["bak*"]}])["Images"]
    assert found["ImageId"] == image
    launched = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=described["SubnetId"],
                                 SecurityGroupIds=[g["GroupId"] for g in described["SecurityGroups"]])["Instances"][0]["InstanceId"]
    try:
        served = lambda: site.cloud.shell(launched, "curl", "-sS", "http://127.0.0.1:8080/golden/").strip() == "baked"
        eventually(served, "the image serves what was baked", within=120)
        assert site.cloud.shell(launched, "hostname").strip() != site.cloud.shell(source, "hostname").strip()
    finally:
        ec2.terminate_instances(InstanceIds=[launched])
        ec2.get_waiter("instance_terminated").wait(InstanceIds=[launched], WaiterConfig={"Delay": 1})
        snapshots = [m["Ebs"]["SnapshotId"] for m in found["BlockDeviceMappings"]]
        ec2.deregister_image(ImageId=image)
        for snapshot in snapshots:
            ec2.delete_snapshot(SnapshotId=snapshot)


def test_a_key_pair_opens_the_door(site, tmp_path):
    """ssh along the real path: from the internet side, through the internet gateway and the security group."""
    ec2 = site.cloud.client("ec2")
    described = ec2.describe_instances(InstanceIds=[site.instances["golden"]])["Reservations"][0]["Instances"][0]
    key = tmp_path / "key"
    key.write_text(ec2.create_key_pair(KeyName="door", KeyType="ed25519")["KeyMaterial"])
    key.chmod(0o600)
    launched = ec2.run_instances(ImageId=described["ImageId"], InstanceType="t3.micro", MinCount=1, MaxCount=1, KeyName="door",
                                 SubnetId=described["SubnetId"], SecurityGroupIds=[g["GroupId"] for g in described["SecurityGroups"]])
    instance = launched["Instances"][0]["InstanceId"]
    try:
        address = lambda: ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0].get("PublicIpAddress")
        address = eventually(address, "a public address")
        options = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes")

        def said(user):
            return site.cloud.in_namespace("internet", "ssh", "-i", str(key), *options, f"{user}@{address}", "sudo -n id -u", check=False)

        eventually(lambda: said("admin").stdout.strip() == "0", "ssh lets admin in, who may become root", within=120, every=1)
        refused = site.cloud.in_namespace("internet", "ssh", *options, f"admin@{address}", "true", check=False)
        assert refused.returncode == 255, "without the key nobody gets in"
    finally:
        ec2.terminate_instances(InstanceIds=[instance])
        ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
        ec2.delete_key_pair(KeyName="door")
