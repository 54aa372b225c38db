"""EC2 Instance Connect: endpoints, and keys that are sent to instances.

    python tests/api/instance_connect.py --endpoint http://127.0.0.1:4566

Uses an account of its own, whose random number keeps runs apart.
"""

import argparse
import base64
import random
import sys
import time

from checks import check, failures, refused
from strict import Checker, client

KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))).decode()


def endpoints(ec2):
    subnets = ec2.describe_subnets()["Subnets"]
    subnet, vpc = subnets[0]["SubnetId"], subnets[0]["VpcId"]
    groups = [ec2.create_security_group(GroupName=n, Description=n, VpcId=vpc)["GroupId"] for n in ("one", "two")]
    tags = [{"ResourceType": "instance-connect-endpoint", "Tags": [{"Key": "Name", "Value": "way in"}]}]
    wanted = dict(SubnetId=subnet, SecurityGroupIds=groups[:1], ClientToken="once", TagSpecifications=tags)
    create, modify = ec2.create_instance_connect_endpoint, ec2.modify_instance_connect_endpoint
    refused(
        (create, dict(SubnetId="subnet-00000000"), "InvalidSubnetID.NotFound"),
        (create, dict(SubnetId=subnet, SecurityGroupIds=["sg-00000000"]), "InvalidGroup.NotFound"),
        (create, dict(SubnetId=subnet, IpAddressType="ipv6"), "InvalidParameterValue"),
        (create, dict(wanted, DryRun=True), "DryRunOperation"),
    )
    made = create(**wanted)["InstanceConnectEndpoint"]
    endpoint = made["InstanceConnectEndpointId"]
    which = dict(InstanceConnectEndpointId=endpoint)
    check("as asked", (made["SubnetId"], made["VpcId"], made["SecurityGroupIds"], made["PreserveClientIp"]), (subnet, vpc, groups[:1], False))
    check("being made", made["State"], "create-in-progress")
    check("its name", made["DnsName"].startswith(f"{endpoint}."), True)
    check("the same token", create(**wanted)["InstanceConnectEndpoint"]["InstanceConnectEndpointId"], endpoint)
    refused(
        (create, dict(wanted, SubnetId=subnets[1]["SubnetId"]), "IdempotentParameterMismatch"),
        (create, dict(SubnetId=subnet), "ResourceLimitExceeded"),
        (modify, which, "MissingParameter"),
        (create, dict(wanted, PreserveClientIp=True), "IdempotentParameterMismatch"),
    )

    def shown(**by):
        return ec2.describe_instance_connect_endpoints(**by)["InstanceConnectEndpoints"]

    def becomes(state):
        end = time.monotonic() + 60
        while [e["State"] for e in shown()] != state and time.monotonic() < end:
            time.sleep(0.1)
        check("its state", [e["State"] for e in shown()], state)

    becomes(["create-complete"])
    [interface] = shown()[0]["NetworkInterfaceIds"]
    [described] = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"]
    check("its interface", (described["InterfaceType"], described["RequesterManaged"]), ("ec2_instance_connect_endpoint", True))
    modify(**which, SecurityGroupIds=groups[1:], PreserveClientIp=True)
    becomes(["update-complete"])
    check("a wish that is kept", shown()[0]["PreserveClientIp"], True)
    check("its groups", shown(InstanceConnectEndpointIds=[endpoint])[0]["SecurityGroupIds"], groups[1:])
    for name, value in (("state", "update-complete"), ("vpc-id", vpc), ("subnet-id", subnet), ("tag:Name", "way*"), ("instance-connect-endpoint-id", endpoint)):
        check(f"found by {name}", len(shown(Filters=[{"Name": name, "Values": [value]}])), 1)
        check(f"not found by {name}", shown(Filters=[{"Name": name, "Values": ["other"]}]), [])
    check("a page", len(shown(MaxResults=1)), 1)
    ec2.create_tags(Resources=[endpoint], Tags=[{"Key": "more", "Value": "1"}])
    check("tags", len(shown()[0]["Tags"]), 2)
    refused((ec2.delete_security_group, dict(GroupId=groups[1]), "DependencyViolation"))
    check("going", ec2.delete_instance_connect_endpoint(**which)["InstanceConnectEndpoint"]["State"], "delete-in-progress")
    becomes([])
    gone = "InvalidInstanceConnectEndpointId.NotFound"
    refused(
        (ec2.describe_instance_connect_endpoints, dict(InstanceConnectEndpointIds=[endpoint]), gone),
        (ec2.delete_instance_connect_endpoint, which, gone),
        (modify, dict(which, SecurityGroupIds=groups), gone),
    )
    for group in groups:
        ec2.delete_security_group(GroupId=group)


def keys(connect):
    nobody = dict(InstanceId="i-0123456789abcdef0", SSHPublicKey=KEY)
    there = dict(nobody, InstanceOSUser="admin")
    send, console = connect.send_ssh_public_key, connect.send_serial_console_ssh_public_key
    refused(
        (send, there, "EC2InstanceNotFoundException"),
        (send, dict(there, InstanceOSUser="no user"), "InvalidArgsException"),
        (send, dict(there, SSHPublicKey="x" * 80), "InvalidArgsException"),
        (console, nobody, "EC2InstanceNotFoundException"),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    endpoint = parser.parse_args().endpoint
    account = f"{random.randrange(10**11, 10**12)}"
    ec2, connect = (client(service, endpoint, account) for service in ("ec2", "ec2-instance-connect"))
    checkers = [Checker(ec2), Checker(connect)]
    endpoints(ec2)
    keys(connect)
    failures.extend(f"not in botocore's model: {u}" for checker in checkers for u in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    print(f"{sum(sum(c.calls.values()) for c in checkers)} calls, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
