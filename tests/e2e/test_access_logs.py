"""Access and connection logs of an Application Load Balancer arrive in the bucket, in AWS's form."""

import gzip
import json
import re

from botocore.exceptions import ClientError
import pytest

from conftest import eventually, run

BUCKET = "lb-logs"
ELB_ACCOUNT = "127311923021"


def policy(resource):
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ELB_ACCOUNT}:root"}, "Action": "s3:PutObject", "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def balancer(cloud):
    """Answers by itself; it needs no target."""
    elbv2, ec2, s3 = cloud.client("elbv2"), cloud.client("ec2"), cloud.client("s3")
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    vpc, subnets = subnets[0]["VpcId"], [s["SubnetId"] for s in subnets[:2]]
    s3.create_bucket(Bucket=BUCKET)
    group = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}, {"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"][0]["GroupId"]
    world = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=world)
    made = elbv2.create_load_balancer(Name="logged", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418", "MessageBody": "tea"}}]
    elbv2.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=fixed)
    try:
        yield made
    finally:
        elbv2.delete_load_balancer(LoadBalancerArn=arn)
        for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        s3.delete_bucket(Bucket=BUCKET)
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=world)
        nodes = lambda: not ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/logged/*"]}])["NetworkInterfaces"]
        eventually(nodes, "the nodes are gone")


def test_logs_arrive(cloud, balancer):
    elbv2, s3 = cloud.client("elbv2"), cloud.client("s3")
    arn = balancer["LoadBalancerArn"]
    settings = {"enabled": "true", "bucket": BUCKET, "prefix": "web"}
    attributes = [
        {"Key": f"{kind}.s3.{key}", "Value": value}
        for kind in ("access_logs", "connection_logs")
        for key, value in settings.items()
    ]

    def turn_on():
        elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)

    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(f"arn:aws:s3:::{BUCKET}/other/*"))
    with pytest.raises(ClientError, match="Access Denied for bucket: lb-logs"):
        turn_on()
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(f"arn:aws:s3:::{BUCKET}/web/AWSLogs/*"))
    turn_on()
    active = lambda: elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["State"]["Code"] == "active"
    eventually(active, "the load balancer is active")
    ec2 = cloud.client("ec2")
    nodes = ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/logged/*"]}])["NetworkInterfaces"]
    address = nodes[0]["Association"]["PublicIp"]
    asked = lambda: run("curl", "-s", "-m", "5", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address}/a?b").stdout == "418"
    eventually(asked, "it answers")

    def logged():
        asked()
        found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        keys = [item["Key"] for item in found]
        connections = [key for key in keys if "/conn_log." in key]
        others = [key for key in keys if "/conn_log." not in key]
        return (others, connections) if others and connections else None

    keys, connections = eventually(logged, "a log of either kind is delivered", within=120)
    identity = arn.split(":loadbalancer/")[1].replace("/", ".")
    account = arn.split(":")[4]
    form = rf"web/AWSLogs/{account}/elasticloadbalancing/us-east-1/\d{{4}}/\d\d/\d\d/{account}_elasticloadbalancing_us-east-1_{re.escape(identity)}_\d{{8}}T\d{{4}}Z_{re.escape(address)}_\w+\.log\.gz"
    assert re.fullmatch(form, keys[0]), keys
    body = s3.get_object(Bucket=BUCKET, Key=keys[0])["Body"].read()
    line = gzip.decompress(body).decode().splitlines()[0]
    assert line.startswith("http 20") and " app/logged/" in line and '"fixed-response"' in line, line
    assert re.search(rf' 418 - \d+ \d+ "GET http://{re.escape(address)}:80/a\?b HTTP/1.1" "curl/', line), line
    assert re.search(r' TID_[0-9a-f]{32} "-" "-" "-"$', line), line
    assert re.fullmatch(form.replace(rf"{account}_elastic", rf"conn_log\.{account}_elastic"), connections[0]), connections
    body = s3.get_object(Bucket=BUCKET, Key=connections[0])["Body"].read()
    line = gzip.decompress(body).decode().splitlines()[0]
    assert re.fullmatch(r'20\S+Z [\d.]+ \d+ 80 - - - "-" - - - TID_[0-9a-f]{32}', line), line
