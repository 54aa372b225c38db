#!/usr/bin/env python3
"""Many instances with an HTTP server each behind one load balancer: until all are healthy and all answer; then their end.

    benches/launch/fleet.py --nines target/release/nines --images .cache/images [--count 300] [--ami debian-12-amd64-*]

Prints how long it took from RunInstances until every target was healthy, whether requests reach every one of
them, what an instance took of the machine's memory, how long stopping and terminating all took, and what `down`
left behind: namespaces, links, mounts, control groups, processes.
"""

import argparse
import collections
import json
import subprocess
import time
import urllib.request
from pathlib import Path

from botocore.exceptions import WaiterError

from cloud import NAME, Cloud
from run import available

USER_DATA = """#!/bin/sh
mkdir -p /srv/www && hostname >/srv/www/index.html
if command -v busybox >/dev/null; then exec busybox httpd -p 80 -h /srv/www; fi
setsid python3 -m http.server --directory /srv/www 80 >/dev/null 2>&1 &
"""


def balancer(cloud, subnets):
    vpc = cloud.ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    group = cloud.ec2.create_security_group(GroupName="fleet", Description="fleet", VpcId=vpc)["GroupId"]
    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0")
    made = cloud.elbv2.create_load_balancer(Name="fleet", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    target = cloud.elbv2.create_target_group(
        Name="fleet", Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=4, HealthyThresholdCount=2
    )["TargetGroups"][0]["TargetGroupArn"]
    cloud.elbv2.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"], Port=80, Protocol="HTTP", DefaultActions=[{"Type": "forward", "TargetGroupArn": target}]
    )
    return group, target


def states(cloud, target):
    health = cloud.elbv2.describe_target_health(TargetGroupArn=target)["TargetHealthDescriptions"]
    return collections.Counter(t["TargetHealth"]["State"] for t in health)


def running(cloud, ids, patience):
    try:
        cloud.ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": patience})
    except WaiterError:
        found = [i for page in cloud.ec2.get_paginator("describe_instances").paginate(InstanceIds=ids) for r in page["Reservations"] for i in r["Instances"]]
        why = collections.Counter((i["State"]["Name"], i.get("StateReason", {}).get("Message", "")) for i in found)
        raise SystemExit(f"not all {len(ids)} run: {dict(why)}")


def healthy(cloud, target, count, patience):
    begun = time.time()
    while (seen := states(cloud, target))["healthy"] < count:
        if time.time() > begun + patience:
            raise SystemExit(f"not all {count} healthy within {patience} s: {dict(seen)}")
        time.sleep(1)
    return seen


def answers(cloud, requests):
    """Who answered how often, through each of the balancer's nodes, and how many requests failed."""
    described = subprocess.run([*cloud.nines, "ps", "--json"], capture_output=True, text=True, check=True).stdout
    nodes = [n["public_ip"] for b in json.loads(described)["load_balancers"] for n in b["nodes"]]
    who, failed = collections.Counter(), 0
    for n in range(requests):
        try:
            with urllib.request.urlopen(f"http://{nodes[n % len(nodes)]}/", timeout=10) as answer:
                who[answer.read()] += 1
        except OSError:
            failed += 1
    return who, failed


def left_behind():
    found = []
    for command in (["ip", "netns", "list"], ["ip", "-o", "link"], ["nft", "list", "tables"]):
        found += [line for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines() if NAME in line]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if NAME in line]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{NAME}")]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--images", default=".cache/images")
    parser.add_argument("--ami", default="debian-12-amd64-*")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--patience", type=int, default=600)
    arguments = parser.parse_args()
    count, patience = arguments.count, arguments.patience
    with Cloud(arguments.nines, arguments.images) as cloud:
        subnets = [cloud.subnet(zone) for zone in ("us-east-1a", "us-east-1b")]
        group, target = balancer(cloud, subnets)
        image, before, begun = cloud.image(arguments.ami), available(), time.time()
        ids = []
        for n, subnet in enumerate(subnets):
            share = count // 2 + (count % 2 if n else 0)
            ids += cloud.run_instances(share, ImageId=image, SubnetId=subnet, SecurityGroupIds=[group], UserData=USER_DATA)
        running(cloud, ids, patience)
        print(f"{count} running after {time.time() - begun:.1f} s", flush=True)
        cloud.elbv2.register_targets(TargetGroupArn=target, Targets=[{"Id": i} for i in ids])
        healthy(cloud, target, count, patience)
        print(f"{count} healthy after {time.time() - begun:.1f} s", flush=True)
        who, failed = answers(cloud, 10 * count)
        print(f"{len(who)} of {count} answered {sum(who.values())} requests, {min(who.values())} to {max(who.values())} each; {failed} failed", flush=True)
        print(f"{(before - available()) / count / 1e6:.1f} MB less available for each", flush=True)
        print(f"still {dict(states(cloud, target))}", flush=True)
        print(f"stopped within {cloud.stop(ids, patience):.1f} s", flush=True)
        print(f"terminated within {cloud.terminate(ids, patience):.1f} s", flush=True)
        begun = time.time()
    print(f"down within {time.time() - begun:.1f} s; left behind: {left_behind() or 'nothing'}", flush=True)


if __name__ == "__main__":
    main()
