#!/usr/bin/env python3
"""RunInstances to the first line of user data, one at a time and many at once; then their end.

    benches/launch/run.py --nines target/release/nines --images .cache/images [--single 10] [--many 50 100]

The line is written by the instance itself and holds the time on its clock, which is this machine's; the
console files are looked at seldom, so that looking takes no CPU from what is measured. An instance that
has not said anything after --patience seconds ends the run, with its console's last lines.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import boto3

MARK = re.compile(r"nines bench: user data runs at (\d+\.\d+)")
USER_DATA = "#!/bin/bash\necho nines bench: user data runs at $EPOCHREALTIME\n"
LOOK = 0.2


class Bench:
    def __init__(self, state, patience):
        self.state, self.patience = state, patience
        self.ec2 = boto3.client("ec2", endpoint_url="http://127.0.0.1:4692", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        self.image = self.ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
        subnets = self.ec2.describe_subnets()["Subnets"]
        self.subnet = next(s["SubnetId"] for s in subnets if s["AvailabilityZone"] == "us-east-1a")

    def console(self, instance):
        path = self.state / "instances" / instance / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def launch(self, count):
        """Seconds to each instance's line, and to the end of them all."""
        begun = time.time()
        done = self.ec2.run_instances(
            ImageId=self.image, InstanceType="t3.micro", MinCount=count, MaxCount=count, SubnetId=self.subnet, UserData=USER_DATA
        )
        ids = [i["InstanceId"] for i in done["Instances"]]
        times, left = [], set(ids)
        while left:
            for instance in sorted(left):
                if line := MARK.search(self.console(instance)):
                    times.append(float(line[1]) - begun)
                    left.discard(instance)
            if time.time() > begun + self.patience:
                late = sorted(left)[0]
                raise SystemExit(f"{len(left)} of {count} said nothing within {self.patience} s; {late}:\n{self.console(late)[-2000:]}")
            time.sleep(LOOK)
        ended = time.time()
        self.ec2.terminate_instances(InstanceIds=ids)
        self.ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": self.patience})
        return times, time.time() - ended


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--images", default=".cache/images")
    parser.add_argument("--single", type=int, default=10)
    parser.add_argument("--many", type=int, nargs="*", default=[50, 100])
    parser.add_argument("--patience", type=int, default=120)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory) / "state"
        nines = [arguments.nines, "--state", str(state), "--port", "4692"]
        up = ["up", "-d", "--name", "nlaunch", "--images", arguments.images, "--public-pool", "198.19.144.0/20", "--no-hosts", "--offline"]
        subprocess.run([*nines, *up], check=True)
        try:
            bench = Bench(state, arguments.patience)
            single = [bench.launch(1)[0][0] for _ in range(arguments.single)]
            if single:
                print(f"one: median {statistics.median(single):.2f} s, worst {max(single):.2f} s of {len(single)}", flush=True)
            for count in arguments.many:
                many, end = bench.launch(count)
                print(f"{count} at once: median {statistics.median(many):.2f} s, last {max(many):.2f} s; terminated in {end:.1f} s", flush=True)
        finally:
            subprocess.run([*nines, "down", "--purge"], check=True)


if __name__ == "__main__":
    main()
