#!/usr/bin/env python3
"""RunInstances to the first line of user data, one at a time and many at once; their end; what an idle one takes.

    benches/launch/run.py --nines target/release/nines --images .cache/images
        [--ami debian-12-amd64-*] [--single 10] [--many 50 100] [--idle 20] [--docker]

`--ami nines-debian-12-plain` measures without systemd (`nines image build debian-12-plain` makes it).
`--docker` runs the same root file system by `docker run` in the same run, where a Docker daemon answers:
its plain start beside ours without systemd, systemd in a container that may mount beside ours with it.

The line is written by the instance itself and holds the time on its clock, which is this machine's; the
console files are looked at seldom, so that looking takes no CPU from what is measured. An instance that
has not said anything after --patience seconds ends the run, with its console's last lines.
"""

import argparse
import statistics
import time

from cloud import MARK, Cloud
from peer import find

USER_DATA = "#!/bin/bash\necho nines bench: user data runs at $EPOCHREALTIME\n"
LOOK = 0.2


class Bench:
    def __init__(self, cloud, ami, patience):
        self.cloud, self.patience = cloud, patience
        self.image = cloud.image(ami)
        self.subnet = cloud.subnet("us-east-1a")

    def said(self, ids, begun):
        """Seconds from `begun` to each instance's line."""
        times, left = [], set(ids)
        while left:
            for instance in sorted(left):
                if line := MARK.search(self.cloud.console(instance)):
                    times.append(float(line[1]) - begun)
                    left.discard(instance)
            if time.time() > begun + self.patience:
                late = sorted(left)[0]
                raise SystemExit(f"{len(left)} of {len(ids)} said nothing within {self.patience} s; {late}:\n{self.cloud.console(late)[-2000:]}")
            time.sleep(LOOK)
        return times

    def run(self, count):
        begun = time.time()
        ids = self.cloud.run_instances(count, ImageId=self.image, SubnetId=self.subnet, UserData=USER_DATA)
        return ids, self.said(ids, begun)

    def launch(self, count):
        """Seconds to each instance's line, and to the end of them all."""
        ids, times = self.run(count)
        return times, self.cloud.terminate(ids, self.patience)

    def idle(self, count):
        """MB that an instance's group is charged, and that the machine has less, each in the median or mean of `count`."""
        # What all share (caches of the image, the control plane's own) is there before.
        self.launch(1)
        before = available()
        ids, _ = self.run(count)
        self.cloud.wait_quiet(ids)
        charged = statistics.median(self.cloud.memory(i) for i in ids) / 1e6
        taken = (before - available()) / count / 1e6
        self.cloud.terminate(ids, self.patience)
        return charged, taken


def available():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def measure(bench, peer, arguments):
    single, theirs = [], []
    for _ in range(arguments.single):
        single.append(bench.launch(1)[0][0])
        if peer:
            theirs.append(peer.start())
    if single:
        print(f"one: median {statistics.median(single):.3f} s, worst {max(single):.3f} s of {len(single)}", flush=True)
    if theirs:
        print(f"docker run of the same: median {statistics.median(theirs):.3f} s, worst {max(theirs):.3f} s", flush=True)
    for count in arguments.many:
        many, end = bench.launch(count)
        print(f"{count} at once: median {statistics.median(many):.2f} s, last {max(many):.2f} s; terminated in {end:.1f} s", flush=True)
    if arguments.idle:
        charged, taken = bench.idle(arguments.idle)
        print(f"idle, of {arguments.idle}: {charged:.1f} MB in its group, {taken:.1f} MB less available each", flush=True)
    if peer and arguments.idle:
        charged, taken = peer.idle(arguments.idle, available)
        print(f"idle containers: {charged:.1f} MB in its group, {taken:.1f} MB less available each", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--images", default=".cache/images")
    parser.add_argument("--ami", default="debian-12-amd64-*")
    parser.add_argument("--single", type=int, default=10)
    parser.add_argument("--many", type=int, nargs="*", default=[50, 100])
    parser.add_argument("--idle", type=int, default=20)
    parser.add_argument("--docker", action="store_true")
    parser.add_argument("--patience", type=int, default=120)
    arguments = parser.parse_args()
    with Cloud(arguments.nines, arguments.images) as cloud:
        bench = Bench(cloud, arguments.ami, arguments.patience)
        peer = find(cloud.root_of(bench.image)) if arguments.docker else None
        try:
            measure(bench, peer, arguments)
        finally:
            if peer:
                peer.close()


if __name__ == "__main__":
    main()
