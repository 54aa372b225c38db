#!/usr/bin/env python3
"""API calls beside moto's server and MiniStack: CPU per request, rate and p99, in interleaved rounds.

    benches/api/run.py --nines target/release/nines [--clients 1,8,64] [--rounds 5] [--instances 10,1000]

Nines runs on a machine in memory (`nines up --simulated`), with its journal on disk as always. The peers come from
`pip install moto[server] ministack` in any virtual environment: --moto names its moto_server, --ministack its
ministack; an empty name leaves one out. All are on loopback; the client sends ready-made requests over keep-alive
connections, so that no SDK is measured. CPU is that of the server's process and its children, by /proc.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

FORM = "application/x-www-form-urlencoded"


class Api:
    """Ready-made requests of one service."""

    def __init__(self, service, version):
        self.version = version
        scope = f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        self.headers = {"Authorization": scope, "Content-Type": FORM, "Host": f"{service}.us-east-1.amazonaws.com"}

    def body(self, **parameters):
        return urlencode({"Version": self.version, **parameters})


EC2 = Api("ec2", "2016-11-15")
CLOUDWATCH = Api("monitoring", "2010-08-01")
X86 = {"Filter.1.Name": "architecture", "Filter.1.Value.1": "x86_64"}


class Server:
    """One of those compared, and what it costs."""

    def __init__(self, name, port, pid):
        self.name, self.port, self.pid = name, port, pid

    def send(self, connection, api, body):
        connection.request("POST", "/", body, api.headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, (self.name, body[:200], answer[:300])
        return answer.decode()

    def call(self, api, **parameters):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            return self.send(connection, api, api.body(**parameters))
        finally:
            connection.close()

    def processes(self):
        """The process and those below it."""
        found, parents = {self.pid}, {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(stat.parent.name)] = int(fields[1])
        grown = True
        while grown:
            grown = {pid for pid, parent in parents.items() if parent in found} - found
            found |= grown
        return found

    def cpu(self):
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident MiB."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.processes())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def round(self, api, body, clients, seconds):
        """CPU per request in ms, requests a second, p99 in ms."""
        times, stop = [], threading.Event()

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            while not stop.is_set():
                begun = time.perf_counter()
                self.send(connection, api, body)
                times.append(time.perf_counter() - begun)

        before = self.cpu()
        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        stop.set()
        for thread in threads:
            thread.join()
        used = self.cpu() - before
        times.sort()
        return used / len(times) * 1e3, len(times) / seconds, times[int(len(times) * 0.99)] * 1e3


def start_nines(program, directory, port):
    state = f"{directory}/state"
    arguments = [program, "--state", state, "--port", str(port), "up", "--simulated", "--name", "nbench"]
    log = open(f"{directory}/nines.log", "w")
    begun = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=log, stderr=log)
    ready = until_answered(port, process)
    return process, ready - begun


def start_peer(program, port, directory):
    environment = os.environ | {"GATEWAY_PORT": str(port), "EDGE_PORT": str(port), "LOG_LEVEL": "ERROR"}
    arguments = [program, "-p", str(port)] if "moto" in program else [program]
    log = open(f"{directory}/{Path(program).name}.log", "w")
    process = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)
    until_answered(port, process)
    return process


def until_answered(port, process):
    while process.poll() is None:
        try:
            Server("", port, 0).call(EC2, Action="DescribeVpcs")
            return time.perf_counter()
        except (OSError, http.client.HTTPException):
            time.sleep(0.002)
    raise SystemExit(f"the server on port {port} ended at once")


def image_of(server):
    try:
        return server.call(EC2, Action="DescribeImages", **X86).split("<imageId>")[1].split("<")[0]
    except IndexError:
        return "ami-12c6146b"


def fill(server, have, wanted):
    """Instances up to `wanted`; what one costs in memory, in KiB."""
    image = image_of(server)
    before = server.memory()
    for first in range(have, wanted, 100):
        count = min(100, wanted - first)
        server.call(EC2, Action="RunInstances", ImageId=image, InstanceType="t3.micro", MinCount=count, MaxCount=count)
    return (server.memory() - before) * 1024 / max(wanted - have, 1)


def measure(servers, label, api, parameters, options):
    for clients in options.clients:
        seen = {server.name: [] for server in servers}
        for _ in range(options.rounds):
            for server in servers:
                body = api.body(**parameters(server))
                seen[server.name].append(server.round(api, body, clients, options.seconds))
        first = None
        for name, rounds in seen.items():
            cost, rate, p99 = (statistics.median(column) for column in zip(*rounds))
            first = first or cost
            print(f"{label:24} {clients:3} {name:10} {cost:9.3f} ms CPU ({cost / first:6.1f} x)  {rate:8.0f}/s  p99 {p99:8.2f} ms", flush=True)


def main():
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--moto", default="moto_server")
    parser.add_argument("--ministack", default="ministack")
    parser.add_argument("--clients", type=numbers, default=[1, 8, 64])
    parser.add_argument("--instances", type=numbers, default=[10, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--port", type=int, default=4690)
    options = parser.parse_args()
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            nines, ready = start_nines(options.nines, directory, options.port)
            processes.append(nines)
            servers = [Server("nines", options.port, nines.pid)]
            print(f"nines ready after {ready * 1e3:.0f} ms, {servers[0].memory():.0f} MiB resident")
            for offset, program in enumerate((options.moto, options.ministack), 1):
                if program:
                    peer = start_peer(program, options.port + offset, directory)
                    processes.append(peer)
                    servers.append(Server(Path(program).name, options.port + offset, peer.pid))
            vpcs = {s.name: s.call(EC2, Action="CreateVpc", CidrBlock="10.0.0.0/16").split("<vpcId>")[1].split("<")[0] for s in servers}
            tags = lambda s: {"Action": "CreateTags", "ResourceId.1": vpcs[s.name], "Tag.1.Key": "k", "Tag.1.Value": "v"}
            datum = {"Action": "PutMetricData", "Namespace": "bench", "MetricData.member.1.MetricName": "m", "MetricData.member.1.Value": "1"}
            measure(servers, "DescribeVpcs", EC2, lambda s: {"Action": "DescribeVpcs"}, options)
            measure(servers, "CreateTags", EC2, tags, options)
            measure(servers, "PutMetricData", CLOUDWATCH, lambda s: datum, options)
            have = 0
            for wanted in options.instances:
                for server in servers:
                    print(f"{server.name}: {fill(server, have, wanted):.1f} KiB resident per instance")
                have = wanted
                time.sleep(2)
                measure(servers, f"DescribeInstances {wanted}", EC2, lambda s: {"Action": "DescribeInstances"}, options)
            run = lambda s: {"Action": "RunInstances", "ImageId": image_of(s), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
            measure(servers, "RunInstances", EC2, run, options)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
