#!/usr/bin/env python3
"""API calls beside moto's server: CPU per request, rate and p99, in interleaved rounds.

    benches/api/run.py --nines target/release/nines [--clients 8] [--rounds 5]

Needs `pip install moto[server]` (any virtual environment; --moto names its moto_server). Both run on
loopback; raw signed-looking requests over keep-alive connections, so that no SDK is measured.
"""

import argparse
import http.client
import os
import statistics
import subprocess
import tempfile
import threading
import time
from urllib.parse import urlencode

SCOPE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
HEADERS = {"Authorization": SCOPE, "Content-Type": "application/x-www-form-urlencoded", "Host": "ec2.us-east-1.amazonaws.com"}


def call(connection, **parameters):
    connection.request("POST", "/", urlencode({"Version": "2016-11-15", **parameters}), HEADERS)
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body[:300]
    return body.decode()


def cpu(pid):
    """Seconds of CPU of a process and its children."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")


def round_of(port, pid, parameters, clients, seconds):
    times, stop = [], threading.Event()

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while not stop.is_set():
            begun = time.perf_counter()
            call(connection, **parameters)
            times.append(time.perf_counter() - begun)

    before = cpu(pid)
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    [t.start() for t in threads]
    time.sleep(seconds)
    stop.set()
    [t.join() for t in threads]
    used = cpu(pid) - before
    times.sort()
    return used / len(times) * 1e3, len(times) / seconds, times[int(len(times) * 0.99)] * 1e3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--moto", default="moto_server")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        state = f"{directory}/state"
        begun = time.perf_counter()
        subprocess.run([arguments.nines, "--state", state, "--port", "4690", "up", "-d", "--name", "nbench", "--public-pool", "198.19.128.0/20", "--no-hosts", "--offline"], check=True)
        ready = time.perf_counter() - begun
        import json

        nines = json.load(open(f"{state}/cloud.json"))["pid"]
        moto = subprocess.Popen([arguments.moto, "-p", "4691"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            peers = {"nines": (4690, nines), "moto": (4691, moto.pid)}
            tagged = {}
            for name, (port, _) in peers.items():
                for _ in range(100):
                    try:
                        connection = http.client.HTTPConnection("127.0.0.1", port)
                        body = call(connection, Action="CreateVpc", CidrBlock="10.0.0.0/16")
                        break
                    except OSError:
                        time.sleep(0.1)
                tagged[name] = body.split("<vpcId>")[1].split("<")[0]
            memory = next(line for line in open(f"/proc/{nines}/status") if line.startswith("VmRSS")).split()[1]
            print(f"ready after {ready * 1e3:.0f} ms, {int(memory) / 1024:.0f} MiB resident")
            calls = {
                "DescribeVpcs": lambda name: {"Action": "DescribeVpcs"},
                "DescribeSubnets": lambda name: {"Action": "DescribeSubnets"},
                "CreateTags": lambda name: {"Action": "CreateTags", "ResourceId.1": tagged[name], "Tag.1.Key": "k", "Tag.1.Value": "v"},
            }
            for action, parameters in calls.items():
                seen = {name: [] for name in peers}
                for _ in range(arguments.rounds):
                    for name, (port, pid) in peers.items():
                        seen[name].append(round_of(port, pid, parameters(name), arguments.clients, arguments.seconds))
                for name, rounds in seen.items():
                    cost, rate, p99 = (statistics.median(column) for column in zip(*rounds))
                    print(f"{action:16} {name:6} {cost:8.3f} ms CPU per request  {rate:8.0f} requests/s  p99 {p99:7.2f} ms")
        finally:
            moto.terminate()
            moto.wait()
            subprocess.run([arguments.nines, "--state", state, "down", "--purge"], check=True)


if __name__ == "__main__":
    main()
