#!/usr/bin/env python3
"""What a crowd of small connections does to those beside it: a million of them, one after the other, and as many at once
as there are descriptors.

Two steady clients ask all the time, one on a connection that it keeps, one on a new connection each time: first alone,
then beside wrk, which opens a connection for each request, and two processes that open connections and close them
without a word; last beside more silent connections than the balancer may have descriptors. Told are the steady
clients' failures and latencies, and the balancer's memory. Load and balancer share the cores.

    apt-get install nginx-light wrk
    cargo build --release -p balancer --example serve
    benches/balancer/crowd.py [--connections 1000000] [--serve target/release/examples/serve]
"""

import argparse
import http.client
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from run import ORIGIN, ORIGIN_CONF, OURS, cpu_seconds, memory_kb, start, wait_for, wrk

# wrk's connections at a time, and how long it runs before they are counted.
WIDTH, TURN = 64, 10
# Of the connections, those that say nothing.
SILENT = 0.2


class Steady:
    """Asks a hundred times a second at most; `keeps` its connection or opens one each time."""

    def __init__(self, port, keeps):
        self.port, self.keeps = port, keeps
        self.latencies, self.failures = [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                connection.request("GET", "/1k")
                response = connection.getresponse()
                if response.status != 200 or len(response.read()) != 1024:
                    self.failures.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            took = time.monotonic() - begun
            self.latencies.append(took * 1e3)
            if not self.keeps:
                connection.close()
            self._stop.wait(max(0.0, 0.01 - took))

    def told(self):
        ordered = sorted(self.latencies)
        p99 = ordered[int(len(ordered) * 0.99)]
        kind = "keeps its connection" if self.keeps else "a connection each time"
        failed = f"{len(self.failures)} failed {self.failures[:3] or ''}"
        return f"    {kind:24} {len(ordered):7} requests, {failed}, median {statistics.median(ordered):.2f} ms, p99 {p99:.1f}, most {ordered[-1]:.1f}"


def silent(port, count):
    for _ in range(count):
        socket.create_connection(("127.0.0.1", port)).close()


def holding(port, count, ready, done):
    """Opens so many connections and keeps them, those that are refused too, until told."""
    held = []
    for _ in range(count):
        try:
            held.append(socket.create_connection(("127.0.0.1", port), timeout=30))
        except OSError:
            break
    ready.put(len(held))
    done.wait()


def beside(port, what, crowd):
    """Both steady clients while `crowd` runs; says how they fared, and whether nothing failed."""
    with Steady(port, True) as kept, Steady(port, False) as new:
        crowd()
    print(f"  {what}")
    print(kept.told(), new.told(), sep="\n", flush=True)
    return kept, new


def churn(port, count):
    """`count` connections one after the other, most with one request."""
    quiet = int(count * SILENT)
    processes = [multiprocessing.Process(target=silent, args=(port, quiet // 2)) for _ in range(2)]
    for process in processes:
        process.start()
    asked = 0
    while asked < count - quiet:
        requests, _, errors = wrk(port, "/1k", WIDTH, TURN, ("Connection: close",))
        asked += requests
        if errors:
            print(f"  wrk: {errors}")
    for process in processes:
        process.join()
    return asked + 2 * (quiet // 2)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--connections", type=int, default=1_000_000)
    options.add_argument("--serve", default="target/release/examples/serve")
    arguments = options.parse_args()
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    running = []
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        os.mkdir(f"{directory}/www")
        open(f"{directory}/www/1k", "w").write("x" * 1024)
        open(f"{directory}/origin.conf", "w").write(ORIGIN_CONF.format(dir=directory, origin=ORIGIN))
        try:
            running.append(start(["nginx", "-p", directory, "-c", f"{directory}/origin.conf"]))
            command = [arguments.serve, f"127.0.0.1:{OURS}", "1", f"127.0.0.1:{ORIGIN}", "--log", f"{directory}/log"]
            balancer = start(command)
            running.append(balancer)
            wait_for(ORIGIN)
            wait_for(OURS)
            beside(OURS, "alone", lambda: time.sleep(TURN))
            memory, used, begun = memory_kb(balancer.pid), cpu_seconds(balancer.pid), time.monotonic()
            count = 0

            def crowd():
                nonlocal count
                count = churn(OURS, arguments.connections)

            beside(OURS, f"beside {arguments.connections} connections, one after the other", crowd)
            took, used = time.monotonic() - begun, cpu_seconds(balancer.pid) - used
            print(f"    {count} in {took:.0f} s, {used / count * 1e6:.1f} µs CPU each, {memory_kb(balancer.pid) - memory} KB more memory")
            # More than it may have, in two processes, each of which has to stay below the same limit.
            ready, done = multiprocessing.Queue(), multiprocessing.Event()
            half = descriptors * 6 // 10
            holders = [multiprocessing.Process(target=holding, args=(OURS, half, ready, done)) for _ in range(2)]

            def hold():
                for holder in holders:
                    holder.start()
                held = sum(ready.get() for _ in holders)
                print(f"  {held} silent connections for {descriptors} descriptors")
                time.sleep(TURN)

            beside(OURS, "beside those (the one that comes anew may be refused)", hold)
            done.set()
            for holder in holders:
                holder.join()
            time.sleep(2)
            beside(OURS, "once they are gone", lambda: time.sleep(2))
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()


if __name__ == "__main__":
    main()
