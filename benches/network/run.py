#!/usr/bin/env python3
"""The paths of a VPC beside a bare veth pair: throughput and round trips, in interleaved rounds.

    benches/network/run.py --nines target/release/nines --images .cache/images [--rounds 5]

Needs root, iperf3 and boto3. A cloud of its own is started with two instances in a private subnet and one
in a public one, whose public address is reached through a NAT gateway and the internet gateway; iperf3 and a ping-pong of 64 bytes run in the instances' own network
namespaces, so every packet takes the path that an instance's would: source check, security groups,
network ACLs, route tables. The bare pair joins two empty namespaces.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile

import boto3

NAME = "nnet"
PORT = 4693
POOL = "198.19.160.0/20"
PING_PONG = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 5302))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
message, times = b"x" * 64, []
for _ in range(3000):
    begun = time.perf_counter()
    s.sendall(message)
    got = 0
    while got < 64:
        got += len(s.recv(64))
    times.append(time.perf_counter() - begun)
times.sort()
print(times[len(times) // 2] * 1e6)
"""
ECHO = """
import socket
listener = socket.create_server(("", 5302))
print("ready", flush=True)
while True:
    peer, _ = listener.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := peer.recv(64):
        peer.sendall(data)
"""


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *command]


@contextlib.contextmanager
def bare_pair():
    names = [f"{NAME}bare{i}" for i in (0, 1)]
    try:
        for name in names:
            run("ip", "netns", "add", name)
        run("ip", "link", "add", f"{NAME}b0", "netns", names[0], "type", "veth", "peer", "name", f"{NAME}b1", "netns", names[1])
        for i, name in enumerate(names):
            run("ip", "-n", name, "addr", "add", f"10.255.0.{i + 1}/30", "dev", f"{NAME}b{i}")
            run("ip", "-n", name, "link", "set", f"{NAME}b{i}", "up")
        yield names[0], names[1], "10.255.0.2"
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


def network(ec2):
    """Two instances in a private subnet, one in a public one: their namespaces and addresses, and the public one."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = lambda cidr: ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
    public, private = subnet("10.0.0.0/24"), subnet("10.0.1.0/24")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)

    def table(of, **target):
        id = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=id, DestinationCidrBlock="0.0.0.0/0", **target)
        ec2.associate_route_table(RouteTableId=id, SubnetId=of)

    table(public, GatewayId=gateway)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat], WaiterConfig={"Delay": 1})
    table(private, NatGatewayId=nat)
    group = ec2.create_security_group(GroupName="bench", Description="bench", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 5201, "ToPort": 5302, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]

    def launch(subnet, count):
        interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": subnet == public}
        run = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=count, MaxCount=count, NetworkInterfaces=[interface])
        return [i["InstanceId"] for i in run["Instances"]]

    ids = launch(private, 2) + launch(public, 1)
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
    found = {i["InstanceId"]: i for r in ec2.describe_instances(InstanceIds=ids)["Reservations"] for i in r["Instances"]}
    return [(f"{NAME}-{id}", found[id]["PrivateIpAddress"]) for id in ids], found[ids[-1]]["PublicIpAddress"]


def throughput(client, server, address, seconds):
    """Gbit/s over one TCP connection."""
    listening = subprocess.Popen(inside(server, "iperf3", "-s", "-1", "--forceflush"), stdout=subprocess.PIPE, text=True)
    try:
        for line in listening.stdout:
            if "listening" in line:
                break
        report = json.loads(run(*inside(client, "iperf3", "-J", "-c", address, "-t", str(seconds))))
        listening.communicate(timeout=10)
        return report["end"]["sum_received"]["bits_per_second"] / 1e9
    finally:
        listening.kill()
        listening.wait()


def round_trip(client, server, address):
    echo = subprocess.Popen(inside(server, sys.executable, "-c", ECHO), stdout=subprocess.PIPE, text=True)
    try:
        echo.stdout.readline()
        return float(run(*inside(client, sys.executable, "-c", PING_PONG, address)))
    finally:
        echo.kill()
        echo.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--images", default=".cache/images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, bare_pair() as bare:
        nines = [arguments.nines, "--state", f"{directory}/state", "--port", str(PORT)]
        subprocess.run([*nines, "up", "-d", "--name", NAME, "--images", arguments.images, "--public-pool", POOL, "--no-hosts", "--offline"], check=True)
        try:
            ec2 = boto3.client("ec2", endpoint_url=f"http://127.0.0.1:{PORT}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
            ((a, _), (b, b_address), (c, c_address)), public_address = network(ec2)
            paths = {
                "bare veth pair": bare,
                "within a subnet": (a, b, b_address),
                "to another subnet": (a, c, c_address),
                "by NAT and internet gateway": (a, c, public_address),
            }
            rates, trips = ({name: [] for name in paths} for _ in range(2))
            for _ in range(arguments.rounds):
                for name, path in paths.items():
                    rates[name].append(throughput(*path, arguments.seconds))
                    trips[name].append(round_trip(*path))
            base_rate, base_trip = (statistics.median(of["bare veth pair"]) for of in (rates, trips))
            print(f"{'path':28} {'Gbit/s':>8} {'ratio':>6} {'round trip µs':>14} {'ratio':>6}")
            for name in paths:
                rate, trip = statistics.median(rates[name]), statistics.median(trips[name])
                print(f"{name:28} {rate:8.1f} {rate / base_rate:6.2f} {trip:14.1f} {trip / base_trip:6.2f}")
        finally:
            subprocess.run([*nines, "down", "--purge"], check=True)


if __name__ == "__main__":
    main()
