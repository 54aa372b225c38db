"""Wrong calls of every protocol: AWS's error codes, no change, and the cloud goes on."""

import base64
import urllib.error
import urllib.request

import botocore.exceptions
import pytest

from conftest import PORT


@pytest.fixture(autouse=True)
def survives(cloud):
    before = cloud.client("ec2").describe_vpcs()["Vpcs"]
    pid = cloud.control_plane()
    yield
    assert cloud.client("ec2").describe_vpcs()["Vpcs"] == before
    assert cloud.control_plane() == pid and cloud.client("sts").get_caller_identity()["Account"]


def raw(body, headers=None, method="POST", path="/"):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def scope(service):
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"}


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "body, headers, expected",
    [
        (b"Action=NoSuchThing&Version=2016-11-15", scope("ec2") | FORM, b"InvalidAction"),
        (b"Version=2016-11-15", scope("ec2") | FORM, b"MissingAction"),
        (b"Action=CreateVpc&Version=2016-11-15", scope("ec2") | FORM, b"MissingParameter"),
        (b"Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0/16&Nonsense=1", scope("ec2") | FORM, b"UnknownParameter"),
        (b"Action=DescribeVpcs&Version=2016-11-15&VpcId.99999999999=vpc-1", scope("ec2") | FORM, b"<Code>"),
        (b"Action=DescribeVpcs&" + b"A." * 5000 + b"=1", scope("ec2") | FORM, b"<Code>"),
        (b"Action=DescribeLoadBalancers&Version=2015-12-01&Names.member.x=1", scope("elasticloadbalancing") | FORM, b"<Code>"),
        (b"\xff\xfe%zz", scope("ec2") | FORM, b"<Code>"),
        (b"{", scope("monitoring") | {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData"}, b"SerializationException"),
        (b"{}", scope("monitoring") | {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "GraniteServiceVersion20100801.Nope"}, b"UnknownOperationException"),
        (b"{}", scope("ssm") | {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.GetParameter"}, b"__type"),
        (b"{}", scope("quantum") | {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Braket.Fly"}, b"not emulate"),
    ],
)
def test_malformed_calls(cloud, body, headers, expected):
    status, answer = raw(body, headers)
    assert 400 <= status < 500 and expected in answer, (status, answer[:500])


def test_broken_cbor(cloud):
    headers = scope("monitoring") | {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    status, _ = raw(b"\xbf\x61", headers, path="/service/GraniteServiceVersion20100801/operation/PutMetricData")
    assert 400 <= status < 500


def test_an_oversized_body_is_refused(cloud):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    assert connection.getresponse().status == 413


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def test_wrong_ids_and_values(cloud):
    ec2, elbv2 = cloud.client("ec2"), cloud.client("elbv2")
    assert refused(ec2.describe_vpcs, VpcIds=["vpc-0123456789abcdef0"]) == "InvalidVpcID.NotFound"
    assert refused(ec2.describe_instances, InstanceIds=["i-xyz"]) == "InvalidInstanceID.Malformed"
    assert refused(ec2.create_vpc, CidrBlock="10.0.0.0/8") == "InvalidVpc.Range"
    assert refused(ec2.describe_vpcs, Filters=[{"Name": "nonsense", "Values": ["x"]}]) == "InvalidParameterValue"
    assert refused(ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True) == "DryRunOperation"
    assert refused(elbv2.describe_load_balancers, Names=["nobody"]) == "LoadBalancerNotFound"
    assert refused(elbv2.describe_target_groups, Names=["nobody"]) == "TargetGroupNotFound"
    images = ec2.describe_images(Owners=["136693071363"])["Images"]
    much = base64.b64encode(b"#!/bin/sh\n" + b"x" * 16384).decode()
    assert refused(ec2.run_instances, ImageId=images[0]["ImageId"], InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=much) == "InvalidParameterValue"
    assert refused(ec2.run_instances, ImageId="ami-0123", InstanceType="t3.micro", MinCount=1, MaxCount=1).startswith("InvalidAMIID")
    assert refused(cloud.client("autoscaling").set_desired_capacity, AutoScalingGroupName="nobody", DesiredCapacity=1) == "ValidationError"


def test_what_is_in_use_is_not_deleted(cloud):
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = None
    try:
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
        assert refused(ec2.create_subnet, VpcId=vpc, CidrBlock="10.9.0.0/25") == "InvalidSubnet.Conflict"
        assert refused(ec2.create_subnet, VpcId=vpc, CidrBlock="10.10.0.0/24") == "InvalidSubnet.Range"
        assert refused(ec2.delete_vpc, VpcId=vpc) == "DependencyViolation"
    finally:
        if subnet:
            ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)
