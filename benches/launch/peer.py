"""`docker run` of an instance's root file system, beside which a launch is measured."""

import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from cloud import MARK

IMAGE, LABEL = "nines-bench:latest", "nines-bench"
SAY = "echo nines bench: user data runs at $EPOCHREALTIME"
# In the place of the user-data runner, which its unit starts as in an instance.
RUNNER = f"#!/bin/bash\n{SAY} >/dev/console\n"


def docker(*arguments, **options):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"docker {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def find(root):
    """A peer that runs `root`; None, said aloud, where no Docker daemon answers."""
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        print("no Docker daemon answers here: its part is skipped", flush=True)
        return None
    return Peer(root)


class Peer:
    def __init__(self, root):
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packed:
            docker("import", "-", IMAGE, stdin=packed.stdout)
        self.systemd = Path(root, "usr/lib/systemd/systemd").exists()
        self.files = tempfile.TemporaryDirectory(prefix="nines-bench-docker-")
        self.how = ["--cpus", "2", "--memory", "1g"]
        if self.systemd:
            runner = Path(self.files.name, "user-data")
            runner.write_text(RUNNER)
            runner.chmod(0o755)
            self.how += ["-t", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--cgroupns", "private", "--tmpfs", "/run",
                         "--tmpfs", "/tmp", "--env", "container=docker", "-v", f"{runner}:/usr/lib/nines/user-data:ro", IMAGE, "/sbin/init"]
        else:
            self.how += [IMAGE, "/bin/bash", "-c", f"{SAY}; exec sleep infinity"]

    def begin(self):
        return docker("run", "--detach", "--label", LABEL, *self.how)

    def said(self, container, patience=60):
        end = time.time() + patience
        while time.time() < end:
            if line := MARK.search(docker("logs", container)):
                return float(line[1])
            time.sleep(0.05)
        raise SystemExit(f"the container said nothing within {patience} s:\n{docker('logs', container)[-2000:]}")

    def start(self):
        """Seconds from `docker run` to the line."""
        begun = time.time()
        container = self.begin()
        took = self.said(container) - begun
        docker("rm", "--force", container)
        return took

    def idle(self, count, available):
        """As `Bench.idle`."""
        self.start()
        before = available()
        made = [self.begin() for _ in range(count)]
        for container in made:
            self.said(container)
        time.sleep(10)
        shown = docker("stats", "--no-stream", "--format", "{{json .}}", *made).splitlines()
        charged = statistics.median(size(json.loads(line)["MemUsage"].split(" / ")[0]) for line in shown)
        taken = (before - available()) / count
        docker("rm", "--force", *made)
        return charged / 1e6, taken / 1e6

    def close(self):
        left = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        if left:
            docker("rm", "--force", *left)
        docker("rmi", "--force", IMAGE)
        self.files.cleanup()


def size(text):
    number, unit = re.fullmatch(r"([\d.]+)([KMG]?i?B)", text).groups()
    return float(number) * {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
