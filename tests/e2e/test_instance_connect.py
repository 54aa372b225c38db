"""EC2 Instance Connect: ssh into an instance that has neither a public address nor a key pair, through an endpoint."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest

from conftest import PORT, eventually, run

ACCOUNT = "000000004604"  # with VPCs of its own
TUNNEL = Path(__file__).parent / "tunnel.py"


def client(service, key=ACCOUNT, secret="test"):
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORT}", region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)


@pytest.fixture(scope="module")
def private(cloud, tmp_path_factory):
    """An instance that lets the endpoint's security group in, by SSH alone, in a VPC without a gateway."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.46.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.46.1.0/24")["Subnet"]["SubnetId"]
    groups = [ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("endpoint", "instance")]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": groups[0]}]}
    ec2.authorize_security_group_ingress(GroupId=groups[1], IpPermissions=[rule])
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=groups[1:])["Instances"][0]
    endpoint = ec2.create_instance_connect_endpoint(SubnetId=subnet, SecurityGroupIds=groups[:1])["InstanceConnectEndpoint"]
    which = dict(InstanceConnectEndpointIds=[endpoint["InstanceConnectEndpointId"]])
    described = lambda: ec2.describe_instance_connect_endpoints(**which)["InstanceConnectEndpoints"]
    eventually(lambda: described()[0]["State"] == "create-complete", "the endpoint is complete")
    ids = [instance["InstanceId"]]
    status = lambda: ec2.describe_instance_status(InstanceIds=ids)["InstanceStatuses"]
    eventually(lambda: status()[0]["InstanceStatus"]["Status"] == "ok", "the instance has booted")
    files = tmp_path_factory.mktemp("connect")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", files / "key")
    (files / "authority.pem").write_text(cloud.nines("ca"))
    [interface] = ec2.describe_network_interfaces(NetworkInterfaceIds=described()[0]["NetworkInterfaceIds"])["NetworkInterfaces"]
    yield SimpleNamespace(ec2=ec2, instance=instance, endpoint=endpoint, interface=interface, files=files, groups=groups, rule=rule)
    ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=endpoint["InstanceConnectEndpointId"])
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
    eventually(lambda: not ec2.describe_instance_connect_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["InstanceConnectEndpoints"], "it is gone")
    for group in reversed(groups):
        ec2.delete_security_group(GroupId=group)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


def tunnel(private, *more, key=ACCOUNT, secret="test"):
    """The command that opens one, and what it finds in its environment."""
    endpoint, address = private.endpoint, private.instance["PrivateIpAddress"]
    names = [endpoint["InstanceConnectEndpointId"], endpoint["DnsName"], address, private.files / "authority.pem"]
    credentials = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return [str(word) for word in (sys.executable, TUNNEL, "us-east-1", *names, *more)], os.environ | credentials


def ssh(private, *command):
    """Logs in as the image's user with nothing but the key that was sent."""
    through, environment = tunnel(private)
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes", f"ProxyCommand={' '.join(through)}"]
    arguments = [word for option in options for word in ("-o", option)]
    target = f"admin@{private.instance['PrivateIpAddress']}"
    return subprocess.run(["ssh", *arguments, "-i", private.files / "key", target, *command], env=environment, capture_output=True, text=True, timeout=90)


def send_key(private):
    public = (private.files / "key.pub").read_text()
    client("ec2-instance-connect").send_ssh_public_key(InstanceId=private.instance["InstanceId"], InstanceOSUser="admin", SSHPublicKey=public)


def test_a_sent_key_opens_the_instance_for_a_while(private):
    refused = ssh(private, "true")
    assert refused.returncode == 255 and "Permission denied" in refused.stderr, "nobody has sent the key yet"

    def logged_in():
        send_key(private)
        done = ssh(private, "hostname; echo $SSH_CONNECTION; head -c 3000000 /dev/zero | wc -c; sudo -n id -u")
        assert done.returncode == 0, done.stderr
        return done

    done = eventually(logged_in, "the key opens it")
    name, connection, size, user = done.stdout.splitlines()
    assert name == private.instance["PrivateDnsName"].split(".")[0]
    assert connection.split()[0] == private.interface["PrivateIpAddress"], "it begins at the endpoint's own interface"
    assert (size, user) == ("3000000", "0")
    eventually(lambda: "Permission denied" in ssh(private, "true").stderr, "the key has expired", within=60)


def test_a_security_group_stands_in_the_way(private):
    private.ec2.revoke_security_group_ingress(GroupId=private.groups[1], IpPermissions=[private.rule])
    shut = lambda: "Unable to connect to target" in ssh(private, "true").stderr
    eventually(shut, "the endpoint is not let in")
    private.ec2.authorize_security_group_ingress(GroupId=private.groups[1], IpPermissions=[private.rule])
    eventually(lambda: "Permission denied" in ssh(private, "true").stderr, "it is let in again")


def test_requests_are_checked(cloud, private):
    def answer(*more, **who):
        command, environment = tunnel(private, *more, **who)
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60).stderr

    assert "refused: 400" in answer("80")
    iam = client("iam")
    iam.create_user(UserName="tunnel")
    key = iam.create_access_key(UserName="tunnel")["AccessKey"]
    assert "refused: 403" in answer(key=key["AccessKeyId"], secret="another")
    assert "refused" not in answer(key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    iam.delete_access_key(UserName="tunnel", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="tunnel")
