"""Who reaches whom, on packets: ACLs, routes, NAT gateways, two VPCs with the same addresses."""

import http.client

import pytest

from conftest import eventually
from load import once

PORT = 8080
SERVER = f"#!/bin/sh\ncd /etc && exec python3 -m http.server {PORT} --bind 0.0.0.0\n"
IMAGE = "resolve:ssm:/aws/service/debian/release/12/latest/amd64"


@pytest.fixture(scope="module")
def ec2(cloud):
    return cloud.client("ec2")


def load_balancer_interfaces(ec2):
    return ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/web-ha/*"]}])["NetworkInterfaces"]


def open_port(ec2, vpc, name):
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    return group


def launch(ec2, subnet, group, public):
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": public}
    return ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, NetworkInterfaces=[interface], UserData=SERVER)["Instances"][0]["InstanceId"]


def describe(ec2, instance):
    return ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


@pytest.fixture(scope="module")
def neighbours(stack, ec2):
    """A public instance in the stack's VPC, and one in a second VPC with the same addresses and no way out."""
    public_subnet = load_balancer_interfaces(ec2)[0]
    vpc = public_subnet["VpcId"]
    cidr = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"]
    other_vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    twin = ec2.describe_subnets(SubnetIds=[public_subnet["SubnetId"]])["Subnets"][0]
    other_subnet = ec2.create_subnet(VpcId=other_vpc, CidrBlock=twin["CidrBlock"], AvailabilityZone=twin["AvailabilityZone"])["Subnet"]["SubnetId"]
    groups = [open_port(ec2, vpc, "neighbours"), open_port(ec2, other_vpc, "neighbours")]
    ids = [launch(ec2, twin["SubnetId"], groups[0], True), launch(ec2, other_subnet, groups[1], False)]
    try:
        for id in ids:
            listening = lambda: "200" in stack.cloud.shell(id, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{PORT}/hostname")
            eventually(listening, f"{id} serves")
        yield [describe(ec2, id) for id in ids]
    finally:
        ec2.terminate_instances(InstanceIds=ids)
        ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 90})
        for group in groups:
            ec2.delete_security_group(GroupId=group)
        ec2.delete_subnet(SubnetId=other_subnet)
        ec2.delete_vpc(VpcId=other_vpc)


def test_who_reaches_whom(resting, ec2, neighbours):
    cloud = resting.cloud
    public, other = neighbours
    private = describe(ec2, resting.in_service()[0]["InstanceId"])

    def curl(url):
        return ["curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", url]

    def internet(url):
        return cloud.in_namespace("internet", *curl(url), check=False).stdout

    def instance(of):
        return lambda url: cloud.shell(of["InstanceId"], *curl(url), check=False)

    def at(address, port=PORT):
        return f"http://{address}:{port}/hostname"

    metadata = "http://169.254.169.254/latest/meta-data/"
    # No token: 401 is the metadata service's own answer.
    yes, refused, no = "200", "401", "000"
    expected = [
        ("internet", internet, "public address", at(public["PublicIpAddress"]), yes),
        ("internet", internet, "public instance's private address", at(public["PrivateIpAddress"]), no),
        ("internet", internet, "private instance", at(private["PrivateIpAddress"], 80), no),
        ("internet", internet, "other VPC", at(other["PrivateIpAddress"]), no),
        ("internet", internet, "metadata", metadata, no),
        ("public", instance(public), "itself by its public address", at(public["PublicIpAddress"]), yes),
        ("public", instance(public), "private instance, whose group admits the load balancer only", at(private["PrivateIpAddress"], 80), no),
        ("public", instance(public), "other VPC", at(other["PrivateIpAddress"]), no),
        ("public", instance(public), "a private address of nobody", at("172.31.255.1", 80), no),
        ("private", instance(private), "public instance", at(public["PrivateIpAddress"]), yes),
        ("private", instance(private), "public instance through its NAT gateway", at(public["PublicIpAddress"]), yes),
        ("private", instance(private), "a private address of nobody", at("172.31.255.1", 80), no),
        ("private", instance(private), "metadata", metadata, refused),
        ("other VPC", instance(other), "public instance", at(public["PrivateIpAddress"]), no),
        ("other VPC", instance(other), "public address, without a route out", at(public["PublicIpAddress"]), no),
        ("other VPC", instance(other), "private instance", at(private["PrivateIpAddress"], 80), no),
        ("other VPC", instance(other), "metadata", metadata, yes),
    ]
    seen = [(source, target, ask(url)) for source, ask, target, url, _ in expected]
    assert seen == [(source, target, answer) for source, _, target, _, answer in expected]
    assert http_status(public["PublicIpAddress"], PORT) == 200, "the host reaches public addresses as an internet user"


def http_status(address, port):
    connection = http.client.HTTPConnection(address, port, timeout=3)
    connection.request("GET", "/hostname")
    return connection.getresponse().status


def test_an_acl_that_denies_cuts_established_flows(resting, ec2):
    name = resting.output_cached("alb_dns_name")
    node = load_balancer_interfaces(ec2)[0]
    acl = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [node["SubnetId"]]}])["NetworkAcls"][0]["NetworkAclId"]
    address = node["Association"]["PublicIp"]
    deny = dict(NetworkAclId=acl, RuleNumber=1, Egress=False)

    def ask(connection):
        connection.request("GET", "/health", headers={"Host": name})
        return connection.getresponse().read() is not None

    connection = http.client.HTTPConnection(address, timeout=3)
    assert ask(connection)
    ec2.create_network_acl_entry(**deny, Protocol="6", RuleAction="deny", CidrBlock="0.0.0.0/0", PortRange={"From": 80, "To": 80})
    try:
        for flow in (connection, http.client.HTTPConnection(address, timeout=3)):
            with pytest.raises(OSError):
                # A change reaches the kernel within a moment; one request may overtake it.
                for _ in range(50):
                    ask(flow)
    finally:
        ec2.delete_network_acl_entry(**deny)
    eventually(lambda: ask(http.client.HTTPConnection(address, timeout=3)), "the address answers again")
    eventually(lambda: once(name)[0] == 200, "the site answers again")


def test_a_zone_without_its_nat_route_is_cut_off_alone(resting, ec2):
    cloud = resting.cloud
    members = {i["AvailabilityZone"]: i["InstanceId"] for i in resting.in_service()}
    assert len(members) == 2
    cut, kept = sorted(members)
    subnet = describe(ec2, members[cut])["SubnetId"]
    table = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["RouteTables"][0]
    route = next(r for r in table["Routes"] if r.get("NatGatewayId"))
    out = lambda zone: cloud.shell(members[zone], "curl", "-s", "-m", "3", "http://checkip.amazonaws.com/", check=False).strip()
    assert out(cut) and out(kept)
    ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    try:
        eventually(lambda: not out(cut), "the zone is cut off")
        assert out(kept)
        assert once(resting.output_cached("alb_dns_name"))[0] == 200, "the load balancer reaches it all the same"
    finally:
        ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", NatGatewayId=route["NatGatewayId"])
    eventually(lambda: out(cut), "the route is back")


def test_blocked_public_access(cloud):
    """In a region of its own, which it concerns as a whole."""
    ec2 = cloud.client("ec2", "eu-west-1")
    subnet = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    group = open_port(ec2, subnet["VpcId"], "blocked")
    id = launch(ec2, subnet["SubnetId"], group, True)

    def reached():
        """From outside, and to outside."""
        inward = cloud.in_namespace("internet", "curl", "-s", "-m", "1", f"http://{address}:{PORT}/hostname", check=False).stdout
        outward = cloud.shell(id, "curl", "-s", "-m", "1", "http://checkip.amazonaws.com/", check=False)
        return bool(inward), outward.strip() == address

    def block(mode):
        ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode=mode)

    try:
        address = eventually(lambda: describe(ec2, id).get("PublicIpAddress"), "it has a public address")
        eventually(lambda: reached() == (True, True), "it is open")
        for mode in ("block-bidirectional", "block-ingress"):
            block(mode)
            # An interface that is not a NAT gateway's goes out through none: its gateway passes what comes back to nobody.
            eventually(lambda: reached() == (False, False), f"{mode} cuts it off")
        exclusion = ec2.create_vpc_block_public_access_exclusion(SubnetId=subnet["SubnetId"], InternetGatewayExclusionMode="allow-bidirectional")
        exclusion = exclusion["VpcBlockPublicAccessExclusion"]["ExclusionId"]
        try:
            eventually(lambda: reached() == (True, True), "its subnet is excluded")
        finally:
            ec2.delete_vpc_block_public_access_exclusion(ExclusionId=exclusion)
        eventually(lambda: reached() == (False, False), "the exclusion has gone")
    finally:
        block("off")
        try:
            eventually(lambda: reached() == (True, True), "it is open again")
        finally:
            ec2.terminate_instances(InstanceIds=[id])
            ec2.get_waiter("instance_terminated").wait(InstanceIds=[id], WaiterConfig={"Delay": 1, "MaxAttempts": 90})
            ec2.delete_security_group(GroupId=group)


def test_packages_come_from_the_internet_in_each_zone(resting):
    for member in resting.in_service():
        updated = resting.cloud.shell(member["InstanceId"], "apt-get", "-o", "Acquire::Retries=3", "-o", "APT::Update::Error-Mode=any", "update", timeout=240)
        assert "Reading package lists" in updated
