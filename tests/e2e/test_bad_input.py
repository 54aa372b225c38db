"""Wrong calls of every protocol: AWS's error codes, no change, and the cloud goes on."""

import base64
import select
import socket
import urllib.error
import urllib.request

import botocore.exceptions
import pytest

from conftest import PORT, eventually


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
    ids=lambda part: "" if not isinstance(part, bytes) else part[:40].decode(errors="replace"),
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


def test_bodies_that_never_end_are_bounded_together(cloud):
    """512 MiB of them are held; who brings more is told to come again, and others do not notice."""
    upload, most = 64 << 20, (512 << 20) // (64 << 20)
    head = f"PUT /bounded/key HTTP/1.1\r\nHost: s3.localhost\r\nContent-Length: {upload}\r\n\r\n".encode()
    block, held, answers = b"x" * (1 << 20), [], []
    try:
        for _ in range(most + 1):
            connection = socket.create_connection(("127.0.0.1", PORT), timeout=20)
            held.append(connection)
            try:
                connection.sendall(head)
                for _ in range(upload // len(block) - 1):
                    connection.sendall(block)
            except ConnectionError:
                pass  # refused in the middle
        # Whoever was not refused waits for its last bytes, so that one alone has an answer.
        readable, _, _ = select.select(held, [], [], 20)
        answers = [connection.recv(4096) for connection in readable]
        assert answers and all(b" 503 " in answer and b"SlowDown" in answer for answer in answers), answers
        assert cloud.client("sts").get_caller_identity()["Account"]
    finally:
        for connection in held:
            connection.close()
    body = b"y" * (1 << 20)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="after-many-bodies")
    try:
        eventually(lambda: s3.put_object(Bucket="after-many-bodies", Key="k", Body=body), "there is room again")
    finally:
        s3.delete_object(Bucket="after-many-bodies", Key="k")
        s3.delete_bucket(Bucket="after-many-bodies")


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


def answer_to(head, *pieces):
    """What comes back over a bare connection; empty when it was closed on the sender, who is refused as well."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=30) as connection:
        try:
            for piece in (head, *pieces):
                connection.sendall(piece)
            return connection.recv(65536)
        except OSError:
            return b""


def head_of(headers, **more):
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (headers | more).items()]
    return ("POST / HTTP/1.1\r\nHost: x\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()


def test_heads_past_their_limits(cloud):
    many = {f"X-Flood-{i}": "x" for i in range(300)}
    assert b" 431 " in answer_to(head_of(scope("ec2") | FORM | many, Content_Length=0))
    long = answer_to(head_of({"X-Long": "x" * 200_000}))
    assert not long or b" 431 " in long


def test_bodies_past_their_limits(cloud):
    # A call is refused by what it announces; one that announces nothing by what it sends.
    for headers in (FORM, PUT_METRICS):
        answer = answer_to(head_of(scope("monitoring") | headers, Content_Length=9 << 20))
        assert b" 413 " in answer and b"RequestEntityTooLarge" in answer, answer[:500]
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    answer = answer_to(head_of(scope("ec2") | FORM, Transfer_Encoding="chunked"), *[chunk] * 64)
    assert not answer or b" 413 " in answer


PUT_METRICS = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData"}


@pytest.mark.parametrize(
    "body, headers",
    [
        (b'{"MetricData":' + b"[" * 100_000, PUT_METRICS),
        (b'{"Namespace":"a","Namespace":"b","MetricData":[]}', PUT_METRICS),
        (b'{"Namespace":"\xff\xfe"}', PUT_METRICS),
        (b"Action=PutMetricData&Namespace=a&Namespace=b", FORM),
        (b"Action=PutMetricData&Namespace=a&MetricData.member.4294967296.MetricName=m", FORM),
        (b"Action=PutMetricData&" + b"&".join(b"MetricData.member.%d.MetricName=m" % i for i in range(200_000)), FORM),
        (b"Action=PutMetricData&Namespace=%ff", FORM),
    ],
    ids=["deep", "member twice", "JSON not UTF-8", "parameter twice", "huge index", "200,000 members", "form not UTF-8"],
)
def test_hostile_metrics_have_no_effect(cloud, body, headers):
    status, answer = raw(body, scope("monitoring") | headers)
    assert 400 <= status < 500 and (b"<Code>" in answer or b"__type" in answer), (status, answer[:500])
    assert not cloud.client("cloudwatch").list_metrics(Namespace="a")["Metrics"]
