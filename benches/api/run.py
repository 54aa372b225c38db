#!/usr/bin/env python3
"""API calls beside MiniStack and moto's server: CPU per request, rate and p99, in interleaved rounds.

    cargo build --release -p nines
    apt-get install wrk; pip install ministack 'moto[server]'   (in any virtual environment)
    benches/api/run.py [--clients 1,8,64] [--rounds 3] [--seconds 2] [--ministack PROGRAM] [--moto PROGRAM]

Nines runs on a machine in memory (`nines up --simulated`), with its journal on disk as always. All are on loopback;
wrk sends ready-made requests over keep-alive connections, so that no SDK is measured, and tells the p99. CPU is that of
the server's process and its children, by /proc. MiniStack is measured in every round, moto, ten times as slow, in one
by 8 clients and not with the large answers; a program that is named by an empty text or not found is left out.

The last part asks ours alone for one instance of 10, 1,000 and 10,000, which should cost the same. About five minutes.
"""

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

FORM = "application/x-www-form-urlencoded"
ACCOUNT = "000000000000"

SCRIPT = """
wrk.method = "POST"
wrk.body = [[{body}]]
{headers}
if wrk.body:find("COUNTER") then
  local n = 0
  request = function()
    n = n + 1
    return wrk.format(nil, nil, nil, (wrk.body:gsub("COUNTER", n)))
  end
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class Api:
    """Ready-made requests of one service."""

    def __init__(self, service, version):
        self.service, self.version = service, version

    def headers(self, account=ACCOUNT):
        scope = f"{account}/20260101/us-east-1/{self.service}/aws4_request"
        return {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "Content-Type": FORM,
            "Host": f"{self.service}.us-east-1.amazonaws.com",
            "X-Amz-Date": "20260101T000000Z",
        }

    def body(self, **parameters):
        return urlencode({"Version": self.version, **parameters})


EC2 = Api("ec2", "2016-11-15")
CLOUDWATCH = Api("monitoring", "2010-08-01")
X86 = {"Filter.1.Name": "architecture", "Filter.1.Value.1": "x86_64"}


class Server:
    """One of those compared, and what it costs."""

    def __init__(self, name, port, pid):
        self.name, self.port, self.pid = name, port, pid

    def call(self, api, account=ACCOUNT, **parameters):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("POST", "/", api.body(**parameters), api.headers(account))
            response = connection.getresponse()
            answer = response.read().decode()
            assert response.status == 200, (self.name, parameters, answer[:300])
            return answer
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

    def settle(self):
        """Waits until what was asked for has been done, for at most half a minute."""
        for _ in range(60):
            before = self.cpu()
            time.sleep(0.5)
            if self.cpu() - before < 0.03:
                return

    def wrk(self, script, clients, seconds):
        """CPU per request in ms, requests a second, p99 in ms."""
        before = self.cpu()
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "-s", script, f"http://127.0.0.1:{self.port}/"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used = self.cpu() - before
        requests, micros, p99, errors = map(int, out.split("RESULT")[1].split()[:4])
        assert errors == 0 and requests > 0, (self.name, out)
        return used / requests * 1e3, requests / micros * 1e6, p99 / 1e3

    def launch(self, account, clients, count):
        """The same of `count` launches of one instance, shared by the clients: a limit allows no more."""
        self.call(EC2, account, Action="DescribeVpcs")
        image = image_of(self, account)
        parameters = dict(Action="RunInstances", ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
        times = []

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            for _ in range(count // clients):
                begun = time.perf_counter()
                connection.request("POST", "/", EC2.body(**parameters), EC2.headers(account))
                response = connection.getresponse()
                answer = response.read()
                assert response.status == 200, (self.name, answer[:300])
                times.append(time.perf_counter() - begun)

        before, begun = self.cpu(), time.perf_counter()
        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begun
        # What the launches cause is theirs too.
        self.settle()
        times.sort()
        return (self.cpu() - before) / len(times) * 1e3, len(times) / took, times[int(len(times) * 0.99)] * 1e3


def start_nines(program, directory, port):
    """The process, how long until it answered, and how long a second start took."""
    arguments = [program, "--state", f"{directory}/state", "--port", str(port), "up", "--simulated", "--name", "nbench"]
    took = []
    for again in (True, False):
        with open(f"{directory}/nines.log", "a") as log:
            begun = time.perf_counter()
            process = subprocess.Popen(arguments, stdout=log, stderr=log)
        took.append(until_answered(port, process) - begun)
        if again:
            time.sleep(2)
            process.terminate()
            process.wait()
    return process, took


def start_peer(program, port, directory):
    environment = os.environ | {"GATEWAY_PORT": str(port), "EDGE_PORT": str(port), "LOG_LEVEL": "ERROR"}
    arguments = [program, "-p", str(port)] if "moto" in program else [program]
    with open(f"{directory}/{Path(program).name}.log", "w") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)
    until_answered(port, process)
    return process


def until_answered(port, process):
    while process.poll() is None:
        try:
            Server("", port, 0).call(EC2, Action="DescribeVpcs")
            return time.perf_counter()
        except (OSError, http.client.HTTPException):
            time.sleep(0.001)
    raise SystemExit(f"the server on port {port} ended at once")


def image_of(server, account=ACCOUNT):
    try:
        answer = server.call(EC2, account, Action="DescribeImages", **X86)
        return answer.split("<imageId>")[1].split("<")[0]
    except IndexError:
        return "ami-12c6146b"


def fill(server, have, wanted, account=ACCOUNT):
    """Instances up to `wanted`; what one costs in memory, in KiB."""
    image = image_of(server, account)
    before = server.memory()
    for first in range(have, wanted, 100):
        count = min(100, wanted - first)
        server.call(EC2, account, Action="RunInstances", ImageId=image, InstanceType="t3.micro", MinCount=count, MaxCount=count)
    server.settle()
    return (server.memory() - before) * 1024 / max(wanted - have, 1)


class Bench:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory

    def script(self, server, api, parameters):
        path = Path(self.directory) / f"{server.name}.lua"
        headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in api.headers().items())
        path.write_text(SCRIPT.format(body=api.body(**parameters), headers=headers))
        return str(path)

    def measure(self, servers, label, api, parameters, clients=None):
        scripts = {server.name: self.script(server, api, parameters(server)) for server in servers}
        for clients in clients or self.options.clients:
            seen = {}
            for turn in range(self.options.rounds):
                for server in servers:
                    if "moto" in server.name and (clients != 8 or turn > 0):
                        continue
                    found = server.wrk(scripts[server.name], clients, self.options.seconds)
                    seen.setdefault(server.name, []).append(found)
            self.report(label, clients, seen)

    def launches(self, servers):
        for clients in self.options.clients:
            seen = {}
            for turn in range(2):
                for server in servers:
                    account = f"{clients:03}{turn:09}"
                    seen.setdefault(server.name, []).append(server.launch(account, clients, 128))
            self.report("RunInstances", clients, seen)

    @staticmethod
    def report(label, clients, seen):
        first = None
        for name, rounds in seen.items():
            cost, rate, p99 = (statistics.median(column) for column in zip(*rounds))
            first = first or cost
            print(f"{label:28} {clients:3} {name:12} {cost:9.3f} ms CPU (ours 1/{cost / first:5.1f})  {rate:8.0f}/s  p99 {p99:8.2f} ms", flush=True)


def main():
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nines", default="target/release/nines")
    parser.add_argument("--moto", default="moto_server")
    parser.add_argument("--ministack", default="ministack")
    parser.add_argument("--clients", type=numbers, default=[1, 8, 64])
    parser.add_argument("--instances", type=numbers, default=[10, 1000])
    parser.add_argument("--flat", type=int, default=10000, help="instances of the last part; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--port", type=int, default=4690)
    options = parser.parse_args()
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            nines, took = start_nines(options.nines, directory, options.port)
            processes.append(nines)
            ours = Server("nines", options.port, nines.pid)
            servers = [ours]
            ours.settle()
            print(f"nines ready after {took[0] * 1e3:.0f} ms, again after {took[1] * 1e3:.0f} ms; {ours.memory():.1f} MiB resident", flush=True)
            for offset, program in enumerate((options.ministack, options.moto), 1):
                if program and shutil.which(program):
                    peer = start_peer(program, options.port + offset, directory)
                    processes.append(peer)
                    servers.append(Server(Path(program).name, options.port + offset, peer.pid))
            bench = Bench(options, directory)
            quick = [server for server in servers if "moto" not in server.name]
            vpcs = {s.name: s.call(EC2, Action="CreateVpc", CidrBlock="10.0.0.0/16").split("<vpcId>")[1].split("<")[0] for s in servers}
            tags = lambda s: {"Action": "CreateTags", "ResourceId.1": vpcs[s.name], "Tag.1.Key": "k", "Tag.1.Value": "vCOUNTER"}
            datum = {"Action": "PutMetricData", "Namespace": "bench", "MetricData.member.1.MetricName": "m", "MetricData.member.1.Value": "1"}
            bench.measure(servers, "DescribeVpcs", EC2, lambda s: {"Action": "DescribeVpcs"})
            bench.measure(servers, "CreateTags", EC2, tags)
            bench.measure(servers, "PutMetricData", CLOUDWATCH, lambda s: datum)
            have, one = 0, None
            for wanted in options.instances:
                compared = servers if wanted < 100 else quick
                for server in compared:
                    print(f"{server.name}: {fill(server, have, wanted):.1f} KiB resident per instance", flush=True)
                have = wanted
                bench.measure(compared, f"DescribeInstances, {wanted}", EC2, lambda s: {"Action": "DescribeInstances"})
                one = one or ours.call(EC2, Action="DescribeInstances").split("<instanceId>")[1].split("<")[0]
                by_id(bench, ours, one, wanted)
            bench.launches(quick)
            if options.flat:
                # In accounts of their own: a limit on vCPUs allows 2,048 in one.
                for number in range(0, options.flat - have, 2000):
                    fill(ours, 0, min(2000, options.flat - have - number), f"{200 + number:012}")
                by_id(bench, ours, one, options.flat)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


def by_id(bench, ours, one, there):
    bench.measure([ours], f"one of {there} by its id", EC2, lambda s: {"Action": "DescribeInstances", "InstanceId.1": one}, [8])
    filtered = {"Action": "DescribeInstances", "Filter.1.Name": "instance-id", "Filter.1.Value.1": one}
    bench.measure([ours], f"one of {there} by a filter", EC2, lambda s: filtered, [8])


if __name__ == "__main__":
    main()
