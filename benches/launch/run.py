#!/usr/bin/env python3
"""RunInstances to the first line of user data, one at a time and many at once.

    benches/launch/run.py --nines target/release/nines --images .cache/images [--many 50]

The line is written by the instance itself; the time is the console file's, watched from the host.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import boto3

MARK = "nines bench: user data runs"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--images", default=".cache/images")
    parser.add_argument("--single", type=int, default=10)
    parser.add_argument("--many", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory) / "state"
        nines = [arguments.nines, "--state", str(state), "--port", "4692"]
        subprocess.run([*nines, "up", "-d", "--name", "nlaunch", "--images", arguments.images, "--public-pool", "198.19.144.0/20", "--no-hosts", "--offline"], check=True)
        try:
            ec2 = boto3.client("ec2", endpoint_url="http://127.0.0.1:4692", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
            image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
            subnet = next(s["SubnetId"] for s in ec2.describe_subnets()["Subnets"] if s["AvailabilityZone"] == "us-east-1a")

            def launch(count):
                begun = time.perf_counter()
                done = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=count, MaxCount=count, SubnetId=subnet, UserData=f"#!/bin/sh\necho {MARK}\n")
                left = {i["InstanceId"] for i in done["Instances"]}
                times = []
                while left:
                    for instance in list(left):
                        console = state / "instances" / instance / "console.log"
                        if console.exists() and MARK in console.read_text(errors="replace"):
                            times.append(time.perf_counter() - begun)
                            left.discard(instance)
                    time.sleep(0.005)
                ids = [i["InstanceId"] for i in done["Instances"]]
                ec2.terminate_instances(InstanceIds=ids)
                ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
                return times

            single = [launch(1)[0] for _ in range(arguments.single)]
            print(f"one: median {statistics.median(single):.2f} s, worst {max(single):.2f} s of {len(single)}")
            many = launch(arguments.many)
            print(f"{arguments.many} at once: median {statistics.median(many):.2f} s, last {max(many):.2f} s")
        finally:
            subprocess.run([*nines, "down", "--purge"], check=True)


if __name__ == "__main__":
    main()
