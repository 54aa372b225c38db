"""A metadata service on loopback, and a directory that stands for a machine."""

import contextlib
import http.server
import os
import tempfile
import threading

from userdata import boot, imds, machine

TOKEN = "AQAEAF-token=="


class Service:
    """`version`: 2 wants a token, 1 knows none, 0 refuses everything. `failures`: answers that are 503 first."""

    def __init__(self, values, version=2, failures=0):
        self.values, self.version, self.failures = values, version, failures
        self.requests = []

    def answer(self, method, path, headers):
        self.requests.append((method, path))
        if self.failures:
            self.failures -= 1
            return 503, b""
        if path == "/latest/api/token":
            if self.version == 2 and method == "PUT" and headers.get("X-aws-ec2-metadata-token-ttl-seconds"):
                return 200, TOKEN.encode()
            return 404 if self.version == 1 else 403, b""
        if self.version == 0:
            return 403, b""
        if self.version == 2 and headers.get("X-aws-ec2-metadata-token") != TOKEN:
            return 401, b""
        value = self.values.get(path.removeprefix("/latest/"))
        return (404, b"") if value is None else (200, value)


@contextlib.contextmanager
def serving(service):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # several requests of one connection

        def handle_any(self):
            status, body = service.answer(self.command, self.path, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.handle_any()

        do_GET = do_PUT = handle_any

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Recorded(machine.Machine):
    """Commands that act on the system are noted, with their input; scripts below the root really run. `failing` fail."""

    def __init__(self, root, failing=()):
        super().__init__(root)
        self.commands, self.inputs, self.failing = [], [], failing

    def run(self, command, input=None, **environment):
        if command[0].startswith(self.root):
            return super().run(command, input=input, **environment)
        self.commands.append(" ".join(command))
        self.inputs.append(input)
        return int(self.commands[-1] in self.failing)


class Trial:
    """A machine to boot as often as a test wants."""

    def __init__(self, root):
        self.root = root
        for name in ("dev", "var/log", "etc", "home/admin", "run/systemd/system"):
            os.makedirs(os.path.join(root, name))
        open(os.path.join(root, "dev/console"), "w").close()
        with open(os.path.join(root, "etc/passwd"), "w") as file:
            file.write(f"admin:x:{os.getuid()}:{os.getgid()}::/home/admin:/bin/bash\n")

    def boot(self, user_data=None, instance="i-1", version=2, failures=0, failing=(), **more):
        values = {"meta-data/instance-id": instance.encode(), "meta-data/local-hostname": b"ip-10-0-1-5.ec2.internal"}
        if user_data is not None:
            values["user-data"] = user_data if isinstance(user_data, bytes) else user_data.encode()
        values |= {key.replace("__", "/"): value for key, value in more.items()}
        self.machine = Recorded(self.root, failing)
        with serving(Service(values, version, failures)) as address:
            boot.main(self.machine, imds.Metadata(address, timeout=5))
        return self.read("var/log/cloud-init-output.log")

    def read(self, name):
        with open(os.path.join(self.root, name)) as file:
            return file.read()

    def add(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a") as file:
            file.write(text)

    def has(self, name):
        return os.path.exists(os.path.join(self.root, name))


@contextlib.contextmanager
def trial():
    with tempfile.TemporaryDirectory() as root:
        yield Trial(root)
