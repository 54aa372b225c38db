"""The balancer alone, between clients and targets that others wrote: WebSocket, gRPC, curl, wrk and h2load.

SERVE names the example binary, which `cargo test` builds.
"""

import asyncio
import http.server
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as serve_websockets

ROOT = Path(__file__).resolve().parents[2]
SERVE = os.environ.get("SERVE", str(ROOT / "target/debug/examples/serve"))
MEGABYTE = b"x" * 2**20


def free_ports(count):
    """Nobody else's for the moment: all are held until the last is known."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    chain, key = directory / "chain.pem", directory / "key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-addext", names, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


class Balancer:
    def __init__(self, certificate, target, *options):
        self.plain, self.secure = free_ports(2)
        chain, key = certificate
        command = [SERVE, f"127.0.0.1:{self.plain}", "2", f"127.0.0.1:{target}", "--tls", str(self.secure), chain, key, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        for port in (self.plain, self.secure):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert self.process.poll() is None and time.monotonic() < end, "the balancer does not listen"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def test_websockets(certificate):
    async def echo(peer):
        async for message in peer:
            await peer.send(message)

    async def talk(address, context):
        async with connect(address, ssl=context, max_size=None) as peer:
            for message in ("hello", b"\0\xff", MEGABYTE):
                await peer.send(message)
                assert await peer.recv() == message
            await (await peer.ping())
            await peer.close(4000, "enough")
            assert (peer.close_code, peer.close_reason) == (4000, "enough")

    async def run():
        context = ssl.create_default_context(cafile=certificate[0])
        async with serve_websockets(echo, "127.0.0.1", 0, max_size=None) as server:
            target = server.sockets[0].getsockname()[1]
            with await asyncio.to_thread(Balancer, certificate, target) as balancer:
                await talk(f"ws://127.0.0.1:{balancer.plain}/echo", None)
                await talk(f"wss://localhost:{balancer.secure}/echo", context)

    asyncio.run(asyncio.wait_for(run(), 60))


class Calls(grpc.GenericRpcHandler):
    """/test/…, without messages of any schema."""

    def service(self, details):
        def fail(request, context):
            context.set_trailing_metadata([("why", "as asked")])
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

        kinds = {
            "/test/Unary": grpc.unary_unary_rpc_method_handler(lambda request, _: request[::-1]),
            "/test/Down": grpc.unary_stream_rpc_method_handler(lambda request, _: (request for _ in range(100))),
            "/test/Up": grpc.stream_unary_rpc_method_handler(lambda requests, _: str(sum(map(len, requests))).encode()),
            "/test/Both": grpc.stream_stream_rpc_method_handler(lambda requests, _: requests),
            "/test/Fail": grpc.unary_unary_rpc_method_handler(fail),
        }
        return kinds.get(details.method)


def test_grpc(certificate):
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Calls()])
    target = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Balancer(certificate, target, "--grpc") as balancer:
            trusted = grpc.ssl_channel_credentials(certificate[0].read_bytes())
            with grpc.secure_channel(f"localhost:{balancer.secure}", trusted) as channel:
                limit = {"timeout": 30}
                assert channel.unary_unary("/test/Unary")(b"abc", **limit) == b"cba"
                assert list(channel.unary_stream("/test/Down")(b"x" * 1000, **limit)) == [b"x" * 1000] * 100
                assert channel.stream_unary("/test/Up")(iter([MEGABYTE] * 3), **limit) == str(3 * 2**20).encode()
                # Each answer comes before the next question.
                both, asked = channel.stream_stream("/test/Both"), [b"1", b"2", b"3"]
                turn = threading.Semaphore(1)

                def questions():
                    for one in asked:
                        turn.acquire()
                        yield one

                answers = []
                for answer in both(questions(), **limit):
                    answers.append(answer)
                    turn.release()
                assert answers == asked
                with pytest.raises(grpc.RpcError) as failed:
                    channel.unary_unary("/test/Fail")(b"", **limit)
                assert failed.value.code() == grpc.StatusCode.NOT_FOUND
                assert failed.value.details() == "no such thing"
                assert ("why", "as asked") in [tuple(pair) for pair in failed.value.trailing_metadata()]
    finally:
        server.stop(None)


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 1024
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        left, length = int(self.headers["Content-Length"]), 0
        while left > length:
            length += len(self.rfile.read(min(65536, left - length)))
        body = str(length).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def pages(certificate):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Balancer(certificate, server.server_address[1]) as balancer:
        yield balancer
    server.shutdown()


def test_curl(pages, certificate, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(MEGABYTE * 8)
    for version, port, scheme in (("1.0", pages.plain, "http"), ("1.1", pages.plain, "http"), ("1.1", pages.secure, "https"), ("2", pages.secure, "https")):
        form = ["-w", " %{http_version} %{http_code}", "-H", "Expect: 100-continue", "--data-binary", f"@{body}"]
        command = ["curl", "-sS", "-m", "60", "--noproxy", "*", "--cacert", certificate[0], f"--http{version}", *form]
        done = subprocess.run([*command, f"{scheme}://localhost:{port}/"], capture_output=True, text=True)
        # The answer's version is the balancer's own.
        spoken = {"1.0": "1.1"}.get(version, version)
        assert done.stdout == f"{len(MEGABYTE) * 8} {spoken} 200", done.stderr


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
def test_wrk(pages):
    for scheme, port in (("http", pages.plain), ("https", pages.secure)):
        command = ["wrk", "-t1", "-c16", "-d1s", f"{scheme}://127.0.0.1:{port}/"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert int(re.search(r"(\d+) requests in", said).group(1)) > 0
        assert "Socket errors" not in said and "Non-2xx" not in said, said


@pytest.mark.skipif(not shutil.which("h2load"), reason="needs h2load")
def test_h2load(pages):
    command = ["h2load", "-n400", "-c4", "-m16", f"https://127.0.0.1:{pages.secure}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "400 done, 400 succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert "400 2xx" in said, said
