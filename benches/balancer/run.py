#!/usr/bin/env python3
"""CPU per request of the balancer beside nginx and HAProxy: HTTP/1.1, TLS, HTTP/2, rules, idle connections.

One thread each, the same origin (nginx), the same load (wrk, h2load), rounds interleaved, medians. All three have 100
rules that do not match and write an access log of about the same fields; ours is also measured without both, and with
1,000 rules. CPU is what the proxy's own threads used, from /proc/*/schedstat: on a shared machine it is far steadier
than requests per second. Five rounds of three seconds and 10,000 idle connections take about seven minutes.

    apt-get install nginx-light haproxy wrk nghttp2-client openssl
    cargo build --release -p balancer --example serve
    benches/balancer/run.py --idle 10000 [--rounds 5] [--seconds 3] [--serve target/release/examples/serve]
"""

import argparse
import glob
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
import urllib.request

ORIGIN, OURS, NGINX, HAPROXY = 18080, 18081, 18082, 18083
# The same over TLS, on a port so much higher.
SECURE = 100

ORIGIN_CONF = """
daemon off; worker_processes 1; pid {dir}/origin.pid; error_log {dir}/origin.err;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; root {dir}/www; client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2;
  fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  open_file_cache max=10; sendfile on; tcp_nopush off;
  server {{ listen 127.0.0.1:{origin} backlog=4096; }} }}
"""

NGINX_CONF = """
daemon off; worker_processes 1; pid {dir}/proxy.pid; error_log {dir}/proxy.err;
events {{ worker_connections 32768; }}
http {{ keepalive_requests 100000000; client_body_temp_path {dir}/u1; proxy_temp_path {dir}/u2;
  fastcgi_temp_path {dir}/u3; uwsgi_temp_path {dir}/u4; scgi_temp_path {dir}/u5;
  log_format fields '$time_iso8601 $remote_addr:$remote_port $upstream_addr $request_time $upstream_response_time '
    '$status $upstream_status $request_length $bytes_sent "$request" "$http_user_agent" $ssl_cipher $ssl_protocol '
    '"$http_host" "$server_port" "$request_id"';
  access_log {dir}/nginx.log fields buffer=64k flush=1s;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 512; keepalive_requests 100000000; }}
  ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;
  server {{ listen 127.0.0.1:{nginx} backlog=4096; listen 127.0.0.1:{nginx_tls} ssl http2 backlog=4096; http2_max_requests 100000000;
    {nginx_rules}
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffers 16 32k; proxy_buffer_size 32k; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port; }} }} }}
"""

HAPROXY_CONF = """
global
  nbthread 1
  maxconn {connections}
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
  log stdout len 4096 format raw local0
  option httplog
frontend f
  bind 127.0.0.1:{haproxy}
  bind 127.0.0.1:{haproxy_tls} ssl crt {dir}/both.pem alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port %[dst_port]
  {haproxy_rules}
  default_backend b
backend b
  server o 127.0.0.1:{origin}
"""


# As ours: a host by its end and a path by its beginning.
NGINX_RULES = "\n    ".join(f"location ^~ /api/v{n}/ {{ proxy_pass http://origin; }}" for n in range(1, 101))
HAPROXY_RULES = "\n  ".join(
    f"use_backend b if {{ hdr_end(host) -i .example.com }} {{ path_beg /api/v{n}/ }}" for n in range(1, 101)
)


def start(command, output=subprocess.DEVNULL):
    return subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)


def family(pid):
    pids, queue = [], [pid]
    while queue:
        one = queue.pop()
        pids.append(one)
        for path in glob.glob(f"/proc/{one}/task/*/children"):
            queue += [int(child) for child in open(path).read().split()]
    return pids


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        for path in glob.glob(f"/proc/{one}/task/*/schedstat"):
            total += int(open(path).read().split()[0])
    return total / 1e9


def memory_kb(pid):
    total = 0
    for one in family(pid):
        total += int(re.search(r"Pss:\s+(\d+)", open(f"/proc/{one}/smaps_rollup").read()).group(1))
    return total


def wait_for(port):
    for _ in range(100):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/1k", timeout=1).read()
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")


# As an ALB, ours ends an HTTP/2 connection after 10,000 requests, and h2load does not connect again.
H2_REQUESTS = 9_000


def h2load(port, path, connections, seconds, streams=16):
    """Runs of as many requests as ours takes on a connection, until the time is over. Requests' 99th percentile is not
    told by h2load: their mean stands for it."""
    total, failures, weighted, began = 0, 0, 0.0, time.monotonic()
    command = ["h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-n{connections * H2_REQUESTS}"]
    while time.monotonic() - began < seconds:
        out = subprocess.run(command + [f"https://127.0.0.1:{port}{path}"], capture_output=True, text=True).stdout
        done, failed = re.search(r"requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed", out).groups()
        mean = re.search(r"time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)", out)
        total, failures = total + int(done), failures + int(failed)
        weighted += int(done) * float(mean.group(1)) * {"us": 1, "ms": 1e3, "s": 1e6}[mean.group(2)]
    return total, weighted / total, f"{failures} failed" if failures else ""


