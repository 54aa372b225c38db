"""A cloud for the benches of instances, and what they ask of it."""

import re
import subprocess
import tempfile
import time
from pathlib import Path

import boto3

MARK = re.compile(r"nines bench: user data runs at (\d+\.\d+)")
NAME, PORT, POOL = "nlaunch", 4692, "198.19.144.0/20"


class Cloud:
    """Up in a `with`, gone after it."""

    def __init__(self, nines, images):
        self.images = Path(images).absolute()
        self.directory = tempfile.TemporaryDirectory(prefix="nines-bench-")
        self.state = Path(self.directory.name) / "state"
        self.nines = [nines, "--state", str(self.state), "--port", str(PORT)]

    def __enter__(self):
        up = ["up", "-d", "--name", NAME, "--images", str(self.images), "--public-pool", POOL, "--no-hosts", "--offline"]
        subprocess.run([*self.nines, *up], check=True)
        self.ec2, self.elbv2 = self.client("ec2"), self.client("elbv2")
        return self

    def __exit__(self, *_):
        subprocess.run([*self.nines, "down", "--purge"], check=True)
        self.directory.cleanup()

    def client(self, service):
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORT}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")

    def image(self, name):
        found = self.ec2.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"]
        if not found:
            raise SystemExit(f"no image is called {name}; `nines image ls` tells which are")
        return max(found, key=lambda i: i["CreationDate"])["ImageId"]

    def root_of(self, image):
        """The directory that instances of an image run on."""
        [instance] = self.run_instances(1, ImageId=image)
        spec = self.state / "instances" / instance / "spec.json"
        while not spec.exists():
            time.sleep(0.05)
        root = re.search(r'"image":"([^"]+)"', spec.read_text())[1]
        self.terminate([instance], 60)
        return root

    def subnet(self, zone):
        return next(s["SubnetId"] for s in self.ec2.describe_subnets()["Subnets"] if s["AvailabilityZone"] == zone)

    def run_instances(self, count, **more):
        done = self.ec2.run_instances(InstanceType="t3.micro", MinCount=count, MaxCount=count, **more)
        return [i["InstanceId"] for i in done["Instances"]]

    def terminate(self, ids, patience):
        """Seconds until all are terminated."""
        return self.ended(self.ec2.terminate_instances, "instance_terminated", ids, patience)

    def stop(self, ids, patience):
        return self.ended(self.ec2.stop_instances, "instance_stopped", ids, patience)

    def ended(self, act, state, ids, patience):
        begun = time.time()
        act(InstanceIds=ids)
        self.ec2.get_waiter(state).wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": patience})
        return time.time() - begun

    def console(self, instance):
        path = self.state / "instances" / instance / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def group(self, instance, name):
        """A file of the instance's control group, in whichever hierarchy has it; version 2's may be mounted beside others."""
        places = (Path("/sys/fs/cgroup", hierarchy, NAME, "instances", instance, name) for hierarchy in ("", "unified", "memory"))
        return next((path.read_text() for path in places if path.exists()), None)

    def memory(self, instance):
        """Bytes charged to it."""
        return int(self.group(instance, "memory.current") or self.group(instance, "memory.usage_in_bytes"))

    def cpu(self, instance):
        return int(re.search(r"usage_usec (\d+)", self.group(instance, "cpu.stat"))[1])

    def wait_quiet(self, ids, patience=120):
        """Until none uses more than a hundredth of a CPU."""
        end = time.time() + patience
        while time.time() < end:
            before = [self.cpu(i) for i in ids]
            time.sleep(5)
            if all(self.cpu(i) - was < 50_000 for i, was in zip(ids, before)):
                return
        print(f"not quiet within {patience} s", flush=True)