def handshakes(port, seconds):
    """Connections that resume nothing and ask nothing; without latencies."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds)]
    out = subprocess.run(command, capture_output=True, text=True).stdout
    return int(re.search(r"(\d+) connections in \d+ real", out).group(1)), 0.0, ""


def wrk(port, path, connections, seconds, headers=(), scheme="http"):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    out = subprocess.run(command + [f"{scheme}://127.0.0.1:{port}{path}"], capture_output=True, text=True).stdout
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    scale = {"us": 1, "ms": 1e3, "s": 1e6}[p99.group(2)]
    errors = re.search(r"Socket errors.*|Non-2xx.*", out)
    return requests, float(p99.group(1)) * scale, errors.group(0) if errors else ""


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3)
    options.add_argument("--serve", default="target/release/examples/serve")
    options.add_argument("--idle", type=int, default=0, help="idle client connections to measure memory with")
    options.add_argument("--only", default="", help="part of the name of the cases to run")
    arguments = options.parse_args()
    # HAProxy does not start unless it may have two descriptors for each of its connections.
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    connections = min(descriptors // 2 - 200, 16384)
    running = []
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        os.mkdir(f"{directory}/www")
        for name, size in (("1k", 1024), ("64k", 65536)):
            open(f"{directory}/www/{name}", "w").write("x" * size)
        key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=bench"]
        subprocess.run(key + ["-keyout", f"{directory}/server.key", "-out", f"{directory}/server.pem"], check=True, capture_output=True)
        open(f"{directory}/both.pem", "w").write(open(f"{directory}/server.pem").read() + open(f"{directory}/server.key").read())
        names = dict(nginx_tls=NGINX + SECURE, haproxy_tls=HAPROXY + SECURE, dir=directory, origin=ORIGIN, nginx=NGINX, haproxy=HAPROXY,
                     connections=connections, nginx_rules=NGINX_RULES, haproxy_rules=HAPROXY_RULES)
        for name, text in (("origin", ORIGIN_CONF), ("nginx", NGINX_CONF), ("haproxy", HAPROXY_CONF)):
            open(f"{directory}/{name}.conf", "w").write(text.format(**names))
        try:
            running.append(start(["nginx", "-p", directory, "-c", f"{directory}/origin.conf"]))
            proxies = {
                "nginx": (NGINX, start(["nginx", "-p", directory, "-c", f"{directory}/nginx.conf"])),
                "haproxy": (HAPROXY, start(["haproxy", "-db", "-f", f"{directory}/haproxy.conf"], open(f"{directory}/haproxy.log", "w"))),
                "nines": (OURS, start([arguments.serve, f"127.0.0.1:{OURS}", "1", f"127.0.0.1:{ORIGIN}",
                                         "--rules", "100", "--log", f"{directory}/access.log",
                                         "--tls", str(OURS + SECURE), f"{directory}/server.pem", f"{directory}/server.key"])),
                "nines, bare": (OURS + 10, start([arguments.serve, f"127.0.0.1:{OURS + 10}", "1", f"127.0.0.1:{ORIGIN}"])),
                "nines, 1,000 rules": (
                    OURS + 20,
                    start([arguments.serve, f"127.0.0.1:{OURS + 20}", "1", f"127.0.0.1:{ORIGIN}", "--rules", "1000"]),
                ),
            }
            running += [process for _, process in proxies.values()]
            for port, _ in [(ORIGIN, None), *proxies.values()]:
                wait_for(port)
            cases = {
                "1 KB, keep-alive": lambda port, s: wrk(port, "/1k", 32, s),
                "64 KB, keep-alive": lambda port, s: wrk(port, "/64k", 32, s),
                "1 KB, connection per request": lambda port, s: wrk(port, "/1k", 32, s, ("Connection: close",)),
                "TLS, 1 KB, keep-alive": lambda port, s: wrk(port + SECURE, "/1k", 32, s, scheme="https"),
                "TLS, 64 KB, keep-alive": lambda port, s: wrk(port + SECURE, "/64k", 32, s, scheme="https"),
                "TLS, resumed per request": lambda port, s: wrk(port + SECURE, "/1k", 32, s, ("Connection: close",), "https"),
                "TLS, full handshake": lambda port, s: handshakes(port + SECURE, s),
                "HTTP/2 over TLS, 1 KB": lambda port, s: h2load(port + SECURE, "/1k", 8, s),
            }
            for case, load in cases.items():
                if arguments.only not in case:
                    continue
                chosen = {name: proxy for name, proxy in proxies.items() if case == "1 KB, keep-alive" or "," not in name}
                results = {name: [] for name in chosen}
                for turn in range(arguments.rounds):
                    # Each round begins with another, so that none always follows the same one.
                    order = list(chosen.items())
                    for name, (port, process) in order[turn % len(order) :] + order[: turn % len(order)]:
                        before, began = cpu_seconds(process.pid), time.monotonic()
                        requests, p99, errors = load(port, arguments.seconds)
                        used, took = cpu_seconds(process.pid) - before, time.monotonic() - began
                        results[name].append((used / requests * 1e6, requests / took, p99))
                        if errors:
                            print(f"{name}: {errors}")
                middle = lambda name, at: statistics.median(result[at] for result in results[name])
                base = middle("nginx", 0)
                print(f"\n{case}")
                for name in chosen:
                    cpu, rate, p99 = (middle(name, at) for at in range(3))
                    print(f"  {name:26} {cpu:7.1f} µs CPU/request ({cpu / base:4.2f})  {rate:8.0f}/s  p99 {p99 / 1000:6.2f} ms",
                          flush=True)
            if arguments.idle:
                count = min(arguments.idle, connections - 100)
                idle({name: proxy for name, proxy in proxies.items() if "," not in name}, count)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()


def idle(proxies, count):
    import socket

    print(f"\nmemory per idle client connection, after one request each, {count} connections")
    for name, (port, process) in proxies.items():
        before = memory_kb(process.pid)
        clients = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"GET /1k HTTP/1.1\r\nHost: h\r\n\r\n")
            while not client.recv(65536).endswith(b"xxx"):
                pass
            clients.append(client)
        print(f"  {name:26} {(memory_kb(process.pid) - before) / count:6.2f} KB")
        for client in clients:
            client.close()


if __name__ == "__main__":
    main()
